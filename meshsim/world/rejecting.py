"""Proxies that reject what is pushed to them, for the time of a fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.world.blaming import Effects


class Rejecting:
    """Knows who rejects pushes now: of changes, of trust bundles and of deny lists alike."""

    def __init__(self) -> None:
        self._faults: dict[str, Effects] = {}
        """The fault for which the proxies of a service or fleet do, by its name."""
        self.resumed: list[Callable[[], None]] = []
        """Called when some take pushes again: what they have missed is pushed anew."""

    def of(self, workload: str) -> Effects | None:
        """Return the fault for which a workload's proxies reject what comes; None where they do not."""
        return self._faults.get(workload)

    def reject(self, workload: str, effects: Effects) -> None:
        """Have the proxies of a service or fleet reject what is pushed to them."""
        self._faults[workload] = effects

    def accept(self, workload: str) -> None:
        """Have them take it again."""
        self._faults.pop(workload, None)
        for again in self.resumed:
            again()
