"""HPACK with what it computes again and again looked up: the bytes, and the mistakes it finds, are those of hpack."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hpack import Decoder, Encoder, HeaderTuple, NeverIndexedHeaderTuple
from hpack.exceptions import HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman as hpack_decodes
from hypothesis import given
from hypothesis import strategies as st

from meshsim.sidecar.hpack_tables import MOST_KNOWN, RememberingEncoder, decode_huffman

HPACK_ENCODES = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode
NAMES = st.sampled_from([":path", ":authority", "x-request-id", "traceparent", "x-a", ":status"])
VALUES = st.sampled_from(["/", "/orders", "a.example", "200", "503", ""]) | st.text(st.characters(codec="ascii"))
FIELDS = st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=8)


def outcome(decode: Callable[[bytes], bytes], encoded: bytes) -> bytes | str:
    """What decoding comes to: text, or what is said of it."""
    try:
        return decode(encoded)
    except HPACKDecodingError as error:
        return str(error)


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_has_its_code(byte: int) -> None:
    """Each byte, by itself and among others, is encoded as hpack does it, and decoded again."""
    coder = RememberingEncoder().huffman_coder
    for text in (bytes((byte,)), bytes((byte,)) * 3, b"/a" + bytes((byte,)) + b"-0"):
        assert coder.encode(text) == HPACK_ENCODES(text)
        assert decode_huffman(coder.encode(text)) == text
    assert coder.encode(b"") == decode_huffman(b"") == b""


@given(st.binary(max_size=40))
def test_whatever_arrives_is_decoded_as_hpack_does(encoded: bytes) -> None:
    """Any bytes come to the same text, or the same error, as in hpack."""
    assert outcome(decode_huffman, encoded) == outcome(hpack_decodes, encoded)


@pytest.mark.parametrize("encoded", [b"\xff\xff\xff\xff", b"\xff\xfa", b"\x1f\xff", b"\xff", b"\x07\x00"])
def test_what_is_no_text_is_refused(encoded: bytes) -> None:
    """The end-of-string code within a text, and padding that is too long or not of ones, are as wrong as in hpack."""
    with pytest.raises(HPACKDecodingError) as ours:
        decode_huffman(encoded)
    with pytest.raises(HPACKDecodingError, match=str(ours.value)):
        hpack_decodes(encoded)


@given(st.lists(FIELDS, max_size=12), st.lists(st.sampled_from([0, 60, 4096]), max_size=12))
def test_blocks_are_those_of_hpack(blocks: list[list[tuple[str, str, bool]]], sizes: list[int]) -> None:
    """Through tables that fill up, shrink and lose entries, each block has the bytes of hpack, and is read again."""
    ours, theirs, reader = RememberingEncoder(), Encoder(), Decoder()
    for number, block in enumerate(blocks):
        if number < len(sizes):
            ours.header_table_size = theirs.header_table_size = sizes[number]
        fields = [(NeverIndexedHeaderTuple if never else HeaderTuple)(name, value) for name, value, never in block]
        for _ in range(2):  # the second time from memory, where nothing has moved
            encoded = ours.encode(fields)
            assert encoded == theirs.encode(fields)
            assert [tuple(field) for field in reader.decode(encoded)] == [tuple(field) for field in fields]


def test_it_remembers_a_few_fields() -> None:
    """However many fields pass through, an encoder remembers a few."""
    encoder = RememberingEncoder()
    for number in range(10 * MOST_KNOWN):
        encoder.encode([NeverIndexedHeaderTuple("x-request-id", str(number))])
    assert 0 < len(encoder._known) <= MOST_KNOWN
