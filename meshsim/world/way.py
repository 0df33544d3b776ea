"""What there is to know of a connection's way in one direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshsim.network.train import NO_LIMIT

if TYPE_CHECKING:
    from meshsim.network.link import LinkDirection


class Way(msgspec.Struct, frozen=True, gc=False):
    """What there is to know of a path in one direction beside its hops."""

    latency_ns: int
    """Propagation over its links."""
    segment_ns: int
    """Time that a full segment takes on its slowest hop."""
    lossy: tuple[LinkDirection, ...]
    """Links that may lose a packet at random."""
    queue_bytes: int
    """The shortest queue of its links, or buffer of its radio."""


NO_WAY = Way(0, 0, (), NO_LIMIT)
