"""Scenario models of expectations: what must hold for a run to pass."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from meshsim.scenario.fields import Duration, Model, Name, Rate, Share


class _Bound(Model):
    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        most, least = getattr(self, "at_most", None), getattr(self, "at_least", None)
        if most is None and least is None:
            raise ValueError("there is no bound; expected at_most, at_least or both")
        if most is not None and least is not None and least > most:
            raise ValueError("at_least is more than at_most; expected it not to be")
        return self


class DurationBound(_Bound):
    """Bounds on a duration."""

    at_most: Duration | None = None
    """Upper bound, itself allowed."""
    at_least: Duration | None = None
    """Lower bound, itself allowed."""


class ShareBound(_Bound):
    """Bounds on a share."""

    at_most: Share | None = None
    """Upper bound, itself allowed."""
    at_least: Share | None = None
    """Lower bound, itself allowed."""


class RateBound(_Bound):
    """Bounds on a rate."""

    at_most: Rate | None = None
    """Upper bound, itself allowed."""
    at_least: Rate | None = None
    """Lower bound, itself allowed."""


class CountBound(_Bound):
    """Bounds on a number."""

    at_most: Annotated[int, Field(ge=0)] | None = None
    """Upper bound, itself allowed."""
    at_least: Annotated[int, Field(ge=0)] | None = None
    """Lower bound, itself allowed."""


class MetricExpectation(Model):
    """Bounds on metrics of the requests that match all of its filters."""

    slice: Name | None = None
    """Only requests of this slice. Default: all."""
    service: Name | None = None
    """Only requests to this service. Default: all."""
    source: Name | None = None
    """Only requests of this flow. Default: all."""
    during: Name | None = None
    """Only requests meant to be sent in this phase, or while this fault lasts. Default: the whole run."""
    latency_mean: DurationBound | None = None
    """Mean latency of answered requests (outcome ok)."""
    latency_p50: DurationBound | None = None
    """Median latency of answered requests."""
    latency_p95: DurationBound | None = None
    """95th percentile of the latency of answered requests."""
    latency_p99: DurationBound | None = None
    """99th percentile of the latency of answered requests."""
    latency_p999: DurationBound | None = None
    """99.9th percentile of the latency of answered requests."""
    latency_max: DurationBound | None = None
    """Largest latency of answered requests."""
    success_rate: ShareBound | None = None
    """Answered requests over all requests."""
    within_budget: ShareBound | None = None
    """Requests answered within their slice's budget over all requests."""
    denied: CountBound | None = None
    """Requests denied by policy."""
    timeouts: CountBound | None = None
    """Requests that timed out."""
    failures: CountBound | None = None
    """Requests with any outcome but ok."""
    not_admitted: CountBound | None = None
    """Requests of devices whose flow's bit rate the cell had refused to guarantee."""
    requests: CountBound | None = None
    """Requests."""
    requests_per_s: RateBound | None = None
    """Requests per second of the phase or run."""
    retries: CountBound | None = None
    """Attempts after the first, of the clients' sidecars."""
    handshakes: CountBound | None = None
    """TLS handshakes established."""
    handshakes_full: CountBound | None = None
    """TLS handshakes established without a ticket."""
    handshakes_resumed: CountBound | None = None
    """TLS handshakes established with a ticket."""
    handshakes_refused: CountBound | None = None
    """TLS handshakes refused."""
    handshake_p50: DurationBound | None = None
    """Median time of established handshakes, TCP set-up not counted."""
    handshake_p99: DurationBound | None = None
    """99th percentile of the time of established handshakes."""
    radio_within_budget: ShareBound | None = None
    """Packets that kept the radio part of their delay budget over all packets sent by radio, handshakes' too."""
    packet_error_rate: ShareBound | None = None
    """Packets that count as lost on the air over those within burst volume and guaranteed bit rate."""

    @model_validator(mode="after")
    def _has_metrics(self) -> MetricExpectation:
        if not self.metrics():
            raise ValueError("no metric is expected; expected one or more, such as latency_p99 or success_rate")
        filters = [key for key in ("service", "source") if getattr(self, key) is not None]
        of_radio = [name for name in RADIO_METRIC_NAMES if getattr(self, name) is not None]
        if filters and of_radio:
            raise ValueError(f"{of_radio[0]} counts the packets of slices; expected no {' and no '.join(filters)}")
        return self

    def metrics(self) -> dict[str, DurationBound | ShareBound | RateBound | CountBound]:
        """The metrics that are bounded, by name."""
        return {name: getattr(self, name) for name in METRIC_NAMES if getattr(self, name) is not None}


METRIC_NAMES = tuple(
    name for name in MetricExpectation.model_fields if name not in ("slice", "service", "source", "during")
)
"""Metrics that an expectation can bound; ``analysis/metrics.py`` computes each."""


RADIO_METRIC_NAMES = ("radio_within_budget", "packet_error_rate")
"""Those that count packets on the air, which belong to a slice and to no service or flow."""


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


class NeverExpectation(Model):
    """Something that must not happen once."""

    never: Literal["plaintext-on-wire", "expired-certificate-accepted", "request-lost", "corrupted-payload-accepted"]
    """plaintext-on-wire: a call crossed the network unencrypted. expired-certificate-accepted: a session outlived a
    certificate it rests on. request-lost: a request ended as reset or timeout.
    corrupted-payload-accepted: a message that was damaged on the way was taken as it came, in plaintext."""


def _expectation_kind(value: Any) -> str:
    if isinstance(value, dict):
        return next((kind for kind in ("never", "recovers") if kind in value), "metric")
    if isinstance(value, NeverExpectation):
        return "never"
    return "recovers" if isinstance(value, RecoveryExpectation) else "metric"


Expectation = Annotated[
    Annotated[MetricExpectation, Tag("metric")]
    | Annotated[RecoveryExpectation, Tag("recovers")]
    | Annotated[NeverExpectation, Tag("never")],
    Discriminator(_expectation_kind),
]
