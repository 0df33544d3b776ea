"""A TCP connection as the world sees it: both ends, the way between, windows, order, and its handshake's account."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from meshsim.network import tcp
from meshsim.network.train import Train

if TYPE_CHECKING:
    from meshsim.network.access import RadioAccess
    from meshsim.network.link import LinkDirection
    from meshsim.sidecar.tls.flights import SessionTicket
    from meshsim.sidecar.tls.outcome import Established, Refused
    from meshsim.sidecar.tls.settings import TlsSide
    from meshsim.world.accounts import Account
    from meshsim.world.hosts import Host, Replica

UP, DOWN = 0, 1
"""Directions: from client to server, and back."""

Path = tuple["LinkDirection | RadioAccess", ...]


class Handshake:
    """What is known of a connection's TLS handshake so far."""

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "client",
        "client_clock_ns",
        "client_side",
        "cpu_client_ns",
        "cpu_server_ns",
        "recorded",
        "refused",
        "round_trips",
        "server_clock_ns",
        "server_side",
        "t_client_done_ns",
        "ticket",
    )

    def __init__(self) -> None:
        self.bytes_sent = 0
        self.bytes_received = 0
        self.round_trips = 0
        self.cpu_client_ns = 0
        self.cpu_server_ns = 0
        self.client: Established | None = None
        self.refused: Refused | None = None
        self.t_client_done_ns = -1
        self.recorded = False
        self.client_side: TlsSide | None = None
        self.server_side: TlsSide | None = None
        self.ticket: SessionTicket | None = None
        self.client_clock_ns = 0
        self.server_clock_ns = 0


class Connection:
    """One TCP connection. ``open_ends`` says which ends still know of it, by direction of sending."""

    __slots__ = (
        "attempts",
        "broken_end",
        "cipher",
        "client",
        "connection_id",
        "established",
        "handshake",
        "moves",
        "open_ends",
        "orders",
        "paths",
        "port",
        "round_trip_ns",
        "segment_bytes",
        "server",
        "slice",
        "stamp",
        "t_established_ns",
        "t_open_ns",
        "windows",
    )

    def __init__(
        self, connection_id: int, client: Host, server: Replica, slice_name: str, port: int, cipher: str, now_ns: int
    ) -> None:
        self.connection_id = connection_id
        self.client = client
        self.server = server
        self.slice = slice_name
        self.port = port
        """Port of the server."""
        self.cipher = cipher
        """Cipher suite, which record costs depend on: the one that was negotiated, or that is expected before."""
        self.t_open_ns = now_ns
        self.t_established_ns = -1
        self.established = False
        self.open_ends = [True, False]
        self.attempts = 0
        self.round_trip_ns = 0
        self.windows = [tcp.INITIAL_WINDOW, tcp.INITIAL_WINDOW]
        self.orders: tuple[deque[Transfer], deque[Transfer]] = (deque(), deque())
        self.paths: tuple[Path | None, Path | None] = (None, None)
        self.stamp = -1
        """Version of the topology that ``paths`` are of."""
        self.moves = 0
        """The client's moves when they were found."""
        self.segment_bytes = tcp.SEGMENT_BYTES
        """Payload of a full segment: what the smallest MTU on its way leaves."""
        self.broken_end = -1
        """Direction in which the end sends whose TLS died of a damaged record; -1 while both are well."""
        self.handshake = Handshake()

    def sender(self, direction: int) -> Host:
        """Return the end that sends in ``direction``."""
        return self.client if direction == UP else self.server

    def receiver(self, direction: int) -> Host:
        """Return the end that receives in ``direction``."""
        return self.server if direction == UP else self.client


class Transfer(Train):
    """One unit on its way over a connection: the packet train that carries it now, and what is still to come."""

    __slots__ = (
        "account",
        "complete_ns",
        "connection",
        "control",
        "crypto_ns",
        "damaged",
        "direction",
        "hop",
        "job_start_ns",
        "launched_ns",
        "lost_segments",
        "path",
        "payload_bytes",
        "proxy_ns",
        "radio_total_ns",
        "retries",
        "sender_epoch",
        "sent_segments",
        "unit",
        "unsent_bytes",
        "waited_ns",
    )

    account: Account | None
    path: Path
    hop: int
    launched_ns: int
    lost_segments: int
    payload_bytes: int
    sent_segments: int
    job_start_ns: int
    crypto_ns: int
    proxy_ns: int

    def __init__(
        self, connection: Connection, direction: int, unit: Any, size_bytes: int, account: Account | None
    ) -> None:
        self.connection = connection
        self.slice = connection.slice
        self.direction = direction
        self.unit = unit
        self.control = False
        self.account = account
        self.unsent_bytes = size_bytes
        self.radio_total_ns = 0
        self.waited_ns = 0
        self.retries = 0
        self.complete_ns = -1
        self.damaged = False
        self.sender_epoch = (connection.client if direction == UP else connection.server).epoch
