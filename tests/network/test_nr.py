"""New Radio from its parameters: against a walk from slot to slot, closed forms, and the geometric law."""

from __future__ import annotations

from collections import Counter
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.network.nr import NrRadioModel
from meshsim.network.radio import DOWNLINK, UPLINK
from meshsim.network.radio_theory import failures_share, mean_and_margin_ns, mean_repetition_ns, mean_wait_ns
from meshsim.network.train import LOST
from meshsim.scenario.nr import NrRadio

MS = 1_000_000
BARE = {"device_processing": "0 ms", "gnb_processing": "0 ms", "block_error_rate": "0 %"}
PATTERNS = ["FDD", "DDDSU", "DDSU", "DSUU", "DDDDDDDSUU", "DDDSUUDDDD", "DSU", "SUD"]


class NoRandom(Random):
    """A generator that must not be asked."""

    def random(self) -> float:
        """Fail."""
        raise AssertionError("something was drawn")


def radio(offset_slots: int = 0, random: Random | None = None, **settings: Any) -> NrRadioModel:
    """A model with these settings."""
    return NrRadioModel("cell-1", NrRadio.model_validate(settings), random or Random(1), offset_slots)


def test_downlink_leaves_in_the_next_downlink_slot() -> None:
    """At 30 kHz and DDDSU a packet takes half a millisecond on the air, a special slot's 10 symbols, or waits for D."""
    model = radio(**BARE)
    special_ns = 10 * 500_000 // 14
    for now_ns, expected_ns in (
        (0, 500_000),
        (1, 999_999),
        (500_000, 500_000),
        (1_000_001, 499_999 + special_ns),
        (1_500_000, special_ns),
        (1_500_001, 999_999 + 500_000),
        (2_000_000, 1_000_000),
        (2_500_000, 500_000),
    ):
        assert model.delay_ns(DOWNLINK, now_ns) == expected_ns, now_ns


def test_uplink_asks_and_is_granted() -> None:
    """A request in slot 3 or 4, a grant in the next downlink slot, K2 slots on to the uplink slot: counted by hand."""
    model = radio(**BARE, scheduling_request_period=5)
    # occasion 0 moves on to slot 3 (special), its grant is in slot 5, the data may go in slot 6 and waits for slot 9
    assert model.delay_ns(UPLINK, 0) == 10 * 500_000
    assert model.delay_ns(UPLINK, 1_500_000) == 7 * 500_000
    # slot 3 takes requests in its symbols 12 and 13, so what gets ready while it lasts makes the same request
    symbol_12_ns = 3 * 500_000 + 12 * 500_000 // 14
    assert model.delay_ns(UPLINK, symbol_12_ns) == 10 * 500_000 - symbol_12_ns
    # the request of slot 3 is missed: occasion 5 moves to slot 8, granted in 10, sent in 14
    assert model.delay_ns(UPLINK, symbol_12_ns + 1) == 15 * 500_000 - symbol_12_ns - 1
    # without such symbols occasion 0 is in slot 4, which is missed once it has begun
    without = radio(**BARE, scheduling_request_period=5, special_uplink_symbols=0)
    assert without.delay_ns(UPLINK, 2_000_000) == 10 * 500_000 - 2_000_000
    assert without.delay_ns(UPLINK, 2_000_001) == 15 * 500_000 - 2_000_001


def test_configured_grant_needs_no_request() -> None:
    """With a configured grant a packet leaves in the next occasion's uplink slot; without one it waits far longer."""
    model = radio(**BARE, configured_grant_period=5)
    assert [model.delay_ns(UPLINK, slot * 500_000) for slot in range(6)] == [
        (5 - slot) * 500_000 if slot < 5 else 10 * 500_000 - slot * 500_000 for slot in range(6)
    ]
    asking = radio(**BARE)
    assert all(model.delay_ns(UPLINK, t) < asking.delay_ns(UPLINK, t) for t in range(0, 20 * MS, 77_777))


def walked_ns(settings: NrRadio, direction: int, now_ns: int, offset_slots: int) -> int:
    """The delay without errors, found by walking from slot to slot."""
    slot_ns = settings.slot_ns
    pattern = settings.duplex_pattern
    device_ns, gnb_ns = settings.processing_ns
    down_symbols, up_symbols = settings.special_symbols

    def first(start_ns: int, letters: str) -> int:
        return next(
            slot
            for slot in count(start_ns // slot_ns)
            if slot * slot_ns >= start_ns and pattern[slot % len(pattern)] in letters
        )

    def occasion(start_ns: int, period: int, letters: str) -> int:
        moved = (first(begin * slot_ns, letters) for begin in count(offset_slots % period - period, period))
        return next(slot for slot in moved if slot * slot_ns + symbols_ns(slot) >= start_ns)

    def symbols_ns(slot: int) -> int:
        return (14 - up_symbols) * slot_ns // 14 if pattern[slot % len(pattern)] == "S" else 0

    if direction == DOWNLINK:
        slot = first(now_ns + gnb_ns, "DBS" if down_symbols >= 4 else "DB")
        length_ns = slot_ns * down_symbols // 14 if pattern[slot % len(pattern)] == "S" else slot_ns
        return slot * slot_ns + length_ns + device_ns - now_ns
    if settings.configured_grant_period is not None:
        slot = occasion(now_ns + device_ns, settings.configured_grant_period, "UB")
    else:
        request = occasion(now_ns + device_ns, settings.request_period_slots, "UBS" if up_symbols else "UB")
        grant = first((request + 1) * slot_ns + gnb_ns, "DBS" if down_symbols else "DB")
        slot = first((grant + settings.k2_slots) * slot_ns, "UB")
    return (slot + 1) * slot_ns + gnb_ns - now_ns


@given(
    numerology=st.integers(0, 3),
    pattern=st.sampled_from(PATTERNS),
    access=st.sampled_from(
        [{"scheduling_request_period": n} for n in (1, 2, 4, 5, 8, 10)]
        + [{"configured_grant_period": n} for n in (1, 4, 5, 8)]
    ),
    special=st.sampled_from([(10, 2), (3, 4), (0, 0), (12, 1)]),
    offset_slots=st.integers(0, 12),
    grant_delay=st.none() | st.integers(0, 9),
    now_ns=st.integers(0, 30 * MS),
)
def test_model_is_the_walk(
    numerology: int,
    pattern: str,
    access: dict[str, int],
    special: tuple[int, int],
    offset_slots: int,
    grant_delay: int | None,
    now_ns: int,
) -> None:
    """Without errors both ways take what walking from slot to slot finds, and nothing is drawn."""
    settings = NrRadio.model_validate(
        {
            "numerology": numerology,
            "pattern": pattern,
            "special_downlink_symbols": special[0],
            "special_uplink_symbols": special[1],
            "grant_delay": grant_delay,
            "block_error_rate": "0 %",
            **access,
        }
    )
    model = NrRadioModel("cell-1", settings, NoRandom(), offset_slots)
    for direction in (UPLINK, DOWNLINK):
        assert model.delay_ns(direction, now_ns) == walked_ns(settings, direction, now_ns, offset_slots)


@pytest.mark.parametrize("numerology", range(4))
@pytest.mark.parametrize("pattern", PATTERNS)
def test_mean_downlink_wait_is_the_residual_life(numerology: int, pattern: str) -> None:
    """At uniform instants the closed form of the mean is inside the 99 % confidence interval; delays are bounded."""
    model = radio(**BARE, numerology=numerology, pattern=pattern)
    slot_ns = MS >> numerology
    letters = "B" if pattern == "FDD" else pattern
    period_ns = len(letters) * slot_ns
    begins_ns = [slot * slot_ns for slot, letter in enumerate(letters) if letter in "DBS"]
    before_ns = [begins_ns[-1], *begins_ns[:-1]]
    gaps_ns = [(begin - before - 1) % period_ns + 1 for before, begin in zip(before_ns, begins_ns, strict=True)]
    lengths_ns = [slot_ns * 10 // 14 if letters[begin // slot_ns] == "S" else slot_ns for begin in begins_ns]
    served_ns = sum(gap * length for gap, length in zip(gaps_ns, lengths_ns, strict=True)) / period_ns
    random = Random(numerology)
    draws_ns = [model.delay_ns(DOWNLINK, random.randrange(1000 * period_ns)) for _ in range(20_000)]
    mean_ns, margin_ns = mean_and_margin_ns(draws_ns)
    assert abs(mean_ns - mean_wait_ns(begins_ns, period_ns) - served_ns) <= margin_ns
    assert min(lengths_ns) <= min(draws_ns)
    assert max(draws_ns) < max(gaps_ns) + slot_ns


@pytest.mark.parametrize(("period_slots", "k2_slots"), [(1, 0), (5, 1), (10, 3), (80, 4)])
def test_mean_uplink_of_fdd(period_slots: int, k2_slots: int) -> None:
    """With FDD the mean is half a request period, three slots on the air, the wait for the grant, K2 and processing."""
    model = radio(
        pattern="FDD",
        numerology=0,
        scheduling_request_period=period_slots,
        grant_delay=k2_slots,
        device_processing="0.3 ms",
        gnb_processing="1.2 ms",
        block_error_rate="0 %",
    )
    random = Random(period_slots)
    draws_ns = [model.delay_ns(UPLINK, random.randrange(10**12)) for _ in range(20_000)]
    mean_ns, margin_ns = mean_and_margin_ns(draws_ns)
    fixed_ns = 300_000 + MS + 2 * MS + k2_slots * MS + MS + 1_200_000
    assert abs(mean_ns - fixed_ns - period_slots * MS / 2) <= margin_ns
    assert fixed_ns <= min(draws_ns)
    assert max(draws_ns) <= fixed_ns + period_slots * MS


def test_delay_depends_on_the_phase_alone() -> None:
    """Without errors the same phase gives the same delay, any number of periods later."""
    model = radio(random=NoRandom(), block_error_rate="0 %")
    for now_ns in range(0, 5 * MS, 123_457):
        for direction in (UPLINK, DOWNLINK):
            assert model.delay_ns(direction, now_ns) == model.delay_ns(direction, now_ns + 5 * MS * 10**6)


@pytest.mark.parametrize("error_percent", [1, 10, 50])
def test_failures_follow_the_geometric_law(error_percent: int) -> None:
    """The number of HARQ repetitions has the geometric law's shares, by a chi-squared test at 0.1 %."""
    settings = BARE | {"block_error_rate": f"{error_percent} %"}
    model = radio(**settings, pattern="FDD", harq_retransmissions=31, harq_round_trip=8, random=Random(4))
    draws, step_ns = 20_000, 8 * MS // 2
    found = Counter((model.delay_ns(DOWNLINK, 0) - MS // 2) // step_ns for _ in range(draws))
    expected = [draws * failures_share(error_percent / 100, failures) for failures in range(8)]
    kept = [index for index, number in enumerate(expected) if number >= 5]
    distance = sum((found[index] - expected[index]) ** 2 / expected[index] for index in kept)
    assert distance < {2: 13.8, 4: 18.5, 8: 26.1}[len(kept)], (distance, kept)
    assert abs(sum(found[index] for index in kept) - sum(expected[index] for index in kept)) < 4 * draws**0.5


@pytest.mark.parametrize("direction", [UPLINK, DOWNLINK])
@pytest.mark.parametrize("retransmissions", [0, 1, 3])
def test_mean_with_harq_and_rlc(direction: int, retransmissions: int) -> None:
    """What HARQ and RLC add has the closed form's mean, inside the 99 % confidence interval."""
    settings = {**BARE, "pattern": "FDD", "configured_grant_period": 1, "harq_round_trip": 6}
    model = radio(
        **settings | {"block_error_rate": "40 %"}, harq_retransmissions=retransmissions, rlc_retransmission="20 ms"
    )
    draws_ns = [model.delay_ns(direction, 0) for _ in range(20_000)]
    mean_ns, margin_ns = mean_and_margin_ns(draws_ns)
    slot_ns = MS // 2
    extra_ns = mean_repetition_ns(0.4, retransmissions, 6 * slot_ns, slot_ns + 20 * MS)
    assert abs(mean_ns - slot_ns - extra_ns) <= margin_ns
    assert min(draws_ns) == slot_ns


@given(
    pattern=st.sampled_from(PATTERNS),
    error_percent=st.integers(0, 90),
    retransmissions=st.integers(0, 4),
    now_ns=st.integers(0, 10**10),
    seed=st.integers(0, 9),
)
def test_loss_becomes_delay(pattern: str, error_percent: int, retransmissions: int, now_ns: int, seed: int) -> None:
    """Whatever fails, the packet arrives: in a slot of its direction, never earlier than without errors."""
    settings = {"pattern": pattern, "harq_retransmissions": retransmissions, "device_processing": "0 ms"}
    lossy = {**settings, "block_error_rate": f"{error_percent} %"}
    letters = "B" if pattern == "FDD" else pattern
    for direction, allowed in ((UPLINK, "UB"), (DOWNLINK, "DBS")):
        delay_ns = radio(**lossy, random=Random(seed)).delay_ns(direction, now_ns)
        assert delay_ns == radio(**lossy, random=Random(seed)).delay_ns(direction, now_ns)
        assert delay_ns >= radio(**settings, block_error_rate="0 %").delay_ns(direction, now_ns)
        last_slot = (now_ns + delay_ns - 1) // (MS // 2)
        assert letters[last_slot % len(letters)] in allowed


def test_rlc_takes_over_after_the_last_repetition() -> None:
    """With a transmission and one repetition failed, RLC's retransmission comes its time after the second."""

    class Fails(Random):
        def random(self) -> float:
            """Fail twice, then succeed."""
            self.draws = getattr(self, "draws", 0) + 1
            return 0.0 if self.draws <= 2 else 1.0

    model = radio(
        random=Fails(), **BARE | {"block_error_rate": "10 %"}, harq_retransmissions=1, rlc_retransmission="35 ms"
    )
    # slots 0 and 8 (which is special: downlink too) fail; 9 x 0.5 ms + 35 ms is slot 79, uplink, so slot 80
    assert model.delay_ns(DOWNLINK, 0) == 81 * MS // 2


@pytest.mark.parametrize("direction", [UPLINK, DOWNLINK])
def test_without_acknowledgement_loss_stays_loss(direction: int) -> None:
    """In RLC's unacknowledged mode a packet is lost that fails n + 1 times, the closed form's share of all."""
    settings = BARE | {"block_error_rate": "40 %", "pattern": "FDD"}
    model = radio(**settings, harq_retransmissions=2, rlc="unacknowledged", random=Random(3))
    draws = 20_000
    lost = sum(model.delay_ns(direction, 0) == LOST for _ in range(draws))
    share = 0.4**3
    assert abs(lost / draws - share) < 2.58 * (share * (1 - share) / draws) ** 0.5


def test_occasions_are_spread_over_devices() -> None:
    """Devices with other offsets ask at other times; an offset of a whole period changes nothing."""
    delays = [radio(offset, pattern="FDD", block_error_rate="0 %").delay_ns(UPLINK, 0) for offset in range(11)]
    assert len(set(delays[:10])) == 10
    assert delays[10] == delays[0]


def test_one_cell_without_handovers() -> None:
    """A parametric radio has one cell for good."""
    assert (radio().cell(7), radio().next_change_ns(7)) == ("cell-1", None)
