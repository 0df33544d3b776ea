"""Tokens that have to be fetched: each holder has the next one fetched in time, and tries again where that fails.

A token is sent until ``margin`` before its end, counted from its arrival by what the answer says (``expires_in``), so
that clocks do not matter. One that is bound goes with a certificate: there is one for each certificate in use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from meshsim.control.signing import connection_operations
from meshsim.scenario.units import NS_PER_S
from meshsim.world import enrolment as at
from meshsim.world.enrolment import Enrolment
from meshsim.world.issuing import OVERLOADED
from meshsim.world.retrying import Retrying
from meshsim.world.token_endpoints import TokenProcess, TokenRequest

if TYPE_CHECKING:
    from meshsim.identity.tokens import Grant, Token
    from meshsim.scenario.tokens import TokenEndpoint, TokenIssuer
    from meshsim.world.domains import Domains
    from meshsim.world.hosts import Host
    from meshsim.world.identities import Identities
    from meshsim.world.issuing import SigningRequest
    from meshsim.world.state import State


class Held:
    """A token at hand."""

    __slots__ = ("issued_s", "until_ns", "used")

    def __init__(self, issued_s: int, until_ns: int) -> None:
        self.issued_s = issued_s
        self.until_ns = until_ns
        """When it is sent no more."""
        self.used = False
        """Whether it was sent."""


class Holder:
    """A host that runs and the tokens that it has, by the thumbprint that each is bound to (empty: to none)."""

    def __init__(self, host: Host, grant: Grant, issuer: str) -> None:
        self.host = host
        self.grant = grant
        self.issuer = issuer
        """Name of who signs them."""
        self.current = ""
        """Thumbprint of its newest certificate, where tokens are bound."""
        self.held: dict[str, Held] = {}
        self.fetches: dict[str, Enrolment] = {}
        """What it is about."""


Fetch = tuple[Holder, str, Enrolment]
"""Who fetches, the thumbprint, and where it stands."""


class TokenFetching:
    """Fetches tokens for the hosts of issuers with endpoints."""

    blame: Callable[[str, str, str, int], None]
    """Told of the issuer, of the node of who got no token, of the endpoint's, and since when: a fault may be why."""

    came: Callable[[Host], None]
    """Told of a host whose calls wait for tokens that it has one; set when the world is assembled."""

    def __init__(
        self,
        state: State,
        issuers: Mapping[str, TokenIssuer],
        domains: Domains,
        identities: Identities,
        sign: Callable[[TokenRequest], Token],
    ) -> None:
        self._state = state
        self._clock = state.clock
        self._identities = identities
        self._domains = domains
        self._settings: dict[str, TokenEndpoint] = {}
        self.processes: dict[str, TokenProcess] = {}
        """By issuer."""
        self._retrying: dict[str, Retrying] = {}
        self._renew_ns: dict[str, int] = {}
        """How long after its arrival a token is replaced."""
        for name, issuer in issuers.items():
            endpoint = issuer.endpoint
            if endpoint is None:
                continue
            node = endpoint.node or domains.nodes[issuer.trust_domain or domains.own.trust_domain]
            self._settings[name] = endpoint
            self.processes[name] = TokenProcess(state, endpoint, node, issuer.algorithm, sign)
            self._retrying[name] = Retrying(state, endpoint.retry, "token-fetch")
            self._renew_ns[name] = min(issuer.renew_after_ns, issuer.ttl_ns - endpoint.margin_ns)
        self._holders: dict[str, Holder] = {}
        """By host."""
        self._record = state.recorder.appender("issuances")

    # Holders

    def hold(self, host: Host, grant: Grant, issuer: str) -> None:
        """Have a host that starts hold tokens, once it has a certificate to show to the endpoint."""
        self._holders[host.name] = Holder(host, grant, issuer)

    def certificate(self, host: Host, thumbprint: Callable[[], str]) -> None:
        """Take note that a host has a new certificate, with this thumbprint."""
        holder = self._holders.get(host.name)
        if holder is None:
            return
        holder.current = key = thumbprint() if holder.grant.bound else ""
        if key in holder.held or key in holder.fetches:
            return
        onboards = self._domains.of(host).identity.at_start == "onboarding"
        if self._clock.now_ns or onboards:
            self._begin(holder, key)
        else:
            self._begin_aged(holder, key)

    def _begin_aged(self, holder: Holder, key: str) -> None:
        """Give a token to who has run for long when the run begins: it is anywhere on its way to the next one."""
        renew_ns = self._renew_ns[holder.issuer]
        age_ns = int(self._state.streams.stream("token age", holder.host.name).random() * renew_ns)
        machine = self._state.machines[self.processes[holder.issuer].node]
        issued_s = (self._state.scenario.epoch_ns + machine.skew_ns - age_ns) // NS_PER_S
        self._keep(holder, key, issued_s, -age_ns)

    def at_hand_s(self, host: str, key: str) -> int | None:
        """Return when the token was issued that a host has for this thumbprint; None while it has none that is good."""
        holder = self._holders.get(host)
        if holder is None:
            return None
        held = holder.held.get(key)
        if held is None:
            if holder.host.up:
                self._begin(holder, key)  # of a connection whose certificate was replaced long ago
            return None
        held.used = True
        return held.issued_s if self._clock.now_ns < held.until_ns else None

    def _keep(self, holder: Holder, key: str, issued_s: int, since_ns: int) -> None:
        endpoint = self._settings[holder.issuer]
        until_ns = since_ns + holder.grant.ttl_s * NS_PER_S - endpoint.margin_ns
        held = holder.held[key] = Held(issued_s, until_ns)
        self._at(since_ns + self._renew_ns[holder.issuer], self._renew, (holder, key, held))

    def _renew(self, job: tuple[Holder, str, Held]) -> None:
        holder, key, held = job
        if self._holders.get(holder.host.name) is not holder or holder.held.get(key) is not held:
            return
        if key != holder.current and not held.used:
            del holder.held[key]  # no connection shows that certificate any more
        else:
            self._begin(holder, key)

    # Fetching

    def _begin(self, holder: Holder, key: str) -> None:
        if key not in holder.fetches:
            ids = self._state.issuance_ids
            enrolment = holder.fetches[key] = Enrolment(next(ids), holder.host, "token", self._clock.now_ns)
            self._clock.at(self._clock.now_ns, self._attempt, (holder, key, enrolment))

    def _alive(self, fetch: Fetch) -> bool:
        holder, key, enrolment = fetch
        return self._holders.get(holder.host.name) is holder and holder.fetches.get(key) is enrolment

    def _attempt(self, fetch: Fetch) -> None:
        holder, _, enrolment = fetch
        if not self._alive(fetch):
            return
        if enrolment.waits:
            enrolment.waits = False
            enrolment.spend(at.BACKOFF, self._clock.now_ns)
        enrolment.attempt += 1
        enrolment.step = "key"
        machine = holder.host.machine
        operations, _ = connection_operations(holder.host.key_type, self.processes[holder.issuer].key_type)
        costs = machine.costs
        work_ns = 2 * costs.tcp_message_ns + sum(costs.operations[name] * times for name, times in operations)
        self._clock.at(machine.cores.submit(self._clock.now_ns, work_ns) + work_ns, self._ask, fetch)

    def _ask(self, fetch: Fetch) -> None:
        if not self._alive(fetch):
            return
        holder, key, enrolment = fetch
        enrolment.spend(at.KEY, self._clock.now_ns)
        enrolment.step = "signing"

        def answered(request: SigningRequest, reason: str) -> None:
            assert isinstance(request, TokenRequest)
            if self._alive(fetch):
                self._answered(fetch, request, reason)

        self.processes[holder.issuer].ask(TokenRequest(holder.host, holder.grant, key, answered))

    def _answered(self, fetch: Fetch, request: TokenRequest, reason: str) -> None:
        holder, key, enrolment = fetch
        now_ns = self._clock.now_ns
        enrolment.ahead = request.ahead
        if reason:
            self._failed(fetch, reason)
            return
        for part, until_ns in (
            (at.NETWORK, request.t_arrived_ns),
            (at.QUEUE, request.t_turn_ns),
            (at.SIGNING, request.t_signed_ns),
            (at.NETWORK, now_ns),
        ):
            enrolment.spend(part, until_ns)
        self._record(enrolment.row(now_ns, "done", ""))
        del holder.fetches[key]
        self._keep(holder, key, request.issued_s, now_ns)
        if self._settings[holder.issuer].without_token == "wait":
            self.came(holder.host)

    def _failed(self, fetch: Fetch, reason: str) -> None:
        holder, key, enrolment = fetch
        host, now_ns, since_ns = holder.host, self._clock.now_ns, enrolment.mark_ns
        self._record(enrolment.row(now_ns, "failed", reason))
        if reason != OVERLOADED:
            self.blame(holder.issuer, host.node, self.processes[holder.issuer].node, since_ns)
        enrolment.failures += 1
        held = holder.held.get(key)
        left_ns = 0 if held is None else held.until_ns - now_ns
        enrolment.waits = True
        wait_ns = self._retrying[holder.issuer].wait_ns(host, enrolment.failures, left_ns)
        self._at(now_ns + wait_ns, self._attempt, fetch)

    def _at(self, due_ns: int, action: Callable[..., None], argument: object) -> None:
        """Set an alarm, if it is within the run."""
        if due_ns < self._state.scenario.duration_ns:
            self._clock.at(max(due_ns, self._clock.now_ns), action, argument)

    # Ends

    def killed(self, host: Host) -> None:
        """Take note that a host is about to lose its memory."""
        holder = self._holders.pop(host.name, None)
        for enrolment in () if holder is None else holder.fetches.values():
            if not enrolment.waits:
                self._record(enrolment.row(self._clock.now_ns, "cut", ""))

    def crashed(self, node: str) -> None:
        """Take note that a node lost power."""
        for process in self.processes.values():
            if process.node == node:
                process.crashed()

    def finish(self) -> None:
        """Write rows of what is still going on when the run ends."""
        for holder in self._holders.values():
            for enrolment in holder.fetches.values():
                if not enrolment.waits:
                    self._record(enrolment.cut_at_end(self._state.scenario.duration_ns))
