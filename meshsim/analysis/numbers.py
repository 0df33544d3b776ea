"""Numbers as people read them, and as JSON keeps them."""

from __future__ import annotations

from fractions import Fraction

from meshsim.analysis.metrics import Kind, Value

_STEPS_NS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"))
_STEPS_BYTES = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"))

NOTHING = "\u2013"
"""Stands where there was nothing to measure."""

JSON_DIGITS = 6
"""Digits behind the point of every share and rate in JSON."""


def show(value: Value | None, kind: Kind) -> str:
    """``value`` in its base unit, for people: ``8.21 ms``, ``99.95 %``, ``1200 /s``; a dash for None."""
    if value is None:
        return NOTHING
    if kind == "duration":
        return show_duration(value)
    if kind == "share":
        return show_share(value)
    if kind == "rate":
        return f"{_three_digits(value)} /s"
    if kind == "size":
        return _in_steps(value, _STEPS_BYTES, "B")
    return f"{int(value):,}".replace(",", "\u202f")


def show_duration(value_ns: Value) -> str:
    """``8_210_000`` -> ``8.21 ms``: three significant digits."""
    return _in_steps(value_ns, _STEPS_NS, "ns")


def show_share(value: Value) -> str:
    """``Fraction(1999, 2000)`` -> ``99.95 %``; never rounded up to 100 % or down to 0 %."""
    percent = Fraction(value) * 100
    if percent in (0, 100):
        return f"{int(percent)} %"
    digits = 1 if 1 <= percent <= 99 else 2
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


def _in_steps(value: Value, steps: tuple[tuple[int, str], ...], base: str) -> str:
    for factor, unit in steps:
        if abs(Fraction(value)) >= factor:
            return f"{_three_digits(Fraction(value) / factor)} {unit}"
    return f"{round(value)} {base}"


def _three_digits(value: Value) -> str:
    number = float(value)
    digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
