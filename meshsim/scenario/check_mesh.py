"""Checks of services, TLS and resilience."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario import units
from meshsim.scenario.call_graph import calls_of
from meshsim.scenario.cost_profile import CostProfile
from meshsim.scenario.findings import Finding
from meshsim.scenario.headers import check_handed_on, check_headers
from meshsim.scenario.model import Scenario
from meshsim.scenario.network import Node
from meshsim.scenario.ports import HTTP
from meshsim.scenario.positions import Path
from meshsim.scenario.services import Service
from meshsim.scenario.traffic import Fleet, Traffic
from meshsim.scenario.variants import spiffe_ids
from meshsim.scenario.words import expected, show


def check_names(scenario: Scenario) -> Iterator[Finding]:
    """Names that two things share though tables and identities tell them apart by name."""
    for name in scenario.fleets:
        if name in scenario.services:
            message = f"{name!r} is a service too; expected fleets and services to have different names"
            yield Finding(("fleets", name), message, at_key=True)
    seen: dict[str, int] = {}
    for index, flow in enumerate(scenario.traffic):
        if seen.setdefault(flow.key, index) != index:
            right = "another name" if flow.name else "a 'name' for each flow of the fleet"
            path: Path = ("traffic", index, "name" if flow.name else "from")
            yield Finding(path, f"a second flow is called {flow.key!r}; expected {right}")
    given: dict[str, int] = {}
    for index, fault in enumerate(scenario.faults):
        if fault.name and given.setdefault(fault.name, index) != index:
            yield Finding(("faults", index, "name"), f"a second fault is called {fault.name!r}; expected another name")
    for name in scenario.phases:
        if name in scenario.fault_names():
            message = f"{name!r} is a fault too; expected phases and faults to have different names"
            yield Finding(("phases", name), message, at_key=True)


def check_ports(scenario: Scenario) -> Iterator[Finding]:
    """Calls and flows to ports that a service does not have."""
    uses: list[tuple[Path, str, int | None]] = [
        (("traffic", index, "port"), flow.to, flow.port) for index, flow in enumerate(scenario.traffic)
    ]
    for name in scenario.services:
        uses += [(("services", name, *below, "port"), call.to, call.port) for below, call in calls_of(scenario, name)]
    for path, to, port in uses:
        service = scenario.services.get(to)
        if port is not None and service is not None and port not in service.protocols:
            message = f"{to!r} has no port {port}; {expected(port, list(service.ports))}"
            yield Finding(path, message, involved=(("services", to),))
    for name, service in scenario.services.items():
        yield from _check_listeners(name, service)
        yield from _check_versions(name, service)


def _check_listeners(name: str, service: Service) -> Iterator[Finding]:
    """Ports that lead to one listener, which can speak in one way alone."""
    first: dict[int, str] = {}
    for number, port in service.ports.items():
        target = service.target_port(int(number))
        other = first.setdefault(target, number)
        listener = service.ports[other]
        kinds = {one.protocol in HTTP for one in (listener, port)}
        differ = "protocols" if len(kinds) > 1 else "tls" if listener.tls != port.tls else ""
        if differ:
            message = (
                f"ports {other} and {number} lead to one listener, {target}, and differ in their {differ}; "
                "expected the same of both"
            )
            yield Finding(("services", name, "ports", number), message, at_key=True)


def _check_versions(name: str, service: Service) -> Iterator[Finding]:
    """Modes of ports of versions: of ports that are there, and of one listener the same."""
    for key, version in service.versions.items():
        modes: dict[int, str] = {}
        for number, mode in version.tls.ports.items() if version.tls is not None else ():
            at = ("services", name, "versions", key, "tls", "ports", number)
            if number not in service.ports:
                yield Finding(
                    at, f"{name!r} has no port {number}; {expected(number, list(service.ports))}", at_key=True
                )
            elif modes.setdefault(service.target_port(int(number)), mode) != mode:
                message = f"another port leads to the same listener, {service.target_port(int(number))}"
                yield Finding(at, f"{message}, and has another mode; expected the same of both", at_key=True)


def check_service_accounts(scenario: Scenario) -> Iterator[Finding]:
    """Services that share an identity though policies tell them apart by name."""
    if scenario.mesh.policy is None or scenario.mesh.policy.engine != "cedar":
        return
    seen: dict[str, str] = {}
    for name, service in scenario.services.items():
        taken = [seen.setdefault(one, name) for one in spiffe_ids(name, service, scenario.mesh.trust_domain_of(name))]
        first = next((other for other in taken if other != name), None)
        if first is not None:
            message = (
                f"{name!r} has the service account of {first!r}, and Cedar policies tell services apart by it; "
                "expected one for each"
            )
            path: Path = ("services", name, "service_account")
            yield Finding(path, message, involved=(("services", first),))


def check_cpus(scenario: Scenario, profile: CostProfile) -> Iterator[Finding]:
    """CPUs and engines that the cost profile does not know, crypto that CPUs have not, devices' CPUs where none is."""
    cpus = profile.cpus
    policy = scenario.mesh.policy
    priced = next(iter(cpus.values())).policy_points
    if policy is not None and policy.engine not in priced:
        message = f"the cost profile has no decisions of {show(policy.engine)}; {expected(policy.engine, list(priced))}"
        yield Finding(("mesh", "policy", "engine"), message, alone=True)
    uses: list[tuple[Path, Node | Fleet]] = [
        (("network", "nodes", name), node) for name, node in scenario.network.nodes.items()
    ]
    uses += [(("fleets", name), fleet) for name, fleet in scenario.fleets.items() if fleet.node is None]
    for path, user in uses:
        cpu = user.cpu
        if cpu not in cpus:
            message = f"the cost profile has no CPU {show(cpu)}; {expected(cpu, list(cpus))}"
            yield Finding((*path, "cpu"), message, alone=True)
        elif user.hardware_crypto and not cpus[cpu].aes_instructions:
            message = f"{cpu!r} has no AES instructions to use; expected no hardware_crypto, or another CPU"
            yield Finding((*path, "hardware_crypto"), message)
        elif user.hardware_crypto is False and cpu not in profile.without_aes:
            message = "the cost profile does not say what AES takes in software; expected its key software_aes"
            yield Finding((*path, "hardware_crypto"), message)
    for name, fleet in scenario.fleets.items():
        for key, default in (("cpu", "cortex-a72"), ("cores", 2), ("hardware_crypto", None)):
            if fleet.node is not None and getattr(fleet, key) != default:
                message = f"a fleet on a node uses the node's {key}; expected no {key!r} here"
                yield Finding(("fleets", name, key), message, at_key=True)


def check_all_headers(scenario: Scenario) -> Iterator[Finding]:
    """Header fields of all requests and calls."""
    for index, flow in enumerate(scenario.traffic):
        http1 = flow.http_version == "1.1"
        yield from check_headers(flow.headers, ("traffic", index, "headers"), http1=http1)
        if http1:
            yield from _check_http1(scenario, flow, ("traffic", index, "http_version"))
        if flow.malformed is not None:
            yield from _check_malformed(scenario, flow, ("traffic", index, "malformed"))
    for name, service in scenario.services.items():
        yield from check_handed_on(service.forward_headers, ("services", name, "forward_headers"))
        for below, call in calls_of(scenario, name):
            yield from check_headers(call.headers, ("services", name, *below, "headers"))


def _check_http1(scenario: Scenario, flow: Traffic, path: Path) -> Iterator[Finding]:
    if flow.malformed is not None:
        yield Finding(path, "malformed requests are in HTTP/1.1 anyway; expected no http_version beside malformed")
    yield from _check_port_http1(scenario, flow, path)


def _check_port_http1(scenario: Scenario, flow: Traffic, path: Path) -> Iterator[Finding]:
    service = scenario.services.get(flow.to)
    protocol = "http" if service is None else service.protocols.get(flow.port or service.first_port, "http")
    if protocol != "http":
        message = f"the port speaks {protocol}; expected one with protocol http, for these are requests in HTTP/1.1"
        yield Finding(path, message, involved=((*path[:-1], "port"),))


def _check_malformed(scenario: Scenario, flow: Traffic, path: Path) -> Iterator[Finding]:
    service = scenario.services.get(flow.to)
    if service is None:
        return
    yield from _check_port_http1(scenario, flow, path)
    if flow.headers:
        yield Finding(path, "a malformed request carries no fields of its own; expected no headers beside it")
    if flow.token != "own":
        yield Finding(path, "a malformed request carries no token; expected no token beside it")


def check_resilience(scenario: Scenario) -> Iterator[Finding]:
    """Settings that could never take effect."""
    resilience = scenario.mesh.resilience
    attempt_ns = resilience.attempt_timeout_ns
    if attempt_ns is not None and attempt_ns > resilience.request_timeout_ns:
        message = (
            f"an attempt may take {units.format_duration(attempt_ns)}, all together "
            f"{units.format_duration(resilience.request_timeout_ns)}; expected attempt_timeout to be at most that"
        )
        rival = ("mesh", "resilience", "request_timeout")
        yield Finding(("mesh", "resilience", "attempt_timeout"), message, rivals=(rival,))
    seen: set[str] = set()
    for name, place in scenario.mesh.policy.named_files() if scenario.mesh.policy is not None else ():
        if name in seen:
            yield Finding(("mesh", "policy", *place), f"{name!r} is listed twice; expected each file once")
        seen.add(name)
