"""The scoreboard of a TCP sender: what it counts and remembers is what a look at every segment would find."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.network import tcp
from meshsim.network.tcp_connection import carry
from meshsim.network.tcp_dialogue import Turn
from meshsim.network.tcp_loss import NEVER, Rack, Ranges, Segment
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_path import DOWN, UP, LossCountdown, SteadyPath
from meshsim.network.tcp_scoreboard import Arrived, Scoreboard


class Looking(Scoreboard):
    """A scoreboard that looks at every segment and compares."""

    __slots__ = ()

    def look(self) -> None:
        """Compare all that is counted."""
        segments = self.outstanding
        assert self.sacked == sum(each.sacked for each in segments)
        assert self.in_flight == sum((not each.sacked and not each.lost) + each.in_retransmission for each in segments)
        assert self.any_lost == any(each.lost for each in segments)
        assert self.regular == (not any(each.sacked or each.lost or each.retransmitted for each in segments))
        missing = [each for each in segments if each.lost and not each.in_retransmission]
        assert self.next_missing() is (missing[0] if missing else None)

    def take(self, up_to: int, sacks: Ranges, now_ns: int, rack: Rack) -> Arrived:
        """Take an acknowledgement; find everything in its ranges."""
        self.look()
        expected = sum(
            not each.sacked
            and (each.end <= up_to or any(low <= each.start and each.end <= high for low, high in sacks))
            for each in self.outstanding
        )
        arrived = super().take(up_to, sacks, now_ns, rack)
        assert arrived.segments == expected
        self.look()
        return arrived

    def lose_overdue(self, before: tuple[int, int], up_to_ns: int) -> int:
        """Take those to be lost that are overdue; find all of them."""
        late = [
            each
            for each in self.outstanding
            if not each.sacked and (each.in_retransmission or not each.lost) and (each.sent_ns, each.end) < before
        ]
        last_ns = super().lose_overdue(before, up_to_ns)
        waiting: list[Segment] = []
        for each in late:
            if each.sent_ns <= up_to_ns:
                assert (each.lost, each.in_retransmission) == (True, False)
            else:
                waiting.append(each)
        assert last_ns == max((each.sent_ns for each in waiting), default=NEVER)
        self.look()
        return last_ns

    def find_all(self) -> None:
        """Take none to be lost; a spurious timeout was undone."""
        super().find_all()
        self.look()


@pytest.fixture(autouse=True)
def _look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshsim.network.tcp_sender.Scoreboard", Looking)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    loss=st.sampled_from([0.01, 0.1, 0.3]),
    round_trip_ms=st.sampled_from([1, 50, 600]),
    noise_percent=st.sampled_from([0, 5, 100]),
    segments=st.integers(1, 120),
)
def test_what_is_counted_is_what_is_there(
    seed: int, loss: float, round_trip_ms: int, noise_percent: int, segments: int
) -> None:
    """Whatever is lost or late, counts, first missing segment, new arrivals and overdue ones are those of a search."""
    randoms = [Random(f"{seed}/{purpose}") for purpose in ("up", "down", "noise")]
    half_ns = round_trip_ms * tcp.MS // 2
    path = SteadyPath(
        (half_ns, half_ns),
        10**8,
        (LossCountdown(loss, randoms[0]), LossCountdown(loss, randoms[1])),
        randoms[2],
        half_ns * noise_percent // 100,
    )
    dialogue = (Turn(UP, (segments * tcp.SEGMENT_BYTES,)), Turn(DOWN, (3 * tcp.SEGMENT_BYTES,)))
    course = carry(dialogue, path, TcpParameters())
    assert len(course.delivered_ns) == len(dialogue) or course.failure
