"""News of trust on their way from a control plane to its proxies: of a trust domain's own authorities, or of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from meshsim.telemetry.config_row import ConfigRow
from meshsim.world.dispatching import Dispatch
from meshsim.world.reach import again_after_ns

if TYPE_CHECKING:
    from meshsim.world.hosts import Host
    from meshsim.world.state import State


class Numbered(Protocol):
    """What is pushed: one version of it after the other."""

    @property
    def sequence(self) -> int:
        """Counts from 1; a higher one takes the place of a lower."""


Told = TypeVar("Told", bound=Numbered)
Push = tuple["Host", Told, str, int]
"""Who is told, what, in which words, and how many tries came before."""


class Pushing(Generic[Told]):
    """Pushes what hosts are to know. One that cannot be reached keeps what it has, and is tried again."""

    blame: Callable[[str, str], None]
    """Told of the node that pushed in vain and of the node that got nothing; set when the world is assembled."""

    def __init__(
        self,
        state: State,
        kind: str,
        node_of: Callable[[Host], str],
        current: Callable[[Host], Told | None],
        size_bytes: Callable[[Told], int],
        arrived: Callable[[Host, Told], bool],
    ) -> None:
        """``node_of`` says who tells a host, ``current`` what it is to know now; None where it is told nothing.

        ``arrived`` has a host take what has come, and says whether it is newer than what it has.
        """
        self._state = state
        self._clock = state.clock
        self._kind = kind
        self._node_of = node_of
        self._current = current
        self._size_bytes = size_bytes
        self._sized: tuple[Told, int] | None = None
        """What was pushed last, and its size."""
        self._arrived = arrived
        self._dispatch = Dispatch(state)
        self._rejected: dict[str, str] = {}
        """News that hosts have rejected, by the host's name."""
        state.rejecting.resumed.append(self._resumed)
        self._record = state.recorder.appender("configs")

    def send(self, host: Host, told: Told, news: str) -> None:
        """Send a configured host what is new; ``news`` says what that is."""
        self._write(host, told, "sent", news)
        self._try((host, told, news, 0))

    def _resumed(self) -> None:
        """Push to those that take pushes again what they have rejected."""
        for host in self._state.hosts():
            told = self._current(host)
            if host.name in self._rejected and told is not None and self._state.rejecting.of(host.workload) is None:
                self.send(host, told, self._rejected.pop(host.name))

    def _try(self, push: Push[Told]) -> None:
        host, told, _, _ = push
        current = self._current(host)
        if current is None or told.sequence < current.sequence or not host.configured or self._state.over:
            return  # a newer one is on its way, or comes with its configuration
        node = self._node_of(host)
        if not (host.up and self._state.machines[node].up):
            self._lost(push, 0)
            return
        self._dispatch.send(
            (node, host.node),
            self._size_of(told),
            lambda sent_bytes: self._received(push, sent_bytes),
            lambda sent_bytes: self._lost(push, sent_bytes),
        )

    def _size_of(self, told: Told) -> int:
        if self._sized is None or self._sized[0] is not told:
            self._sized = told, self._size_bytes(told)
        return self._sized[1]

    def _lost(self, push: Push[Told], sent_bytes: int) -> None:
        """Take note that the stream is broken: what was under way is lost, and the next gets what is current then."""
        host, told, news, tries = push
        self._write(host, told, "stale", news, sent_bytes)
        if not self._state.over:
            self.blame(self._node_of(host), host.node)
            self._clock.at(self._clock.now_ns + again_after_ns(tries), self._try, (host, told, news, tries + 1))

    def _received(self, push: Push[Told], sent_bytes: int) -> None:
        host, told, news, _ = push
        if not host.up or not host.configured:
            self._write(host, told, "stale", news, sent_bytes)  # what it starts with is current
            return
        rejecting = self._state.rejecting.of(host.workload)
        if rejecting is not None:
            rejecting.configurations += 1
            self._rejected[host.name] = news
            self._write(host, told, "rejected", news, sent_bytes)
            return
        taken = self._arrived(host, told)
        self._write(host, told, "acked" if taken else "stale", news, sent_bytes)

    def _write(self, host: Host, told: Told, event: str, news: str, sent_bytes: int = 0) -> None:
        node = self._node_of(host)
        self._record(ConfigRow(self._clock.now_ns, told.sequence, host.name, event, news, node, self._kind, sent_bytes))
