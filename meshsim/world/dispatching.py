"""What control planes push, on its way: it takes its bytes on links, and is lost when its stream breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from meshsim.world.parcels import Parcel, Parcels

if TYPE_CHECKING:
    from meshsim.world.state import State


class Dispatch:
    """Sends messages from node to node, each over a stream that stands as long as the way between the two."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._clock = state.clock
        self._parcels = Parcels(state)

    def send(
        self,
        way: tuple[str, str],
        size_bytes: int,
        came: Callable[[int], None],
        broke: Callable[[int], None],
    ) -> None:
        """Send so many bytes of TCP from a node to another, or to itself.

        ``came`` or ``broke`` is called with how many bytes left the node for it: none if both ends are there. It is
        ``broke``, too, when more of it would have to be sent and the run is over.
        """
        source, destination = way
        if source == destination:
            self._clock.at(self._clock.now_ns, came, 0)
            return
        parcel = Parcel(
            source,
            destination,
            size_bytes,
            lambda: not self._state.over,
            lambda: came(parcel.sent_bytes),
            lambda: self._clock.at(self._clock.now_ns, broke, parcel.sent_bytes),
        )
        self._parcels.send(parcel)

    def back_ns(self, way: tuple[str, str]) -> int:
        """Return how long an answer takes from the end of a way to its beginning: it is small."""
        route = self._state.topology.route(*way) or ()
        return sum(direction.delay_ns(self._clock.now_ns) for direction in route)
