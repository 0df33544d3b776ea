"""A small mesh of identities, and a way to play handshakes with damage on the way, with OpenSSL riding along or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from meshsim.identity.authority import Authority
from meshsim.identity.bundle import TrustBundle, by_trust_domain
from meshsim.identity.svid import KEY_TYPES, STANDARD, Profile
from meshsim.sidecar.tls.machine import TlsClient, TlsServer
from meshsim.sidecar.tls.openssl import Engines
from meshsim.sidecar.tls.oracle import Oracle
from meshsim.sidecar.tls.prediction import HandshakeCase, Prediction, predict, summarise
from meshsim.sidecar.tls.settings import TlsSettings, TlsSide

SECOND = 10**9
HOUR = 3600 * SECOND
START = 1_790_000_000 * SECOND
"""Late in 2026: an instant that no wall clock is asked for."""
NOW = START + 600 * SECOND
SERVER_ID = "spiffe://plant.example/ns/default/sa/vision"
CLIENT_ID = "spiffe://plant.example/ns/default/sa/planner"


class Mesh:
    """Two trust domains, a rogue authority, and a case that works to start from."""

    def __init__(self) -> None:
        end = START + 20 * 365 * 24 * HOUR
        self.root = Authority("plant.example", "root", 7, "ecdsa-p256", START, end)
        self.rogue = Authority("plant.example", "rogue", 7, "ecdsa-p256", START, end)
        self.partner = Authority("partner.example", "root", 7, "ecdsa-p256", START, end)
        self.roots = {"ecdsa-p256": self.root}
        """A root of each key type."""
        self.sites: dict[str, Authority] = {}
        """An intermediate of each key type, below a root of the same type."""
        for key_type in KEY_TYPES:
            root = self.roots.setdefault(
                key_type, Authority("plant.example", f"root-{key_type}", 7, key_type, START, end)
            )
            site_end = START + 2 * HOUR
            self.sites[key_type] = Authority("plant.example", f"site-{key_type}", 7, key_type, START, site_end, root)
        known = (self.rogue, self.partner, *self.roots.values(), *self.sites.values())
        self.authorities = {each.id: each for each in known}
        self.every_root = by_trust_domain(
            [TrustBundle("plant.example", frozenset(root.id for root in self.roots.values()))]
        )
        """Trust in the roots of every key type."""
        self.bundle = TrustBundle("plant.example", frozenset({self.root.id}))
        self.partner_bundle = TrustBundle("partner.example", frozenset({self.partner.id}))
        self.bundles = by_trust_domain([self.bundle])
        self.federated = by_trust_domain([self.bundle, self.partner_bundle])
        self.engines = Engines(self.authorities)
        self.oracle = Oracle(self.authorities)

    def svid(
        self,
        spiffe_id: str,
        authority: Authority | None = None,
        start: int = START,
        ttl: int = HOUR,
        key_type: str = "ecdsa-p256",
        profile: Profile = STANDARD,
    ) -> Any:
        """Issue a certificate, by default a good one."""
        return (authority or self.root).issue(spiffe_id, key_type, start, start + ttl, 0, profile=profile)

    def add(self, authority: Authority) -> Authority:
        """Make an authority known, so that what it issues can be real."""
        return self.authorities.setdefault(authority.id, authority)

    def case(self, **changes: Any) -> HandshakeCase:
        """Return a case that works, with changes: of the case, or of an end's side or settings (``client__groups``)."""
        settings = TlsSettings(groups=("X25519",))
        case = HandshakeCase(
            client=TlsSide(settings=settings, svid=self.svid(CLIENT_ID), bundles=self.bundles),
            server=TlsSide(settings=settings, svid=self.svid(SERVER_ID), bundles=self.bundles, ticket_key="boot 1"),
            expected_peers=frozenset({SERVER_ID}),
            client_clock_ns=NOW,
            server_clock_ns=NOW,
        )
        for name, value in changes.items():
            end, _, field = name.partition("__")
            if end in ("client", "server") and field:
                side = getattr(case, end)
                settable = {"svid", "bundles", "ticket_key", "settings"}
                if field in settable:
                    side = msgspec.structs.replace(side, **{field: value})
                else:
                    side = msgspec.structs.replace(
                        side, settings=msgspec.structs.replace(side.settings, **{field: value})
                    )
                case = msgspec.structs.replace(case, **{end: side})
            else:
                case = msgspec.structs.replace(case, **{name: value})
        return case

    def proven(self, case: HandshakeCase) -> Prediction:
        """Predict a case, and have OpenSSL confirm it both in one go and riding along."""
        prediction = predict(case)
        self.oracle.check(case, prediction)
        if case.ticket is None or case.ticket.session is not None:
            ridden = self.play(case, real=True)
            assert strip(ridden) == strip(prediction)
        return prediction

    def play(
        self,
        case: HandshakeCase,
        *,
        real: bool,
        damage: Callable[[Any], Any] | None = None,
        at: int = -1,
        again_at: int = -1,
        cut: bool = False,
    ) -> Prediction:
        """Play a handshake; ``damage`` befalls flight number ``at``, and with ``cut`` the transport ends there."""
        client_engine = self.engines.client(case.client, case.expected_peers) if real else None
        server_engine = self.engines.server(case.server) if real else None
        client = TlsClient(case.client, case.expected_peers, case.ticket, client_engine)
        server = TlsServer(case.server, server_engine)
        steps: list[Any] = [("client", client.start(case.client_clock_ns))]
        sent: list[Any] = []
        while steps[-1][1].flights:
            end, step = steps[-1]
            (flight,) = step.flights
            if len(sent) in (at, again_at) and damage is not None:
                flight = damage(flight)
            sent.append((end, flight))
            if end == "client":
                steps.append(("server", server.receive(flight, case.server_clock_ns)))
            else:
                steps.append(("client", client.receive(flight, case.client_clock_ns)))
            if cut and len(sent) == at + 1:
                steps.append(("client", client.closed(case.client_clock_ns)))
                steps.append(("server", server.closed(case.server_clock_ns)))
                break
        return summarise(sent, steps)


def strip(prediction: Prediction) -> Prediction:
    """Leave the real bytes out, so that fidelities can be compared."""
    flights = []
    for end, flight in prediction.flights:
        plain = msgspec.structs.replace(flight, wire=None)
        ticket = getattr(plain, "ticket", None)
        if ticket is not None:
            plain = msgspec.structs.replace(plain, ticket=msgspec.structs.replace(ticket, session=None))
        flights.append((end, plain))
    ticket = prediction.ticket
    if ticket is not None:
        ticket = msgspec.structs.replace(ticket, session=None)
    return msgspec.structs.replace(prediction, flights=tuple(flights), ticket=ticket)


@pytest.fixture(scope="session")
def mesh() -> Mesh:
    return Mesh()
