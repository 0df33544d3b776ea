"""The validation of handshakes itself: its theory, its judgements and what they catch."""

from __future__ import annotations

import msgspec
import pytest

from meshsim.identity.svid import KEY_TYPES
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.validation import closed_form, published_handshakes
from meshsim.validation.published_handshakes import LINUX_2019, fit, read_table, share_outside
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
    agrees, exactly = closed_form.closed_form(1).criteria
    assert agrees.passed
    assert not exactly.passed


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


def test_every_real_handshake_is_compared() -> None:
    """Flights of each group and key type, mutual or not, resumed or not, or with a chain, are what OpenSSL makes."""
    section = tls_flights()
    assert len(section.rows) == len(tls_cases()) + len(chain_cases())
    assert {row[1] for row in section.rows} == set(KEY_TYPES)
    assert section.passed
