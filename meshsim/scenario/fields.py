"""The annotated field types that scenario models are made of: unit strings in, integers inside, unit strings out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints, WithJsonSchema

from meshsim.scenario import units

MS = 1_000_000
S = units.NS_PER_S


class Model(BaseModel):
    """Base of every scenario model: strict, frozen, no unknown keys, attribute docstrings as descriptions."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        ser_json_inf_nan="constants",
        validate_by_alias=True,
        serialize_by_alias=True,
    )


def _quantity_schema(example: str, names: str, sign: str = "") -> WithJsonSchema:
    pattern = rf"^[ \t]*{sign}[0-9]{{1,18}}(\.[0-9]{{1,12}})?[ \t]*({names})[ \t]*$"
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


_DURATIONS = "ns|us|µs|μs|ms|s|min|h|d"

Duration = Annotated[
    int,
    BeforeValidator(units.parse_duration_ns),
    PlainSerializer(units.format_duration, return_type=str),
    _quantity_schema("10 ms", _DURATIONS),
]
"""Nanoseconds, written ``10 ms``."""

SignedDuration = Annotated[
    int,
    BeforeValidator(units.parse_signed_duration_ns),
    PlainSerializer(units.format_duration, return_type=str),
    _quantity_schema("-30 s", _DURATIONS, "[+-]?"),
]
"""Nanoseconds, written ``-30 s``."""

Size = Annotated[
    int,
    BeforeValidator(units.parse_size_bytes),
    PlainSerializer(units.format_size, return_type=str),
    _quantity_schema("8 KiB", "B|kB|MB|GB|KiB|MiB|GiB"),
]
"""Bytes, written ``8 KiB``."""

Bandwidth = Annotated[
    int,
    BeforeValidator(units.parse_bandwidth_bps),
    PlainSerializer(units.format_bandwidth, return_type=str),
    _quantity_schema("1 Gbit/s", "bit/s|kbit/s|Mbit/s|Gbit/s"),
]
"""Bits per second, written ``1 Gbit/s``."""

Length = Annotated[
    int,
    BeforeValidator(units.parse_length_mm),
    PlainSerializer(units.format_length, return_type=str),
    _quantity_schema("300 m", "m|km"),
]
"""Millimetres, written ``300 m``."""

Speed = Annotated[
    int,
    BeforeValidator(units.parse_speed_mm_per_h),
    PlainSerializer(units.format_speed, return_type=str),
    _quantity_schema("50 km/h", "km/h|m/s"),
]
"""Millimetres an hour, written ``50 km/h``."""

Share = Annotated[
    int,
    BeforeValidator(units.parse_share_ppm),
    PlainSerializer(units.format_share, return_type=str),
    _quantity_schema("20 %", "%|ppm"),
]
"""Parts per million, written ``20 %``; never more than 100 %."""

Rate = Annotated[
    int,
    BeforeValidator(units.parse_rate_uhz),
    PlainSerializer(units.format_rate, return_type=str),
    _quantity_schema("200 /s", "/s|/min|/h"),
]
"""Microhertz, written ``200 /s``."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""A DNS label (RFC 1123), as Kubernetes names are."""


def parse_instant(value: object) -> int:
    """``"2026-01-01T00:00:00Z"`` -> nanoseconds since the Unix epoch; raises ValueError with what would be right."""
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    else:
        if not isinstance(value, str):
            raise ValueError("this is no instant; expected one such as '2026-01-01T00:00:00Z'")
        try:
            moment = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(
                f"{str(value)[:40]!r} is no instant; expected one such as '2026-01-01T00:00:00Z'"
            ) from error
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
    if moment.microsecond:
        raise ValueError(f"{value!r} has parts of a second; expected whole seconds, such as '2026-01-01T00:00:00Z'")
    seconds = int(moment.timestamp())
    if not 0 <= seconds < 4_102_444_800:
        raise ValueError(f"{value!r} is out of range; expected an instant between 1970 and 2100")
    return seconds * S


def _format_instant(value_ns: int) -> str:
    return datetime.fromtimestamp(value_ns // S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Instant = Annotated[
    int,
    BeforeValidator(parse_instant),
    PlainSerializer(_format_instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-01T00:00:00Z"]}),
]
"""Nanoseconds since the Unix epoch, written ``2026-01-01T00:00:00Z``."""


def _parse_error_rate(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        shown = f"{str(value)[:24]} is" if type(value) in (int, float, str) else "this is"
        raise ValueError(f"{shown} no error rate; expected a number between 0 and 1, such as 1e-5")
    return float(value)


ErrorRate = Annotated[
    float,
    BeforeValidator(_parse_error_rate),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "examples": [0.00001]}),
]
"""A share that is too small for parts per million, written ``1e-5``."""


def as_tuple(value: Any) -> Any:
    """Lists of a YAML file become tuples, so that a frozen model is frozen all the way down."""
    return tuple(value) if isinstance(value, list) else value


FromList = BeforeValidator(as_tuple)
