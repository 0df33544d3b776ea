"""The file format of a cost profile: reading it, and finding every mistake in it with its place.

``read_profile_file`` gives the validated content as plain frozen models and the places of their keys; what follows
from the figures (scaling, rounding) is the work of ``cost_profile``.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, get_args, get_origin

import pydantic
from pydantic_core import ErrorDetails

from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.positions import Path, Positions
from meshsim.scenario.reading import bad_byte_message, decode
from meshsim.scenario.words import expected, shorten, show
from meshsim.scenario.yaml_text import parse_yaml

Quantile = Literal["p25", "p50", "p75"]
Unit = Literal["op/s", "bit/s", "cycles", "cycles/byte"]
LONGEST_NAME = 100
_Name = Annotated[str, pydantic.Field(min_length=1, max_length=LONGEST_NAME)]
_PositiveNs = Annotated[int, pydantic.Field(gt=0, le=10**12)]
_Rate = Annotated[Decimal, pydantic.Field(gt=0, le=10**15)]


class _Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class Measurement(_Model):
    """CPU time of one operation on the reference CPU, at three quantiles."""

    p25_ns: _PositiveNs
    """Lower quartile (ns)."""
    p50_ns: _PositiveNs
    """Median (ns)."""
    p75_ns: _PositiveNs
    """Upper quartile (ns)."""
    samples: Annotated[int, pydantic.Field(gt=0)]
    """How many times it was measured."""
    method: _Name
    """What was timed, and what was taken off."""

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> Measurement:
        if not self.p25_ns <= self.p50_ns <= self.p75_ns:
            raise ValueError("quantiles out of order; expected p25_ns <= p50_ns <= p75_ns")
        return self

    def at(self, quantile: Quantile) -> int:
        """The measured time (ns) at ``quantile``."""
        return {"p25": self.p25_ns, "p50": self.p50_ns, "p75": self.p75_ns}[quantile]


class Operation(Measurement):
    """A measured operation, and the primitive whose ratio carries it to other CPUs."""

    scales_with: _Name
    """The primitive (an operation with published rates) or stand-in whose ratio between CPUs is used."""


class PolicyPoint(Measurement):
    """The cost of one decision with one number of policies."""

    policies: Annotated[int, pydantic.Field(ge=1)]
    """Number of policies in the set."""


class PolicyEngineCosts(_Model):
    """What one policy engine takes for a decision, at several sizes of its policy set."""

    scales_with: _Name
    """The ratio between CPUs that is used."""
    decisions: Annotated[tuple[PolicyPoint, ...], pydantic.Field(min_length=1)]
    """Measured points; between them the cost is interpolated, beyond the last it is extended."""

    @pydantic.field_validator("decisions")
    @classmethod
    def _growing(cls, points: tuple[PolicyPoint, ...]) -> tuple[PolicyPoint, ...]:
        counts = [point.policies for point in points]
        if counts != sorted(set(counts)):
            raise ValueError(f"policies are {counts}; expected growing numbers")
        return points


class ReferenceCpu(_Model):
    """The CPU on which the operations were measured."""

    cpu: _Name
    """Its name in scenarios."""
    description: _Name
    """What it is."""
    aes_instructions: bool = True
    """Whether it was measured with AES instructions. Default true."""
    measured_with: dict[str, str]
    """Versions of the libraries that were measured."""
    command: _Name
    """The command that measured them."""


class ProxyCosts(_Model):
    """HTTP proxy work for one request and its response, handshakes and policy not included."""

    charge: Literal["published", "measured"]
    """Which of the two figures is charged."""
    source: _Name
    """Source of the published figure."""
    published_ns: _PositiveNs
    """CPU time (ns) of one sidecar for one request and its response, everything included."""
    cpu: _Name
    """The CPU that the published figure is taken to hold for."""
    less_records: Annotated[int, pydantic.Field(ge=0, le=100)]
    """TLS records in the published figure that are charged apart."""
    less_record_bytes: Annotated[int, pydantic.Field(ge=0, le=16_384)]
    """Their size (bytes)."""
    less_tcp_messages: Annotated[int, pydantic.Field(ge=0, le=100)]
    """TCP messages in the published figure that are charged apart."""
    measured: _Name
    """The measured operation charged instead when ``charge`` is ``measured``."""
    scales_with: _Name
    """The ratio between CPUs that is used."""


class OtherProxyCosts(_Model):
    """Work of another kind of proxy for one request and its response; what is not said is as of a sidecar."""

    published_ns: _PositiveNs
    """CPU time (ns) of one proxy for one request and its response, everything included."""
    less_records: Annotated[int, pydantic.Field(ge=0, le=100)]
    """TLS records in it that are charged apart."""
    less_tcp_messages: Annotated[int, pydantic.Field(ge=0, le=100)]
    """TCP messages in it that are charged apart."""


class StandIn(_Model):
    """Where a missing figure comes from: the ratio of ``cpu``, carried over by the ratio of another primitive."""

    cpu: _Name
    """The CPU whose figure is used."""
    via: _Name
    """The primitive that relates that CPU to this one."""
    why: str = ""
    """Why this stand-in; default empty."""


class Rates(_Model):
    """Published figures of one source for one CPU."""

    source: _Name
    """A key of ``sources``."""
    library: _Name
    """Library and version that was measured."""
    unit: Unit
    """op/s; bit/s or cycles/byte of a long message; cycles per operation."""
    note: str = ""
    """What to know about the figures; default empty."""
    values: dict[str, _Rate]
    """Primitive to figure."""


class Cpu(_Model):
    """One CPU that scenarios may name."""

    description: _Name
    """What it is."""
    clock_mhz: Annotated[int, pydantic.Field(gt=0, le=20_000)]
    """Clock (MHz) by which cycles become time."""
    aes_instructions: bool = True
    """Whether its figures for AES are those of AES instructions. Default true."""
    note: str = ""
    """What to know about its figures; default empty."""
    rates: tuple[Rates, ...]
    """Published figures."""
    stand_ins: dict[str, StandIn] = pydantic.Field(default_factory=dict)
    """Primitive to stand-in, where nothing is published; default none."""


class ProfileFile(_Model):
    """A whole cost profile file."""

    cost_profile: _Name
    """Name of the profile."""
    schema_version: Literal[1]
    """Version of this format."""
    reference: ReferenceCpu
    """The CPU that was measured."""
    charge: Quantile
    """The quantile of the measurements that is charged."""
    operations: dict[str, Operation]
    """Operation to its measured cost."""
    policy: dict[str, PolicyEngineCosts]
    """Policy engine to its cost."""
    checks: dict[str, Measurement]
    """Whole handshakes on the reference CPU, to check sums of operations by; not charged."""
    sources: dict[str, str]
    """Source to what it is and its licence."""
    proxy: ProxyCosts
    """HTTP proxy work."""
    other_proxies: dict[Literal["waypoint", "ztunnel"], OtherProxyCosts] = pydantic.Field(default_factory=dict)
    """Proxies of Istio's ambient mode; default none, so that each works as a sidecar does."""
    software_aes: dict[str, StandIn] = pydantic.Field(default_factory=dict)
    """AEAD operation to the stand-in that takes its place where AES instructions are not used; default none."""
    ciphers: dict[str, str]
    """TLS 1.3 cipher suite to its AEAD, which has a ``.seal`` and an ``.open`` operation."""
    stand_ins: dict[str, StandIn]
    """Primitive to the stand-in for every CPU that has no figure of its own."""
    cpus: dict[str, Cpu]
    """CPU name to its published figures."""


def read_profile_file(data: bytes, file: str) -> tuple[ProfileFile, Positions]:
    """Parse and validate ``data``; ``file`` is its name in diagnostics.

    Raises ScenarioError with every mistake found.
    """
    text, bad = decode(data, file)
    if bad is not None:
        raise ScenarioError([bad.diagnostic(bad_byte_message(data))])
    document, positions = parse_yaml(text, file)
    if not isinstance(document, dict):
        message = f"{show(document)} is no cost profile; expected a mapping with the key 'cost_profile'"
        raise ScenarioError([positions.value(()).diagnostic(message)])
    try:
        return ProfileFile.model_validate(document), positions
    except pydantic.ValidationError as error:
        raise ScenarioError([_explain(detail, positions) for detail in error.errors(include_url=False)]) from None


def _explain(detail: ErrorDetails, positions: Positions) -> Diagnostic:
    path = tuple(part for part in detail["loc"] if part != "[key]")
    if detail["type"] == "extra_forbidden":
        return positions.key(path).diagnostic(f"unknown key {path[-1]!r}; {expected(path[-1], _known_keys(path[:-1]))}")
    if detail["type"] == "missing":
        return positions.key(path).diagnostic(f"{path[-1]!r} is missing; expected it here")
    if detail["type"] == "value_error":
        return positions.value(path).diagnostic(str(detail["ctx"]["error"]))
    what = shorten(detail["msg"][:1].lower() + detail["msg"][1:], 100)
    return positions.value(path).diagnostic(f"{path[-1]!r} is {show(detail['input'])}; {what}")


def _known_keys(path: Path) -> list[str]:
    """The keys that the model at ``path`` has."""
    model: Any = ProfileFile
    for part in path:
        if isinstance(model, type) and issubclass(model, _Model):
            model = model.model_fields[str(part)].annotation
        else:
            # dict[str, X] and tuple[X, ...]: what stands inside is X, however it is found.
            arguments = get_args(model)
            model = arguments[1] if get_origin(model) is dict else arguments[0]
    return list(model.model_fields)
