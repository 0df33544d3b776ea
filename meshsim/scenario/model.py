"""The scenario as a whole."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from meshsim.scenario.changes import Change
from meshsim.scenario.expectations import Expectation
from meshsim.scenario.faults import Fault
from meshsim.scenario.fields import Duration, FromList, Instant, Model, Name, S
from meshsim.scenario.mesh import Mesh
from meshsim.scenario.network import Network
from meshsim.scenario.services import Service
from meshsim.scenario.traffic import Fleet, Traffic

LONGEST_SAMPLES = 3600
"""Samples of each node and link in a run of an hour or more, unless it says how often to take them."""

Fidelity = Literal["real", "sampled", "modelled"]


class Phase(Model):
    """A named window of the run, for expectations."""

    from_ns: Duration = Field(alias="from")
    """Start."""
    to_ns: Duration = Field(alias="to")
    """End, itself not in it."""


class Scenario(Model):
    """One scenario file."""

    scenario: Name
    """Name; runs are filed under it."""
    description: Annotated[str, StringConstraints(max_length=4000)] = ""
    """What it is about, for the report. Default: empty."""
    seed: int = Field(default=1, ge=0, lt=2**63)
    """Seed of every random stream. Default: 1."""
    duration_ns: Duration = Field(alias="duration", gt=0)
    """How long requests are sent; the run then goes on until each has its outcome."""
    epoch_ns: Instant = Field(default=1_767_225_600 * S, alias="epoch")
    """The instant at which simulated time begins. Default: 2026-01-01T00:00:00Z."""
    fidelity: Fidelity = "sampled"
    """How often OpenSSL runs: real (always), sampled (each distinct case, then one in a hundred) or modelled (never).
    Default: sampled."""
    cost_profile: str = "default"
    """Cost profile: `default`, or a file beside the scenario file. Default: default."""
    sample_every_ns: Duration | None = Field(default=None, alias="sample_every", gt=0)
    """Interval of the tables nodes and links. Default: 1 s, or a 3600th of the duration if that is more."""
    network: Network
    """Nodes, links, slices, radios."""
    services: dict[Name, Service] = Field(min_length=1)
    """Services by name."""
    fleets: dict[Name, Fleet] = Field(min_length=1)
    """Devices and clients by name."""
    mesh: Mesh = Mesh()
    """Mesh settings."""
    traffic: Annotated[tuple[Traffic, ...], FromList, Field(min_length=1)]
    """Flows of requests."""
    phases: dict[Name, Phase] = {}
    """Windows for expectations, beside each fault's own. Default: none."""
    changes: Annotated[tuple[Change, ...], FromList] = ()
    """Changes of configuration while the run goes on. Default: none."""
    faults: Annotated[tuple[Fault, ...], FromList] = ()
    """Faults. Default: none."""
    expect: Annotated[tuple[Expectation, ...], FromList] = ()
    """Expectations. Default: none."""

    @property
    def sampling_interval_ns(self) -> int:
        """Interval of the tables nodes and links, set or by the duration."""
        return self.sample_every_ns or max(1 * S, self.duration_ns // LONGEST_SAMPLES)

    def change_names(self) -> tuple[str, ...]:
        """The name of each change, given or made, in the order of the file."""
        return _names([change.name for change in self.changes], ["change"] * len(self.changes))

    def fault_names(self) -> tuple[str, ...]:
        """The name of each fault, given or made from its kind, in the order of the file."""
        return _names([fault.name for fault in self.faults], [fault.kind for fault in self.faults])


def _names(given: list[str | None], kinds: list[str]) -> tuple[str, ...]:
    """Each given name, or else its kind, numbered from 2 if that is taken."""
    taken = {name for name in given if name}
    names: list[str] = []
    for own, kind in zip(given, kinds, strict=True):
        name = own or kind
        number = 2
        while own is None and name in taken:
            name = f"{kind}-{number}"
            number += 1
        taken.add(name)
        names.append(name)
    return tuple(names)
