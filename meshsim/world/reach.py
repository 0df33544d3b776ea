"""How long a request or an answer of the control plane or the issuer takes between nodes, and whether it arrives.

Such messages are few and small: they take the propagation delay of their route and wait in no queue. One that comes to
a link that is cut is lost, until routes lead around it; what a device's radio adds is left out. What is pushed is not
small: see ``dispatching``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.world.state import State

AGAIN_NS = 1_000_000_000
"""How long until the control plane tries again to reach somebody."""
OFTEN = 60
"""How many times it tries so often; what has been away for longer is tried less."""
SELDOM_NS = 30_000_000_000
"""How long until it tries again after that."""


def again_after_ns(tries: int) -> int:
    """Return how long to wait before the next try, after so many others: days of silence cost few events."""
    return AGAIN_NS if tries < OFTEN else SELDOM_NS


def one_way_ns(state: State, source: str, destination: str) -> int | None:
    """Return the time from one node to another for a message that leaves now; None if there is no way, or it is lost.

    What a fault does to the message is noted on the link, as for any other packet.
    """
    route = state.topology.route(source, destination)
    if route is None:
        return None
    total_ns = 0
    for direction in route:
        if not direction.up or direction.surge_ns:
            direction.touched += 1
        if not direction.up:
            return None
        total_ns += direction.latency_ns + direction.surge_ns
    return total_ns
