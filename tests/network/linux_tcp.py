"""Dialogues over this host's own TCP, in a network namespace: run by ``test_linux_tcp.py`` in a process of its own.

The namespace has one device, a TUN, and no other way out. What the client sends to the far address comes out of the
TUN; this program keeps it for half a round trip, loses what it is told to, swaps the addresses, and gives it back, so
that the same host receives it as the server. The swap leaves all checksums as they are.

Reads cases as JSON on standard input, writes for each the seconds until connected and until each turn was read.
"""

from __future__ import annotations

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

SYN, FIN = 0x02, 0x01


class Case(TypedDict):
    """One dialogue."""

    round_trip_s: float
    sizes: tuple[int, int, int]
    """Bytes of a hello, of the server's flight, and of the client's last."""
    lost: list[tuple[str, int]]


class Way:
    """What lies between the host and itself."""

    def __init__(self, tun: int) -> None:
        self.tun = tun
        self.delay_s = 0.0
        self.lost: set[tuple[str, int]] = set()
        self.client_port = 0
        self._order = 0

    def begin(self, client_port: int, delay_s: float, lost: set[tuple[str, int]]) -> None:
        """Start a case: in each direction data is counted from 1, and what opens the connection is number 0, -1, ..."""
        self.client_port, self.delay_s, self.lost = client_port, delay_s, lost
        self.seen = {"up": 0, "down": 0}
        self.opening = {"up": 1, "down": 1}

    def run(self) -> None:
        """Carry packets for ever."""
        waiting: list[tuple[float, int, bytes]] = []
        while True:
            wait_s = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
            if select.select([self.tun], [], [], wait_s)[0]:
                packet = os.read(self.tun, 65_536)
                now_s = time.monotonic()
                if packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_TCP and not self._loses(packet):
                    self._order += 1
                    heapq.heappush(waiting, (now_s + self.delay_s, self._order, swapped(packet)))
            while waiting and waiting[0][0] <= time.monotonic():
                os.write(self.tun, heapq.heappop(waiting)[2])

    def _loses(self, packet: bytes) -> bool:
        start = (packet[0] & 15) * 4
        from_port, to_port, _, _, offset, flags = struct.unpack("!HHIIBB", packet[start : start + 14])
        direction = "up" if to_port == PORT else "down"
        if self.client_port not in (from_port, to_port):
            return False  # the end of the connection before
        if flags & SYN:
            self.opening[direction] -= 1
            return (direction, self.opening[direction]) in self.lost
        if len(packet) - start - (offset >> 4) * 4 == 0 and not flags & FIN:
            return False
        self.seen[direction] += 1
        return (direction, self.seen[direction]) in self.lost


def serve(listener: socket.socket, cases: list[Case]) -> None:
    """Be the server of each case in turn."""
    for case in cases:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            hello, flight, finish = case["sizes"]
            take(connection, hello)
            connection.sendall(bytes(flight))
            take(connection, finish)
            connection.sendall(b"!")
            take(connection, 1)


def play(way: Way, port: int, case: Case) -> dict[str, float]:
    """Be the client of a case."""
    hello, flight, finish = case["sizes"]
    lost = {(direction, number) for direction, number in case["lost"]}
    way.begin(port, float(case["round_trip_s"]) / 2, lost)
    with socket.socket() as client:
        client.bind((NEAR, port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began_s = time.monotonic()
        client.connect((FAR, PORT))
        connected_s = time.monotonic() - began_s
        client.sendall(bytes(hello))
        take(client, flight)
        answered_s = time.monotonic() - began_s
        client.sendall(bytes(finish))
        take(client, 1)
    return {"connected_s": connected_s, "answered_s": answered_s}


def main() -> None:
    """Carry out all cases."""
    tun = open_tunnel()
    with open("/proc/sys/net/ipv4/tcp_allowed_congestion_control", encoding="ascii") as file:
        controls = file.read().split()
    set_up(
        {
            "tcp_no_metrics_save": "1",
            "tcp_congestion_control": "cubic" if "cubic" in controls else "reno",  # BBR would pace what it sends
            "conf/meshsim0/rp_filter": "0",
        }
    )
    cases = json.load(sys.stdin)
    way = Way(tun)
    listener = socket.create_server((NEAR, PORT))
    threading.Thread(target=way.run, daemon=True).start()
    threading.Thread(target=serve, args=(listener, cases), daemon=True).start()
    with open("/proc/sys/net/ipv4/tcp_syn_linear_timeouts", encoding="ascii") as file:
        linear = int(file.read())
    json.dump(
        {
            "linear_syn_timeouts": linear,
            "times": [play(way, 50_000 + number, case) for number, case in enumerate(cases)],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
