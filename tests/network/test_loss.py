"""Loss models against their distributions: shares within five standard deviations, bursts of geometric length."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.network.loss import GilbertElliottLoss, IndependentStrikes, LossModel, geometric


def one_by_one(model: LossModel, count: int) -> list[bool]:
    """Whether each of ``count`` packets is lost."""
    return [bool(model.strike(1)) for _ in range(count)]


def bursts(lost: list[bool]) -> list[int]:
    """Lengths of the runs of lost packets."""
    text = "".join("x" if one else " " for one in lost)
    return [len(run) for run in text.split()]


@pytest.mark.parametrize("probability", [0.0001, 0.01, 0.3, 0.9, 1.0])
def test_independent_strikes_have_their_share(probability: float) -> None:
    """The share of struck packets lies within five standard deviations of the probability."""
    count = 200_000
    struck = sum(one_by_one(IndependentStrikes(probability, Random(1)), count))
    assert abs(struck - count * probability) <= 5 * math.sqrt(count * probability * (1 - probability))


def test_independent_strikes_have_no_memory() -> None:
    """A packet after a struck one is struck as often as any other."""
    lost = one_by_one(IndependentStrikes(0.2, Random(2)), 200_000)
    after = [two for one, two in itertools.pairwise(lost) if one]
    assert abs(sum(after) / len(after) - 0.2) < 5 * math.sqrt(0.16 / len(after))


@pytest.mark.parametrize(
    ("average", "mean_burst"), [(0.01, 1.0), (0.01, 4.0), (0.05, 12.5), (0.3, 2.0), (0.5, 1.0), (0.9, 50.0)]
)
def test_gilbert_elliott_has_its_average_and_its_bursts(average: float, mean_burst: float) -> None:
    """The average loss and the mean burst are the configured ones, within five standard deviations of each."""
    count = 400_000
    lost = one_by_one(GilbertElliottLoss(average, mean_burst, Random(3)), count)
    recover, fail = 1 / mean_burst, average / mean_burst / (1 - average)
    correlation = abs(1 - recover - fail)  # of neighbouring packets: widens the interval of the mean
    deviation = math.sqrt(average * (1 - average) / count * (1 + correlation) / (1 - correlation + 1e-12))
    assert abs(sum(lost) / count - average) < 5 * deviation
    lengths = bursts(lost)
    spread = math.sqrt(mean_burst * (mean_burst - 1) / len(lengths))
    assert abs(sum(lengths) / len(lengths) - mean_burst) <= 5 * spread + 1e-9


def test_bursts_are_geometric() -> None:
    """Of bursts with a mean of 3 packets, the share of each length is that of the geometric distribution."""
    lengths = bursts(one_by_one(GilbertElliottLoss(0.1, 3.0, Random(4)), 400_000))
    counts, total = Counter(lengths), len(lengths)
    for length in range(1, 10):
        share = (1 / 3) * (2 / 3) ** (length - 1)
        assert abs(counts[length] / total - share) < 5 * math.sqrt(share * (1 - share) / total), length


def test_gilbert_elliott_is_stationary_from_the_first_packet_on() -> None:
    """Over many links the very first packet is lost with the average probability, not with none."""
    count = 20_000
    lost = sum(GilbertElliottLoss(0.2, 8.0, Random(seed)).strike(1) == [0] for seed in range(count))
    assert abs(lost / count - 0.2) < 5 * math.sqrt(0.16 / count)


_models = st.one_of(
    st.builds(lambda p, seed: (IndependentStrikes, (p,), seed), st.floats(0.001, 1), st.integers(0, 99)),
    st.builds(
        lambda share, burst, seed: (GilbertElliottLoss, (share * burst / (burst + 1), burst), seed),
        st.floats(0.01, 1),
        st.floats(1, 30),
        st.integers(0, 99),
    ),
)


@settings(max_examples=200, deadline=None)
@given(model=_models, trains=st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_trains_are_packets_in_a_row(model: tuple[type, tuple[float, ...], int], trains: list[int]) -> None:
    """What is said of a train is what would be said of its packets one by one."""
    kind, arguments, seed = model
    whole, single = kind(*arguments, Random(seed)), kind(*arguments, Random(seed))
    for packets in trains:
        lost = one_by_one(single, packets)
        assert list(whole.strike(packets)) == [number for number, struck in enumerate(lost) if struck]


def test_geometric_bounds() -> None:
    """Certain success comes at once, impossible success never, and one trial is the least there is."""
    assert geometric(1, Random(1)) == 1
    assert geometric(0, Random(1)) > 1 << 60
    assert min(geometric(0.9, Random(seed)) for seed in range(200)) == 1
