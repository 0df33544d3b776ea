"""Values set on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_scenario
from meshsim.scenario.model import Scenario

VALID = Path(__file__).parent / "data" / "valid.yaml"


def changed(*overrides: str) -> Scenario:
    """The valid scenario, changed."""
    return load_scenario(VALID, overrides).scenario


def refused(*overrides: str) -> list[str]:
    """What is said of overrides."""
    with pytest.raises(ScenarioError) as caught:
        changed(*overrides)
    return [str(one) for one in caught.value.diagnostics]


def test_any_field_can_be_set() -> None:
    """Scalars, list entries, whole mappings and sections that the file leaves out can be set, the last one wins."""
    scenario = changed(
        "seed=9",
        "network.links.0.latency=5 ms",
        "mesh.pool.max_connections=2",
        "mesh.tls.groups=[P-256]",
        "services.store.replicas.edge-1=2",
        "network.nodes.edge-1.cores=16",
        "network.nodes.edge-1.cores=32",
        'mesh.tls.min_version="1.2"',
    )
    assert scenario.seed == 9
    assert scenario.network.links[0].latency_ns == 5_000_000
    assert scenario.mesh.pool.max_connections == 2
    assert scenario.mesh.tls.groups == ("P-256",)
    assert scenario.services["store"].replicas == {"core-1": 1, "edge-1": 2}
    assert scenario.network.nodes["edge-1"].cores == 32
    assert scenario.mesh.tls.min_version == "1.2"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed", "'seed' sets nothing; expected path=value, such as mesh.tls.mode=PERMISSIVE"),
        ("a..b=1", "'a..b=1' sets nothing; expected path=value, such as mesh.tls.mode=PERMISSIVE"),
        ("mesh.tsl.mode=STRICT", "mesh.tsl leads nowhere; did you mean 'tls'?"),
        ("mesh.tls.mod=STRICT", "unknown key 'mod'; did you mean 'mode'?"),
        ("mesh.tls.mode=strict", "'mode' is 'strict', which is not known; did you mean 'STRICT'?"),
        ("mesh.tls.min_version=1.2", "'min_version' is the number 1.2; expected text, in quotes: '1.2'"),
        ("services.plannr.work.constant=1 ms", "services.plannr leads nowhere; did you mean 'planner'?"),
        ("network.links.9.latency=1 ms", "network.links has no entry '9'; expected 0 to 3"),
        ("network.links.first.latency=1 ms", "network.links has no entry 'first'; expected 0 to 3"),
        ("duration.ms=5", "duration is '60 s', without keys; expected the path to end there"),
        ("duration=5", "5 has no unit; expected a quantity with a unit such as '10 ms'"),
        ("duration=", "there is no value; expected a quantity with a unit such as '10 ms'"),
        ("traffic.0.to=palnner", "there is no service 'palnner'; did you mean 'planner'?"),
        ("duration=[", "a value is missing here; expected one before this"),
    ],
)
def test_mistakes_name_the_override(override: str, said: str) -> None:
    """A mistake in an override is told with the override as its place."""
    assert f"--set {override}: {said}" in refused(override)


def test_overrides_and_file_together() -> None:
    """Mistakes in several overrides are told at once."""
    assert refused("mesh.tsl.mode=STRICT", "seed=-1") == [
        "--set mesh.tsl.mode=STRICT: mesh.tsl leads nowhere; did you mean 'tls'?",
        "--set seed=-1: -1 is out of range; expected at least 0",
    ]


def test_an_override_can_mend_the_file(tmp_path: Path) -> None:
    """An override replaces a value before anything is checked."""
    path = VALID.parent / "mended.yaml"
    path.write_text(VALID.read_text(encoding="utf-8").replace("seed: 7", "seed: x"), encoding="utf-8")
    try:
        assert load_scenario(path, ["seed=3"]).scenario.seed == 3
    finally:
        path.unlink()
