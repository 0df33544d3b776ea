"""Bulk transfers over this host's own TCP through a slow link with a short queue, in a network namespace.

The namespace has one device, a TUN, and no other way out. What the client sends to the far address comes out of the
TUN; this program passes data through a queue of so many bytes before a link of so many bits a second, keeps all packets
for half a round trip, swaps the addresses, and gives them back, so that the same host receives them as the server. As
on a TLS connection both ends have talked before the transfer, so that acknowledgements may wait.

Reads cases as JSON on standard input; writes for each the milliseconds until the server's answer to the last byte was
read, and how many packets found no room. As root it asks for real-time scheduling: it must not be late by a packet.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import select
import socket
import struct
import sys
import threading
import time
from typing import TypedDict

from linux_host import FAR, NEAR, PORT, open_tunnel, set_up, swapped, take  # beside this program

TALKS = 2
LAST_PORT_S = 0.05
"""Pause between cases, for what is left of the connection before."""
SETTINGS = {
    "tcp_no_metrics_save": "1",
    "conf/meshsim0/rp_filter": "0",
    "tcp_rmem": "4096 131072 6291456",
    "tcp_wmem": "4096 6000000 8000000",
}


class Case(TypedDict):
    """One transfer."""

    control: str
    round_trip_ms: float
    bandwidth_bps: int
    queue_bytes: int
    size_bytes: int


class Found(TypedDict):
    """What came of it."""

    time_ms: float
    drops: int


def hurry(priority: int) -> None:
    """Ask not to be kept waiting."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))


class Way:
    """What lies between the host and itself, in a process of its own."""

    def __init__(self, tun: int, control: socket.socket) -> None:
        self.tun, self.control = tun, control
        self.case: Case | None = None
        self.port = self.drops = 0
        self.free_s = 0.0

    def run(self) -> None:
        """Carry packets until nobody asks any more."""
        waiting: list[tuple[float, int, bytes]] = []
        order = 0
        while True:
            wait_s = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
            ready = select.select([self.tun, self.control], [], [], wait_s)[0]
            if self.control in ready and not self._obey():
                return
            if self.tun in ready:
                packet = os.read(self.tun, 65_536)
                leave_s = self._leaves_s(packet, time.monotonic())
                if leave_s is not None:
                    order += 1
                    heapq.heappush(waiting, (leave_s, order, swapped(packet)))
            while waiting and waiting[0][0] <= time.monotonic():
                os.write(self.tun, heapq.heappop(waiting)[2])

    def _obey(self) -> bool:
        told = self.control.recv(65_536)
        if not told:
            return False
        drops, self.drops = self.drops, 0
        self.port, self.case = json.loads(told)
        self.control.sendall(str(drops).encode())
        return True

    def _leaves_s(self, packet: bytes, now_s: float) -> float | None:
        """When a packet arrives; None if never."""
        if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP or self.case is None:
            return None
        start = (packet[0] & 15) * 4
        from_port, to_port, _, _, offset = struct.unpack("!HHIIB", packet[start : start + 13])
        if self.port not in (from_port, to_port):
            return now_s  # the end of the connection before
        half_s = self.case["round_trip_ms"] / 2_000
        if to_port != PORT or len(packet) - start - (offset >> 4) * 4 == 0:
            return now_s + half_s
        bytes_per_s = self.case["bandwidth_bps"] / 8
        waiting_bytes = max(0.0, self.free_s - now_s) * bytes_per_s
        if waiting_bytes and waiting_bytes + len(packet) > self.case["queue_bytes"]:
            self.drops += 1
            return None
        self.free_s = max(self.free_s, now_s) + len(packet) / bytes_per_s
        return self.free_s + half_s


def serve(listener: socket.socket, cases: list[Case]) -> None:
    """Be the server of each case in turn."""
    for case in cases:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(TALKS):
                take(connection, 100)
                connection.sendall(b"?")
            take(connection, case["size_bytes"])
            connection.sendall(b"!")
            take(connection, 1)


def play(port: int, case: Case) -> float:
    """Be the client of a case; return what the transfer took, in milliseconds."""
    with socket.socket() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, case["control"].encode())
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.bind((NEAR, port))
        client.connect((FAR, PORT))
        for _ in range(TALKS):
            client.sendall(bytes(100))
            take(client, 1)
        began_s = time.monotonic()
        client.sendall(bytes(case["size_bytes"]))
        take(client, 1)
        return 1_000 * (time.monotonic() - began_s)


def main() -> None:
    """Carry out all cases."""
    tun = open_tunnel()
    set_up(SETTINGS)
    cases: list[Case] = json.load(sys.stdin)
    near, far = socket.socketpair()
    if not os.fork():
        near.close()
        hurry(50)
        Way(tun, far).run()
        os._exit(0)
    far.close()
    hurry(10)
    listener = socket.create_server((NEAR, PORT))
    threading.Thread(target=serve, args=(listener, cases), daemon=True).start()
    found: list[Found] = []
    for number, case in enumerate(cases):
        port = 50_000 + number
        near.sendall(json.dumps([port, case]).encode())
        near.recv(100)
        time_ms = play(port, case)
        near.sendall(json.dumps([port, None]).encode())
        found.append({"time_ms": time_ms, "drops": int(near.recv(100))})
        time.sleep(LAST_PORT_S)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
