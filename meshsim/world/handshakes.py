"""The accounts of TLS handshakes: bytes, CPU, outcome, their row, and the comparison with OpenSSL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.sidecar.tls.flights import ClientHello, ServerFlight
from meshsim.sidecar.tls.outcome import PEER_REFUSED
from meshsim.telemetry.rows import HandshakeRow
from meshsim.world.connection import UP, Connection
from meshsim.world.hosts import Device

if TYPE_CHECKING:
    from meshsim.sidecar.commands import HandshakeEnded
    from meshsim.sidecar.tls.flights import Flight
    from meshsim.sidecar.tls.outcome import Established, TlsStep
    from meshsim.world.comparison import HandshakeSampler
    from meshsim.world.hosts import Host
    from meshsim.world.obeying import Obeying
    from meshsim.world.state import State


class Handshakes:
    """Keeps the accounts of handshakes and writes their rows."""

    def __init__(self, state: State, sampler: HandshakeSampler | None) -> None:
        self._clock = state.clock
        self._sampler = sampler
        self._record = state.recorder.appender("handshakes")
        self.obeying: Obeying | None = None
        """Counts handshakes that rest on revoked certificates; None where there are none."""
        self._count = 0
        self.default_cipher = state.scenario.mesh.tls.ciphers[0]
        """What connections are expected to come to."""

    def sent(self, connection: Connection, direction: int, flight: Flight) -> None:
        """Count a flight that is sent."""
        handshake = connection.handshake
        if handshake.recorded:
            return
        if direction == UP:
            handshake.bytes_sent += flight.size_bytes
            if type(flight) is ClientHello:
                handshake.round_trips += 1
        else:
            handshake.bytes_received += flight.size_bytes

    def received(self, connection: Connection, direction: int, flight: Flight) -> None:
        """Note the facts that a comparison needs: both sides, and both clocks at the instant of their decisions."""
        handshake = connection.handshake
        now_ns = self._clock.now_ns
        if direction == UP:
            handshake.server_clock_ns = connection.server.sidecar.settings.clock_offset_ns + now_ns
            if type(flight) is ClientHello:
                handshake.server_side = connection.server.sidecar.inbound.side_of(connection.port)
                handshake.ticket = flight.ticket
                handshake.hello_clock_ns = handshake.server_clock_ns
        elif type(flight) is ServerFlight:
            handshake.client_clock_ns = connection.client.sidecar.settings.clock_offset_ns + now_ns

    def charge(self, connection: Connection, host: Host, step: TlsStep) -> int:
        """Return the CPU time of a step on the host's machine, and put it on the handshake's account."""
        costs = host.machine.costs
        operations = costs.operations
        work_ns = costs.tcp_message_ns * (1 + len(step.flights))
        for name, times in step.operations:
            work_ns += operations[name] * times
        handshake = connection.handshake
        if host is connection.client:
            if handshake.client_side is None:
                handshake.client_side = host.sidecar.outbound.side
                handshake.client_clock_ns = host.sidecar.settings.clock_offset_ns + self._clock.now_ns
                handshake.start_clock_ns = handshake.client_clock_ns
            if not handshake.recorded:
                handshake.cpu_client_ns += work_ns
        elif not handshake.recorded:
            handshake.cpu_server_ns += work_ns
        return work_ns

    def ended(self, connection: Connection, command: HandshakeEnded) -> None:
        """Take note of one end's view; the row is written once both ends' views are known, or at a refusal."""
        handshake = connection.handshake
        now_ns = self._clock.now_ns
        refused = command.refused
        if refused is not None:
            if handshake.recorded or refused.reason == PEER_REFUSED:
                return
            handshake.refused = refused
            self._write(connection, "refused", refused.alert, refused.by, refused.reason, handshake.client)
            self._compare(connection)
        elif command.by == "client":
            assert command.established is not None
            handshake.client = command.established
            connection.cipher = command.established.cipher
            handshake.t_client_done_ns = now_ns
        else:
            assert command.established is not None
            if handshake.recorded:
                return  # the client closed the connection before the server was done: it is on record as broken
            self._write(connection, "established", "", "", "", command.established)
            self._compare(connection)

    def broken(self, connection: Connection, reason: str) -> None:
        """Take note that a connection ended; in the middle of a handshake that is its outcome."""
        handshake = connection.handshake
        if handshake.recorded or handshake.client_side is None:
            return
        self._write(connection, "broken", "", "", reason, handshake.client)

    def _write(
        self, connection: Connection, outcome: str, alert: str, by: str, reason: str, established: Established | None
    ) -> None:
        handshake = connection.handshake
        handshake.recorded = True
        self._count += 1
        done_ns = handshake.t_client_done_ns if outcome == "established" else self._clock.now_ns
        client, server = connection.client, connection.server
        self._record(
            HandshakeRow(
                handshake_id=self._count,
                connection_id=connection.connection_id,
                client=client.name if isinstance(client, Device) else client.workload,
                server=server.workload,
                client_node=client.node,
                server_node=server.node,
                slice=connection.slice,
                t_start_ns=connection.t_established_ns,
                duration_ns=done_ns - connection.t_established_ns,
                tcp_ns=connection.t_established_ns - connection.t_open_ns,
                resumed=established.resumed if established else False,
                mutual=established.mutual if established else False,
                version=established.version if established else "",
                cipher=established.cipher if established else "",
                group=established.group if established else "",
                key_type=established.key_type if established else "",
                bytes_sent=handshake.bytes_sent,
                bytes_received=handshake.bytes_received,
                round_trips=handshake.round_trips,
                cpu_client_ns=handshake.cpu_client_ns,
                cpu_server_ns=handshake.cpu_server_ns,
                outcome=outcome,
                alert=alert,
                refused_by=by,
                reason=reason,
                outlived_certificate=established.resumed_after_expiry if established else False,
                revoked_certificate=outcome == "established"
                and self.obeying is not None
                and self.obeying.accepted(connection),
            )
        )

    def _compare(self, connection: Connection) -> None:
        # What a damaged record does to an OpenSSL that rides along shows at fidelity real.
        if self._sampler is not None and connection.broken_end < 0:
            self._sampler.ended(connection)
