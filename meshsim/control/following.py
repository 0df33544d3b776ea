"""Where the replicas of a service should be, given where its users are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement

UNREACHABLE_NS = 10_000_000_000
"""What a user counts who cannot reach a node at all: more than any network takes."""


def best_placement(
    distances_ns: Sequence[Mapping[str, int | None]], nodes: Sequence[str], current: Sequence[str]
) -> tuple[str, ...]:
    """Return the nodes on which as many replicas as in ``current`` serve the users best.

    ``distances_ns`` holds, for each user, the network latency to each node (None: no way). Each user is served by the
    nearest replica; the sum over users counts. Between equals the placement that moves the fewest replicas is taken,
    then the one whose nodes come first in ``nodes``. All placements are looked at: there are few.
    """
    present = Counter(current)

    def cost(placement: tuple[str, ...]) -> tuple[int, int]:
        total_ns = 0
        for user in distances_ns:
            known = [distance for node in placement if (distance := user[node]) is not None]
            total_ns += min(known) if known else UNREACHABLE_NS
        return total_ns, sum((Counter(placement) - present).values())

    return min(combinations_with_replacement(nodes, len(current)), key=cost)


def moves(current: Sequence[str], wanted: Sequence[str]) -> list[tuple[str, str]]:
    """Return (from, to) for each replica that has to move, in the order of ``current`` and ``wanted``."""
    leaving = list((Counter(current) - Counter(wanted)).elements())
    coming = list((Counter(wanted) - Counter(current)).elements())
    return list(zip(leaving, coming, strict=True))
