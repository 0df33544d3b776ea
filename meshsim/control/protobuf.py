"""The wire format of Protocol Buffers, as far as what is pushed needs it (protobuf.dev, "Encoding")."""

from __future__ import annotations

VARINT, LENGTH_DELIMITED = 0, 2
"""Wire types."""


def varint(value: int) -> bytes:
    """Return a number that is not negative, seven bits to a byte, the lowest first."""
    assert value >= 0, value
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def number(field: int, value: int) -> bytes:
    """Return a field with a number, a truth or a name of an enumeration."""
    return varint(field << 3 | VARINT) + varint(value)


def content(field: int, value: bytes | str) -> bytes:
    """Return a field with text, bytes or a message."""
    encoded = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | LENGTH_DELIMITED) + varint(len(encoded)) + encoded


def every(field: int, values: tuple[str, ...]) -> bytes:
    """Return a repeated field of texts."""
    return b"".join(content(field, value) for value in values)


def typed(kind: str, message: bytes) -> bytes:
    """Return a message in a ``google.protobuf.Any``."""
    return content(1, f"type.googleapis.com/{kind}") + content(2, message)
