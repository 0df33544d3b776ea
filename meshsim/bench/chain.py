"""The work: 100 users, three links, four cores, and back; as a bare loop, and on the simulator's own parts.

User equipment, base station, edge and edge2 stand in a line. Both versions draw the same numbers and take the same
eight events a request, so that they come to the same instants, to the nanosecond.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace
from math import factorial, sqrt
from random import Random

import msgspec

from meshsim.network.link import LinkDirection
from meshsim.network.train import LOST, Train
from meshsim.world.clock import Alarm, Clock
from meshsim.world.compute import Cores

CLIENTS = 100
REQUESTS_PER_S = 1_200
WORK_NS = 2_000_000
"""Mean of the exponential work of one request."""
CORES = 4
PACKET_BYTES = 1_500
"""A request, and a response: one packet."""
LINKS = (("ue", "gnb", 5_000_000, 10**8), ("gnb", "edge", 1_000_000, 10**9), ("edge", "edge2", 2_000_000, 10**10))
"""Both ends, one-way latency in nanoseconds, bandwidth in bit/s; each link has two directions."""

_SECOND_NS = 1_000_000_000
_ARRIVALS_PER_NS = REQUESTS_PER_S / CLIENTS / _SECOND_NS
_WORK_PER_NS = 1 / WORK_NS
_QUEUE_BYTES = 2**40


def serialisation_ns(bandwidth_bps: int) -> int:
    """Return how long a packet takes to leave."""
    return PACKET_BYTES * 8 * _SECOND_NS // bandwidth_bps


def mean_latency_ns() -> float:
    """Return the mean latency by theory.

    Propagation and serialisation both ways; M/D/1 waiting before the slowest link each way (a tandem of queues with
    constant service waits as its slowest does: Friedman 1965); M/M/4 at the cores (Erlang's C formula), whose
    departures are Poisson again (Burke 1956).
    """
    fixed_ns = 2 * sum(latency_ns + serialisation_ns(bandwidth_bps) for _, _, latency_ns, bandwidth_bps in LINKS)
    slowest_ns = serialisation_ns(min(bandwidth_bps for *_, bandwidth_bps in LINKS))
    busy = REQUESTS_PER_S * slowest_ns / _SECOND_NS
    links_ns = 2 * busy * slowest_ns / (2 * (1 - busy))
    load = REQUESTS_PER_S * WORK_NS / _SECOND_NS
    all_busy = load**CORES / factorial(CORES) / (1 - load / CORES)
    waits = all_busy / (sum(load**busy_cores / factorial(busy_cores) for busy_cores in range(CORES)) + all_busy)
    return fixed_ns + links_ns + WORK_NS + waits * WORK_NS / (CORES - load)


def tolerance_ns(requests: int) -> float:
    """Return how far the mean of a run may be from theory: about six standard errors, queueing's memory included."""
    return 20_000_000 / sqrt(requests)


class Totals(msgspec.Struct, frozen=True):
    """What a version came to."""

    requests: int
    latency_ns: int
    """Sum over all requests."""


def _streams(seed: int) -> tuple[list[Random], Random]:
    """Return the generators of the clients' arrivals and of the work."""
    return [Random(seed * 1_000 + client) for client in range(CLIENTS)], Random(seed * 1_000 + CLIENTS)


def run_floor(requests: int, seed: int) -> Totals:
    """Run the work as one loop over one heap; it ends when ``requests`` have been sent and answered."""
    arrivals, work = _streams(seed)
    draws = [stream.expovariate for stream in arrivals]
    draw_work = work.expovariate
    steps = [(latency_ns, serialisation_ns(bandwidth_bps)) for _, _, latency_ns, bandwidth_bps in LINKS]
    steps = [*steps, *reversed(steps)]
    free_at_ns = [0] * len(steps)
    cores_free_at_ns = [0] * CORES
    # An event is (instant, order, step, argument): step -1 sends (client), 0 to 6 have arrived (when it was sent).
    heap = [(round(draw(_ARRIVALS_PER_NS)), order, -1, order) for order, draw in enumerate(draws)]
    heapify(heap)
    order, sent, answered, total_ns = CLIENTS, 0, 0, 0
    while answered < requests:
        now_ns, _, step, argument = heappop(heap)
        if step < 0:
            if sent == requests:
                continue
            sent += 1
            heappush(heap, (now_ns + round(draws[argument](_ARRIVALS_PER_NS)), order, -1, argument))
            order += 1
            step, argument = 0, now_ns
        elif step == 3:
            start_ns = cores_free_at_ns[0]
            if start_ns < now_ns:
                start_ns = now_ns
            end_ns = start_ns + round(draw_work(_WORK_PER_NS))
            heapreplace(cores_free_at_ns, end_ns)
            heappush(heap, (end_ns, order, 7, argument))
            order += 1
            continue
        elif step == 7:
            step = 3
        elif step == 6:
            answered += 1
            total_ns += now_ns - argument
            continue
        latency_ns, busy_ns = steps[step]
        start_ns = free_at_ns[step]
        if start_ns < now_ns:
            start_ns = now_ns
        start_ns += busy_ns
        free_at_ns[step] = start_ns
        heappush(heap, (start_ns + latency_ns, order, step + 1, argument))
        order += 1
    return Totals(requests, total_ns)


class _Packet(Train):
    """A request on its way, or its response."""

    __slots__ = ("hop", "path", "t_sent_ns")

    path: tuple[LinkDirection, ...]
    hop: int

    def __init__(self, now_ns: int) -> None:
        self.t_sent_ns = now_ns


class _Chain:
    """The same work on the simulator's clock, links and cores."""

    def __init__(self, requests: int, seed: int) -> None:
        arrivals, work = _streams(seed)
        self._draws = [stream.expovariate for stream in arrivals]
        self._draw_work = work.expovariate
        self._requests = requests
        self._sent = 0
        self.total_ns = 0
        self._clock = Clock()
        # Methods that alarms call: to take one from the object makes a new one each time.
        self._when_sent, self._when_crossed, self._when_answered = self._send, self._cross, self._answered
        self._when_served, self._when_worked = self._serve, self._worked
        self._cores = Cores(CORES)
        silent = Random(seed)  # no jitter and no loss: never drawn from
        self._up = tuple(
            LinkDirection(f"{a}--{b}", a, b, latency_ns, bandwidth_bps, 0, _QUEUE_BYTES, silent)
            for a, b, latency_ns, bandwidth_bps in LINKS
        )
        self._down = tuple(
            LinkDirection(f"{a}--{b}", b, a, latency_ns, bandwidth_bps, 0, _QUEUE_BYTES, silent)
            for a, b, latency_ns, bandwidth_bps in reversed(LINKS)
        )

    def run(self) -> None:
        """Let everything happen."""
        for client in range(CLIENTS):
            self._set_next(client)
        self._clock.run_to_end()

    def _set_next(self, client: int) -> None:
        clock = self._clock
        clock.at(clock.now_ns + round(self._draws[client](_ARRIVALS_PER_NS)), self._when_sent, client)

    def _send(self, client: int) -> Alarm | None:
        if self._sent == self._requests:
            return None
        self._sent += 1
        self._set_next(client)
        packet = _Packet(self._clock.now_ns)
        return self._launch(packet, self._up)

    def _launch(self, packet: _Packet, path: tuple[LinkDirection, ...]) -> Alarm:
        packet.load(PACKET_BYTES, 1, self._clock.now_ns)
        packet.path = path
        packet.hop = 0
        return self._cross(packet)

    def _cross(self, packet: _Packet) -> Alarm:
        """Leave the link that was crossed last, if any, and enter the next."""
        clock, path, hop = self._clock, packet.path, packet.hop
        if hop:
            path[hop - 1].leave(packet)
        head_ns = path[hop].enter(packet, clock.now_ns)
        assert head_ns != LOST
        packet.hop = hop = hop + 1
        clock.order = order = clock.order + 1
        if hop < len(path):
            return head_ns, order, self._when_crossed, packet
        return head_ns, order, self._when_served if path is self._up else self._when_answered, packet

    def _serve(self, packet: _Packet) -> Alarm:
        self._up[-1].leave(packet)
        work_ns = round(self._draw_work(_WORK_PER_NS))
        clock = self._clock
        clock.order = order = clock.order + 1
        return self._cores.submit(clock.now_ns, work_ns) + work_ns, order, self._when_worked, packet

    def _worked(self, packet: _Packet) -> Alarm:
        return self._launch(packet, self._down)

    def _answered(self, packet: _Packet) -> None:
        self._down[-1].leave(packet)
        self.total_ns += self._clock.now_ns - packet.t_sent_ns


def run_chain(requests: int, seed: int) -> Totals:
    """Run the work on the simulator's own parts; it ends when ``requests`` have been sent and answered."""
    chain = _Chain(requests, seed)
    chain.run()
    return Totals(requests, chain.total_ns)
