"""A finished handshake run once more by OpenSSL alone, at both ends and in one go, and held against its prediction."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import msgspec

from meshsim.identity.authority import Authority
from meshsim.identity.bundle import TrustBundle
from meshsim.identity.svid import Svid
from meshsim.scenario.errors import InvariantViolation
from meshsim.sidecar.tls.agreement import EngineReport, same_established
from meshsim.sidecar.tls.flights import SessionTicket
from meshsim.sidecar.tls.negotiation import is_timely, offers_ticket
from meshsim.sidecar.tls.openssl import Engines
from meshsim.sidecar.tls.outcome import End, Established, Refused
from meshsim.sidecar.tls.prediction import MAX_FLIGHTS, HandshakeCase, Prediction
from meshsim.sidecar.tls.settings import TlsSettings, TlsSide
from meshsim.sidecar.tls.sizes import tolerance_bytes

MAX_SESSIONS = 1_024
"""How many primed sessions an oracle keeps."""


class RealOutcome(msgspec.Struct, frozen=True):
    """What OpenSSL made of a handshake."""

    flights: tuple[tuple[End, int], ...]
    """Who sent how many bytes, in order."""
    client_established: Established | None
    server_established: Established | None
    client_refused: Refused | None
    server_refused: Refused | None
    session: bytes | None
    """What the client could resume next."""


class Oracle:
    """Replays handshakes between the identities of one run."""

    def __init__(self, authorities: Mapping[str, Authority]) -> None:
        self._engines = Engines(authorities)
        self._sessions: dict[SessionTicket, bytes] = {}

    def check(self, case: HandshakeCase, prediction: Prediction) -> None:
        """Replay a case; raises ``InvariantViolation`` with a reproducer when OpenSSL comes to something else."""
        real = self.replay(case)
        found = differences(prediction, real)
        if found:
            text = ["TLS: the prediction and OpenSSL disagree: " + "; ".join(found)]
            text += [f"case: {case!r}", f"predicted: {prediction!r}", f"OpenSSL: {real!r}"]
            raise InvariantViolation("\n".join(text))

    def replay(self, case: HandshakeCase) -> RealOutcome:
        """Run a handshake between two OpenSSL connections; one that offers a ticket is primed with a session first."""
        session = None
        if case.ticket is not None and is_timely(case.client, case.ticket, case.expected_peers, case.client_clock_ns):
            session = self._prime(case.ticket)
        real = self._run(case, session, watched=False)
        # Watching for alerts takes OpenSSL fifty calls back into Python a handshake, and hardly any has one: those that
        # do are run once more.
        if real.client_refused is None and real.server_refused is None:
            return real
        return self._run(case, session, watched=True)

    def _run(self, case: HandshakeCase, session: bytes | None, *, watched: bool) -> RealOutcome:
        client = self._engines.client(case.client, case.expected_peers, watched=watched)
        server = self._engines.server(case.server, watched=watched)
        reports: list[tuple[End, EngineReport]] = [("client", client.start(case.client_clock_ns, session))]
        sent: list[tuple[End, int]] = []
        while reports[-1][1].output:
            end, report = reports[-1]
            sent.append((end, len(report.output)))
            assert len(sent) <= MAX_FLIGHTS, sent
            if end == "client":
                reports.append(("server", server.receive(report.output, case.server_clock_ns)))
            else:
                reports.append(("client", client.receive(report.output, case.client_clock_ns)))
        established: dict[End, Established] = {}
        refused: dict[End, Refused] = {}
        for end, report in reports:
            if report.established is not None:
                established[end] = report.established
            if report.refused is not None:
                refused[end] = report.refused
        return RealOutcome(
            flights=tuple(sent),
            client_established=established.get("client"),
            server_established=established.get("server"),
            client_refused=refused.get("client"),
            server_refused=refused.get("server"),
            session=client.session,
        )

    def _prime(self, ticket: SessionTicket) -> bytes:
        """Return a real session like the one behind a ticket, sealed with the same listener's key."""
        timeless = msgspec.structs.replace(
            ticket, issued_ns=0, received_ns=0, lifetime_ns=1, staple_ends_ns=0, session=None
        )
        session = self._sessions.get(timeless)
        if session is None:
            session = self._run(_first_handshake(ticket), None, watched=False).session
            if session is None:
                raise InvariantViolation(f"TLS: OpenSSL refuses the handshake that a ticket goes back to: {ticket!r}")
            if len(self._sessions) >= MAX_SESSIONS:
                self._sessions.clear()
            self._sessions[timeless] = session
        return session


def _first_handshake(ticket: SessionTicket) -> HandshakeCase:
    """Make up the handshake that a ticket goes back to: both certificates valid and trusted."""
    server = ticket.server_svid
    client = ticket.client_svid
    settings = TlsSettings(groups=(ticket.group,), ciphers=(ticket.cipher,))
    return HandshakeCase(
        client=TlsSide(settings=settings, svid=client, bundles=_trust_in(server)),
        server=TlsSide(
            settings=ticket.listener,
            svid=server,
            bundles={} if client is None else _trust_in(client),
            ticket_key=ticket.ticket_key,
        ),
        expected_peers=frozenset({server.spiffe_id}),
        client_clock_ns=server.not_before_ns,
        server_clock_ns=0 if client is None else client.not_before_ns,
    )


def _trust_in(svid: Svid) -> Mapping[str, TrustBundle]:
    return {svid.trust_domain: TrustBundle(svid.trust_domain, frozenset({svid.root.authority}))}


def differences(prediction: Prediction, real: RealOutcome) -> list[str]:
    """Say in which ways a prediction and OpenSSL's outcome differ; the empty list when they agree."""
    found = [
        f"{name}: {getattr(prediction, name)!r} against {getattr(real, name)!r}"
        for name, same in (
            ("client_established", same_established(prediction.client_established, real.client_established)),
            ("server_established", same_established(prediction.server_established, real.server_established)),
            ("client_refused", prediction.client_refused == real.client_refused),
            ("server_refused", prediction.server_refused == real.server_refused),
        )
        if not same
    ]
    if [end for end, _ in prediction.flights] != [end for end, _ in real.flights]:
        found.append(f"{len(prediction.flights)} flights against {len(real.flights)}")
    else:
        for (end, flight), (_, size) in zip(prediction.flights, real.flights, strict=True):
            shorter, longer = tolerance_bytes(flight)
            if not flight.size_bytes - shorter <= size <= flight.size_bytes + longer:
                nominal = f"{flight.size_bytes} (-{shorter}, +{longer})"
                found.append(f"{type(flight).__name__} of the {end}: {nominal} against {size} bytes")
    if prediction.ticket is not None and real.session is None:
        found.append("a ticket without a session")
    return found


def case_key(case: HandshakeCase, prediction: Prediction) -> Hashable:
    """Return what makes a case distinct: two cases with one key differ in names, serials and clocks alone."""
    offered = offers_ticket(case.client, case.ticket, case.expected_peers, case.client_clock_ns)
    refused = prediction.refused
    established = prediction.client_established
    return (
        case.client.settings,
        case.server.settings,
        _kind(case.client.svid),
        _kind(case.server.svid),
        frozenset(case.client.bundles.values()),
        frozenset(case.server.bundles.values()),
        frozenset(crl.issuer for crl in case.client.crls),
        frozenset(crl.issuer for crl in case.server.crls),
        None if case.server.ocsp_staple is None else case.server.ocsp_staple.status,
        case.ticket.cipher if offered and case.ticket is not None else "",
        None if refused is None else (refused.by, refused.reason),
        None if established is None else (established.resumed, established.resumed_after_expiry),
    )


def _kind(svid: Svid | None) -> Hashable:
    return None if svid is None else (svid.issuer, svid.key_type, len(svid.spiffe_id), svid.profile, svid.bare)
