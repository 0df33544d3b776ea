"""Hosts that get certificates from an issuer: attested, issued, configured, announced; and again when a step fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from meshsim.control.signing import SETUP_ROUND_TRIPS, connection_operations, request_operations
from meshsim.world import enrolment as at
from meshsim.world.attesting import FAILED, NodeAttestation
from meshsim.world.configuring import Configuring
from meshsim.world.enrolment import Enrolment
from meshsim.world.hosts import Replica
from meshsim.world.issuing import ENDED, OVERLOADED, SigningRequest
from meshsim.world.retrying import Retrying
from meshsim.world.revoking import REVOKED

if TYPE_CHECKING:
    from meshsim.identity.svid import Svid
    from meshsim.scenario.identity import Identity
    from meshsim.sidecar.tls.operations import Operations
    from meshsim.world.announcing import Announcing
    from meshsim.world.hosts import Host, Machine
    from meshsim.world.identities import Identities
    from meshsim.world.issuing import IssuerProcess
    from meshsim.world.state import State

NO_CONTROL_PLANE = "no answer from the control plane"
OWN_FAULT = frozenset({OVERLOADED, ENDED, FAILED, REVOKED})
"""Reasons for a failure that no fault on the way is to blame for."""


class Enrolling:
    """Takes each host through the steps to its certificate, and begins again after a while where a step fails."""

    announcing: Announcing
    """Set when the world is assembled."""
    configured: Callable[[Host], None] | None = None
    """Told of each host that has fetched its configuration; set where that can change."""
    blame: Callable[[str, str, int], None]
    """Told of the node of each host that got no answer, of the node that gave none, and since when it was asked: a
    fault may be why."""

    def __init__(
        self,
        state: State,
        identities: Identities,
        settings: Identity,
        issuer: IssuerProcess,
        control_node: str,
        ids: Iterator[int],
    ) -> None:
        """``settings``: of the trust domain; ``control_node``: where its configuration is fetched from."""
        assert settings.issuer is not None
        self._state = state
        self._clock = state.clock
        self._identities = identities
        self._settings = settings.issuer
        self._control_node = control_node
        self._issuer = issuer
        self._issuer_key_type = issuer.key_type
        self.configuring = Configuring(
            state, control_node, issuer.key_type, self._settings.timeout_ns, self._work, self._fetched
        )
        """Fetches what a host needs beside its certificate."""
        self._retrying = Retrying(state, self._settings.retry)
        self._ids = ids
        self._open: dict[str, Enrolment] = {}
        """What each host is about, by its name."""
        warm = settings.at_start != "onboarding"
        self._nodes = NodeAttestation(state, self._settings.node_attestation, issuer, self._node_attested, warm=warm)
        self._record = state.recorder.appender("issuances")

    def begin(self, host: Host, purpose: str) -> None:
        """Have a host get a certificate; nothing if it is already about to get one."""
        current = self._open.get(host.name)
        if current is None or not current.alive:
            enrolment = self._open[host.name] = Enrolment(next(self._ids), host, purpose, self._clock.now_ns)
            self._attempt(enrolment)

    def insist(self, host: Host) -> None:
        """Have a host get a certificate by the terms of now, even if it is already about to get one by former ones."""
        current = self._open.get(host.name)
        if current is not None and current.alive:
            current.again = True
        else:
            self.begin(host, "renewal")

    def _look_again(self, enrolment: Enrolment) -> None:
        if enrolment.again and self._identities.outdated(enrolment.host):
            self.begin(enrolment.host, "renewal")

    def killed(self, host: Host) -> None:
        """Take note that a host is about to lose its memory."""
        enrolment = self._open.pop(host.name, None)
        if enrolment is not None and not enrolment.waits:
            self._record(enrolment.row(self._clock.now_ns, "cut", ""))

    def crashed(self, node: str) -> None:
        """Take note that a node lost power: it has to be attested again."""
        self._nodes.forget(self._state.machines[node])
        self.configuring.crashed(node)

    def finish(self) -> None:
        """Write rows of what is still going on when the run ends."""
        for enrolment in self._open.values():
            if not enrolment.waits:
                self._record(enrolment.cut_at_end(self._state.scenario.duration_ns))

    # Steps

    def _attempt(self, enrolment: Enrolment) -> None:
        enrolment.attempt += 1
        if enrolment.purpose != "onboarding":
            self._make_key(enrolment)
        elif enrolment.step == "configuration":
            self._configure(enrolment)
        else:
            enrolment.step = "node-attestation"
            self._nodes.attest(enrolment)

    def _node_attested(self, enrolment: Enrolment, reason: str) -> None:
        if not enrolment.alive:
            return
        if reason:
            self._failed(enrolment, reason)
            return
        enrolment.spend(at.NODE_ATTESTATION, self._clock.now_ns)
        enrolment.step = "workload-attestation"
        settings = self._settings.workload_attestation
        done_ns = self._work(enrolment.host.machine, (), settings.work_ns) + settings.time_ns
        self._at(done_ns, self._workload_attested, enrolment)

    def _workload_attested(self, enrolment: Enrolment) -> None:
        if not enrolment.alive:
            return
        if self._nodes.fails(enrolment.host.name, self._settings.workload_attestation.failure_ppm):
            self._failed(enrolment, FAILED)
            return
        enrolment.spend(at.WORKLOAD_ATTESTATION, self._clock.now_ns)
        self._identities.note(enrolment.host, "attested")
        self._make_key(enrolment)

    def _make_key(self, enrolment: Enrolment) -> None:
        enrolment.step = "key"
        enrolment.key_type = enrolment.host.key_type
        operations = request_operations(enrolment.key_type)
        if self._connects(enrolment):
            operations += connection_operations(None, self._issuer_key_type)[0]
        done_ns = self._work(enrolment.host.machine, operations)
        self._clock.at(done_ns, self._ask, enrolment)

    def _connects(self, enrolment: Enrolment) -> bool:
        """Say whether it opens a connection to the issuer for this; else its node, or it itself, has one already."""
        return enrolment.purpose == "onboarding" and self._settings.node_attestation is None

    def _ask(self, enrolment: Enrolment) -> None:
        if not enrolment.alive:
            return
        enrolment.spend(at.KEY, self._clock.now_ns)
        enrolment.step = "signing"
        connects = self._connects(enrolment)
        round_trips = 1 + SETUP_ROUND_TRIPS if connects else 1

        def answered(request: SigningRequest, reason: str) -> None:
            if enrolment.alive:
                self._answered(enrolment, request, reason)

        def sign(host: Host) -> Svid | None:
            return self._identities.sign(host, key_type=enrolment.key_type)

        self._issuer.ask(SigningRequest(enrolment.host, enrolment.key_type, round_trips, sign, answered))

    def _answered(self, enrolment: Enrolment, request: SigningRequest, reason: str) -> None:
        enrolment.ahead = request.ahead
        if reason:
            self._failed(enrolment, reason)
            return
        for part, until_ns in (
            (at.NETWORK, request.t_arrived_ns),
            (at.QUEUE, request.t_turn_ns),
            (at.SIGNING, request.t_signed_ns),
            (at.NETWORK, self._clock.now_ns),
        ):
            enrolment.spend(part, until_ns)
        assert request.svid is not None
        host = enrolment.host
        if enrolment.purpose == "onboarding":
            self._identities.install(host, request.svid, "issued")
            enrolment.failures = 0
            self._configure(enrolment)
        else:
            enrolment.step = "rotation"
            self._done(enrolment)
            self._identities.install(host, request.svid, "rotated")
            self._look_again(enrolment)

    def _configure(self, enrolment: Enrolment) -> None:
        """Fetch policy and discovery over a new connection to the control plane."""
        enrolment.step = "configuration"
        self.configuring.begin(enrolment)

    def _fetched(self, enrolment: Enrolment, came: bool) -> None:
        if came:
            self._configured(enrolment)
        else:
            self._failed(enrolment, NO_CONTROL_PLANE)

    def _configured(self, enrolment: Enrolment) -> None:
        host = enrolment.host
        enrolment.spend(at.CONFIGURATION, self._clock.now_ns)
        host.configured = True
        self.announcing.give(host)
        if self.configured is not None:
            self.configured(host)
        if isinstance(host, Replica):
            enrolment.step = "announcement"
            self.announcing.ready(host, lambda: self._announced(enrolment))
        else:
            self._done(enrolment)
            self._look_again(enrolment)

    def _announced(self, enrolment: Enrolment) -> None:
        if enrolment.alive:
            enrolment.spend(at.ANNOUNCEMENT, self._clock.now_ns)
            self._done(enrolment)
            self._look_again(enrolment)

    # Outcomes

    def _done(self, enrolment: Enrolment) -> None:
        self._record(enrolment.row(self._clock.now_ns, "done", ""))
        del self._open[enrolment.host.name]

    def _failed(self, enrolment: Enrolment, reason: str) -> None:
        host, now_ns, since_ns = enrolment.host, self._clock.now_ns, enrolment.mark_ns
        self._record(enrolment.row(now_ns, "failed", reason))
        self._identities.note(host, "refused" if reason in (ENDED, REVOKED) else "failed", reason)
        if reason not in OWN_FAULT:
            goal = self._control_node if reason == NO_CONTROL_PLANE else self._issuer.node
            self.blame(host.node, goal, since_ns)
        enrolment.failures += 1
        wait_ns = self._retrying.wait_ns(host, enrolment.failures, self._identities.remaining_ns(host))
        enrolment.waits = True
        self._at(now_ns + wait_ns, self._again, enrolment)

    def _again(self, enrolment: Enrolment) -> None:
        if enrolment.alive:
            enrolment.waits = False
            enrolment.spend(at.BACKOFF, self._clock.now_ns)
            self._attempt(enrolment)

    def _at(self, due_ns: int, action: Callable[[Enrolment], None], enrolment: Enrolment) -> None:
        """Set an alarm, if it is within the run."""
        if due_ns < self._state.scenario.duration_ns:
            self._clock.at(due_ns, action, enrolment)

    def _work(self, machine: Machine, operations: Operations, more_ns: int = 0) -> int:
        """Have a machine do some work, with a message in and one out; return when it is done."""
        costs = machine.costs
        work_ns = more_ns + sum(costs.operations[name] * times for name, times in operations)
        if operations:
            work_ns += 2 * costs.tcp_message_ns
        if not work_ns:
            return self._clock.now_ns
        return machine.cores.submit(self._clock.now_ns, work_ns) + work_ns
