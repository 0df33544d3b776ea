"""Named random streams: one per entity and purpose, so that adding one never shifts another's draws."""

from __future__ import annotations

import hashlib
from random import Random


class Streams:
    """Makes generators from the scenario's seed and a name. The same name gives the same draws in every process."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._taken: set[str] = set()

    def stream(self, *name: str) -> Random:
        """Return a new generator for ``name``; asking twice for one name is our mistake."""
        key = "/".join(name)
        assert key not in self._taken, f"random stream {key} is taken"
        self._taken.add(key)
        digest = hashlib.sha256(f"meshsim:{self._seed}:{key}".encode()).digest()
        return Random(int.from_bytes(digest[:16], "big"))
