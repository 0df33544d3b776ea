"""A TCP connection as the world sees it: both ends, the way between, what is under way, its handshake's account."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from meshsim.network import tcp
from meshsim.network.train import Train
from meshsim.world.way import NO_WAY, Way

if TYPE_CHECKING:
    from meshsim.network.access import RadioAccess
    from meshsim.network.link import LinkDirection
    from meshsim.network.tcp_packets import Packet
    from meshsim.network.tcp_receiver import Receiver
    from meshsim.network.tcp_replay import Passage
    from meshsim.sidecar.tls.flights import SessionTicket
    from meshsim.sidecar.tls.outcome import Established, Refused
    from meshsim.sidecar.tls.settings import TlsSide
    from meshsim.world.accounts import Account
    from meshsim.world.hosts import Host, Replica
    from meshsim.world.wire import Wire

UP: Final = 0
DOWN: Final = 1
"""Directions: from client to server, and back."""

Path = tuple["LinkDirection | RadioAccess", ...]
LOG_PASSAGES: Final = 8
"""Trains, both ways together, of which it is remembered when they were sent and arrived: as many as a handshake has."""


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
        "hello_clock_ns",
        "recorded",
        "refused",
        "round_trips",
        "server_clock_ns",
        "server_side",
        "start_clock_ns",
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
        self.start_clock_ns = 0
        """The client's clock when it said hello."""
        self.hello_clock_ns = 0
        """The server's clock when it heard that."""


class Connection:
    """One TCP connection. ``open_ends`` says which ends' applications still have it, by direction of sending."""

    __slots__ = (
        "broken_end",
        "cipher",
        "client",
        "connection_id",
        "established",
        "gone",
        "handshake",
        "log",
        "lossy",
        "moves",
        "open_ends",
        "orders",
        "paths",
        "patience_ns",
        "port",
        "round_trips_ns",
        "segment_bytes",
        "segmented",
        "server",
        "shadows",
        "slice",
        "stamp",
        "t_established_ns",
        "t_open_ns",
        "watching",
        "ways",
        "windows",
        "wire",
    )

    def __init__(
        self,
        connection_id: int,
        client: Host,
        server: Replica,
        slice_name: str,
        port: int,
        cipher: str,
        now_ns: int,
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
        self.gone = [False, False]
        """Whether an end's TCP knows nothing of it any more. An end that was closed still sees to what it has sent."""
        self.round_trips_ns = (0, 0)
        """What set-up took, if nothing was lost: the client there and back, the SYN-ACK one way."""
        self.windows = [0, 0]
        """Congestion windows in segments, by direction, while arithmetic carries it."""
        self.orders: tuple[deque[Transfer], deque[Transfer]] = (deque(), deque())
        """Units that were sent and are not delivered, by direction, in order."""
        self.log: deque[Passage] = deque(maxlen=LOG_PASSAGES)
        """The last trains that arrived while arithmetic carried it."""
        self.segmented = True
        """Whether it is carried at segment level now."""
        self.wire: Wire | None = None
        """Both ends at segment level; None while nothing ever went wrong."""
        self.shadows: list[Receiver] | None = None
        """What the receiving ends do about acknowledgements, by direction of the data, where those may be lost and
        arithmetic carries it."""
        self.lossy = False
        """Whether packets may be lost at random on its way, either way."""
        self.patience_ns = 0
        """A single segment that is there by then is acknowledged before any timer of its sender goes off."""
        self.watching = [False, False]
        """Whether an alarm is set for what waits for a medium, by direction."""
        self.paths: tuple[Path | None, Path | None] = (None, None)
        self.ways: tuple[Way, Way] = (NO_WAY, NO_WAY)
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
    """One unit on its way over a connection, and the packet train that carries it or a part of it now.

    At segment level a train carries ``packets``, and has a unit only if it was sent before that.
    """

    __slots__ = (
        "account",
        "connection",
        "control",
        "crypto_ns",
        "damaged",
        "direction",
        "end_bytes",
        "head_ns",
        "held",
        "hop",
        "job_start_ns",
        "launched_ns",
        "packets",
        "path",
        "payload_bytes",
        "proxy_ns",
        "radio_total_ns",
        "sent_segments",
        "taken",
        "unit",
        "unsent_bytes",
        "waited_ns",
        "window",
    )

    account: Account | None
    path: Path
    hop: int
    head_ns: int
    """When its head reached the far end."""
    taken: int
    """How many of its packets have arrived."""
    held: int
    """Segments of the unit that have arrived and wait to be acknowledged: 0 or 1."""
    launched_ns: int
    sent_segments: int
    window: int
    """The congestion window when it was sent, if that was in its way and so grows; else 0."""
    end_bytes: int
    """Where the unit ends in the stream of its direction; at segment level."""
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
        """Whether it is outside the stream: a RST, or a copy of something."""
        self.account = account
        self.unsent_bytes = size_bytes
        """What has not arrived yet."""
        self.payload_bytes = 0
        """Bytes of it that are under way."""
        self.radio_total_ns = 0
        self.waited_ns = 0
        self.packets: Sequence[Packet] | None = None
        self.damaged = False
