"""Loss on links: its average, and the lengths of its bursts."""

from __future__ import annotations

from math import sqrt

from meshsim.network.loss import GilbertElliottLoss, IndependentStrikes, LossModel
from meshsim.validation.claims import REPLICATIONS, Claim, in_interval, mean_in_interval, share_in_interval
from meshsim.validation.section import Section
from meshsim.world.streams import Streams

PACKETS = 200_000
"""Of each replication."""
CASES = ((0.02, 3.0), (0.1, 8.0))
"""Average loss, and mean length of a burst in packets."""
TRAIN_SEGMENTS = (1, 1, 4, 10, 1, 2)
"""Packets come in trains, as TCP sends them: the model is asked about several at once."""


def _bursts(model: LossModel) -> list[int]:
    """The lengths of whole bursts among ``PACKETS``, asked about one at a time."""
    lengths, length = [], 0
    for _ in range(PACKETS):
        if model.strike(1):
            length += 1
        elif length:
            lengths.append(length)
            length = 0
    return lengths


def _lost_percent(model: LossModel) -> float:
    """How many of ``PACKETS`` are lost that come in trains."""
    lost = sent = turn = 0
    while sent < PACKETS:
        segments = TRAIN_SEGMENTS[turn % len(TRAIN_SEGMENTS)]
        lost += len(model.strike(segments))
        sent += segments
        turn += 1
    return 100 * lost / sent


def _gilbert_elliott(streams: Streams, average: float, mean_burst: float) -> list[Claim]:
    lengths: list[int] = []
    losses = []
    for number in range(REPLICATIONS):
        case = ("bursts", f"{average}/{mean_burst}", str(number))
        losses.append(_lost_percent(GilbertElliottLoss(average, mean_burst, streams.stream(*case, "trains"))))
        lengths += _bursts(GilbertElliottLoss(average, mean_burst, streams.stream(*case, "packets")))
    name = f"{100 * average:g} % in bursts of {mean_burst:g}"
    # Of a geometric length with mean b the variance is b (b - 1).
    error = sqrt(mean_burst * (mean_burst - 1) / len(lengths))
    stay = 1 - 1 / mean_burst
    return [
        in_interval(f"{name}: packets lost", 100 * average, losses, "%"),
        mean_in_interval(f"{name}: mean length", mean_burst, sum(lengths) / len(lengths), error, "packets"),
        *(
            share_in_interval(
                f"{name}: longer than {most}", stay**most, sum(one > most for one in lengths), len(lengths)
            )
            for most in (1, round(2 * mean_burst))
        ),
    ]


def bursts(seed: int) -> Section:
    """Gilbert-Elliott loss: average and burst lengths; independent loss: average."""
    streams = Streams(seed)
    claims = [claim for case in CASES for claim in _gilbert_elliott(streams, *case)]
    losses = [
        _lost_percent(IndependentStrikes(0.02, streams.stream("independent", str(number))))
        for number in range(REPLICATIONS)
    ]
    claims.append(in_interval("2 % independently: packets lost", 2, losses, "%"))
    about = f"""
Gilbert-Elliott loss by its average and the mean length b of its bursts: {REPLICATIONS} times {PACKETS} packets.
Lengths are geometric, longer than n with probability (1 - 1/b)^n. The packets lost are counted among packets that come
in trains of 1 to {max(TRAIN_SEGMENTS)}, about which the model is asked at once, as it is about TCP's."""
    return Section("Loss in bursts", about, (), (), tuple(claims))
