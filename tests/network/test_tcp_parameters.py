"""From the settings of a scenario to the parameters of TCP."""

from __future__ import annotations

import msgspec
import pytest

from meshsim.network.tcp_parameters import TcpParameters, tcp_parameters
from meshsim.scenario.tcp import Tcp

OTHER_NAMES = {"remember_destinations": "remember_destination"}
USUAL = Tcp()


def test_defaults_are_the_parameters_own() -> None:
    """A scenario that says nothing of TCP has what the probe has."""
    assert tcp_parameters(USUAL) == TcpParameters()


@pytest.mark.parametrize("name", Tcp.model_fields)
def test_each_setting_is_a_parameter(name: str) -> None:
    """A setting changes the parameter of its name, and nothing else."""
    usual = getattr(USUAL, name)
    other = "reno" if usual == "cubic" else not usual if isinstance(usual, bool) else usual + 1
    changed = tcp_parameters(USUAL.model_copy(update={name: other}))
    assert changed == msgspec.structs.replace(TcpParameters(), **{OTHER_NAMES.get(name, name): other})
