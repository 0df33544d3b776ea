"""Tokens in the world: who holds which, who accepts which, and PyJWT asked whether the prediction is true."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from meshsim.identity.token_check import (
    ABSENT,
    Accepted,
    Keys,
    TokenRules,
    TokenVerdict,
    verify,
    verify_operation,
)
from meshsim.identity.token_search import Checked
from meshsim.identity.tokens import Grant, Issuer, Token, thumbprint_of
from meshsim.policy.question import token_refusal
from meshsim.scenario.call_graph import calls_of
from meshsim.scenario.errors import InvariantViolation
from meshsim.scenario.token_reasons import MISSING
from meshsim.scenario.tokens import LEEWAY_NS, token_key
from meshsim.scenario.units import NS_PER_S
from meshsim.sidecar.wallet import OWN, Entry, Wallet
from meshsim.world.directory import directory_of
from meshsim.world.hosts import Replica
from meshsim.world.policies import Ruling
from meshsim.world.token_fetching import TokenFetching
from meshsim.world.token_rules import iss_of, istio_rules, own_lookups, past_waypoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshsim.identity.svid import Svid
    from meshsim.policy.engine import Directory, PolicyEngine
    from meshsim.scenario.tokens import Flaw, HeldToken, StolenToken, TokenEndpoint
    from meshsim.scenario.tokens import Tokens as TokenSettings
    from meshsim.sidecar.commands import AskPolicy
    from meshsim.world.domains import Domains
    from meshsim.world.hosts import Host
    from meshsim.world.identities import Identities
    from meshsim.world.state import State
    from meshsim.world.token_endpoints import TokenRequest

STOLEN = "stolen "


class TokensDecide(NamedTuple):
    """Who made a decision that a request's token made."""

    name: str = "jwt"
    version: str = ""


TOKENS_DECIDE = TokensDecide()


class Tokens:
    """What the mesh's token settings come to.

    Without any, nobody signs tokens, and what looks like one is refused where Istio's objects have somebody look.
    """

    def __init__(self, state: State, settings: TokenSettings | None, identities: Identities) -> None:
        scenario = state.scenario
        self._state = state
        self._scenario = scenario
        self._identities = identities
        self._leeway_s = (LEEWAY_NS if settings is None else settings.leeway_ns) // NS_PER_S
        self._settings = {} if settings is None else settings.issuers
        self._issuers = {
            name: Issuer(
                name=name,
                iss=iss_of(name, issuer, scenario),
                algorithm=issuer.algorithm,
                seed=scenario.seed,
                trust_domain=issuer.trust_domain or "",
            )
            for name, issuer in self._settings.items()
        }
        self._thumbprints: dict[Svid, str] = {}
        self._confirmed: set[tuple[str, int, str, str, frozenset[str]]] = set()
        self._rules: dict[tuple[str, str, int], TokenRules | None] = {}
        """By workload, its version, and the number of the policies whose RequestAuthentications they come from."""
        self._held: dict[str, int] = {}
        """By which number of policies hosts go that have heard of a change, by name."""
        self._directory: Directory | None = None
        """Made once, and only if a waypoint serves somebody whose tokens are looked at: it has all hosts."""

    def signers(self, trust_domain: str) -> tuple[Issuer, ...]:
        """Return the issuers whose keys are in the bundle of a trust domain."""
        return tuple(issuer for issuer in self._issuers.values() if issuer.trust_domain == trust_domain)

    def keys(self, host: Host) -> Keys:
        """Return what gives the keys that a host has in the bundles that it goes by."""

        def of(trust_domain: str) -> frozenset[str]:
            bundle = self._identities.bundles(host).get(trust_domain)
            return frozenset() if bundle is None else bundle.authorities

        return of

    def thumbprint(self, svid: Svid | None) -> str:
        """Return the thumbprint of a certificate, which is minted for that; empty for none."""
        if svid is None:
            return ""
        found = self._thumbprints.get(svid)
        if found is None:
            found = self._thumbprints[svid] = thumbprint_of(self._identities.der(svid))
        return found

    def wallet(self, host: Host) -> Wallet | None:
        """Return the tokens that a starting host's workload can present; None if its flows and calls present none.

        Has its own fetched from now on where it has to be, since others may present that, too.
        """
        owner = self._scenario.fleets.get(host.workload) or self._scenario.services[host.workload]
        entries: dict[str, Entry] = {}
        fetching = self._state.token_fetching
        if owner.token is not None and fetching is not None and self._endpoint(owner.token) is not None:
            fetching.hold(host, self._grant(host, owner.token), owner.token.issuer)
        for presented in self._presented(host.workload):
            key = token_key(presented, holds=owner.token is not None)
            if key.startswith(STOLEN):
                entries[key] = self._stolen(key.removeprefix(STOLEN))
            elif key:
                assert owner.token is not None, "the scenario's checks know"
                flaw = "" if key == OWN else key
                entry = Entry(self._grant(host, owner.token), flaw, key_at=self._key_at(owner.token.issuer))
                entries[key] = entry if flaw else self._fetched(entry, host, owner.token)
        return Wallet(entries, self._leeway_s, self.thumbprint) if entries else None

    def rules(self, host: Host) -> TokenRules | None:
        """Return which tokens a host accepts of its callers by what it holds; None if it looks at none.

        A waypoint with a place looks, and so the service behind it does not.
        """
        waypoints = self._state.waypoints
        behind = waypoints is not None and waypoints.is_served(host.workload)
        return None if behind else self.rules_at(host, host.workload)

    def rules_at(self, host: Host, workload: str) -> TokenRules | None:
        """Return which tokens are accepted of callers of a workload by what a host holds: its own, or its waypoint."""
        service = self._scenario.services.get(workload)
        own = host.version if isinstance(host, Replica) else ""
        if service is not None and service.versions and host.workload != workload:
            own = next(iter(service.versions))  # what holds at a waypoint is attached to all versions
        key = (workload, own, self._held.get(host.name, 0))
        if key not in self._rules:
            check = None if service is None else service.request_authentication
            if check is None:
                self._rules[key] = None if service is None else self._istio_rules(*key)
            else:
                accepted = tuple(Accepted(self._issuers[name], check.audiences) for name in check.issuers)
                settings = (check.required, check.binding, self._leeway_s)
                rules = TokenRules(accepted, *settings, own_lookups(check, accepted), past=self._past(workload))
                self._rules[key] = rules
        return self._rules[key]

    def _past(self, service: str) -> frozenset[str]:
        """Whose tokens nobody looks at, since a waypoint would, for which Istio's policies or its place stand."""
        waypoints, policy = self._state.waypoints, self._state.policy
        placed = waypoints is not None and waypoints.is_served(service)
        if self._scenario.services[service].waypoint is None or (
            not placed and (policy is None or policy.engine.name != "istio")
        ):
            return frozenset()
        if self._directory is None:
            self._directory = directory_of(self._state)
        return past_waypoint(service, self._directory)

    def hold(self, host: Host, number: int) -> None:
        """Have a host check tokens by the policies of this number from now on."""
        waypoints = self._state.waypoints
        if waypoints is not None and waypoints.is_one(host.workload):
            self._held[host.name] = number
            if host.starts:
                host.sidecar.serve(waypoints.served(host))
            return
        before = self.rules(host)
        self._held[host.name] = number
        after = self.rules(host)
        if after != before and host.starts:
            host.sidecar.check_tokens_by(after)

    def _istio_rules(self, service: str, version: str, number: int) -> TokenRules | None:
        """Return what the RequestAuthentications for a service come to, if the policies of a number have any."""
        policy = self._state.policy
        return None if policy is None else self.rules_by(policy.versions[number].engine, service, version)

    def rules_by(self, engine: PolicyEngine, service: str, version: str) -> TokenRules | None:
        """Return what an engine's RequestAuthentications for a service come to, if it has any."""
        from meshsim.policy.istio import IstioEngine

        rules = engine.token_rules(service, version) if isinstance(engine, IstioEngine) else ()
        listeners = self._scenario.services[service].listeners
        in_jwks = frozenset(name for name, issuer in self._settings.items() if issuer.key_in_jwks)
        found = istio_rules(rules, tuple(self._issuers.values()), in_jwks, self._leeway_s, listeners)
        return None if found is None else msgspec.structs.replace(found, past=self._past(service))

    def check(self, host: Host, command: AskPolicy, verdict: TokenVerdict, now_ns: int) -> tuple[int, Ruling | None]:
        """Hold the verdict on a request's token against reality; return the CPU time of it, and a refusal if it is one.

        The time is that of checking the signature, as far as it comes to that.
        """
        clock_ns = self._scenario.epoch_ns + host.machine.skew_ns + now_ns
        checked = command.checked
        if not checked:
            rules = self.rules_at(host, command.message.template.destination)
            assert rules is not None, "nobody else judges tokens"
            checked = (Checked(command.message.token, rules, verdict),)
        costs, cost_ns = host.machine.costs, 0
        for one in checked:
            self._confirm(one, command.thumbprint, clock_ns)
            cost_ns += costs.operation_ns(verify_operation(one.verdict.algorithm)) if one.verdict.algorithm else 0
        refusal = token_refusal(verdict.reason, verdict.by) if verdict.reason else None
        return cost_ns, None if refusal is None else Ruling(refusal, 0, False, TOKENS_DECIDE)

    def _confirm(self, checked: Checked, thumbprint: str, clock_ns: int) -> None:
        """Let PyJWT judge a token: each distinct case once, every one at fidelity real.

        Raises InvariantViolation when it comes to something else than the prediction.
        """
        token, rules, verdict = checked.token, checked.rules, checked.verdict
        if token is None or verdict is ABSENT or verdict.reason == MISSING or self._scenario.fidelity == "modelled":
            return
        case = (token.text, id(rules), thumbprint, verdict.reason, verdict.keys)
        if not self._state.real and case in self._confirmed:
            return
        self._confirmed.add(case)
        found = verify(token.text, rules, clock_ns // NS_PER_S, thumbprint, lambda _: verdict.keys)
        if found != verdict.reason:
            raise InvariantViolation(
                f"a token: the model says {verdict.reason or 'accepted'!r}, PyJWT {found or 'accepted'!r}; "
                f"at {clock_ns // NS_PER_S} s, with certificate {thumbprint or 'none'}, by {rules}: {token.text}"
            )

    def _presented(self, workload: str) -> Iterator[Flaw | StolenToken]:
        for flow in self._scenario.traffic:
            if flow.source == workload:
                yield flow.token
        if workload in self._scenario.services:
            yield from (call.token for _, call in calls_of(self._scenario, workload))

    def _grant(self, host: Host, held: HeldToken) -> Grant:
        issuer = self._settings[held.issuer]
        ttl_s = issuer.ttl_ns // NS_PER_S
        return Grant(
            issuer=self._issuers[held.issuer],
            subject=host.spiffe_id,
            audiences=held.audiences,
            more=json.dumps(held.claims, sort_keys=True, separators=(",", ":")),
            ttl_s=ttl_s,
            renew_s=max(1, issuer.renew_after_ns // NS_PER_S),
            bound=held.bound,
            # The issuer's clock is right; a holder whose own is not asks for its token at another time.
            begin_s=self._scenario.epoch_ns // NS_PER_S,
        )

    def _stolen(self, victim: str) -> Entry:
        """Return the token of the first device or replica of a fleet or service."""
        host = self._first(victim)
        owner = self._scenario.fleets.get(victim) or self._scenario.services[victim]
        assert owner.token is not None, "the scenario's checks know"
        key_at = self._key_at(owner.token.issuer)
        entry = Entry(self._grant(host, owner.token), bound_to=self._holder_thumbprint(host), key_at=key_at)
        return self._fetched(entry, host, owner.token)

    def _fetched(self, entry: Entry, holder: Host, held: HeldToken) -> Entry:
        """Return the same for a token that its holder has to fetch, if it has."""
        fetching, endpoint = self._state.token_fetching, self._endpoint(held)
        if fetching is None or endpoint is None:
            return entry
        at_hand_s = partial(fetching.at_hand_s, holder.name)
        waited_for = endpoint.without_token == "wait" and entry.bound_to is None  # nobody waits for what is stolen
        return msgspec.structs.replace(
            entry, at_hand_s=at_hand_s, needed=endpoint.without_token != "send", waited_for=waited_for
        )

    def _endpoint(self, held: HeldToken) -> TokenEndpoint | None:
        return self._settings[held.issuer].endpoint

    def fetch_from(self, domains: Domains) -> None:
        """Have holders fetch their tokens, where issuers have endpoints."""
        if any(issuer.endpoint is not None for issuer in self._settings.values()):
            fetching = TokenFetching(self._state, self._settings, domains, self._identities, self._made)

            def certified(host: Host, svid: Svid) -> None:
                fetching.certificate(host, partial(self.thumbprint, svid))

            self._state.token_fetching, self._identities.on_certificate = fetching, certified

    def _made(self, request: TokenRequest) -> Token:
        """Return the token that an endpoint signs for a request."""
        grant = request.grant
        key_at = self._key_at(grant.issuer.name)
        if key_at is not None:
            grant = grant.signed_with(key_at(request.issued_s))
        return grant.made(request.issued_s, request.thumbprint)

    def _key_at(self, name: str) -> Callable[[int], str] | None:
        """Return what tells with which key an issuer signs; None for one that has but one."""
        trust_domain = self._issuers[name].trust_domain
        return self._identities.authorities_of(trust_domain).signed_by if trust_domain else None

    def _holder_thumbprint(self, host: Host) -> Callable[[], str]:
        return lambda: self.thumbprint(self._identities.held(host))

    def _first(self, workload: str) -> Host:
        if workload in self._state.devices:
            return self._state.devices[workload][0]
        return next(replica for replica in self._state.replicas if replica.workload == workload)
