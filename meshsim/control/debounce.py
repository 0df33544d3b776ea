"""News that wait for more of their kind before they are pushed together."""

from __future__ import annotations


class Debounce:
    """When what was noticed is due: a while after the latest news, but no longer than the longest after the first.

    As Istio has it (PILOT_DEBOUNCE_AFTER and PILOT_DEBOUNCE_MAX). Without a longest wait it is a while after the first.
    """

    __slots__ = ("_latest_ns", "_longest_ns", "_wait_ns", "due_ns", "waiting")

    def __init__(self, wait_ns: int, longest_ns: int | None) -> None:
        self._wait_ns = wait_ns
        self._longest_ns = longest_ns or 0
        self._latest_ns = 0
        self.due_ns = 0
        self.waiting = False
        """Whether there are news that wait."""

    def notice(self, now_ns: int) -> bool:
        """Take note of news; return whether they are the first, so that somebody has to come when they are due."""
        first = not self.waiting
        if first:
            self.waiting = True
            self.due_ns = now_ns + self._wait_ns
            self._latest_ns = now_ns + self._longest_ns
        else:
            self.due_ns = max(self.due_ns, min(now_ns + self._wait_ns, self._latest_ns))
        return first
