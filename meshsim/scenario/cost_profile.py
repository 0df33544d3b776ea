"""What each operation costs on each CPU: the charged side of the first law, read from one file.

The cost of an operation on a CPU is its cost measured on the reference CPU times a ratio between the two CPUs. Every
primitive has its own ratio, from published operation rates; work that is no primitive (protocol, proxy, policy) follows
a named stand-in. All arithmetic is exact (fractions) and is rounded half to even once, at load, so that a profile gives
the same nanoseconds on every machine.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import msgspec

from meshsim.scenario.cost_profile_file import Places, ProfileFile, ProxyCosts, Rates, StandIn, read_profile_file
from meshsim.scenario.errors import Diagnostic, ScenarioError

DEFAULT_PROFILE = "default"
"""The name under which a scenario asks for the shipped profile."""
SHIPPED_PROFILE = Path(__file__).parent / "data" / "cost-profile-2026.yaml"
"""The shipped profile's file."""

BLOCK_BYTES = 16_000
"""Size of the message behind ``<aead>.seal``, ``<aead>.open`` and ``record.copy``; the published block size."""
RECORD_BYTES = 16_384
"""Most plaintext in one TLS record (RFC 8446, 5.1)."""

_BLOCK_PS = 1_000 * BLOCK_BYTES
_NS_PER_S = 1_000_000_000
_REQUIRED = ("record.seal", "record.open", "record.copy", "tcp.message")


class CpuCosts(msgspec.Struct, frozen=True):
    """The costs of one CPU, in nanoseconds of one core."""

    name: str
    """The CPU's name in scenarios."""
    description: str
    """What it is."""
    operations: Mapping[str, int]
    """Every operation of the profile to its cost (ns)."""
    tcp_message_ns: int
    """Sending or receiving one short message through the kernel's TCP (ns)."""
    proxy_request_ns: int
    """HTTP proxy work of one sidecar for one request, records and TCP messages not included (ns)."""
    proxy_response_ns: int
    """The same for a response (ns)."""
    record_fixed_ns: int
    """Sealing or opening one TLS record, apart from its bytes (ns)."""
    record_block_ps: Mapping[str, int]
    """Cipher suite to sealing or opening ``BLOCK_BYTES`` bytes (ps)."""
    policy_points: Mapping[str, tuple[tuple[int, int], ...]]
    """Policy engine to its measured points (number of policies, ns of one decision)."""

    def operation_ns(self, name: str) -> int:
        """Cost (ns) of the operation ``name``; raises KeyError if the profile does not price it."""
        return self.operations[name]

    def record_ns(self, cipher: str, size_bytes: int) -> int:
        """CPU time (ns) to seal, or to open, ``size_bytes`` of application data with a TLS 1.3 cipher suite.

        A fixed part for each record of up to 16 384 bytes (at least one), and a part for each byte. Raises KeyError
        for a cipher suite that the profile does not price.
        """
        assert size_bytes >= 0, size_bytes
        records = max(1, -(-size_bytes // RECORD_BYTES))
        return records * self.record_fixed_ns + _divide(size_bytes * self.record_block_ps[cipher], _BLOCK_PS)

    def policy_decision_ns(self, engine: str, policies: int) -> int:
        """CPU time (ns) of one decision of ``engine`` with ``policies`` policies loaded.

        Linear between measured points, constant below the first and along the last slope beyond them. Raises KeyError
        for an engine that the profile does not price.
        """
        assert policies >= 0, policies
        points = self.policy_points[engine]
        first_count, first_ns = points[0]
        if policies <= first_count or len(points) == 1:
            return first_ns
        index = next((i for i, (count, _) in enumerate(points) if policies <= count), len(points) - 1)
        (low_count, low_ns), (high_count, high_ns) = points[index - 1], points[index]
        return low_ns + _divide((policies - low_count) * (high_ns - low_ns), high_count - low_count)


class CostProfile(msgspec.Struct, frozen=True):
    """A cost profile: a name, a digest, and the costs of every CPU in it."""

    name: str
    """The profile's own name."""
    sha256: str
    """SHA-256 of the file's bytes, in hexadecimal."""
    reference_cpu: str
    """The CPU on which the operations were measured."""
    checks: Mapping[str, int]
    """Whole handshakes measured on the reference CPU (ns), to check sums of operations by; not charged."""
    cpus: Mapping[str, CpuCosts]
    """CPU name to its costs, the reference CPU first, then in the file's order."""

    def cpu(self, name: str) -> CpuCosts:
        """The costs of the CPU ``name``; raises KeyError, with the nearest names, if the profile does not have it."""
        try:
            return self.cpus[name]
        except KeyError:
            raise KeyError(unknown_name("CPU", name, self.cpus)) from None


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """One line for a name that is not known: what is wrong; and the nearest names, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(names)}"
    return f"{kind} {name!r} is not known; {hint}"


def load_cost_profile(path_or_name: str | Path = DEFAULT_PROFILE) -> CostProfile:
    """Load the shipped profile (``"default"``, or by its own name) or a profile file.

    Raises ScenarioError with every mistake in the file, or if it cannot be read.
    """
    shipped = str(path_or_name) in (DEFAULT_PROFILE, SHIPPED_PROFILE.stem)
    path = SHIPPED_PROFILE if shipped else Path(path_or_name)
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or "cannot be read"
        message = f"cost profile: {reason.lower()}; expected 'default' or the path of a cost profile file"
        raise ScenarioError([Diagnostic(str(path), 0, 0, message)]) from None
    return parse_cost_profile(data, path.name if shipped else str(path))


@functools.lru_cache(maxsize=8)
def parse_cost_profile(data: bytes, file: str) -> CostProfile:
    """The cost profile in ``data``; ``file`` names it in diagnostics. Raises ScenarioError with every mistake."""
    content, places = read_profile_file(data, file)
    return CostProfile(
        name=content.cost_profile,
        sha256=hashlib.sha256(data).hexdigest(),
        reference_cpu=content.reference.cpu,
        checks=MappingProxyType({name: check.at(content.charge) for name, check in content.checks.items()}),
        cpus=_Scaling(content, places).costs(),
    )


class _Scaling:
    """Carries the measured costs of one file to each of its CPUs, and finds what cannot be carried."""

    def __init__(self, content: ProfileFile, places: Places) -> None:
        self._content = content
        self._places = places
        self._diagnostics: list[Diagnostic] = []
        self._ratios: dict[tuple[str, str], Fraction] = {}
        self._reference = content.reference.cpu

    def costs(self) -> Mapping[str, CpuCosts]:
        self._check_references()
        names = [self._reference, *self._content.cpus]
        for primitive, place in self._scaled().items():
            for name in names:
                self._find_ratio(name, primitive, place, ())
        if self._diagnostics:
            raise ScenarioError(self._diagnostics)
        return MappingProxyType({name: self._cpu_costs(name) for name in names})

    def _scaled(self) -> dict[str, tuple[str | int, ...]]:
        """Every primitive that something scales with, and where that is asked for."""
        wanted: dict[str, tuple[str | int, ...]] = {}
        for name, operation in self._content.operations.items():
            wanted.setdefault(operation.scales_with, ("operations", name, "scales_with"))
        for engine, costs in self._content.policy.items():
            wanted.setdefault(costs.scales_with, ("policy", engine, "scales_with"))
        wanted.setdefault(self._content.proxy.scales_with, ("proxy", "scales_with"))
        return wanted

    def _wrong(self, path: tuple[str | int, ...], message: str) -> None:
        self._diagnostics.append(self._places.diagnostic(path, message))

    def _check_references(self) -> None:
        content, operations = self._content, self._content.operations
        cpus = [self._reference, *content.cpus]
        if self._reference in content.cpus:
            self._wrong(("cpus", self._reference), f"CPU {self._reference!r} is the reference; remove it from `cpus`")
        for name in _REQUIRED:
            if name not in operations:
                self._wrong(("operations",), f"missing operation {name!r}; add its measurement")
        for cipher, aead in content.ciphers.items():
            for name in (f"{aead}.seal", f"{aead}.open"):
                if name not in operations:
                    self._wrong(("ciphers", cipher), unknown_name("operation", name, operations))
        if content.proxy.measured not in operations:
            self._wrong(("proxy", "measured"), unknown_name("operation", content.proxy.measured, operations))
        if content.proxy.source not in content.sources:
            self._wrong(("proxy", "source"), unknown_name("source", content.proxy.source, content.sources))
        if content.proxy.cpu not in cpus:
            self._wrong(("proxy", "cpu"), unknown_name("CPU", content.proxy.cpu, cpus))
        self._check_stand_ins(("stand_ins",), content.stand_ins, cpus)
        for name, cpu in content.cpus.items():
            self._check_stand_ins(("cpus", name, "stand_ins"), cpu.stand_ins, cpus)
            published: set[str] = set(cpu.stand_ins)
            for index, rates in enumerate(cpu.rates):
                self._check_rates(("cpus", name, "rates", index), rates, published)

    def _check_stand_ins(self, path: tuple[str | int, ...], stand_ins: Mapping[str, StandIn], cpus: list[str]) -> None:
        for primitive, stand_in in stand_ins.items():
            if stand_in.cpu not in cpus:
                self._wrong((*path, primitive, "cpu"), unknown_name("CPU", stand_in.cpu, cpus))

    def _check_rates(self, path: tuple[str | int, ...], rates: Rates, published: set[str]) -> None:
        if rates.source not in self._content.sources:
            self._wrong((*path, "source"), unknown_name("source", rates.source, self._content.sources))
        for primitive in rates.values:
            operation = self._content.operations.get(primitive)
            if operation is None:
                self._wrong(
                    (*path, "values", primitive), unknown_name("operation", primitive, self._content.operations)
                )
            elif operation.scales_with != primitive:
                message = f"{primitive!r} scales with {operation.scales_with!r}; only a primitive has rates of its own"
                self._wrong((*path, "values", primitive), message)
            elif primitive in published:
                self._wrong((*path, "values", primitive), f"{primitive!r} is given twice for this CPU; keep one figure")
            published.add(primitive)

    def _find_ratio(
        self, cpu: str, primitive: str, place: tuple[str | int, ...], via: tuple[str, ...]
    ) -> Fraction | None:
        """Cost on ``cpu`` over cost on the reference CPU; None, and a diagnostic, if nothing gives it."""
        if cpu == self._reference:
            if primitive not in self._content.operations and primitive not in self._content.stand_ins:
                known = [*self._content.operations, *self._content.stand_ins]
                self._wrong(place, unknown_name("primitive", primitive, known))
                return None
            return Fraction(1)
        key = (cpu, primitive)
        if key in self._ratios:
            return self._ratios[key]
        step = f"{primitive} on {cpu}"
        if step in via:
            self._wrong(place, f"stand-ins go round in a circle ({' -> '.join((*via, step))}); break it with a figure")
            return None
        ratio = self._published_ratio(cpu, primitive)
        if ratio is None:
            ratio = self._stand_in_ratio(cpu, primitive, place, (*via, step))
        if ratio is not None:
            self._ratios[key] = ratio
        return ratio

    def _published_ratio(self, cpu: str, primitive: str) -> Fraction | None:
        entry, operation = self._content.cpus.get(cpu), self._content.operations.get(primitive)
        if entry is None or operation is None:
            return None
        for rates in entry.rates:
            if primitive in rates.values:
                cost_ns = _published_ns(rates, primitive, entry.clock_mhz)
                return cost_ns / operation.at(self._content.charge)
        return None

    def _stand_in_ratio(
        self, cpu: str, primitive: str, place: tuple[str | int, ...], via: tuple[str, ...]
    ) -> Fraction | None:
        entry = self._content.cpus.get(cpu)
        if entry is not None and primitive in entry.stand_ins:
            stand_in, path = entry.stand_ins[primitive], ("cpus", cpu, "stand_ins", primitive)
        elif primitive in self._content.stand_ins:
            stand_in, path = self._content.stand_ins[primitive], ("stand_ins", primitive)
        else:
            if entry is not None:
                self._wrong(
                    ("cpus", cpu), f"CPU {cpu!r} has no figure for {primitive!r}; publish a rate or name a stand-in"
                )
            return None
        theirs = self._find_ratio(stand_in.cpu, primitive, path, via)
        ours_via = self._find_ratio(cpu, stand_in.via, path, via)
        theirs_via = self._find_ratio(stand_in.cpu, stand_in.via, path, via)
        if theirs is None or ours_via is None or theirs_via is None:
            return None
        return theirs * ours_via / theirs_via

    def _cpu_costs(self, cpu: str) -> CpuCosts:
        content = self._content
        exact = {name: self._exact(cpu, name) for name in content.operations}
        records = {cipher: self._block_ps(exact, aead) for cipher, aead in content.ciphers.items()}
        half_proxy = self._proxy_ns(cpu) / 2
        policy = {
            engine: tuple(
                (point.policies, self._scale(cpu, costs.scales_with, point.at(content.charge)))
                for point in costs.decisions
            )
            for engine, costs in content.policy.items()
        }
        entry = content.cpus.get(cpu)
        return CpuCosts(
            name=cpu,
            description=entry.description if entry is not None else content.reference.description,
            operations=MappingProxyType({name: round(cost) for name, cost in exact.items()}),
            tcp_message_ns=round(exact["tcp.message"]),
            proxy_request_ns=round(half_proxy),
            proxy_response_ns=round(half_proxy),
            record_fixed_ns=round(self._record_fixed(exact)),
            record_block_ps=MappingProxyType(records),
            policy_points=MappingProxyType(policy),
        )

    def _exact(self, cpu: str, name: str) -> Fraction:
        operation = self._content.operations[name]
        return operation.at(self._content.charge) * self._ratio(cpu, operation.scales_with)

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

    def _proxy_ns(self, cpu: str) -> Fraction:
        """Proxy work (ns) on ``cpu`` for a request and its response, apart from what is charged for itself."""
        proxy = self._content.proxy
        if proxy.charge == "measured":
            return self._exact(cpu, proxy.measured)
        rest = max(Fraction(0), proxy.published_ns - self._charged_apart(proxy))
        return rest * self._ratio(cpu, proxy.scales_with) / self._ratio(proxy.cpu, proxy.scales_with)

    def _charged_apart(self, proxy: ProxyCosts) -> Fraction:
        exact = {name: self._exact(proxy.cpu, name) for name in self._content.operations}
        aead = next(iter(self._content.ciphers.values()))
        per_byte = Fraction(self._block_ps(exact, aead), _BLOCK_PS)
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


def _divide(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` rounded half to even, in integers."""
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient % 2):
        return quotient + 1
    return quotient
