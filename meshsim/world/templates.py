"""What calls of one kind have in common, for every kind that a run can have; and how each of them is routed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from meshsim.control.routing import Router, Routes, callers
from meshsim.identity.token_places import BEARER, Place
from meshsim.scenario.call_graph import calls_of, route_targets
from meshsim.scenario.headers import on_the_wire
from meshsim.scenario.placed_waypoints import Ways
from meshsim.scenario.tokens import StolenToken, token_key
from meshsim.sidecar.http_sizes import answer_body_bytes
from meshsim.sidecar.messages import CallTemplate
from meshsim.sidecar.received import HeaderRules, end_to_end, kept

if TYPE_CHECKING:
    from meshsim.scenario.model import Scenario
    from meshsim.scenario.services import Call, Service
    from meshsim.scenario.tokens import Flaw, TokenPlace
    from meshsim.scenario.traffic import Traffic


def header_rules(scenario: Scenario) -> HeaderRules:
    """What sidecars do with header fields."""
    http = scenario.mesh.http
    client_cert = http.client_cert
    modes = (client_cert.from_fleets, client_cert.from_services)
    return HeaderRules(*modes, client_cert.fields, http.identity_headers)


Fields = tuple[tuple[str, str], ...]
"""Header fields as they are on the wire."""


def place_of(said: TokenPlace | None) -> Place:
    """Return where requests carry a token."""
    if said is None:
        return BEARER
    if said.header is not None:
        return Place("header", said.header.lower(), said.prefix)
    return Place("cookie", said.cookie) if said.cookie is not None else Place("param", said.param or "")


class Templates:
    """The templates of a scenario's flows and calls."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._default_ns = scenario.mesh.resilience.request_timeout_ns
        self._rules = header_rules(scenario)
        self._ways = Ways(scenario)
        self._placed = self._ways.placed
        self._indices = count()
        self.flows = [self._of_flow(flow) for flow in scenario.traffic]
        """Of each flow, in order."""
        self._calls: dict[tuple[int, str], CallTemplate] = {}
        """Of each call of each service, by the call's ``id`` and the slice."""
        self._forwarding: dict[tuple[int, str, Fields], CallTemplate] = {}
        """The same with header fields that the service hands on."""
        self._carried: dict[tuple[int, str], Fields] = {}
        self._of_workload: dict[str, list[CallTemplate]] = {}
        for flow, template in zip(scenario.traffic, self.flows, strict=True):
            self._of_workload.setdefault(flow.source, []).append(template)
        for name in scenario.services:
            for _, call in calls_of(scenario, name):
                for slice_name in scenario.network.slices:
                    template = self._calls[id(call), slice_name] = self._of_call(call, slice_name, name)
                    self._of_workload.setdefault(name, []).append(template)
        if any(service.forward_headers for service in scenario.services.values()):
            self._follow_headers()
        self.onward = self._sent_on()
        """What each waypoint with a place sends on, by its workload and the index of what comes to it."""

    def of(self, call: Call, service: Service, incoming: CallTemplate, workload: str) -> CallTemplate:
        """The template of a call that a service makes while it handles one like ``incoming``."""
        if service.forward_headers:
            key = (incoming.index, workload)
            carried = self._carried.get(key)
            if carried is None:
                carried = self._carried[key] = self._handed_on(service, incoming)
            if carried:
                return self._forwarding[id(call), incoming.slice, carried]
        return self._calls[id(call), incoming.slice]

    def routes(self) -> dict[tuple[str, str], Routes]:
        """How the calls of each kind of caller are routed, by workload and version; only where any is."""
        mesh = self._scenario.mesh
        if not mesh.routes and not mesh.destinations:
            return {}
        router = Router(self._scenario, self._indices)
        found = {}
        for caller in callers(self._scenario):
            placed = self._placed.get(caller.workload)
            resilience = mesh.resilience if placed is None else placed.settings.resilience
            routes = router.routes(caller, self._routed(caller.workload), resilience)
            found[caller.workload, caller.version] = routes
        return {caller: routes for caller, routes in found.items() if routes}

    def _routed(self, workload: str) -> Iterator[CallTemplate]:
        """The templates of a workload that its own proxy routes: not what a waypoint does, and none of a ztunnel's."""
        templates = self._of_workload.get(workload, ())
        return (template for template in templates if not template.through and not template.carried_by_ztunnel)

    def _sent_on(self) -> dict[str, dict[int, CallTemplate]]:
        onward: dict[str, dict[int, CallTemplate]] = {}
        coming = [template for each in self._of_workload.values() for template in each if template.through]
        for template in coming:
            headers = kept(end_to_end(template.headers), self._rules, outside=template.outside, mutual=False)
            sent = msgspec.structs.replace(
                template,
                index=next(self._indices),
                through="",
                carried_by_ztunnel=False,
                as_tcp=self._ways.is_tcp(template.through, template.destination, template.port),
                headers=headers,
                token="",  # what is left of the request's own goes along
                token_place=BEARER,
                optional=False,
                timeout_ns=self._placed[template.through].settings.resilience.request_timeout_ns,
                patient=True,
            )
            onward.setdefault(template.through, {})[template.index] = sent
            self._of_workload.setdefault(template.through, []).append(sent)
        return onward

    def _of_flow(self, flow: Traffic) -> CallTemplate:
        service = self._scenario.services[flow.to]
        port = flow.port or service.first_port
        return CallTemplate(
            next(self._indices),
            flow.to,
            flow.method,
            flow.path,
            flow.request_bytes,
            answer_body_bytes(flow.method, 200, flow.response_bytes),
            flow.slice,
            flow.timeout_ns or self._default_ns,
            port=port,
            token="" if flow.malformed else token_key(flow.token, holds=self._holds(flow)),
            token_place=self._place(flow.source, flow.token),
            headers=on_the_wire(flow.headers),
            patient=flow.timeout_ns is None,
            target_port=service.target_port(port),
            outside=True,
            malformed=flow.malformed or "",
            http1=flow.http_version == "1.1",
            other_authority=_other(flow.authority, flow.to),
            through=self._ways.through(flow.source, flow.to),
            carried_by_ztunnel=self._ways.is_carried(flow.source, flow.to),
            as_tcp=self._ways.is_tcp(flow.source, flow.to, port),
        )

    def _place(self, caller: str, presented: Flaw | StolenToken) -> Place:
        """Where requests carry a token: a stolen one where its owner's do, unless it is said otherwise."""
        holder = caller
        if isinstance(presented, StolenToken):
            if presented.at is not None:
                return place_of(presented.at)
            holder = presented.stolen_from
        owner = self._scenario.fleets.get(holder) or self._scenario.services.get(holder)
        return place_of(None if owner is None or owner.token is None else owner.token.at)

    def _holds(self, flow: Traffic) -> bool:
        return self._scenario.fleets[flow.source].token is not None

    def _of_call(self, call: Call, slice_name: str, caller: str) -> CallTemplate:
        service = self._scenario.services[call.to]
        port = call.port or service.first_port
        return CallTemplate(
            next(self._indices),
            call.to,
            call.method,
            call.path,
            call.request_bytes,
            answer_body_bytes(call.method, 200, call.response_bytes),
            slice_name,
            call.timeout_ns or self._default_ns,
            call.optional,
            port,
            token_key(call.token, holds=self._scenario.services[caller].token is not None),
            on_the_wire(call.headers),
            patient=call.timeout_ns is None,
            token_place=self._place(caller, call.token),
            other_authority=_other(call.authority, call.to),
            target_port=service.target_port(port),
            through=self._ways.through(caller, call.to),
            carried_by_ztunnel=self._ways.is_carried(caller, call.to),
            as_tcp=self._ways.is_tcp(caller, call.to, port),
        )

    def _follow_headers(self) -> None:
        """Make the templates of calls with fields that were handed on, as far as any flow brings them."""
        waiting = [(service, flow) for flow in self.flows for service in self._reached(flow.destination)]
        seen = {(service, flow.slice, flow.headers, flow.outside) for service, flow in waiting}
        while waiting:
            name, incoming = waiting.pop()
            carried = self._handed_on(self._scenario.services[name], incoming)
            for _, call in calls_of(self._scenario, name):
                template = self._with(call, incoming.slice, carried, name)
                for service in self._reached(call.to):
                    state = (service, template.slice, template.headers, template.outside)
                    if state not in seen:
                        seen.add(state)
                        waiting.append((service, template))

    def _with(self, call: Call, slice_name: str, carried: Fields, caller: str) -> CallTemplate:
        plain = self._calls[id(call), slice_name]
        if not carried:
            return plain
        key = (id(call), slice_name, carried)
        template = self._forwarding.get(key)
        if template is None:
            # What the call sets itself stands in place of what was handed on.
            headers = on_the_wire({**dict(carried), **dict(plain.headers)})
            index = next(self._indices)
            template = self._forwarding[key] = msgspec.structs.replace(plain, index=index, headers=headers)
            self._of_workload[caller].append(template)
        return template

    def _reached(self, service: str) -> Iterator[str]:
        """The services that calls to a service may end up at."""
        yield service
        yield from route_targets(self._scenario, service)

    def _handed_on(self, service: Service, incoming: CallTemplate) -> Fields:
        """The fields of a request that a service puts on its own calls, as far as its sidecar lets them through."""
        wanted = {name.lower() for name in service.forward_headers}
        headers = end_to_end(incoming.headers)
        headers = kept(headers, self._rules, outside=incoming.outside, mutual=False)
        return tuple((name, value) for name, value in headers if name in wanted)


def _other(authority: str | None, service: str) -> str:
    """An authority that is not the name of the service that is called; empty for that, and for none."""
    return "" if authority is None or authority == service else authority
