"""One run: a scenario assembled, set going, and closed with its accounts in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from meshsim.collector import rare_collections
from meshsim.control.discovery import Discovery
from meshsim.faults.kinds import plan_faults
from meshsim.network.tcp_parameters import tcp_parameters
from meshsim.policy.engine import PolicyFile
from meshsim.scenario.check_changes import settings_over_time
from meshsim.scenario.placed_waypoints import with_waypoints
from meshsim.sidecar import events
from meshsim.world import build
from meshsim.world.addresses import Addresses
from meshsim.world.announcing import Announcing
from meshsim.world.answering import reads_addresses
from meshsim.world.authorizers import authorizers_of
from meshsim.world.beginning import begin_traffic
from meshsim.world.blaming import Effects
from meshsim.world.build_devices import build_devices
from meshsim.world.bundles import Bundles
from meshsim.world.comparison import HandshakeSampler
from meshsim.world.connections import Connections
from meshsim.world.directory import directory_of, engine_of
from meshsim.world.domains import Domains
from meshsim.world.driver import Driver
from meshsim.world.federating import Federating
from meshsim.world.handshakes import Handshakes
from meshsim.world.hosts import Replica
from meshsim.world.identities import Identities
from meshsim.world.identity_faults import IdentityFaults
from meshsim.world.issuers import Issuers
from meshsim.world.killing import Killing
from meshsim.world.laws import close_accounts
from meshsim.world.meters import Meters
from meshsim.world.migration import Migration
from meshsim.world.progress import Progress, watch
from meshsim.world.revoking import Revoking
from meshsim.world.rollout import Rollout
from meshsim.world.rollout_plan import contents_of, policies_of
from meshsim.world.state import State
from meshsim.world.striking import Striking
from meshsim.world.templates import Templates
from meshsim.world.tls_terms import tls_settings
from meshsim.world.token_rules import past_waypoint
from meshsim.world.tokens import Tokens
from meshsim.world.transport import Transport
from meshsim.world.waypoints import SendingOn, Waypoints, set_cores, set_proxy_costs
from meshsim.world.workload import Workloads

if TYPE_CHECKING:
    from meshsim.identity.token_check import Keys, TokenRules
    from meshsim.policy.engine import PolicyEngine
    from meshsim.scenario.loader import LoadedScenario
    from meshsim.sidecar.tls.openssl import Engines
    from meshsim.sidecar.tls.settings import TlsSettings
    from meshsim.telemetry.recorder import Recorder
    from meshsim.world.hosts import Host


class Outcome(msgspec.Struct, frozen=True):
    """What a run says beside its tables."""

    effects: tuple[Effects, ...]
    """Of each fault, in the scenario's order."""
    compared_handshakes: int
    """Handshakes that OpenSSL was asked about (sampled), outside the digest."""


class World:
    """A scenario, ready to run once."""

    @rare_collections()
    def __init__(self, loaded: LoadedScenario, recorder: Recorder) -> None:
        self._loaded = loaded
        scenario = with_waypoints(loaded.scenario)
        self._state = state = State(scenario, recorder)
        state.waypoints = Waypoints.of(state)
        build.build_network(state, loaded)
        placement = build.build_replicas(state)
        build_devices(state, loaded)
        set_proxy_costs(state)
        set_cores(state)
        self._domains = domains = Domains(state, self._control_node())
        self._identities = identities = Identities(state, domains)
        state.policy = policy = policies_of(state, loaded)
        read = policy is not None and not policy.reads.isdisjoint(("source_ip", "destination_ip"))
        if read or reads_addresses(scenario):
            state.addresses = Addresses(state)
        if scenario.mesh.tokens is not None or (policy is not None and policy.engine.name == "istio"):
            state.tokens = Tokens(state, scenario.mesh.tokens, self._identities)
            state.tokens.fetch_from(domains)
        self._sampler = HandshakeSampler(domains.by_id) if scenario.fidelity == "sampled" else None
        self._engines = self._make_engines()
        revocation = scenario.mesh.identity.revocation
        self._settings: dict[str, TlsSettings] = {
            key: tls_settings(each[0][1], revocation) for key, each in settings_over_time(scenario).items()
        }
        """TLS settings of the start."""
        handshakes = Handshakes(state, self._sampler)
        self._driver = driver = Driver(state, handshakes)
        templates = Templates(scenario)
        self._flows = templates.flows
        state.routes = templates.routes()
        self._workloads = Workloads(state, driver, templates, build.budgets_ns(scenario))
        sending_on = SendingOn(state, driver, self._workloads)
        driver.deliver_to(self._workloads, sending_on, waypoints=bool(templates.onward))
        for replica in state.replicas:
            replica.onward = templates.onward.get(replica.workload)
        driver.connections = connections = Connections(state, driver, handshakes)
        state.transport = Transport(state, tcp_parameters(scenario.network.tcp), driver.take_unit)
        state.transport.connections = connections
        self._identities.driver = driver
        asking = [replica for replica in state.replicas if domains.of(replica).identity.at_start == "onboarding"]
        absent = frozenset(replica.endpoint_id for replica in asking)
        self._announcing = Announcing(state, driver, Discovery(placement, absent), self._control_node())
        killing = Killing(state, driver, connections, self._workloads, state.memory, self._restart)
        state.memory.killing = killing
        self._federating = self._spread_bundles()
        self._issuers = state.issuers = identities.issuers = Issuers(state, domains, identities, self._announcing)
        self._rollout = None
        contents = contents_of(state, loaded)
        if scenario.changes:
            self._rollout = driver.deciding.rollout = Rollout(state, identities, domains.nodes, contents)
        self._issuers.configure_by(contents[0][1], self._rollout)
        self._identity_faults = IdentityFaults(self._issuers, domains, identities)
        self._striking = Striking(state, driver, self._announcing, killing, self._issuers, self._identity_faults)
        self._ask_outside()
        self._tell_whom_to_blame()
        self._revoking = self._make_revoking(handshakes)
        self._migration = Migration(state, self._announcing, self._restart)
        self._announcing.on_ready = self._migration.ready
        self._meters = Meters(state)

    def _spread_bundles(self) -> Federating | None:
        """Have each trust domain's bundles reach its own proxies, and others' where domains federate."""
        state, domains, identities = self._state, self._domains, self._identities
        for name, authorities in domains.all.items():
            signs, tells = domains.issuer_nodes[name], domains.nodes[name]
            authorities.bundles = Bundles(state, authorities, signs, tells, identities.hear)
        if state.scenario.mesh.federation is None:
            return None
        return Federating(state, domains, identities.hear_of_others)

    def _tell_whom_to_blame(self) -> None:
        """Have what fails on its way count for the faults that stand there."""
        blaming = self._striking.blaming
        if self._rollout is not None:
            self._rollout.blame = blaming.blame_for_push
        for authorities in self._domains.all.values():
            authorities.bundles.pushing.blame = blaming.blame_for_push
        self._issuers.tell_whom_to_blame(blaming)
        fetching = self._state.token_fetching
        if fetching is not None:
            fetching.blame = blaming.blame_for_token
            fetching.came = lambda host: self._driver.tell(host, events.TokenCame())
            self._identity_faults.fetching = fetching
        if self._federating is not None:
            self._federating.blame = blaming.blame_for_fetch
            self._federating.pushing.blame = blaming.blame_for_push
            self._identity_faults.endpoints = self._federating.endpoints

    def _ask_outside(self) -> None:
        """Have authorizers decide, where the mesh has any."""
        policies, settings = self._state.policy, self._state.scenario.mesh.policy
        if policies is None or settings is None:
            return
        authorizers = self._striking.authorizers = authorizers_of(self._state, settings, policies)
        if authorizers is None:
            return
        self._driver.deciding.outside(authorizers)
        authorizers.blame(self._striking.blaming.blame_for_decision)
        if self._rollout is not None:
            self._rollout.authorizers = authorizers.pushed_to

    def _make_revoking(self, handshakes: Handshakes) -> Revoking | None:
        """Return the register of what is revoked, known to all who mind; None where nothing ever is."""
        scenario = self._state.scenario
        if scenario.mesh.identity.revocation is None and not any(fault.kind == "revoke" for fault in scenario.faults):
            return None
        node = self._domains.issuer_nodes[scenario.mesh.trust_domain]
        revoking = Revoking(self._state, self._domains, self._identities, node)
        revoking.denials = None if self._federating is None else self._federating.denials
        self._identities.revoking = self._identity_faults.revoking = revoking
        handshakes.obeying = revoking.obeying
        self._driver.watched_by(revoking.obeying)
        for part in (revoking.lists, revoking.stapling):
            if part is not None:
                part.fetching.blame = self._striking.blaming.blame_for_push
        return revoking

    def _make_engines(self) -> Engines | None:
        if not self._state.real:
            return None
        from meshsim.sidecar.tls.openssl import Engines  # loads OpenSSL, which other fidelities may never need

        return Engines(self._domains.by_id)

    def _control_node(self) -> str:
        scenario = self._state.scenario
        if scenario.mesh.control.node is not None:
            return scenario.mesh.control.node
        nodes = scenario.network.nodes
        return min(nodes, key=lambda name: build.TIERS.index(nodes[name].kind))

    def _policy_files(self) -> list[PolicyFile]:
        base = self._loaded.base_dir
        return [PolicyFile(name, text, str(base / name)) for name, text in self._loaded.policies]

    # Looking at it without running it

    @property
    def policy_engine(self) -> PolicyEngine | None:
        """The engine that answers at the start of the run; None if the mesh has no policy."""
        return None if self._state.policy is None else self._state.policy.engine

    def engine_with(self, files: Sequence[PolicyFile]) -> PolicyEngine:
        """Return the engine that other policy files make, under the scenario's settings; it must have a policy.

        Raises ScenarioError with every mistake in the files.
        """
        policy = self._state.scenario.mesh.policy
        assert policy is not None
        kept = [file for file in self._policy_files() if file.name not in policy.files]
        return engine_of(self._state, policy, [*files, *kept])

    @property
    def hosts(self) -> list[Host]:
        """Every replica of a service and every device, replicas first."""
        waypoints = self._state.waypoints
        return [host for host in self._state.hosts() if waypoints is None or not waypoints.is_one(host.workload)]

    def address_of(self, host: Host) -> str:
        """Return the address of a host at the start of the run."""
        addresses = self._state.addresses or Addresses(self._state)
        return addresses.of(host)

    def token_rules_of(self, host: Host) -> TokenRules | None:
        """Return which tokens a host accepts at the start of the run; None if it looks at none."""
        return None if self._state.tokens is None else self._state.tokens.rules_at(host, host.workload)

    def token_rules_by(self, engine: PolicyEngine, service: str, version: str) -> TokenRules | None:
        """Return which tokens a service without settings of its own accepts by an engine; None if it looks at none."""
        return None if self._state.tokens is None else self._state.tokens.rules_by(engine, service, version)

    def past_waypoint_of(self, service: str) -> frozenset[str]:
        """Return the SPIFFE IDs of callers that go past the waypoint of a service; the empty one: who proves none."""
        return past_waypoint(service, directory_of(self._state))

    def token_keys_of(self, host: Host) -> Keys:
        """Return what gives the keys of token issuers that a host has in its bundles at the start of the run."""
        domains = self._domains
        bundles = domains.bundles(host, domains.of(host).trust, domains.foreign(host))
        return lambda name: bundles[name].authorities if name in bundles else frozenset()

    # Running

    @rare_collections()
    def run(self, progress: Progress | None = None) -> Outcome:
        """Let everything happen; write the last rows. Raises InvariantViolation when an account does not close."""
        state = self._state
        for host in state.hosts():
            self._start(host)
        self._announcing.begin()
        for authorities in self._domains.all.values():
            authorities.begin()
        if self._federating is not None:
            self._federating.begin()
        if self._revoking is not None:
            self._revoking.begin()
        begin_traffic(state, self._driver, self._workloads, self._flows, self._loaded.arrival_traces)
        self._striking.schedule(plan_faults(state.scenario))
        self._migration.begin()
        if self._rollout is not None:
            self._rollout.begin()
        self._meters.begin()
        if progress is not None:
            watch(state, progress)
        state.clock.run_to_end()
        self._issuers.finish()
        if state.token_fetching is not None:
            state.token_fetching.finish()
        self._meters.finish()
        self._striking.record()
        if self._rollout is not None:
            self._rollout.record()
        if self._revoking is not None:
            self._revoking.obeying.record()
        if state.policy is not None:
            state.policy.confirm()
        state.recorder.flush()
        close_accounts(state)
        compared = self._sampler.compared if self._sampler else 0
        return Outcome(tuple(self._striking.effects), compared)

    def _start(self, host: Host) -> None:
        settings = self._settings[host.settings_key] if self._rollout is None else self._rollout.settings(host)
        if self._rollout is not None:
            self._rollout.give(host)
        build.make_sidecar(self._state, host, self._identities, settings, self._engines)

    def _restart(self, host: Host) -> None:
        """Start a host's sidecar again, with empty memory."""
        self._start(host)
        if self._state.policy is not None:
            self._state.policy.forget(host)
        if host.configured:
            self._announcing.give(host)
        elif isinstance(host, Replica):
            self._announcing.starts(host)
