"""Changes of configuration on their way: from the control plane to every proxy, a few at a time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from meshsim.control.debounce import Debounce
from meshsim.identity.spiffe import trust_domain_of
from meshsim.telemetry.change_row import ChangeRow
from meshsim.telemetry.rows import ConfigRow
from meshsim.world.authorizer_process import AuthorizerProcess
from meshsim.world.hosts import Host
from meshsim.world.reach import again_after_ns, one_way_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meshsim.policy.question import Decision, Question
    from meshsim.scenario.identity import Identity
    from meshsim.sidecar.tls.settings import TlsSettings
    from meshsim.world.identities import Identities
    from meshsim.world.state import State

PUSHES, PUSHES_PER_CORE, MOST_PUSHES = 15, 5, 100
"""Proxies that are pushed to at a time: Istio's PILOT_PUSH_THROTTLE by default."""


Receiver = Host | AuthorizerProcess
"""What configuration is pushed to."""


class Content:
    """One version of the configuration, and how it has spread."""

    def __init__(
        self,
        version: int,
        policy: int,
        settings: Mapping[str, tuple[TlsSettings, str]],
        identities: Mapping[str, Identity],
        renewals: Mapping[str, int],
        news: str,
    ) -> None:
        self.version = version
        """Counts from 1, the start."""
        self.policy = policy
        """Number of its policies among all there are."""
        self.settings = settings
        """TLS settings and type of keys, by ``Host.settings_key``."""
        self.identities = identities
        """Terms of certificates by trust domain."""
        self.renewals = renewals
        """How often the certificates of a service or fleet were to be renewed at once up to it, by its name."""
        self.news = news
        """What changed, for people."""
        self.change = ""
        """Name of the change that it is; empty of the start and of what was rolled back to."""
        self.t_ns = 0
        self.outstanding: set[str] = set()
        """Hosts that have yet to take it, by name."""
        self.pushed = False
        self.converged_ns = -1
        self.proxies = self.acked = self.rejected = 0
        self.rolled_back = False
        self.wrongly = {"allowed": 0, "denied": 0}

    def terms_of(self, host: Host) -> Identity:
        """Return the terms of a host's certificates."""
        return self.identities[trust_domain_of(host.spiffe_id)]


def _again(content: Content, version: int, news: str) -> Content:
    """Return a version that says what an earlier one says."""
    return Content(version, content.policy, content.settings, content.identities, content.renewals, news)


class Rollout:
    """Pushes each change to every proxy; one that cannot be reached keeps what it has, and is tried again."""

    blame: Callable[[str, str], None]
    """Told of each push between two nodes that did not get there; set when the world is assembled."""

    authorizers: tuple[AuthorizerProcess, ...] = ()
    """Those outside of the proxies, which get their policies like a proxy."""

    def __init__(
        self,
        state: State,
        identities: Identities,
        control_node: str,
        contents: Sequence[tuple[int, Content]],
    ) -> None:
        """``contents``: the start at instant 0, then each change with the instant at which it comes."""
        self._state = state
        self._clock = state.clock
        self._identities = identities
        self._node = control_node
        control = state.scenario.mesh.control
        self._debounce = Debounce(control.debounce_ns, control.debounce_max_ns)
        cores = state.scenario.network.nodes[control_node].cores
        throttle = state.scenario.mesh.control.concurrent_pushes
        self._at_a_time = throttle or min(PUSHES + PUSHES_PER_CORE * cores, MOST_PUSHES)
        self._contents = contents
        self._all = [content for _, content in contents]
        self._newest = contents[0][1]
        self._announced = self._newest
        """What the control plane pushes, after its debounce; what ought to hold may be newer."""
        self._queue: deque[Receiver] = deque()
        self._on_the_way = 0
        self._held: dict[str, Content] = {}
        state.rejecting.resumed.append(self._notice)
        self._record = state.recorder.appender("configs")

    def begin(self) -> None:
        """Set every change."""
        for process in self.authorizers:
            self._take(process, self._announced)
        for at_ns, content in self._contents[1:]:
            self._clock.at(at_ns, self._comes, content)

    def give(self, host: Host) -> None:
        """Give a host that starts what the control plane has: it does not start without."""
        self._take(host, self._announced)

    def catch_up(self, host: Host) -> None:
        """Give a host that has fetched its configuration what has come since it was started."""
        if self._held[host.name] is not self._announced:
            self._hold(host, self._announced)

    def settings(self, host: Host) -> TlsSettings:
        """Return the TLS settings with which a host starts now; its key is of their type, too."""
        settings, host.key_type = self._announced.settings[host.settings_key]
        self._identities.rotating.agree(host, self._announced.terms_of(host))
        return settings

    def judge(self, question: Question | None, decision: Decision) -> str:
        """Hold a decision against what ought to hold, and count it; see ``Policies.wrongly``."""
        policies = self._state.policy
        if question is None or policies is None:
            return ""
        word = policies.wrongly(question, decision)
        if word:
            self._newest.wrongly[word] += 1
        return word

    def record(self) -> None:
        """Write a row for each change, at the end of the run."""
        record = self._state.recorder.appender("changes")
        for content in self._all:
            if content.change:
                record(
                    ChangeRow(
                        change=content.change,
                        t_ns=content.t_ns,
                        version=content.version,
                        t_converged_ns=content.converged_ns,
                        proxies=content.proxies,
                        acked=content.acked,
                        rejected=content.rejected,
                        rolled_back=content.rolled_back,
                        wrongly_allowed=content.wrongly["allowed"],
                        wrongly_denied=content.wrongly["denied"],
                    )
                )

    # The control plane

    def _comes(self, content: Content) -> None:
        content.t_ns = self._clock.now_ns
        self._make_newest(content)

    def _make_newest(self, content: Content) -> None:
        self._newest = content
        self._identities.issue_by(content.identities)
        policies = self._state.policy
        if policies is not None:
            policies.newest = policies.versions[content.policy]
        self._notice()

    def _notice(self) -> None:
        if self._debounce.notice(self._clock.now_ns):
            self._clock.at(self._debounce.due_ns, self._push, 0)

    def _push(self, tries: int) -> None:
        if not self._state.machines[self._node].up:
            if not self._state.over:
                self._clock.at(self._clock.now_ns + again_after_ns(tries), self._push, tries + 1)
            return
        if self._clock.now_ns < self._debounce.due_ns:
            self._clock.at(self._debounce.due_ns, self._push, tries)  # there were further changes
            return
        self._debounce.waiting = False
        content = self._announced = self._newest
        everybody: list[Receiver] = [*self._state.hosts(), *self.authorizers]
        hosts = [host for host in everybody if host.configured and host.up]
        behind = [host for host in hosts if self._held.get(host.name) is not content]
        if not content.pushed:
            content.pushed = True
            content.proxies = len(hosts)
            content.outstanding = {host.name for host in behind}
            self._note_convergence(content)
        self._queue = deque(behind)
        self._next()

    def _next(self) -> None:
        while self._queue and self._on_the_way < self._at_a_time:
            host = self._queue.popleft()
            self._write(host, self._announced, "sent")
            self._try((host, self._announced, 0))

    def _try(self, push: tuple[Receiver, Content, int]) -> None:
        host, content, tries = push
        if content is not self._announced or not host.configured or self._state.over:
            return  # a newer one is on its way, or comes with the host's start
        up = host.up and self._state.machines[self._node].up
        way_ns = one_way_ns(self._state, self._node, host.node) if up else None
        if way_ns is None:
            self._write(host, content, "stale")
            self.blame(self._node, host.node)
            again_ns = self._clock.now_ns + again_after_ns(tries)
            self._clock.at(again_ns, self._try, (host, content, tries + 1))
            return
        self._on_the_way += 1
        self._clock.at(self._clock.now_ns + way_ns, self._received, (host, content, way_ns))

    def _received(self, push: tuple[Receiver, Content, int]) -> None:
        host, content, way_ns = push
        # The answer frees the control plane's hands, whatever it says; of a proxy that is gone, its connection does.
        self._clock.at(self._clock.now_ns + way_ns, self._answered)
        if not host.up or not host.configured:
            return
        rejecting = self._state.rejecting.of(host.workload)
        if rejecting is None:
            self._hold(host, content)
            self._write(host, content, "acked" if content.change else "rolled_back")
            return
        rejecting.configurations += 1
        content.rejected += 1
        self._write(host, content, "rejected")
        if self._state.scenario.mesh.control.on_reject == "roll_back" and content.change and not content.rolled_back:
            self._clock.at(self._clock.now_ns + way_ns, self._roll_back, content)

    def _answered(self, _: None) -> None:
        self._on_the_way -= 1
        self._next()

    def _roll_back(self, content: Content) -> None:
        """Go back to what was there before a change that a proxy has rejected."""
        if content is not self._newest or content.rolled_back:
            return
        content.rolled_back = True
        before = self._all[self._all.index(content) - 1]
        news = f"{content.change} rolled back"
        self._all.append(back := _again(before, len(self._all) + 1, news))
        back.t_ns = self._clock.now_ns
        self._make_newest(back)

    # Proxies

    def _hold(self, host: Receiver, content: Content) -> None:
        """Have a running proxy take a configuration."""
        before = self._held[host.name]
        self._take(host, content)
        if isinstance(host, AuthorizerProcess):
            return  # it has no settings of TLS, and no certificate
        settings, key_type = content.settings[host.settings_key]
        due, was_due = content.renewals[host.workload], before.renewals[host.workload]
        other_key = key_type != host.key_type
        host.key_type = key_type
        if settings != before.settings[host.settings_key][0]:
            self._identities.configure(host, settings)
        if content.terms_of(host) is not before.terms_of(host):
            self._identities.agree(host, content.terms_of(host))
        # Where a change is taken back for which keys were replaced at once, they are put back at once.
        if due > was_due or (other_key and due != was_due):
            self._identities.insist(host)

    def _take(self, host: Receiver, content: Content) -> None:
        self._held[host.name] = content
        if self._state.policy is not None:
            self._state.policy.hold(host, content.policy)
            if self._state.tokens is not None and not isinstance(host, AuthorizerProcess):
                self._state.tokens.hold(host, content.policy)
        if host.name in content.outstanding:
            content.outstanding.remove(host.name)
            content.acked += 1
            self._note_convergence(content)

    def _note_convergence(self, content: Content) -> None:
        if content.converged_ns < 0 and not content.outstanding:
            content.converged_ns = self._clock.now_ns

    def _write(self, host: Receiver, content: Content, event: str) -> None:
        self._record(ConfigRow(self._clock.now_ns, content.version, host.name, event, content.news))
