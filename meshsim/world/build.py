"""From a validated scenario to machines, links, hosts and sidecars that are ready to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.control.routing import resilience_settings
from meshsim.identity.token_check import no_keys
from meshsim.network.delay import delay_sampler
from meshsim.network.impairments import NO_IMPAIRMENTS, Impairments
from meshsim.network.link import LinkDirection
from meshsim.network.loss import GilbertElliottLoss, IndependentStrikes, LossModel
from meshsim.network.medium import SharedMedium, SliceQueue
from meshsim.network.rated_flow import ReserveQueue, reserve_of
from meshsim.network.rated_medium import RatedMedium
from meshsim.network.routing import Topology
from meshsim.network.sliced_link import SlicedLinkDirection
from meshsim.scenario.network import BurstLoss
from meshsim.scenario.slicing import slice_guarantees_ppm, slice_priority
from meshsim.scenario.tls import tls_of
from meshsim.scenario.variants import spiffe_id, variants, version_tls
from meshsim.sidecar.balancer import Balancer
from meshsim.sidecar.endpoint import Endpoint
from meshsim.sidecar.pool_settings import PoolSettings
from meshsim.sidecar.proxy import Sidecar
from meshsim.sidecar.routing import RouteRandoms
from meshsim.sidecar.settings import SidecarSettings
from meshsim.traffic.work import sampler
from meshsim.world.answering import answer_rules
from meshsim.world.hosts import Device, Host, Machine, Records, Replica
from meshsim.world.templates import header_rules
from meshsim.world.tls_terms import tls_settings

if TYPE_CHECKING:
    from random import Random

    from meshsim.scenario.cost_profile import CpuCosts
    from meshsim.scenario.loader import LoadedScenario
    from meshsim.scenario.model import Scenario
    from meshsim.scenario.network import Link
    from meshsim.scenario.variants import Variant
    from meshsim.sidecar.tls.openssl import Engines
    from meshsim.sidecar.tls.settings import TlsSettings
    from meshsim.world.identities import Identities
    from meshsim.world.state import State

TIERS = ("core", "regional", "edge", "gnb", "router")
"""Kinds of node in the order in which the control plane prefers them."""


def budgets_ns(scenario: Scenario) -> dict[str, int]:
    """Return each slice's latency budget: its own, or the packet delay budget of its 5QI."""
    return {
        name: slice_.latency_budget_ns
        if slice_.latency_budget_ns is not None
        else scenario.network.characteristics(slice_.five_qi).packet_delay_budget_ns
        for name, slice_ in scenario.network.slices.items()
    }


def build_network(state: State, loaded: LoadedScenario) -> None:
    """Make machines, links, routes and cells."""
    network = state.scenario.network
    for name, node in network.nodes.items():
        costs = loaded.cost_profile.cpu(node.cpu, hardware_crypto=node.hardware_crypto)
        machine = state.machines[name] = make_machine(
            state, name, node.site or name, node.cores, costs, node.clock_skew_ns
        )
        machine.memory_limit_bytes = node.memory_bytes
    for link in network.links:
        one, other = link.between
        state.links[link.key] = (
            _direction(state, loaded, link, one, other),
            _direction(state, loaded, link, other, one),
        )
    directions = tuple(direction for pair in state.links.values() for direction in pair)
    base_stations = frozenset(name for name, node in network.nodes.items() if node.kind == "gnb")
    state.topology = Topology(tuple(state.machines), directions, base_stations)
    for radio_name, radio in network.radios.items():
        for cell in radio.cells:
            place, interval_ns, isolated = f"{radio_name}/{cell}", radio.scheduling_interval_ns, radio.slicing
            state.cells[radio_name, cell] = (
                _medium(state, place, " up", radio.uplink_bps, interval_ns, isolated=isolated),
                _medium(state, place, " down", radio.downlink_bps, interval_ns, isolated=isolated),
            )


def make_machine(state: State, name: str, site: str, cores: int, costs: CpuCosts, skew_ns: int) -> Machine:
    """Return a node, or the computer in a device."""
    records_ns = state.records_ns.setdefault(costs.name, Records(costs))
    return Machine(name, site, cores, costs, skew_ns, records_ns)


def _direction(state: State, loaded: LoadedScenario, link: Link, source: str, destination: str) -> LinkDirection:
    random = state.streams.stream("link", link.key, source) if link.jitter_ns else None
    impairments = _impairments(state, loaded, link, source)
    facts = (link.latency_ns, link.bandwidth_bps, link.jitter_ns, link.queue_bytes)
    if not link.slicing:
        return LinkDirection(link.key, source, destination, *facts, random, impairments, link.mtu_bytes)
    place = f"{source}->{destination}"
    medium = _medium(state, place, "", link.bandwidth_bps, link.interval_ns, isolated=True)
    return SlicedLinkDirection(link.key, source, destination, *facts, random, medium, impairments, link.mtu_bytes)


def _impairments(state: State, loaded: LoadedScenario, link: Link, source: str) -> Impairments:
    """Return what befalls packets on one direction of a link, each effect with a random stream of its own."""
    if not (link.loss or link.delay or link.reorder_ppm or link.duplicate_ppm or link.corrupt_ppm):
        return NO_IMPAIRMENTS

    def stream(effect: str) -> Random:
        return state.streams.stream(f"link-{effect}", link.key, source)

    def strikes(effect: str, share_ppm: int) -> IndependentStrikes | None:
        return IndependentStrikes(share_ppm / 1_000_000, stream(effect)) if share_ppm else None

    loss: LossModel | None
    if isinstance(link.loss, BurstLoss):
        bursts = link.loss.gilbert_elliott
        loss = GilbertElliottLoss(bursts.average_ppm / 1_000_000, bursts.mean_burst, stream("loss"))
    else:
        loss = strikes("loss", link.loss)
    delay = None
    if link.delay is not None:
        delay = delay_sampler(link.delay, loaded.link_delays.get(link.key), stream("delay"))
    return Impairments(
        loss=loss,
        delay=delay,
        reorder=strikes("reorder", link.reorder_ppm),
        duplicate=strikes("duplicate", link.duplicate_ppm),
        corrupt=strikes("corrupt", link.corrupt_ppm),
    )


def _medium(
    state: State, place: str, way: str, bandwidth_bps: int, interval_ns: int, *, isolated: bool
) -> SharedMedium:
    """Return one direction of a medium with a queue for each slice."""
    slices = state.scenario.network.slices
    guarantees_ppm = slice_guarantees_ppm(state.scenario, bandwidth_bps)
    rated = {flow.slice for flow in state.scenario.traffic if flow.guaranteed is not None}
    queues: dict[str, SliceQueue] = {}
    for name in slices:
        priority = slice_priority(state.scenario.network, slices[name])
        queue = SliceQueue(f"{place}/{name}{way}", guarantees_ppm[name], priority)
        if way and isolated and name in rated:
            queues[reserve_of(name)] = ReserveQueue(f"{place}/{reserve_of(name)}{way}", queue)
        queues[name] = queue
    if len(queues) > len(slices):
        return RatedMedium(bandwidth_bps, queues, interval_ns=interval_ns)
    return SharedMedium(bandwidth_bps, queues, interval_ns=interval_ns, isolated=isolated)


def build_replicas(state: State) -> dict[str, tuple[Endpoint, ...]]:
    """Make the replicas of every service; return the endpoints that the control plane announces."""
    scenario = state.scenario
    placement: dict[str, tuple[Endpoint, ...]] = {}
    for name, service in scenario.services.items():
        kinds = variants(name, service)
        places = [(node, variant) for variant in kinds for node in variant.nodes]
        replicas = [_replica(state, name, number, node, variant) for number, (node, variant) in enumerate(places)]
        for replica in replicas:
            replica.active = True
            state.memory.place(replica)
        placement[name] = tuple(endpoint_of(replica) for replica in replicas)
        if service.follow is not None:
            # Wherever it may go, as many replicas stand ready as there are: none runs before it is moved there.
            spare = [node for node in service.follow.among for _ in places]
            for number, node in enumerate(spare, len(places)):
                _replica(state, name, number, node, kinds[0])
    return placement


def _replica(state: State, name: str, number: int, node: str, variant: Variant) -> Replica:
    service = state.scenario.services[name]
    host_name = f"{name}/{number}"
    replica = Replica(
        host_name,
        name,
        state.machines[node],
        spiffe_id(service, variant, state.scenario.mesh.trust_domain_of(name)),
        len(state.replicas) + 1,
        service,
        variant,
        sampler(variant.work, state.streams.stream("work", host_name)),
        state.streams.stream("calls", host_name),
    )
    mesh = state.scenario.mesh
    replica.key_type = tls_of(mesh.tls, mesh.domain_tls(replica.workload), service.tls).key
    state.replicas.append(replica)
    return replica


def endpoint_of(replica: Replica) -> Endpoint:
    """Return a replica as the control plane announces it."""
    machine = replica.machine
    site, version = machine.site, replica.version
    return Endpoint(replica.endpoint_id, replica.workload, machine.name, site, replica.spiffe_id, version)


def make_sidecar(
    state: State, host: Host, identities: Identities, settings: TlsSettings, engines: Engines | None
) -> None:
    """Start a host's sidecar: the first time, or with empty memory after a crash."""
    mesh = state.scenario.mesh
    balancing = mesh.load_balancing
    topology, tokens = state.topology, state.tokens
    host.starts += 1
    name = host.name if host.starts == 1 else f"{host.name}#{host.starts}"
    routes = state.routes.get((host.workload, host.version if isinstance(host, Replica) else ""), {})
    address = state.addresses.of(host) if state.addresses is not None else ""
    own = SidecarSettings(
        name=host.name,
        workload=host.workload,
        version=host.version if isinstance(host, Replica) else "",
        clock_offset_ns=state.scenario.epoch_ns + host.machine.skew_ns,
        pool=PoolSettings(mesh.pool.streams_per_connection, mesh.pool.max_connections, mesh.pool.idle_timeout_ns),
        resilience=resilience_settings(mesh.resilience),
        pool_per_slice=(isinstance(host, Device) and host.radio is not None) or state.links_sliced,
        policy_asked=state.policy is not None,
        policy_reads=state.policy.reads if state.policy is not None else frozenset(),
        namespace=_namespace(state.scenario, host.workload),
        hands_on=_hands_on(state, host),
        header_rules=header_rules(state.scenario),
        answer_rules=answer_rules(state.scenario, host, address),
        certificate_hash=identities.certificate_hash,
        spiffe_id=host.spiffe_id,
        wallet=None if tokens is None else tokens.wallet(host),
        token_rules=None if tokens is None else tokens.rules(host),
        token_keys=no_keys if tokens is None else tokens.keys(host),
        thumbprint=None if tokens is None else tokens.thumbprint,
        node=host.node,
        address=address,
        ticket_per_service=mesh.pool.session_scope == "service",
        port_tls=_port_settings(state.scenario, host),
        routes=routes,
        cuts_revoked=mesh.identity.revocation is not None and mesh.identity.revocation.live == "cut",
    )
    host.sidecar = Sidecar(
        own if state.waypoints is None else state.waypoints.settings(host, own),
        identities.side(host, settings),
        Balancer(
            balancing.policy,
            locality=balancing.locality,
            distance_ns=topology.latency_ns,
            node=host.node,
            site=host.site,
        ),
        state.streams.stream("backoff", name),
        state.connection_ids,
        engines,
        _route_randoms(state, name) if routes else None,
    )
    host.sidecar.outbound.site, host.sidecar.outbound.node = host.site, host.node


def _hands_on(state: State, host: Host) -> frozenset[str]:
    """Return the names of the fields that a replica puts on its own calls, where tokens may bring or remove some."""
    if state.tokens is None or not isinstance(host, Replica):
        return frozenset()
    return frozenset(name.lower() for name in host.service.forward_headers)


def _namespace(scenario: Scenario, workload: str) -> str:
    return scenario.services[workload].namespace if workload in scenario.services else ""


def _port_settings(scenario: Scenario, host: Host) -> dict[int, TlsSettings]:
    """Return the settings of a replica's listeners that have some of their own, by the port that they are on."""
    if not isinstance(host, Replica):
        return {}
    service, mesh = host.service, scenario.mesh
    found = {}
    for number in map(int, service.ports):
        *whole, of_port, of_versions_port = version_tls(service, host.version, number)
        if of_port is not None or of_versions_port is not None:
            tls = tls_of(mesh.tls, mesh.domain_tls(host.workload), *whole, of_port, of_versions_port)
            found[service.target_port(number)] = tls_settings(tls, mesh.identity.revocation)
    return found


def _route_randoms(state: State, name: str) -> RouteRandoms:
    purposes = ("route-split", "route-delay", "route-abort", "route-balance")
    return RouteRandoms(*(state.streams.stream(purpose, name) for purpose in purposes))
