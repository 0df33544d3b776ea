"""Federation in time: bundles of other trust domains fetched over the network, and passed on to proxies.

The control plane of each trust domain fetches the bundles of those that it trusts (SPIFFE Federation, sections 4 and
6): at the beginning of the run, and then as often as the bundle asks. A fetch that fails is not repeated before the
next is due. What was fetched last holds until something newer comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from meshsim.control.resources import trust_size_bytes
from meshsim.control.signing import SETUP_ROUND_TRIPS, connection_operations
from meshsim.identity.bundle import TrustBundle
from meshsim.scenario.federation import DEFAULT_REFRESH_NS
from meshsim.scenario.units import PPM
from meshsim.telemetry.bundle_row import BundleRow
from meshsim.world.domains import Foreign
from meshsim.world.endpoints import MALFORMED, Documents, Endpoint, Published, Vouching
from meshsim.world.foreign_denials import ForeignDenials
from meshsim.world.parcels import Parcel, Parcels
from meshsim.world.pushing import Pushing
from meshsim.world.reach import one_way_ns
from meshsim.world.relationship import NO_ANSWER, Relationship

if TYPE_CHECKING:
    from random import Random

    from meshsim.sidecar.tls.operations import Operations
    from meshsim.world.domains import Domains
    from meshsim.world.hosts import Host, Machine
    from meshsim.world.state import State

TIMEOUT_NS = 10_000_000_000
"""How long who fetches waits for an answer, at most until the next fetch is due."""
NO_WAY = "no way to the bundle endpoint"
DOWN = "the bundle endpoint is down"
AWAY = "the node that fetches is down"


Fetch = tuple[Relationship, int]
"""A relationship, and which fetch of it."""


class Federating:
    """Fetches bundles, and pushes what is new to proxies."""

    blame: Callable[[str, str, int], None]
    """Told of the node that fetched in vain, of the endpoint's, and since when: a fault may be why."""

    def __init__(self, state: State, domains: Domains, heard: Callable[[Host, Foreign], bool]) -> None:
        scenario = state.scenario
        mesh, federation = scenario.mesh, scenario.mesh.federation
        assert federation is not None
        self._state = state
        self._clock = state.clock
        self._domains = domains
        self.pushing = Pushing(
            state,
            "federation",
            lambda host: domains.nodes[domains.of(host).trust_domain],
            domains.foreign,
            lambda told: trust_size_bytes(told.bundles, domains.by_id, "", told.sequence),
            heard,
        )
        """From each trust domain's control plane on."""
        self._stale_after, self._keeps = federation.stale_after_polls, federation.when_stale == "keep"
        self.endpoints: dict[str, Endpoint] = {}
        """By trust domain."""
        for name, authorities in domains.all.items():
            settings = mesh.endpoint_of(name)
            signers = () if state.tokens is None else state.tokens.signers(name)
            self.endpoints[name] = Endpoint(authorities, settings, settings.node or domains.nodes[name], signers)
        self._relationships = [
            Relationship(name, of, domains.nodes[name], self.endpoints[of], self.endpoints[of].published())
            for name in domains.all
            for of in mesh.trusted_by(name)
        ]
        self.denials = ForeignDenials(state, domains, self._relationships, self._push)
        """Brings word of revoked certificates from one trust domain to another."""
        oracle = None
        if scenario.fidelity != "modelled":
            from meshsim.sidecar.tls.oracle import Oracle  # loads OpenSSL, which fidelity modelled never does

            oracle = Oracle(domains.by_id)
        self._documents = Documents(domains.by_id, real=scenario.fidelity != "modelled")
        self._vouching = Vouching(oracle, every_time=state.real)
        self._parcels = Parcels(state)
        self._polls = federation.polls
        self._randoms: dict[tuple[str, str], Random] = {}
        self._record = state.recorder.appender("bundles")
        for relationship in self._relationships:
            self._tell(relationship.trust_domain)

    def begin(self) -> None:
        """Fetch everything for the first time."""
        for endpoint in self.endpoints.values():
            self._renew(endpoint)
        for relationship in self._relationships:
            self._clock.at(self._clock.now_ns, self._fetch, relationship)

    def _renew(self, endpoint: Endpoint) -> None:
        after_ns = endpoint.renew()
        if after_ns is not None and self._clock.now_ns + after_ns < self._state.scenario.duration_ns:
            self._clock.at(self._clock.now_ns + after_ns, self._renew, endpoint)

    # Fetching

    def _fetch(self, relationship: Relationship) -> None:
        now_ns, every_ns = self._clock.now_ns, self._refresh_ns(relationship)
        if self._state.over or now_ns >= self._state.scenario.duration_ns:
            return
        self._clock.at(now_ns + every_ns, self._fetch, relationship)
        relationship.fetches += 1
        relationship.open, relationship.why, relationship.started_ns = True, NO_ANSWER, now_ns
        relationship.size_bytes = 0
        fetch = relationship, relationship.fetches
        self._clock.at(now_ns + min(TIMEOUT_NS, every_ns - 1), self._timed_out, fetch)
        machine = self._state.machines[relationship.node]
        if not machine.up:
            relationship.why = AWAY
        else:
            client, _ = connection_operations(None, relationship.endpoint.key_type)
            self._clock.at(self._work(machine, client), self._ask, fetch)

    def _refresh_ns(self, relationship: Relationship) -> int:
        hint_s = relationship.held.refresh_hint_s
        every_ns = DEFAULT_REFRESH_NS if hint_s is None else hint_s * 1_000_000_000 // self._polls.per_hint
        if not self._polls.jitter_ppm:
            return every_ns
        names = relationship.trust_domain, relationship.of
        random = self._randoms.get(names)
        if random is None:
            random = self._randoms[names] = self._state.streams.stream("bundle-fetch", *names)
        return every_ns + int(every_ns * self._polls.jitter_ppm * (2 * random.random() - 1)) // PPM

    def _ask(self, fetch: Fetch) -> None:
        relationship, _ = fetch
        node, goal = relationship.node, relationship.endpoint.node
        way_ns = one_way_ns(self._state, node, goal)
        if way_ns is None:
            if self._state.topology.route(node, goal) is None:
                relationship.why = NO_WAY
            return
        self._clock.at(self._clock.now_ns + way_ns * (2 * SETUP_ROUND_TRIPS + 1), self._arrived, fetch)

    def _arrived(self, fetch: Fetch) -> None:
        relationship, _ = fetch
        endpoint = relationship.endpoint
        machine = self._state.machines[endpoint.node]
        if not machine.up:
            return  # nobody is there to say so
        if not endpoint.answers():
            self._answer(fetch, DOWN, None, 0)
            return
        flaw = None
        if endpoint.profile == "https_spiffe":
            flaw = self._flaw(relationship, machine)
        _, server = connection_operations(None, endpoint.key_type)
        done_ns = self._work(machine, server)
        if flaw is not None:
            self._clock.at(done_ns, lambda _: self._answer(fetch, f"bundle endpoint: {flaw}", None, 0))
            return
        published = endpoint.serve()
        size_bytes = self._documents.size_bytes(published, endpoint.signers)
        self._clock.at(
            done_ns, lambda _: self._answer(fetch, MALFORMED if published is None else "", published, size_bytes)
        )

    def _flaw(self, relationship: Relationship, machine: Machine) -> str | None:
        """Return why the endpoint's certificate is refused: it is judged by the bundle that was fetched last."""
        state, held = self._state, relationship.held
        epoch_ns = state.scenario.epoch_ns + self._clock.now_ns
        bundles = {relationship.of: TrustBundle(relationship.of, held.authorities)}
        client_ns = epoch_ns + state.machines[relationship.node].skew_ns
        return self._vouching.flaw(relationship.endpoint, bundles, client_ns, epoch_ns + machine.skew_ns)

    def _answer(self, fetch: Fetch, flaw: str, published: Published | None, size_bytes: int) -> None:
        """Send an answer, with a document of so many bytes if there is one."""
        relationship, number = fetch
        node, goal = relationship.endpoint.node, relationship.node
        if size_bytes:
            self._parcels.send(
                Parcel(
                    node,
                    goal,
                    size_bytes,
                    lambda: relationship.open and relationship.fetches == number,
                    lambda: self._came((fetch, flaw, published, size_bytes)),
                )
            )
            return
        way_ns = one_way_ns(self._state, node, goal)
        if way_ns is not None:
            self._clock.at(self._clock.now_ns + way_ns, self._came, (fetch, flaw, published, 0))

    def _came(self, answer: tuple[Fetch, str, Published | None, int]) -> None:
        (relationship, number), flaw, published, size_bytes = answer
        if not relationship.open or relationship.fetches != number:
            return
        if not self._state.machines[relationship.node].up:
            relationship.why = AWAY
            return
        relationship.open = False
        relationship.size_bytes = size_bytes
        if published is None:
            self._missed(relationship, "failed" if flaw == DOWN else "refused", flaw)
        else:
            self._judge(relationship, published)

    def _timed_out(self, fetch: Fetch) -> None:
        relationship, number = fetch
        if relationship.open and relationship.fetches == number:
            relationship.open = False
            self.blame(relationship.node, relationship.endpoint.node, relationship.started_ns)
            self._missed(relationship, "failed", relationship.why)

    # Believing

    def _judge(self, relationship: Relationship, published: Published) -> None:
        held = relationship.held
        if published.sequence is not None and held.sequence is not None and published.sequence < held.sequence:
            older = f"sequence {published.sequence} is older than {held.sequence}"
            self._missed(relationship, "refused", older)
            return
        relationship.missed, was_stale = 0, relationship.stale
        relationship.stale = False
        if published == held:
            self._write(relationship, "unchanged")
        else:
            relationship.held = published
            self._write(relationship, "taken")
        if published.authorities != held.authorities or (was_stale and not self._keeps):
            self._publish(relationship)

    def _missed(self, relationship: Relationship, event: str, reason: str) -> None:
        relationship.missed += 1
        self._write(relationship, event, reason)
        if relationship.missed == self._stale_after:
            relationship.stale = True
            missed = "a fetch has" if self._stale_after == 1 else f"{self._stale_after} fetches in a row have"
            self._write(relationship, "stale", f"{missed} brought nothing")
            if not self._keeps:
                self._publish(relationship)

    def _bundle(self, relationship: Relationship) -> TrustBundle:
        refused = relationship.stale and not self._keeps
        authorities = frozenset() if refused else relationship.held.authorities
        return TrustBundle(relationship.of, authorities, relationship.denied)

    # Telling proxies

    def _tell(self, trust_domain: str) -> Foreign:
        """Put together what a trust domain's workloads are told from now on."""
        before = self._domains.told.get(trust_domain)
        bundles = tuple(self._bundle(one) for one in self._relationships if one.trust_domain == trust_domain)
        told = self._domains.told[trust_domain] = Foreign(1 if before is None else before.sequence + 1, bundles)
        return told

    def _publish(self, relationship: Relationship) -> None:
        number = "" if relationship.held.sequence is None else f", sequence {relationship.held.sequence}"
        news = f"federated bundle: {relationship.of}{number}{', stale' if relationship.stale else ''}"
        self._push(relationship, news)

    def _push(self, relationship: Relationship, news: str) -> None:
        told = self._tell(relationship.trust_domain)
        for host in self._state.hosts():
            if host.configured and self._domains.foreign(host) is told:
                self.pushing.send(host, told, news)

    # Rows

    def _write(self, relationship: Relationship, event: str, reason: str = "") -> None:
        self._record(
            BundleRow(
                t_ns=self._clock.now_ns,
                t_start_ns=relationship.started_ns,
                trust_domain=relationship.trust_domain,
                of_trust_domain=relationship.of,
                event=event,
                sequence=relationship.held.sequence or 0,
                authorities=len(self._bundle(relationship).authorities),
                lag_ns=self._clock.now_ns - relationship.held.since_ns if event == "taken" else 0,
                reason=reason,
                size_bytes=0 if event == "stale" else relationship.size_bytes,
            )
        )

    def _work(self, machine: Machine, operations: Operations) -> int:
        """Have a machine do some work, with a message in and one out; return when it is done."""
        costs = machine.costs
        work_ns = 2 * costs.tcp_message_ns + sum(costs.operations[name] * times for name, times in operations)
        return machine.cores.submit(self._clock.now_ns, work_ns) + work_ns
