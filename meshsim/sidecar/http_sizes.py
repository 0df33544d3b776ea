"""Nominal sizes of messages in HTTP/2 between two sidecars, as arithmetic.

They use the average length of a hexadecimal digit in HPACK's Huffman code for the two ids; a real message differs from
them by ``ID_SLACK_BYTES`` at most.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

FRAME_HEADER_BYTES: Final = 9
MAX_FRAME_BYTES: Final = 16_384
"""Default SETTINGS_MAX_FRAME_SIZE (RFC 9113, section 6.5.2)."""
MAGIC_BYTES: Final = 24
"""``PRI * HTTP/2.0`` and so on (RFC 9113, section 3.4)."""
SETTINGS_BYTES: Final = FRAME_HEADER_BYTES + 6 * 6
"""Table size, push, concurrent streams, window, frame size and extended CONNECT."""
SETTINGS_ACK_BYTES: Final = FRAME_HEADER_BYTES
WINDOW_UPDATE_BYTES: Final = FRAME_HEADER_BYTES + 4
OPENING_BYTES: Final = SETTINGS_BYTES + WINDOW_UPDATE_BYTES + SETTINGS_ACK_BYTES
"""What each end sends ahead of its first message; a client its magic too."""
REQUEST_ID_BYTES: Final = 26
"""A UUID in Huffman code: 32 hexadecimal digits of 5.625 bits each on average, 4 dashes of 6 bits."""
TRACEPARENT_BYTES: Final = 39
"""A traceparent in Huffman code: 48 hexadecimal digits, and 38 bits for ``00-``, ``-`` and ``-01``."""
ID_SLACK_BYTES: Final = 7
"""Most that a real message can differ: digits take 5 or 6 bits, so ids 23 to 27 and 35 to 41 bytes."""

_SECRETS: Final = frozenset({"authorization", "cookie"})
_WITHOUT_BODY: Final = frozenset({204, 304})


def answer_body_bytes(method: str, status: int, body_bytes: int) -> int:
    """How much of an answer's body is sent: nothing to a HEAD, nor with some statuses (RFC 9110, section 6.4.1)."""
    return 0 if method == "HEAD" or status in _WITHOUT_BODY else body_bytes


def request_size_bytes(
    method: str,
    path: str,
    authority: str,
    body_bytes: int,
    headers: tuple[tuple[str, str], ...] = (),
    *,
    first: bool,
    renamed: bool = False,
) -> int:
    """Return the nominal size of a request's frames; ``first`` on its connection, it brings the preface along.

    ``renamed``: whether the first on its connection had another authority.
    """
    size = _request_headers_bytes(method, path, authority, headers, first or renamed) + _data_bytes(body_bytes)
    return size + MAGIC_BYTES + OPENING_BYTES if first else size


def response_size_bytes(status: int, body_bytes: int, headers: tuple[tuple[str, str], ...] = (), *, first: bool) -> int:
    """Return the nominal size of a response's frames; the ``first`` on its connection brings the settings along."""
    size = _response_headers_bytes(status, headers) + _data_bytes(body_bytes)
    return size + OPENING_BYTES if first else size


def _data_bytes(body_bytes: int) -> int:
    assert body_bytes >= 0, body_bytes
    return body_bytes + -(-body_bytes // MAX_FRAME_BYTES) * FRAME_HEADER_BYTES


@lru_cache(maxsize=4096)
def _request_headers_bytes(
    method: str, path: str, authority: str, headers: tuple[tuple[str, str], ...], named: bool
) -> int:
    fields = 1  # the scheme is in HPACK's static table
    fields += _field_bytes(":method", method) + _field_bytes(":path", path)
    fields += 1 + _string_bytes(authority) if named else 1  # else in HPACK's dynamic table
    fields += _id_field_bytes("x-request-id", REQUEST_ID_BYTES) + _id_field_bytes("traceparent", TRACEPARENT_BYTES)
    fields += sum(_field_bytes(name, value) for name, value in headers)
    return _header_frames_bytes(fields)


@lru_cache(maxsize=1024)
def _response_headers_bytes(status: int, headers: tuple[tuple[str, str], ...]) -> int:
    fields = _field_bytes(":status", str(status))
    fields += sum(_field_bytes(name, value) for name, value in headers)
    return _header_frames_bytes(fields + _id_field_bytes("x-request-id", REQUEST_ID_BYTES))


def _header_frames_bytes(fields_bytes: int) -> int:
    """HEADERS and, for more than a frame holds, CONTINUATION."""
    return fields_bytes + -(-fields_bytes // MAX_FRAME_BYTES) * FRAME_HEADER_BYTES


@lru_cache(maxsize=4096)
def is_static(name: str, value: str) -> bool:
    """Whether a field is sent as one of HPACK's static table (RFC 7541, appendix A), which no secret is."""
    if name in _SECRETS:
        return False
    from hpack.table import HeaderTable

    known = HeaderTable.STATIC_TABLE_MAPPING.get(name.encode())
    return known is not None and value.encode() in known[1]


def _field_bytes(name: str, value: str) -> int:
    """Return the size of a field that is never put into HPACK's dynamic table (RFC 7541, sections 6.1 and 6.2.3)."""
    from hpack.table import HeaderTable

    if is_static(name, value):
        return 1
    known = HeaderTable.STATIC_TABLE_MAPPING.get(name.encode())
    if known is None:
        return 1 + _string_bytes(name) + _string_bytes(value)
    return (1 if known[0] < 15 else 2) + _string_bytes(value)  # an index with a prefix of four bits


def _id_field_bytes(name: str, value_bytes: int) -> int:
    return 1 + _string_bytes(name) + 1 + value_bytes


def _string_bytes(text: str) -> int:
    """Return the size of a string in HPACK: its length, and it in Huffman code (appendix B) if shorter."""
    from hpack.huffman_constants import REQUEST_CODES_LENGTH

    plain = text.encode()
    size = min(len(plain), (sum(REQUEST_CODES_LENGTH[byte] for byte in plain) + 7) // 8)
    length, rest = 1, size - 127  # an integer with a prefix of seven bits (RFC 7541, section 5.1)
    while rest >= 0:
        length += 1
        rest = (rest >> 7) - 1 if rest >= 128 else -1
    return length + size
