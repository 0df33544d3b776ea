"""What is asked about: an engine, who may call, and what may be called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from meshsim.experiment import load
from meshsim.identity.token_check import Keys, TokenRules, no_keys
from meshsim.inquiry.declared import audiences_of, authorities_of, issuers_of
from meshsim.inquiry.ends import Door, End, door_of, end_of, plaintext_of
from meshsim.inquiry.odd import odd_in
from meshsim.policy.engine import PolicyEngine, PolicyFile
from meshsim.policy.istio import IstioEngine
from meshsim.policy.mistakes import with_policies
from meshsim.scenario.errors import UsageError
from meshsim.scenario.manifests.starter import load_manifests
from meshsim.scenario.placed_waypoints import Ways
from meshsim.scenario.policy_sources import RefusedScenario
from meshsim.scenario.proxies import waypoints_of
from meshsim.scenario.tls import tls_of
from meshsim.scenario.variants import spiffe_id, variants, version_tls
from meshsim.telemetry.recorder import Recorder
from meshsim.world.hosts import Device, Replica
from meshsim.world.templates import header_rules
from meshsim.world.world import World

if TYPE_CHECKING:
    from meshsim.scenario.loader import LoadedScenario
    from meshsim.scenario.model import Scenario
    from meshsim.scenario.tls import PortTls
    from meshsim.sidecar.received import HeaderRules
    from meshsim.world.hosts import Host


class Caller(msgspec.Struct, frozen=True):
    """A workload that may call: the replicas of a service that share an identity, or one device."""

    name: str
    """As people write it: a service, or a device of a fleet (``cars/0``)."""
    workload: str
    """The service or fleet; empty for an identity from elsewhere."""
    spiffe_id: str
    """What it proves; empty if it proves nothing."""
    namespace: str = ""
    site: str = ""
    """Site of the first replica, or of the device at the start."""
    node: str = ""
    address: str = ""
    slices: tuple[str, ...] = ()
    """Slices in which it sends: a device those of its flows, a service all."""
    authorities: Mapping[str, str] = {}
    """Authority of what it sends, by the service that it calls; those that are the service's name are left out."""
    in_mesh: bool = False
    """Whether it is a service of the mesh; else it is believed less: a device, or a stranger."""
    proxy: str = ""
    """What kind of proxy it has: sidecar or ztunnel; empty for a stranger."""
    end: End | None = None
    """How it speaks TLS; None for a stranger, who would speak it as any port likes."""
    carried_to: frozenset[str] = frozenset()
    """Services that its ztunnel carries connections to, whatever proxies that read HTTP are told of those services."""
    unanswered: frozenset[tuple[str, int]] = frozenset()
    """Services and ports where it hears of a connection that is closed as that, and no proxy makes an answer of it."""


class TokenCheck(msgspec.Struct, frozen=True):
    """Which tokens a service accepts by its own ``request_authentication``."""

    issuers: tuple[str, ...]
    """What their claim ``iss`` says."""
    audiences: tuple[str, ...]
    """One of these must be in ``aud``; empty: any will do."""
    required: bool
    binding: str = "ignored"
    """Whether it has to be bound to the caller's certificate: ignored, checked or required."""


class Callee(msgspec.Struct, frozen=True):
    """A service that may be called, or one of its versions."""

    name: str
    """The service; with its version behind a colon, of one."""
    service: str
    namespace: str
    ports: Mapping[int, str]
    """Protocol by port, the first one first."""
    targets: Mapping[int, int]
    """The port that replicas listen on, by port: what policies see."""
    modes: Mapping[int, str]
    """How each port takes mutual TLS: STRICT, PERMISSIVE or DISABLE."""
    spiffe_id: str
    """What its first replica proves."""
    ends: Mapping[int, End]
    """How each port speaks TLS."""
    plaintext: Mapping[str, Mapping[int, bool | None]]
    """By the callers' namespace, those of the empty one for all that are not named: whether they are told to speak
    plaintext to a port, or TLS; None: each goes by its own mode."""
    node: str = ""
    addresses: tuple[str, ...] = ("",)
    """Of its replicas; questions have the first one's."""
    token_rules: TokenRules | None = None
    """Which tokens its sidecars accept; None if they look at none."""
    token_keys: Keys = no_keys
    """Keys of token issuers in the bundles that they begin with."""
    version: str = ""
    versions: tuple[Callee, ...] = ()
    """Of a service: its versions, if it has any."""
    waypoint: bool = False
    """Whether some waypoint serves it, with a place or without."""
    door: Door | None = None
    """The waypoint with a place through which requests come; None if there is none."""
    token_check: TokenCheck | None = None
    """None: no ``request_authentication``; Istio's policies may still have tokens checked."""


class Subject(msgspec.Struct, frozen=True):
    """An engine with its policies, and the names around it."""

    name: str
    """Where it came from, for people."""
    engine: PolicyEngine | None
    """None: there is no policy, and every call that mutual TLS admits is allowed."""
    files: tuple[PolicyFile, ...]
    rebuild: Callable[[Sequence[PolicyFile]], PolicyEngine] | None
    """Makes the same engine with the same settings of other files; None if there is no policy."""
    callers: tuple[Caller, ...]
    callees: tuple[Callee, ...]
    slices: tuple[str, ...]
    sites: tuple[str, ...]
    nodes: tuple[str, ...]
    trust_domain: str
    epoch_s: int
    """Where simulated time begins, in seconds since the Unix epoch."""
    issuers: tuple[str, ...] = ()
    """What the tokens of the mesh's issuers say in ``iss``."""
    audiences: tuple[str, ...] = ()
    """Audiences that tokens are made for, or accepted for."""
    header_rules: HeaderRules | None = None
    """What sidecars do with header fields (``mesh.http``); None: nothing."""
    token_rules_by: Callable[[PolicyEngine, str, str], TokenRules | None] | None = None
    """Which tokens a service, or a version of it, accepts by an engine where it says nothing itself."""
    waypoints: Mapping[str, str] = {}
    """SPIFFE IDs of the waypoints that serve some service, and their names; these are callers like no others."""
    scenario: Scenario | None = None
    """All that was said, of which no more is asked about than the above."""
    warnings: tuple[str, ...] = ()
    """What answers do not rest on though it was found, and what may be meant otherwise than it is written."""


class _Nowhere:
    """Takes the rows of a world that never runs."""

    def write(self, table: str, rows: list[msgspec.Struct]) -> None:
        """Forget one batch."""


def subject_of_scenario(path: Path, settings: Sequence[str] = ()) -> Subject:
    """Read a scenario with its policies; raises ScenarioError with every mistake in them."""
    return subject_of(load(path, None, None, list(settings)), str(path))


def subject_of_manifests(path: Path, settings: Sequence[str] = ()) -> Subject:
    """Read a folder of Kubernetes and Istio manifests, or one file of them.

    Nodes, slices and users, of which manifests say nothing, have no names here. Raises UsageError if there is nothing
    to read, and ScenarioError with every mistake in the manifests.
    """
    try:
        loaded = load_manifests(path, settings)
    except RefusedScenario as error:
        raise with_policies(error, path if path.is_dir() else path.parent) from None
    subject = subject_of(loaded, str(path))
    return msgspec.structs.replace(
        subject,
        callers=tuple(
            msgspec.structs.replace(caller, site="", node="", slices=())
            for caller in subject.callers
            if caller.namespace
        ),
        callees=tuple(msgspec.structs.replace(callee, node="") for callee in subject.callees),
        slices=("",),
        sites=("",),
        nodes=("",),
    )


def subject_of(loaded: LoadedScenario, name: str) -> Subject:
    """What is asked about in a loaded scenario; raises ScenarioError with every mistake in its policies."""
    scenario = loaded.scenario
    world = World(loaded, Recorder(_Nowhere()))
    hosts = world.hosts
    return Subject(
        name=name,
        engine=world.policy_engine,
        rebuild=None if world.policy_engine is None else world.engine_with,
        files=tuple(PolicyFile(file, text, str(loaded.base_dir / file)) for file, text in loaded.policies),
        callers=tuple(_callers(scenario, world, hosts)),
        callees=tuple(_callee(scenario, world, hosts, service) for service in scenario.services),
        slices=tuple(scenario.network.slices),
        sites=tuple(dict.fromkeys(node.site or key for key, node in scenario.network.nodes.items())),
        nodes=tuple(scenario.network.nodes),
        trust_domain=scenario.mesh.trust_domain,
        epoch_s=scenario.epoch_ns // 1_000_000_000,
        issuers=tuple(issuers_of(scenario).values()),
        audiences=audiences_of(scenario),
        header_rules=header_rules(scenario),
        token_rules_by=world.token_rules_by,
        waypoints={
            f"spiffe://{scenario.mesh.trust_domain}/ns/{name.replace('/', '/sa/')}": name
            for name in waypoints_of(scenario.services).values()
        },
        scenario=scenario,
        warnings=(*loaded.aside, *odd_in(loaded)),
    )


def _token_check(scenario: Scenario, service: str) -> TokenCheck | None:
    check = scenario.services[service].request_authentication
    if check is None:
        return None
    issuers = issuers_of(scenario)
    return TokenCheck(tuple(issuers[name] for name in check.issuers), check.audiences, check.required, check.binding)


def _callers(scenario: Scenario, world: World, hosts: list[Host]) -> list[Caller]:
    found: dict[tuple[str, str], Caller] = {}
    ways = Ways(scenario)
    for host in hosts:
        if (host.workload, host.spiffe_id) in found:
            continue
        device = isinstance(host, Device)
        sends = {flow.slice: None for flow in scenario.traffic if flow.source == host.workload}
        taken = any(caller.name == host.workload for caller in found.values())
        account = host.spiffe_id.rpartition("/")[2]
        found[host.workload, host.spiffe_id] = Caller(
            name=host.name if device else f"{host.workload}:{account}" if taken else host.workload,
            workload=host.workload,
            spiffe_id=host.spiffe_id,
            namespace="" if device else scenario.services[host.workload].namespace,
            site=host.site,
            node=host.node,
            address=world.address_of(host),
            slices=tuple(sends) if device else tuple(scenario.network.slices),
            authorities=authorities_of(scenario, host.workload),
            in_mesh=not device,
            proxy=ways.proxy_of(host.workload),
            carried_to=frozenset(name for name in scenario.mesh.destinations if ways.is_carried(host.workload, name)),
            unanswered=frozenset(
                (name, port)
                for name, service in scenario.services.items()
                for port in service.protocols
                if ways.is_closed(host.workload, name, port)
            ),
            end=end_of(
                scenario,
                host.workload,
                tls_of(scenario.mesh.tls, scenario.mesh.domain_tls(host.workload), *_own_tls(scenario, host)),
            ),
        )
    return list(found.values())


def _own_tls(scenario: Scenario, host: Host) -> tuple[PortTls | None, ...]:
    return (
        version_tls(host.service, host.version) if isinstance(host, Replica) else (scenario.fleets[host.workload].tls,)
    )


def _callee(scenario: Scenario, world: World, hosts: list[Host], name: str, version: str = "") -> Callee:
    service = scenario.services[name]
    own = tls_of(scenario.mesh.tls, scenario.mesh.domain_tls(name))
    ports = {number: tls_of(own, *version_tls(service, version, number)) for number in service.protocols}
    of_service = (host for host in hosts if isinstance(host, Replica) and host.workload == name)
    replicas = [replica for replica in of_service if version in ("", replica.version)]
    replica = replicas[0] if replicas else None
    variant = next(one for one in variants(name, service) if version in ("", one.version))
    said = scenario.mesh.destinations.get(name)
    told = ["", *(() if said is None else said.callers_in)]
    parts = [] if version else [_callee(scenario, world, hosts, name, one) for one in service.versions]
    return Callee(
        name=f"{name}:{version}" if version else name,
        service=name,
        namespace=service.namespace,
        ports=service.protocols,
        targets={number: service.target_port(number) for number in ports},
        modes={number: tls.mode for number, tls in ports.items()},
        spiffe_id=spiffe_id(service, variant, scenario.mesh.trust_domain_of(name)),
        ends={number: end_of(scenario, name, tls) for number, tls in ports.items()},
        plaintext={one: plaintext_of(scenario, name, list(ports), one, version) for one in told},
        node="" if replica is None else replica.node,
        addresses=tuple(map(world.address_of, replicas)) or ("",),
        token_rules=None if replica is None else world.token_rules_of(replica),
        token_keys=no_keys if replica is None else world.token_keys_of(replica),
        version=version,
        versions=tuple(parts),
        token_check=_token_check(scenario, name),
        waypoint=service.waypoint is not None,
        door=door_of(scenario, name, world.past_waypoint_of),
    )


def with_engine(subject: Subject, name: str, engine: PolicyEngine, files: Sequence[PolicyFile]) -> Subject:
    """The same names around other policies."""
    return msgspec.structs.replace(subject, name=name, engine=engine, files=tuple(files))


def versioned(subject: Subject) -> frozenset[str]:
    """Services whose versions policies tell apart, or which take TLS in different ways."""
    apart = subject.engine.versioned if isinstance(subject.engine, IstioEngine) else frozenset[str]()
    return apart | {one.service for one in subject.callees if any(_differs(one, part) for part in one.versions)}


def _differs(callee: Callee, version: Callee) -> bool:
    return (callee.modes, callee.ends, callee.plaintext) != (version.modes, version.ends, version.plaintext)


def unenforced_by(subject: Subject) -> tuple[str, ...]:
    """What stands in its policies, and nobody enforces."""
    return subject.engine.unenforced() if isinstance(subject.engine, IstioEngine) else ()


def split(callees: Sequence[Callee], services: frozenset[str]) -> list[Callee]:
    """The versions of these services in place of them, and the others as they are."""
    return [part for one in callees for part in (one.versions or (one,) if one.service in services else (one,))]


def needs_policy(subject: Subject) -> PolicyEngine:
    """The engine; raises UsageError if there is none."""
    if subject.engine is None:
        raise UsageError(f"{subject.name} has no policies; expected mesh.policy with its files")
    return subject.engine
