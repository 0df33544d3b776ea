"""Dialogues over this host's own TCP, in a network namespace: run by ``test_linux_tcp.py`` in a process of its own.

The namespace has one device, a TUN, and no other way out. What the client sends to the far address comes out of the
TUN; this program keeps it for half a round trip, or longer if it is told to, loses what it is told to, swaps the
addresses, and gives it back, so that the same host receives it as the server. The swap leaves checksums as they are.

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
    sizes: list[int]
    """Bytes of each turn; the first is the client's, and each is the other end's answer to the one before."""
    lost: list[tuple[str, int]]
    late: list[tuple[str, int, float]]
    """What is kept for so many seconds longer."""
    pauses_s: dict[str, float]
    """For how long the server waits with a turn, by its number as text."""


class Way:
    """What lies between the host and itself."""

    def __init__(self, tun: int) -> None:
        self.tun = tun
        self.delay_s = 0.0
        self.lost: set[tuple[str, int]] = set()
        self.late_s: dict[tuple[str, int], float] = {}
        self.client_port = 0
        self._order = 0

    def begin(self, client_port: int, case: Case) -> None:
        """Start a case: in each direction data is counted from 1, and what opens the connection is number 0, -1, ..."""
        self.client_port, self.delay_s = client_port, float(case["round_trip_s"]) / 2
        self.lost = {(direction, number) for direction, number in case["lost"]}
        self.late_s = {(direction, number): late_s for direction, number, late_s in case["late"]}
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
                if packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_TCP:
                    which = self._which(packet)
                    if which not in self.lost:
                        self._order += 1
                        due_s = now_s + self.delay_s + self.late_s.get(which, 0.0)
                        heapq.heappush(waiting, (due_s, self._order, swapped(packet)))
            while waiting and waiting[0][0] <= time.monotonic():
                os.write(self.tun, heapq.heappop(waiting)[2])

    def _which(self, packet: bytes) -> tuple[str, int]:
        """Say which one a packet is; what is none of them has no direction."""
        start = (packet[0] & 15) * 4
        from_port, to_port, _, _, offset, flags = struct.unpack("!HHIIBB", packet[start : start + 14])
        direction = "up" if to_port == PORT else "down"
        if self.client_port not in (from_port, to_port):
            return "", 0  # the end of the connection before
        if flags & SYN:
            self.opening[direction] -= 1
            return direction, self.opening[direction]
        if len(packet) - start - (offset >> 4) * 4 == 0 and not flags & FIN:
            return "", 0
        self.seen[direction] += 1
        return direction, self.seen[direction]


def serve(listener: socket.socket, cases: list[Case]) -> None:
    """Be the server of each case in turn."""
    for case in cases:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for index, size in enumerate(case["sizes"]):
                if index % 2:
                    time.sleep(case["pauses_s"].get(str(index), 0.0))
                    connection.sendall(bytes(size))
                else:
                    take(connection, size)
            take(connection, 1)


def play(way: Way, port: int, case: Case) -> list[float]:
    """Be the client of a case; return when the connection was there and when each answer was, in seconds."""
    way.begin(port, case)
    with socket.socket() as client:
        client.bind((NEAR, port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began_s = time.monotonic()
        client.connect((FAR, PORT))
        times_s = [time.monotonic() - began_s]
        for index, size in enumerate(case["sizes"]):
            if index % 2:
                take(client, size)
                times_s.append(time.monotonic() - began_s)
            else:
                client.sendall(bytes(size))
    return times_s


def main() -> None:
    """Carry out all cases."""
    tun = open_tunnel()
    with open("/proc/sys/net/ipv4/tcp_allowed_congestion_control", encoding="ascii") as file:
        controls = file.read().split()
    control = "cubic" if "cubic" in controls else "reno"  # BBR would pace what it sends
    set_up(
        {
            "tcp_no_metrics_save": "1",
            "tcp_congestion_control": control,
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
            "congestion_control": control,
            "times": [play(way, 50_000 + number, case) for number, case in enumerate(cases)],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
