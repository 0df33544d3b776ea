"""Ways between two hosts: hops, and what there is to know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshsim.network import tcp
from meshsim.network.link import MTU_BYTES, LinkDirection
from meshsim.network.room import BITS_NS
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.train import NO_LIMIT
from meshsim.world.connection import Connection, Path
from meshsim.world.hosts import Device, Host
from meshsim.world.way import Way

if TYPE_CHECKING:
    from meshsim.network.routing import Topology
    from meshsim.world.alarms import Alarms


class Ways:
    """Finds the way of each connection, and again when routes or the client's place have changed."""

    def __init__(self, clock: Alarms, topology: Topology, parameters: TcpParameters) -> None:
        self._clock = clock
        self._topology = topology
        self.parameters = parameters
        self._by_segment = {parameters.segment_bytes: parameters}
        self._patience_ns = max(0, parameters.minimum_rto_ns - parameters.delayed_ack_ns - 2 * parameters.tick_ns)

    def path(self, connection: Connection, direction: int) -> Path | None:
        """Return the hops of a connection in one direction as routes are now, or None if there is no way."""
        client = connection.client
        version = self._topology.version
        if connection.stamp != version or connection.moves != client.moves:
            connection.stamp = version
            connection.moves = client.moves
            connection.paths = up, down = (
                self._hops(client, connection.server, connection.slice, up=True),
                self._hops(client, connection.server, connection.slice, up=False),
            )
            # Path MTU discovery, at once: both ends know what fits.
            mtus_bytes = [hop.mtu_bytes for path in (up, down) if path is not None for hop in path]
            connection.segment_bytes = segment_bytes = min(mtus_bytes, default=MTU_BYTES) - tcp.HEADER_BYTES
            connection.ways = one, other = self._way(up, segment_bytes), self._way(down, segment_bytes)
            connection.lossy = bool(one.lossy or other.lossy)
            connection.patience_ns = self._patience_ns + min(one.latency_ns, other.latency_ns)
            if connection.wire is not None:
                connection.wire.exchange.adopt(self.parameters_of(segment_bytes))
        return connection.paths[direction]

    def _hops(self, client: Host, server: Host, slice_name: str, *, up: bool) -> Path | None:
        ends = (client.node, server.node) if up else (server.node, client.node)
        route = self._topology.route(*ends)
        if route is None or type(client) is not Device or client.radio is None:
            return route
        uplink, downlink = client.access[slice_name]
        return (uplink, *route) if up else (*route, downlink)

    def _way(self, path: Path | None, segment_bytes: int) -> Way:
        latency_ns = segment_ns = 0
        queue_bytes = NO_LIMIT
        lossy: list[LinkDirection] = []
        for hop in path or ():
            segment_ns = max(segment_ns, (segment_bytes + tcp.HEADER_BYTES) * BITS_NS // hop.bandwidth_bps)
            latency_ns += hop.latency_ns
            queue_bytes = min(queue_bytes, hop.queue_bytes if isinstance(hop, LinkDirection) else hop.buffer_bytes)
            if hop.loses:
                assert isinstance(hop, LinkDirection)
                lossy.append(hop)
        return Way(latency_ns, segment_ns, tuple(lossy), queue_bytes)

    def parameters_of(self, segment_bytes: int) -> TcpParameters:
        """Return the parameters of connections with segments of this size."""
        found = self._by_segment.get(segment_bytes)
        if found is None:
            found = self._by_segment[segment_bytes] = msgspec.structs.replace(
                self.parameters, segment_bytes=segment_bytes
            )
        return found

    def acknowledgement_ns(self, connection: Connection, direction: int) -> int:
        """Return how long an acknowledgement takes that is sent now and waits for nothing; 0 without a way."""
        now_ns = self._clock.now_ns
        return sum(
            hop.delay_ns(now_ns) + tcp.HEADER_BYTES * BITS_NS // hop.bandwidth_bps
            for hop in self.path(connection, direction) or ()
        )
