"""What hosts remember of each other's round trips, from one connection to the next: Linux's TCP metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.network.tcp_parameters import DestinationMemory, TcpParameters
from meshsim.world.connection import Connection

if TYPE_CHECKING:
    from meshsim.network.tcp_exchange import Memories
    from meshsim.network.tcp_replay import Passage
    from meshsim.world.alarms import Alarms


class Destinations:
    """The memories of all hosts. A connection is learnt from when both ends have closed it in order."""

    def __init__(self, clock: Alarms, parameters: TcpParameters) -> None:
        self._clock = clock
        self._parameters = parameters
        self._memories: dict[tuple[str, str], tuple[DestinationMemory, DestinationMemory]] = {}

    def of(self, connection: Connection) -> Memories:
        """Return what the client remembers of the server, and the server of the client."""
        return self._memories.get((connection.client.name, connection.server.name), (None, None))

    def learn(self, connection: Connection) -> None:
        """Take note of the round trips of a connection that has ended."""
        if not self._parameters.remember_destination:
            return
        key = (connection.client.name, connection.server.name)
        memories = self._memories.get(key)
        if memories is None:
            memories = self._memories[key] = (DestinationMemory(), DestinationMemory())
        for direction, memory in enumerate(memories):
            round_trip_ns = self._round_trip_ns(connection, direction)
            if round_trip_ns:
                memory.learn(round_trip_ns, self._clock.now_ns)

    def _round_trip_ns(self, connection: Connection, direction: int) -> int:
        """Return the smoothed round trip of an end: TCP's own, or what its trains and their answers took."""
        smoothed_ns = connection.round_trips_ns[0]
        if connection.wire is not None:
            smoothed_ns = connection.wire.exchange.ends[direction].estimate.smoothed_ns
        log = list(connection.log)
        for place, passage in enumerate(log):
            if passage[0] == direction:
                sample_ns = self._sample_ns(passage, log[place + 1 :])
                if sample_ns:
                    smoothed_ns += (sample_ns - smoothed_ns) // 8
        return smoothed_ns

    def _sample_ns(self, passage: Passage, later: list[Passage]) -> int:
        """Return the time until a train was acknowledged, by the next one back or by an acknowledgement on its own."""
        direction, launched_ns, _, tail_ns, _, _ = passage
        for way, answered_ns, _, back_ns, _, _ in later:
            if way != direction and answered_ns >= tail_ns:
                waited_ns = min(answered_ns - tail_ns, self._parameters.delayed_ack_ns)
                return tail_ns - launched_ns + waited_ns + back_ns - answered_ns
        return 0
