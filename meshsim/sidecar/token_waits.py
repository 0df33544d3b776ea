"""Calls that wait for a token: their workload's library has none that is good, and fetches one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.identity.svid import Svid
    from meshsim.sidecar.settings import SidecarSettings


class TokenWaits:
    """What the calls of one sidecar wait for that their workload has not handed over yet."""

    __slots__ = ("_settings", "_waiting")

    def __init__(self, settings: SidecarSettings) -> None:
        self._settings = settings
        self._waiting: dict[int, None] = {}

    def holds(self, call_id: int, key: str, svid: Svid | None, now_ns: int) -> bool:
        """Say whether a call waits from now on: its workload has no token known by ``key``, and waits for one."""
        wallet = self._settings.wallet
        assert wallet is not None, "a scenario's tokens are checked"
        if not wallet.waits(key) or wallet.present(key, self._settings.clock_offset_ns + now_ns, svid) is not None:
            return False
        self._waiting[call_id] = None
        return True

    def gave_up(self, call_id: int) -> bool:
        """Take note that the time of a call is up; return whether it waited."""
        return self._waiting.pop(call_id, 0) is None

    def take(self) -> list[int]:
        """Return the calls that have waited, in their order; none waits any more."""
        waited = list(self._waiting)
        self._waiting.clear()
        return waited
