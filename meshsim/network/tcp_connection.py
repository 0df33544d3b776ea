"""One TCP connection from the first SYN on, carrying a dialogue: a pure function of the dialogue, the path and draws.

``carry`` plays both ends at segment level. ``Carrier`` does the same for many connections with the same dialogue over a
steady path, and plays the segments only where something is lost: else it remembers how the undisturbed course went.
"""

from __future__ import annotations

from meshsim.network.tcp_dialogue import Course, Dialogue
from meshsim.network.tcp_exchange import Memories
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_path import DOWN, UP, Path, SteadyPath
from meshsim.network.tcp_play import Play


def carry(
    dialogue: Dialogue,
    path: Path,
    parameters: TcpParameters,
    memories: Memories = (None, None),
    start_ns: int = 0,
) -> Course:
    """Open a connection over ``path`` at ``start_ns`` and carry ``dialogue`` over it.

    ``memories`` are what the client remembers of the server and the server of the client (None: nothing, now or later);
    they learn from the connection if its destination is to be remembered and it did not break.
    """
    play = Play(dialogue, path, parameters, memories, start_ns)
    play.run()
    ends = play.exchange.ends
    round_trips_ns = (ends[UP].estimate.smoothed_ns, ends[DOWN].estimate.smoothed_ns)
    if not play.failure:
        _learn(parameters, memories, round_trips_ns, play.now_ns)
    return Course(
        connected_ns=play.connected_ns,
        first_byte_ns=tuple(play.first_byte_ns),
        delivered_ns=tuple(play.delivered_ns),
        packets=(play.packets[UP], play.packets[DOWN]),
        retransmissions=play.exchange.retransmissions,
        failure=play.failure,
        round_trips_ns=round_trips_ns,
    )


def _learn(
    parameters: TcpParameters,
    memories: Memories,
    round_trips_ns: tuple[int, int],
    now_ns: int,
) -> None:
    if parameters.remember_destination:
        for memory, round_trip_ns in zip(memories, round_trips_ns, strict=True):
            if memory is not None and round_trip_ns:
                memory.learn(round_trip_ns, now_ns)


class Carrier:
    """Carries many dialogues, one after the other, over one steady path between the same hosts."""

    def __init__(
        self,
        path: SteadyPath,
        parameters: TcpParameters,
        memories: Memories = (None, None),
    ) -> None:
        self._path = path
        self._parameters = parameters
        self._memories = memories
        self._undisturbed: dict[Dialogue, Course] = {}

    def undisturbed(self, dialogue: Dialogue) -> Course:
        """Return the course of a dialogue of which nothing is lost."""
        found = self._undisturbed.get(dialogue)
        if found is None:
            path = self._path.lossless()
            found = self._undisturbed[dialogue] = carry(dialogue, path, self._parameters)
        return found

    def carry(self, dialogue: Dialogue, start_ns: int) -> Course:
        """Carry one dialogue; at segment level only if something of it is lost."""
        undisturbed = self.undisturbed(dialogue)
        if self._path.spare(undisturbed.packets):
            end_ns = start_ns + undisturbed.delivered_ns[-1]
            _learn(self._parameters, self._memories, undisturbed.round_trips_ns, end_ns)
            return undisturbed
        self._path.reset()
        return carry(dialogue, self._path, self._parameters, self._memories, start_ns)
