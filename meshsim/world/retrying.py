"""When a workload that got no certificate asks again."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.scenario.identity import Retry
    from meshsim.world.hosts import Host
    from meshsim.world.state import State

PPM = 1_000_000


class Retrying:
    """Draws waits; each host has a random stream of its own."""

    def __init__(self, state: State, settings: Retry, purpose: str = "issuing") -> None:
        """``purpose`` names the random streams."""
        self._state = state
        self._purpose = purpose
        self._settings = settings
        self._randoms: dict[str, Random] = {}

    def wait_ns(self, host: Host, failures: int, remaining_ns: int) -> int:
        """Return the wait after the ``failures``-th failure in a row, with so much of a certificate's life left."""
        settings = self._settings
        if settings.of_remaining_ppm is not None and remaining_ns > 0:
            share_ns = remaining_ns * settings.of_remaining_ppm // PPM
            return max(settings.base_ns, min(share_ns, settings.cap_ns))
        wait_ns = float(settings.base_ns)
        for _ in range(failures - 1):
            if wait_ns >= settings.cap_ns or settings.factor == 1:
                break
            wait_ns *= settings.factor
        wait_ns = min(wait_ns, settings.cap_ns)
        if settings.jitter_ppm:
            random = self._randoms.get(host.name)
            if random is None:
                random = self._randoms[host.name] = self._state.streams.stream(self._purpose, host.name)
            wait_ns += wait_ns * (settings.jitter_ppm / PPM) * (2 * random.random() - 1)
        return max(1, int(wait_ns))
