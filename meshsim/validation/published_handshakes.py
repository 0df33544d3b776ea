"""Handshake times under loss, against the published table."""

from __future__ import annotations

import bisect
import csv
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from random import Random
from types import MappingProxyType

import msgspec

from meshsim.network import tcp
from meshsim.network.tcp_connection import Carrier
from meshsim.network.tcp_dialogue import Dialogue, Turn
from meshsim.network.tcp_parameters import DestinationMemory, TcpParameters
from meshsim.network.tcp_path import DOWN, UP, LossCountdown, SteadyPath
from meshsim.validation.published_modes import lateness
from meshsim.validation.section import Criterion, Section

TABLE = Path(__file__).parent / "data" / "handshake_time_under_loss.csv"

FLIGHTS: Mapping[str, tuple[int, tuple[int, ...]]] = MappingProxyType(
    {
        # ClientHello; writes of the server's flight. P-256: 95 bytes of ServerHello beside the shares, a version 1
        # certificate of 317 bytes, a signature, Finished, and the list of groups that liboqs' OpenSSL adds.
        "key exchange P-256": (300, (800,)),
        # Kyber512 adds 800 bytes to the client's share and 740 to the server's.
        "key exchange P-256+Kyber512": (1_100, (1_540,)),
        # The signature experiments exchange keys with P-256+Kyber512 (ssl groups of the experiment's client).
        "signature ECDSA P-256": (1_100, (1_540,)),
        # A key of 1184 and two signatures of 2044 bytes; OpenSSL writes full buffers of 4096 bytes.
        "signature Dilithium2": (1_100, (4_096, 2_600)),
    }
)
SHORT_FLIGHTS = "key exchange P-256"
COMPUTE_NS = 1_080_000
"""What both hosts take for a handshake beside two round trips: the one number that is read off the table."""
LINUX_2019 = TcpParameters(aggregated_segments=2)
HOST_NOISE_NS = 50_000
SAMPLES = 4_000
ABLATION_SAMPLES = 2_000
QUANTILES = {"p25_ms": 0.25, "p50_ms": 0.5, "p75_ms": 0.75, "p85_ms": 0.85, "p95_ms": 0.95}
JUDGED = ("p50_ms", "p75_ms", "p85_ms", "p95_ms")
MOST_LOSS, MOST_LOSS_OF_MEDIANS = 10.0, 5.0
TOLERANCE, MEDIAN_TOLERANCE, SHARE_TOLERANCE = 0.1, 0.02, 0.02
SHORT_SHARE, LONG_SHARE = 0.85, 0.75

ABLATIONS: Mapping[str, TcpParameters] = MappingProxyType(
    {
        "each segment lost on its own": TcpParameters(),
        "nothing remembered between connections": TcpParameters(aggregated_segments=2, remember_destination=False),
    }
)

ABOUT = """\
Time from connect() to TLS 1.3 established with server authentication, at quantiles, against loss each way: Paquin,
Stebila, Tamvada, *Benchmarking Post-Quantum Cryptography in TLS* (ePrint 2019/1447), 125 rows of four kinds of
handshake, emulated with netem between two network namespaces. One set of TCP parameters serves all cells; rows beyond
10 % loss are not judged.

What is assumed of the experiment, and why:

- **Flights.** From the sizes of keys, signatures and certificates (version 1, common names only, no intermediate) in
  the experiment's published scripts: a server's flight of 800 bytes with P-256, 1540 with Kyber512, 6700 with
  Dilithium2, written in buffers of 4096 bytes. The scripts run the signature experiments with P-256+Kyber512, not with
  plain P-256.
- **What is lost together.** Segmentation offload was switched off, but since Linux 4.17 TCP builds aggregates all the
  same, of two segments at these rates, and the device splits them only behind the queueing discipline: netem loses them
  whole. The table shows it: a Kyber512 handshake with two segments down has the loss-free share of one.
- **Timers.** 250 ticks a second; timers beyond 63 ticks expire on multiples of eight, so a SYN is repeated after 1000
  to 1032 ms.
- **Memory.** A client remembers a destination's round trip (Linux's TCP metrics) and a server does not. What a lost
  ClientHello costs grows with the loss rate at one and the same round trip, from about 230 ms up to 1.5 % to 272 ms and
  more from 6 %: that is what samples of over a second do, which repeated SYNs give, when they are remembered. The
  published program closes with a reset, after which Linux should store nothing: the figures were believed, not the
  listing.
- **A probe's echo.** Where all of a two-segment flight is lost, the tail loss probe's answer reveals the hole only if
  it took no less than the shortest round trip so far. With a fixed delay that is a toss of a coin (50 µs of noise are
  assumed), and where it falls wrong the retransmission timeout has to do.
- **Computing.** 1.08 ms a handshake, in all cells: the mean of what the medians at 5.6 ms up to 5 % loss have beyond
  two round trips, and the one number that is read off the table. It is not constant there (0.88 ms without loss,
  1.29 ms at 5 %), which alone is 1.7 % of the shortest medians.

Where it misses, and why: at the edges of modes that lie far apart. With 2.5 % loss (1-p)^2 = 95.06 % have their SYN
answered at once, so P95 is 0.06 points from a leap of a second; with 4 % nothing is lost for (1-p)^4 = 84.9 %, so P85
is 0.1 points from one of 200 ms; with 7 % that is 74.8 %, beside P75; with 8 % the SYN is answered at once for 84.6 %,
beside P85. There the scatter of a few thousand handshakes, the table's and these, decides which side a quantile shows.
So quantiles are also held the other way round: the model's share of handshakes up to the published time must be the
quantile's own, to 2 points, in every cell.

Ten per cent of a quantile beyond a second hide a timeout that is 50 ms wrong. So quantiles that agree and lie where a
retransmission timeout, or a SYN's, puts them are looked at together: the median of what the model is apart from what
was measured tells a timeout of 200 ms from one of 195 or 205, and 1 s from 1.02 s. Its bounds were set with the
deviations in sight.

`meshsim handshake` by itself knows nothing of that experiment: its CPUs are other ones, it loses each segment on its
own, both ends remember, and flights are as OpenSSL makes them today. With `--cpu reference`, `--group P-256` for the
P-256 cells, `X25519MLKEM768` for the others, `--key ml-dsa-44` for Dilithium2, 108 of the 120 P-256 cells and 157 of
the 180 others lie within 10 %; medians up to 5 % loss lie within 2 % at 31 ms, and up to 7 % below the published ones
at 5.6 ms, where a handshake computes for 0.4 ms and took 0.9 to 1.3 ms in the experiment.

What machine that was is not told with the table. Of the named CPUs `altra-n1`, from rates that others have published,
comes nearest to its computing time: 1.1 ms for this handshake, against 1.08 ms above. With it the medians of all 50
cells up to 5 % loss lie within 2 %, by the plain command, here for 5.6 ms and 2 % loss:

    meshsim handshake --rtt "5.609 ms" --loss "2 %" --group P-256 --key ecdsa-p256 --cpu altra-n1"""


class Cell(msgspec.Struct, frozen=True):
    """One line of the table, times in milliseconds."""

    family: str
    round_trip_ms: float
    loss_percent: float
    quantiles_ms: dict[str, float]


class Fit(msgspec.Struct, frozen=True):
    """A cell and what the model makes of it."""

    cell: Cell
    model_ms: dict[str, float]
    shares: dict[str, float]
    """Share of handshakes below each limit."""
    apart: dict[str, float]
    """How far the share of each quantile is from what the model has below the published time, give or take 10 %."""

    def off(self, name: str) -> float:
        """Relative error of a quantile."""
        return self.model_ms[name] / self.cell.quantiles_ms[name] - 1


def read_table() -> list[Cell]:
    """Read the published table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return [
            Cell(
                family=row["family"],
                round_trip_ms=float(row["rtt_ms"]),
                loss_percent=float(row["loss_percent_each_way"]),
                quantiles_ms={name: float(row[name]) for name in QUANTILES},
            )
            for row in csv.DictReader(file)
        ]


def dialogue_of(family: str) -> Dialogue:
    """Return a family's dialogue: hello, server's flight, finish, tickets."""
    hello_bytes, flight_bytes = FLIGHTS[family]
    server_ns = COMPUTE_NS // 2
    return (
        Turn(UP, (hello_bytes,)),
        Turn(DOWN, flight_bytes, server_ns),
        Turn(UP, (80,), COMPUTE_NS - server_ns),
        Turn(DOWN, (500,)),
    )


def limits_ms(cell: Cell) -> dict[str, float]:
    """Return the limits below which shares are compared."""
    return {"2 R + 50 ms": 2 * cell.round_trip_ms + 50, "0.9 s": 900.0, "2.9 s": 2900.0}


def fit(cell: Cell, parameters: TcpParameters, samples: int, seed: int) -> Fit:
    """Simulate a cell."""
    name = f"published handshakes/{seed}/{cell.family}/{cell.round_trip_ms}/{cell.loss_percent}"
    streams = [Random(f"{name}/{purpose}") for purpose in ("up", "down", "noise", "phase")]
    loss = cell.loss_percent / 100
    half_ns = round(cell.round_trip_ms * tcp.MS / 2)
    losses = (LossCountdown(loss, streams[0]), LossCountdown(loss, streams[1]))
    path = SteadyPath((half_ns, half_ns), 10**9, losses, streams[2], HOST_NOISE_NS)
    carrier = Carrier(path, parameters, (DestinationMemory(), None))
    dialogue = dialogue_of(cell.family)
    finish_ns = dialogue[2].compute_ns
    times_ms: list[float] = []
    for _ in range(samples):
        course = carrier.carry(dialogue, int(streams[3].random() * 1024 * tcp.MS))
        if len(course.delivered_ns) > 1:
            # A connection that failed was made again: the published program does not count it.
            times_ms.append((course.delivered_ns[1] + finish_ns) / tcp.MS)
    times_ms.sort()
    count = len(times_ms)
    return Fit(
        cell=cell,
        model_ms={name: times_ms[min(int(share * count), count - 1)] for name, share in QUANTILES.items()},
        shares={name: bisect.bisect(times_ms, limit) / count for name, limit in limits_ms(cell).items()},
        apart={name: _apart(times_ms, cell.quantiles_ms[name], share) for name, share in QUANTILES.items()},
    )


def _apart(times_ms: list[float], published_ms: float, share: float) -> float:
    few, many = (
        bisect.bisect(times_ms, published_ms * factor) / len(times_ms) for factor in (1 - TOLERANCE, 1 + TOLERANCE)
    )
    return max(few - share, share - many, 0.0)


def share_outside(fitted: Fit, name: str) -> float:
    """Return by how much a share lies outside what the table's quantiles allow, 0 if it does not."""
    limit = limits_ms(fitted.cell)[name]
    quantiles = fitted.cell.quantiles_ms
    least = max((share for key, share in QUANTILES.items() if quantiles[key] <= limit), default=0.0)
    most = min((share for key, share in QUANTILES.items() if quantiles[key] > limit), default=1.0)
    return max(least - fitted.shares[name], fitted.shares[name] - most, 0.0)


def within(fits: list[Fit], short: bool) -> tuple[int, int]:
    """Return how many judged quantiles up to 10 % loss are within tolerance, and of how many."""
    offs = [
        abs(fitted.off(name)) for fitted in fits if (fitted.cell.family == SHORT_FLIGHTS) == short for name in JUDGED
    ]
    return sum(off <= TOLERANCE for off in offs), len(offs)


def published_handshakes(seed: int = 1) -> Section:
    """Compare every cell up to 10 % loss."""
    cells = [cell for cell in read_table() if cell.loss_percent <= MOST_LOSS]
    fits = [fit(cell, LINUX_2019, SAMPLES, seed) for cell in cells]
    return Section(
        title="Handshake time under loss: published measurements",
        about=ABOUT + "\n\n" + _missed(fits) + "\n\n" + _ablations(cells, fits, seed),
        columns=("family", "R (ms)", "cells within 10 %", "largest error of P50 up to 5 %", "mean error of P50 to P95"),
        rows=tuple(_family_rows(fits)),
        criteria=(
            *(_medians(fits), _quantiles(fits, True), _quantiles(fits, False), _shares(fits), _all_shares(fits)),
            *lateness(late_and_apart(fits)),
        ),
    )


def _medians(fits: list[Fit]) -> Criterion:
    worst = max(abs(each.off("p50_ms")) for each in fits if each.cell.loss_percent <= MOST_LOSS_OF_MEDIANS)
    text = "P50 lies within 2 % in every cell up to 5 % loss."
    return Criterion(text, f"at most {100 * worst:.1f} % off", worst <= MEDIAN_TOLERANCE)


def _quantiles(fits: list[Fit], short: bool) -> Criterion:
    good, count = within(fits, short)
    least, which = (SHORT_SHARE, "P-256") if short else (LONG_SHARE, "longer-flight")
    text = f"Of the {which} cells (P50 to P95, up to 10 % loss), {100 * least:g} % or more lie within 10 %."
    return Criterion(text, f"{good} of {count}, {100 * good / count:.1f} %", good >= least * count)


def _shares(fits: list[Fit]) -> Criterion:
    worst, where = max(
        ((share_outside(each, name), f"{name}, {_place(each.cell)}") for each in fits for name in each.shares),
        key=lambda pair: pair[0],
    )
    text = (
        "The shares of handshakes under 2 R + 50 ms, 0.9 s and 2.9 s lie within 2 points of what the quantiles allow."
    )
    return Criterion(text, f"at most {100 * worst:.1f} points outside ({where})", worst <= SHARE_TOLERANCE)


def _all_shares(fits: list[Fit]) -> Criterion:
    worst, where = max(
        (
            (each.apart[name], f"{name.removesuffix('_ms').upper()}, {_place(each.cell)}")
            for each in fits
            for name in JUDGED
        ),
        key=lambda pair: pair[0],
    )
    points = 100 * SHARE_TOLERANCE
    text = f"At each published quantile, give or take 10 %, the model's share is right to {points:g} points."
    return Criterion(text, f"at most {100 * worst:.1f} points off ({where})", worst <= SHARE_TOLERANCE)


def late_and_apart(fits: list[Fit]) -> list[tuple[float, float]]:
    """Return of each judged quantile that agrees how far it is beyond two round trips, and the model beyond it."""
    return [
        (each.cell.quantiles_ms[name] - 2 * each.cell.round_trip_ms, each.model_ms[name] - each.cell.quantiles_ms[name])
        for each in fits
        for name in JUDGED
        if abs(each.off(name)) <= TOLERANCE
    ]


def _place(cell: Cell) -> str:
    return f"{cell.family}, R {cell.round_trip_ms:g} ms, {cell.loss_percent:g} % loss"


def _family_rows(fits: list[Fit]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for (family, round_trip_ms), group in groupby(fits, lambda each: (each.cell.family, each.cell.round_trip_ms)):
        members = list(group)
        offs = [abs(each.off(name)) for each in members for name in JUDGED]
        good = sum(off <= TOLERANCE for off in offs)
        median = max(abs(each.off("p50_ms")) for each in members if each.cell.loss_percent <= MOST_LOSS_OF_MEDIANS)
        mean = sum(offs) / len(offs)
        rows.append(
            (
                family,
                f"{round_trip_ms:g}",
                f"{good} of {len(offs)}",
                f"{100 * median:.1f} %",
                f"{100 * mean:.1f} %",
            )
        )
    return rows


def _missed(fits: list[Fit]) -> str:
    lines = [
        "Quantiles that miss by more than 10 %; *off* is by how many points the model's share of handshakes up to the",
        "published time, give or take 10 %, is:",
        "",
        "| cell | quantile | published | meshsim | off |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {_place(each.cell)} | {name.removesuffix('_ms').upper()} | {each.cell.quantiles_ms[name]:.1f} ms "
        f"| {each.model_ms[name]:.1f} ms | {100 * each.apart[name]:.1f} points |"
        for each in fits
        for name in JUDGED
        if abs(each.off(name)) > TOLERANCE
    ]
    return "\n".join(lines)


def _ablations(cells: list[Cell], validated: list[Fit], seed: int) -> str:
    lines = [
        f"What single assumptions contribute ({ABLATION_SAMPLES} samples a cell instead of {SAMPLES}):",
        "",
        "| model | P-256 cells within 10 % | longer flights |",
        "|---|---|---|",
    ]
    variants = {"as validated": validated}
    for name, parameters in ABLATIONS.items():
        variants[name] = [fit(cell, parameters, ABLATION_SAMPLES, seed) for cell in cells]
    for name, fits in variants.items():
        (good, count), (long_good, long_count) = within(fits, True), within(fits, False)
        lines.append(f"| {name} | {good} of {count} | {long_good} of {long_count} |")
    return "\n".join(lines)
