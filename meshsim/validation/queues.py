"""Queues: the simulator's cores, links and clock against queueing theory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import factorial, log
from random import Random

from meshsim.bench.chain import CLIENTS, REQUESTS_PER_S, mean_latency_ns, run_chain
from meshsim.network.link import LinkDirection
from meshsim.network.train import LOST, Train
from meshsim.validation.claims import REPLICATIONS, Claim, at_most, in_interval
from meshsim.validation.lindley import sojourns_ns
from meshsim.validation.section import Section
from meshsim.world.clock import Clock
from meshsim.world.compute import Cores
from meshsim.world.streams import Streams

MS = 1_000_000
JOBS = 40_000
PACKETS = 15_000
"""Of each replication, after the first ``WARM_UP``, which find the queue emptier than it is in the long run."""
WARM_UP = 2_000
CHAIN_REQUESTS = 4_000

Draw = Callable[[], int]


class _Sojourns:
    """What passed through a queue, after the warm-up."""

    def __init__(self, long_ns: float) -> None:
        self._long_ns = long_ns
        self._seen = 0
        self.total_ns = 0
        self._long = 0

    def add(self, sojourn_ns: int) -> None:
        """Count one that left."""
        self._seen += 1
        if self._seen > WARM_UP:
            self.total_ns += sojourn_ns
            self._long += sojourn_ns > self._long_ns

    @property
    def mean_ms(self) -> float:
        """Mean sojourn."""
        return self.total_ns / (self._seen - WARM_UP) / MS

    @property
    def long_percent(self) -> float:
        """How many took longer than the bound."""
        return 100 * self._long / (self._seen - WARM_UP)


class _CoresInTime:
    """Poisson arrivals of exponential work at cores, on the clock."""

    def __init__(
        self, cores: int, gap_ns: float, work_ns: float, streams: tuple[Random, Random], long_ns: float
    ) -> None:
        self._clock = Clock()
        self._cores = Cores(cores)
        self._gap, self._work = streams[0].expovariate, streams[1].expovariate
        self._per_gap, self._per_work = 1 / gap_ns, 1 / work_ns
        self._left = JOBS + WARM_UP
        self._busy_ns = 0
        self.sojourns = _Sojourns(long_ns)

    def run(self) -> None:
        """Let all jobs come and go."""
        self._clock.at(round(self._gap(self._per_gap)), self._arrive, None)
        self._clock.run_to_end()

    @property
    def busy_percent(self) -> float:
        """How much of a core's time was used, by the cores' own account."""
        return 100 * self._busy_ns / self._clock.now_ns

    def _arrive(self, _: None) -> None:
        clock = self._clock
        now_ns = clock.now_ns
        work_ns = round(self._work(self._per_work))
        clock.at(self._cores.submit(now_ns, work_ns) + work_ns, self._leave, now_ns)
        self._left -= 1
        if self._left:
            clock.at(now_ns + round(self._gap(self._per_gap)), self._arrive, None)

    def _leave(self, arrived_ns: int) -> None:
        self.sojourns.add(self._clock.now_ns - arrived_ns)
        self._busy_ns = self._cores.worked_ns(self._clock.now_ns) // self._cores.count


def waits_share(cores: int, load: float) -> float:
    """Probability that a job finds all cores of M/M/c busy: Erlang's C formula. ``load`` is per core."""
    offered = load * cores
    all_busy = offered**cores / factorial(cores) / (1 - load)
    return all_busy / (sum(offered**busy / factorial(busy) for busy in range(cores)) + all_busy)


def _cores(title: str, about: str, seed: int, cores: int, load: float) -> Section:
    streams = Streams(seed)
    work_ns = 1.0 * MS
    # Exponential sojourn with one core: a twentieth takes longer than ln 20 times the mean.
    long_ns = log(20) * work_ns / (1 - load)
    runs = []
    for number in range(REPLICATIONS):
        names = [(f"cores {cores}", str(number), purpose) for purpose in ("arrivals", "work")]
        run = _CoresInTime(
            cores, work_ns / cores / load, work_ns, (streams.stream(*names[0]), streams.stream(*names[1])), long_ns
        )
        run.run()
        runs.append(run)
    mean_ms = 1 + waits_share(cores, load) / (cores * (1 - load))
    claims: list[Claim] = [
        in_interval("Mean sojourn", mean_ms, [run.sojourns.mean_ms for run in runs], "ms"),
        in_interval("Use of the cores", 100 * load, [run.busy_percent for run in runs], "%"),
    ]
    if cores == 1:
        text = f"Sojourns over {long_ns / MS:.2f} ms"
        claims.append(in_interval(text, 5, [run.sojourns.long_percent for run in runs], "%", widest=0.15))
    return Section(title, about, (), (), tuple(claims))


def single_core(seed: int) -> Section:
    """M/M/1 at load 0.8: mean sojourn of five times the work."""
    about = """
Poisson arrivals of exponential work (mean 1 ms) at one core, load 0.8. Mean sojourn 1 ms / (1 - 0.8); sojourns are
exponential, so a twentieth of them takes longer than ln 20 times the mean."""
    return _cores("One core: M/M/1", about, seed, 1, 0.8)


def four_cores(seed: int) -> Section:
    """M/M/4 at load 0.8: Erlang's C formula."""
    about = """
The same at four cores that share one queue, load 0.8 each. Mean sojourn by Erlang's C formula: the work, and with the
probability that all cores are busy a wait of 1 ms / (4 (1 - 0.8))."""
    return _cores("Four cores: M/M/4", about, seed, 4, 0.8)


BYTE_NS = 1_000
"""A byte at 8 Mbit/s: sizes are in bytes, so slow links round their serialisation least."""
PACKET_BYTES = 1_500
PACKET_MS = PACKET_BYTES * BYTE_NS / MS
LATENCY_NS = 3 * MS


class _Packet(Train):
    """A packet on its way along links in a row."""

    __slots__ = ("hop", "t_sent_ns")

    def __init__(self, now_ns: int) -> None:
        self.t_sent_ns = now_ns
        self.hop = 0


class _LinksInTime:
    """Poisson packets over links in a row, on the clock. Each link finds the size that ``sizes`` draws for it."""

    def __init__(self, bandwidths_bps: Sequence[int], gap_ns: float, gaps: Random, sizes: Sequence[Draw]) -> None:
        self._clock = Clock()
        self._links = [
            LinkDirection(f"{hop}--{hop + 1}", str(hop), str(hop + 1), LATENCY_NS, bps, 0, 2**40, gaps)
            for hop, bps in enumerate(bandwidths_bps)
        ]
        self._gap = gaps.expovariate
        self._per_gap = 1 / gap_ns
        self._sizes = sizes
        self._left = PACKETS + WARM_UP
        self.sojourns = _Sojourns(0)

    def run(self) -> None:
        """Let all packets come and go."""
        self._clock.at(round(self._gap(self._per_gap)), self._arrive, None)
        self._clock.run_to_end()
        for link in self._links:
            assert link.sent_bytes == link.delivered_bytes

    def _arrive(self, _: None) -> None:
        clock = self._clock
        packet = _Packet(clock.now_ns)
        self._enter(packet)
        self._left -= 1
        if self._left:
            clock.at(clock.now_ns + round(self._gap(self._per_gap)), self._arrive, None)

    def _enter(self, packet: _Packet) -> None:
        clock = self._clock
        packet.load(self._sizes[packet.hop](), 1, clock.now_ns)
        head_ns = self._links[packet.hop].enter(packet, clock.now_ns)
        assert head_ns != LOST
        clock.at(head_ns, self._leave, packet)

    def _leave(self, packet: _Packet) -> None:
        self._links[packet.hop].leave(packet)
        packet.hop += 1
        if packet.hop < len(self._links):
            self._enter(packet)
        else:
            self.sojourns.add(self._clock.now_ns - packet.t_sent_ns)


def _equal() -> int:
    return PACKET_BYTES


def _exponential(random: Random) -> Draw:
    draw = random.expovariate
    return lambda: max(1, round(draw(1 / PACKET_BYTES)))


def link_of_equal_packets(seed: int) -> Section:
    """M/D/1 at load 0.8: the formula of Pollaczek and Khinchine."""
    load = 0.8
    means = []
    streams = Streams(seed)
    for number in range(REPLICATIONS):
        gaps = streams.stream("equal packets", str(number))
        run = _LinksInTime([8 * 10**9 // BYTE_NS], PACKET_MS * MS / load, gaps, [_equal])
        run.run()
        means.append(run.sojourns.mean_ms)
    theory_ms = PACKET_MS * (1 + load / (2 * (1 - load))) + LATENCY_NS / MS
    about = f"""
Poisson arrivals of packets of {PACKET_BYTES} bytes at a link of 8 Mbit/s and {LATENCY_NS // MS} ms, load {load}. By the
formula of Pollaczek and Khinchine a packet waits load / (2 (1 - load)) of its serialisation of {PACKET_MS} ms."""
    claim = in_interval("Mean time across the link", theory_ms, means, "ms")
    return Section("A link of equal packets: M/D/1", about, (), (), (claim,))


def _packet_by_packet(seed: int, bandwidths_bps: Sequence[int], gap_ns: float) -> Claim:
    """Hold one run against Lindley's recursion over the same packets: in all, to the nanosecond."""

    def streams() -> list[Random]:
        return [Streams(seed).stream("tandem", "one by one", part) for part in ("arrivals", *"abc")]

    gaps, *sizes = streams()
    run = _LinksInTime(bandwidths_bps, gap_ns, gaps, [_exponential(random) for random in sizes])
    run.run()
    gaps, *sizes = streams()
    packets = PACKETS + WARM_UP
    arrivals_ns = list(accumulate(round(gaps.expovariate(1 / gap_ns)) for _ in range(packets)))
    drawn = [[draw() for _ in range(packets)] for draw in map(_exponential, sizes)]
    byte_ns = [8 * 10**9 // bps for bps in bandwidths_bps]
    theory_ns = sum(list(sojourns_ns(arrivals_ns, drawn, byte_ns, LATENCY_NS))[WARM_UP:])
    text = f"Time of {PACKETS} packets of exponential sizes in all, beyond Lindley's recursion"
    return at_most(text, 0, abs(run.sojourns.total_ns - theory_ns), "ns")


def links_in_tandem(seed: int) -> Section:
    """Three links in a row: the product form for exponential sizes, the slowest link alone for equal ones."""
    streams = Streams(seed)
    speeds = (1, 2, 1)
    bandwidths_bps = [speed * 8 * 10**9 // BYTE_NS for speed in speeds]
    load = 0.7
    gap_ns = PACKET_MS * MS / load
    exponential, equal = [], []
    for number in range(REPLICATIONS):
        gaps, *sizes = (streams.stream("tandem", str(number), part) for part in ("arrivals", *"abc"))
        run = _LinksInTime(bandwidths_bps, gap_ns, gaps, [_exponential(random) for random in sizes])
        run.run()
        exponential.append(run.sojourns.mean_ms)
        run = _LinksInTime(bandwidths_bps, gap_ns, streams.stream("tandem", str(number), "equal"), [_equal] * 3)
        run.run()
        equal.append(run.sojourns.mean_ms)
    fixed_ms = len(speeds) * LATENCY_NS / MS
    product_ms = fixed_ms + sum(PACKET_MS / speed / (1 - load / speed) for speed in speeds)
    slowest_ms = fixed_ms + sum(PACKET_MS / speed for speed in speeds) + PACKET_MS * load / (2 * (1 - load))
    about = f"""
Poisson packets over three links of 8, 16 and 8 Mbit/s and {LATENCY_NS // MS} ms each, load
{load}, {load / 2:g} and {load}. With exponential sizes (mean {PACKET_BYTES} bytes) that are drawn anew at each link,
each is an M/M/1 queue by itself, because what leaves one is Poisson again (Burke 1956; Kleinrock's assumption of
independence is made true here). With equal sizes packets wait in all as they would at the slowest link
alone (Friedman 1965), and never at the last one. One run is held against Lindley's recursion besides: a packet begins
at a link when it is there and the one before it has left. What was [broken on purpose](validation-breaks.md)."""
    claims = (
        in_interval("Mean time, exponential sizes", product_ms, exponential, "ms"),
        in_interval("Mean time, equal sizes", slowest_ms, equal, "ms"),
        _packet_by_packet(seed, bandwidths_bps, gap_ns),
    )
    return Section("Links in tandem", about, (), (), claims)


def chain(seed: int) -> Section:
    """The benchmark's chain: links, cores and back."""
    runs = [run_chain(CHAIN_REQUESTS, seed * 10_000 + number) for number in range(REPLICATIONS)]
    means = [run.latency_ns / run.requests / MS for run in runs]
    about = f"""
{CLIENTS} users send {REQUESTS_PER_S} requests/s over three links (100 Mbit/s and 5 ms, 1 Gbit/s and 1 ms, 10 Gbit/s
and 2 ms) to four cores (exponential work, mean 2 ms), and back: `meshsim bench`'s work. By theory: propagation,
serialisation, M/D/1 before the slowest link each way, M/M/4 at the cores."""
    claim = in_interval("Mean latency", mean_latency_ns() / MS, means, "ms")
    return Section("A chain of links and cores", about, (), (), (claim,))
