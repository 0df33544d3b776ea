"""A whole handshake predicted at once: the two machines played against each other, without a network between."""

from __future__ import annotations

from typing import Final

import msgspec

from meshsim.sidecar.tls.flights import Flight, HelloRetryRequest, ServerFlight, SessionTicket
from meshsim.sidecar.tls.machine import TlsClient, TlsServer
from meshsim.sidecar.tls.operations import Operations
from meshsim.sidecar.tls.outcome import End, Established, Refused, TlsStep
from meshsim.sidecar.tls.settings import TlsSide


class HandshakeCase(msgspec.Struct, frozen=True):
    """Everything that decides a handshake."""

    client: TlsSide
    server: TlsSide
    expected_peers: frozenset[str]
    """SPIFFE IDs that the client accepts as its server."""
    client_clock_ns: int
    """Epoch time by the client's clock, throughout."""
    server_clock_ns: int
    """Epoch time by the server's clock, throughout."""
    ticket: SessionTicket | None = None
    """A ticket that the client holds; whether it offers it, and whether that helps, is part of the prediction."""


class Prediction(msgspec.Struct, frozen=True):
    """What a handshake comes to."""

    flights: tuple[tuple[End, Flight], ...]
    """Who sent what, in order; from both ends, alerts and session tickets included."""
    client_established: Established | None
    server_established: Established | None
    client_refused: Refused | None
    """The refusal as the client sees it; also set when it was established before."""
    server_refused: Refused | None
    client_operations: Operations
    server_operations: Operations
    ticket: SessionTicket | None
    """What the client stored."""

    @property
    def established(self) -> bool:
        """Whether both ends can exchange application bytes for good."""
        return self.server_established is not None and self.client_refused is None and self.server_refused is None

    @property
    def refused(self) -> Refused | None:
        """The refusal, as the end that gave up sees it."""
        for refused, own in ((self.client_refused, "client"), (self.server_refused, "server")):
            if refused is not None and refused.by == own:
                return refused
        return None

    @property
    def round_trips(self) -> int:
        """Round trips before the client may send application bytes, or learns that it may not."""
        answers = [flight for end, flight in self.flights if end == "server"]
        if self.client_established is None:
            return len(answers)
        return sum(isinstance(answer, HelloRetryRequest | ServerFlight) for answer in answers)


MAX_FLIGHTS: Final = 8
"""More than any handshake has: two hellos each way, a finish, tickets, an alert."""


def predict(case: HandshakeCase) -> Prediction:
    """Predict a handshake; a pure function, without OpenSSL."""
    client = TlsClient(case.client, case.expected_peers, case.ticket)
    server = TlsServer(case.server)
    sent: list[tuple[End, Flight]] = []
    steps: list[tuple[End, TlsStep]] = [("client", client.start(case.client_clock_ns))]
    while steps[-1][1].flights:
        end, step = steps[-1]
        (flight,) = step.flights
        sent.append((end, flight))
        assert len(sent) <= MAX_FLIGHTS, sent
        if end == "client":
            steps.append(("server", server.receive(flight, case.server_clock_ns)))
        else:
            steps.append(("client", client.receive(flight, case.client_clock_ns)))
    return summarise(sent, steps)


def summarise(sent: list[tuple[End, Flight]], steps: list[tuple[End, TlsStep]]) -> Prediction:
    """Return what the steps of a finished handshake come to."""
    established: dict[End, Established] = {}
    refused: dict[End, Refused] = {}
    done: dict[End, Operations] = {"client": (), "server": ()}
    ticket = None
    for end, step in steps:
        if step.established is not None:
            established[end] = step.established
        if step.refused is not None:
            refused[end] = step.refused
        done[end] += step.operations
        ticket = step.ticket or ticket
    return Prediction(
        flights=tuple(sent),
        client_established=established.get("client"),
        server_established=established.get("server"),
        client_refused=refused.get("client"),
        server_refused=refused.get("server"),
        client_operations=done["client"],
        server_operations=done["server"],
        ticket=ticket,
    )
