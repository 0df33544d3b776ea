"""The text of a scenario around manifests, with what they do not say assumed and marked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from meshsim.scenario.check_network import SIDECAR_MEMORY_BYTES
from meshsim.scenario.manifests.callers import Evidence
from meshsim.scenario.manifests.kubernetes import KubeService
from meshsim.scenario.overrides import apply_overrides
from meshsim.scenario.services import Service
from meshsim.scenario.words import shorten
from meshsim.scenario.yaml_text import parse_yaml

USERS = "users"
"""The fleet that calls every service that no other seems to call."""
SERVICE_MEMORY_BYTES = int(Service.model_fields["memory_bytes"].default)
_GIB = 1024**3
_PLAIN = re.compile(r"[A-Za-z0-9._/-]+")
"""Text that YAML takes as it is, behind a slash."""
DENIED = "no request was found that mutual TLS and policies let through, so all fail"


class Way(msgspec.Struct, frozen=True):
    """A request that mutual TLS and policies let through."""

    method: str = "GET"
    path: str = "/"
    port: int | None = None
    """None: the first one."""
    headers: tuple[tuple[str, str], ...] = ()
    host: str | None = None
    """None: the name of the service."""


Ways = Mapping[tuple[str, str], Way | None]
"""(caller, callee) → how it is let through; None: not at all. What is left out is as calls are by themselves."""


class Starter(msgspec.Struct, frozen=True):
    """What a scenario around manifests is made of."""

    source: str
    """Name of the folder or file."""
    inside: str
    """The same as the scenario names it."""
    services: Mapping[str, KubeService]
    """Those with Deployments."""
    calls: Sequence[Evidence]
    ambient: bool = False
    """Whether the mesh has ztunnel in place of sidecars."""
    stand_ins: Sequence[str] = ()
    """What is said of Services that others stand for, in sentences."""

    @property
    def preset(self) -> str:
        """The preset with the defaults of such a mesh."""
        return "ztunnel" if self.ambient else "istio"

    @property
    def called_by_users(self) -> list[str]:
        """The services that no other seems to call."""
        called = {one.callee for one in self.calls}
        return [key for key in self.services if key not in called]

    def hosts_at(self, key: str) -> tuple[str, ...]:
        """The authorities that a service hands on if it is a gateway, and so that its users' requests can have."""
        return next((one.hosts for one in self.calls if one.caller == key and one.exclusive), ())


def assumed(starter: Starter, ways: Ways) -> Iterator[str]:
    """What no manifest says, in sentences."""
    own = f"as Istio has them by itself (preset: {starter.preset})"
    yield f"certificates, retries and all that manifests do not set are {own}"
    yield "one edge node with room for all replicas, a core node, and a link of 5 ms between them"
    yield "each request takes a service 2 ms of CPU time on average"
    yield from starter.stand_ins
    for one in starter.calls:
        which = f" {' and '.join(one.versions)}" if one.versions else ""
        yield f"{one.caller}{which} calls {one.callee}: {_why(one, ways)}"
    yield "users on the core node send 20 requests/s to every service that no other seems to call"
    for key in starter.called_by_users:
        if ways.get((USERS, key), Way()) is None:
            yield f"users call {key}, though {DENIED}"


def starter_text(starter: Starter, ways: Ways) -> str:
    """The scenario, as YAML."""
    return "\n".join(_lines(starter, ways)) + "\n"


def with_overrides(text: str, overrides: Sequence[str]) -> str:
    """The text with each ``path=value`` in its place; what it says beside stays, with its remarks."""
    if not overrides:
        return text
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 10_000
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    data = yaml.load(text)
    apply_overrides(data, parse_yaml(text, "")[1], overrides)
    written = StringIO()
    yaml.dump(data, written)
    return written.getvalue()


def _lines(starter: Starter, ways: Ways) -> Iterator[str]:
    services, inside = starter.services, starter.inside
    replicas = sum(one.count for service in services.values() for one in service.deployments)
    memory = -(-2 * max(replicas, 4) * (SERVICE_MEMORY_BYTES + SIDECAR_MEMORY_BYTES) // _GIB)
    yield f"# Made by `meshsim import {shorten(inside, 60)}`. The manifests say which services there are, how calls are"
    yield "# routed and who is let in. What is marked as assumed they cannot say: put your own figures there."
    yield f"scenario: {_plain(_scenario_name(starter.source))}"
    yield "duration: 60 s"
    yield "network:"
    yield "  nodes:  # assumed"
    yield f"    edge-1: {{kind: edge, cores: {max(8, 2 * len(services))}, memory: {memory} GiB}}"
    yield "    core-1: {kind: core, cores: 8}"
    yield "  links:"
    yield "    - {between: [edge-1, core-1], latency: 5 ms, bandwidth: 1 Gbit/s}  # assumed"
    yield "  slices:"
    yield "    default: {sst: 1, five_qi: 9}  # assumed"
    yield "services:"
    for key, service in services.items():
        ports = ", ".join(f"{port.number} {port.protocol}" for port in service.ports)
        versions = ", ".join(f"{version} x {one.count}" for version, one in service.versions().items())
        yield f"  {_plain(key)}:  # {service.namespace}/{service.name}: {versions}; {ports}"
        yield "    placement: [edge-1]  # assumed"
        yield "    work: {exponential: 2 ms}  # assumed"
        yield from _calls(service, [one for one in starter.calls if one.caller == key], ways)
    yield "fleets:"
    yield f"  {USERS}: {{node: core-1}}  # assumed"
    yield "mesh:"
    yield f"  preset: {starter.preset}  # assumed: certificates, retries and the rest as Istio has them by itself"
    yield f"  manifests: [{_quoted(inside)}]"
    yield "traffic:  # assumed: users call every service that no other seems to call"
    for key in starter.called_by_users:
        name = f"{key}-users" if len(key) < 58 else _plain(key)
        way = ways.get((USERS, key), Way())
        to = f"{_plain(key)}{_request(_users_way(starter, key, way or Way(), ways))}"
        remark = f"  # {DENIED}" if way is None else ""
        yield f"  - {{name: {name}, from: users, to: {to}, slice: default, arrivals: {{poisson: 20 /s}}}}{remark}"


def _users_way(starter: Starter, key: str, way: Way, ways: Ways) -> Way:
    """The request of users: at a gateway with the host that it hands on, and a path of its routes."""
    onwards = [one for one in starter.calls if one.caller == key]
    handed_on = next((_way(one, ways).host for one in onwards if one.exclusive), None)
    path = next((one.path for one in onwards if one.path), "") if way.path == "/" else ""
    return msgspec.structs.replace(way, path=path or way.path, host=handed_on or way.host)


def _calls(service: KubeService, calls: Sequence[Evidence], ways: Ways) -> Iterator[str]:
    """The calls of a service, and those of versions that make more of them than the others."""
    common = [one for one in calls if not one.versions]
    if common:
        yield "    calls:"
        yield from (f"      {line}" for line in _steps(common, ways))
    own = {version: [one for one in calls if version in one.versions] for version in service.versions()}
    if any(own.values()):
        yield "    versions:"
    for version, more in own.items():
        if more:
            yield f"      {_quoted_name(version)}:"
            yield "        calls:"
            yield from (f"          {line}" for line in _steps([one for one in calls if one in common + more], ways))


def _steps(calls: Sequence[Evidence], ways: Ways) -> Iterator[str]:
    """Some calls of a service in order; those of which it makes one alone stand first."""
    choice = [one for one in calls if one.exclusive]
    if len(choice) > 1:
        yield "- one_of:  # assumed: each as often as any other; probability, as in probability: 25 %, says otherwise"
        yield from (f"    {_call(one, ways)}" for one in choice)
        calls = [one for one in calls if not one.exclusive]
    yield from (_call(one, ways) for one in calls)


def _call(one: Evidence, ways: Ways) -> str:
    return f"- {{to: {_plain(one.callee)}{_request(_way(one, ways))}}}  # assumed: {_why(one, ways)}"


def _way(one: Evidence, ways: Ways) -> Way:
    """The request of a call: what is let through, with the path that is known of it where any will do."""
    usual = Way(host=next(iter(one.hosts), None))
    way = ways.get((one.caller, one.callee), usual) or usual
    return msgspec.structs.replace(way, path=one.path) if one.path and way.path == "/" else way


def _why(one: Evidence, ways: Ways) -> str:
    denied = ways.get((one.caller, one.callee), Way()) is None
    return f"{one.why}; {DENIED}" if denied else one.why


def _request(way: Way) -> str:
    """What stands beside ``to``: as little as may be."""
    found = f", method: {way.method}" if way.method != "GET" else ""
    if way.path != "/":
        found += f", path: {way.path if _PLAIN.fullmatch(way.path) else _quoted(way.path)}"
    if way.host is not None:
        found += f", authority: {_quoted(way.host)}"
    if way.port is not None:
        found += f", port: {way.port}"
    if way.headers:
        found += f", headers: {{{', '.join(f'{_quoted(name)}: {_quoted(text)}' for name, text in way.headers)}}}"
    return found


def _scenario_name(source: str) -> str:
    name = re.sub("[^a-z0-9]+", "-", source.lower()).strip("-")
    return name[:63].strip("-") or "imported"


def _plain(name: str) -> str:
    """A name as it is, or quoted where YAML takes it for something else: a number, a truth value, nothing."""
    return name if parse_yaml(name, "")[0] == name else _quoted(name)


def _quoted_name(version: str) -> str:
    """A version's name as YAML takes it for text: a number is quoted."""
    return version if re.fullmatch("[a-z]+[0-9]+|[a-z]+-[a-z0-9-]*[a-z0-9]", version) else _quoted(version)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
