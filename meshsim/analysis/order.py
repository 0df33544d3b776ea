"""Exact order statistics of more values than are held in memory.

The values come part by part, and can be had again and again. What is asked for is found in a few passes: of a sample
come bounds that cut the values into small bins, one pass counts the values in each bin, and another collects the bins
that hold what was asked for. The sample decides how many passes it takes, and never what is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from meshsim.analysis.reading import Flags, Ints

KEPT = 262_144
"""So many values are held in memory at most, beside one part."""
_OF_PART = 32
"""Values of each part that get into the sample."""

Parts = Callable[[], Iterable[Ints]]
"""All values, part by part: the same ones at each call."""
Grouped = Callable[[], Iterable[tuple[Ints, Ints]]]
"""The same, with the number of the group that each value is in before it."""

Ranks = Callable[[int], Sequence[int]]
"""The ranks that are asked for of so many values."""


def at_ranks(parts: Parts, ranks: Sequence[int]) -> list[int]:
    """The values that stand at these ranks, counted from 0, when all are in ascending order."""
    known = _at(parts, np.unique(np.array(ranks, dtype=np.int64)))
    return [known[rank] for rank in ranks]


def of_groups(parts: Grouped, sizes: Sequence[int], ranks: Ranks) -> list[list[int]]:
    """For each group the values at its ranks, which ``ranks`` tells for its size; none for one without values.

    ``sizes`` says how many values each group has. A group is done with as soon as all of its values have come: groups
    whose values stand close together, such as those of a piece of time, take one pass.
    """
    found: list[list[int]] = [[] for _ in sizes]
    pending = {group for group, size in enumerate(sizes) if 0 < size <= KEPT}
    while pending:
        pending = _one_pass(parts, sizes, ranks, pending, found)
    for group, size in enumerate(sizes):
        if size > KEPT:
            found[group] = at_ranks(partial(_of_group, parts, group), ranks(size))
    return found


def _of_group(parts: Grouped, group: int) -> Iterator[Ints]:
    for groups, values in parts():
        yield values[groups == group]


def _one_pass(
    parts: Grouped,
    sizes: Sequence[int],
    ranks: Ranks,
    pending: set[int],
    found: list[list[int]],
) -> set[int]:
    """Fill in what is found in one pass; return the groups for which there was no room, never all of them."""
    there: dict[int, list[Ints]] = {group: [] for group in pending}
    came = dict.fromkeys(pending, 0)
    kept, late = 0, set[int]()
    for groups, values in parts():
        if not groups.size:
            continue
        order = np.argsort(groups, kind="stable")
        in_order = groups[order]
        starts = np.flatnonzero(np.diff(in_order, prepend=-1))
        for group, rows in zip(in_order[starts].tolist(), np.split(order, starts[1:]), strict=True):
            if group not in there:
                continue
            if kept + rows.size > KEPT and kept > came[group]:  # others are held as well: they go on, this one waits
                kept -= came[group]
                late.add(group)
                del there[group]
                continue
            there[group].append(values[rows])
            came[group] += rows.size
            kept += rows.size
            if came[group] == sizes[group]:
                ordered = np.sort(np.concatenate(there.pop(group)))
                found[group] = [int(ordered[rank]) for rank in ranks(sizes[group])]
                kept -= came[group]
    return late


def _at(parts: Parts, ranks: Ints) -> dict[int, int]:
    """The values at ranks that are in ascending order, by rank."""
    sampled = _sampled(parts)
    if isinstance(sampled, np.ndarray):
        return {rank: int(sampled[rank]) for rank in ranks.tolist()}
    edges = sampled.edges()
    sizes = np.zeros(edges.size, dtype=np.int64)  # bin i has what is at least edges[i], and less than the next edge
    for values in parts():
        sizes += np.bincount(np.searchsorted(edges, values, side="right") - 1, minlength=sizes.size)
    ends = np.cumsum(sizes)
    known: dict[int, int] = {}
    for bins, of_bins in _batches(np.searchsorted(ends, ranks, side="right"), ranks, sizes):
        first = bins[0]
        below = int(ends[first] - sizes[first])
        if len(bins) == 1 and edges[first + 1 : first + 2].tolist() in ([], [int(edges[first]) + 1]):
            known |= dict.fromkeys(of_bins.tolist(), int(edges[first]))
        elif sizes[bins].sum() > KEPT:
            inside = _at(partial(_within, parts, edges, [first]), of_bins - below)
            known |= {rank + below: value for rank, value in inside.items()}
        else:
            ordered = np.sort(np.concatenate(list(_within(parts, edges, bins))))
            gaps = np.cumsum(sizes[bins]) - sizes[bins]  # values of this batch before each of its bins
            place = np.searchsorted(bins, np.searchsorted(ends, of_bins, side="right"))
            inside_at = of_bins - (ends - sizes)[bins][place] + gaps[place]
            known |= dict(zip(of_bins.tolist(), ordered[inside_at].tolist(), strict=True))
    return known


def _batches(bins_of_ranks: Ints, ranks: Ints, sizes: Ints) -> Iterator[tuple[list[int], Ints]]:
    """Bins, and the ranks in them, that are collected together: one, or as many as have ``KEPT`` values at most."""
    begin, kept, bins = 0, 0, list[int]()
    for place, found in enumerate(bins_of_ranks.tolist()):
        if bins and found == bins[-1]:
            continue
        if bins and kept + sizes[found] > KEPT:
            yield bins, ranks[begin:place]
            begin, kept, bins = place, 0, []
        bins.append(found)
        kept += int(sizes[found])
    if bins:
        yield bins, ranks[begin:]


def _within(parts: Parts, edges: Ints, bins: Sequence[int]) -> Iterator[Ints]:
    """The values in these bins."""
    wanted: Flags = np.zeros(edges.size, dtype=np.bool_)
    wanted[list(bins)] = True
    for values in parts():
        yield values[wanted[np.searchsorted(edges, values, side="right") - 1]]


class _Sample:
    """Some of the values, and the smallest and the largest."""

    def __init__(self, some: list[Ints], smallest: int, largest: int) -> None:
        self._some, self._smallest, self._largest = some, smallest, largest

    def edges(self) -> Ints:
        """Lower bounds of bins that cover all values.

        The largest value has a bin of its own, and so has each that was sampled: where very many values are equal, no
        bin has to be cut up again because of them, and every bin has fewer values than there are.
        """
        some = np.concatenate(self._some).astype(np.int64)
        return np.unique(
            np.concatenate([some, some + 1, np.array([self._smallest, self._largest])]).clip(max=self._largest)
        )


def _sampled(parts: Parts) -> Ints | _Sample:
    """All values in ascending order, if they are no more than ``KEPT``; else some of them."""
    kept: list[Ints] = []
    some: list[Ints] = []
    size, lows, highs = 0, list[int](), list[int]()
    for values in parts():
        if not values.size:
            continue
        size += values.size
        if size <= KEPT:
            kept.append(values)
        else:
            kept = []
        some.append(values[:: -(-values.size // _OF_PART)].copy())
        lows.append(int(values.min()))
        highs.append(int(values.max()))
    if size > KEPT:
        return _Sample(some, min(lows), max(highs))
    return np.sort(np.concatenate(kept)) if kept else np.zeros(0, dtype=np.int64)
