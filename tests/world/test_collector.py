"""The collector is as it was after a run."""

from __future__ import annotations

import gc
import weakref

import pytest

from meshsim.world.collector import rare_collections


class _Node:
    def __init__(self) -> None:
        self.itself = self


def test_everything_is_as_before() -> None:
    """Thresholds and frozen objects are what they were, after an error too."""
    before = gc.get_threshold(), gc.get_freeze_count()

    @rare_collections()
    def fail() -> None:
        assert gc.get_threshold()[0] > before[0][0]
        assert gc.get_freeze_count() > 0
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (gc.get_threshold(), gc.get_freeze_count()) == before


def test_cycles_are_still_found() -> None:
    """What only refers to itself goes while a run lasts, sooner or later."""
    with rare_collections():
        lost = weakref.ref(_Node())
        kept: list[list[None]] = [[] for _ in range(2 * gc.get_threshold()[0])]
        assert lost() is None
        assert kept


def test_what_was_there_is_collected_afterwards() -> None:
    """A cycle from before a run, which is let go during it, is found after it."""
    node = _Node()
    lost = weakref.ref(node)
    with rare_collections():
        del node
        gc.collect()
        assert lost() is not None
    gc.collect()
    assert lost() is None
