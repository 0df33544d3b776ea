"""Python's collector of reference cycles, kept out of the way where much is made and little thrown away."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = (10_000, 20, 100)
"""New objects before the youngest generation is looked through, and how often that happens before older ones are."""


@contextmanager
def rare_collections() -> Iterator[None]:
    """Look for cycles seldom, and never among what is there already; as before when it ends.

    Reading a scenario, assembling its world and running it make millions of objects and hardly any cycles: counting
    references frees nearly all that is let go. With Python's own thresholds the collector looks through the scenario,
    the world and all libraries again and again. Where somebody around looks as seldom already, nothing changes, and
    what they froze or did not is left to them.
    """
    before = gc.get_threshold()
    if before[0] >= _THRESHOLDS[0]:
        yield
        return
    frozen = gc.get_freeze_count()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if not frozen:
            gc.unfreeze()
