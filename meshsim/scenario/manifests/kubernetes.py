"""Services and the Deployments, or what else makes replicas, behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from meshsim.scenario.manifest_reader import Manifest, Value
from meshsim.scenario.manifests.kinds import WORKLOADS
from meshsim.scenario.manifests.pods import MODE_LABEL
from meshsim.scenario.manifests.same_pods import find_mains
from meshsim.scenario.manifests.values import LABEL, Mark, Notes, body, labels, number, take
from meshsim.scenario.manifests.workloads import Deployment, read_workloads
from meshsim.scenario.positions import Place
from meshsim.scenario.words import expected, show

PROTOCOLS: Mapping[str, str] = {
    **{name: name for name in ("http", "http2", "grpc", "grpc-web", "https", "tls", "tcp")},
    **dict.fromkeys(("mongo", "mysql", "redis"), "tcp"),
    "kubernetes.io/h2c": "http2",
    "kubernetes.io/ws": "http",
    "kubernetes.io/wss": "https",
}
"""What a port's name begins with, or its appProtocol, as Istio takes them."""
VERSION_LABELS = ("version", "app.kubernetes.io/version")
"""Labels that name a version; the first one that Deployments of a service differ by."""


class KubePort(msgspec.Struct, frozen=True):
    """One port of a Service."""

    number: int
    name: str
    protocol: str
    target: int | str
    """Number, or name of a container's port."""
    place: Place


class KubeService(msgspec.Struct):
    """A Service and the Deployments behind it."""

    key: str
    """The name that the scenario uses."""
    name: str
    namespace: str
    ports: list[KubePort]
    selector: Mapping[str, str]
    deployments: list[Deployment]
    whole: Value
    headless: bool = False
    """Whether it has no address of its own, so that callers look up its replicas and choose one."""
    gateway: bool = False
    """Whether it takes requests of users who are outside of the mesh, and so in plaintext."""
    gateways: list[str] = []
    """NAMESPACE/NAME of each Gateway whose workload it is."""
    labels: Mapping[str, str] = {}
    """Of the Service itself."""
    dataplane: str = ""
    """sidecar or ambient, where its pods are not as the mesh is; else empty."""
    waypoint: str = ""
    """NAMESPACE/NAME of the waypoint that serves it; empty if none does."""
    main: str = ""
    """The service that stands for it, which has some of the same pods; empty if none does."""

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.whole.place

    @property
    def host(self) -> str:
        """Its full name."""
        return f"{self.name}.{self.namespace}.svc.cluster.local"

    def versions(self) -> dict[str, Deployment]:
        """Its Deployments by the name of their version: the label that tells them apart, or their own names."""
        for label in VERSION_LABELS:
            names = [one.labels.get(label, "") for one in self.deployments]
            if len(set(names)) == len(names) and all(LABEL.fullmatch(name) for name in names):
                return dict(zip(names, self.deployments, strict=True))
        return {one.name: one for one in self.deployments}

    def target_port(self, port: KubePort) -> int | None:
        """The port that replicas listen on; None where Deployments do not agree, or do not know its name."""
        if isinstance(port.target, int):
            return port.target
        found = {one.ports.get(port.target) for one in self.deployments}
        return found.pop() if len(found) == 1 else None


class Cluster(msgspec.Struct):
    """What Kubernetes objects say."""

    services: dict[str, KubeService] = {}
    """By the name that the scenario uses."""
    deployments: list[Deployment] = []


def read_cluster(manifests: Iterable[Manifest], notes: Notes) -> Cluster:
    """The services among some objects; mistakes are noted at their places."""
    by_kind: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        by_kind.setdefault(manifest.kind, []).append(manifest)
    for manifest in by_kind.get("ServiceAccount", ()):
        body(manifest, "ServiceAccount", notes)
    for manifest in by_kind.get("Namespace", ()):
        body(manifest, "Namespace", notes)
        if manifest.labels.get("istio-injection") == "disabled":
            manifest.whole.wrong("the namespace is kept out of the mesh; expected every service to have a sidecar")
        if manifest.labels.get(MODE_LABEL) == "ambient":
            notes.ambient.append(Mark(manifest.name, manifest.whole))
    accounts = {(one.namespace, one.name) for one in by_kind.get("ServiceAccount", ())}
    deployments = read_workloads([one for kind in WORKLOADS for one in by_kind.get(kind, ())], accounts, notes)
    services = [_service(manifest, notes) for manifest in by_kind.get("Service", ())]
    names = [one.name for one in services]
    cluster = Cluster({}, deployments)
    used: set[int] = set()
    for service in services:
        if names.count(service.name) > 1:
            service.key = f"{service.name}-{service.namespace}"
        if service.key in cluster.services or not LABEL.fullmatch(service.key):
            service.whole.wrong(f"two services would be called {show(service.key)}; expected another name")
        cluster.services[service.key] = service
        _find_deployments(service, deployments, used)
    find_mains(cluster.services)
    alone = [one.name for one in deployments if id(one) not in used]
    if alone:
        notes.texts.append(f"no Service chooses the pods of {', '.join(sorted(alone))}: nothing calls them, left out")
    return cluster


def _service(manifest: Manifest, notes: Notes) -> KubeService:
    spec = body(manifest, "Service", notes).get("spec", manifest.spec)
    fields = take(spec, "Service.spec", notes)
    for key, refused, why in (
        ("type", "ExternalName", "every service is inside of the mesh"),
        ("sessionAffinity", "ClientIP", "requests have no affinity"),
    ):
        if key in fields and fields[key].data == refused:
            fields[key].wrong(f"{refused!r} is not simulated: {why}; expected another {key}")
    if "type" in fields and fields["type"].data != "ExternalName":
        fields["type"].choice(("ClusterIP", "NodePort", "LoadBalancer"))
    written = fields["ports"].items() if "ports" in fields else []
    if not written:
        fields.get("ports", spec).wrong("the Service has no port; expected at least one")
    ports: list[KubePort] = []
    for value in written:
        port = _port(value, notes)
        if port is not None:
            _check_port(value, port, ports, several=len(written) > 1)
            ports.append(port)
    selector = labels(fields["selector"]) if "selector" in fields else {}
    if not selector:
        fields.get("selector", spec).wrong("the Service selects no pods; expected labels of a Deployment's pods")
    headless = "clusterIP" in fields and fields["clusterIP"].data == "None"
    return KubeService(
        key=manifest.name,
        name=manifest.name,
        namespace=manifest.namespace,
        ports=ports,
        selector=selector,
        deployments=[],
        whole=manifest.whole,
        headless=headless,
        labels=manifest.labels,
    )


def _check_port(value: Value, port: KubePort, before: list[KubePort], *, several: bool) -> None:
    """Numbers and names of ports, as Kubernetes has them."""
    if port.number in [one.number for one in before]:
        value.wrong(f"port {port.number} is there already; expected each port once")
    if several and not port.name:
        value.wrong("one of several ports has no name; expected one such as 'http', as Kubernetes asks")
    elif port.name and not LABEL.fullmatch(port.name):
        value.child("name", port.name).wrong(
            f"{show(port.name)} is no name of a port; expected at most 63 lower-case letters, digits, inner hyphens"
        )
    elif port.name and port.name in [one.name for one in before]:
        value.child("name", port.name).wrong(f"there is a port {show(port.name)} already; expected another name")


def _port(value: Value, notes: Notes) -> KubePort | None:
    fields = take(value, "Service.spec.ports", notes)
    if "port" not in fields:
        if isinstance(value.data, dict):
            value.wrong("'port' is missing; expected it here: its number")
        return None
    if "protocol" in fields and fields["protocol"].text() not in ("TCP", ""):
        fields["protocol"].wrong(
            f"{show(fields['protocol'].data)} is not simulated: the mesh carries TCP; expected TCP"
        )
    count = number(fields["port"], 1, 65_535)
    name = fields["name"].text() if "name" in fields else ""
    if "appProtocol" in fields:
        written = fields["appProtocol"].text().lower()
        if written and written not in PROTOCOLS:
            fields["appProtocol"].wrong(
                f"{show(written)} is no protocol that Istio knows; {expected(written, list(PROTOCOLS))}"
            )
        protocol = PROTOCOLS.get(written, "http")
    else:
        # Istio: <protocol>[-<suffix>]; what begins with no protocol is looked at as it comes, and HTTP comes here.
        known = sorted(PROTOCOLS, key=len, reverse=True)
        begun = next((one for one in known if name == one or name.startswith(f"{one}-")), "http")
        protocol = PROTOCOLS[begun]
    target: int | str = count or 0
    if "targetPort" in fields:
        given = fields["targetPort"]
        if not isinstance(given.data, str):
            target = number(given, 1, 65_535) or 0
        elif not given.data.isdecimal():
            target = given.data
        else:
            target = int(given.data[:6])
            if not 1 <= target <= 65_535:
                given.wrong(f"{show(given.data)} is no port; expected a number from 1 to 65535")
                target = 0
    return None if count is None else KubePort(count, name, protocol, target, value.place)


def _find_deployments(service: KubeService, deployments: list[Deployment], used: set[int]) -> None:
    """Find the Deployments whose pods a Service selects."""
    for deployment in deployments:
        if deployment.namespace != service.namespace or not service.selector.items() <= deployment.labels.items():
            continue
        if not service.selector:
            continue
        used.add(id(deployment))
        service.deployments.append(deployment)


def check_kept(service: KubeService) -> None:
    """What a service needs that takes part in a scenario: pods, and ports that they have."""
    if not service.deployments:
        wanted = ", ".join(f"{key}={value}" for key, value in service.selector.items())
        if wanted:
            service.whole.wrong(f"no Deployment in {service.namespace} has pods with {wanted}; expected one")
        return
    for port in service.ports:
        if service.target_port(port) is None:
            message = (
                f"no port {show(port.target)} that all pods of {service.name} have; expected a containerPort's name"
            )
            service.whole.note(port.place, message)
