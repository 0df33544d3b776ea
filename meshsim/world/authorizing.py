"""Authorizers in time: questions travel to where the engine runs, wait there, and are answered or not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshsim.policy.question import Decision
from meshsim.world.accounts import OTHER, POLICY, QUEUE
from meshsim.world.policies import Ruling
from meshsim.world.reach import one_way_ns

if TYPE_CHECKING:
    from meshsim.policy.question import Question
    from meshsim.scenario.policy import Authorizer
    from meshsim.sidecar.commands import AskPolicy
    from meshsim.world.accounts import Account
    from meshsim.world.hosts import Host, Machine
    from meshsim.world.policies import Policies
    from meshsim.world.state import State

TIMEOUT, DOWN, OVERLOADED = "timeout", "down", "overloaded"
"""Why there is no answer."""
FAILED_OPEN, FAILED_CLOSED = "failed-open", "failed-closed"
"""The rules of decisions that no policy made."""
AUTHORIZER = "authorizer"
"""Name of the one that has a node of its own."""


class Check:
    """One question on its way, from its sending to its one answer."""

    __slots__ = (
        "account",
        "authorizer",
        "command",
        "deadline_ns",
        "epoch",
        "host",
        "open",
        "process",
        "question",
        "t_ns",
        "waits",
    )

    def __init__(
        self,
        host: Host,
        command: AskPolicy,
        question: Question,
        account: Account | None,
        process: AuthorizerProcess,
        authorizer: str = AUTHORIZER,
    ) -> None:
        self.host = host
        self.epoch = host.epoch
        self.command = command
        self.question = question
        self.account = account
        self.process = process
        self.authorizer = authorizer
        """Name of the authorizer that the process belongs to."""
        self.t_ns = self.deadline_ns = 0
        self.open = True
        """Whether the proxy still waits for an answer."""
        self.waits = False
        """Whether it stands in the queue."""


class AuthorizerProcess:
    """One process in which the engine runs. It is gone while its node is down, or while a fault holds it down.

    A question whose asker has given up leaves the queue: its stream is reset. Work on one that has begun is finished.
    """

    workload = ""
    configured = True

    def __init__(self, state: State, settings: Authorizer, policies: Policies, name: str, machine: Machine) -> None:
        self._state = state
        self._clock = state.clock
        self._policies = policies
        self._at_a_time = settings.cores or machine.cores.count
        self._longest = settings.queue
        self.name = name
        """What configuration is pushed to: a proxy's name where it stands beside one."""
        self.machine = machine
        self.stopped = False
        self._turns: deque[Check] = deque()
        self._waiting = 0
        self._busy = 0
        self._epoch = 0
        """Counts how often it lost what it had in progress."""
        self._inside: dict[Check, None] = {}

    @property
    def node(self) -> str:
        """Where it runs."""
        return self.machine.name

    @property
    def up(self) -> bool:
        """Whether it takes configuration and questions."""
        return self.machine.up and not self.stopped

    def arrived(self, check: Check) -> None:
        """Take a question that has come."""
        if not self.machine.up:
            return  # nobody is there to say so
        if self.stopped:
            self._answer(check, DOWN)
        elif self._longest is not None and self._busy >= self._at_a_time and self._waiting >= self._longest:
            self._answer(check, OVERLOADED)
        else:
            self._inside[check] = None
            check.waits = True
            self._waiting += 1
            self._turns.append(check)
            self._serve()

    def given_up(self, check: Check) -> None:
        """Take note that nobody waits for an answer any more."""
        if check.waits:
            check.waits = False
            self._waiting -= 1
            del self._inside[check]

    def _serve(self) -> None:
        while self._turns and self._busy < self._at_a_time:
            check = self._turns.popleft()
            if not check.waits:
                continue
            check.waits = False
            self._waiting -= 1
            self._busy += 1
            ruling = self._policies.consult(self, check.host, check.question)
            work_ns = self.machine.request_ns + ruling.cost_ns + self.machine.response_ns
            start_ns = self.machine.cores.submit(self._clock.now_ns, work_ns)
            self._clock.at(start_ns + work_ns, self._decided, (check, ruling, self._epoch))

    def _decided(self, job: tuple[Check, Ruling, int]) -> None:
        check, ruling, epoch = job
        if epoch != self._epoch:
            return
        self._busy -= 1
        del self._inside[check]
        self._answer(check, ruling)
        self._serve()

    def _answer(self, check: Check, answer: Ruling | str) -> None:
        way_ns = way_between_ns(self._state, self.node, check.host.node)
        if way_ns is not None:
            self._clock.at(self._clock.now_ns + way_ns, self.answered, (check, answer))

    answered: Callable[[tuple[Check, Ruling | str]], None]
    """Told of each answer that has come back to its proxy; set by whoever makes the process."""

    def crashed(self) -> None:
        """Take note that its node lost power: what it had in progress is never answered."""
        self._forget()

    def stop(self) -> None:
        """End the process; its node closes the connections of those who wait, so that they know at once."""
        self.stopped = True
        for check in self._forget():
            self._answer(check, DOWN)

    def start(self) -> None:
        """Start the process again, with nothing in progress."""
        self.stopped = False

    def _forget(self) -> list[Check]:
        inside, self._inside = list(self._inside), {}
        for check in inside:
            check.waits = False
        self._epoch += 1
        self._turns.clear()
        self._waiting = self._busy = 0
        return inside if self.machine.up else []


def way_between_ns(state: State, source: str, destination: str) -> int | None:
    """Return the time of a message between nodes, none on one node; None if it does not get there."""
    return 0 if source == destination else one_way_ns(state, source, destination)


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
        machine = check.host.machine
        work_ns = machine.response_ns
        start_ns = machine.cores.submit(now_ns, work_ns)
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
        truth = self._policies.newest.answer(check.question)
        wrongly = "" if truth.allowed == decision.allowed else "allowed" if decision.allowed else "denied"
        ruling = Ruling(decision, 0, False, self._policies.newest.engine, failure=why, wrongly=wrongly)
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
