"""What is told of settings that are valid and can hardly be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.scenario.loader import load_text
from tests.scenario.test_manifests import SHOP, home

TEXT = """\
scenario: odd
duration: 10 s
network:
  nodes: {core: {kind: core}, edge: {kind: edge}}
  links: [{between: [core, edge], latency: 42 ms}]
  slices: {web: {sst: 1, five_qi: 9}}
services:
  api:
    placement: [core]
    work: {constant: 1 ms}
    ports: {8080: {}, 9090: {tls: {mode: PERMISSIVE}}}
    versions: {v1: {count: 1, labels: {version: v1}}, v2: {count: 0, labels: {version: v2}}}
fleets: {users: {node: edge}}
mesh:
  destinations: {api: {subsets: {new: {labels: {version: v2}}, old: {labels: {version: v1}}}}}
traffic: [{from: users, to: api, port: 8080, slice: web, arrivals: {constant: 1 /s}}]
"""


@pytest.mark.parametrize(
    ("override", "says"),
    [
        (
            "routes=[{to: api, match: [{path: {prefix: api}}]}]",
            "'api' never matches, as every path begins with a slash",
        ),
        ("routes=[{to: api, match: [{path: {prefix: /api}}]}]", ""),
        ("routes=[{to: api, match: [{path: {exact: '/a?x=1'}}]}]", "'/a?x=1' never matches: a query or fragment is no"),
        ("routes=[{to: api, match: [{path: {regex: 'a?'}}]}]", ""),
        ("routes=[{to: api, match: [{method: {exact: get}}]}]", "'get' never matches, as methods are in upper case"),
        ("routes=[{to: api, match: [{method: {exact: GET}}]}]", ""),
        (
            "routes=[{to: api, timeout: 1 s, retries: {attempts: 1, attempt_timeout: 2 s}}]",
            "an attempt may take 2 s, all together 1 s: none is ever ended by this",
        ),
        ("routes=[{to: api, timeout: 2 s, retries: {attempts: 1, attempt_timeout: 2 s}}]", ""),
        (
            "routes=[{to: api, split: [{subset: new}]}]",
            "no replica of 'api' is in the subset 'new' (version=v2): calls that go there fail",
        ),
        ("routes=[{to: api, split: [{subset: old}]}]", ""),
        ("routes=[{to: api, split: [{subset: old, weight: 1}, {subset: new, weight: 0}]}]", ""),
        (
            "destinations.api.tls=plaintext",
            "callers are told to speak plaintext to port 8080 of 'api', where the mode is STRICT: every such call is",
        ),
        ("destinations.api.subsets.old.tls=plaintext", "callers are told to speak plaintext to port 8080 of 'api', wh"),
        ("destinations.api.ports={9090: {tls: plaintext}}", ""),
        ("destinations.api.subsets.new.tls=plaintext", ""),
    ],
)
def test_what_can_hardly_be_meant_is_noted(override: str, says: str) -> None:
    """A match that never holds, an attempt that is never ended, a subset of nobody, plaintext to a STRICT port."""
    path = override.partition("=")[0].split(".")[0]
    notes = [note for note in load_text(TEXT, Path("odd.yaml"), [f"mesh.{override}"]).notes if f"mesh.{path}" in note]
    assert len(notes) == bool(says), notes
    assert all(says in note for note in notes)


def test_a_subset_that_some_callers_have_otherwise_is_not_noted() -> None:
    """Replicas that are in the subset for the callers of one namespace are enough."""
    caller = "web: {namespace: front, placement: [core], work: {constant: 1 ms}, calls: [{to: api}]}\nfleets:"
    text = TEXT.replace("fleets:", f"  {caller}").replace("to: api, port", "to: web, port").replace(", port: 8080", "")
    overrides = ["mesh.routes=[{to: api, split: [{subset: new}]}]"]
    assert any("is in the subset" in note for note in load_text(text, Path("odd.yaml"), overrides).notes)
    overrides.append("mesh.destinations.api.callers_in={front: {subsets: {new: {labels: {version: v1}}}}}")
    assert not any("is in the subset" in note for note in load_text(text, Path("odd.yaml"), overrides).notes)


def test_plaintext_is_told_of_versions_that_are_strict() -> None:
    """Callers of versions that take plaintext are refused nothing; where some do not, the note names those."""
    text = TEXT.replace("count: 0, labels: {version: v2}", "count: 1, labels: {version: v2}, tls: {mode: PERMISSIVE}")
    for path, says in (
        ("subsets.new.", ""),
        ("subsets.old.", "the mode is STRICT: every such call is refused"),
        ("", "the mode of v1 is STRICT: every such call to it is refused"),
    ):
        notes = load_text(text, Path("odd.yaml"), [f"mesh.destinations.api.{path}tls=plaintext"]).notes
        told = [note for note in notes if "plaintext" in note]
        assert len(told) == bool(says), told
        assert all(note.endswith(says) for note in told)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["mesh.ambient=true"], False),  # a ztunnel carries the calls, whatever is said of destinations
        (["fleets.users.dataplane=ambient"], False),
        (["mesh.ambient=true", "fleets.users.dataplane=sidecar"], True),
        (["mesh.ambient=true", "services.api.dataplane=sidecar"], False),
        (["mesh.ambient=true", "services.api.waypoint=door"], True),
        (["mesh.ambient=true", "services.api.waypoint=door", "mesh.waypoints={door: {replicas: {core: 1}}}"], True),
    ],
)
def test_plaintext_is_told_of_callers_that_go_by_it(overrides: list[str], told: bool) -> None:
    """Ztunnels go by no settings of destinations; sidecars and waypoints do, speak plaintext and are refused."""
    notes = load_text(TEXT, Path("odd.yaml"), ["mesh.destinations.api.tls=plaintext", *overrides]).notes
    assert any("every such call" in note for note in notes) is told


@pytest.mark.parametrize(("timeout", "said"), [("84 ms", True), ("85 ms", False)])
def test_an_authorizer_that_is_too_far_away_is_noted(timeout: str, said: bool, tmp_path: Path) -> None:
    """No answer comes back within a time-out that is no longer than the round trip."""
    (tmp_path / "a.rego").write_text("package envoy.authz\nimport rego.v1\ndefault allow := true\n", encoding="utf-8")
    policy = f"mesh.policy={{engine: rego, files: [a.rego], authorizer: {{node: edge, timeout: {timeout}}}}}"
    notes = [note for note in load_text(TEXT, tmp_path / "odd.yaml", [policy]).notes if "answer" in note]
    assert len(notes) == said
    assert all("a round trip to 'edge' is 84 ms from 'core': no proxy there ever has an answer" in one for one in notes)


def test_what_can_hardly_be_meant_in_manifests_is_noted_there(tmp_path: Path) -> None:
    """The note stands at the value in the manifest."""
    path = home(tmp_path, {"rules.yaml": ("method: {exact: POST}", "method: {exact: post}")})
    (note,) = [note for note in load_text(SHOP, path).notes if "never matches" in note]
    assert note == (
        f"{tmp_path}/shop/rules.yaml:32:19: 'post' never matches, as methods are in upper case; 'POST' may be meant"
    )
