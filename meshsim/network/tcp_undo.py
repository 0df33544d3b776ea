"""Whether a TCP sender's reduction of its window was a mistake, because nothing was lost that it sent again.

After Linux's ``tcp_may_undo``: by the timestamp that an acknowledgement echoes (Eifel, RFC 3522), or because duplicate
selective acknowledgements (RFC 2883) tell that all that was sent again had arrived before.
"""

from __future__ import annotations

from meshsim.network.tcp_loss import NEVER, Ranges


def split_twice(up_to: int, sacks: Ranges) -> tuple[int, Ranges]:
    """Return where what arrived twice ends, ``NEVER`` if nothing did, and the ranges that tell of arrivals.

    It is the first range, if it is below ``up_to`` or within the second (RFC 2883, section 4).
    """
    if sacks:
        start, end = sacks[0]
        if start < up_to or (len(sacks) > 1 and sacks[1][0] <= start and end <= sacks[1][1]):
            return end, sacks[1:]
    return NEVER, sacks


class Doubt:
    """What speaks against one sender's last reduction of its window."""

    __slots__ = ("_from", "_repeated", "_twice", "first_ns", "open")

    def __init__(self) -> None:
        self.open = False
        """Whether there is a reduction that may be undone."""
        self.first_ns = NEVER
        """When something was sent again for the first time since."""
        self._from = self._twice = 0
        self._repeated = NEVER
        """How many were sent again, less those that turned out to have been so in vain; ``NEVER`` while none was."""

    def begin(self, acknowledged: int, repeated: int) -> None:
        """The window is reduced; so many segments sent again are still on their way."""
        self.open = True
        self.first_ns = NEVER
        self._from = acknowledged
        self._repeated = repeated or NEVER

    def sent_again(self, now_ns: int) -> None:
        """A segment is sent again."""
        if self.first_ns == NEVER:
            self.first_ns = now_ns
        self._repeated = max(self._repeated, 0) + 1

    def arrived_twice(self, end: int, retransmissions: int) -> bool:
        """The receiver tells that it had a segment already; return whether one that was sent again can be meant.

        Of more than were ever sent again the network made some (Linux's ``tcp_dsack_seen``).
        """
        self._twice += 1
        if self._twice > retransmissions:
            return False
        if self.open and self._repeated > 0 and end > self._from:
            self._repeated -= 1
        return True

    def original(self, echo_ns: int) -> bool:
        """Say whether what is acknowledged was sent before anything was sent again."""
        return self.open and 0 <= echo_ns < self.first_ns

    @property
    def all_in_vain(self) -> bool:
        """Whether all that was sent again had arrived before."""
        return self.open and self._repeated == 0

    def end(self) -> None:
        """The reduction was undone, or stands."""
        self.open = False
