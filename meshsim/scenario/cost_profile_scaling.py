"""Carrying measured costs from the reference CPU to every other, and finding what cannot be carried.

The cost of an operation on a CPU is its cost on the reference CPU times a ratio. A primitive's ratio comes from its own
published rate; where none is published, a stand-in that the file names takes its place. All arithmetic is in fractions
and is rounded half to even once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Literal, NamedTuple

from meshsim.scenario.cost_profile_file import ProfileFile, ProxyCosts, Rates, StandIn
from meshsim.scenario.cpu_costs import BLOCK_BYTES, BLOCK_PS, CpuCosts
from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.positions import Path, Positions
from meshsim.scenario.words import expected

_NS_PER_S = 1_000_000_000
_REQUIRED = ("record.seal", "record.open", "record.copy", "tcp.message")


class Scaled(NamedTuple):
    """The costs of every CPU in a profile file, the reference CPU first."""

    cpus: Mapping[str, CpuCosts]
    without_aes: Mapping[str, CpuCosts]
    """The same where AES is done in software; empty if the file does not say what that takes."""


def scale(content: ProfileFile, positions: Positions) -> Scaled:
    """Carry the costs of a profile file to each of its CPUs.

    Raises ScenarioError with every name that leads nowhere and every figure that is missing.
    """
    return _Scaling(content, positions).costs()


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """What a diagnostic says of a name that is not known."""
    return f"{kind} {name!r} is not known; {expected(name, list(known))}"


class _Scaling:
    """Carries the measured costs of one file to each of its CPUs, and finds what cannot be carried."""

    def __init__(self, content: ProfileFile, positions: Positions) -> None:
        self._content = content
        self._positions = positions
        self._diagnostics: list[Diagnostic] = []
        self._ratios: dict[tuple[str, str], Fraction] = {}
        self._reference = content.reference.cpu
        self._names = (self._reference, *content.cpus)
        self._primitives = (
            *content.operations,
            *(name for name in content.stand_ins if name not in content.operations),
        )

    def costs(self) -> Scaled:
        self._check_names()
        self._check_software()
        self._check_figures()
        for primitive in sorted(self._scaled()):
            for name in self._names:
                self._find_ratio(name, primitive)
        if self._diagnostics:
            raise ScenarioError(self._diagnostics)
        software = self._names if self._content.software_aes else ()
        return Scaled(
            MappingProxyType({name: self._cpu_costs(name) for name in self._names}),
            MappingProxyType({name: self._cpu_costs(name, software=True) for name in software}),
        )

    def _has_aes(self, cpu: str) -> bool:
        content = self._content
        return content.reference.aes_instructions if cpu == self._reference else content.cpus[cpu].aes_instructions

    def _scaled(self) -> set[str]:
        """Every primitive that something scales with."""
        content = self._content
        wanted = {operation.scales_with for operation in content.operations.values()}
        wanted |= {stand_in.via for stand_in in content.software_aes.values()}
        return wanted | {costs.scales_with for costs in content.policy.values()} | {content.proxy.scales_with}

    def _wrong(self, path: Path, message: str) -> None:
        self._diagnostics.append(self._positions.value(path).diagnostic(message))

    def _wrong_key(self, path: Path, message: str) -> None:
        self._diagnostics.append(self._positions.key(path).diagnostic(message))

    def _known(self, kind: str, name: str, known: Iterable[str], path: Path) -> None:
        """A mistake at ``path`` if what it names is not ``known``."""
        names = list(known)
        if name not in names:
            self._wrong(path, unknown_name(kind, name, names))

    def _check_names(self) -> None:
        content, operations, proxy = self._content, self._content.operations, self._content.proxy
        if self._reference in content.cpus:
            self._wrong_key(
                ("cpus", self._reference), f"{self._reference!r} is the reference CPU; expected others here"
            )
        for name in _REQUIRED:
            if name not in operations:
                self._wrong_key(("operations",), f"operation {name!r} is missing; expected its measurement here")
        for cipher, aead in content.ciphers.items():
            for direction in ("seal", "open"):
                self._known("operation", f"{aead}.{direction}", operations, ("ciphers", cipher))
        for name, operation in operations.items():
            self._known("primitive", operation.scales_with, self._primitives, ("operations", name, "scales_with"))
        for engine, costs in content.policy.items():
            self._known("primitive", costs.scales_with, self._primitives, ("policy", engine, "scales_with"))
        self._known("primitive", proxy.scales_with, self._primitives, ("proxy", "scales_with"))
        self._known("operation", proxy.measured, operations, ("proxy", "measured"))
        self._known("source", proxy.source, content.sources, ("proxy", "source"))
        self._known("CPU", proxy.cpu, self._names, ("proxy", "cpu"))

    def _check_software(self) -> None:
        for primitive, stand_in in self._content.software_aes.items():
            path: Path = ("software_aes", primitive)
            self._known("operation", primitive, self._content.operations, path)
            self._known("CPU", stand_in.cpu, self._names, (*path, "cpu"))
            self._known("primitive", stand_in.via, self._primitives, (*path, "via"))
            if stand_in.cpu in self._names and self._has_aes(stand_in.cpu):
                message = f"{stand_in.cpu!r} has AES instructions; expected a CPU that does AES in software"
                self._wrong((*path, "cpu"), message)
        covered = set(self._content.software_aes)
        for aead in self._content.ciphers.values() if covered else ():
            for name in (f"{aead}.seal", f"{aead}.open"):
                if aead.startswith("aes") and name not in covered:
                    self._wrong_key(("software_aes",), f"{name!r} is missing; expected its stand-in here")

    def _check_figures(self) -> None:
        self._check_stand_ins(("stand_ins",), self._content.stand_ins)
        for name, cpu in self._content.cpus.items():
            self._check_stand_ins(("cpus", name, "stand_ins"), cpu.stand_ins)
            given = set(cpu.stand_ins)
            for index, rates in enumerate(cpu.rates):
                self._known("source", rates.source, self._content.sources, ("cpus", name, "rates", index, "source"))
                for primitive in rates.values:
                    self._check_rate(("cpus", name, "rates", index, "values", primitive), primitive, given)
                given.update(rates.values)

    def _check_stand_ins(self, path: Path, stand_ins: Mapping[str, StandIn]) -> None:
        wanted = self._scaled()
        for primitive, stand_in in stand_ins.items():
            if primitive not in wanted:
                message = f"nothing scales with {primitive!r}; {expected(primitive, sorted(wanted))}"
                self._wrong_key((*path, primitive), message)
            self._known("CPU", stand_in.cpu, self._names, (*path, primitive, "cpu"))
            self._known("primitive", stand_in.via, self._primitives, (*path, primitive, "via"))

    def _check_rate(self, path: Path, primitive: str, given: set[str]) -> None:
        operation = self._content.operations.get(primitive)
        if operation is None:
            self._wrong_key(path, unknown_name("operation", primitive, self._content.operations))
        elif operation.scales_with != primitive:
            message = f"{primitive!r} scales with {operation.scales_with!r}; expected rates of primitives alone"
            self._wrong_key(path, message)
        elif primitive in given:
            self._wrong_key(path, f"{primitive!r} is given twice for this CPU; expected one figure or stand-in")

    def _find_ratio(self, cpu: str, primitive: str, via: tuple[str, ...] = ()) -> Fraction | None:
        """Cost on ``cpu`` over cost on the reference CPU; None, and a diagnostic, if nothing gives it."""
        if primitive not in self._primitives or cpu not in self._names:
            return None  # reported where the name stands
        if cpu == self._reference:
            return Fraction(1)
        key = (cpu, primitive)
        step = f"{primitive} on {cpu}"
        if key not in self._ratios:
            if step in via:
                circle = " -> ".join((*via[via.index(step) :], step))
                self._wrong_key(("cpus", cpu), f"stand-ins go round in a circle ({circle}); expected a figure for one")
                return None
            ratio = self._published_ratio(cpu, primitive) or self._stand_in_ratio(cpu, primitive, (*via, step))
            if ratio is None:
                return None
            self._ratios[key] = ratio
        return self._ratios[key]

    def _published_ratio(self, cpu: str, primitive: str) -> Fraction | None:
        entry, operation = self._content.cpus[cpu], self._content.operations.get(primitive)
        for rates in entry.rates:
            if operation is not None and primitive in rates.values:
                return _published_ns(rates, primitive, entry.clock_mhz) / operation.at(self._content.charge)
        return None

    def _stand_in_ratio(self, cpu: str, primitive: str, via: tuple[str, ...]) -> Fraction | None:
        entry = self._content.cpus[cpu]
        stand_in = entry.stand_ins.get(primitive) or self._content.stand_ins.get(primitive)
        if stand_in is None:
            message = f"CPU {cpu!r} has no figure for {primitive!r}; expected a published rate or a stand-in"
            self._wrong_key(("cpus", cpu), message)
            return None
        theirs = self._find_ratio(stand_in.cpu, primitive, via)
        ours_via = self._find_ratio(cpu, stand_in.via, via)
        theirs_via = self._find_ratio(stand_in.cpu, stand_in.via, via)
        if theirs is None or ours_via is None or theirs_via is None:
            return None
        return theirs * ours_via / theirs_via

    def _cpu_costs(self, cpu: str, *, software: bool = False) -> CpuCosts:
        content = self._content
        software = software and self._has_aes(cpu)
        exact = {name: self._exact(cpu, name) for name in content.operations}
        if software:
            exact |= {name: self._software(cpu, name) for name in content.software_aes}
        records = {cipher: self._block_ps(exact, aead) for cipher, aead in content.ciphers.items()}
        half_proxy = self._proxy_ns(cpu) / 2
        half_ztunnel = self._proxy_ns(cpu, "ztunnel") / 2
        quarter_waypoint = self._proxy_ns(cpu, "waypoint") / 4
        policy = {
            engine: tuple(
                (point.policies, self._scale(cpu, costs.scales_with, point.at(content.charge)))
                for point in costs.decisions
            )
            for engine, costs in content.policy.items()
        }
        entry = content.cpus.get(cpu)
        return CpuCosts(
            name=f"{cpu} without AES instructions" if software else cpu,
            aes_instructions=self._has_aes(cpu) and not software,
            description=entry.description if entry is not None else content.reference.description,
            operations=MappingProxyType({name: round(cost) for name, cost in exact.items()}),
            tcp_message_ns=round(exact["tcp.message"]),
            proxy_request_ns=round(half_proxy),
            proxy_response_ns=round(half_proxy),
            ztunnel_message_ns=round(half_ztunnel),
            waypoint_message_ns=round(quarter_waypoint),
            record_fixed_ns=round(self._record_fixed(exact)),
            record_block_ps=MappingProxyType(records),
            policy_points=MappingProxyType(policy),
        )

    def _exact(self, cpu: str, name: str) -> Fraction:
        operation = self._content.operations[name]
        return operation.at(self._content.charge) * self._ratio(cpu, operation.scales_with)

    def _software(self, cpu: str, name: str) -> Fraction:
        """Cost of an AEAD operation without AES instructions: that of a CPU that has none, by another primitive."""
        stand_in = self._content.software_aes[name]
        between_cpus = self._ratio(cpu, stand_in.via) / self._ratio(stand_in.cpu, stand_in.via)
        return self._exact(stand_in.cpu, name) * between_cpus

    def _ratio(self, cpu: str, primitive: str) -> Fraction:
        return Fraction(1) if cpu == self._reference else self._ratios[cpu, primitive]

    def _scale(self, cpu: str, primitive: str, cost_ns: int) -> int:
        return round(cost_ns * self._ratio(cpu, primitive))

    @staticmethod
    def _record_fixed(exact: Mapping[str, Fraction]) -> Fraction:
        return (exact["record.seal"] + exact["record.open"]) / 2

    @staticmethod
    def _block_ps(exact: Mapping[str, Fraction], aead: str) -> int:
        return round(1_000 * ((exact[f"{aead}.seal"] + exact[f"{aead}.open"]) / 2 + exact["record.copy"]))

    def _proxy_ns(self, cpu: str, kind: Literal["waypoint", "ztunnel"] | None = None) -> Fraction:
        """Proxy work (ns) on ``cpu`` for a request and its response, apart from what is charged for itself.

        ``kind``: of a proxy that is no sidecar.
        """
        proxy = self._content.proxy
        other = None if kind is None else self._content.other_proxies.get(kind)
        if proxy.charge == "measured":
            return self._exact(cpu, proxy.measured)
        if other is not None:
            proxy = proxy.model_copy(update=other.model_dump())
        rest = max(Fraction(0), proxy.published_ns - self._charged_apart(proxy))
        return rest * self._ratio(cpu, proxy.scales_with) / self._ratio(proxy.cpu, proxy.scales_with)

    def _charged_apart(self, proxy: ProxyCosts) -> Fraction:
        exact = {name: self._exact(proxy.cpu, name) for name in self._content.operations}
        aead = next(iter(self._content.ciphers.values()))
        per_byte = Fraction(self._block_ps(exact, aead), BLOCK_PS)
        record = self._record_fixed(exact) + proxy.less_record_bytes * per_byte
        return proxy.less_records * record + proxy.less_tcp_messages * exact["tcp.message"]


def _published_ns(rates: Rates, primitive: str, clock_mhz: int) -> Fraction:
    figure = Fraction(rates.values[primitive])
    if rates.unit == "op/s":
        return _NS_PER_S / figure
    if rates.unit == "bit/s":
        return 8 * BLOCK_BYTES * _NS_PER_S / figure
    cycles = figure if rates.unit == "cycles" else figure * BLOCK_BYTES
    return cycles * 1_000 / clock_mhz
