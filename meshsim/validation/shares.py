"""Slices: what each gets of a medium that all of them want."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp

from meshsim.network.medium import WAITING, SharedMedium, SliceQueue
from meshsim.network.train import Train
from meshsim.validation.claims import REPLICATIONS, Claim, in_interval, within
from meshsim.validation.clocked_medium import ClockedMedium
from meshsim.validation.section import Section
from meshsim.world.clock import Clock
from meshsim.world.streams import Streams

MS = 1_000_000
BANDWIDTH_BPS = 80_000_000
BYTE_NS = 100
"""At ``BANDWIDTH_BPS``."""
SLOT_NS = 500_000
PACKET_BYTES = 1_500
GUARANTEES = {"control": 20, "video": 50, "telemetry": 25}
"""In percent; 5 % are nobody's."""
PRIORITIES = {"control": 10, "video": 20, "telemetry": 30}
BACKLOG_MS = 10_000
TOLERANCE = 0.01
LEAST_TOLERANCE = 0.01
"""In percent of the medium, for a slice that should get nothing."""
LOADS = {"control": 0.3, "video": 0.4}
CHUNK = 0.2
"""Slot in which priority is held against its closed form, as a part of the mean packet."""
PACKETS = 12_000
"""Of each replication and slice, about."""


class _Backlogged:
    """A medium at which some slices always have more to send, on the clock."""

    def __init__(self, guarantees: Mapping[str, int], senders: Sequence[str]) -> None:
        self._clock = Clock()
        queues = {name: SliceQueue(name, share * 10_000, PRIORITIES[name]) for name, share in guarantees.items()}
        self._medium = SharedMedium(BANDWIDTH_BPS, queues, interval_ns=SLOT_NS)
        self._senders = senders

    def shares(self) -> dict[str, float]:
        """Let ``BACKLOG_MS`` pass; return what each slice got of the medium, in percent."""
        for name in self._senders:
            for _ in range(3):
                self._offer(name)
        self._clock.at(self._medium.next_ns, self._advance)
        self._clock.run_to_end()
        sent = {name: queue.delivered_bytes for name, queue in self._medium.queues.items()}
        whole_bytes = BANDWIDTH_BPS // 8 * BACKLOG_MS // 1_000
        return {name: 100 * size_bytes / whole_bytes for name, size_bytes in sent.items()}

    def _offer(self, name: str) -> None:
        train = Train()
        train.load(PACKET_BYTES, 1, self._clock.now_ns)
        train.slice = name
        self._medium.offer(name, train, self._clock.now_ns)

    def _advance(self, _: None) -> None:
        if self._clock.now_ns > BACKLOG_MS * MS:
            return
        done = self._medium.advance(self._clock.now_ns)
        if done is not None:
            self._offer(done.slice)
        self._clock.at(self._medium.next_ns, self._advance)


def _percent(guarantees: Mapping[str, int], senders: Sequence[str], case: str) -> list[Claim]:
    """Each sender gets its guarantee, and the most important one also what nobody else may claim."""
    got = _Backlogged(guarantees, senders).shares()
    first = min(senders, key=PRIORITIES.__getitem__)
    claims = []
    for name in senders:
        wanted = float(guarantees[name])
        if name == first:
            wanted += 100 - sum(guarantees[sender] for sender in senders)
        tolerance = max(TOLERANCE * wanted, LEAST_TOLERANCE)
        claims.append(within(f"{case}: share of *{name}*", wanted, got[name], tolerance, "%"))
    return claims


class _TwoPriorities:
    """Poisson packets of two slices without guarantees at one medium, on the clock."""

    def __init__(self, loads: Mapping[str, float], streams: Streams, number: int, slot_ns: int) -> None:
        self._clock = Clock()
        self._queues = {name: SliceQueue(name, 0, PRIORITIES[name]) for name in loads}
        self._medium = SharedMedium(BANDWIDTH_BPS, self._queues, interval_ns=slot_ns)
        self._on_clock = ClockedMedium(self._clock, self._medium, self._sent)
        self._draws = {
            name: tuple(streams.stream("priorities", str(number), name, what).expovariate for what in ("gaps", "sizes"))
            for name in loads
        }
        self._per_gap = {name: load / (PACKET_BYTES * BYTE_NS) for name, load in loads.items()}
        self._end_ns = round(PACKETS / max(self._per_gap.values()))
        self._sojourns_ns: dict[str, list[int]] = {name: [] for name in loads}
        self._offered_bytes = dict.fromkeys(loads, 0)

    def offered(self, name: str) -> tuple[float, float]:
        """Return a slice's packets, and their mean size, relative to what is expected."""
        packets = len(self._sojourns_ns[name])
        return packets / (self._per_gap[name] * self._end_ns), self._offered_bytes[name] / packets / PACKET_BYTES

    def means_ms(self) -> dict[str, float]:
        """Let all packets come and go; return the mean time that each slice's took."""
        for name in self._queues:
            self._set_next(name)
        self._clock.run_to_end()
        return {name: sum(taken) / len(taken) / MS for name, taken in self._sojourns_ns.items()}

    def _set_next(self, name: str) -> None:
        next_ns = self._clock.now_ns + round(self._draws[name][0](self._per_gap[name]))
        if next_ns < self._end_ns:
            self._clock.at(next_ns, self._arrive, name)

    def _arrive(self, name: str) -> None:
        now_ns = self._clock.now_ns
        self._set_next(name)
        train = Train()
        train.load(max(1, round(self._draws[name][1](1 / PACKET_BYTES))), 1, now_ns)
        self._offered_bytes[name] += train.size_bytes
        train.slice = name
        sent_ns = self._medium.offer(name, train, now_ns)
        if sent_ns != WAITING:
            self._sojourns_ns[name].append(sent_ns - now_ns)
        self._on_clock.watch()

    def _sent(self, train: Train) -> None:
        self._sojourns_ns[train.slice].append(self._clock.now_ns - train.tail_ns)


Offer = tuple[float, float]
"""Packets and their mean size, relative to what is expected."""
EXPECTED: Offer = (1.0, 1.0)
STEP = 1e-4


def priority_theory_ms(offers: Sequence[Offer] = (EXPECTED, EXPECTED)) -> tuple[float, float]:
    """M/M/1 with two classes, of which the first interrupts the second at the end of a chunk and the rest is resumed.

    A packet of the first class waits for those before it, and with the probability that the second class is being sent
    for what is left of its chunk: E[X^2] / 2 E[X] with X the lesser of a chunk and what is left of the packet. The work
    that waits and is being done does not depend on the order of service, and what is left of a packet has the mean of
    its class: so the second class has the rest of it.
    """
    packet_ms = PACKET_BYTES * BYTE_NS / MS
    high_per_ms, low_per_ms = (load * many / packet_ms for load, (many, _) in zip(LOADS.values(), offers, strict=True))
    high_ms, low_ms = (packet_ms * size for _, size in offers)
    high, low = high_per_ms * high_ms, low_per_ms * low_ms
    chunk = CHUNK * packet_ms / low_ms
    left_ms = low_ms * (1 - exp(-chunk) * (1 + chunk)) / (1 - exp(-chunk))
    first_ms = high_ms + (high * high_ms + low * left_ms) / (1 - high)
    work_ms = (high * high_ms + low * low_ms) / (1 - high - low)
    second_ms = (work_ms - high * first_ms) / low
    return first_ms, second_ms


def _slopes(place: int) -> list[Offer]:
    """How much the theory for one slice changes with each of what is offered."""
    slopes = []
    for changed in range(len(LOADS)):
        offers = [EXPECTED, EXPECTED]
        ways = []
        for many, size in ((1 + STEP, 1.0), (1.0, 1 + STEP)):
            offers[changed] = (many, size)
            ways.append((priority_theory_ms(offers)[place] - priority_theory_ms()[place]) / STEP)
        slopes.append((ways[0], ways[1]))
    return slopes


def _priorities(seed: int) -> list[Claim]:
    """Hold mean times against theory, freed of what is due to more or fewer, longer or shorter packets than expected.

    These are control variates: what is taken off has the mean zero whatever the simulator does, and the slopes are the
    theory's, not fitted.
    """
    streams = Streams(seed)
    chunk_ns = round(CHUNK * PACKET_BYTES * BYTE_NS)
    means: dict[str, list[float]] = {name: [] for name in LOADS}
    slopes = [_slopes(place) for place in range(len(LOADS))]
    for number in range(REPLICATIONS):
        run = _TwoPriorities(LOADS, streams, number, chunk_ns)
        found_ms = run.means_ms()
        offers = [run.offered(name) for name in LOADS]
        for place, name in enumerate(LOADS):
            pairs = zip(slopes[place], offers, strict=True)
            due_ms = sum(slope[0] * (offer[0] - 1) + slope[1] * (offer[1] - 1) for slope, offer in pairs)
            means[name].append(found_ms[name] - due_ms)
    return [
        in_interval(f"Priority alone: mean time of *{name}*", theory_ms, means[name], "ms")
        for name, theory_ms in zip(LOADS, priority_theory_ms(), strict=True)
    ]


def slices(seed: int) -> Section:
    """Guarantees under overload, borrowing, and priority by its closed form."""
    every = list(GUARANTEES)
    claims = [
        *_percent(GUARANTEES, every, "All overloaded"),
        *_percent(GUARANTEES, ["video", "telemetry"], "Nothing from *control*"),
        *_percent({"control": 0, "video": 60, "telemetry": 40}, every, "All promised"),
    ]
    priorities = _priorities(seed)
    about = f"""
Slices *control*, *video* and *telemetry*, in this order of priority, at a medium of {BANDWIDTH_BPS // 10**6} Mbit/s
that is divided in slots of {SLOT_NS / MS} ms; guarantees are {", ".join(f"{part} %" for part in GUARANTEES.values())},
or as the last case says. For {BACKLOG_MS // 1000} s the slices named always have more to send. Each gets its guarantee
to 1 % of it; what is nobody's, or not used, goes to the most important of those that send.

Without guarantees priority alone decides: Poisson packets with exponential sizes (mean {PACKET_BYTES} bytes), loads
{" and ".join(f"{load}" for load in LOADS.values())}, slots of {CHUNK} packets. Theory is M/M/1 with two classes and
preemption, at the end of a slot's worth; what was interrupted is resumed. Most of the scatter of such means is that
more packets come than expected, or longer ones; that part is known, and taken off (control variates, with theory's
slopes)."""
    return Section("Shares of slices", about, (), (), (*claims, *priorities))
