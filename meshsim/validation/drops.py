"""Finite queues: what a link's queue and a radio flow's buffer drop, against M/D/1/K."""

from __future__ import annotations

from math import exp
from random import Random

from meshsim.network.access import RadioAccess
from meshsim.network.link import LinkDirection
from meshsim.network.medium import WAITING, SharedMedium, SliceQueue
from meshsim.network.promise import AirPromise
from meshsim.network.radio import UPLINK, FixedRadioModel
from meshsim.network.train import LOST, Train
from meshsim.validation.claims import REPLICATIONS, in_interval
from meshsim.validation.section import Section
from meshsim.world.streams import Streams

MS = 1_000_000
PACKET_BYTES = 1_500
BANDWIDTH_BPS = 12_000_000
PACKET_NS = MS
"""What a packet takes at that bandwidth."""
PACKETS = 8_000
"""Of each replication, after the first ``WARM_UP``."""
WARM_UP = 500
CASES = ((0.8, 4), (0.8, 6), (0.95, 8), (1.2, 8))
"""Load, and how many packets find room, the one that is sent included."""
WIDEST = 0.15


def lost_share(load: float, places: int) -> float:
    """Return the loss probability of M/D/1/K by the chain that is embedded at departures.

    A departure leaves j packets with probability q(j). In proportion, q(j + 1) follows from those up to q(j): as many
    packets arrive while one is served as a Poisson variable of mean ``load`` says.
    The share that gets in is 1 / (q(0) + load).
    """
    arrive = [exp(-load)]
    for number in range(1, places + 1):
        arrive.append(arrive[-1] * load / number)
    left = [1.0]
    for state in range(places - 1):
        from_below = sum(left[before] * arrive[state - before + 1] for before in range(1, state + 1))
        left.append((left[state] - left[0] * arrive[state] - from_below) / arrive[0])
    empty = left[0] / sum(left)
    return 1 - 1 / (empty + load)


def _link_percent(load: float, places: int, random: Random) -> float:
    link = LinkDirection("a--b", "a", "b", 0, BANDWIDTH_BPS, 0, places * PACKET_BYTES, random)
    now_ns, dropped_before = 0, 0
    packet = Train()
    for number in range(WARM_UP + PACKETS):
        now_ns += round(random.expovariate(load / PACKET_NS))
        if number == WARM_UP:
            dropped_before = link.drops
        packet.load(PACKET_BYTES, 1, now_ns)
        if link.enter(packet, now_ns) != LOST:
            link.leave(packet)
    assert link.sent_bytes == link.delivered_bytes + link.lost_bytes
    return 100 * (link.drops - dropped_before) / PACKETS


def _air_percent(load: float, places: int, random: Random) -> float:
    queue = SliceQueue("web", 0, 50)
    # An interval in which less than a packet is sent: every packet waits its turn.
    cell = SharedMedium(BANDWIDTH_BPS, {"web": queue}, interval_ns=PACKET_NS // 10)
    model = FixedRadioModel("cell", 0, 0)
    flow = RadioAccess(UPLINK, model, cell, "web", AirPromise(MS), places * PACKET_BYTES)
    now_ns, dropped_before = 0, 0
    for number in range(WARM_UP + PACKETS):
        now_ns += round(random.expovariate(load / PACKET_NS))
        while cell.next_ns <= now_ns:
            due_ns = cell.next_ns
            sent = cell.advance(due_ns)
            if sent is not None:
                flow.across(sent, due_ns)
        if number == WARM_UP:
            dropped_before = queue.drops
        packet = Train()
        packet.load(PACKET_BYTES, 1, now_ns)
        assert flow.enter(packet, now_ns) in (WAITING, LOST)
    return 100 * (queue.drops - dropped_before) / PACKETS


def dropped(seed: int) -> Section:
    """M/D/1/K: the share of packets that find no room."""
    streams = Streams(seed)
    claims = []
    for what, percent in (("link", _link_percent), ("radio", _air_percent)):
        for load, places in CASES:
            names = [("finite queue", what, str(load), str(places), str(number)) for number in range(REPLICATIONS)]
            found = [percent(load, places, streams.stream(*name)) for name in names]
            text = f"Dropped before a {what}, load {load:g}, room for {places}"
            claims.append(in_interval(text, 100 * lost_share(load, places), found, "%", widest=WIDEST))
    about = f"""
Poisson arrivals of packets of {PACKET_BYTES} bytes, at a link whose `queue` has room for so many, and at a radio flow
whose `rlc_buffer` has. The chain embedded at departures of M/D/1/K gives what share finds no room; drops are rare, so
joint intervals may be up to {100 * WIDEST:g} % of that wide, each way."""
    return Section("Finite queues: M/D/1/K", about, (), (), tuple(claims))
