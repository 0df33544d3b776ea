"""Unit strings: exact both ways."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.scenario import units

LARGEST = 9_000_000_000_000_000_000


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (units.parse_duration_ns, "10 ms", 10_000_000),
        (units.parse_duration_ns, "0.1ms", 100_000),
        (units.parse_duration_ns, " 1.5  min ", 90_000_000_000),
        (units.parse_duration_ns, "2 d", 172_800_000_000_000),
        (units.parse_duration_ns, "5 \u00b5s", 5_000),
        (units.parse_duration_ns, "5 \u03bcs", 5_000),
        (units.parse_signed_duration_ns, "-30 s", -30_000_000_000),
        (units.parse_size_bytes, "8 KiB", 8192),
        (units.parse_size_bytes, "1.5 kB", 1500),
        (units.parse_bandwidth_bps, "2.5 Gbit/s", 2_500_000_000),
        (units.parse_share_ppm, "99.9 %", 999_000),
        (units.parse_share_ppm, "5 ppm", 5),
        (units.parse_rate_uhz, "200 /s", 200_000_000),
        (units.parse_rate_uhz, "1 /h", 278),
    ],
)
def test_parse(parse: Callable[[object], int], text: str, value: int) -> None:
    """A quantity is converted exactly."""
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (units.parse_duration_ns, "-1 ms"),
        (units.parse_duration_ns, "1"),
        (units.parse_duration_ns, 1),
        (units.parse_duration_ns, True),
        (units.parse_duration_ns, None),
        (units.parse_duration_ns, ["1 ms"]),
        (units.parse_duration_ns, "1 MS"),
        (units.parse_duration_ns, "0.5 ns"),
        (units.parse_duration_ns, "1e3 ms"),
        (units.parse_duration_ns, "\u0661 ms"),
        (units.parse_duration_ns, "1 ms\n"),
        (units.parse_duration_ns, "999999999999999999 d"),
        (units.parse_size_bytes, "0.5 B"),
        (units.parse_share_ppm, "100.0001 %"),
        (units.parse_share_ppm, "0.5 ppm"),
        (units.parse_rate_uhz, "0 /s"),
    ],
)
def test_refuse(parse: Callable[[object], int], text: object) -> None:
    """What is no quantity of the kind is refused, with what would be right."""
    with pytest.raises(ValueError, match="; expected "):
        parse(text)


@given(st.integers(0, LARGEST))
def test_durations_and_sizes_round_trip(value: int) -> None:
    """Formatting and parsing again gives the same integer."""
    assert units.parse_duration_ns(units.format_duration(value)) == value
    assert units.parse_signed_duration_ns(units.format_duration(-value)) == -value
    assert units.parse_size_bytes(units.format_size(value % 10**18)) == value % 10**18
    assert units.parse_bandwidth_bps(units.format_bandwidth(value)) == value


@given(st.integers(0, units.PPM), st.integers(1, 10**15))
def test_shares_and_rates_round_trip(share_ppm: int, rate_uhz: int) -> None:
    """Formatting and parsing again gives the same integer."""
    assert units.parse_share_ppm(units.format_share(share_ppm)) == share_ppm
    assert units.parse_rate_uhz(units.format_rate(rate_uhz)) == rate_uhz
