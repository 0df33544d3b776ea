"""Where replicas should be, given where their users are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshsim.control.following import best_placement, moves

NODES = ("west", "middle", "east")


def test_one_replica_goes_to_the_nearest_node() -> None:
    """With one replica, the node with the least latency to all users wins."""
    users = [{"west": 9, "middle": 4, "east": 1}, {"west": 9, "middle": 5, "east": 3}]
    assert best_placement(users, NODES, ("west",)) == ("east",)


def test_two_replicas_split_between_two_crowds() -> None:
    """Each user is served by the nearest replica, so two crowds get one each."""
    users = [{"west": 1, "middle": 5, "east": 9}] * 3 + [{"west": 9, "middle": 5, "east": 1}] * 3
    assert best_placement(users, NODES, ("west", "west")) == ("west", "east")


def test_nothing_moves_without_gain() -> None:
    """Between placements that serve equally well the present one stays."""
    assert best_placement([{"west": 4, "middle": 4, "east": 4}], NODES, ("east",)) == ("east",)


def test_a_node_that_cannot_be_reached_is_the_last_choice() -> None:
    """Any way is better than none."""
    assert best_placement([{"west": None, "east": 10**9}], ("west", "east"), ("west",)) == ("east",)


@given(
    st.lists(st.sampled_from(NODES), min_size=1, max_size=5), st.lists(st.sampled_from(NODES), min_size=5, max_size=5)
)
def test_moves_turn_one_placement_into_the_other(current: list[str], others: list[str]) -> None:
    """Carrying the moves out gives the wanted placement, and nothing moves to where it is."""
    wanted = others[: len(current)]
    placed = list(current)
    for old, new in moves(current, wanted):
        assert old != new
        placed[placed.index(old)] = new
    assert sorted(placed) == sorted(wanted)
