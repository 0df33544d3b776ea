"""What a TCP sender takes for a sign that it reduced its window by mistake."""

from __future__ import annotations

from meshsim.network.tcp_undo import NEVER, Doubt, split_twice


def test_what_came_twice_stands_in_front() -> None:
    """The first range tells of a duplicate if it was acknowledged before or lies within the second (RFC 2883)."""
    assert split_twice(10, ((5, 8), (12, 15))) == (8, ((12, 15),))
    assert split_twice(10, ((12, 13), (12, 15))) == (13, ((12, 15),))
    assert split_twice(10, ((12, 15), (17, 20))) == (NEVER, ((12, 15), (17, 20)))


def test_all_that_was_sent_again_was_there() -> None:
    """A reduction was a mistake once each segment that was sent again is told to have come twice."""
    doubt = Doubt()
    doubt.begin(0, 0)
    doubt.sent_again(5)
    doubt.sent_again(6)
    assert doubt.arrived_twice(3, 2)
    assert not doubt.all_in_vain
    assert doubt.arrived_twice(6, 2)
    assert doubt.all_in_vain


def test_copies_that_the_network_made_prove_nothing() -> None:
    """Duplicates before anything was sent again are the network's: they neither count nor have a sender wait longer."""
    doubt = Doubt()
    assert not doubt.arrived_twice(3, 0)
    doubt.begin(0, 0)
    doubt.sent_again(5)
    assert not doubt.arrived_twice(3, 1)
    assert not doubt.all_in_vain
