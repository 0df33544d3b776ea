"""Scenario models of expectations: what must hold for a run to pass."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from meshsim.scenario.bounds import CountBound, DurationBound, ShareBound
from meshsim.scenario.fields import Duration, Model, Name
from meshsim.scenario.metric_expectations import MetricExpectation


class Recovery(Model):
    """How soon after a fault ended requests succeed again."""

    after: Name
    """Fault."""
    within_ns: Duration = Field(alias="within", gt=0)
    """Time after the fault's end by which the success rate is back, and from which it stays."""
    success_rate: ShareBound
    """The rate, over every second from then on to the end of the run or the next fault."""
    slice: Name | None = None
    """Only requests of this slice. Default: all."""


class RecoveryExpectation(Model):
    """Recovery after a fault."""

    recovers: Recovery
    """Which fault, how soon, how well."""


class Convergence(Model):
    """How soon a change of configuration has reached every proxy."""

    after: Name
    """Change."""
    within_ns: Duration = Field(alias="within", gt=0)
    """Time after it by which every proxy that was up has it."""


class ConvergenceExpectation(Model):
    """Propagation of a change."""

    converges: Convergence
    """Which change, how soon."""


class Failure(Model):
    """How long after a fault began requests begin to fail, and when none succeeds any more."""

    after: Name
    """Fault."""
    first: DurationBound | None = None
    """From the fault's beginning to the first request that fails. Default: not bounded."""
    total: DurationBound | None = None
    """From the fault's beginning to the first request of those after which none succeeds while the fault lasts.
    Default: not bounded."""
    slice: Name | None = None
    """Only requests of this slice. Default: all."""
    service: Name | None = None
    """Only requests to this service. Default: all."""
    source: Name | None = None
    """Only requests of this flow. Default: all."""

    @model_validator(mode="after")
    def _bounds_something(self) -> Failure:
        if self.first is None and self.total is None:
            raise ValueError("nothing is expected of the failure; expected first, total or both")
        return self


class FailureExpectation(Model):
    """Failure after a fault."""

    fails: Failure
    """Which fault, how soon, when for good."""


class Revocations(Model):
    """How soon peers obey a revocation, and what is served in spite of it."""

    after: Name
    """Fault of the kind revoke."""
    obeyed: DurationBound | None = None
    """From the revocation until the last peer refuses the certificate in new handshakes. Default: not bounded."""
    last_served: DurationBound | None = None
    """From the revocation until the last call is handed over that rests on the certificate. Default: not bounded."""
    served: CountBound | None = None
    """Calls to and from the target that are handed over after the revocation and rest on its certificate. Default: not
    bounded."""
    accepted: CountBound | None = None
    """Handshakes that are established after the revocation and rest on the certificate. Default: not bounded."""

    @model_validator(mode="after")
    def _bounds_something(self) -> Revocations:
        if self.obeyed is None and self.last_served is None and self.served is None and self.accepted is None:
            raise ValueError("nothing is expected of it; expected obeyed, last_served, served or accepted")
        return self


class RevocationExpectation(Model):
    """Obedience to a revocation."""

    revokes: Revocations
    """Which fault, how soon, how much."""


Never = Literal[
    "plaintext-on-wire",
    "expired-certificate-accepted",
    "request-lost",
    "corrupted-payload-accepted",
    "wrongly-allowed",
    "wrongly-denied",
    "revoked-certificate-accepted",
]
"""What must not be once in a run."""


class NeverExpectation(Model):
    """Something that must not happen once."""

    never: Never
    """plaintext-on-wire: a call crossed the network unencrypted. expired-certificate-accepted: a handshake resumed a
    session after a certificate it rests on had ended; connections that stay open past that end make no handshake and do
    not count. request-lost: a request ended as reset or timeout. corrupted-payload-accepted: a message that was damaged
    on the way was taken as it came, in plaintext. wrongly-allowed, wrongly-denied: a proxy decided by policies that had
    been changed, or without an answer from its authorizer, and the newest policies decide so not.
    revoked-certificate-accepted: a handshake was established after a certificate it rests on had been revoked."""


def _expectation_kind(value: Any) -> str:
    if isinstance(value, dict):
        return next(
            (kind for kind in ("never", "recovers", "converges", "fails", "revokes") if kind in value), "metric"
        )
    if isinstance(value, NeverExpectation):
        return "never"
    if isinstance(value, FailureExpectation):
        return "fails"
    if isinstance(value, ConvergenceExpectation):
        return "converges"
    if isinstance(value, RevocationExpectation):
        return "revokes"
    return "recovers" if isinstance(value, RecoveryExpectation) else "metric"


Expectation = Annotated[
    Annotated[MetricExpectation, Tag("metric")]
    | Annotated[RecoveryExpectation, Tag("recovers")]
    | Annotated[ConvergenceExpectation, Tag("converges")]
    | Annotated[FailureExpectation, Tag("fails")]
    | Annotated[RevocationExpectation, Tag("revokes")]
    | Annotated[NeverExpectation, Tag("never")],
    Discriminator(_expectation_kind),
]
