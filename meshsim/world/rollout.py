"""Changes of configuration: which version holds, which one each proxy has, and what a proxy does with a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.identity.spiffe import trust_domain_of
from meshsim.telemetry.change_row import ChangeRow
from meshsim.world.authorizer_process import AuthorizerProcess
from meshsim.world.hosts import Host
from meshsim.world.spreading import Spreading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meshsim.policy.question import Decision, Question
    from meshsim.sidecar.tls.settings import TlsSettings
    from meshsim.world.contents import Content, Receiver
    from meshsim.world.identities import Identities
    from meshsim.world.state import State


class Rollout:
    """Has the control plane of each trust domain push what concerns it, and knows what every proxy has."""

    blame: Callable[[str, str], None]
    """Told of each push between two nodes that did not get there; set when the world is assembled."""

    def __init__(
        self,
        state: State,
        identities: Identities,
        nodes: Mapping[str, str],
        contents: Sequence[tuple[int, Content]],
    ) -> None:
        """``nodes``: of the control plane of each trust domain, the mesh's own first.

        ``contents``: the start at instant 0, then each change with the instant at which it comes.
        """
        self._state = state
        self._clock = state.clock
        self._identities = identities
        self._contents = contents
        self._newest = first = contents[0][1]
        self._came = [first]
        """Every version that has come, with those that took others back."""
        self._planes = {name: Spreading(state, self, name, node, first) for name, node in nodes.items()}
        """The control plane of each trust domain."""
        self.authorizers: tuple[AuthorizerProcess, ...] = ()
        """Those outside of the proxies, which get their policies like a proxy."""
        self._own = state.scenario.mesh.trust_domain
        self._held: dict[str, Content] = {}
        state.rejecting.resumed.append(self._resumed)

    def begin(self) -> None:
        """Set every change."""
        for process in self.authorizers:
            self.give(process)
            process.started = self.give
        for at_ns, content in self._contents[1:]:
            self._clock.at(at_ns, self._comes, content)

    def give(self, host: Receiver) -> None:
        """Give a host or an authorizer that starts what the control plane has: it does not start without."""
        self._take(host, self._plane(host).announced)

    def announced(self, host: Host) -> Content:
        """Return what a host's control plane has, and pushes."""
        return self._plane(host).announced

    def catch_up(self, host: Host) -> None:
        """Give a host that has fetched its configuration what has come since it was started."""
        announced = self.announced(host)
        if self._held[host.name] is not announced:
            self.hold(host, announced)

    def settings(self, host: Host) -> TlsSettings:
        """Return the TLS settings with which a host starts now; its key is of their type, too."""
        announced = self.announced(host)
        settings, host.key_type = announced.settings[host.settings_key]
        self._identities.rotating.agree(host, announced.terms_of(host))
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
        for _, content in self._contents:
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

    # The control planes

    def _comes(self, content: Content) -> None:
        self._make_newest(content)

    def _make_newest(self, content: Content) -> None:
        """Have every control plane that a version concerns push it: each has it at this instant."""
        content.t_ns = self._clock.now_ns
        self._came.append(content)
        content.version = len(self._came)
        self._newest = content
        self._identities.issue_by(content.identities)
        policies = self._state.policy
        if policies is not None:
            policies.newest = policies.versions[content.policy]
        for name, plane in self._planes.items():
            if name in content.domains:
                plane.comes(content)

    def _resumed(self) -> None:
        for plane in self._planes.values():
            plane.notice()

    def _plane(self, receiver: Receiver) -> Spreading:
        if len(self._planes) == 1 or not isinstance(receiver, Host):
            return self._planes[self._own]
        return self._planes[trust_domain_of(receiver.spiffe_id)]

    def receivers(self, trust_domain: str) -> list[Receiver]:
        """Return who is pushed to by the control plane of a trust domain; authorizers are the mesh's own."""
        hosts = self._state.hosts()
        if len(self._planes) > 1:
            hosts = [host for host in hosts if trust_domain_of(host.spiffe_id) == trust_domain]
        return [*hosts, *(self.authorizers if trust_domain == self._own else ())]

    def roll_back(self, content: Content) -> None:
        """Go back to what was there before a change that a proxy has rejected: in all trust domains that have it.

        Where another has come to any of them meanwhile, that one holds, with what it contains.
        """
        if content.rolled_back or any(one.domains & content.domains for one in self._came[content.version :]):
            return
        content.rolled_back = True
        before = self._came[content.version - 2]
        self._make_newest(self._newest.without(content, before, self._state.scenario.mesh.trust_domain_of))

    # Proxies

    def held(self, receiver: Receiver) -> Content | None:
        """Return what a receiver holds; None where it has not started."""
        return self._held.get(receiver.name)

    def hold(self, host: Receiver, content: Content) -> None:
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
        for one in self._came[: content.version]:
            if host.name in one.outstanding and (one is content or not one.rolled_back):
                one.outstanding.remove(host.name)
                one.acked += 1
                self._note_convergence(one)

    def pushed(self, trust_domain: str, content: Content, hosts: Sequence[str], behind: Sequence[str]) -> None:
        """Take note that a control plane pushes a version to its ``hosts``, of whom some are ``behind``.

        So it does with all that came before it and waited for its debounce, too.
        """
        for one in self._came[: content.version]:
            if trust_domain in one.awaited and not one.rolled_back:
                one.awaited.remove(trust_domain)
                one.proxies += len(hosts)
                one.outstanding |= set(behind)
                self._note_convergence(one)

    def _note_convergence(self, content: Content) -> None:
        """See whether the last proxy has a version, of all control planes that push it."""
        if content.converged_ns < 0 and not content.outstanding and not content.awaited:
            content.converged_ns = self._clock.now_ns
