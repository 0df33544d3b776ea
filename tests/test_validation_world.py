"""The validation of the world's TCP: its theory, and what it catches."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from meshsim.validation import handshake_samples, synack_theory, world_flights, world_handshakes
from meshsim.validation.small_world import Data, handshakes_ns, small_world
from meshsim.validation.world_flights import extra_round_trips
from meshsim.validation.world_handshakes import whole_share
from meshsim.world import transport

MS = 1_000_000


def test_slow_start_by_hand() -> None:
    """Ten segments go at once, twenty more a round trip later, forty more after another."""
    assert [extra_round_trips(segments, 10) for segments in (1, 10, 11, 30, 31, 70, 71)] == [0, 0, 1, 1, 2, 2, 3]
    assert [extra_round_trips(segments, 1) for segments in (1, 2, 3, 4, 7, 8)] == [0, 1, 1, 2, 2, 3]


def test_whole_handshakes_by_hand() -> None:
    """Four packets must get through: each by itself, or in bursts that mostly strike both of a direction or none."""
    assert whole_share(0.1, 1) == pytest.approx(0.9**4)
    # A burst that has no memory: it ends with the chance that a packet is not lost.
    assert whole_share(0.1, 1 / 0.9) == pytest.approx(0.9**4)
    assert 0.9**2 > whole_share(0.1, 1000) > 0.9**2 * 0.999


def test_handshake_of_a_small_world() -> None:
    """Without loss each of a small world's requests makes a handshake of two round trips and what CPUs take."""
    times_ns = handshakes_ns(small_world(50 * MS, 5, 2_000, west=2))
    assert len(times_ns) == 10
    assert len(set(times_ns)) == 1
    assert 100 * MS < times_ns[0] < 102 * MS


def test_windows_that_never_wait_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A world whose next window leaves at once does not pass for slow start."""
    monkeypatch.setattr(transport, "next_window_ns", lambda transfer, segments, back_ns, now_ns: (now_ns, 0))
    claim, _ = world_flights._transfers(1)
    assert not claim.passed


def _one_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world_handshakes, "FIRST_LOST", {50: 400})
    monkeypatch.setattr(handshake_samples, "FIRST_LOST", {50: 400})
    for module in (world_handshakes, handshake_samples):
        monkeypatch.setattr(module, "REQUESTS", {10: 400})
    monkeypatch.setattr(world_handshakes, "WIDEST_SHARE", 100)
    monkeypatch.setattr(world_handshakes, "WIDEST_MEAN", 100)


def test_a_stack_that_repeats_too_early_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A world that takes half a second for the first timeout does not agree with the probe."""
    _one_cell(monkeypatch)
    criterion, _ = world_handshakes._against_the_probe(1)
    assert criterion.passed
    monkeypatch.setattr(world_handshakes, "WIDEST_SHARE", 2)
    criterion, _ = world_handshakes._against_the_probe(1)
    assert not criterion.passed  # 400 handshakes tell too little of shares
    monkeypatch.setattr(world_handshakes, "WIDEST_SHARE", 100)
    monkeypatch.setattr(world_handshakes, "WIDEST_MEAN", 3)
    criterion, _ = world_handshakes._against_the_probe(1)
    assert not criterion.passed  # and of the mean
    monkeypatch.setattr(world_handshakes, "WIDEST_MEAN", 100)
    true_world = handshake_samples.lossy_world

    def hasty(round_trip_ns: int, loss_percent: float, requests: int, seed: int) -> Data:
        data = true_world(round_trip_ns, loss_percent, requests, seed)
        data["network"]["tcp"] |= {"initial_rto": "500 ms"}
        return data

    monkeypatch.setattr(handshake_samples, "lossy_world", hasty)
    criterion, _ = world_handshakes._against_the_probe(1)
    assert not criterion.passed


def test_syns_and_their_answers_are_lost_as_often_as_by_chance() -> None:
    """Of a hundred SYNs ten are lost, and nine of ninety answers; cuts and what chance loses besides come to that."""
    loss = 0.1
    assert handshake_samples.lost_syns(loss) == pytest.approx(0.1 / (0.1 + 0.9 * 0.1))
    cut = handshake_samples.cuts_at_syns(loss)
    assert cut + (1 - cut) * loss == pytest.approx(handshake_samples.lost_syns(loss))


@pytest.mark.parametrize("loss_percent", [3, 10])
def test_first_losses_that_are_made_are_as_theory_has_them(monkeypatch: pytest.MonkeyPatch, loss_percent: int) -> None:
    """Of handshakes whose first SYN or SYN-ACK is lost on purpose, so many connect a second later as in theory."""
    monkeypatch.setattr(handshake_samples, "FIRST_LOST", {50: 12_000 // loss_percent})
    loss, wheel = loss_percent / 100, synack_theory.on_the_wheel
    ways = list(synack_theory.ways(loss, timer_first=1 - 25 / 32, lasts=wheel))
    failing = [way for way in ways if way.at_ms > 0]
    failure = sum(way.probability for way in failing)
    assert failure == pytest.approx(1 - (1 - loss) ** 2)
    share = sum(way.probability for way in failing if way.at_ms < 1_500) / failure
    cell = (50, loss_percent, 1)
    for samples in (handshake_samples.world_first_lost(*cell), handshake_samples.Probe(*cell).first_lost()):
        assert len(samples) > 1_100
        assert all(connected_ns > 1_000 * MS for connected_ns, _ in samples)
        soon = sum(connected_ns < 1_500 * MS for connected_ns, _ in samples) / len(samples)
        assert soon == pytest.approx(share, abs=4 * (share * (1 - share) / len(samples)) ** 0.5)


def test_transfers_that_lose_twice_as_much_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe whose path loses twice what the world's does not take as long as the world's transfers."""
    monkeypatch.setattr(world_flights, "LOSSY_REQUESTS", 150)
    criterion, _ = world_flights._lossy(1)
    assert criterion.passed
    true_probe_ms = world_flights._probe_ms
    monkeypatch.setattr(world_flights, "_probe_ms", lambda loss, *rest: true_probe_ms(2 * loss, *rest))
    criterion, _ = world_flights._lossy(1)
    assert not criterion.passed


@pytest.mark.parametrize(("errors", "passed"), [(2.9, True), (3.1, False)])
def test_transfers_may_be_three_standard_errors_apart(
    monkeypatch: pytest.MonkeyPatch, errors: float, passed: bool
) -> None:
    """What a world and a probe come to may differ by three standard errors, and not by more."""
    took = [SimpleNamespace(tcp_ns=each * MS, network_ns=0, outcome="ok") for each in (99, 101)]
    tables = {"requests": took, "calls": [SimpleNamespace(bytes_sent=1, bytes_received=1)]}
    monkeypatch.setattr(world_flights, "run_world", lambda data: tables)
    apart = 100 + errors  # the world's mean has an error of sqrt(1 / 2), the probe's too: 1 together
    monkeypatch.setattr(world_flights, "_probe_ms", lambda *rest: [apart - 1, apart + 1])
    criterion, _ = world_flights._lossy(1)
    assert criterion.passed is passed
