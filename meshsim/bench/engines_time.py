"""How much of a process's CPU time the other real components take: Cedar, and libnghttp2.

As with OpenSSL, what calls them gets another in their place while they are measured. Of Cedar that is what is compiled:
translating questions and answers into its terms is not its own part. Of libnghttp2 it includes the binding, since both
are one library here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cedarpy

from meshsim.bench.call_time import CallTime
from meshsim.sidecar import http_end

_WORKING = (
    *("initiate_connection", "set_local_window_size", "send_request", "send_response", "send_data"),
    *("receive_data", "data_to_send", "events"),
)
"""What a connection of HTTP/2 does more than tell a number."""


@contextmanager
def cedar_timed() -> Iterator[CallTime]:
    """Time what Cedar does."""
    known = CallTime()
    library: Any = cedarpy._internal
    before = library.is_authorized_batch
    library.is_authorized_batch = known.timed(before)
    try:
        yield known
    finally:
        library.is_authorized_batch = before


@contextmanager
def nghttp2_timed() -> Iterator[CallTime]:
    """Time what libnghttp2 does for connections that are made from now on."""
    known = CallTime()
    module: Any = http_end
    before = module.Connection

    class Timed:
        """A connection of libnghttp2's, what works of it timed."""

        def __init__(self, *arguments: Any) -> None:
            self._connection = connection = known.timed(before)(*arguments)
            for name in _WORKING:
                setattr(self, name, known.timed(getattr(connection, name)))

        @property
        def want_write(self) -> bool:
            """Whether it has something to say."""
            wants: bool = self._connection.want_write
            return wants

    module.Connection = Timed
    try:
        yield known
    finally:
        module.Connection = before
