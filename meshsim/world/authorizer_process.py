"""An authorizer outside of the proxies, as it runs: its cores, its queue, and the questions that it has."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

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
        self.started: Callable[[AuthorizerProcess], None] | None = None
        """Told when it has started again, of one that configuration is pushed to; set where that can change."""
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
        self.restarted()

    def restarted(self) -> None:
        """Take note that it or its node has started: it begins with the configuration of now."""
        if self.up and self.started is not None:
            self.started(self)

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
