"""Playbooks: a sidecar is told what happens, and each command that it answers with is expected in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from random import Random
from typing import Any

import msgspec
import pytest

from meshsim.identity.authority import Authority
from meshsim.identity.bundle import TrustBundle, by_trust_domain
from meshsim.sidecar import events
from meshsim.sidecar.balancer import Balancer
from meshsim.sidecar.endpoint import Endpoint
from meshsim.sidecar.messages import CallTemplate, RequestMessage, ResponseMessage
from meshsim.sidecar.pool_settings import PoolSettings
from meshsim.sidecar.proxy import Sidecar
from meshsim.sidecar.resilience import ResilienceSettings
from meshsim.sidecar.routing import Route, RouteRandoms
from meshsim.sidecar.settings import SidecarSettings
from meshsim.sidecar.tls.settings import TlsSettings, TlsSide
from meshsim.sidecar.wallet import Wallet

MS = 1_000_000
S = 1_000_000_000
EPOCH = 1_790_000_000 * S
Expected = type | tuple[type, dict[str, Any]]


def spiffe_id(service: str) -> str:
    """The SPIFFE ID of a service of the mesh."""
    return f"spiffe://plant.example/ns/default/sa/{service}"


class Playbook:
    """One sidecar and what is expected of it, step by step; time is in milliseconds and never goes back."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.sidecar = sidecar
        self.now_ns = 0
        self.commands: list[Any] = []

    def at(self, time_ms: float) -> Playbook:
        """Let time pass; nothing may come of the timers that are due before that instant."""
        time_ns = round(time_ms * MS)
        assert self.now_ns <= time_ns
        while self.sidecar.timers.next_ns < time_ns:
            self.due().expects()
        self.now_ns = time_ns
        return self

    def on(self, event: Any) -> Playbook:
        """Tell the sidecar of an event; what it answered before must have been expected."""
        assert self.commands == [], f"not expected: {self.commands}"
        self.commands = self.sidecar.handle(event, self.now_ns)
        return self

    def due(self) -> Playbook:
        """Wait for the next timer and tell the sidecar of it."""
        self.now_ns = self.sidecar.timers.next_ns
        return self.on(events.TimerDue())

    def expects(self, *expected: Expected) -> Playbook:
        """Expect these commands and no more: each by its type, or with fields (``__`` for a dot) that it must have."""
        wanted = [one if isinstance(one, tuple) else (one, {}) for one in expected]
        assert [type(command) for command in self.commands] == [kind for kind, _ in wanted], self.commands
        for command, (_, fields) in zip(self.commands, wanted, strict=True):
            for name, value in fields.items():
                found: Any = command
                for part in name.split("__"):
                    found = getattr(found, part)
                assert found == value, f"{name} is {found!r} in {command!r}"
        self.commands = []
        return self

    def takes(self) -> list[Any]:
        """Return the commands that are due, which are then no longer expected."""
        commands, self.commands = self.commands, []
        return commands


class Stage:
    """Makes sidecars of one mesh, and what happens to them."""

    def __init__(self) -> None:
        self.authority = Authority("plant.example", "root", 7, "ecdsa-p256", EPOCH, EPOCH + 365 * 86_400 * S)
        self.bundles = by_trust_domain([TrustBundle("plant.example", frozenset({self.authority.id}))])

    def side(self, service: str, *, ttl_s: int = 3600, not_before_s: int = 0, **settings: Any) -> TlsSide:
        """What a service brings to handshakes; its certificate counts from the start of simulated time."""
        begin_ns = EPOCH + not_before_s * S
        svid = self.authority.issue(spiffe_id(service), "ecdsa-p256", begin_ns, begin_ns + ttl_s * S, 0, service)
        return TlsSide(TlsSettings(**{"groups": ("X25519",)} | settings), svid, self.bundles, f"{service}#1")

    def sidecar(
        self,
        *,
        mode: str = "DISABLE",
        side: TlsSide | None = None,
        endpoints: tuple[Endpoint, ...] | None = None,
        distance_ns: Callable[[str, str], int | None] = lambda one, other: 0 if one == other else 5 * MS,
        policy_asked: bool = False,
        policy_reads: frozenset[str] = frozenset(),
        pool_per_slice: bool = False,
        ticket_per_service: bool = False,
        balancing: str = "round_robin",
        routes: Mapping[int, Route] | None = None,
        port_tls: Mapping[int, TlsSettings] | None = None,
        wallet: Wallet | None = None,
        **changes: Any,
    ) -> Playbook:
        """A sidecar of the planner on node a; by default it speaks plaintext and knows one replica of vision."""
        pool = {"streams_per_connection": 2, "max_connections": 2, "idle_timeout_ns": 10 * S}
        resilience: dict[str, Any] = {
            "retries": 1,
            "retry_on": frozenset({"unreachable", "reset"}),
            "backoff_ns": 20 * MS,
            "attempt_timeout_ns": None,
            "connect_timeout_ns": 500 * MS,
        }
        pool |= {name: changes.pop(name) for name in pool.keys() & changes.keys()}
        resilience |= {name: changes.pop(name) for name in resilience.keys() & changes.keys()}
        assert not changes, changes
        settings = SidecarSettings(
            name="planner/0",
            workload="planner",
            clock_offset_ns=EPOCH,
            pool=PoolSettings(**pool),
            resilience=ResilienceSettings(**resilience),
            pool_per_slice=pool_per_slice,
            policy_asked=policy_asked,
            routes=routes or {},
            port_tls=port_tls or {},
            policy_reads=policy_reads,
            namespace="default",
            node="a",
            address="10.244.0.2",
            ticket_per_service=ticket_per_service,
            wallet=wallet,
        )
        balancer = Balancer(balancing, locality=True, distance_ns=distance_ns, node="a", site="plant")  # type: ignore[arg-type] # one of its literals
        ids = count(1)
        randoms = RouteRandoms(Random(1), Random(2), Random(3), Random(4))
        sidecar = Sidecar(settings, side or self.side("planner", mode=mode), balancer, Random(4), ids, None, randoms)
        sidecar.outbound.site, sidecar.outbound.node = "plant", "a"
        known = (self.endpoint(1),) if endpoints is None else endpoints
        book = Playbook(sidecar)
        return book.on(events.EndpointsChanged(1, {"vision": known})).expects()

    def endpoint(self, number: int, node: str = "b", site: str = "plant", version: str = "") -> Endpoint:
        """A replica of vision."""
        return Endpoint(number, "vision", node, site, spiffe_id("vision"), version)

    def template(self, **changes: Any) -> CallTemplate:
        """Calls to vision, changed."""
        call = CallTemplate(0, "vision", "GET", "/frames", 100, 1000, "control", 2 * S)
        return msgspec.structs.replace(call, **changes)

    def call(self, call_id: int, **changes: Any) -> events.CallStarted:
        """The workload asks for a call."""
        return events.CallStarted(call_id, self.template(**changes))

    def response(
        self, connection_id: int, call_id: int, *, attempt: int = 1, status: int = 200, encrypted: bool = False
    ) -> events.UnitReceived:
        """A response arrives."""
        message = ResponseMessage(call_id, attempt, self.template(), status, 1000, 1100, encrypted)
        return events.UnitReceived(connection_id, message)

    def request(
        self, connection_id: int, call_id: int, *, encrypted: bool = False, node: str = "gnb-1", **changes: Any
    ) -> events.UnitReceived:
        """A request arrives."""
        template = self.template(**changes)
        message = RequestMessage(call_id, 1, template, "cars", "depot", node, 400, encrypted)
        return events.UnitReceived(connection_id, message)


@pytest.fixture(scope="session")
def stage() -> Stage:
    return Stage()
