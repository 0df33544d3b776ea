"""From Arrow arrays to NumPy's and back, by their buffers.

Arrow's own ways, ``pa.array`` and ``to_numpy``, look whether what they get is of pandas, and load it to be able to:
some 50 MB and half a second, in processes that never use it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa

_DTYPES: dict[Any, np.dtype[Any]] = {pa.int64(): np.dtype("<i8"), pa.int32(): np.dtype("<i4")}


def array_of(column: Any) -> Any:
    """Return the values of an Arrow array of integers or booleans without nulls: a view, or a copy of booleans."""
    if pa.types.is_boolean(column.type):
        bits = np.frombuffer(column.buffers()[1], dtype=np.uint8)
        end = column.offset + len(column)
        return np.unpackbits(bits, count=end, bitorder="little")[column.offset :].view(np.bool_)
    values: Any = np.frombuffer(column.buffers()[1], dtype=_DTYPES[column.type])
    return values[column.offset : column.offset + len(column)]


def arrow_of(values: Any) -> Any:
    """Return an Arrow array of NumPy's 64-bit integers or booleans."""
    if values.dtype == np.bool_:
        bits = np.packbits(values, bitorder="little")
        return pa.Array.from_buffers(pa.bool_(), values.size, [None, pa.py_buffer(bits)])
    return pa.Array.from_buffers(pa.int64(), values.size, [None, pa.py_buffer(values)])


def arrow_of_codes(numbers: Any, distinct: Iterable[str]) -> Any:
    """Return an Arrow array of strings, given as NumPy's 32-bit places among the distinct ones."""
    indices = pa.Array.from_buffers(pa.int32(), numbers.size, [None, pa.py_buffer(numbers)])
    return pa.DictionaryArray.from_arrays(indices, _distinct(distinct)).cast(pa.string())


def _distinct(values: Iterable[str]) -> Any:
    encoded = [value.encode() for value in values]
    ends = np.fromiter(accumulate(map(len, encoded), initial=0), dtype=np.int32, count=len(encoded) + 1)
    return pa.Array.from_buffers(pa.string(), len(encoded), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))])
