"""Decisions on calls: asked for, charged, recorded, and told to the sidecar that waits for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from meshsim.policy.question import Decision
from meshsim.sidecar import events
from meshsim.telemetry.decision_row import DecisionRow
from meshsim.world.accounts import CRYPTO, HANDSHAKE, POLICY, PROXY, QUEUE
from meshsim.world.policies import Ruling

if TYPE_CHECKING:
    from meshsim.sidecar.commands import AskPolicy
    from meshsim.sidecar.messages import RequestMessage
    from meshsim.world.alarms import Alarm
    from meshsim.world.authorizers import Authorizers
    from meshsim.world.hosts import Host
    from meshsim.world.rollout import Rollout
    from meshsim.world.state import State


class HttpDecides(NamedTuple):
    """Who made a decision on a request that was not read."""

    name: str = "http"
    version: str = ""


HTTP_DECIDES = HttpDecides()


class Deciding:
    """Carries out ``AskPolicy``: in the proxy, or by asking outside of it."""

    def __init__(self, state: State, tell_last: Callable[[Host, events.Event], Alarm | None]) -> None:
        self.rollout: Rollout | None = None
        """Holds every decision against what ought to hold; None where that does not change."""
        self._state = state
        self._tell_last = tell_last
        self._clock = state.clock
        self._accounts = state.accounts
        self._connections = state.connections
        self._policy = state.policy
        self._authorizing: Authorizers | None = None
        self._record = state.recorder.follower("decisions")
        self._when_worked = self._worked

    def outside(self, authorizers: Authorizers) -> None:
        """Have questions decided outside of the proxies."""
        self._authorizing = authorizers

        def ruled(host: Host, command: AskPolicy, ruling: Ruling) -> None:
            self._clock.put(self._ruled(host, command, ruling))

        authorizers.tell(ruled)

    def take_question(self, host: Host, command: AskPolicy) -> Alarm | None:
        """Charge reading the request, and the decision or its asking for."""
        message, question = command.message, command.question
        connection = self._connections.get(command.connection_id)
        if connection is None:
            return None
        machine = host.machine
        clock = self._clock
        now_ns = clock.now_ns
        crypto_ns = machine.records_ns[connection.cipher][message.size_bytes] if message.encrypted else 0
        ruling, policy_ns = None, 0
        if question is not None:
            assert self._policy is not None
            if self._authorizing is None:
                ruling = self._policy.decide(host, question)
                policy_ns = ruling.cost_ns
            else:
                ruling = self._policy.inside(host, question)
                policy_ns = ruling.cost_ns if ruling else host.request_ns + self._policy.asking_ns(host)
        if command.token is not None:
            assert self._state.tokens is not None, "nobody else has rules for tokens"
            checked_ns, refused = self._state.tokens.check(host, command, command.token, now_ns)
            crypto_ns, ruling = crypto_ns + checked_ns, refused or ruling
        if command.malformed:
            ruling = Ruling(Decision(False, command.malformed, status=400), 0, False, HTTP_DECIDES)
        account = self._accounts.get(message.call_id)
        if account is not None and account.attempt == message.attempt and account.mark_ns < now_ns:
            account.spend(HANDSHAKE, now_ns)  # held until the server had checked the client's certificate
        proxy_ns = host.request_ns
        work_ns = crypto_ns + proxy_ns + policy_ns
        start_ns = host.cores.submit(now_ns, work_ns)
        job = (host, host.epoch, command, account, start_ns, crypto_ns, proxy_ns, policy_ns, ruling)
        clock.order = order = clock.order + 1
        return start_ns + work_ns, order, self._when_worked, job

    def _worked(self, job: tuple[Any, ...]) -> Alarm | None:
        host, epoch, command, account, start_ns, crypto_ns, proxy_ns, policy_ns, ruling = job
        if host.epoch != epoch:
            return None
        message = command.message
        if account is not None and account.attempt == message.attempt:
            parts = account.parts
            if start_ns != account.mark_ns:
                parts[QUEUE] += start_ns - account.mark_ns
            parts[CRYPTO] += crypto_ns
            parts[PROXY] += proxy_ns
            parts[POLICY] += policy_ns
            account.mark_ns = self._clock.now_ns
        if ruling is not None:
            return self._ruled(host, command, ruling)
        if command.question is None:
            return self._tell_last(host, events.PolicyAnswered(command.connection_id, message, None))
        assert self._authorizing is not None
        self._authorizing.ask(host, command, account)
        return None

    def _ruled(self, host: Host, command: AskPolicy, ruling: Ruling) -> Alarm | None:
        """Record a decision, held against what ought to hold where that changes, and tell the sidecar."""
        message, decision, engine = command.message, ruling.decision, ruling.engine
        template, failure, wrongly = message.template, ruling.failure, ruling.wrongly
        if self.rollout is not None and not failure:
            wrongly = self.rollout.judge(command.question, decision)
        self._record(
            DecisionRow(
                self._clock.now_ns,
                message.call_id,
                engine.name,
                "" if failure else engine.version,
                message.source,
                template.destination,
                template.method,
                template.path,
                decision.allowed,
                decision.rule,
                ruling.cached,
                wrongly,
                ruling.shadow,
                decision.dry_run,
                failure,
                decision.refused_by,
                command.removed,
            )
        )
        if decision.closes:
            self._tell_why(message)
        return self._tell_last(host, events.PolicyAnswered(command.connection_id, message, decision))

    def _tell_why(self, message: RequestMessage) -> None:
        """Keep why a connection is closed in place of an answer."""
        account = self._accounts.get(message.call_id)
        if account is not None and account.attempt == message.attempt:
            account.told = ("denied", "")
