"""Scenario models of changes: policies and TLS settings that are others from some instant on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from meshsim.scenario.fields import Duration, FromList, Model, Name
from meshsim.scenario.tls import TlsOverride


class PolicyChange(Model):
    """Policies that take the place of those before, for the same engine."""

    files: Annotated[tuple[str, ...], FromList, Field(min_length=1)]
    """Policy files, beside the scenario file."""
    default: Literal["deny", "allow"] | None = None
    """What holds when no policy matches. Default: as before."""


class Change(Model):
    """One change of configuration: the control plane has it at an instant, sidecars when it has reached them."""

    name: Name | None = None
    """Name in tables and expectations. Default: change, numbered from 2 if there are more."""
    at_ns: Duration = Field(alias="at")
    """When the control plane has it."""
    policy: PolicyChange | None = None
    """Other policies. Default: as before."""
    tls: TlsOverride | None = None
    """Other TLS settings of the whole mesh, where a service or fleet has none of its own. Default: as before."""
    workloads: dict[Name, TlsOverride] = {}
    """Other TLS settings of single services and fleets, in place of those that they had of their own."""

    @model_validator(mode="after")
    def _changes_something(self) -> Change:
        if self.policy is None and self.tls is None and not self.workloads:
            raise ValueError("nothing is changed; expected policy, tls or workloads")
        return self
