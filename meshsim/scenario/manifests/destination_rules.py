"""DestinationRules: subsets, and how callers treat a service."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from meshsim.scenario import units
from meshsim.scenario.manifest_reader import Manifest, Value
from meshsim.scenario.manifests.draft import Draft
from meshsim.scenario.manifests.hosts import Hosts, specificity
from meshsim.scenario.manifests.kubernetes import KubePort, KubeService
from meshsim.scenario.manifests.values import Notes, body, duration_ns, label_name, labels, number, take
from meshsim.scenario.positions import Path
from meshsim.scenario.words import show

MOST = 2**31 - 1
_BALANCING = {
    "LEAST_REQUEST": "least_request",
    "LEAST_CONN": "least_request",
    "ROUND_ROBIN": "round_robin",
    "RANDOM": "random",
    "UNSPECIFIED": "",
}
_TLS = {"DISABLE": "plaintext", "ISTIO_MUTUAL": "mutual"}
_OF_OTHERS = ("SIMPLE", "MUTUAL")
_HTTP2 = ("http2", "grpc", "grpc-web")


class Rules:
    """What DestinationRules say of services, by their names in the scenario."""

    def __init__(self, root_namespace: str) -> None:
        self._root = root_namespace
        self._by_service: dict[str, dict[str, list[Rule]]] = {}
        """Service → namespace of rules → its rules, the most exact first."""
        self.lost = False
        """Whether a rule's host means no service, so that nobody knows whose subsets it has."""

    def add(self, service: KubeService, rule: Rule) -> None:
        """Note a rule for a service."""
        there = self._by_service.setdefault(service.key, {}).setdefault(rule.namespace, [])
        same = next((one for one in there if one.exactness == rule.exactness), None)
        if same is not None:
            place = same.host.place
            message = f"a DestinationRule for {service.name!r} stands at {place.file}:{place.line} already"
            rule.host.wrong(f"{message}; expected one for each host in a namespace")
            return
        there.append(rule)
        there.sort(key=lambda one: -one.exactness)

    def subsets(self, service: str) -> list[str] | None:
        """The subsets of a service for any callers; None if they may be in a rule whose host is wrong."""
        if self.lost and service not in self._by_service:
            return None
        rules = [one for there in self._by_service.get(service, {}).values() for one in there]
        return list(dict.fromkeys(name for rule in rules for name in rule.names))

    def of(self, service: KubeService, callers: str) -> Rule | None:
        """The rule for callers of a namespace (none: outside of Kubernetes), as Istio looks it up.

        One in their own namespace, then one that the service's exports to them, then one that the root namespace does.
        """
        there = self._by_service.get(service.key, {})
        own = [one for one in there.get(callers, []) if callers != self._root or one.private]
        if own:
            return own[0]
        for namespace in dict.fromkeys((service.namespace, self._root)):
            exported = [one for one in there.get(namespace, []) if not one.private]
            if exported and exported[0].seen_in(callers):
                return exported[0]
        return None

    def unused(self, services: Iterable[KubeService], namespaces: Iterable[str]) -> list[Rule]:
        """Rules that hold for no callers."""
        used = {id(self.of(service, callers)) for service in services for callers in namespaces}
        all_of_them = {
            id(rule): rule for there in self._by_service.values() for rules in there.values() for rule in rules
        }
        return [rule for key, rule in all_of_them.items() if key not in used]


class Rule(msgspec.Struct, eq=False):
    """A DestinationRule."""

    namespace: str
    exactness: int
    host: Value
    draft: Draft
    """Its settings and subsets, at the path ``rule``."""
    names: list[str]
    """Names of subsets as they are written, be all else wrong with them."""
    export_to: tuple[str, ...]
    """Namespaces that see it beside its own; ``*``: all."""

    @property
    def private(self) -> bool:
        """Whether it is for callers of its own namespace alone."""
        return bool(self.export_to) and set(self.export_to) <= {".", self.namespace}

    def seen_in(self, namespace: str) -> bool:
        """Whether callers of another namespace see it."""
        return not self.export_to or "*" in self.export_to or namespace in self.export_to


def read_destination_rules(manifests: list[Manifest], hosts: Hosts, root_namespace: str, notes: Notes) -> Rules:
    """Read DestinationRules; of several in a namespace, the one that names a service most exactly comes first."""
    rules = Rules(root_namespace)
    for manifest in manifests:
        spec = body(manifest, "DestinationRule", notes).get("spec", manifest.spec)
        fields = take(spec, "DestinationRule.spec", notes)
        export_to = _exports(fields["exportTo"]) if "exportTo" in fields else ()
        draft = Draft()
        draft.put(("rule",), {}, manifest.whole.place)
        reader = _RuleReader(draft, notes)
        if "trafficPolicy" in fields:
            reader.policy(fields["trafficPolicy"], ("rule",), "trafficPolicy")
        for value in fields["subsets"].items() if "subsets" in fields else ():
            reader.subset(value)
        if "host" not in fields:
            spec.wrong("'host' is missing; expected it here: the service")
        meant = hosts.meant(fields["host"], manifest.namespace) if "host" in fields else []
        rules.lost = rules.lost or not meant
        if meant:
            host = fields["host"]
            rule = Rule(manifest.namespace, specificity(str(host.data)), host, draft, reader.names, export_to)
            for service in meant:
                rules.add(service, rule)
    return rules


def _exports(value: Value) -> tuple[str, ...]:
    """Which namespaces see a rule."""
    words = []
    for item in value.texts():
        if item.data == "~":
            item.wrong("'~' is for nobody; expected '.', '*' or namespaces")
        elif item.data in (".", "*") or label_name(item, "a namespace"):
            words.append(str(item.data))
    return tuple(words)


def default_pool(port: KubePort) -> dict[str, int]:
    """How Envoy uses connections, by Istio's settings: one request at a time on HTTP/1.1, and as many as it takes."""
    if port.protocol in _HTTP2:
        return {"streams_per_connection": MOST, "connections_per_replica": 1}
    return {"streams_per_connection": 1, "connections_per_replica": MOST}


class _RuleReader:
    """Reads settings of a DestinationRule into a draft."""

    def __init__(self, draft: Draft, notes: Notes) -> None:
        self._draft = draft
        self._notes = notes
        self.names: list[str] = []
        """Names of subsets so far."""

    def subset(self, value: Value) -> None:
        """One entry of ``subsets``."""
        fields = take(value, "DestinationRule.spec.subsets", self._notes)
        name = label_name(fields["name"], "a subset") if "name" in fields else ""
        if "name" not in fields:
            value.wrong("'name' is missing; expected it here: the name of the subset")
        path: Path = ("rule", "subsets", name)
        if name and self._draft.at(path) is not None:
            fields["name"].wrong(f"there is a subset {show(name)} already; expected another name")
            return
        self.names.append(name)
        wanted = labels(fields["labels"]) if "labels" in fields else {}
        if not wanted:
            fields.get("labels", value).wrong("the subset has no labels; expected those of its replicas")
        if not name or not wanted:
            return
        self._draft.put(path, {}, value.place)
        self._draft.put((*path, "labels"), wanted, fields["labels"].place)
        if "trafficPolicy" in fields:
            self.policy(fields["trafficPolicy"], path, "trafficPolicy")

    def policy(self, value: Value, path: Path, table: str) -> None:
        """Settings for a service, a subset or a port."""
        fields = take(value, table, self._notes)
        if isinstance(value.data, dict) and not value.data:
            value.wrong("a traffic policy is empty; expected at least one setting")
        if "loadBalancer" in fields:
            self._balancing(fields["loadBalancer"], path)
        if "connectionPool" in fields:
            self._pool(fields["connectionPool"], path)
        if "outlierDetection" in fields:
            self._outlier(fields["outlierDetection"], path)
        if "tls" in fields:
            self._tls(fields["tls"], path)
        for item in fields["portLevelSettings"].items() if "portLevelSettings" in fields else ():
            inner = take(item, "portLevelSettings", self._notes)
            ports = take(inner["port"], "port", self._notes) if "port" in inner else {}
            if "number" not in ports:
                item.wrong("'port' has no number; expected 'port: {number: …}'")
                continue
            port = number(ports["number"], 1, 65_535)
            if port is None:
                continue
            at: Path = (*path, "ports", str(port))
            if self._draft.at(at) is not None:
                item.wrong(f"port {port} has settings already; expected each port once")
                continue
            self._draft.put(at, {}, item.place)
            self.policy(item, at, "portLevelSettings")

    def _balancing(self, value: Value, path: Path) -> None:
        fields = take(value, "loadBalancer", self._notes)
        if "simple" in fields:
            text = fields["simple"].text()
            if isinstance(value.data, dict) and "consistentHash" in value.data:
                value.wrong("the load balancer has simple and consistentHash; expected one of them")
            if text == "PASSTHROUGH":
                fields["simple"].wrong("'PASSTHROUGH' is not simulated: sidecars choose the replica; expected another")
            elif fields["simple"].choice(list(_BALANCING)) and _BALANCING[text]:
                self._draft.put((*path, "load_balancing", "policy"), _BALANCING[text], fields["simple"].place)
        if "localityLbSetting" in fields:
            inner = take(fields["localityLbSetting"], "localityLbSetting", self._notes)
            if "enabled" in inner:
                self._draft.put((*path, "load_balancing", "locality"), inner["enabled"].flag(), inner["enabled"].place)

    def _pool(self, value: Value, path: Path) -> None:
        at: Path = (*path, "pool")
        fields = take(value, "connectionPool", self._notes)
        if not fields and isinstance(value.data, dict):
            value.wrong("a connection pool is empty; expected tcp or http")
        tcp = take(fields["tcp"], "connectionPool.tcp", self._notes) if "tcp" in fields else {}
        http = take(fields["http"], "connectionPool.http", self._notes) if "http" in fields else {}
        self._limit(tcp.get("maxConnections"), (*at, "max_connections"))
        self._limit(http.get("http1MaxPendingRequests"), (*at, "max_pending"))
        self._limit(http.get("http2MaxRequests"), (*at, "max_requests"))
        self._limit(http.get("maxRequestsPerConnection"), (*at, "requests_per_connection"))
        streams = http.get("maxConcurrentStreams")
        self._limit(streams, (*at, "streams_per_connection"))
        self._time(tcp.get("connectTimeout"), (*at, "connect_timeout"))
        self._time(http.get("idleTimeout") or tcp.get("idleTimeout"), (*at, "idle_timeout"))
        if "h2UpgradePolicy" in http:
            word = http["h2UpgradePolicy"].choice(("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"))
            if word == "UPGRADE":
                place = http["h2UpgradePolicy"].place
                self._draft.put((*at, "connections_per_replica"), 1, place)
                if streams is None:
                    self._draft.put((*at, "streams_per_connection"), MOST, place)

    def _limit(self, value: Value | None, path: Path) -> None:
        """A limit; 0 says that there is none."""
        count = number(value, 0, MOST) if value is not None else None
        if value is not None and count:
            self._draft.put(path, count, value.place)

    def _time(self, value: Value | None, path: Path, least_ns: int = 1_000_000) -> int | None:
        length_ns = duration_ns(value, least_ns) if value is not None else None
        if value is not None and length_ns:
            self._draft.put(path, units.format_duration(length_ns), value.place)
        return length_ns

    def _outlier(self, value: Value, path: Path) -> None:
        at: Path = (*path, "outlier_detection")
        fields = take(value, "outlierDetection", self._notes)
        self._draft.put(at, {}, value.place)
        for key, name in (
            ("consecutive5xxErrors", "consecutive_5xx"),
            ("consecutiveGatewayErrors", "consecutive_gateway_errors"),
            ("consecutiveLocalOriginFailures", "consecutive_local_origin"),
        ):
            count = number(fields[key], 0, MOST) if key in fields else None
            if count is not None:
                self._draft.put((*at, name), count, fields[key].place)
        split = "splitExternalLocalOriginErrors" in fields and fields["splitExternalLocalOriginErrors"].flag()
        if split:
            self._draft.put((*at, "split_local_origin"), True, fields["splitExternalLocalOriginErrors"].place)
        elif "consecutiveLocalOriginFailures" in fields and fields["consecutiveLocalOriginFailures"].data:
            fields["consecutiveLocalOriginFailures"].wrong_key(
                "local failures count apart only with splitExternalLocalOriginErrors; expected it to be true"
            )
        self._time(fields.get("interval"), (*at, "interval"))
        base_ns = self._time(fields.get("baseEjectionTime"), (*at, "base_ejection"))
        if base_ns is not None and base_ns > 300 * 10**9:  # as Envoy: its maximum is at least the base
            self._draft.put((*at, "max_ejection"), units.format_duration(base_ns), fields["baseEjectionTime"].place)
        for key, name in (("maxEjectionPercent", "max_ejected"), ("minHealthPercent", "min_healthy")):
            percent = number(fields[key], 0, 100) if key in fields else None
            if percent:
                self._draft.put((*at, name), f"{percent} %", fields[key].place)

    def _tls(self, value: Value, path: Path) -> None:
        fields = take(value, "tls", self._notes)
        if "mode" not in fields:
            value.wrong("'mode' is missing; expected ISTIO_MUTUAL or DISABLE")
        elif fields["mode"].data in _OF_OTHERS:
            shown = show(fields["mode"].data)
            fields["mode"].wrong(f"{shown} is for servers outside of the mesh; expected ISTIO_MUTUAL or DISABLE")
        elif fields["mode"].choice((*_TLS, *_OF_OTHERS)):
            self._draft.put((*path, "tls"), _TLS[fields["mode"].text()], fields["mode"].place)
