"""Services over the same pods: which of them stands for the others, and what is wrong where several take part.

A scenario's service is a workload with its replicas, and what is called of it; so of Services that share pods only one
can take part, or the pods would be there twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.scenario.manifests.kubernetes import KubeService


def find_mains(services: Mapping[str, KubeService]) -> None:
    """Find which Service stands for those that share pods with it.

    That is the one with the most Deployments; of like ones, one with an address of its own, then the first.
    """
    claimed: dict[int, str] = {}
    for key, service in sorted(services.items(), key=lambda item: (-len(item[1].deployments), item[1].headless)):
        service.main = next((claimed[id(one)] for one in service.deployments if id(one) in claimed), "")
        if not service.main:
            claimed |= {id(one): key for one in service.deployments}


def check_apart(services: Iterable[KubeService]) -> None:
    """Note what is wrong where two Services that take part select the same pods."""
    owners: dict[int, KubeService] = {}
    for service in sorted(services, key=lambda one: bool(one.main)):
        shared = {owners[id(one)].key: one for one in service.deployments if id(one) in owners}
        for deployment in shared.values():
            other = owners[id(deployment)]
            place = other.place
            service.whole.wrong(
                f"{service.name} selects the pods of {deployment.name}, which the Service {other.name} has "
                f"({place.file}:{place.line}), and both take part; expected one of them to be named, called and "
                "routed to"
            )
        owners |= {id(one): service for one in service.deployments if id(one) not in owners}


def left_out(services: Mapping[str, KubeService]) -> Iterator[str]:
    """What is said, for people, of the Services that another one stands for."""
    there = {id(one) for service in services.values() if not service.main for one in service.deployments}
    for service in services.values():
        if service.main:
            alone = [one.name for one in service.deployments if id(one) not in there]
            yield (
                f"the Service {service.name} selects pods of {services[service.main].name}, which stands for it: calls "
                f"to {service.name} are calls to that, with its ports, routes and limits"
                + (f"; the pods of {', '.join(alone)}, which it has besides, are left out" if alone else "")
            )
