"""What a proxy that carries connections tries again, as a real Envoy does: a sidecar on ports without HTTP."""

from __future__ import annotations

import re
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from meshsim.sidecar.resilience import ResilienceSettings, carrying
from tests.policy.envoy_server import WAIT_S, configured, envoy_binary, free_ports
from tests.sidecar.test_flags_envoy import KIND, cluster, denies

pytestmark = pytest.mark.skipif(envoy_binary() is None, reason="envoy is not installed")

Json = dict[str, Any]
ASKED = 3
"""Attempts to connect that one of the proxies is told to make; istiod leaves Envoy's default to each."""


def _carrying(port: int, name: str, attempts: int | None) -> Json:
    proxy = {"@type": f"{KIND}network.tcp_proxy.v3.TcpProxy", "stat_prefix": name, "cluster": name}
    if attempts is not None:
        proxy["max_connect_attempts"] = attempts
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    filters = [{"name": "tcp", "typed_config": proxy}]
    return {"name": f"{name}-{port}", "address": address, "filter_chains": [{"filters": filters}]}


def _tries(admin: int, name: str) -> int:
    with urlopen(f"http://127.0.0.1:{admin}/stats?filter=^cluster.{name}.upstream_cx_total", timeout=WAIT_S) as answer:
        return int(re.findall(r": (\d+)", answer.read().decode())[0])


def _tries_of_one(admin: int, port: int, name: str) -> int:
    """How often Envoy connects for one connection, which ends without a byte of an answer."""
    end = time.monotonic() + WAIT_S
    while not (before := _tries(admin, name)):  # as long as the connection that found it listening is not dealt with
        assert time.monotonic() < end, "Envoy does not connect"
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as caller, suppress(ConnectionError):
        caller.sendall(b"GET / HTTP/1.1\r\nhost: ledger\r\n\r\n")
        assert caller.recv(4096) == b""
    return _tries(admin, name) - before


def test_a_proxy_of_connections_tries_nothing_again_unless_it_is_told_to(tmp_path: Path) -> None:
    """A connection that a policy closes is tried once, whatever is said of attempts; one that never came about, too."""
    to_denying, to_closed, to_closed_again, behind, closed, again, admin = free_ports(7)
    listeners = [
        denies(behind),
        _carrying(to_denying, "denying", ASKED),
        _carrying(to_closed, "closed", None),
        _carrying(to_closed_again, "again", ASKED),
    ]
    clusters = [cluster("denying", behind), cluster("closed", closed), cluster("again", again)]
    bootstrap = {
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    }
    with configured(bootstrap, tmp_path, [admin, to_denying, to_closed, to_closed_again]):
        assert _tries_of_one(admin, to_denying, "denying") == 1
        assert _tries_of_one(admin, to_closed, "closed") == 1
        assert _tries_of_one(admin, to_closed_again, "again") == ASKED
    ours = carrying(ResilienceSettings(2, frozenset({"failed", "reset", "unreachable"}), 1, 1, 1))
    assert (ours.retries, ours.attempt_timeout_ns) == (0, None)
