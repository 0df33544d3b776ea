"""Presets: every value is one that scenarios can hold, what the author writes wins, and the page is in step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest

from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import LoadedScenario, load_text
from meshsim.scenario.mesh import Mesh
from meshsim.scenario.preset_reference import reference_text
from meshsim.scenario.presets import PRESETS
from meshsim.scenario.schema import schema_text
from meshsim.scenario.yaml_text import parse_yaml

ROOT = Path(__file__).parents[2]
S = 1_000_000_000
H = 3600 * S


def load(mesh: str, *overrides: str) -> LoadedScenario:
    """A small scenario with this mesh."""
    text = f"""\
scenario: small
duration: 1 h
network:
  nodes: {{core: {{kind: core}}, edge: {{kind: edge}}}}
  links: [{{between: [core, edge], latency: 1 ms}}]
  slices: {{web: {{sst: 1, five_qi: 9}}}}
services: {{front: {{replicas: {{edge: 1}}, work: {{constant: 1 ms}}}}}}
fleets: {{client: {{node: core}}}}
mesh: {mesh}
traffic: [{{from: client, to: front, slice: web, arrivals: {{constant: 1 /s}}}}]
"""
    return load_text(text, Path("small.yaml"), overrides)


def told(mesh: str) -> list[str]:
    """What is said of a mesh."""
    with pytest.raises(ScenarioError) as error:
        load(mesh)
    return [str(one) for one in error.value.diagnostics]


def at(loaded: LoadedScenario, path: str) -> Any:
    """What the resolved scenario says below ``mesh``."""
    value, _ = parse_yaml(loaded.resolved, "resolved.yaml")
    for key in ("mesh", *path.split(".")):
        value = value[key]
    return value


def test_names_are_those_of_the_table() -> None:
    """A scenario can name just the presets that there are."""
    (names, _) = get_args(Mesh.model_fields["preset"].annotation)
    assert set(get_args(names)) == set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_every_value_takes_effect(name: str) -> None:
    """Each value of a preset is accepted, is in the resolved scenario, and has a source."""
    loaded = load(f"{{preset: {name}}}")
    plain = load("{}")
    for default in PRESETS[name].defaults:
        assert default.source
        found = at(loaded, default.path)
        mine = load(json.dumps(_nested(default.path, default.value)))
        assert found == at(mine, default.path)
    assert len({default.path for default in PRESETS[name].defaults}) == len(PRESETS[name].defaults)
    assert loaded.scenario.mesh != plain.scenario.mesh
    assert loaded.scenario.mesh.identity.issuer is not None


def _nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    if "at_start" in path:
        return value | {"identity": {**value["identity"], "issuer": {}}}
    return value  # type: ignore[no-any-return]  # a path has a key


@pytest.mark.parametrize("name", PRESETS)
def test_resolved_is_the_same_scenario(name: str) -> None:
    """Reading a resolved scenario gives an equal one, what the author took back included; the schema accepts it."""
    mesh = f"{{preset: {name}, identity: {{svid_ttl: 2 h, issuer: {{node: edge, retry: {{base: 3 s}}}}}}}}"
    for loaded in (load(mesh), load(f"{{preset: {name}, identity: {{issuer: null}}}}")):
        again = load_text(loaded.resolved, Path("resolved.yaml"))
        assert again.scenario == loaded.scenario
        assert again.resolved == loaded.resolved
        plain, _ = parse_yaml(loaded.resolved, "resolved.yaml")
        jsonschema.Draft202012Validator(json.loads(schema_text())).validate(plain)


def test_what_is_written_wins() -> None:
    """A key of the file or the command line stands, its neighbours are the preset's, and null takes one back."""
    identity = load("{preset: istio, identity: {svid_ttl: 1 h, issuer: {retry: {cap: 10 s}}}}").scenario.mesh.identity
    assert identity.issuer is not None
    assert (identity.svid_ttl_ns, identity.backdate_ns) == (H, 120 * S)
    assert (identity.issuer.retry.cap_ns, identity.issuer.retry.base_ns) == (10 * S, S // 2)
    overridden = load("{preset: istio}", "mesh.identity.issuer.retry.cap=20 s", "mesh.tls.mode=STRICT").scenario.mesh
    assert overridden.identity.issuer is not None
    assert overridden.identity.issuer.retry.cap_ns == 20 * S
    assert (overridden.tls.mode, overridden.tls.min_version) == ("STRICT", "1.2")
    assert load("{}", "mesh.preset=spire").scenario.mesh.identity.ca_ttl_ns == 24 * H
    assert load("{preset: istio, identity: {issuer: null}}").scenario.mesh.identity.issuer is None
    consul = load("{preset: consul, identity: {issuer: {signatures: null}}}").scenario.mesh.identity.issuer
    assert consul is not None
    assert (consul.signatures_uhz, consul.longest_wait_ns) == (None, S // 2)


def values(loaded: LoadedScenario, paths: list[str]) -> list[Any]:
    """What the resolved scenario says at each of these paths below ``mesh``; None where it says nothing."""
    resolved, _ = parse_yaml(loaded.resolved, "resolved.yaml")
    found = []
    for path in paths:
        value = resolved["mesh"]
        for key in path.split("."):
            value = value.get(key) if value is not None else None
        found.append(value)
    return found


@pytest.mark.parametrize("name", PRESETS)
def test_each_value_can_be_taken_back(name: str) -> None:
    """Null takes back one value of a preset, whichever, and leaves all others as they are."""
    paths = [default.path for default in PRESETS[name].defaults]
    plain = values(load("{identity: {issuer: {node_attestation: {}}, ca_rotation: {}}}"), paths)
    of_preset = values(load(f"{{preset: {name}}}"), paths)
    for place, path in enumerate(paths):
        found = values(load(f"{{preset: {name}}}", f"mesh.{path}=null"), paths)
        assert found == [*of_preset[:place], plain[place], *of_preset[place + 1 :]], path


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        *((name, "identity.svid_ttl", "24 h") for name in ("istio", "ztunnel", "linkerd")),
        ("spire", "identity.svid_ttl", "1 h"),
        ("consul", "identity.svid_ttl", "72 h"),
        *((name, "identity.rotate_at", "50 %") for name in ("istio", "ztunnel", "spire")),
        ("istio", "identity.rotate_jitter", "1 %"),
        ("spire", "identity.rotate_jitter", "5 %"),
        ("linkerd", "identity.issuer.retry.of_remaining", "70 %"),
        ("linkerd", "identity.issuer.retry.base", "10 s"),
        ("linkerd", "identity.issuer.retry.cap", "24 h"),
        ("ztunnel", "identity.issuer.retry.cap", "150 s"),
        *((name, "identity.ca_ttl", "3650 d") for name in ("istio", "ztunnel")),
        ("linkerd", "identity.ca_ttl", "365 d"),
        ("spire", "identity.ca_ttl", "24 h"),
        ("consul", "identity.ca_ttl", "8760 h"),
        *((name, "identity.backdate", "2 min") for name in ("istio", "ztunnel")),
        ("linkerd", "identity.backdate", "20 s"),
        ("spire", "identity.backdate", "10 s"),
        ("spire", "identity.issuer.signatures_per_node", "500 /s"),
        ("istio", "tls.key", "rsa-2048"),
        *((name, "tls.key", "ecdsa-p256") for name in ("spire", "linkerd")),
        *((name, "tls.mode", "PERMISSIVE") for name in ("istio", "ztunnel")),
        ("istio", "tls.min_version", "1.2"),
        *((name, "tls.min_version", "1.3") for name in ("ztunnel", "linkerd")),
        ("istio", "tls.groups", ["X25519", "P-256"]),
        ("linkerd", "tls.groups", ["X25519MLKEM768", "X25519", "P-256", "P-384"]),
        *((name, "tls.resumption", {"as_envoy": True}) for name in ("istio", "consul")),
        *((name, "pool.session_scope", "service") for name in ("istio", "consul")),
        *((name, "tls.resumption", False) for name in ("ztunnel", "linkerd")),
        ("istio", "resilience.retries", 2),
        *((name, "resilience.retries", 0) for name in ("ztunnel", "linkerd", "consul")),
        ("istio", "resilience.connect_timeout", "10 s"),
        ("linkerd", "resilience.connect_timeout", "1 s"),
        ("consul", "resilience.request_timeout", "15 s"),
        ("istio", "load_balancing.policy", "least_request"),
        ("istio", "load_balancing.locality", True),
        ("consul", "load_balancing.policy", "round_robin"),
        *((name, "pool.idle_timeout", "1 h") for name in ("istio", "consul")),
        ("ztunnel", "pool.idle_timeout", "5 min"),
        ("ztunnel", "pool.streams_per_connection", 100),
        *((name, "control.debounce", "100 ms") for name in ("istio", "ztunnel")),
        *((name, "control.debounce_max", "10 s") for name in ("istio", "ztunnel")),
    ],
)
def test_defaults_of_real_meshes(name: str, path: str, value: Any) -> None:
    """The figures that the meshes' own sources and pages give are what a preset comes to."""
    mine = load(json.dumps(_nested(path, value)))
    assert at(load(f"{{preset: {name}}}"), path) == at(mine, path)


def test_authorities_of_spire() -> None:
    """SPIRE's rule for the next authority follows the lifetime: half and a sixth of it, at most 30 and 7 days."""
    identity = load("{preset: spire}").scenario.mesh.identity
    assert (identity.prepare_ns, identity.activate_ns) == (12 * H, 4 * H)
    identity = load("{preset: spire, identity: {ca_ttl: 365 d}}").scenario.mesh.identity
    assert (identity.prepare_ns, identity.activate_ns) == (30 * 24 * H, 7 * 24 * H)


def test_mistakes_are_told_at_what_was_written() -> None:
    """A preset that does not exist is told, and of values that do not go together the one that was written."""
    assert told("{preset: istoi}") == [
        "small.yaml:9:16: 'preset' is 'istoi', which is not known; did you mean 'istio'?"
    ]
    (mistake,) = told('{preset: istio, tls: {min_version: "1.3", max_version: "1.2"}}')
    assert mistake.startswith("small.yaml:9:42: the lowest TLS version, 1.3, is above the highest, 1.2")
    mistakes = told("{preset: istio, identity: {ca_ttl: 1 h}}")
    assert mistakes[1].startswith("small.yaml:9:42: the authority's certificate lives no longer than 86400 s")
    assert told("{preset: istio, identity: {svid_tll: 1 min}}") == [
        "small.yaml:9:34: unknown key 'svid_tll'; did you mean 'svid_ttl'?"
    ]


def test_documentation_is_in_step() -> None:
    """docs/presets.md is what the table gives now."""
    how = "run: python -m meshsim.scenario.preset_reference > docs/presets.md"
    assert (ROOT / "docs" / "presets.md").read_text(encoding="utf-8") == reference_text(), how
