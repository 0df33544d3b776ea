"""The one home of unit conversion: unit strings to integers in base units, and back.

Durations become integer nanoseconds, sizes bytes, bandwidths bits per second, shares parts per million. Parsing is
exact (decimal arithmetic), so that ``0.1 ms`` is 100 000 ns on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache, wraps

NS_PER_S = 1_000_000_000
PPM = 1_000_000

DURATION_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_S,
    "min": 60 * NS_PER_S,
    "h": 3_600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
}
SIZE_BYTES = {
    "B": 1,
    "kB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "KiB": 1_024,
    "MiB": 1_048_576,
    "GiB": 1_073_741_824,
}
BANDWIDTH_BPS = {"bit/s": 1, "kbit/s": 1_000, "Mbit/s": 1_000_000, "Gbit/s": 1_000_000_000}
LENGTH_MM = {"m": 1_000, "km": 1_000_000}
SPEED_MM_PER_H = {"km/h": 1_000_000, "m/s": 3_600_000}
SHARE_PPM = {"%": 10_000, "ppm": 1}
RATE_UHZ: dict[str, int | Decimal] = {
    "/s": 1_000_000,
    "/min": Decimal(1_000_000) / 60,
    "/h": Decimal(1_000_000) / 3_600,
}

_QUANTITY = re.compile(r"[ \t]*([+-]?[0-9]{1,18}(?:\.[0-9]{1,12})?)[ \t]*([A-Za-zµμ%/]{0,12})[ \t]*")
_LARGEST = Decimal(9_000_000_000_000_000_000)


def parse_quantity(text: object, units: Mapping[str, int | Decimal], example: str, *, signed: bool = False) -> int:
    """Return ``text`` (``"10 ms"``) as an integer in the base unit of ``units``.

    Raises ValueError, with what would be right, if the text is no quantity, its unit is unknown, it is negative while
    not ``signed``, not a whole number of base units, or too large for 64 bits.
    """
    expected = f"expected a quantity with a unit such as {example!r}"
    if not isinstance(text, str):
        raise ValueError(f"{_problem(text)}; {expected}")
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:60]!r} is not a quantity; {expected}")
    number, unit = match.groups()
    if unit not in units:
        problem = f"{text.strip()!r} has no unit" if not unit else f"unit {unit!r} is not known here"
        raise ValueError(f"{problem}; {expected} (units: {', '.join(units)})")
    try:
        value = Decimal(number) * units[unit]
    except InvalidOperation as error:  # pragma: no cover - the pattern bounds the digits
        raise ValueError(f"{text!r} is out of range; {expected}") from error
    if value < 0 and not signed:
        raise ValueError(f"{text.strip()!r} is negative; expected zero or more, such as {example!r}")
    if abs(value) > _LARGEST:
        raise ValueError(f"{text.strip()!r} is too large; {expected}")
    base = next(name for name, factor in units.items() if factor == 1) if 1 in units.values() else unit
    if value != value.to_integral_value() and not isinstance(units[unit], Decimal):
        raise ValueError(f"{text.strip()!r} is finer than one {base}; {expected}")
    return int(value.to_integral_value())


def _remembered(parse: Callable[[object], int]) -> Callable[[object], int]:
    """Remember what texts were parsed as: in a large scenario the same few come again and again."""
    known = lru_cache(maxsize=4096)(parse)

    @wraps(parse)
    def parsed(text: object) -> int:
        return known(text) if isinstance(text, str) else parse(text)

    return parsed


def _problem(value: object) -> str:
    if value is None:
        return "there is no value"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{str(value)[:24]} has no unit"
    what = "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else str(value).lower()[:24]
    return f"{what} is no quantity"


@_remembered
def parse_duration_ns(text: object) -> int:
    """``"10 ms"`` -> 10_000_000."""
    return parse_quantity(text, DURATION_NS, "10 ms")


def parse_signed_duration_ns(text: object) -> int:
    """``"-30 s"`` -> -30_000_000_000."""
    return parse_quantity(text, DURATION_NS, "-30 s", signed=True)


@_remembered
def parse_size_bytes(text: object) -> int:
    """``"8 GiB"`` -> 8_589_934_592."""
    return parse_quantity(text, SIZE_BYTES, "8 KiB")


@_remembered
def parse_bandwidth_bps(text: object) -> int:
    """``"1 Gbit/s"`` -> 1_000_000_000."""
    return parse_quantity(text, BANDWIDTH_BPS, "1 Gbit/s")


def parse_length_mm(text: object) -> int:
    """``"300 m"`` -> 300 000 millimetres."""
    return parse_quantity(text, LENGTH_MM, "300 m")


def parse_speed_mm_per_h(text: object) -> int:
    """``"50 km/h"`` -> 50 000 000 millimetres an hour."""
    return parse_quantity(text, SPEED_MM_PER_H, "50 km/h")


@_remembered
def parse_share_ppm(text: object) -> int:
    """``"20 %"`` -> 200_000; more than 100 % is an error."""
    value = parse_quantity(text, SHARE_PPM, "20 %")
    if value > PPM:
        raise ValueError(f"{str(text).strip()!r} is more than 100 %; expected 0 % to 100 %")
    return value


@_remembered
def parse_rate_uhz(text: object) -> int:
    """``"200 /s"`` -> 200_000_000 (microhertz: events per million seconds)."""
    value = parse_quantity(text, RATE_UHZ, "200 /s")
    if value == 0:
        raise ValueError(f"{str(text).strip()!r} is no rate; expected more than zero, such as '200 /s'")
    return value


@lru_cache(maxsize=4096)
def format_duration(value_ns: int) -> str:
    """The shortest exact unit string: 10_000_000 -> ``"10 ms"``."""
    return _format(
        value_ns, {unit: factor for unit, factor in DURATION_NS.items() if unit not in ("µs", "μs", "min", "h", "d")}
    )


@lru_cache(maxsize=4096)
def format_size(value_bytes: int) -> str:
    """The shortest exact unit string: 8192 -> ``"8 KiB"``."""
    for unit in ("GiB", "MiB", "KiB"):
        if value_bytes and value_bytes % SIZE_BYTES[unit] == 0:
            return f"{value_bytes // SIZE_BYTES[unit]} {unit}"
    return f"{value_bytes} B"


@lru_cache(maxsize=4096)
def format_bandwidth(value_bps: int) -> str:
    """The shortest exact unit string: 1_000_000_000 -> ``"1 Gbit/s"``."""
    return _format(value_bps, BANDWIDTH_BPS)


def format_length(value_mm: int) -> str:
    """Millimetres in the largest unit that divides them, or as a decimal of the smallest."""
    return _format(value_mm, LENGTH_MM) if value_mm % 1_000 == 0 else f"{_decimal(Decimal(value_mm) / 1_000)} m"


def format_speed(value_mm_per_h: int) -> str:
    """Millimetres an hour as kilometres an hour."""
    return f"{_decimal(Decimal(value_mm_per_h) / 1_000_000)} km/h"


@lru_cache(maxsize=4096)
def format_share(value_ppm: int) -> str:
    """200_000 -> ``"20 %"``."""
    return f"{_decimal(Decimal(value_ppm) / 10_000)} %"


@lru_cache(maxsize=4096)
def format_rate(value_uhz: int) -> str:
    """200_000_000 -> ``"200 /s"``."""
    return f"{_decimal(Decimal(value_uhz) / 1_000_000)} /s"


def _format(value: int, units: dict[str, int]) -> str:
    if value == 0:
        return f"0 {'ms' if 'ms' in units else next(iter(units))}"
    for unit, factor in sorted(units.items(), key=lambda item: -item[1]):
        if abs(value) >= factor:
            return f"{_decimal(Decimal(value) / factor)} {unit}"
    return f"{value} {next(iter(units))}"


def _decimal(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
