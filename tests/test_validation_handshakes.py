"""The validation of handshakes itself: its theory, its judgements and what they catch."""

from __future__ import annotations

import msgspec
import pytest

from meshsim.identity.svid import KEY_TYPES
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_timer import expiry_ns
from meshsim.probe.case import ProbeCase
from meshsim.probe.run import run_probe
from meshsim.validation import closed_form, published_handshakes, synack_theory
from meshsim.validation.published_handshakes import LINUX_2019, fit, late_and_apart, read_table, share_outside
from meshsim.validation.published_modes import lateness
from meshsim.validation.tls_handshakes import chain_cases, tls_cases, tls_flights


def test_closed_form_by_hand() -> None:
    """The closed form is right where it can be done by hand."""
    assert closed_form.closed_form_ms(50, 0.0, 1.0) == 101
    # One loss in a thousand: f = 0.001999 of SYNs cost 1 s, flights R + 200 ms and 2 R + 200 ms; two losses are rare.
    assert closed_form.closed_form_ms(50, 0.001, 0.0) == pytest.approx(100 + 1.999 + 0.25 + 0.3, rel=1e-3)


def test_probe_in_time_by_hand() -> None:
    """The server's tail loss probe comes with the timeout where that is first: 50 ms earlier at 50 ms, 5 ms at 5 ms."""
    for round_trip_ms, earlier_ms in ((5, 5), (50, 50), (100, 100), (200, 0), (300, 0)):
        late, in_time = (closed_form.closed_form_ms(round_trip_ms, 0.1, 0, probe_in_time=how) for how in (False, True))
        assert late - in_time == pytest.approx(0.1 * earlier_ms)


def test_exact_timers_are_told_from_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose timers are as late as Linux's does not pass for one with exact timers."""
    monkeypatch.setattr(closed_form, "ROUND_TRIPS_MS", (5,))
    monkeypatch.setattr(closed_form, "LOSSES", (0.1,))
    monkeypatch.setattr(closed_form, "EXACT", closed_form.TEXTBOOK)
    agrees, exactly, *_ = closed_form.closed_form(1).criteria
    assert agrees.passed
    assert not exactly.passed


@pytest.mark.parametrize("timer_first", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("loss", [0.01, 0.1, 0.5])
def test_set_up_ends_somehow(loss: float, timer_first: float) -> None:
    """The ways in which a connection is set up are all there are, and sooner than theory without repeats has it."""
    found = list(synack_theory.ways(loss, timer_first))
    assert sum(way.probability for way in found) == pytest.approx(1, abs=1e-6)
    late_ms = sum(way.probability * way.at_ms for way in found)
    failure = 1 - (1 - loss) ** 2
    assert (1 - failure) * failure * 1000 < late_ms
    if loss < 0.3:  # beyond, what is left out has the longest delays
        assert late_ms < closed_form.syn_delay_ms(loss)


def test_ways_by_hand() -> None:
    """The second SYN-ACK goes after a second; another after two, if the SYN came before the timer and set it back."""
    p, q = 0.1, 0.9
    for timer_first in (0.0, 0.5, 1.0):
        found = list(synack_theory.ways(p, timer_first))

        def chance(at_ms: float, sample_ms: float, found: list[synack_theory.Connected] = found) -> float:
            return sum(way.probability for way in found if (way.at_ms, way.sample_ms) == (at_ms, sample_ms))

        assert chance(0, 0) == pytest.approx(q * q)
        assert chance(1000, 0) == pytest.approx(p * q * q)
        by_timer = timer_first * (q + p * q * q)  # its SYN-ACK, or else the repeated SYN and its SYN-ACK
        by_syn = (1 - timer_first) * (q * q + p * q)  # the SYN and its SYN-ACK, or without it the timer's
        assert chance(1000, 1000) == pytest.approx(q * p * (by_timer + by_syn))
        assert chance(2000, 2000) == pytest.approx(q * p * (1 - timer_first) * q * p * q)
    assert {way.repeated for way in found if way.sample_ms == 0} == {False}


def test_timers_on_the_wheel() -> None:
    """Linux's timers take what the arithmetic of its wheel has them take in the mean, over all phases of the clock."""
    for timeout_ms in (200, 205, 248, 252, 1000, 2000, 2016, 3000, 4000, 20_000):
        phases_ns = range(0, 2_048 * 1_000_000, 500_000)
        took_ns = [expiry_ns(at_ns, timeout_ms * 1_000_000, 4_000_000) - at_ns for at_ns in phases_ns]
        assert synack_theory.on_the_wheel(timeout_ms) == pytest.approx(sum(took_ns) / len(took_ns) / 1e6, abs=0.3)
    assert synack_theory.exact(205.5) == 205.5


def test_repeats_change_nothing_without_loss() -> None:
    """Without loss theory is two round trips and computing, and with very little it is the closed form."""
    assert synack_theory.mean_ms(50, 0.0, 1.0, 0.5) == 101
    in_time = closed_form.closed_form_ms(50, 0.001, 0.0, probe_in_time=True)
    assert synack_theory.mean_ms(50, 0.001, 0.0, 0.5) == pytest.approx(in_time, rel=1e-4)


def test_textbook_is_told_from_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose server repeats nothing does not pass for Linux's, nor the other way round."""
    monkeypatch.setattr(closed_form, "ROUND_TRIPS_MS", (5,))
    monkeypatch.setattr(closed_form, "LOSSES", (0.1,))
    monkeypatch.setattr(closed_form, "SAMPLES", 20_000)
    monkeypatch.setattr(closed_form, "SAMPLES_OF_FAILURES", 60_000)
    monkeypatch.setattr(closed_form, "TEXTBOOK", closed_form.LINUX)
    monkeypatch.setattr(closed_form, "LINUX", TcpParameters(synack_retries=0))
    monkeypatch.setattr(closed_form, "LINUX_EXACT", TcpParameters(synack_retries=0, tick_ns=0))
    textbook, _, exact, in_use, _ = closed_form.closed_form(1).criteria
    assert not textbook.passed
    assert not exact.passed
    assert not in_use.passed


def test_plain_command_meets_the_short_medians() -> None:
    """`meshsim handshake --cpu altra-n1` by itself comes within 2 % of the medians at 5.6 ms, up to 5 % loss."""
    cells = [
        cell
        for cell in read_table()
        if cell.family == "key exchange P-256" and cell.round_trip_ms < 10 and cell.loss_percent <= 5
    ]
    results = run_probe(
        ProbeCase(
            round(cell.round_trip_ms * 1e6), cell.loss_percent / 100, group="P-256", key="ecdsa-p256", cpu="altra-n1"
        )
        for cell in cells
    )
    assert len(cells) == 10
    for cell, result in zip(cells, results, strict=True):
        median_ns = result.established.quantile_ns(50)
        assert median_ns is not None
        assert median_ns / 1e6 == pytest.approx(cell.quantiles_ms["p50_ms"], rel=0.02), cell


def test_table_is_whole() -> None:
    """The published table has its 125 rows, quantiles in order."""
    cells = read_table()
    assert len(cells) == 125
    assert all(list(cell.quantiles_ms.values()) == sorted(cell.quantiles_ms.values()) for cell in cells)
    assert {cell.family for cell in cells} == set(published_handshakes.FLIGHTS)


def test_shares_allowed_by_quantiles() -> None:
    """A share is outside only by what it lies beyond the quantiles on either side of the limit."""
    cell = next(cell for cell in read_table() if cell.loss_percent == 10 and cell.family == "key exchange P-256")
    fitted = fit(cell, LINUX_2019, 500, 1)
    name = "2 R + 50 ms"  # between P50 and P75
    for share, outside in ((0.4, 0.1), (0.5, 0.0), (0.7, 0.0), (0.8, 0.05)):
        changed = msgspec.structs.replace(fitted, shares=fitted.shares | {name: share})
        assert share_outside(changed, name) == pytest.approx(outside)


def test_judgements_catch_a_wrong_model() -> None:
    """A model with half the minimum timeout fails where the right one passes."""
    wrong = TcpParameters(aggregated_segments=2, minimum_rto_ns=100_000_000, tick_ns=1_000)
    cells = [cell for cell in read_table() if cell.family == "key exchange P-256" and 5 < cell.loss_percent <= 10]
    good, count = published_handshakes.within([fit(cell, LINUX_2019, 1_000, 1) for cell in cells], True)
    bad, _ = published_handshakes.within([fit(cell, wrong, 1_000, 1) for cell in cells], True)
    assert count == 40
    assert bad < published_handshakes.SHORT_SHARE * count
    assert bad < good - 5


@pytest.mark.parametrize(
    ("wrong", "failing"),
    [
        ({}, set()),
        ({"minimum_rto_ns": 205_000_000}, {0}),
        ({"minimum_rto_ns": 194_000_000}, {0}),
        ({"initial_rto_ns": 1_020_000_000}, {1}),
    ],
)
def test_published_quantiles_tell_timers(wrong: dict[str, int], failing: set[int]) -> None:
    """Timeouts that are wrong by a few milliseconds in 200, or by 20 in 1000, are found out by what was measured."""
    parameters = msgspec.structs.replace(LINUX_2019, **wrong)
    cells = [cell for cell in read_table() if cell.family != "signature Dilithium2" and 1 < cell.loss_percent <= 10]
    claims = lateness(late_and_apart([fit(cell, parameters, 250, 1) for cell in cells]))
    assert {number for number, claim in enumerate(claims) if not claim.passed} == failing


def test_every_real_handshake_is_compared() -> None:
    """Flights of each group and key type, mutual or not, resumed or not, or with a chain, are what OpenSSL makes."""
    section = tls_flights()
    assert len(section.rows) == len(tls_cases()) + len(chain_cases())
    assert {row[1] for row in section.rows} == set(KEY_TYPES)
    assert section.passed
