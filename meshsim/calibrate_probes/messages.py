"""What surrounds TLS: a TCP message, an HTTP/2 exchange."""

from __future__ import annotations

import socket

import h2.config
import h2.connection
import h2.events

from meshsim.calibrate_probes.timing import Probe, Round, Stopwatch, call


def message_probes(watch: Stopwatch) -> list[Probe]:
    """A TCP message over loopback, an HTTP/2 exchange."""
    return [_tcp_message(watch), _http2(watch)]


def _tcp_message(watch: Stopwatch) -> Probe:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver, _address = listener.accept()
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    message = b"x" * 1_024

    def probe() -> Round:
        watch.start()
        sender.sendall(message)
        received = len(receiver.recv(len(message), socket.MSG_WAITALL))
        time_ns = watch.lap()
        assert received == len(message), "loopback delivers"
        return {"tcp.both_ends": time_ns}

    return probe


def _http2(watch: Stopwatch) -> Probe:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    request = [(":method", "GET"), (":scheme", "https"), (":authority", "service"), (":path", "/item/1")]
    body = b"x" * 1_024
    client.initiate_connection()
    server.initiate_connection()

    def exchange() -> None:
        stream = client.get_next_available_stream_id()
        client.send_headers(stream, request, end_stream=True)
        server.receive_data(client.data_to_send())
        server.send_headers(stream, [(":status", "200")])
        server.send_data(stream, body, end_stream=True)
        for event in client.receive_data(server.data_to_send()):
            if isinstance(event, h2.events.DataReceived):
                client.acknowledge_received_data(event.flow_controlled_length, stream)
        server.receive_data(client.data_to_send())

    exchange()
    return call(watch, "http2", exchange)
