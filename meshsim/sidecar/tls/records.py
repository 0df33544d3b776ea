"""TLS 1.3 record framing of application bytes, as arithmetic (RFC 8446, section 5)."""

from __future__ import annotations

from typing import Final

MAX_RECORD_BYTES: Final = 16_384
"""Most application bytes that one record can carry."""

RECORD_OVERHEAD_BYTES: Final = 5 + 1 + 16
"""Header, inner content type and authentication tag; all TLS 1.3 cipher suites offered here have 16-byte tags."""

CLOSE_NOTIFY_BYTES: Final = RECORD_OVERHEAD_BYTES + 2
"""A protected close_notify alert."""


def record_count(size_bytes: int) -> int:
    """Return how many records carry ``size_bytes`` written at once; nothing written makes no record."""
    assert size_bytes >= 0, size_bytes
    return -(-size_bytes // MAX_RECORD_BYTES)


def sealed_size_bytes(size_bytes: int) -> int:
    """Return the size on the wire of ``size_bytes`` of application data written at once, records included."""
    return size_bytes + record_count(size_bytes) * RECORD_OVERHEAD_BYTES
