"""A network namespace with a TUN in it, through which a host's TCP talks to itself: for programs that run in one."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NEAR, FAR, PORT = "10.77.0.1", "10.77.0.2", 4433
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def open_tunnel() -> int:
    """Return a TUN that is the namespace's only device, and answers for the near address."""
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH", b"meshsim0", _IFF_TUN | _IFF_NO_PI))
    for command in (
        "ip link set lo up",
        "ip link set meshsim0 up mtu 1500",
        f"ip address add {NEAR}/24 dev meshsim0",
    ):
        subprocess.run(command.split(), check=True)
    return tun


def set_up(settings: Mapping[str, str]) -> None:
    """Write settings of the namespace's IPv4."""
    for name, value in settings.items():
        Path(f"/proc/sys/net/ipv4/{name}").write_text(value, encoding="ascii")


def swapped(packet: bytes) -> bytes:
    """A packet with its addresses exchanged, which leaves all checksums as they are."""
    return packet[:12] + packet[16:20] + packet[12:16] + packet[20:]


def take(connection: socket.socket, size: int) -> None:
    """Read so many bytes."""
    while size:
        size -= len(connection.recv(min(size, 65_536))) or size


def answer_of(program: Path, cases: list[dict[str, Any]], timeout_s: int, *, as_root: bool = False) -> Any:
    """Run a program in a namespace of its own; skip the test where there can be none."""
    import pytest

    apart = ["unshare", "--net"] if as_root and os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    done = subprocess.run(
        [*apart, sys.executable, str(program)],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no network namespace with a TUN here: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout)
