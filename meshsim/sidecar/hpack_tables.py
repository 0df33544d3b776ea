"""HPACK as ``hpack`` has it, with what it computes again and again looked up instead: the same bytes either way.

Huffman codes take ``hpack`` a step for each bit or half byte, in Python. Here a code is text that is joined and read as
one number, and decoding goes by whole bytes, through the states of ``hpack``'s own table.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hpack import Decoder, Encoder
from hpack import hpack as library
from hpack.exceptions import HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE

MOST_KNOWN: Final = 64
"""Fields of which an encoder remembers how it wrote them. Ids pass through, so that it forgets all now and then."""

MOST_TEXTS: Final = 1_024
"""Texts of which it is remembered how they are encoded: names, paths, and the id of a request until it is answered."""

_CODES: Final = tuple(
    format(code & ((1 << bits) - 1), f"0{bits}b")
    for code, bits in zip(REQUEST_CODES[:256], REQUEST_CODES_LENGTH[:256], strict=True)
)
_PADDING: Final = ("", *("1" * bits for bits in range(7, 0, -1)))
"""By how many bits the last byte has."""


class _Huffman(HuffmanEncoder):
    def encode(self, bytes_to_encode: bytes | None) -> bytes:
        """Return text in RFC 7541's code (section 5.2)."""
        return _encoded(bytes_to_encode) if bytes_to_encode else b""


@lru_cache(MOST_TEXTS)
def _encoded(text: bytes) -> bytes:
    bits = "".join([_CODES[byte] for byte in text])
    bits += _PADDING[len(bits) & 7]
    return int(bits, 2).to_bytes(len(bits) >> 3, "big")


_HUFFMAN: Final = _Huffman(REQUEST_CODES, REQUEST_CODES_LENGTH)


class _Steps(dict[int, tuple[int, bytes, bool]]):
    """What a byte leads to, by 256 times the state and the byte: such a state, what it says, whether it may end there.

    Worked out when it is first wanted. The next state is negative for what is no code.
    """

    def __missing__(self, key: int) -> tuple[int, bytes, bool]:
        state, flags, decoded = key >> 8, 0, b""
        for half in (key >> 4 & 15, key & 15):
            state, flags, byte = HUFFMAN_TABLE[state * 16 + half]
            if flags & HUFFMAN_FAIL:
                state = -1
                break
            if flags & HUFFMAN_EMIT_SYMBOL:
                decoded += bytes((byte,))
        step = self[key] = state << 8, decoded, bool(flags & HUFFMAN_COMPLETE)
        return step


_STEPS: Final = _Steps()


def decode_huffman(huffman_string: bytes | bytearray | memoryview | None) -> bytes:
    """Return what text in the code says; raises HPACKDecodingError as ``hpack`` does."""
    return _decoded(bytes(huffman_string)) if huffman_string else b""


@lru_cache(MOST_TEXTS)
def _decoded(encoded: bytes) -> bytes:
    state, complete = 0, False
    parts = []
    for byte in encoded:
        state, decoded, complete = _STEPS[state | byte]
        if state < 0:
            raise HPACKDecodingError("Invalid Huffman string")
        parts.append(decoded)
    if not complete:
        raise HPACKDecodingError("Incomplete Huffman string")
    return b"".join(parts)


class RememberingEncoder(Encoder):
    """Remembers how it wrote fields, for as long as its dynamic table stays as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.huffman_coder = _HUFFMAN
        self._known: dict[tuple[tuple[bytes, bytes], bool, bool], bytes] = {}

    def encode(self, headers: object, huffman: bool = True) -> bytes:
        """Write fields; the table may have been made smaller since the last ones."""
        if self.header_table.resized:
            self._known.clear()
        return super().encode(headers, huffman)  # type: ignore[arg-type] # as they come

    def add(self, to_add: tuple[bytes, bytes], sensitive: bool, huffman: bool = False) -> bytes:
        """Write a field."""
        key = (to_add, sensitive, huffman)
        written = self._known.get(key)
        if written is not None:
            return written
        written = super().add(to_add, sensitive, huffman)
        if written[0] & 0xC0 == 0x40 or len(self._known) >= MOST_KNOWN:  # one that entered the table (section 6.2.1)
            self._known.clear()
        else:
            self._known[key] = written
        return written


def decoder() -> Decoder:
    """Return a decoder; ``hpack`` looks its Huffman decoding up by name, whose place is taken here."""
    library.decode_huffman = decode_huffman  # type: ignore[attr-defined] # it is there, if not for others
    return Decoder()
