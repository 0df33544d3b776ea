"""A medium on a clock, without a world around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.network.medium import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.network.medium import SharedMedium
    from meshsim.network.train import Train
    from meshsim.world.clock import Clock


class ClockedMedium:
    """Calls a medium when it wants to be, as those who own one do, and hands on what had to wait and was sent."""

    def __init__(
        self, clock: Clock, medium: SharedMedium, sent: Callable[[Train], None], until_ns: int = NEVER
    ) -> None:
        self._clock = clock
        self._medium = medium
        self._sent = sent
        self._until_ns = until_ns
        """From when on it is left alone, whatever waits."""

    def watch(self) -> None:
        """See to it that the medium is called when it wants to be; to be done whenever it was offered something."""
        wanted_ns = self._medium.next_ns
        if wanted_ns < self._medium.wake_ns and self._clock.now_ns < self._until_ns:
            self._medium.wake_ns = wanted_ns
            self._clock.at(wanted_ns, self._advance)

    def _advance(self, _: None) -> None:
        now_ns = self._clock.now_ns
        if now_ns == self._medium.wake_ns:
            self._medium.wake_ns = NEVER
        done = self._medium.advance(now_ns)
        if done is not None:
            self._sent(done)
        self.watch()
