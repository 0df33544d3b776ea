"""When packets are through links in a row, one by one: Lindley's recursion (1952), without a clock or a queue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def sojourns_ns(
    arrivals_ns: Sequence[int], sizes_bytes: Sequence[Sequence[int]], byte_ns: Sequence[int], latency_ns: int
) -> Iterator[int]:
    """Yield how long each packet takes. At each link it begins when it is there and the one before it has left.

    ``sizes_bytes`` and ``byte_ns``, what a byte takes, are by link.
    """
    left_ns = [0] * len(byte_ns)
    for packet, arrived_ns in enumerate(arrivals_ns):
        time_ns = arrived_ns
        for link, each_ns in enumerate(byte_ns):
            left_ns[link] = max(time_ns, left_ns[link]) + sizes_bytes[link][packet] * each_ns
            time_ns = left_ns[link] + latency_ns
        yield time_ns - arrived_ns
