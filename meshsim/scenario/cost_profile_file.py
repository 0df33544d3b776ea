"""The file format of a cost profile: reading it, and finding every mistake in it with its place.

``read_profile_file`` gives the validated content as plain frozen models and the places of their keys; what follows
from the figures (scaling, rounding) is the work of ``cost_profile``.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

import pydantic
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from meshsim.scenario.errors import Diagnostic, ScenarioError

LARGEST_FILE_BYTES = 1_000_000
"""A profile of eleven CPUs takes 30 kB; anything near this limit is no profile."""

Path = tuple[str | int, ...]
"""The keys and indices that lead to a value."""
Place = tuple[int, int]
"""Line and column, both from 1."""

Quantile = Literal["p25", "p50", "p75"]
Unit = Literal["op/s", "bit/s", "cycles", "cycles/byte"]
_Name = Annotated[str, pydantic.Field(min_length=1, max_length=100)]
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
    ciphers: dict[str, str]
    """TLS 1.3 cipher suite to its AEAD, which has a ``.seal`` and an ``.open`` operation."""
    stand_ins: dict[str, StandIn]
    """Primitive to the stand-in for every CPU that has no figure of its own."""
    cpus: dict[str, Cpu]
    """CPU name to its published figures."""


class Places:
    """Where the keys and values of a file stand, so that a mistake found later still has its line and column."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._places: dict[Path, Place] = {}

    def put(self, path: Path, node: Node) -> None:
        """Remember that the value (or key) at ``path`` stands where ``node`` does."""
        self._places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))

    def diagnostic(self, path: Path, message: str) -> Diagnostic:
        """A diagnostic at ``path``, or at its nearest ancestor that stands in the file."""
        while path and path not in self._places:
            path = path[:-1]
        line, column = self._places.get(path, (1, 1))
        return Diagnostic(self.file, line, column, message)


def read_profile_file(data: bytes, file: str) -> tuple[ProfileFile, Places]:
    """Parse and validate ``data``; ``file`` is its name in diagnostics.

    Raises ScenarioError with every mistake found.
    """
    places = Places(file)
    document = _Composer(places).document(_decode(data, file))
    try:
        return ProfileFile.model_validate(document), places
    except pydantic.ValidationError as error:
        raise ScenarioError([_explain(places, detail) for detail in error.errors()]) from None


def _explain(places: Places, detail: Any) -> Diagnostic:
    path: Path = tuple(part for part in detail["loc"] if part != "[key]")
    what = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        what = f"unknown key {path[-1]!r}; remove it or correct its name"
    elif detail["type"] == "missing":
        what = f"missing key {path[-1]!r}; add it"
    elif ";" not in what:
        what = f"{'.'.join(map(str, path))}: {str(detail['input'])[:60]!r} does not do; {what[:1].lower()}{what[1:]}"
    return places.diagnostic(path, what)


def _decode(data: bytes, file: str) -> str:
    if len(data) > LARGEST_FILE_BYTES:
        message = f"file of {len(data)} bytes; a cost profile takes at most {LARGEST_FILE_BYTES}"
        raise ScenarioError([Diagnostic(file, 0, 0, message)])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = "not UTF-8 text; save the file as UTF-8"
        raise ScenarioError(
            [Diagnostic(file, line, error.start - data.rfind(b"\n", 0, error.start), message)]
        ) from None


class _Composer:
    """Turns YAML nodes into plain values and notes their places; only what a profile needs."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._seen: set[int] = set()
        self._diagnostics: list[Diagnostic] = []

    def document(self, text: str) -> Any:
        """The plain value of ``text``; raises ScenarioError with every mistake of form."""
        file = self._places.file
        try:
            root = YAML(typ="safe", pure=True).compose(text)
            value = self._value(root, ()) if root is not None else None
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
            raise ScenarioError([Diagnostic(file, *place, f"not YAML: {error.problem}; see its grammar")]) from None
        except (YAMLError, ValueError) as error:
            raise ScenarioError([Diagnostic(file, 0, 0, f"not YAML: {str(error)[:100]}; see its grammar")]) from None
        except RecursionError:
            raise ScenarioError([Diagnostic(file, 0, 0, "nested too deeply; a cost profile has five levels")]) from None
        if not isinstance(value, dict):
            self._diagnostics.append(
                Diagnostic(file, 1, 1, "not a cost profile; expected a mapping with `cost_profile:`")
            )
        if self._diagnostics:
            raise ScenarioError(self._diagnostics)
        return value

    def _value(self, node: Node, path: Path) -> Any:
        self._places.put(path, node)
        if id(node) in self._seen:
            self._diagnostics.append(
                self._places.diagnostic(path, "alias; write the value out, aliases are not accepted")
            )
            return None
        self._seen.add(id(node))
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return tuple(self._value(item, (*path, index)) for index, item in enumerate(node.value))
        assert isinstance(node, ScalarNode)
        return self._scalar(node)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, item in node.value:
            inner = (*path, key.value if isinstance(key, ScalarNode) else "?")
            self._places.put(inner, key)
            if not isinstance(key, ScalarNode):
                self._diagnostics.append(self._places.diagnostic(inner, "a key must be plain text; write a name"))
            elif key.value in result:
                self._diagnostics.append(
                    Diagnostic(*self._at(key), f"key {key.value!r} is given twice; keep one of them")
                )
            else:
                result[key.value] = self._value(item, inner)
        return result

    def _at(self, node: Node) -> tuple[str, int, int]:
        return self._places.file, node.start_mark.line + 1, node.start_mark.column + 1

    def _scalar(self, node: ScalarNode) -> Any:
        kind = node.tag.rpartition(":")[2]
        if kind == "int" and node.value.isascii() and node.value.isdigit():
            return int(node.value)
        if kind == "float":
            try:
                return Decimal(node.value)
            except InvalidOperation:
                return node.value
        return None if kind == "null" else node.value
