"""How long a message of the control plane or the issuer takes between nodes, and whether it arrives.

Such messages are few and small: they take the propagation delay of their route and wait in no queue. One that comes to
a link that is cut is lost, until routes lead around it; what a device's radio adds is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.world.state import State


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
