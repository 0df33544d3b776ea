"""Proxies that fetch something again and again from a node: revocation lists, or an OCSP response.

A fetch takes a round trip for the connection and the way of a request, which wait in no link's queue, CPU time at both
ends, and for the answer the time of its bytes on links, among all others there. One that gets no answer is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from meshsim.world.parcels import Parcel, Parcels
from meshsim.world.reach import again_after_ns, one_way_ns

if TYPE_CHECKING:
    from meshsim.world.hosts import Host
    from meshsim.world.state import State

TIMEOUT_NS = 10_000_000_000
"""How long who fetches waits for an answer, at most until the next fetch is due."""


class Errand(msgspec.Struct, frozen=True):
    """What is fetched."""

    purpose: str
    """Names the random stream from which each host's first instant is drawn."""
    node: str
    """Where it is fetched from."""
    every_ns: int
    work_there: str
    """Operation of the cost profile that it takes on that node; empty for none."""
    work_here: str
    """Operation that it takes on the node of who has fetched it."""


class Delivery(msgspec.Struct, eq=False):
    """An answer on its way."""

    fetch: tuple[Host, int, int]
    answer: Any
    given_ns: int
    """When it was given."""
    awaited: bool = True
    """Whether nobody has given it up, and it has not come."""


class Fetching:
    """Sees to it that hosts have what they fetch."""

    blame: Callable[[str, str], None]
    """Told of the node that gave no answer and of the node that got none; set when the world is assembled."""

    def __init__(
        self,
        state: State,
        errand: Errand,
        ask: Callable[[Host], Any],
        size_bytes: Callable[[Any], int],
        took: Callable[[Host, Any], None],
        missed: Callable[[Host], None],
    ) -> None:
        """``ask`` gives the answer, None where there is none, of so many bytes; ``took`` is told of one that came."""
        self._state = state
        self._clock = state.clock
        self._errand = errand
        self._machine = state.machines[errand.node]
        self._ask = ask
        self._size_bytes = size_bytes
        self._parcels = Parcels(state)
        self._took = took
        self._missed = missed
        self._taken_ns: dict[str, int] = {}
        """When the answer was given that each host took last, by its name."""

    def begin(self, hosts: Iterable[Host]) -> None:
        """Have hosts fetch from now on."""
        for host in hosts:
            stream = self._state.streams.stream(self._errand.purpose, host.name)
            self._at(stream.randrange(self._errand.every_ns), self._due, host)

    def _at(self, after_ns: int, action: Callable[[Any], None], argument: object) -> None:
        due_ns = self._clock.now_ns + after_ns
        if due_ns < self._state.scenario.duration_ns:
            self._clock.at(due_ns, action, argument)

    def _due(self, host: Host) -> None:
        self._at(self._errand.every_ns, self._due, host)
        self._try((host, host.starts, 0))

    def _try(self, fetch: tuple[Host, int, int]) -> None:
        host, starts, _ = fetch
        if not host.up or not host.configured or host.starts != starts or self._state.over:
            return
        way_ns = one_way_ns(self._state, host.node, self._errand.node)
        if way_ns is None:
            self._failed(fetch)
        else:
            self._clock.at(self._clock.now_ns + 3 * way_ns, self._asked, fetch)

    def _failed(self, fetch: tuple[Host, int, int]) -> None:
        host, starts, tries = fetch
        if not tries:
            self._missed(host)
        self.blame(self._errand.node, host.node)
        again_ns = again_after_ns(tries)
        if again_ns < self._errand.every_ns:
            self._at(again_ns, self._try, (host, starts, tries + 1))

    def _asked(self, fetch: tuple[Host, int, int]) -> None:
        answer = self._ask(fetch[0]) if self._machine.up else None
        if answer is None:
            self._failed(fetch)
            return
        done_ns = self._work(self._machine, self._errand.work_there)
        self._clock.at(done_ns, self._answered, Delivery(fetch, answer, self._clock.now_ns))

    def _answered(self, delivery: Delivery) -> None:
        """Send the answer, which is awaited for a while."""
        fetch = delivery.fetch
        host, node = fetch[0], self._errand.node
        if not self._machine.up or self._state.topology.route(node, host.node) is None:
            self._failed(fetch)
            return
        self._clock.at(self._clock.now_ns + min(TIMEOUT_NS, self._errand.every_ns), self._given_up, delivery)
        size_bytes = self._size_bytes(delivery.answer)
        self._parcels.send(Parcel(node, host.node, size_bytes, lambda: delivery.awaited, lambda: self._came(delivery)))

    def _given_up(self, delivery: Delivery) -> None:
        host, starts, _ = delivery.fetch
        if delivery.awaited and host.up and host.starts == starts and not self._state.over:
            self._failed(delivery.fetch)
        delivery.awaited = False

    def _came(self, delivery: Delivery) -> None:
        if not delivery.awaited:
            return
        delivery.awaited = False
        host, starts, _ = delivery.fetch
        if host.up and host.starts == starts:
            self._clock.at(self._work(host.machine, self._errand.work_here), self._read, delivery)

    def _read(self, delivery: Delivery) -> None:
        """Take an answer, unless a newer one has overtaken it."""
        host, starts, _ = delivery.fetch
        if host.up and host.starts == starts and delivery.given_ns >= self._taken_ns.get(host.name, 0):
            self._taken_ns[host.name] = delivery.given_ns
            self._took(host, delivery.answer)

    def _work(self, machine: Any, operation: str) -> int:
        """Have a machine do its part, with a message in and one out; return when it is done."""
        work_ns = 2 * machine.costs.tcp_message_ns + (machine.costs.operations[operation] if operation else 0)
        done_ns: int = machine.cores.submit(self._clock.now_ns, work_ns) + work_ns
        return done_ns
