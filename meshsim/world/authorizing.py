"""Authorizers in time: questions travel to where the engine runs, wait there, and are answered or not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshsim.policy.question import Decision
from meshsim.world.accounts import OTHER, POLICY, QUEUE
from meshsim.world.authorizer_process import AUTHORIZER, TIMEOUT, AuthorizerProcess, Check, way_between_ns
from meshsim.world.policies import Ruling
from meshsim.world.unanswered import differs

if TYPE_CHECKING:
    from meshsim.scenario.policy import Authorizer
    from meshsim.sidecar.commands import AskPolicy
    from meshsim.world.accounts import Account
    from meshsim.world.hosts import Host, Machine
    from meshsim.world.policies import Policies
    from meshsim.world.state import State

FAILED_OPEN, FAILED_CLOSED = "failed-open", "failed-closed"
"""The rules of decisions that no policy made."""


class Authorizing:
    """Asks authorizers on behalf of proxies, and says what holds when there is no answer."""

    ruled: Callable[[Host, AskPolicy, Ruling], None]
    """Told of each decision, in the instant from which it holds; set when the world is assembled."""
    blame: Callable[[Check, str], None]
    """Told of each question without an answer, and why; set when the world is assembled."""

    def __init__(self, state: State, settings: Authorizer, policies: Policies, name: str = AUTHORIZER) -> None:
        self._state = state
        self._clock = state.clock
        self._settings = settings
        self.name = name
        """The extension provider that it is for; ``authorizer`` for all that have none of their own."""
        self._own_node = AUTHORIZER if name == AUTHORIZER else f"{AUTHORIZER}/{name}"
        self._policies = policies
        self._stopped = False
        self._processes: dict[str, AuthorizerProcess] = {}
        if settings.node is not None:
            self._make(self._own_node, state.machines[settings.node])
        status = settings.status_on_failure
        allowed = settings.on_failure == "allow"
        self._failure = Decision(allowed, FAILED_OPEN if allowed else FAILED_CLOSED, status=status)
        self._deadlines: deque[Check] = deque()
        """Questions in the order in which their time is up: all have the same time."""
        self._armed = False

    @property
    def pushed_to(self) -> tuple[AuthorizerProcess, ...]:
        """Those that get policies for themselves, and not with a proxy."""
        return tuple(process for process in self._processes.values() if process.name == self._own_node)

    def _make(self, name: str, machine: Machine) -> AuthorizerProcess:
        process = AuthorizerProcess(self._state, self._settings, self._policies, name, machine)
        process.answered = self._came
        process.stopped = self._stopped
        self._processes[name] = process
        return process

    def _process(self, host: Host) -> AuthorizerProcess:
        name = host.name if self._settings.node is None else self._own_node
        return self._processes.get(name) or self._make(name, host.machine)

    # Asking

    def ask(self, host: Host, command: AskPolicy, account: Account | None) -> None:
        """Send the question of a command, whose sending was charged; the decision comes through ``ruled``."""
        question = command.question
        assert question is not None
        now_ns = self._clock.now_ns
        process = self._process(host)
        check = Check(host, command, question, account, process, self.name)
        check.t_ns = now_ns
        check.deadline_ns = now_ns + self._settings.timeout_ns
        if account is not None and account.attempt == command.message.attempt:
            account.gap = POLICY  # whoever ends it meanwhile knows what it waited for
        self._deadlines.append(check)
        if not self._armed:
            self._armed = True
            self._clock.at(check.deadline_ns, self._due)
        way_ns = way_between_ns(self._state, host.node, process.node)
        if way_ns is not None:
            self._clock.at(now_ns + way_ns, process.arrived, check)

    def _due(self, _: None) -> None:
        now_ns = self._clock.now_ns
        deadlines = self._deadlines
        while deadlines and (not deadlines[0].open or deadlines[0].deadline_ns <= now_ns):
            check = deadlines.popleft()
            if check.open:
                check.process.given_up(check)
                self._failed(check, TIMEOUT)
        self._armed = bool(deadlines)
        if deadlines:
            self._clock.at(deadlines[0].deadline_ns, self._due)

    def _came(self, answer: tuple[Check, Ruling | str]) -> None:
        check, ruling = answer
        if not check.open or check.host.epoch != check.epoch:
            return
        if isinstance(ruling, str):
            self._failed(check, ruling)
            return
        now_ns = self._waited(check)
        work_ns = check.host.response_ns
        start_ns = check.host.cores.submit(now_ns, work_ns)
        self._clock.at(start_ns + work_ns, self._read, (check, ruling, start_ns, work_ns))

    def _read(self, job: tuple[Check, Ruling, int, int]) -> None:
        """The proxy has taken in the answer."""
        check, ruling, start_ns, work_ns = job
        host, account = check.host, check.account
        if host.epoch != check.epoch:
            return
        if account is not None and account.attempt == check.command.message.attempt:
            account.parts[QUEUE] += start_ns - account.mark_ns
            account.parts[POLICY] += work_ns
            account.mark_ns = self._clock.now_ns
        self._policies.remember(host, check.question)
        self.ruled(host, check.command, ruling)

    def _failed(self, check: Check, why: str) -> None:
        check.open = False
        if check.host.epoch != check.epoch:
            return
        self.blame(check, why)
        self._waited(check)
        decision = self._policies.unanswered(check.host, check.question, self._failure)
        wrongly = differs(decision, self._policies.newest.answer(check.question))
        trial = self._policies.unanswered_on_trial(check.host, check.question, self._failure, decision)
        ruling = Ruling(decision, 0, False, self._policies.newest.engine, trial, failure=why, wrongly=wrongly)
        self.ruled(check.host, check.command, ruling)

    def _waited(self, check: Check) -> int:
        """Put the wait on the call's account; return the time."""
        check.open = False
        now_ns = self._clock.now_ns
        account = check.account
        if account is not None and account.attempt == check.command.message.attempt:
            account.spend(POLICY, now_ns)
            account.gap = OTHER
        return now_ns

    # Faults

    def crashed(self, node: str) -> None:
        """Take note that a node lost power."""
        for process in self._processes.values():
            if process.node == node:
                process.crashed()

    def restarted(self, node: str) -> None:
        """Take note that a node is back."""
        for process in self._processes.values():
            if process.node == node:
                process.restarted()

    def stop(self) -> None:
        """End every process."""
        self._stopped = True
        for process in self._processes.values():
            process.stop()

    def start(self) -> None:
        """Start every process again."""
        self._stopped = False
        for process in self._processes.values():
            process.start()
