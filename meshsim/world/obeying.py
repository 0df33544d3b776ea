"""Whether peers obey a revocation: when the last of them does, and what was served until then, by ground truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshsim.scenario.call_graph import peers_of
from meshsim.sidecar.tls import outcome
from meshsim.sidecar.tls.verification import staple_flaw, verify_peer
from meshsim.telemetry.revocation_row import RevocationRow
from meshsim.world.connection import DOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from meshsim.identity.svid import Svid
    from meshsim.world.connection import Connection
    from meshsim.world.hosts import Host
    from meshsim.world.state import State

IGNORANCE: Final = frozenset({outcome.NO_CRL, outcome.CRL_EXPIRED, outcome.CRL_NOT_YET_VALID})
"""Reasons to refuse a certificate that say nothing of the certificate."""

AS_CLIENT, AS_SERVER = "client", "server"


class Revoked:
    """One revocation, and how far word of it has got."""

    def __init__(self, fault_id: str, target: str, t_ns: int, certificates: int) -> None:
        self.fault_id = fault_id
        self.target = target
        self.t_ns = t_ns
        self.certificates = certificates
        self.shown: Sequence[tuple[Host, Svid]] = ()
        """The certificates that were in use, and who showed them."""
        self.peers: list[Host] = []
        self.outstanding: dict[str, set[str]] = {}
        """Peers that would still accept one of them, by name: as the client or as the server of the target, or both."""
        self.t_obeyed_ns = t_ns
        self.accepted = 0
        self.served = [0, 0]
        """Calls to the target, and calls from it."""
        self.t_served_ns = -1
        self.cut = 0
        self.refused = 0


class Obeying:
    """Looks at every peer of a revoked workload whenever it has been told something, and counts what is served."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._clock = state.clock
        self._epoch_ns = state.scenario.epoch_ns
        self._revocations: list[Revoked] = []
        self._by_serial: dict[int, Revoked] = {}

    def begin(
        self,
        fault_id: str,
        target: str,
        found: Mapping[int, Svid],
        shown: Sequence[tuple[Host, Svid]],
        known: Iterable[int],
    ) -> None:
        """Take note of a revocation: the certificates, and which of them are in use by whom.

        ``known``: the serial numbers of all certificates that the revoked have had. One that has ended is on no list,
        but a session can rest on it all the same.
        """
        now_ns = self._clock.now_ns
        one = Revoked(fault_id, target, now_ns, len(found))
        self._revocations.append(one)
        for serial in known:
            self._by_serial.setdefault(serial, one)
        one.shown = [(host, svid) for host, svid in shown if svid.serial in found]
        callers, callees = peers_of(self._state.scenario, target.partition("/")[0])
        holders = {host.name for host, _ in shown}
        for host in self._state.hosts():
            roles = {role for role, names in ((AS_CLIENT, callers), (AS_SERVER, callees)) if host.workload in names}
            if roles and host.name not in holders:
                one.peers.append(host)
                one.outstanding[host.name] = roles
                for _, svid in one.shown:
                    end_ns = svid.not_after_ns + 1 - self._epoch_ns - host.machine.skew_ns
                    if now_ns < end_ns < self._state.scenario.duration_ns:
                        self._clock.at(end_ns, self.look, host)
        for host in one.peers:
            self._look(one, host)

    def look(self, host: Host) -> None:
        """See whether a host obeys now; or, if it is one of those that are revoked, who obeys that it talks to."""
        for one in self._revocations:
            if host.name in one.outstanding:
                self._look(one, host)
            elif one.outstanding and any(host is holder for holder, _ in one.shown):
                for peer in one.peers:
                    self._look(one, peer)

    def _look(self, one: Revoked, host: Host) -> None:
        roles = one.outstanding.get(host.name)
        if roles is None or not host.up:
            return
        for role in sorted(roles):
            if all(self._refuses(host, role, holder, svid) for holder, svid in one.shown):
                roles.remove(role)
        if not roles:
            del one.outstanding[host.name]
            one.t_obeyed_ns = max(one.t_obeyed_ns, self._clock.now_ns)

    def _refuses(self, host: Host, role: str, holder: Host, svid: Svid) -> bool:
        side = host.sidecar.outbound.side
        clock_ns = self._epoch_ns + self._clock.now_ns + host.machine.skew_ns
        reason = verify_peer(svid, side.bundles, None, clock_ns, side.crls, side.settings.stale_crls)
        if reason is not None:
            return reason not in IGNORANCE
        if role != AS_CLIENT or side.settings.ocsp == "off" or not holder.up:
            return False
        shown = holder.sidecar.inbound.side
        if shown.svid != svid or not shown.serves:
            return True
        flaw = staple_flaw(side.settings.ocsp, svid, shown.ocsp_staple, clock_ns)
        return flaw not in (None, outcome.STAPLE_NOT_YET_VALID)

    # Ground truth

    def _behind(self, connection: Connection) -> tuple[Revoked | None, Revoked | None]:
        """Return the revocations of the client's and of the server's certificate that a connection rests on."""
        handshake = connection.handshake
        established = handshake.client
        if established is None:
            return None, None
        client: Svid | None
        server: Svid | None
        if established.resumed:
            ticket = handshake.ticket
            client, server = (None, None) if ticket is None else (ticket.client_svid, ticket.server_svid)
        else:
            client = handshake.client_side.svid if handshake.client_side is not None and established.mutual else None
            server = handshake.server_side.svid if handshake.server_side is not None else None
        found = self._by_serial
        return (
            None if client is None else found.get(client.serial),
            None if server is None else found.get(server.serial),
        )

    def accepted(self, connection: Connection) -> bool:
        """Take note of a handshake that was established; return whether it rests on a revoked certificate."""
        revocations = [one for one in self._behind(connection) if one is not None]
        for one in dict.fromkeys(revocations):
            one.accepted += 1
            one.t_obeyed_ns = max(one.t_obeyed_ns, self._clock.now_ns)
        return bool(revocations)

    def served(self, connection: Connection) -> None:
        """Take note of a call that is handed to a workload."""
        client, server = self._behind(connection)
        for one, place in ((server, 0), (client, 1)):
            if one is not None:
                one.served[place] += 1
                one.t_served_ns = self._clock.now_ns

    def cut(self, connection: Connection, direction: int, *, live: bool) -> None:
        """Take note of a connection that the end that sends in ``direction`` closes for its peer's sake.

        ``live``: it had been in use, or could have been.
        """
        client, server = self._behind(connection)
        one = client if direction == DOWN else server
        if one is not None:
            one.cut += live
            one.refused += not live

    def record(self) -> None:
        """Write a row for each revocation, at the end of the run."""
        record = self._state.recorder.appender("revocations")
        for one in self._revocations:
            up = [host for host in one.peers if host.up or host.name not in one.outstanding]
            waiting = [host for host in up if host.name in one.outstanding]
            record(
                RevocationRow(
                    revocation=one.fault_id,
                    target=one.target,
                    t_ns=one.t_ns,
                    certificates=one.certificates,
                    peers=len(up),
                    obeyed=len(up) - len(waiting),
                    t_obeyed_ns=-1 if waiting else one.t_obeyed_ns,
                    handshakes_accepted=one.accepted,
                    calls_to=one.served[0],
                    calls_from=one.served[1],
                    t_last_served_ns=one.t_served_ns,
                    connections_cut=one.cut,
                    connections_refused=one.refused,
                )
            )
