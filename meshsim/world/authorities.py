"""Certificate authorities in time: which one signs, which ones are trusted, and who has heard of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from meshsim.control.succession import Plan, Step, Succession, Term
from meshsim.identity.authority import Authority
from meshsim.identity.bundle import TrustBundle, by_trust_domain
from meshsim.identity.spiffe import SCHEME
from meshsim.telemetry.rows import IdentityRow

if TYPE_CHECKING:
    from meshsim.world.bundles import Bundles
    from meshsim.world.hosts import Host
    from meshsim.world.issuing import IssuerProcess
    from meshsim.world.state import State

LOOK_NS = 10_000_000_000
"""How often an issuer that could not replace its authority when that was due looks again: SPIRE's."""


class Trust(msgspec.Struct, frozen=True):
    """What verifiers are told at one time."""

    sequence: int
    """Counts from 1; a higher one takes the place of a lower."""
    bundles: Mapping[str, TrustBundle]
    """Bundles by trust domain."""
    active: str
    """``Authority.id`` of the one that signs."""


class Authorities:
    """The authorities of one trust domain. The register of all that there ever were, in any domain, is ``by_id``."""

    bundles: Bundles
    """Brings trust to hosts; set when the world is assembled."""
    issuer: IssuerProcess | None = None
    """Who has to be there for an authority to be replaced; None where certificates are there at once."""

    def __init__(self, state: State, trust_domain: str, issuer_node: str | None, by_id: dict[str, Authority]) -> None:
        mesh = state.scenario.mesh
        identity = self.identity = mesh.identity_of(trust_domain)
        """Settings of certificates in this trust domain, as they are at the start."""
        self.terms = identity
        """Those that certificates are issued by now: a change may have come."""
        self._state = state
        self._clock = state.clock
        self.trust_domain = trust_domain
        self._news = "" if trust_domain == mesh.trust_domain else f"{trust_domain}: "
        self.skew_ns = 0 if issuer_node is None else state.machines[issuer_node].skew_ns
        begin_ns = self.skew_ns - identity.authority_age_ns - identity.backdate_ns
        plan = None
        if identity.ca_rotation is not None:
            plan = Plan(identity.prepare_ns, identity.activate_ns, identity.ca_rotation.overlap == "full")
        first = Term(1, begin_ns, begin_ns + identity.ca_ttl_ns)
        self._succession = Succession(first, identity.backdate_ns, plan)
        self._overlap = plan is None or plan.overlap
        self._roots: dict[int, Authority] = {}
        self._denied: frozenset[int] = frozenset()
        self.by_id = by_id
        """Every authority of every trust domain, by its id."""
        self._make(first)
        self._signed = [(0, self._roots[1].id)]
        """Since when each root has signed, as time since the Unix epoch by its own clock; the first always has."""
        self._record = state.recorder.appender("identities")
        self.trust = self._trust(1)
        """What is true now, whoever knows of it."""
        self.published = 1
        """Sequence number of the bundle that others are shown: counts changes of who is trusted."""
        self.published_ns = 0
        """When it changed last."""

    def authority_for(self, host: Host, age_ns: int = 0) -> Authority:
        """Return the authority that signs a host's certificates: the root, or the intermediate of its site.

        It is the one of now, or of ``age_ns`` ago.
        """
        root = self._roots[self._succession.active.number]
        return root if self.identity.hierarchy == "root" else self._intermediate(root, host.site, age_ns)

    def _intermediate(self, root: Authority, site: str, age_ns: int) -> Authority:
        """Return the intermediate of a site that signs then: each does so for the first half of its life."""
        ttl_ns = self.identity.intermediate_ttl_ns
        begin_ns, end_ns, generation = root.not_before_ns, root.not_after_ns, 0
        if ttl_ns is not None:
            now_ns = self._state.scenario.epoch_ns + self.skew_ns + self._clock.now_ns - age_ns
            since_ns = now_ns - root.not_before_ns - self.identity.backdate_ns
            generation = max(0, 2 * since_ns // ttl_ns)
            begin_ns += generation * ttl_ns // 2
            end_ns = begin_ns + self.identity.backdate_ns + ttl_ns
        name = f"{root.name}/{site}" + (f"/{generation + 1}" if generation else "")
        known = self.by_id.get(f"{self.trust_domain}/{name}")
        if known is None:
            seed, key_type = self._state.scenario.seed, self.identity.ca_key
            known = Authority(self.trust_domain, name, seed, key_type, begin_ns, end_ns, root)
            self.by_id[known.id] = known
            self._write("activated", known)
        return known

    @property
    def active(self) -> Authority:
        """The root that signs now."""
        return self._roots[self._succession.active.number]

    @property
    def epoch_ns(self) -> int:
        """What time it is by the clock of who signs."""
        return self._state.scenario.epoch_ns + self.skew_ns + self._clock.now_ns

    @property
    def trusted(self) -> frozenset[str]:
        """``Authority.id`` of each root that is trusted now."""
        return self.trust.bundles[self.trust_domain].authorities

    def signed_by(self, time_s: int) -> str:
        """Return which root signed at an instant of the past, in seconds since the Unix epoch by its own clock."""
        time_ns = time_s * 1_000_000_000
        return next(name for since_ns, name in reversed(self._signed) if since_ns <= time_ns or not since_ns)

    def publish(self) -> None:
        """Take note that the bundle that others are shown is another one."""
        self.published += 1
        self.published_ns = self._clock.now_ns

    def begin(self) -> None:
        """Set the first look at whether the authority is due to be replaced."""
        self._set_look()

    def replace(self, *, overlap: bool) -> frozenset[int]:
        """Have a new authority sign from now on, as somebody decided; return the numbers of those that came before."""
        former = frozenset(self._roots)
        steps = self._succession.replace(self._clock.now_ns + self.skew_ns, overlap=overlap)
        self._carry_out(steps, told=True)
        self._set_look()
        return former

    def deny(self, serials: frozenset[int], news: str) -> None:
        """Have verifiers told of certificates that they are not to believe."""
        self._denied |= serials
        self.trust = self._trust(self.trust.sequence + 1)
        self.bundles.publish(news, waits=True)

    def forget(self, numbers: frozenset[int]) -> None:
        """Trust these authorities no more."""
        self._carry_out(self._succession.forget(numbers), told=True)

    # In time

    def _set_look(self) -> None:
        due_ns = self._succession.due_ns()
        if due_ns is not None:
            self._at(max(self._clock.now_ns, due_ns - self.skew_ns))

    def _at(self, time_ns: int) -> None:
        if time_ns < self._state.scenario.duration_ns:
            self._clock.at(time_ns, self._look)

    def _look(self, _: None) -> None:
        now_ns = self._clock.now_ns
        if self.issuer is not None and not self.issuer.up:
            if not self._state.over:
                self._at(now_ns + LOOK_NS)
            return
        due_ns = self._succession.due_ns()
        if due_ns is not None and due_ns <= now_ns + self.skew_ns:
            steps = self._succession.look(now_ns + self.skew_ns)
            self._carry_out(steps, told=not self._overlap or self.identity.renew_within_ns is not None)
            self._set_look()

    def _carry_out(self, steps: list[Step], *, told: bool) -> None:
        """Write down what was done about authorities, and send word of it.

        ``told`` says whether verifiers hear of an authority that begins to sign; one that they trust is no news.
        """
        news = []
        for step in steps:
            number = step.term.number
            if number not in self._roots:
                self._make(step.term)
            self._write(step.deed, self._roots[number])
            if step.deed == "activated":
                self._signed.append((self.epoch_ns, self._roots[number].id))
            if step.deed != "activated" or told:
                news.append(f"{self._roots[number].name} {step.deed}")
        if steps:
            before = self.trust.bundles
            self.trust = self._trust(self.trust.sequence + bool(news))
            if self.trust.bundles != before:
                self.publish()
        if news:
            self.bundles.publish(f"trust bundle: {self._news}{', '.join(news)}")

    def _make(self, term: Term) -> None:
        name = "root" if term.number == 1 else f"root-{term.number}"
        scenario = self._state.scenario
        epoch_ns = scenario.epoch_ns
        root = Authority(
            self.trust_domain,
            name,
            scenario.seed,
            self.identity.ca_key,
            epoch_ns + term.begin_ns,
            epoch_ns + term.end_ns,
        )
        self._roots[term.number] = self.by_id[root.id] = root

    def _trust(self, sequence: int) -> Trust:
        trusted = frozenset(self._roots[term.number].id for term in self._succession.trusted)
        bundles = by_trust_domain([TrustBundle(self.trust_domain, trusted, self._denied)])
        return Trust(sequence, bundles, self._roots[self._succession.active.number].id)

    def _write(self, deed: str, authority: Authority) -> None:
        epoch_ns = self._state.scenario.epoch_ns
        self._record(
            IdentityRow(
                t_ns=self._clock.now_ns,
                spiffe_id=f"{SCHEME}{self.trust_domain}",
                event=deed,
                serial=f"{authority.serial:032x}",
                not_before_epoch_ns=authority.not_before_ns,
                not_after_epoch_ns=authority.not_after_ns,
                not_before_ns=authority.not_before_ns - epoch_ns,
                not_after_ns=authority.not_after_ns - epoch_ns,
                issuer=authority.id if authority.parent is None else authority.parent.id,
            )
        )
