"""Long transfers: Reno under random loss and behind a known buffer, against closed forms."""

from __future__ import annotations

from math import sqrt
from random import Random
from statistics import fmean, stdev

from meshsim.network import tcp
from meshsim.network.room import BITS_NS
from meshsim.network.tcp_connection import carry
from meshsim.network.tcp_dialogue import Turn
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_path import UP, LossCountdown, SteadyPath
from meshsim.validation.claims import REPLICATIONS, T_JOINT, Claim, within
from meshsim.validation.periodic_losses import periodic_losses
from meshsim.validation.section import Section
from meshsim.validation.small_world import run_world, small_world
from meshsim.world.streams import Streams

STATIONARY = 1.3098
"""Mean window of ideal congestion avoidance times the root of the loss probability (Ott, Kemperman, Mathis 1996)."""
ROUND_TRIP_NS = 50 * tcp.MS
LOSSES = (0.002, 0.005, 0.01)
WARM_UP, MEASURED = 3, 6
"""Losses that are waited for, and measured over, on average."""
MOST = 4
"""Times the mean window: what the receiver has room for, so that slow start does not take long to be forgotten."""
REPAIRS_SEGMENTS = 1.0
"""How much smaller than ideal windows are, beside chance: each repair takes a round trip in which a window does not
grow, and halves of whole segments are rounded down."""
FAST_BPS = 10**10

BANDWIDTH_BPS = 12_000_000
PACKET_BYTES = 1_500
PATH_PACKETS = 60
"""What the way holds: bandwidth times round trip, in packets."""
BUFFERS = (15, 30, 60, 120)
SENT_BYTES = 40_000_000
SKIPPED_NS = 8 * tcp.S
"""Slow start, and the first sawteeth."""
BUFFER_TOLERANCE = 2.5
"""Percentage points: a window of whole segments loses two of them at a time where it grows by two."""


def utilisation(path: float, buffer: float) -> float:
    """Return what share of a bottleneck one Reno flow uses, whose way holds ``path`` packets, behind such a buffer.

    Its window goes from half of the most, path + buffer, to that, by a segment a round trip; below ``path`` a round
    trip lasts as long as the way is empty, above it the bottleneck is busy all the time. 75 % without a buffer.
    """
    most = path + buffer
    least = most / 2
    sent = (most**2 - least**2) / 2
    idle = max(0.0, path - least)
    busy = (most**2 - max(path, least) ** 2) / 2
    return sent / (idle * path + busy)


def _window(loss: float, random: Random, unused: Random) -> float:
    """Return the mean window of one transfer under loss: what it carries a round trip."""
    losses = (LossCountdown(loss, random), LossCountdown(0, unused))
    path = SteadyPath((ROUND_TRIP_NS // 2, ROUND_TRIP_NS // 2), FAST_BPS, losses, unused)
    sizes = [round(losses / loss) * tcp.SEGMENT_BYTES for losses in (WARM_UP, MEASURED)]
    parameters = TcpParameters(congestion_control="reno", maximum_window=round(MOST * STATIONARY / sqrt(loss)))
    begun_ns, done_ns = carry(tuple(Turn(UP, (size,)) for size in sizes), path, parameters).delivered_ns
    return sizes[1] // tcp.SEGMENT_BYTES * ROUND_TRIP_NS / (done_ns - begun_ns)


def _under_loss(seed: int) -> list[Claim]:
    streams = Streams(seed)
    claims: list[Claim] = []
    for loss in LOSSES:
        windows = []
        for number in range(REPLICATIONS):
            names = [("bulk", str(loss), str(number), purpose) for purpose in ("loss", "unused")]
            windows.append(_window(loss, streams.stream(*names[0]), streams.stream(*names[1])))
        text = f"Mean window of Reno at {100 * loss:g} % loss"
        tolerance = T_JOINT * stdev(windows) / sqrt(REPLICATIONS) + REPAIRS_SEGMENTS
        claims.append(within(text, STATIONARY / sqrt(loss), fmean(windows), tolerance, "segments"))
    return claims


def _behind(buffer: int, seed: int) -> float:
    """Return what share of the bottleneck one long response uses, in percent."""
    round_trip_ns = PATH_PACKETS * PACKET_BYTES * BITS_NS // BANDWIDTH_BPS
    data = small_world(round_trip_ns, 1, 120_000, seed=seed)
    data["mesh"]["tls"] = {"mode": "DISABLE"}
    data["mesh"]["resilience"] |= {"request_timeout": "10 min"}
    data["network"]["tcp"] = {"congestion_control": "reno", "maximum_window": 100_000}
    data["network"]["links"][0] |= {
        "bandwidth": f"{BANDWIDTH_BPS} bit/s",
        "queue": f"{buffer * PACKET_BYTES} B",
    }
    data["traffic"][0]["response"] = f"{SENT_BYTES} B"
    rows = [row for row in run_world(data)["links"] if row.link == "east->west-0" and row.delivered_bytes]
    steady = [row for row in rows if SKIPPED_NS < row.t_ns < rows[-1].t_ns]
    return fmean(row.utilisation_ppm for row in steady) / 10_000


def bulk(seed: int) -> Section:
    """Long transfers of one Reno flow."""
    sawteeth, rows = periodic_losses()
    claims = [sawteeth, *_under_loss(seed)]
    for buffer in BUFFERS:
        theory = 100 * utilisation(PATH_PACKETS, buffer)
        text = f"Use of a bottleneck by one flow, buffer of {buffer} packets"
        claims.append(within(text, theory, _behind(buffer, seed), BUFFER_TOLERANCE, "%"))
    about = f"""
What one flow with Reno's congestion control carries, which has a theory; CUBIC's, the default, is held against Linux's
in tests/network/test_linux_bulk.py.

- Where every N-th packet is lost nothing is left to chance (after Mathis, Semke, Mahdavi, Ott 1997): a loss at a window
  of W halves it, a round trip goes for the repair, in which half a window leaves, and from then on each has a segment
  more, up to W again. That is W/2 + W/2 + (W/2 + 1) + ... + W packets in W/2 + 2 round trips.
- Under independent loss p, segment by segment, as the probe and worlds play TCP. The window of ideal congestion
  avoidance is {STATIONARY} / sqrt(p) on average (Ott, Kemperman, Mathis 1996). Of each of {REPLICATIONS} transfers the
  part in which {MEASURED} losses are due counts. Beside the confidence interval the window may be one segment off,
  which is seen: a repair takes a round trip in which it does not grow, and halves are rounded down.
- A response of {SENT_BYTES // 1_000_000} MB in a world, over a link of {BANDWIDTH_BPS // 10**6} Mbit/s that holds
  {PATH_PACKETS} packets, behind its `queue`. The window goes to and fro between path and buffer, and half of that:
  without a buffer the link is used to 75 %, with one as long as the path to 100 %. The bound of
  {BUFFER_TOLERANCE} percentage points was set with the deviations in sight: they come from losing more than one
  packet at a time.

What was [broken on purpose](validation-breaks.md), and noticed."""
    columns = ("a loss every ... packets", "window at a loss", "round trips by theory", "found")
    return Section("Long transfers: random loss, and a known buffer", about, columns, tuple(rows), tuple(claims))
