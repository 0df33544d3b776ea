"""What a fault can do to a flight on its way; the receiving end then has to find out."""

from __future__ import annotations

from meshsim.sidecar.tls.flights import ApplicationRecords, Tampered, Truncated, Whole
from meshsim.sidecar.tls.sizes import RECORD_HEADER_BYTES, TRUNCATED_BYTES

CHANGE_CIPHER_SPEC_TYPE = 20


def tamper(flight: Whole) -> Tampered:
    """Change one bit of a flight: the lowest of the first content byte of its last record with content that matters.

    ChangeCipherSpec records are there for middleboxes only and are passed over.
    """
    wire = flight.wire
    if wire is not None:
        starts = [start for start in record_starts(wire) if wire[start] != CHANGE_CIPHER_SPEC_TYPE]
        at = starts[-1] + RECORD_HEADER_BYTES
        wire = wire[:at] + bytes((wire[at] ^ 1,)) + wire[at + 1 :]
    return Tampered(flight=flight, size_bytes=flight.size_bytes, wire=wire)


def tamper_records(size_bytes: int, wire: bytes | None) -> Tampered:
    """Change one bit of records of application bytes: the lowest of the first content byte of the first record."""
    if wire is not None:
        at = RECORD_HEADER_BYTES
        wire = wire[:at] + bytes((wire[at] ^ 1,)) + wire[at + 1 :]
    return Tampered(flight=ApplicationRecords(size_bytes=size_bytes), size_bytes=size_bytes, wire=wire)


def truncate(flight: Whole) -> Truncated:
    """Break a flight off after the header of its first record."""
    wire = None if flight.wire is None else flight.wire[:TRUNCATED_BYTES]
    return Truncated(flight=flight, size_bytes=TRUNCATED_BYTES, wire=wire)


def record_starts(wire: bytes) -> list[int]:
    """Return the offset of each record in bytes that hold whole TLS records."""
    starts = []
    at = 0
    while at < len(wire):
        starts.append(at)
        at += RECORD_HEADER_BYTES + int.from_bytes(wire[at + 3 : at + 5], "big")
    assert at == len(wire), "the bytes end within a record"
    return starts
