"""Windows in the world: big transfers, and flights past the initial window, against slow start's closed form."""

from __future__ import annotations

from random import Random
from statistics import fmean, pvariance

from meshsim.network import tcp
from meshsim.network.tcp_connection import Carrier
from meshsim.network.tcp_dialogue import Turn
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_path import DOWN, UP, LossCountdown, SteadyPath
from meshsim.probe.case import ProbeCase
from meshsim.probe.script import write_script
from meshsim.scenario.cost_profile import load_cost_profile
from meshsim.validation.claims import NORMAL_99, Claim, at_most
from meshsim.validation.section import Criterion, Section
from meshsim.validation.small_world import BANDWIDTH_BPS, Data, handshakes_ns, run_world, small_world

INITIAL_WINDOW = TcpParameters().initial_window
ROUND_TRIP_NS = 50 * tcp.MS
TRANSFER_SEGMENTS = (10, 11, 30, 31, 70, 71, 150, 151, 310, 311, 630)
"""Segments of a response: what just fits into one window, two, three ..., and one more."""
HEADERS_BYTES = 1_000
"""What a response's headers take at most: bodies are so much shorter than whole segments."""
SEGMENTS_TOLERANCE = 0.02
"""Of a round trip: serialisation of hundreds of segments, which the closed form leaves out."""
FLIGHTS = (
    # Group, key type, certificates that each end sends, first window.
    ("X25519", "ecdsa-p256", 1, 10),
    ("X25519MLKEM768", "ecdsa-p256", 2, 10),
    ("X25519MLKEM768", "ml-dsa-44", 2, 10),
    ("X25519MLKEM768", "ml-dsa-65", 1, 10),
    ("X25519MLKEM768", "ml-dsa-65", 2, 10),
    ("X25519", "ml-dsa-65", 2, 10),
    ("X25519MLKEM768", "ecdsa-p256", 2, 1),
    ("X25519MLKEM768", "ml-dsa-44", 2, 3),
    ("X25519MLKEM768", "ml-dsa-65", 2, 2),
)
LOSSY_BYTES = 100_000
LOSSES_PERCENT = (0.5, 2)
LOSSY_REQUESTS = 300
LOSSY_PROBES = 600
MOST_ERRORS = 3.0
"""Standard errors: narrower than the joint interval of all numbers, which two need not have."""

ABOUT = """\
Slow start doubles the window with each round trip: of segments that all wait to be sent, w leave at once, 2 w a round
trip later, then 4 w, so that n segments take floor(log2((n - 1) / w + 1)) round trips more than one does.

- Responses without TLS over a link of 10 Gbit/s and a round trip of 50 ms, each on a connection of its own, first
  window of 10. What TCP and the network take of the request (`tcp_ns` and `network_ns`), less what they take where the
  response fits into the first window.
- Handshakes with mutual TLS, whose server's flight is longest: how much longer they take over 100 ms than over 50 ms,
  which is how many round trips they take whatever CPUs do: one to connect, one for the handshake, and what the windows
  cost. A post-quantum flight past the first window costs one more.
- {size} kB under independent loss, by the world and, segment by segment, by the probe's TCP over the same path: means
  of {world} and {probe} transfers."""


def extra_round_trips(segments: int, window: int) -> int:
    """Return how many round trips more than one segment so many take, by slow start's closed form."""
    rounds, fit = 0, window
    while segments > fit:
        rounds += 1
        fit += window << rounds
    return rounds


def _download(body_bytes: int, requests: int, seed: int) -> Data:
    data = small_world(ROUND_TRIP_NS, requests, 20_000, seed=seed)
    data["mesh"]["tls"] = {"mode": "DISABLE"}
    data["network"]["tcp"] = {"remember_destinations": False}
    data["traffic"][0]["response"] = f"{body_bytes} B"
    return data


def _transfer_ns(segments: int, seed: int) -> int:
    """Return what TCP and the network take of a request whose response has so many segments."""
    data = _download(segments * tcp.SEGMENT_BYTES - HEADERS_BYTES, 1, seed)
    (request,) = run_world(data)["requests"]
    return int(request.tcp_ns + request.network_ns)


def _transfers(seed: int) -> tuple[Claim, list[tuple[str, ...]]]:
    fits_ns = _transfer_ns(INITIAL_WINDOW, seed)
    rows: list[tuple[str, ...]] = []
    worst = 0.0
    for segments in TRANSFER_SEGMENTS:
        taken = (_transfer_ns(segments, seed) - fits_ns) / ROUND_TRIP_NS
        theory = extra_round_trips(segments, INITIAL_WINDOW)
        worst = max(worst, abs(taken - theory))
        rows.append((f"{segments} segments down", f"{INITIAL_WINDOW}", f"{theory}", f"{taken:.3f}"))
    text = "Transfers take the round trips of slow start"
    return at_most(text, SEGMENTS_TOLERANCE, round(worst, 4), "round trips off"), rows


def _flights(seed: int) -> tuple[Claim, list[tuple[str, ...]]]:
    rows: list[tuple[str, ...]] = []
    worst = 0.0
    for group, key, chain, window in FLIGHTS:
        times_ns = []
        for round_trip_ns in (ROUND_TRIP_NS, 2 * ROUND_TRIP_NS):
            data = small_world(round_trip_ns, 1, 60_000, seed=seed)
            data["mesh"]["tls"] |= {"key": key, "groups": [group]}
            data["mesh"]["identity"] = {"ca_key": key, "hierarchy": "per-site" if chain > 1 else "root"}
            data["network"]["tcp"] = {"initial_window": window}
            times_ns += handshakes_ns(data)
        case = ProbeCase(ROUND_TRIP_NS, group=group, key=key, chain=chain, mutual=True)
        flights = write_script(case, load_cost_profile("default")).flights
        segments = -(-next(flight.size_bytes for flight in flights if flight.sender == "server") // tcp.SEGMENT_BYTES)
        taken = (times_ns[1] - times_ns[0]) / ROUND_TRIP_NS
        theory = 2 + extra_round_trips(segments, window)
        worst = max(worst, abs(taken - theory))
        what = f"handshake, {group}, {key}, {chain} certificate{'s' * (chain > 1)}: {segments} down"
        rows.append((what, f"{window}", f"{theory}", f"{taken:.3f}"))
    text = "Handshakes take the round trips that their flights and windows give"
    return at_most(text, SEGMENTS_TOLERANCE, round(worst, 4), "round trips off"), rows


def _lossy(seed: int) -> tuple[Criterion, list[tuple[str, ...]]]:
    rows: list[tuple[str, ...]] = []
    worst, outside = 0.0, 0
    for loss_percent in LOSSES_PERCENT:
        data = _download(LOSSY_BYTES, LOSSY_REQUESTS, seed)
        data["network"]["links"][0]["loss"] = f"{loss_percent} %"
        tables = run_world(data)
        world_ms = [(each.tcp_ns + each.network_ns) / tcp.MS for each in tables["requests"] if each.outcome == "ok"]
        call = tables["calls"][0]
        probe_ms = _probe_ms(loss_percent / 100, call.bytes_sent, call.bytes_received, seed)
        variance = pvariance(world_ms) / len(world_ms) + pvariance(probe_ms) / len(probe_ms)
        errors = abs(fmean(world_ms) - fmean(probe_ms)) / variance**0.5
        worst, outside = max(worst, errors), outside + (errors > NORMAL_99)
        rows.append((f"{loss_percent} %", f"{fmean(probe_ms):.1f}", f"{fmean(world_ms):.1f}"))
    text = f"Transfers under loss take as long as segment by segment, to {MOST_ERRORS:g} standard errors."
    return Criterion(text, f"at most {worst:.1f}", worst <= MOST_ERRORS, len(LOSSES_PERCENT), outside), rows


def _probe_ms(loss: float, up_bytes: int, down_bytes: int, seed: int) -> list[float]:
    streams = [Random(f"world flights/{seed}/{loss}/{purpose}") for purpose in ("up", "down", "noise", "phase")]
    losses = (LossCountdown(loss, streams[0]), LossCountdown(loss, streams[1]))
    path = SteadyPath((ROUND_TRIP_NS // 2, ROUND_TRIP_NS // 2), BANDWIDTH_BPS, losses, streams[2])
    carrier = Carrier(path, TcpParameters())
    dialogue = (Turn(UP, (up_bytes,)), Turn(DOWN, (down_bytes,)))
    courses = [carrier.carry(dialogue, int(streams[3].random() * 1024 * tcp.MS)) for _ in range(LOSSY_PROBES)]
    return [course.delivered_ns[1] / tcp.MS for course in courses if len(course.delivered_ns) > 1]


def world_flights(seed: int = 1) -> Section:
    """Compare transfers and flights of several windows with slow start's closed form."""
    transfers, transfer_rows = _transfers(seed)
    flights, flight_rows = _flights(seed)
    lossy, lossy_rows = _lossy(seed)
    told = "\n".join(
        f"- At {loss} loss: {probe} ms segment by segment, {world} ms in the world."
        for loss, probe, world in lossy_rows
    )
    about = ABOUT.format(size=LOSSY_BYTES // 1000, world=LOSSY_REQUESTS, probe=LOSSY_PROBES)
    return Section(
        title="The world's TCP: windows",
        about=f"{about}\n\n{told}",
        columns=("segments", "first window", "round trips by theory", "in the world"),
        rows=(*transfer_rows, *flight_rows),
        criteria=(transfers, flights, lossy),
    )
