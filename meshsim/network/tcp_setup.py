"""Connection set-up: SYN, SYN-ACK, and what happens when one of them is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.network.tcp_loss import NEVER
from meshsim.network.tcp_packets import Syn, SynAck
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_path import DOWN, UP
from meshsim.network.tcp_timer import expiry_ns

if TYPE_CHECKING:
    from meshsim.network.tcp_exchange import Exchange


def syn_timeout_ns(parameters: TcpParameters, attempt: int) -> int:
    """Return how long the ``attempt``-th SYN (from 0) waits for its answer, in nanoseconds."""
    doublings = max(0, attempt - parameters.linear_syn_timeouts)
    return min(parameters.initial_rto_ns << doublings, parameters.maximum_rto_ns)


class SetUp:
    """Both ends' part in setting a connection up."""

    __slots__ = (
        "_exchange",
        "_syn_echo_ns",
        "_synack_due_ns",
        "_synack_timeouts",
        "connected",
        "request_retries",
        "retransmissions",
        "server_ready",
        "synack_sent_ns",
    )

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.connected = False
        """Whether the client has its SYN-ACK."""
        self.server_ready = False
        """Whether the server has heard from the client since its SYN-ACK."""
        self.request_retries = NEVER
        """SYN-ACKs sent again; ``NEVER`` while the server knows of no request."""
        self.synack_sent_ns = NEVER
        self.retransmissions = 0
        self._synack_timeouts = 0
        self._synack_due_ns = NEVER
        self._syn_echo_ns = NEVER

    # The client

    def send_syn(self, attempt: int) -> None:
        """Send a SYN unless the last one was answered, and see to the next."""
        exchange = self._exchange
        if self.connected or exchange.ends[UP].gone:
            return
        parameters, around = exchange.parameters, exchange.around
        if attempt > parameters.syn_retries + parameters.linear_syn_timeouts:
            around.failed(UP, "connection timed out")
            return
        self.retransmissions += attempt > 0
        now_ns = around.now_ns
        around.send(UP, [[Syn(now_ns)]])
        timeout_ns = syn_timeout_ns(parameters, attempt)
        around.at(expiry_ns(now_ns, timeout_ns, parameters.tick_ns), self.send_syn, attempt + 1)

    def synack_arrived(self, packet: SynAck) -> None:
        """Connect, or acknowledge once more."""
        exchange = self._exchange
        if self.connected:
            exchange.send_acknowledgement(UP)
            return
        self.connected = True
        estimate = exchange.ends[UP].estimate
        round_trip_ns = exchange.around.now_ns - packet.echo_ns
        estimate.sample(round_trip_ns, 0, 0)
        estimate.shortest(round_trip_ns)
        exchange.seed(UP)
        exchange.send_acknowledgement(UP)
        exchange.around.connected()

    # The server

    def syn_arrived(self, packet: Syn) -> None:
        """Answer a SYN."""
        exchange = self._exchange
        if self.server_ready:
            exchange.send_acknowledgement(DOWN)
        elif self.request_retries == NEVER or not exchange.parameters.synack_retries:
            if not exchange.around.accepts():
                return
            exchange.ends[DOWN].gone = False
            self.request_retries = 0
            self._syn_echo_ns = packet.sent_ns
            self._synack_timeouts = 0
            self._send_synack()
        else:
            # A repeated SYN is answered again, with the timestamp of the first: so the client takes a long round trip.
            self.request_retries += 1
            self.retransmissions += 1
            self._send_synack()

    def _send_synack(self) -> None:
        """Send a SYN-ACK and set the timer of the request; a repeated SYN sets it back."""
        parameters, around = self._exchange.parameters, self._exchange.around
        self.synack_sent_ns = now_ns = around.now_ns
        around.send(DOWN, [[SynAck(self._syn_echo_ns)]])
        timeout_ns = min(parameters.initial_rto_ns << self._synack_timeouts, parameters.maximum_rto_ns)
        self._synack_due_ns = expiry_ns(now_ns, timeout_ns, parameters.tick_ns)
        around.at(self._synack_due_ns, self._synack_overdue)

    def _synack_overdue(self) -> None:
        exchange = self._exchange
        if self.server_ready or self.request_retries == NEVER or exchange.around.now_ns != self._synack_due_ns:
            return
        retries = exchange.parameters.synack_retries
        if self._synack_timeouts >= retries:
            if retries:
                self.forget()
                exchange.around.failed(DOWN, "connection timed out")
            return
        self._synack_timeouts += 1
        self.request_retries += 1
        self.retransmissions += 1
        self._send_synack()

    def forget(self) -> None:
        """Forget the request: only a new SYN will do."""
        self.request_retries = NEVER

    def heard(self) -> bool:
        """Take note that the client's first acknowledgement came, alone or with data; return whether it is known."""
        if self.server_ready:
            return True
        if self.request_retries == NEVER:
            return False
        self.server_ready = True
        exchange = self._exchange
        if self.request_retries == 0:
            round_trip_ns = exchange.around.now_ns - self.synack_sent_ns
            exchange.ends[DOWN].estimate.sample(round_trip_ns, 0, 0)
            exchange.ends[DOWN].estimate.shortest(round_trip_ns)
        exchange.seed(DOWN)
        return True
