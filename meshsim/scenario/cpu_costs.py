"""The costs of one CPU, as a simulation asks for them: integer nanoseconds of one core."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

BLOCK_BYTES = 16_000
"""Size of the message behind ``<aead>.seal``, ``<aead>.open`` and ``record.copy``; the published block size."""
RECORD_BYTES = 16_384
"""Most plaintext in one TLS record (RFC 8446, 5.1)."""
BLOCK_PS = 1_000 * BLOCK_BYTES
"""Divides picoseconds a block times bytes into nanoseconds."""


class CpuCosts(msgspec.Struct, frozen=True):
    """The costs of one CPU, in nanoseconds of one core."""

    name: str
    """The CPU's name in scenarios."""
    description: str
    """What it is."""
    aes_instructions: bool
    """Whether AES is done by instructions of the CPU."""
    operations: Mapping[str, int]
    """Every operation of the profile to its cost (ns)."""
    tcp_message_ns: int
    """Sending or receiving one short message through the kernel's TCP (ns)."""
    proxy_request_ns: int
    """HTTP proxy work of one sidecar for one request, records and TCP messages not included (ns)."""
    proxy_response_ns: int
    """The same for a response (ns)."""
    ztunnel_message_ns: int
    """Work of a ztunnel for one request, or for one response, likewise (ns)."""
    waypoint_message_ns: int
    """Work of a waypoint to take one request or response, or to send one on, likewise (ns)."""
    record_fixed_ns: int
    """Sealing or opening one TLS record, apart from its bytes (ns)."""
    record_block_ps: Mapping[str, int]
    """Cipher suite to sealing or opening ``BLOCK_BYTES`` bytes (ps)."""
    policy_points: Mapping[str, tuple[tuple[int, int], ...]]
    """Policy engine to its measured points (number of policies, ns of one decision)."""

    def operation_ns(self, name: str) -> int:
        """Cost (ns) of the operation ``name``; raises KeyError if the profile does not price it."""
        return self.operations[name]

    def record_ns(self, cipher: str, size_bytes: int) -> int:
        """CPU time (ns) to seal, or to open, ``size_bytes`` of application data with a TLS 1.3 cipher suite.

        A fixed part for each record of up to 16 384 bytes (at least one), and a part for each byte. Raises KeyError
        for a cipher suite that the profile does not price.
        """
        assert size_bytes >= 0, size_bytes
        records = max(1, -(-size_bytes // RECORD_BYTES))
        return records * self.record_fixed_ns + divide_half_even(size_bytes * self.record_block_ps[cipher], BLOCK_PS)

    def policy_decision_ns(self, engine: str, policies: int) -> int:
        """CPU time (ns) of one decision of ``engine`` with ``policies`` policies loaded.

        Linear between measured points, constant below the first and along the last slope beyond them. Raises KeyError
        for an engine that the profile does not price.
        """
        assert policies >= 0, policies
        points = self.policy_points[engine]
        first_count, first_ns = points[0]
        if policies <= first_count or len(points) == 1:
            return first_ns
        index = next((i for i, (count, _) in enumerate(points) if policies <= count), len(points) - 1)
        (low_count, low_ns), (high_count, high_ns) = points[index - 1], points[index]
        return low_ns + divide_half_even((policies - low_count) * (high_ns - low_ns), high_count - low_count)


def divide_half_even(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` rounded half to even, in integers."""
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient % 2):
        return quotient + 1
    return quotient
