"""The tail loss probe of a TCP sender: one at a time, and what its acknowledgement says (RFC 8985, section 7)."""

from __future__ import annotations

from meshsim.network.tcp_loss import NEVER
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_timer import RoundTripEstimate, whole_ticks_ns


def probe_timeout_ns(parameters: TcpParameters, estimate: RoundTripEstimate, alone: bool, left_ns: int) -> int:
    """Return two round trips, and a delayed acknowledgement's worth when only one segment is out.

    Never more than what is left of the retransmission timeout.
    """
    if estimate.smoothed_ns:
        timeout_ns = whole_ticks_ns(2 * estimate.smoothed_ns, parameters.tick_ns)
        timeout_ns += parameters.minimum_rto_ns if alone else 2 * parameters.tick_ns
    else:
        timeout_ns = parameters.initial_rto_ns
    return min(timeout_ns, left_ns) if left_ns > 0 else timeout_ns


class TailLossProbe:
    """Whether a probe is out, and whether it repaired a loss. After Linux's ``tcp_process_tlp_ack``."""

    __slots__ = ("_again", "_end")

    def __init__(self) -> None:
        self._end = NEVER
        self._again = False

    @property
    def out(self) -> bool:
        """Whether what tells of the last probe has not come; meanwhile there is no other."""
        return self._end != NEVER

    @property
    def repeated(self) -> bool:
        """Whether a probe is out that was sent before."""
        return self._again and self.out

    def sent(self, end: int, again: bool) -> None:
        """Take note of a probe up to which all is sent; ``again`` if it was sent before."""
        self._end, self._again = end, again

    def end(self) -> None:
        """Wait for nothing any more."""
        self._end = NEVER

    def repaired(self, up_to: int, twice_end: int, news: bool) -> bool:
        """Take an acknowledgement; return whether it tells that a loss was repaired, which reduces the window.

        ``twice_end`` is where what arrived twice ends; ``news`` if it tells of anything that was not known.
        """
        if not self.out or up_to < self._end:
            return False
        if self._again and twice_end != self._end and up_to == self._end and news:
            return False  # the original may still be on its way
        lost = self._again and twice_end != self._end and up_to > self._end
        self._end = NEVER
        return lost
