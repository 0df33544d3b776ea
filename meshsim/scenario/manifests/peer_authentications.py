"""PeerAuthentications: which listeners ask for mutual TLS. Port beats workload beats namespace beats mesh."""

from __future__ import annotations

import msgspec

from meshsim.scenario.manifest_reader import Manifest, Value
from meshsim.scenario.manifests.kubernetes import Cluster, KubeService
from meshsim.scenario.manifests.values import Notes, body, labels, take
from meshsim.scenario.manifests.workloads import Deployment
from meshsim.scenario.positions import Place
from meshsim.scenario.words import expected

MODES = ("STRICT", "PERMISSIVE", "DISABLE", "UNSET")
_LET_PASS = "mesh.policy.istio.unmatched: ignore"
DEFAULT_MODE = "PERMISSIVE"
"""What holds where nothing is said."""


class Mode(msgspec.Struct, frozen=True):
    """A mode and where it was said."""

    mode: str
    place: Place


class Peers(msgspec.Struct):
    """What PeerAuthentications say."""

    mesh: Mode | None = None
    namespaces: dict[str, Mode] = {}
    workloads: dict[str, Mode] = {}
    """By the service's name in the scenario."""
    ports: dict[tuple[str, int], Mode] = {}
    """By service, and the port that its replicas listen on."""
    versions: dict[tuple[str, str], Mode] = {}
    """By service and version, where not all versions of it are chosen."""
    version_ports: dict[tuple[str, str, int], Mode] = {}
    """The same of single ports."""

    def of_service(self, service: KubeService) -> Mode | None:
        """The mode of a service that differs from the mesh's, as far as one was said."""
        return self.workloads.get(service.key) or self.namespaces.get(service.namespace)


def read_peers(
    manifests: list[Manifest], cluster: Cluster, root_namespace: str, notes: Notes, *, unmatched: bool = False
) -> Peers:
    """Find the mode of each listener; mistakes are noted at their places.

    ``unmatched``: a selector that chooses nothing is no mistake, and is noted.
    """
    peers = Peers(None, {}, {}, {}, {}, {})
    seen: dict[tuple[str, ...], Place] = {}
    for manifest in manifests:
        spec = body(manifest, "PeerAuthentication", notes).get("spec", manifest.spec)
        fields = take(spec, "PeerAuthentication.spec", notes)
        mode = _mode(fields["mtls"], notes) if "mtls" in fields else None
        at_root = manifest.namespace == root_namespace
        pods = [one for one in cluster.deployments if at_root or one.namespace == manifest.namespace]
        chosen = _selected(fields.get("selector"), cluster, pods, notes, unmatched=unmatched)
        if not chosen and "portLevelMtls" in fields:
            _port_modes(fields["portLevelMtls"], notes)  # for nothing, and yet no mistake in it stays hidden
        if chosen is None:
            if "portLevelMtls" in fields:
                message = "modes of ports need a selector, as Istio asks; expected one beside portLevelMtls"
                fields["portLevelMtls"].wrong_key(message)
            level = ("mesh",) if at_root else ("namespace", manifest.namespace)
            if _is_second(manifest, seen, level):
                continue
            if level == ("mesh",):
                peers.mesh = mode
            elif mode is not None:
                peers.namespaces[manifest.namespace] = mode
            continue
        for service, versions in chosen:
            levels = [("workload", service.key, one) for one in versions or service.versions()]
            if any(_is_second(manifest, seen, level) for level in levels):
                continue
            ports = _ports(fields["portLevelMtls"], service, notes) if "portLevelMtls" in fields else {}
            _put(peers, service.key, versions, mode, ports)
    return peers


def _put(peers: Peers, key: str, versions: tuple[str, ...], mode: Mode | None, ports: dict[int, Mode]) -> None:
    """Note what one PeerAuthentication says of a service, or of some versions of it."""
    if not versions:
        if mode is not None:
            peers.workloads[key] = mode
        peers.ports |= {(key, port): said for port, said in ports.items()}
    for version in versions:
        if mode is not None:
            peers.versions[key, version] = mode
        peers.version_ports |= {(key, version, port): said for port, said in ports.items()}


def _is_second(manifest: Manifest, seen: dict[tuple[str, ...], Place], level: tuple[str, ...]) -> bool:
    place = manifest.whole.place
    before = seen.setdefault(level, place)
    if before is not place:
        what = {"mesh": "the mesh"}.get(level[0], f"the {' '.join(level[:2])}")
        message = f"{what} has the PeerAuthentication at {before.file}:{before.line} already; expected one"
        manifest.whole.wrong(message)
    return before is not place


def _mode(value: Value, notes: Notes) -> Mode | None:
    fields = take(value, "PeerAuthentication.spec.mtls", notes)
    word = fields["mode"].choice(MODES) if "mode" in fields else "UNSET"
    return None if word in ("", "UNSET") else Mode(word, fields["mode"].place)


Chosen = list[tuple[KubeService, tuple[str, ...]]]
"""Services, each with those of its versions that are meant; none of them means all."""


def _selected(
    value: Value | None, cluster: Cluster, pods: list[Deployment], notes: Notes, *, unmatched: bool
) -> Chosen | None:
    """The services whose workloads a selector chooses among some; None without a selector."""
    if value is None:
        return None
    fields = take(value, "PeerAuthentication.spec.selector", notes)
    wanted = labels(fields["matchLabels"]) if "matchLabels" in fields else {}
    if not wanted:
        return None
    chosen_pods = [one for one in pods if wanted.items() <= one.labels.items()]
    found: Chosen = []
    for service in cluster.services.values():
        chosen = tuple(name for name, one in service.versions().items() if one in chosen_pods)
        if chosen:
            found.append((service, () if len(chosen) == len(service.deployments) else chosen))
    if not chosen_pods:
        shown = ", ".join(f"{key}={label}" for key, label in wanted.items())
        message = f"no Deployment's pods that it is for have {shown}"
        if unmatched:
            text = f"{message}, so that this PeerAuthentication holds for nothing"
            notes.texts.append(str(fields["matchLabels"].place.diagnostic(text)))
        else:
            fields["matchLabels"].wrong(f"{message}; expected labels of some, or {_LET_PASS}")
    return found


def _ports(value: Value, service: KubeService, notes: Notes) -> dict[int, Mode]:
    found = {}
    known = {service.target_port(port) for port in service.ports}
    for key, (entry, mode) in _port_modes(value, notes).items():
        if key not in known:
            shown = sorted(str(port) for port in known if port is not None)
            entry.wrong_key(f"no replica of {service.name!r} listens on {key}; {expected(str(key), shown)}")
        elif mode is not None:
            found[key] = mode
    return found


def _port_modes(value: Value, notes: Notes) -> dict[int, tuple[Value, Mode | None]]:
    """The mode of each port, whichever service has it, and where it stands."""
    found = {}
    for key, entry in value.entries().items():
        mode = _mode(entry, notes)
        if not key.isdecimal() or not 1 <= int(key[:6]) <= 65_535:
            entry.wrong_key(f"{key!r} is no port; expected a number from 1 to 65535")
        else:
            found[int(key)] = entry, mode
    return found
