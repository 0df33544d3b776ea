"""The first configuration of a workload: fetched over a new connection to its control plane, with its bytes on links.

It is what would be pushed on a new stream: all endpoints, policies, TLS settings and terms of certificates. What has
changed while it was on its way follows it; with the last of it the workload is configured.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from meshsim.control.signing import SETUP_ROUND_TRIPS, connection_operations
from meshsim.world.contents import push_size_bytes
from meshsim.world.parcels import Parcel, Parcels
from meshsim.world.reach import one_way_ns

if TYPE_CHECKING:
    from meshsim.control.discovery import Announcement
    from meshsim.sidecar.tls.operations import Operations
    from meshsim.world.announcing import Announcing
    from meshsim.world.contents import Content
    from meshsim.world.enrolment import Enrolment
    from meshsim.world.hosts import Host, Machine
    from meshsim.world.state import State


class Fetch:
    """One try of a workload to get its configuration."""

    __slots__ = ("announcement", "broken", "content", "deadline_ns", "enrolment", "open")

    def __init__(self, enrolment: Enrolment, deadline_ns: int) -> None:
        self.enrolment = enrolment
        self.deadline_ns = deadline_ns
        self.open = True
        """Whether it has not ended."""
        self.broken = False
        """Whether the control plane crashed, and knows nothing of it any more: its end is a matter of time."""
        self.content: Content | None = None
        self.announcement: Announcement | None = None
        """What was sent last."""

    @property
    def awaited(self) -> bool:
        """Whether anybody waits for what it brings."""
        return self.open and self.enrolment.alive

    @property
    def goes_on(self) -> bool:
        """Whether both ends go on with it."""
        return self.awaited and not self.broken


class Configuring:
    """Fetches the configuration of workloads that start."""

    announcing: Announcing
    """Set when the world is assembled, as what follows."""
    content: Callable[[Host], Content]
    """Says which version of the configuration a host's control plane has now."""

    def __init__(
        self,
        state: State,
        node: str,
        key_type: str,
        timeout_ns: int,
        work: Callable[[Machine, Operations], int],
        ended: Callable[[Enrolment, bool], None],
    ) -> None:
        """``node``: of the control plane, with a certificate for such a key.

        ``work`` has a machine do its part and says when that is done; ``ended`` is told whether it came.
        """
        self._state = state
        self._clock = state.clock
        self._node = node
        self._key_type = key_type
        self._timeout_ns = timeout_ns
        self._work = work
        self._ended = ended
        self._parcels = Parcels(state)
        self._fetches: dict[str, Fetch] = {}
        """The last one of each host, by its name."""
        self._services = tuple(state.scenario.services)

    def begin(self, enrolment: Enrolment) -> None:
        """Fetch the configuration of a host."""
        host = enrolment.host
        done_ns = self._work(host.machine, connection_operations(host.key_type, self._key_type)[0])
        self._clock.at(done_ns, self._ask, enrolment)

    def crashed(self, node: str) -> None:
        """Take note that a node is gone, with what it knew."""
        if node == self._node:
            for fetch in self._fetches.values():
                fetch.broken = True

    def _ask(self, enrolment: Enrolment) -> None:
        if not enrolment.alive:
            return
        now_ns = self._clock.now_ns
        fetch = self._fetches[enrolment.host.name] = Fetch(enrolment, now_ns + self._timeout_ns)
        if fetch.deadline_ns < self._state.scenario.duration_ns:
            self._clock.at(fetch.deadline_ns, self._given_up, fetch)
        way_ns = one_way_ns(self._state, enrolment.host.node, self._node)
        if way_ns is not None:
            self._clock.at(now_ns + way_ns * (2 * SETUP_ROUND_TRIPS + 1), self._asked, fetch)

    def _asked(self, fetch: Fetch) -> None:
        machine = self._state.machines[self._node]
        if fetch.goes_on and machine.up:
            host = fetch.enrolment.host
            done_ns = self._work(machine, connection_operations(host.key_type, self._key_type)[1])
            self._clock.at(done_ns, self._send, fetch)

    def _send(self, fetch: Fetch) -> None:
        """Send all that there is for a host, or what is new for one that has had the rest."""
        if not fetch.goes_on:
            return
        host = fetch.enrolment.host
        content, announcement, size_bytes = self.content(host), self.announcing.current, 0
        if content is not fetch.content:
            size_bytes += push_size_bytes(content, fetch.content, host, self._services)
        if announcement is not fetch.announcement:
            size_bytes += self.announcing.whole_size_bytes()
        fetch.content, fetch.announcement = content, announcement
        wanted = partial(self._wanted, fetch)
        self._parcels.send(Parcel(self._node, host.node, size_bytes, wanted, lambda: self._came(fetch)))

    def _wanted(self, fetch: Fetch) -> bool:
        return fetch.goes_on and not self._state.over

    def _came(self, fetch: Fetch) -> None:
        if not fetch.goes_on:
            return
        if fetch.content is self.content(fetch.enrolment.host) and fetch.announcement is self.announcing.current:
            fetch.open = False
            self._ended(fetch.enrolment, True)
        else:
            self._send(fetch)

    def _given_up(self, fetch: Fetch) -> None:
        if fetch.awaited:
            fetch.open = False
            self._ended(fetch.enrolment, False)
