"""Where the replicas of a service run, and what those of each version are like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from meshsim.scenario.positions import Path
from meshsim.scenario.services import Service, Step, Version, Work
from meshsim.scenario.tls import PortTls


class Placed(msgspec.Struct, frozen=True):
    """Replicas of one kind on one node."""

    path: Path
    """Where the service says so, below it."""
    node: str
    count: int
    """How many; 0 if there are fewer than nodes."""


class Variant(msgspec.Struct, frozen=True):
    """Replicas of a service that are alike: all of them, or those of one version."""

    version: str
    """Name of the version; empty if the service has none."""
    path: Path
    """Where it stands, below the service."""
    placed: tuple[Placed, ...]
    labels: Mapping[str, str]
    service_account: str
    work: Work
    calls: tuple[Step, ...]

    @property
    def nodes(self) -> list[str]:
        """The node of each replica, in their order."""
        return [place.node for place in self.placed for _ in range(place.count)]


_ALL_ALIKE = Version()
"""What a service without versions has in place of one."""


def variants(name: str, service: Service) -> tuple[Variant, ...]:
    """The variants of the service called ``name``, in the order of the file."""
    if not service.versions:
        return (_variant(name, service, "", _ALL_ALIKE, 0),)
    found: list[Variant] = []
    dealt = 0
    for key, version in service.versions.items():
        found.append(_variant(name, service, key, version, dealt))
        if version.replicas is None and version.placement is None:
            dealt += 1 if version.count is None else version.count
    return tuple(found)


def _variant(name: str, service: Service, key: str, version: Version, dealt: int) -> Variant:
    """The variant of one version; ``dealt`` replicas of others are on the nodes of the service's placement already."""
    return Variant(
        version=key,
        path=("versions", key) if key else (),
        placed=tuple(_placed(service, key, version, dealt)),
        labels={**service.labels, **version.labels},
        service_account=version.service_account or service.service_account or name,
        work=version.work or service.work,
        calls=service.calls if version.calls is None else version.calls,
    )


def _placed(service: Service, key: str, version: Version, dealt: int) -> Iterator[Placed]:
    own: Path = ("versions", key) if key else ()
    replicas, count = (version.replicas, version.count) if key else (service.replicas, service.count)
    if replicas is not None:
        yield from (Placed((*own, "replicas", node), node, count) for node, count in replicas.items())
        return
    at, nodes = (own, version.placement) if version.placement is not None else ((), service.placement)
    first = 0 if version.placement is not None or nodes is None else dealt % len(nodes)
    assert nodes is not None, "the model asks for replicas or a placement"
    total = 1 if count is None else count
    for index, node in enumerate(nodes):
        share = total // len(nodes) + ((index - first) % len(nodes) < total % len(nodes))
        yield Placed((*at, "placement", index), node, share)


def placements(service: Service) -> tuple[Placed, ...]:
    """Where the replicas of all versions run; places without a replica included."""
    return tuple(place for variant in variants("", service) for place in variant.placed)


def replicas_by_node(service: Service) -> dict[str, int]:
    """How many replicas run on which node, of all versions together; nodes without one left out."""
    counts: dict[str, int] = {}
    for place in placements(service):
        if place.count:
            counts[place.node] = counts.get(place.node, 0) + place.count
    return counts


def replica_count(service: Service) -> int:
    """How many replicas a service has in all."""
    return sum(place.count for place in placements(service))


def spiffe_ids(name: str, service: Service, trust_domain: str) -> dict[str, None]:
    """The SPIFFE IDs of a service's replicas, in the order of its versions."""
    return {spiffe_id(service, variant, trust_domain): None for variant in variants(name, service)}


def spiffe_id(service: Service, variant: Variant, trust_domain: str) -> str:
    """The SPIFFE ID of one variant's replicas: ``spiffe://trust-domain/ns/namespace/sa/service-account``."""
    return f"spiffe://{trust_domain}/ns/{service.namespace}/sa/{variant.service_account}"


def version_tls(service: Service, version: str, port: int | None = None) -> tuple[PortTls | None, ...]:
    """What listeners of a version have of TLS settings that are not their trust domain's, the most special last."""
    own = service.versions[version].tls if version in service.versions else None
    mode = None if own is None else PortTls(mode=own.mode)
    if port is None:
        return (service.tls, mode)
    said = None if own is None else own.ports.get(str(port))
    return (service.tls, mode, service.ports[str(port)].tls, None if said is None else PortTls(mode=said))


def settings_key(name: str, service: Service, version: str) -> str:
    """Under which TLS settings of replicas are kept: the service's name, or a version's that has some of its own."""
    return f"{name}:{version}" if version in service.versions and service.versions[version].tls else name
