"""The collector is as it was after a run."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshsim.bench.scale import scenario_text
from meshsim.collector import rare_collections
from meshsim.scenario.loader import load_text
from meshsim.telemetry.recorder import Recorder
from meshsim.world.accounts import Account, Request
from meshsim.world.handling import Handling
from meshsim.world.world import World


@pytest.fixture(autouse=True)
def pythons_own() -> Iterator[None]:
    """Python's own thresholds and nothing frozen, in place of those of the tests (conftest.py)."""
    ours = gc.get_threshold()
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    yield
    gc.freeze()
    gc.set_threshold(*ours)


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


def test_rare_collections_of_others_stay_as_they_are() -> None:
    """Where the collector works as seldom already, a run freezes nothing and leaves what is frozen."""
    for freeze in (gc.unfreeze, gc.freeze):
        gc.set_threshold(20_000, 10, 10)
        freeze()
        before, made = gc.get_freeze_count(), [_Node() for _ in range(1_000)]
        with rare_collections():
            within = gc.get_threshold(), gc.get_freeze_count()
        after = gc.get_threshold(), gc.get_freeze_count()
        assert within[0] == after[0] == (20_000, 10, 10)
        # What was frozen may go when nobody refers to it; nothing that is new is added.
        assert min(before, 1) <= after[1] <= within[1] <= before, len(made)


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


class _Nowhere:
    def write(self, table: str, rows: list[Any]) -> None:
        """Take a batch of rows, as a sink; keep nothing."""


def test_requests_leave_no_cycles() -> None:
    """Counting references alone frees what was made for a request, the calls between services included."""
    kinds = (Account, Request, Handling)
    world = World(load_text(scenario_text(10, 6, 50), Path("scale.yaml")), Recorder(_Nowhere()))
    gc.collect()
    gc.disable()
    try:
        world.run()
        assert not [one for one in gc.get_objects() if isinstance(one, kinds)]
    finally:
        gc.enable()


def test_reading_and_assembling_are_left_alone() -> None:
    """While a scenario is read and its world assembled, older objects are not looked through."""
    generations = []

    def note(phase: str, info: dict[str, int]) -> None:
        generations.append(info["generation"])

    text = scenario_text(600, 360, 50)
    gc.collect()
    gc.callbacks.append(note)
    try:
        loaded = load_text(text, Path("scale.yaml"))
        while_reading = [generation for generation in generations if generation]
        World(loaded, Recorder(_Nowhere()))
    finally:
        gc.callbacks.remove(note)
    assert not while_reading
    assert not [generation for generation in generations if generation]
