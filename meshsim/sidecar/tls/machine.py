"""The two ends of a TLS 1.3 handshake as state machines without I/O.

An end is told what arrives and what its node's clock says, and answers with a ``TlsStep``. The model alone decides
what happens; an engine that rides along must come to the same, or ``agreement`` raises ``InvariantViolation``.
"""

from __future__ import annotations

from meshsim.identity.svid import Svid
from meshsim.sidecar.tls import negotiation, operations, outcome, sizes
from meshsim.sidecar.tls.agreement import Engine, advance
from meshsim.sidecar.tls.end import TlsEnd, established_again, established_in_full
from meshsim.sidecar.tls.flights import (
    Alert,
    ClientFinish,
    ClientHello,
    Flight,
    HelloRetryRequest,
    Plaintext,
    ServerFlight,
    SessionTicket,
    SessionTickets,
    Tampered,
    Truncated,
)
from meshsim.sidecar.tls.operations import Operations
from meshsim.sidecar.tls.outcome import End, TlsStep
from meshsim.sidecar.tls.settings import HASH_SIZE_BYTES, TlsSide
from meshsim.sidecar.tls.states import CLIENT_TRANSITIONS, SERVER_TRANSITIONS, Event, State
from meshsim.sidecar.tls.verification import VERIFICATION_ALERTS, staple_flaw


class TlsClient(TlsEnd):
    """The client's end: start it, then feed it what arrives."""

    role: End = "client"
    transitions = CLIENT_TRANSITIONS

    def __init__(
        self,
        side: TlsSide,
        expected_peers: frozenset[str],
        ticket: SessionTicket | None = None,
        engine: Engine | None = None,
    ) -> None:
        super().__init__(side, State.IDLE, engine)
        self.expected_peers = expected_peers
        self.ticket = ticket
        self._hello: ClientHello | None = None
        self.own_svid: Svid | None = None
        """The certificate that the server has seen of this end, now or when the resumed session began."""
        self._staple_ends_ns = 0
        self._offered_ns = 0
        """Its clock when it offered a session."""

    def start(self, clock_ns: int) -> TlsStep:
        """Open the handshake with a ClientHello, offering the ticket if it still may."""
        offered = negotiation.offers_ticket(self.side, self.ticket, self.expected_peers, clock_ns)
        ticket = self.ticket if offered else None
        self._offered_ns = clock_ns
        self._enter(Event.SEND_CLIENT_HELLO)
        step = self._say_hello(self.side.settings.groups[0], ticket)
        engine = self.engine
        if engine is None:
            return step
        # The engine comes to its own judgement of the certificate behind a session.
        timely = negotiation.is_timely(self.side, self.ticket, self.expected_peers, clock_ns)
        session = self.ticket.session if self.ticket is not None and timely else None
        return advance(self.role, step, None, lambda: engine.start(clock_ns, session))

    def _say_hello(self, key_share: str, ticket: SessionTicket | None) -> TlsStep:
        settings = self.side.settings
        size = sizes.client_hello_size_bytes(settings, key_share, ticket)
        self._hello = hello = ClientHello(
            min_version=settings.min_version,
            max_version=settings.max_version,
            ciphers=settings.ciphers,
            groups=settings.groups,
            key_share=key_share,
            signature_schemes=settings.signature_schemes,
            staple_wanted=settings.ocsp != "off",
            ticket=ticket,
            retried=self.retried,
            size_bytes=sizes.client_flight_size_bytes(size, self.retried),
        )
        done: Operations = ((operations.CLIENT_HELLO, 1),)
        if settings.max_version == "1.3":
            done += operations.CLIENT_SHARE[key_share]
        if ticket is not None:
            done += ((operations.PSK_BINDER, 1),)
        return TlsStep(flights=(hello,), operations=done)

    def _react(self, flight: Flight, clock_ns: int) -> TlsStep:
        match flight:
            case ServerFlight():
                return self._finish(flight, clock_ns, tampered=False)
            case SessionTickets():
                return self._store(flight, clock_ns)
            case HelloRetryRequest():
                return self._retry(flight)
            case Alert():
                return self._react_to_alert(flight)
            case Tampered(flight=ServerFlight() as whole):
                return self._finish(whole, clock_ns, tampered=True)
            case Tampered(flight=whole):
                return self._react_to_tampered(whole)
            case Plaintext():
                return self._react_to_plaintext()
            case Truncated():
                return TlsStep()
        raise AssertionError(f"a server never sends {type(flight).__name__}")

    def _retry(self, request: HelloRetryRequest) -> TlsStep:
        assert self._hello is not None
        self._enter(Event.SEND_CLIENT_HELLO_RETRIED)
        self.retried = True
        ticket = self._hello.ticket
        if ticket is not None and HASH_SIZE_BYTES[ticket.cipher] != HASH_SIZE_BYTES[request.cipher]:
            ticket = None  # its binder would need the other hash
        return self._say_hello(request.group, ticket)

    def _finish(self, flight: ServerFlight, clock_ns: int, *, tampered: bool) -> TlsStep:
        assert self._hello is not None
        done: Operations = ((operations.CLIENT_FINISH, 1), *operations.CLIENT_SECRET[flight.group])
        if flight.svid is not None:
            reason, checks = self._verify(flight.svid, self.expected_peers, clock_ns)
            done += ((operations.CERTIFICATE_MESSAGES, 1), *checks)
            if reason is not None:
                return self._refuse(reason, VERIFICATION_ALERTS[reason], done, encrypted=False)
        if tampered:
            return self._react_to_tampered(flight, done)
        if flight.svid is not None:
            if flight.staple is not None:
                done += ((f"{flight.staple.issuer_key_type}.verify", 1),)
            reason = staple_flaw(self.side.settings.ocsp, flight.svid, flight.staple, clock_ns)
            if reason is not None:
                return self._refuse(reason, VERIFICATION_ALERTS[reason], done, encrypted=False)
        own = self._shown(flight)
        if own is not None:
            done += ((f"{own.key_type}.sign", 1),)
        self._enter(Event.SEND_CLIENT_FINISH)
        size = sizes.client_finish_size_bytes(flight.cipher, own, flight.certificate_requested, self.retried)
        ticket = self._hello.ticket
        self.own_svid = own if flight.svid is not None or ticket is None else ticket.client_svid
        if flight.svid is not None:
            established = established_in_full(flight, flight.svid, flight.svid, mutual=own is not None)
            self.peer, self._staple_ends_ns = flight.svid, flight.staple.next_update_ns if flight.staple else 0
        else:
            assert ticket is not None, "a server resumes only what it was offered"
            self.peer, self._staple_ends_ns = ticket.server_svid, ticket.staple_ends_ns
            established = established_again(ticket, ticket.server_svid, flight.cipher, flight.group, self._offered_ns)
        return TlsStep(flights=(ClientFinish(svid=own, size_bytes=size),), operations=done, established=established)

    def _shown(self, flight: ServerFlight) -> Svid | None:
        """Return the certificate that goes to a server: none if it asked for none, or has no scheme for its key."""
        side = self.side
        own = side.svid if side.settings.mutual and flight.certificate_requested else None
        if own is None:
            return None
        ours, theirs = side.settings.signature_schemes, flight.signature_schemes
        return own if negotiation.common_scheme(own, ours, theirs) else None

    def _store(self, flight: SessionTickets, clock_ns: int) -> TlsStep:
        self._enter(Event.STORE_TICKET)
        done: Operations = ((operations.SESSION_TICKET_STORE, flight.count),)
        ticket = flight.ticket
        if not self.side.settings.resumption or ticket.lifetime_ns == 0:
            return TlsStep(operations=done)
        lifetime_ns, staple_ends_ns = ticket.lifetime_ns, 0
        if self.side.settings.bound:
            staple_ends_ns = self._staple_ends_ns
            ends_ns = _ends_ns(ticket.client_svid, ticket.server_svid) + ((staple_ends_ns,) if staple_ends_ns else ())
            lifetime_ns = negotiation.bound_lifetime_ns(lifetime_ns, clock_ns, *ends_ns)
        stored = SessionTicket(
            ticket_key=ticket.ticket_key,
            issued_ns=ticket.issued_ns,
            lifetime_ns=lifetime_ns,
            version=ticket.version,
            cipher=ticket.cipher,
            group=ticket.group,
            listener=ticket.listener,
            client_svid=ticket.client_svid,
            server_svid=ticket.server_svid,
            received_ns=clock_ns,
            staple_ends_ns=staple_ends_ns,
        )
        return TlsStep(operations=done, ticket=stored)


class TlsServer(TlsEnd):
    """The server's end: it accepts any peer that its trust bundles vouch for."""

    role: End = "server"
    transitions = SERVER_TRANSITIONS

    def __init__(self, side: TlsSide, engine: Engine | None = None) -> None:
        super().__init__(side, State.WAIT_CLIENT_HELLO, engine)
        self._answer: ServerFlight | None = None
        self.peer_svid: Svid | None = None
        """The client's certificate, seen now or when the resumed session began; None if it showed none."""
        self._resumes: SessionTicket | None = None
        self._answered_ns = 0
        """Its clock when it answered the ClientHello: that is when it takes a session up again, or does not."""

    def _react(self, flight: Flight, clock_ns: int) -> TlsStep:
        match flight:
            case ClientHello():
                return self._answer_hello(flight, clock_ns)
            case ClientFinish():
                return self._finish(flight, clock_ns, tampered=False)
            case Alert():
                return self._react_to_alert(flight)
            case Tampered(flight=ClientFinish() as whole):
                return self._finish(whole, clock_ns, tampered=True)
            case Tampered(flight=whole):
                return self._react_to_tampered(whole)
            case Plaintext():
                return self._react_to_plaintext()
            case Truncated():
                return TlsStep()
        raise AssertionError(f"a client never sends {type(flight).__name__}")

    def _answer_hello(self, hello: ClientHello, clock_ns: int) -> TlsStep:
        side = self.side
        read: Operations = ((operations.HELLO_RETRY_REQUEST, 1),)
        schemes = side.settings.signature_schemes
        if side.svid is None or not side.serves or not negotiation.has_tls13(side.svid, side.settings):
            # Without a certificate that it can use OpenSSL has no TLS 1.3 to offer, and no TLS 1.2 suite either.
            older = hello.min_version == side.settings.min_version == "1.2"
            alert = "handshake_failure" if older else "protocol_version"
            return self._refuse(outcome.NO_SERVER_CERTIFICATE, alert, read, encrypted=False)
        version = negotiation.choose_version(hello, side.settings)
        if version is None:
            return self._refuse(outcome.NO_COMMON_VERSION, "protocol_version", read, encrypted=False)
        assert version == "1.3", "scenario checks refuse pairs of settings that come to TLS 1.2"
        cipher = negotiation.choose_cipher(hello, side.settings)
        if cipher is None:
            return self._refuse(outcome.NO_COMMON_CIPHER, "handshake_failure", read, encrypted=False)
        group = negotiation.choose_group(hello, side.settings)
        if group is None:
            return self._refuse(outcome.NO_COMMON_GROUP, "handshake_failure", read, encrypted=False)
        ticket = hello.ticket if negotiation.accepts_ticket(side, hello.ticket, cipher, clock_ns) else None
        if ticket is None and not negotiation.common_scheme(side.svid, hello.signature_schemes, schemes):
            return self._refuse(outcome.NO_COMMON_SIGNATURE, "handshake_failure", read, encrypted=False)
        if group != hello.key_share:
            self._enter(Event.SEND_HELLO_RETRY_REQUEST)
            self.retried = True
            request = HelloRetryRequest(group=group, cipher=cipher, size_bytes=sizes.hello_retry_request_size_bytes())
            return TlsStep(flights=(request,), operations=read)
        self._answered_ns = clock_ns
        return self._send_server_flight(hello, side.svid, ticket, cipher, group)

    def _send_server_flight(
        self, hello: ClientHello, svid: Svid, ticket: SessionTicket | None, cipher: str, group: str
    ) -> TlsStep:
        settings = self.side.settings
        done: Operations = ((operations.SERVER_FLIGHT, 1), *operations.SERVER_SECRET[group])
        done += ((f"{svid.key_type}.sign" if ticket is None else operations.PSK_BINDER, 1),)
        presented = svid if ticket is None else None
        requested = settings.mutual and ticket is None
        staple = self.side.ocsp_staple if hello.staple_wanted and presented is not None else None
        if staple is not None and not staple.is_about(svid):
            staple = None
        self._resumes = ticket
        self._answer = answer = ServerFlight(
            version="1.3",
            cipher=cipher,
            group=group,
            resumed=ticket is not None,
            svid=presented,
            staple=staple,
            certificate_requested=requested,
            signature_schemes=settings.signature_schemes,
            size_bytes=sizes.server_flight_size_bytes(
                settings, cipher, group, presented, staple, requested, self.retried
            ),
        )
        self._enter(Event.SEND_SERVER_FLIGHT)
        return TlsStep(flights=(answer,), operations=done)

    def _finish(self, flight: ClientFinish, clock_ns: int, *, tampered: bool) -> TlsStep:
        answer, client = self._answer, flight.svid
        assert answer is not None
        done: Operations = ((operations.SERVER_FINISH, 1),)
        if answer.certificate_requested and client is None:
            return self._refuse(outcome.NO_CLIENT_CERTIFICATE, "certificate_required", done, encrypted=True)
        if client is not None:
            reason, checks = self._verify(client, None, clock_ns)
            done += checks
            if reason is not None:
                return self._refuse(reason, VERIFICATION_ALERTS[reason], done, encrypted=True)
        if tampered:
            return self._react_to_tampered(flight, done)
        self._enter(Event.SEND_SESSION_TICKETS)
        resumes = self._resumes
        if resumes is not None:
            count = sizes.RESUMED_HANDSHAKE_TICKETS
            client, server = resumes.client_svid, resumes.server_svid
            self.peer_svid = client
            established = established_again(resumes, client, answer.cipher, answer.group, self._answered_ns)
        else:
            assert answer.svid is not None
            self.peer_svid = client
            count = sizes.FULL_HANDSHAKE_TICKETS
            server = answer.svid
            established = established_in_full(answer, server, client, mutual=client is not None)
        self.peer = client
        tickets = self._tickets(answer, client, server, count, clock_ns)
        done += ((operations.SESSION_TICKET, count),)
        return TlsStep(flights=(tickets,), operations=done, established=established)

    def _tickets(
        self, answer: ServerFlight, client: Svid | None, server: Svid, count: int, clock_ns: int
    ) -> SessionTickets:
        settings = self.side.settings
        lifetime_ns = settings.ticket_lifetime_ns
        if settings.bound:
            lifetime_ns = negotiation.bound_lifetime_ns(lifetime_ns, clock_ns, *_ends_ns(client, server))
        ticket = SessionTicket(
            ticket_key=self.side.ticket_key,
            issued_ns=clock_ns,
            # OpenSSL sends tickets even when told not to resume; a lifetime of 0 tells the client to drop them.
            lifetime_ns=lifetime_ns if settings.resumption else 0,
            version=answer.version,
            cipher=answer.cipher,
            group=answer.group,
            listener=settings,
            client_svid=client,
            server_svid=server,
        )
        size = sizes.session_tickets_size_bytes(ticket, count)
        return SessionTickets(ticket=ticket, count=count, size_bytes=size)


def _ends_ns(client: Svid | None, server: Svid) -> tuple[int, ...]:
    """Return when the certificates behind a session end."""
    return (server.not_after_ns,) if client is None else (server.not_after_ns, client.not_after_ns)
