"""What ``import meshsim`` gives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import meshsim
from meshsim.experiment import load

HELLO = Path(__file__).parent.parent / "scenarios" / "hello-mesh.yaml"


def test_public_names_are_listed_and_there() -> None:
    """Whatever is promised is listed by dir() and can be reached, in a fresh interpreter and before any use."""
    program = (
        "import sys, meshsim\n"
        "assert not [name for name in sys.modules if name.startswith('meshsim.')]\n"
        "print(*[name for name in meshsim.__all__ if name not in dir(meshsim) or not getattr(meshsim, name)])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    assert {"run", "open_run", "Run", "ScenarioError"} <= set(dir(meshsim))
    with pytest.raises(AttributeError, match="'sweeep'"):
        _ = meshsim.sweeep


def test_errors_can_be_caught_by_their_public_names() -> None:
    """A scenario that is not there is a ScenarioError, which is a MeshsimError, as a program catches them."""
    with pytest.raises(meshsim.ScenarioError, match=r"nowhere\.yaml"):
        meshsim.run("nowhere.yaml")
    for error in (meshsim.ScenarioError, meshsim.UsageError, meshsim.InvariantViolation, meshsim.InfrastructureError):
        assert issubclass(error, meshsim.MeshsimError)


@pytest.mark.parametrize(
    "overrides",
    [
        "mesh.tls.groups=[X25519MLKEM768]",
        ["mesh.tls.groups=[X25519MLKEM768]"],
        {"mesh.tls.groups": ["X25519MLKEM768"]},
    ],
    ids=["one", "list", "mapping"],
)
def test_overrides_in_three_forms(overrides: str | Sequence[str] | Mapping[str, Any]) -> None:
    """One text, a list of them and a mapping set the same field."""
    assert load(HELLO, overrides=overrides).scenario.mesh.tls.groups == ("X25519MLKEM768",)


def test_values_of_a_mapping_keep_their_type() -> None:
    """Texts, numbers and booleans of a mapping arrive as what they are."""
    overrides = {"duration": "2 s", "seed": 9, "mesh.tls.resumption": False, "description": 'true: "no" ü [x'}
    scenario = load(HELLO, overrides=overrides).scenario
    assert (scenario.duration_ns, scenario.seed, scenario.mesh.tls.resumption) == (2_000_000_000, 9, False)
    assert scenario.description == 'true: "no" ü [x'


@pytest.mark.parametrize("overrides", [[1], {"duration": Path("x")}, {"seed": {1, 2}}], ids=str)
def test_what_is_no_override_is_refused(overrides: Any) -> None:
    """A list of anything but texts, and a value that no scenario can hold, are told at once."""
    with pytest.raises(meshsim.UsageError, match=r"overrides: .*; expected "):
        load(HELLO, overrides=overrides)
