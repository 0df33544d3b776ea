"""Routes and destinations of a scenario, made into what each sidecar is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from meshsim.control.matching import Caller, matches, rewritten_path
from meshsim.scenario.destinations import DestinationBalancing, DestinationPool, DestinationSettings, OutlierDetection
from meshsim.scenario.tls import tls_of
from meshsim.scenario.variants import variants, version_tls
from meshsim.sidecar.pool_settings import PoolSettings
from meshsim.sidecar.resilience import ResilienceSettings, carrying
from meshsim.sidecar.routing import NO_LIMIT, Destination, OutlierSettings, Route, Way

if TYPE_CHECKING:
    from meshsim.scenario.mesh import Resilience
    from meshsim.scenario.model import Scenario
    from meshsim.scenario.routes import Route as ScenarioRoute
    from meshsim.scenario.routes import RouteMatch, RouteRetries, RouteTarget
    from meshsim.sidecar.messages import CallTemplate

Routes = Mapping[int, Route]
"""What becomes of calls, by the index of their template."""


def callers(scenario: Scenario) -> Iterator[Caller]:
    """The kinds of workload that make calls."""
    for name in scenario.fleets:
        yield Caller(name)
    for name, service in scenario.services.items():
        for variant in variants(name, service):
            yield Caller(name, variant.version, service.namespace, variant.labels)


def resilience_settings(resilience: Resilience) -> ResilienceSettings:
    """Return what a sidecar does about failures."""
    return ResilienceSettings(
        resilience.retries,
        frozenset(resilience.retry_on),
        resilience.backoff_ns,
        resilience.attempt_timeout_ns,
        resilience.connect_timeout_ns,
    )


class Router:
    """Finds the route of each kind of call; ``indices`` numbers the templates of calls that routes rewrite."""

    def __init__(self, scenario: Scenario, indices: Iterator[int]) -> None:
        self._scenario = scenario
        self._indices = indices
        self._by_service: dict[str, list[ScenarioRoute]] = {}
        for route in scenario.mesh.routes:
            self._by_service.setdefault(route.to, []).append(route)
        self._destinations: dict[tuple[str, str], Destination] = {}
        self._rewritten: dict[tuple[int, str, str, int, str], CallTemplate] = {}
        self._resilience = resilience_settings(scenario.mesh.resilience)

    def routes(self, caller: Caller, templates: Iterable[CallTemplate], resilience: Resilience) -> Routes:
        """What a caller's sidecar is told of its calls; those that nothing is said about are not in it.

        ``resilience``: what it does about failures where no route says it.
        """
        self._resilience = resilience_settings(resilience)
        found = ((template.index, self._route(caller, template)) for template in templates)
        return {index: route for index, route in found if route is not None}

    def _route(self, caller: Caller, template: CallTemplate) -> Route | None:
        service = template.destination
        mine = None if template.as_tcp else self._by_service.get(service)
        if mine is None:
            if service not in self._scenario.mesh.destinations:
                return None
            resilience = carrying(self._resilience) if template.as_tcp else self._resilience
            return Route((self._way(None, template, caller),), template.timeout_ns, resilience)
        for route in mine:
            if not route.match:
                return self._carried_out(route, None, template, caller)
            match = next((one for one in route.match if matches(one, template, caller)), None)
            if match is not None:
                return self._carried_out(route, match, template, caller)
        return Route((), template.timeout_ns, self._resilience)

    def _carried_out(
        self, route: ScenarioRoute, match: RouteMatch | None, template: CallTemplate, caller: Caller
    ) -> Route:
        path, authority = template.path, ""
        if route.rewrite is not None:
            authority = route.rewrite.authority or ""
            if route.rewrite.path is not None:
                path = rewritten_path(match, path, route.rewrite.path)
        targets = route.split or (None,)
        return Route(
            ways=tuple(self._way(target, template, caller, path, authority) for target in targets),
            timeout_ns=route.timeout_ns or template.timeout_ns,
            resilience=self._retries(route.retries),
            delay_ppm=0 if route.delay is None else route.delay.share_ppm,
            delay_ns=0 if route.delay is None else route.delay.fixed_ns,
            abort_ppm=0 if route.abort is None else route.abort.share_ppm,
            abort_status=0 if route.abort is None else route.abort.status,
        )

    def _retries(self, retries: RouteRetries | None) -> ResilienceSettings:
        if retries is None:
            return self._resilience
        changes: dict[str, object] = {"retries": retries.attempts}
        if retries.retry_on is not None:
            changes["retry_on"] = frozenset(retries.retry_on)
        if retries.attempt_timeout_ns is not None:
            changes["attempt_timeout_ns"] = retries.attempt_timeout_ns
        return msgspec.structs.replace(self._resilience, **changes)

    def _way(
        self,
        target: RouteTarget | None,
        template: CallTemplate,
        caller: Caller,
        path: str | None = None,
        authority: str = "",
    ) -> Way:
        service = (target.to if target else None) or template.destination
        port = (target.port if target else None) or self._port(service, template)
        subset = (target.subset if target else None) or ""
        sent = self._sent(template, service, port, path or template.path, authority)
        key = "|".join((service, subset, str(port)))
        said = self._scenario.mesh.destinations.get(service)
        namespace = caller.namespace if said is not None and caller.namespace in said.callers_in else ""
        destination = self._destinations.get((namespace, key))
        if destination is None:
            destination = self._destination(key, service, subset, port, namespace)
            self._destinations[namespace, key] = destination
        return Way(destination, sent, target.weight if target else 1)

    def _port(self, service: str, template: CallTemplate) -> int:
        other = self._scenario.services[service]
        return template.port if template.port in other.protocols else other.first_port

    def _sent(self, template: CallTemplate, service: str, port: int, path: str, authority: str) -> CallTemplate:
        """A call as it is sent; the very template where nothing about it changes."""
        authority = authority or template.authority  # a route alone does not change it
        own = (template.destination, template.port, template.path, template.authority)
        if (service, port, path, authority) == own:
            return template
        key = (template.index, service, path, port, authority)
        sent = self._rewritten.get(key)
        if sent is None:
            sent = self._rewritten[key] = msgspec.structs.replace(
                template,
                index=next(self._indices),
                destination=service,
                path=path,
                port=port,
                target_port=self._scenario.services[service].target_port(port),
                other_authority="" if authority == service else authority,
            )
        return sent

    def _destination(self, key: str, service: str, subset: str, port: int, namespace: str) -> Destination:
        mesh = self._scenario.mesh
        settings = settings_of(self._scenario, service, subset, port, namespace)
        balancing = settings.load_balancing or DestinationBalancing()
        pool = settings.pool or DestinationPool()
        return Destination(
            key=key,
            service=service,
            versions=self._versions(service, subset, namespace),
            plaintext=plaintext_to(self._scenario, settings, service, port),
            plaintext_to=self._plaintext_to(settings, service, port),
            balancing=balancing.policy or mesh.load_balancing.policy,
            locality=mesh.load_balancing.locality if balancing.locality is None else balancing.locality,
            pool=PoolSettings(
                pool.streams_per_connection or mesh.pool.streams_per_connection,
                pool.connections_per_replica or mesh.pool.max_connections,
                pool.idle_timeout_ns or mesh.pool.idle_timeout_ns,
                pool.requests_per_connection or 0,
            ),
            max_connections=pool.max_connections or NO_LIMIT,
            max_requests=pool.max_requests or NO_LIMIT,
            max_pending=pool.max_pending or NO_LIMIT,
            connect_timeout_ns=pool.connect_timeout_ns or mesh.resilience.connect_timeout_ns,
            outlier=_outlier(settings.outlier_detection),
        )

    def _plaintext_to(self, settings: DestinationSettings, service: str, port: int) -> dict[str, bool]:
        """Versions that callers are told to speak to otherwise than to the others, and whether in plaintext."""
        usual = plaintext_to(self._scenario, settings, service, port)
        of_version = {
            version: plaintext_to(self._scenario, settings, service, port, version)
            for version in self._scenario.services[service].versions
        }
        return {version: told for version, told in of_version.items() if told is not None and told != usual}

    def _versions(self, service: str, subset: str, namespace: str) -> frozenset[str] | None:
        if not subset:
            return None
        part = self._scenario.mesh.destinations[service].to(namespace).subsets.get(subset)
        if part is None:
            return frozenset()  # nobody has told these callers of it
        wanted = part.labels
        kinds = variants(service, self._scenario.services[service])
        return frozenset(kind.version for kind in kinds if wanted.items() <= kind.labels.items())


def plaintext_to(
    scenario: Scenario, settings: DestinationSettings, service: str, port: int, version: str = ""
) -> bool | None:
    """Say whether callers are told to speak plaintext to a port, or TLS; None: each goes by its own mode.

    ``version``: of its replicas; left out, of those whose version says nothing of its own.
    """
    if settings.tls == "auto":
        given = version_tls(scenario.services[service], version, port)
        return tls_of(scenario.mesh.tls, scenario.mesh.domain_tls(service), *given).mode == "DISABLE"
    return {"mutual": False, "plaintext": True}.get(settings.tls or "own")


def settings_of(scenario: Scenario, service: str, subset: str, port: int, namespace: str = "") -> DestinationSettings:
    """The settings of a destination for callers of a namespace (none: fleets).

    Those of the port if it has its own, then of the subset, then of the service.
    """
    said = scenario.mesh.destinations.get(service)
    if said is None:
        return DestinationSettings()
    destination = said.to(namespace)
    general = destination.ports.get(str(port), destination)
    if subset not in destination.subsets:
        return general
    part = destination.subsets[subset]
    special = part.ports.get(str(port), part)
    given = {
        name: getattr(special, name) if getattr(special, name) is not None else getattr(general, name)
        for name in DestinationSettings.model_fields
    }
    return DestinationSettings.model_construct(**given)


def _outlier(outlier: OutlierDetection | None) -> OutlierSettings | None:
    if outlier is None:
        return None
    return OutlierSettings(**{name: getattr(outlier, name) for name in OutlierSettings.__struct_fields__})
