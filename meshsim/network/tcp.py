"""Units and sizes of TCP: what its packets take on the wire."""

from __future__ import annotations

from typing import Final

MS: Final = 1_000_000
S: Final = 1_000_000_000

SEGMENT_BYTES: Final = 1448
"""Payload of a full segment: 1500 - 20 (IPv4) - 20 (TCP) - 12 (timestamps)."""
HEADER_BYTES: Final = 52
"""IPv4, TCP and timestamps of each segment, of a FIN and of an acknowledgement on its own."""
CONTROL_BYTES: Final = 60
"""A SYN or SYN-ACK with its options."""
RESET_BYTES: Final = 40
"""A RST: headers without options."""
