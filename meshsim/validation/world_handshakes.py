"""Handshakes in the world under loss: against the probe, against published medians, and with loss in bursts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, sqrt
from statistics import fmean, pvariance

from meshsim.network import tcp
from meshsim.validation.claims import NORMAL_99, NORMAL_JOINT, WIDEST, Claim, at_most, share_in_interval
from meshsim.validation.handshake_samples import (
    FIRST_LOST,
    REQUESTS,
    Probe,
    Sample,
    lossy_world,
    world_first_lost,
    world_samples,
)
from meshsim.validation.published_handshakes import COMPUTE_NS, SHORT_FLIGHTS, read_table
from meshsim.validation.section import Criterion, Section
from meshsim.validation.small_world import computing_ns, handshakes_ns, small_world

SYN_LOST_NS = 900 * tcp.MS
"""Who is not connected by then has lost a SYN or a SYN-ACK."""
WIDEST_SHARE, WIDEST_MEAN = 2.1, 100 * WIDEST
"""Widest gates, in points and in percent."""
MOST_LOSS_PERCENT, MEDIAN_TOLERANCE = 5.0, 0.02
MEDIAN_REQUESTS = 400
BURSTS = ((0.02, 1.0), (0.02, 3.0), (0.05, 8.0))
"""Average loss, and mean length of a burst in packets (1: independent losses)."""
BURST_NODES, BURST_RUNS = 250, 8

ABOUT = """\
Whole scenarios: clients open connections with mutual TLS to a server over one link, the world's sidecars, cores, links
and TCP in between, and the table `handshakes` says how long each took from the first SYN. *The probe* is the same
handshake as `meshsim handshake` plays it, packet by packet over a path; the section above holds it against published
measurements. Where nothing goes wrong the world works by arithmetic instead, and the two share neither their events
nor their draws.

Two shares have closed forms: the server's first SYN-ACK arrives for (1-p)^2 of all, and nothing that delays is lost for
(1-p)^4, which are those below 2 R + 50 ms. By these two the samples of world and probe are divided into three strata,
whose parts are known; of each stratum world and probe must agree, and so on what is made of them with the known parts:
the shares below 0.9 s and 2.9 s, and the mean. That leaves less to chance than a comparison of all with all. Most is
left in the third, whose first SYN or SYN-ACK is lost: so there are more of these, in the world by cutting the link for
a microsecond while one of the two is on it. How far apart chance alone may set world and probe, jointly: *gate*.

The published medians are those of the P-256 handshake up to 5 % loss. What CPUs take in the world is exchanged for the
1.08 ms of the experiment. Here hosts remember nothing of earlier connections, which medians up to 5 % do not show.

Bursts: each of {nodes} clients, {runs} times over, has a link of its own with Gilbert-Elliott loss. A handshake is
whole if in each direction the first and the third packet get through: SYN and ClientHello, SYN-ACK and the server's
flight. What lies between are acknowledgements, which nobody misses. With a the average, b the mean length of a burst
and r = a / (b (1 - a)) the chance that one begins, that is ((1 - a) ((1 - r)^2 + r / b))^2."""


class _Strata:
    """Samples divided by what was lost, whose parts of all are known; and more whose first exchange failed."""

    def __init__(
        self, samples: Sequence[Sample], first_lost: Sequence[Sample], round_trip_ms: int, loss: float
    ) -> None:
        self.count = len(samples)
        self._parts = ((1 - loss) ** 4, (1 - loss) ** 2 - (1 - loss) ** 4, 1 - (1 - loss) ** 2)
        self._whole_ns = (2 * round_trip_ms + 50) * tcp.MS
        self._times_ms: tuple[list[float], list[float], list[float]] = ([], [], [])
        self._add(samples)
        self.whole = len(self._times_ms[0]) / self.count
        self.connected = 1 - len(self._times_ms[2]) / self.count
        self._add(first_lost)

    def _add(self, samples: Sequence[Sample]) -> None:
        for connected_ns, established_ns in samples:
            stratum = 0 if established_ns < self._whole_ns else 1 if connected_ns < SYN_LOST_NS else 2
            self._times_ms[stratum].append(established_ns / tcp.MS)

    def mean(self, of: Callable[[float], float]) -> tuple[float, float]:
        """Return the mean of a function of the time, and the variance of that mean."""
        mean = variance = 0.0
        for part, times_ms in zip(self._parts, self._times_ms, strict=True):
            values = [of(time_ms) for time_ms in times_ms]
            mean += part * fmean(values)
            variance += part**2 * pvariance(values) / len(values)
        return mean, variance


class _Agreement:
    """How far apart numbers are, in standard errors, and how far chance alone may set them."""

    def __init__(self) -> None:
        self.worst = 0.0
        self.where = ""
        self.numbers = self.outside = 0

    def compare(self, where: str, apart: float, variance: float) -> float:
        """Compare two numbers; return how far apart they may be."""
        errors = abs(apart) / sqrt(variance) if variance else (0.0 if abs(apart) < 1e-9 else inf)
        self.numbers += 1
        self.outside += errors > NORMAL_99
        if errors > self.worst:
            self.worst, self.where = errors, where
        return NORMAL_JOINT * sqrt(variance)


LIMITS: dict[str, Callable[[float], float]] = {
    "0.9 s": lambda time_ms: float(time_ms < 900),
    "2.9 s": lambda time_ms: float(time_ms < 2900),
    "mean": lambda time_ms: time_ms,
}


def _cell(
    agreement: _Agreement, round_trip_ms: int, loss_percent: int, seed: int
) -> tuple[tuple[str, ...], float, float]:
    """Compare one cell; return its line, and its widest gates: of a share in points, of the mean in percent."""
    loss, of_cell = loss_percent / 100, (round_trip_ms, loss_percent, seed)
    player = Probe(*of_cell)
    world = _Strata(world_samples(*of_cell), world_first_lost(*of_cell), round_trip_ms, loss)
    probe = _Strata(player.samples(), player.first_lost(), round_trip_ms, loss)
    place = f"R {round_trip_ms} ms, {loss_percent} %"
    cells = [f"{round_trip_ms} ms", f"{loss_percent} %"]
    share_gate = mean_gate = 0.0
    for name, found, theory in (
        ("connected at once", world.connected, (1 - loss) ** 2),
        ("2 R + 50 ms", world.whole, (1 - loss) ** 4),
    ):
        gate = 100 * agreement.compare(f"{name}, {place}", found - theory, theory * (1 - theory) / world.count)
        cells.append(f"{100 * found:.1f} / {100 * theory:.1f} % ± {gate:.1f}")
        share_gate = max(share_gate, gate)
    for name, of in LIMITS.items():
        (found, variance), (wanted, probe_variance) = world.mean(of), probe.mean(of)
        gate = agreement.compare(f"{name}, {place}", found - wanted, variance + probe_variance)
        if name == "mean":
            cells.append(f"{found:.1f} / {wanted:.1f} ± {gate:.1f}")
            mean_gate = 100 * gate / wanted
        else:
            cells.append(f"{100 * found:.2f} / {100 * wanted:.2f} % ± {100 * gate:.2f}")
            share_gate = max(share_gate, 100 * gate)
    return tuple(cells), share_gate, mean_gate


def _against_the_probe(seed: int) -> tuple[Criterion, list[tuple[str, ...]]]:
    agreement = _Agreement()
    lines = [
        _cell(agreement, round_trip_ms, loss_percent, seed) for round_trip_ms in FIRST_LOST for loss_percent in REQUESTS
    ]
    share_gate, mean_gate = max(line[1] for line in lines), max(line[2] for line in lines)
    text = (
        f"World, probe and closed forms agree on {agreement.numbers} means and shares; "
        f"no gate is wider than {WIDEST_SHARE:g} points or {WIDEST_MEAN:g} % of the mean."
    )
    found = (
        f"at most {agreement.worst:.1f} standard errors ({agreement.where}), {NORMAL_JOINT:.2f} allowed; "
        f"gates up to {share_gate:.1f} points and {mean_gate:.1f} %"
    )
    passed = agreement.worst <= NORMAL_JOINT and share_gate <= WIDEST_SHARE and mean_gate <= WIDEST_MEAN
    criterion = Criterion(text, found, passed, agreement.numbers, agreement.outside)
    return criterion, [line[0] for line in lines]


def _published_medians(seed: int) -> Claim:
    worst, count = 0.0, 0
    for cell in read_table():
        if cell.family != SHORT_FLIGHTS or cell.loss_percent > MOST_LOSS_PERCENT:
            continue
        round_trip_ns = round(cell.round_trip_ms * tcp.MS)
        times_ns = sorted(handshakes_ns(lossy_world(round_trip_ns, cell.loss_percent, MEDIAN_REQUESTS, seed)))
        time_ns = times_ns[len(times_ns) // 2] - computing_ns(round_trip_ns) + COMPUTE_NS
        worst = max(worst, abs(time_ns / tcp.MS / cell.quantiles_ms["p50_ms"] - 1))
        count += 1
    text = f"The world's median lies near the published one in all {count} cells of P-256 up to 5 % loss"
    return at_most(text, 100 * MEDIAN_TOLERANCE, round(100 * worst, 2), "% off")


def whole_share(average: float, mean_burst: float) -> float:
    """Return the share of handshakes of which nothing is lost that delays them."""
    begins, ends = average / (mean_burst * (1 - average)), 1 / mean_burst
    if mean_burst == 1:
        begins, ends = average, 1 - average
    return ((1 - average) * ((1 - begins) ** 2 + begins * ends)) ** 2


def _bursts(seed: int) -> list[Criterion]:
    claims: list[Criterion] = []
    for average, mean_burst in BURSTS:
        whole = count = 0
        for run in range(BURST_RUNS):
            data = small_world(20 * tcp.MS, 1, 120_000, west=BURST_NODES, seed=1_000 * seed + run)
            for number, (link, flow) in enumerate(zip(data["network"]["links"], data["traffic"], strict=True)):
                loss = f"{100 * average:g} %"
                link["loss"] = (
                    loss if mean_burst == 1 else {"gilbert_elliott": {"average": loss, "mean_burst": mean_burst}}
                )
                flow["start"] = f"{100 * number} ms"
            whole += sum(time_ns < 90 * tcp.MS for time_ns in handshakes_ns(data))
            count += BURST_NODES
        kind = "independently" if mean_burst == 1 else f"in bursts of {mean_burst:g}"
        text = f"Handshakes left whole by losing {100 * average:g} % {kind}"
        claims.append(share_in_interval(text, whole_share(average, mean_burst), whole, count))
    return claims


def world_handshakes(seed: int = 1) -> Section:
    """Compare the world's handshakes with the probe, published medians and closed forms."""
    agreement, rows = _against_the_probe(seed)
    return Section(
        title="The world's TCP: handshakes under loss",
        about=ABOUT.format(nodes=BURST_NODES, runs=BURST_RUNS),
        columns=(
            "R",
            "p",
            "connected at once: world / closed form ± gate",
            "below 2 R + 50 ms",
            "0.9 s: world / probe ± gate",
            "2.9 s",
            "mean in ms",
        ),
        rows=tuple(rows),
        criteria=(agreement, _published_medians(seed), *_bursts(seed)),
    )
