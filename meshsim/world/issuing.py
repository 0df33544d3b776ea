"""The issuer in time: requests travel to it, queue, are signed on its node's cores, and are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from meshsim.control.issuer import Capacity, SigningQueue
from meshsim.control.signing import signature_operations
from meshsim.world.reach import one_way_ns

if TYPE_CHECKING:
    from meshsim.identity.svid import Svid
    from meshsim.scenario.identity import Issuer
    from meshsim.scenario.tokens import TokenEndpoint
    from meshsim.world.hosts import Host
    from meshsim.world.state import State

NO_ANSWER = "no answer from the issuer"
NO_WAY = "no way to the issuer"
DOWN = "the issuer is down"
OVERLOADED = "the issuer is overloaded"
ENDED = "the authority has ended"


class SigningRequest:
    """One request for a signature, from its sending to its one answer."""

    __slots__ = (
        "ahead",
        "answered",
        "host",
        "key_type",
        "open",
        "round_trips",
        "sign",
        "svid",
        "t_arrived_ns",
        "t_signed_ns",
        "t_turn_ns",
        "why",
    )

    def __init__(
        self,
        host: Host,
        key_type: str,
        round_trips: int,
        sign: Callable[[Host], Svid | None] | None,
        answered: Callable[[SigningRequest, str], None],
    ) -> None:
        self.host = host
        self.key_type = key_type
        """Type of the key that it is for."""
        self.round_trips = round_trips
        """Round trips that it takes in all: the setting up of its connection, and the request itself."""
        self.sign = sign
        """What makes the certificate, or None where the authority has ended; None for one that no run looks at."""
        self.answered = answered
        """Called once, with an empty text or with the reason why there is no certificate."""
        self.open = True
        """Whether somebody still waits for an answer."""
        self.svid: Svid | None = None
        self.ahead = 0
        self.t_arrived_ns = self.t_turn_ns = self.t_signed_ns = 0
        self.why = NO_ANSWER
        """What will be said if no answer comes in time."""


class IssuerProcess:
    """The process that signs. It is gone while its node is down, or while a fault holds it down."""

    def __init__(self, state: State, settings: Issuer | TokenEndpoint, node: str, key_type: str) -> None:
        self._state = state
        self._clock = state.clock
        self._machine = state.machines[node]
        self._timeout_ns = settings.timeout_ns
        self._queue: SigningQueue[SigningRequest] = SigningQueue(
            Capacity(
                at_a_time=settings.cores or self._machine.cores.count,
                signatures_uhz=settings.signatures_uhz,
                signatures_per_node_uhz=settings.signatures_per_node_uhz,
                longest_wait_ns=settings.longest_wait_ns,
                queue=settings.queue,
            )
        )
        self.key_type = key_type
        """Type of the authority's key."""
        self._signatures_ns: dict[str, int] = {}
        """CPU time of a request, by the key type of who asks."""
        self.node = node
        self.refusal: Callable[[Host], str] = lambda _host: ""
        """Says why somebody gets no certificate, where it is not for the end of the authority."""
        self.stopped = False
        """Whether a fault holds it down."""
        self._epoch = 0
        """Counts how often it lost what it had in progress."""
        self._inside: dict[SigningRequest, None] = {}

    @property
    def up(self) -> bool:
        """Whether it answers."""
        return self._machine.up and not self.stopped

    # Asking

    def ask(self, request: SigningRequest) -> None:
        """Send a request; its answer comes later, or the lack of one after the time-out."""
        now_ns = self._clock.now_ns
        if now_ns + self._timeout_ns < self._state.scenario.duration_ns:
            self._clock.at(now_ns + self._timeout_ns, self._timed_out, request)
        node = request.host.node
        way_ns = one_way_ns(self._state, node, self.node)
        if way_ns is None:
            if self._state.topology.route(node, self.node) is None:
                request.why = NO_WAY
            return
        self._clock.at(now_ns + way_ns * (2 * request.round_trips - 1), self._arrived, request)

    def _timed_out(self, request: SigningRequest) -> None:
        if request.open:
            request.open = False
            request.answered(request, request.why)

    # Being asked

    def _arrived(self, request: SigningRequest) -> None:
        if not self._machine.up:
            return  # nobody is there to say so
        now_ns = request.t_arrived_ns = self._clock.now_ns
        if self.stopped:
            self._answer(request, DOWN)
            return
        request.ahead = self._queue.waiting
        enters_ns = self._queue.admit(request.host.node, now_ns)
        if enters_ns is None:
            self._answer(request, OVERLOADED)
            return
        self._inside[request] = None
        if enters_ns == now_ns:
            self._enter((request, self._epoch))
        else:
            self._clock.at(enters_ns, self._enter, (request, self._epoch))

    def _enter(self, job: tuple[SigningRequest, int]) -> None:
        request, epoch = job
        if epoch == self._epoch:
            self._queue.enter(request)
            self._serve()

    def _serve(self) -> None:
        now_ns = self._clock.now_ns
        while (request := self._queue.take()) is not None:
            request.t_turn_ns = now_ns
            work_ns = self._signature_ns(request.key_type)
            start_ns = self._machine.cores.submit(now_ns, work_ns)
            self._clock.at(start_ns + work_ns, self._signed, (request, self._epoch))

    def _signature_ns(self, key_type: str) -> int:
        work_ns = self._signatures_ns.get(key_type)
        if work_ns is None:
            costs = self._machine.costs
            operations = signature_operations(key_type, self.key_type)
            work_ns = 2 * costs.tcp_message_ns + sum(costs.operations[name] * n for name, n in operations)
            self._signatures_ns[key_type] = work_ns
        return work_ns

    def _signed(self, job: tuple[SigningRequest, int]) -> None:
        request, epoch = job
        if epoch != self._epoch:
            return
        self._queue.done()
        del self._inside[request]
        request.t_signed_ns = self._clock.now_ns
        reason = ""
        if request.sign is not None:
            request.svid = request.sign(request.host)
            reason = "" if request.svid is not None else self.refusal(request.host) or ENDED
        self._answer(request, reason)
        self._serve()

    def _answer(self, request: SigningRequest, reason: str) -> None:
        way_ns = one_way_ns(self._state, self.node, request.host.node)
        if way_ns is not None:
            self._clock.at(self._clock.now_ns + way_ns, self._came, (request, reason))

    def _came(self, answer: tuple[SigningRequest, str]) -> None:
        request, reason = answer
        if request.open:
            request.open = False
            request.answered(request, reason)

    # Going away

    def crashed(self) -> None:
        """Take note that its node lost power: what it had in progress is never answered."""
        self._forget()

    def stop(self) -> None:
        """End the process; its node closes the connections of those who wait, so that they know at once."""
        self.stopped = True
        for request in self._forget():
            if self._machine.up:
                self._answer(request, DOWN)

    def start(self) -> None:
        """Start the process again, with nothing in progress."""
        self.stopped = False

    def _forget(self) -> list[SigningRequest]:
        inside, self._inside = list(self._inside), {}
        self._epoch += 1
        self._queue.clear()
        return inside
