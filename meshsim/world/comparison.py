"""Fidelity sampled: which handshakes OpenSSL is asked about, and what to hold against its answer."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

import msgspec

from meshsim.scenario.errors import InvariantViolation
from meshsim.sidecar.tls.negotiation import accepts_ticket, offers_ticket
from meshsim.sidecar.tls.outcome import PEER_REFUSED
from meshsim.sidecar.tls.prediction import HandshakeCase, predict

if TYPE_CHECKING:
    from meshsim.identity.authority import Authority
    from meshsim.sidecar.tls.settings import TlsSide
    from meshsim.world.connection import Connection, Handshake

ONE_IN = 100
"""Of the handshakes that are like one that was compared before, one in this many is compared again."""


def _told(side: TlsSide | None) -> Hashable:
    """Return the ways in which an end has been told of revoked certificates."""
    if side is None or (not side.crls and side.ocsp_staple is None and side.serves):
        return None
    return len(side.crls), None if side.ocsp_staple is None else side.ocsp_staple.status, side.serves


class HandshakeSampler:
    """Compares every distinct case, and one in a hundred after that.

    The pure prediction of the whole handshake must be what the simulated ends came to, and OpenSSL must come to the
    prediction.
    """

    def __init__(self, authorities: Mapping[str, Authority]) -> None:
        from meshsim.sidecar.tls.oracle import Oracle  # loads OpenSSL, which fidelity modelled never does

        self._oracle = Oracle(authorities)
        self._seen: dict[Hashable, int] = {}
        self.compared = 0
        """Handshakes that OpenSSL was asked about."""

    def ended(self, connection: Connection) -> None:
        """Take note of a handshake that has ended; raises InvariantViolation when somebody disagrees."""
        key = self._kind(connection)
        times = self._seen.get(key, 0)
        self._seen[key] = times + 1
        if times % ONE_IN == 0:
            self._compare(connection)

    def _kind(self, connection: Connection) -> Hashable:
        """Return what makes two handshakes alike: everything but which device, which second and which serial."""
        handshake = connection.handshake
        client, server = handshake.client_side, handshake.server_side
        established, refused, ticket = handshake.client, handshake.refused, handshake.ticket
        return (
            connection.client.workload,
            connection.server.name,
            client.settings if client else None,
            server.settings if server else None,
            None if refused is None else (refused.alert, refused.by, refused.reason),
            None if established is None else (established.resumed, established.resumed_after_expiry),
            handshake.round_trips,
            ticket is not None,
            *(_told(side) for side in (client, server)),
        )

    def _compare(self, connection: Connection) -> None:
        handshake = connection.handshake
        if handshake.client_side is None or handshake.server_side is None:
            return  # the other end does not speak TLS
        case = HandshakeCase(
            client=handshake.client_side,
            server=handshake.server_side,
            expected_peers=frozenset((connection.server.spiffe_id,)),
            client_clock_ns=handshake.client_clock_ns,
            server_clock_ns=handshake.server_clock_ns or handshake.client_clock_ns,
            ticket=handshake.ticket,
        )
        if self._ran_out(case, handshake):
            return
        prediction = predict(case)
        refused = prediction.refused
        if refused != handshake.refused and (refused is None or refused.reason != PEER_REFUSED):
            raise InvariantViolation(
                f"connection {connection.connection_id}: the simulated handshake came to {handshake.refused!r}, "
                f"the prediction to {refused!r}\ncase: {case!r}"
            )
        if handshake.client is not None and prediction.client_established is not None:
            same = msgspec.structs.replace(prediction.client_established, resumed_after_expiry=False)
            if same != msgspec.structs.replace(handshake.client, resumed_after_expiry=False):
                raise InvariantViolation(
                    f"connection {connection.connection_id}: the simulated client came to {handshake.client!r}, "
                    f"the prediction to {prediction.client_established!r}\ncase: {case!r}"
                )
        self._oracle.check(case, prediction)
        self.compared += 1

    @staticmethod
    def _ran_out(case: HandshakeCase, handshake: Handshake) -> bool:
        """Say whether what a session rests on ended in the middle of its handshake: no one clock would describe it."""
        client, server, ticket, peers = case.client, case.server, case.ticket, case.expected_peers
        if ticket is None:
            return False
        offers = {
            offers_ticket(client, ticket, peers, clock_ns)
            for clock_ns in (handshake.start_clock_ns, case.client_clock_ns)
        }
        accepts = {
            accepts_ticket(server, ticket, ticket.cipher, clock_ns)
            for clock_ns in (handshake.hello_clock_ns, case.server_clock_ns)
        }
        return len(offers) > 1 or len(accepts) > 1
