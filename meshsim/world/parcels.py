"""Documents on their way between nodes: they take their places on links, as any other packets.

A parcel is sent in windows as TCP begins: ten segments, then twice as many, each window after the one before has been
acknowledged. Segments are as large as all links on the way let pass. What is lost is sent again after a time-out. Over
a link that slices share it takes the time of its bytes at the link's rate, and no place: it is in no slice.

What is pushed goes over a stream that stands (``broke``): a link that is cut, a node that is down and the lack of any
way break it, and what was on its way is lost with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from meshsim.network import tcp
from meshsim.network.link import MTU_BYTES
from meshsim.network.sliced_link import SlicedLinkDirection
from meshsim.network.train import COPY, LOST, Train

if TYPE_CHECKING:
    from meshsim.network.routing import Route
    from meshsim.world.state import State

INITIAL_WINDOW = 10
"""Segments that are sent before the first is acknowledged (RFC 6928)."""
TIMEOUT_NS = 1 * tcp.S
"""How long until what is lost is sent again, doubled each time in a row (RFC 6298, section 5)."""
BITS_NS = 8 * 1_000_000_000


class Parcel:
    """A document that is on its way."""

    def __init__(
        self,
        source: str,
        destination: str,
        size_bytes: int,
        wanted: Callable[[], bool],
        came: Callable[[], None],
        broke: Callable[[], None] | None = None,
    ) -> None:
        self.source = source
        self.destination = destination
        self.left_bytes = size_bytes
        self.wanted = wanted
        """Says whether anybody still waits for it."""
        self.came = came
        """Called once all of it is there."""
        self.broke = broke
        """Called when its stream has broken, or nobody waits for it any more; without it, it is sent again."""
        self.sent_bytes = 0
        """What has left its source for it: headers, and all that was sent more than once."""
        self.window = INITIAL_WINDOW
        self.timeout_ns = TIMEOUT_NS
        self.route: Route = ()
        self.segment_bytes = tcp.SEGMENT_BYTES
        """Size of the segments of its last window, headers apart."""
        self.window_bytes = 0
        """Size of that window."""


Leg = tuple[Parcel, Train, int]
"""A parcel, what is under way of it, and over how many hops that has come."""


class Parcels:
    """Carries parcels."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._clock = state.clock

    def send(self, parcel: Parcel) -> None:
        """Send what the window allows, by the route of now."""
        if not parcel.wanted():
            if parcel.broke is not None:
                parcel.broke()
            return
        route = self._state.topology.route(parcel.source, parcel.destination)
        if route is None:
            self._cut(parcel)
            return
        parcel.route = route
        fits_bytes = min([direction.mtu_bytes for direction in route], default=MTU_BYTES)
        parcel.segment_bytes = segment_bytes = fits_bytes - tcp.HEADER_BYTES
        segments = min(parcel.window, -(-parcel.left_bytes // segment_bytes))
        parcel.window_bytes = size_bytes = min(parcel.left_bytes, segments * segment_bytes)
        train = Train()
        train.load(size_bytes + segments * tcp.HEADER_BYTES, segments, self._clock.now_ns)
        parcel.sent_bytes += train.size_bytes if route else 0
        self._cross((parcel, train, 0))

    def _cross(self, leg: Leg) -> None:
        parcel, train, hop = leg
        route = parcel.route
        if hop and not self._left(parcel, train, hop - 1):
            return
        if hop == len(route):
            self._arrived(parcel, train)
            return
        direction, now_ns = route[hop], self._clock.now_ns
        if isinstance(direction, SlicedLinkDirection):
            if not direction.up:
                direction.touched += train.segments
                self._cut(parcel)
                return
            if direction.surge_ns:
                direction.touched += train.segments
            train.epoch = direction.epoch
            rate_ns = train.size_bytes * BITS_NS // direction.bandwidth_bps
            train.tail_ns = head_ns = max(now_ns, train.tail_ns) + rate_ns + direction.delay_ns(now_ns)
        else:
            head_ns = direction.enter(train, now_ns)
        if not direction.up:
            self._cut(parcel)
        elif head_ns == LOST or not train.segments:
            self._again(parcel)
        else:
            self._clock.at(train.tail_ns if hop + 1 == len(route) else head_ns, self._cross, (parcel, train, hop + 1))
        if train.copies not in (0, COPY):
            train.copies = 0  # a duplicate brings nothing new

    def _left(self, parcel: Parcel, train: Train, hop: int) -> bool:
        """Leave a hop; say whether anything of the train came over it."""
        direction = parcel.route[hop]
        if isinstance(direction, SlicedLinkDirection):
            if direction.holds(train):
                return True
            direction.touched += train.segments
        elif direction.leave(train):
            return True
        self._cut(parcel)
        return False

    def _arrived(self, parcel: Parcel, train: Train) -> None:
        if not self._state.machines[parcel.destination].up:
            self._cut(parcel)
            return
        came_bytes = self._whole_bytes(parcel, train)
        lost = came_bytes < parcel.window_bytes
        parcel.left_bytes -= came_bytes
        if came_bytes:
            parcel.timeout_ns = TIMEOUT_NS  # the answer to something new takes the doubling back
        if not parcel.left_bytes:
            parcel.came()
        elif lost:
            self._again(parcel)
        else:
            parcel.window *= 2
            back_ns = sum(direction.delay_ns(self._clock.now_ns) for direction in parcel.route)
            self._clock.at(self._clock.now_ns + back_ns, self.send, parcel)

    def _whole_bytes(self, parcel: Parcel, train: Train) -> int:
        """Return how much of the last window has come undamaged."""
        segments = -(-parcel.window_bytes // parcel.segment_bytes)
        alive = range(segments) if train.alive is None else train.alive
        whole = [segment for segment in alive if segment not in train.corrupted]
        came_bytes = len(whole) * parcel.segment_bytes
        if segments - 1 in whole:
            came_bytes -= segments * parcel.segment_bytes - parcel.window_bytes  # the last one may be smaller
        return came_bytes

    def _cut(self, parcel: Parcel) -> None:
        """Take note that what is under way of a parcel came to where nothing passes, or nobody is."""
        if parcel.broke is None:
            self._again(parcel)
        else:
            parcel.broke()

    def _again(self, parcel: Parcel) -> None:
        """Send what is left once more after a time-out, with a window of one segment (RFC 5681, section 3.1)."""
        parcel.window = 1
        self._clock.at(self._clock.now_ns + parcel.timeout_ns, self.send, parcel)
        parcel.timeout_ns *= 2
