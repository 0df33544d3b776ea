"""Handshakes in the world under loss: against the probe, against published medians, and with loss in bursts."""

from __future__ import annotations

from math import inf, sqrt
from random import Random
from statistics import fmean, pvariance

from meshsim.network import tcp
from meshsim.network.tcp_connection import Carrier
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_path import LossCountdown, SteadyPath
from meshsim.probe.case import ProbeCase
from meshsim.probe.script import write_script
from meshsim.scenario.cost_profile import load_cost_profile
from meshsim.scenario.network import Node
from meshsim.validation.claims import Claim, at_most, share_in_interval
from meshsim.validation.published_handshakes import COMPUTE_NS, SHORT_FLIGHTS, read_table
from meshsim.validation.section import Criterion, Section
from meshsim.validation.small_world import BANDWIDTH_BPS, Data, computing_ns, handshakes_ns, small_world

ROUND_TRIPS_MS = (5, 50, 200)
LOSSES_PERCENT = (1, 3, 10)
REQUESTS = 1_500
PROBES = 6_000
GAP_MS = 20_000
"""Between requests, on average: nearly all handshakes are over by then, whatever was lost."""
MOST_ERRORS = 4.0
"""Standard errors: as far as the world may be from the probe, of dozens of numbers that are compared."""
MOST_LOSS_PERCENT, MEDIAN_TOLERANCE = 5.0, 0.02
MEDIAN_REQUESTS = 400
BURSTS = ((0.02, 1.0), (0.02, 3.0), (0.05, 8.0))
"""Average loss, and mean length of a burst in packets (1: independent losses)."""
BURST_NODES, BURST_RUNS = 250, 4

ABOUT = """\
Whole scenarios: clients open connections with mutual TLS to a server over one link, the world's sidecars, cores, links
and TCP in between, and the table `handshakes` says how long each took from the first SYN. *The probe* is the same
handshake as `meshsim handshake` plays it, packet by packet over a path; the section above holds it against published
measurements. Where nothing goes wrong the world works by arithmetic instead, and the two share neither their events
nor their draws: they must agree on the mean and on the shares below 2 R + 50 ms, 0.9 s and 2.9 s.

The published medians are those of the P-256 handshake up to 5 % loss. What CPUs take in the world is exchanged for the
1.08 ms of the experiment. Here hosts remember nothing of earlier connections, which medians up to 5 % do not show.

Bursts: each of {nodes} clients, {runs} times over, has a link of its own with Gilbert-Elliott loss. A handshake is
whole if in each direction the first and the third packet get through: SYN and ClientHello, SYN-ACK and the server's
flight. What lies between are acknowledgements, which nobody misses. With a the average, b the mean length of a burst
and r = a / (b (1 - a)) the chance that one begins, that is ((1 - a) ((1 - r)^2 + r / b))^2."""


def _scenario(round_trip_ns: int, loss_percent: float, requests: int, seed: int) -> Data:
    data = small_world(round_trip_ns, requests, GAP_MS, seed=seed)
    data["network"]["tcp"] = {"remember_destinations": False}
    data["network"]["links"][0]["loss"] = f"{loss_percent:.9f} %"
    return data


def _probe_ns(round_trip_ns: int, loss: float, seed: int) -> list[int]:
    """Return how long the probe's handshakes take over the same link."""
    case = ProbeCase(round_trip_ns, group="X25519", cpu=Node.model_fields["cpu"].default, mutual=True)
    script = write_script(case, load_cost_profile("default"))
    name = f"world handshakes/{seed}/{round_trip_ns}/{loss}"
    up, down, noise, phase = (Random(f"{name}/{purpose}") for purpose in ("up", "down", "noise", "phase"))
    losses = (LossCountdown(loss, up), LossCountdown(loss, down))
    path = SteadyPath((round_trip_ns // 2, round_trip_ns // 2), BANDWIDTH_BPS, losses, noise)
    carrier = Carrier(path, TcpParameters())
    courses = [carrier.carry(script.dialogue, int(phase.random() * 1024 * tcp.MS)) for _ in range(PROBES)]
    finish_ns = script.dialogue[script.finish].compute_ns
    return [
        course.delivered_ns[script.finish - 1] + finish_ns
        for course in courses
        if len(course.delivered_ns) >= script.finish
    ]


class _Agreement:
    """How far apart numbers of the world and the probe are, in standard errors."""

    def __init__(self) -> None:
        self.worst = 0.0
        self.where = ""
        self.numbers = 0

    def compare(self, where: str, world: list[float], probe: list[float]) -> float:
        """Compare two means."""
        variance = pvariance(world) / len(world) + pvariance(probe) / len(probe)
        apart = fmean(world) - fmean(probe)
        errors = abs(apart) / sqrt(variance) if variance else (0.0 if abs(apart) < 1e-3 else inf)
        self.numbers += 1
        if errors > self.worst:
            self.worst, self.where = errors, where
        return errors


def _against_the_probe(seed: int) -> tuple[Criterion, list[tuple[str, ...]]]:
    agreement = _Agreement()
    rows = []
    for round_trip_ms in ROUND_TRIPS_MS:
        for loss_percent in LOSSES_PERCENT:
            world_ns = handshakes_ns(_scenario(round_trip_ms * tcp.MS, loss_percent, REQUESTS, seed))
            probe_ns = _probe_ns(round_trip_ms * tcp.MS, loss_percent / 100, seed)
            place = f"R {round_trip_ms} ms, {loss_percent} %"
            cells = [f"{round_trip_ms} ms", f"{loss_percent} %"]
            for name, limit_ms in (("2 R + 50 ms", 2 * round_trip_ms + 50), ("0.9 s", 900), ("2.9 s", 2900)):
                hits = [[float(one < limit_ms * tcp.MS) for one in times_ns] for times_ns in (world_ns, probe_ns)]
                agreement.compare(f"{name}, {place}", *hits)
                cells.append(" / ".join(f"{100 * fmean(each):.1f} %" for each in hits))
            times_ms = [[one / tcp.MS for one in times_ns] for times_ns in (world_ns, probe_ns)]
            agreement.compare(f"mean, {place}", *times_ms)
            cells.append(" / ".join(f"{fmean(each):.1f}" for each in times_ms))
            rows.append(tuple(cells))
    text = f"World and probe agree on {agreement.numbers} means and shares, to {MOST_ERRORS:g} standard errors."
    found = f"at most {agreement.worst:.1f} ({agreement.where})"
    return Criterion(text, found, agreement.worst <= MOST_ERRORS), rows


def _published_medians(seed: int) -> Claim:
    worst, count = 0.0, 0
    for cell in read_table():
        if cell.family != SHORT_FLIGHTS or cell.loss_percent > MOST_LOSS_PERCENT:
            continue
        round_trip_ns = round(cell.round_trip_ms * tcp.MS)
        times_ns = sorted(handshakes_ns(_scenario(round_trip_ns, cell.loss_percent, MEDIAN_REQUESTS, seed)))
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
        columns=("R", "p", "below 2 R + 50 ms: world / probe", "0.9 s", "2.9 s", "mean in ms"),
        rows=tuple(rows),
        criteria=(agreement, _published_medians(seed), *_bursts(seed)),
    )
