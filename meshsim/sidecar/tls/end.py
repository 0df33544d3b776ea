"""What the client's and the server's end of a handshake have in common."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from meshsim.identity.svid import Svid
from meshsim.sidecar.tls import operations, outcome, sizes
from meshsim.sidecar.tls.agreement import Engine, advance
from meshsim.sidecar.tls.flights import (
    Alert,
    ClientHello,
    Flight,
    HelloRetryRequest,
    ServerFlight,
    SessionTicket,
    Whole,
)
from meshsim.sidecar.tls.negotiation import outlived
from meshsim.sidecar.tls.operations import Operations
from meshsim.sidecar.tls.outcome import End, Established, Refused, TlsStep
from meshsim.sidecar.tls.settings import TlsSide
from meshsim.sidecar.tls.states import Event, State
from meshsim.sidecar.tls.verification import is_revoked, verification_operations, verify_peer

_OTHER_END: Final[Mapping[End, End]] = MappingProxyType({"client": "server", "server": "client"})


class TlsEnd:
    """What both ends share: state, refusals, and an engine that may ride along."""

    role: End
    transitions: Mapping[tuple[State, Event], State]

    def __init__(self, side: TlsSide, state: State, engine: Engine | None) -> None:
        self.side = side
        self.state = state
        self.engine = engine
        self.retried = False
        self.alert = ""
        """The fatal alert that ended it, sent or received; empty while there is none."""
        self.peer: Svid | None = None
        """The peer's certificate once it is accepted, in this handshake or in the one that the session began with."""

    def receive(self, flight: Flight, clock_ns: int) -> TlsStep:
        """React to what the other end sent, at this node's epoch time; an end that has given up hears nothing."""
        if self.state is State.REFUSED:
            return TlsStep()
        step = self._react(flight, clock_ns)
        engine = self.engine
        if engine is None:
            return step
        if step.refused is not None:
            engine.watch()
        return advance(self.role, step, flight, lambda: engine.receive(_wire(flight), clock_ns))

    def closed(self, clock_ns: int) -> TlsStep:
        """React to the end of the transport: fatal in a handshake, a truncated one; no alert can go out any more."""
        if self.state in (State.REFUSED, State.ESTABLISHED, State.IDLE):
            return TlsStep()
        self._enter(Event.REFUSE)
        step = TlsStep(refused=Refused(alert="decode_error", by=self.role, reason=outcome.TRUNCATED, sent=False))
        engine = self.engine
        if engine is None:
            return step
        engine.watch()
        return advance(self.role, step, None, lambda: engine.closed(clock_ns))

    def _react(self, flight: Flight, clock_ns: int) -> TlsStep:
        raise AssertionError("each end reacts in its own way")

    def _enter(self, event: Event) -> None:
        following = self.transitions.get((self.state, event))
        assert following is not None, f"a {self.role} cannot {event.value} while it {self.state.value}"
        self.state = following

    def _refuse(self, reason: str, alert: str, done: Operations, encrypted: bool) -> TlsStep:
        self._enter(Event.REFUSE)
        self.alert = alert
        refused = Refused(alert=alert, by=self.role, reason=reason, sent=True)
        flight = Alert(description=alert, encrypted=encrypted, size_bytes=sizes.alert_size_bytes(encrypted))
        return TlsStep(flights=(flight,), operations=(*done, (operations.ALERT, 1)), refused=refused)

    def _encrypts_alerts(self) -> bool:
        """Say whether this end protects its alerts: a server once it has answered, a client once it is done."""
        return self.state in (State.ESTABLISHED, State.WAIT_CLIENT_FINISH)

    def _react_to_alert(self, alert: Alert) -> TlsStep:
        self._enter(Event.REFUSE)
        self.alert = alert.description
        refused = Refused(alert=alert.description, by=_OTHER_END[self.role], reason=outcome.PEER_REFUSED, sent=True)
        return TlsStep(operations=((operations.ALERT, 1),), refused=refused)

    def _react_to_plaintext(self) -> TlsStep:
        # OpenSSL answers with silence to what doesn't look like TLS.
        self._enter(Event.REFUSE)
        return TlsStep(refused=Refused(alert="", by=self.role, reason=outcome.PLAINTEXT, sent=False))

    def _react_to_tampered(self, flight: Whole, done: Operations = ()) -> TlsStep:
        match flight:
            case ClientHello() | HelloRetryRequest():
                alert = "unexpected_message"
            case Alert(encrypted=False):
                # The bit is in the level, which a server ignores once it has settled on TLS 1.3, and so here.
                if self.role == "server":
                    return self._react_to_alert(flight)
                alert = "illegal_parameter"
            case _:
                alert = "bad_record_mac"
        return self._refuse(outcome.TAMPERED_RECORD, alert, done, self._encrypts_alerts())

    def _verify(
        self, svid: Svid, expected_peers: frozenset[str] | None, clock_ns: int
    ) -> tuple[str | None, Operations]:
        """Check the peer's certificate; return why it is refused, if it is, and the work that it took."""
        side = self.side
        reason = verify_peer(svid, side.bundles, expected_peers, clock_ns, side.crls, side.settings.stale_crls)
        return reason, verification_operations(svid, reason, side.crls)


def rests_on_revoked(end: TlsEnd | None, side: TlsSide) -> bool:
    """Say whether an end has accepted a peer that is revoked, as far as somebody with this side has been told."""
    return end is not None and end.peer is not None and is_revoked(end.peer, side)


def established_in_full(flight: ServerFlight, server: Svid, peer: Svid | None, *, mutual: bool) -> Established:
    """Describe a connection after a full handshake, to the end whose ``peer`` it is."""
    return Established(
        resumed=False,
        version=flight.version,
        cipher=flight.cipher,
        group=flight.group,
        key_type=server.key_type,
        mutual=mutual,
        peer_spiffe_id="" if peer is None else peer.spiffe_id,
        peer_not_after_ns=0 if peer is None else peer.not_after_ns,
        peer_not_before_ns=0 if peer is None else peer.not_before_ns,
        resumed_after_expiry=False,
    )


def established_again(ticket: SessionTicket, peer: Svid | None, cipher: str, group: str, agreed_ns: int) -> Established:
    """Describe a resumed connection, to the end whose ``peer`` it is; the identities are those it began with.

    ``agreed_ns`` is the end's clock when it offered or took up the session, which is when it looks behind one, if it
    does. A certificate that ends while the handshake goes on has not been outlived by it, as in a full one.
    """
    return Established(
        resumed=True,
        version=ticket.version,
        cipher=cipher,
        group=group,
        key_type=ticket.server_svid.key_type,
        mutual=ticket.client_svid is not None,
        peer_spiffe_id="" if peer is None else peer.spiffe_id,
        peer_not_after_ns=0 if peer is None else peer.not_after_ns,
        peer_not_before_ns=0 if peer is None else peer.not_before_ns,
        resumed_after_expiry=outlived(ticket, agreed_ns),
    )


def _wire(flight: Flight) -> bytes:
    assert flight.wire is not None, "an engine needs the bytes of every flight, so both ends run one or neither does"
    return flight.wire
