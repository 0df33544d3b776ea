"""Numbers as people read them, and as JSON keeps them."""

from __future__ import annotations

from fractions import Fraction

from meshsim.analysis.selection import Kind, Value

_DIGITS = 3
"""Significant digits, where nobody asks for more."""

_STEPS_NS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"))
_LONG_STEPS_NS = ((2 * 3_600, 3_600, "h"), (10 * 60, 60, "min"))
"""From so many seconds on a duration is told in a longer unit, of so many seconds."""
_STEPS_BYTES = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"))

NOTHING = "\u2013"
"""Stands where there was nothing to measure."""

JSON_DIGITS = 6
"""Digits behind the point of every share and rate in JSON."""


_MOST_DIGITS = 15
"""Significant digits that a float has for sure."""


def show_apart(one: Value, other: Value, kind: Kind) -> tuple[str, str]:
    """Two values for people, with as many digits as it takes to tell them apart; three if that is enough."""
    for digits in range(_DIGITS, _MOST_DIGITS + 1):
        texts = (show(one, kind, digits), show(other, kind, digits))
        if texts[0] != texts[1]:
            break
    return texts


def show(value: Value | None, kind: Kind, digits: int = _DIGITS) -> str:
    """``value`` in its base unit, for people: ``8.21 ms``, ``99.95 %``, ``1200 /s``; a dash for None.

    Durations, rates and sizes have ``digits`` significant digits, shares two fewer behind the point of the percentage.
    """
    if value is None:
        return NOTHING
    if kind == "duration":
        return _duration(value, digits)
    if kind == "share":
        return show_share(value, digits - 2)
    if kind == "rate":
        return f"{_significant(value, digits)} /s"
    if kind == "size":
        return _in_steps(value, _STEPS_BYTES, "B", digits)
    return f"{int(value):,}".replace(",", "\u202f")


def show_duration(value_ns: Value) -> str:
    """``8_210_000`` -> ``8.21 ms``: three significant digits."""
    return _duration(value_ns, _DIGITS)


def show_share(value: Value, digits: int = 1) -> str:
    """``Fraction(1999, 2000)`` -> ``99.95 %``; never rounded up to 100 % or down to 0 %.

    ``digits`` behind the point, one more below 1 % and above 99 %.
    """
    percent = Fraction(value) * 100
    if percent in (0, 100):
        return f"{int(percent)} %"
    digits += not 1 <= percent <= 99
    while Fraction(f"{float(percent):.{digits}f}") in (0, 100) and digits < JSON_DIGITS:
        digits += 1
    text = f"{float(percent):.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if Fraction(text) == percent else text} %"


def to_json(value: Value | None, kind: Kind) -> int | float | None:
    """Durations, sizes and counts as integers (rounded half to even), shares and rates as floats of six digits."""
    if value is None:
        return None
    if kind in ("share", "rate"):
        return round(float(value), JSON_DIGITS)
    return round(value)


def _duration(value_ns: Value, digits: int) -> str:
    for from_s, unit_s, unit in _LONG_STEPS_NS:
        if abs(Fraction(value_ns)) >= from_s * 1_000_000_000:
            return f"{_significant(Fraction(value_ns) / (unit_s * 1_000_000_000), digits)} {unit}"
    return _in_steps(value_ns, _STEPS_NS, "ns", digits)


def _in_steps(value: Value, steps: tuple[tuple[int, str], ...], base: str, digits: int) -> str:
    for factor, unit in steps:
        if abs(Fraction(value)) >= factor:
            return f"{_significant(Fraction(value) / factor, digits)} {unit}"
    return f"{round(value)} {base}"


def _significant(value: Value, digits: int) -> str:
    number = float(value)
    before = 3 if abs(number) >= 100 else 2 if abs(number) >= 10 else 1
    text = f"{number:.{max(0, digits - before)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
