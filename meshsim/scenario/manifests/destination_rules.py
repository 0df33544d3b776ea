"""DestinationRules: subsets, and how callers treat a service."""

from __future__ import annotations

from meshsim.scenario import units
from meshsim.scenario.manifest_reader import Manifest, Value
from meshsim.scenario.manifests.draft import Draft
from meshsim.scenario.manifests.hosts import Hosts, specificity
from meshsim.scenario.manifests.kubernetes import KubePort
from meshsim.scenario.manifests.values import Notes, body, duration_ns, label_name, labels, number, only, take
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

    def __init__(self) -> None:
        self.drafts: dict[str, Draft] = {}
        """Of each service that has a rule: its settings and subsets, at the path ``rule``."""
        self.names: dict[str, list[str]] = {}
        """Of each service that has a rule: the names of subsets as they are written, be all else wrong with them."""
        self.lost = False
        """Whether a rule's host means no service, so that nobody knows whose subsets it has."""

    def subsets(self, service: str) -> list[str] | None:
        """The subsets of a service; None if they may be in a rule whose host is wrong."""
        return self.names.get(service, None if self.lost else [])


def read_destination_rules(manifests: list[Manifest], hosts: Hosts, notes: Notes) -> Rules:
    """Read DestinationRules; of several for a service, the one that names it most exactly holds."""
    rules = Rules()
    claims: dict[str, tuple[int, Value]] = {}
    for manifest in manifests:
        spec = body(manifest, "DestinationRule", notes).get("spec", manifest.spec)
        fields = take(spec, "DestinationRule.spec", notes)
        if "exportTo" in fields:
            only(fields["exportTo"], "*", "every rule holds for all namespaces")
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
        for service in meant:
            exactness = specificity(str(fields["host"].data))
            before = claims.get(service.key)
            if before is not None and before[0] == exactness:
                place = before[1].place
                message = f"a DestinationRule for {service.name!r} stands at {place.file}:{place.line} already"
                fields["host"].wrong(f"{message}; expected one for each host")
            elif before is None or before[0] < exactness:
                claims[service.key] = (exactness, fields["host"])
                rules.drafts[service.key], rules.names[service.key] = draft, reader.names
    return rules


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
