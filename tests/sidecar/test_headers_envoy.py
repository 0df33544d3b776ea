"""Header fields of requests and answers as a real Envoy handles them."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from meshsim.sidecar.answers import SERVER, SERVICE_TIME, AnswerRules
from meshsim.sidecar.http1 import connection_problem, read
from meshsim.sidecar.received import Fields, end_to_end
from tests.policy.envoy_server import WAIT_S, envoy_binary, free_ports, running

pytestmark = pytest.mark.skipif(envoy_binary() is None, reason="envoy is not installed")

KIND = "type.googleapis.com/envoy.extensions.filters."
ENVOYS_OWN = ("host", "x-forwarded-proto", "x-request-id", "x-envoy-expected-rq-timeout-ms", "content-length")
ANSWER = b"HTTP/1.1 200 OK\r\nserver: gunicorn/20.1\r\ncontent-length: 2\r\n\r\nok"
PLAIN = {"server_name": "istio-envoy"}
QUIET = {"server_header_transformation": "PASS_THROUGH"}


class Workload:
    """Answers every request in the same way, and keeps what it was sent."""

    def __init__(self, port: int) -> None:
        self.seen: list[bytes] = []
        self._server = socket.create_server(("127.0.0.1", port))
        self._server.settimeout(WAIT_S)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(WAIT_S)
            while request := _head(connection):
                self.seen.append(request)
                connection.sendall(ANSWER)

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.close()


def _head(connection: socket.socket) -> bytes:
    """What comes up to an empty line; nothing if the other end has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            more = connection.recv(65536)
        except OSError:
            return b""
        if not more:
            return b""
        data += more
    return data


def _listener(name: str, port: int, options: dict[str, Any], *, suppressed: bool) -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "workload"}}
    router = {"@type": f"{KIND}http.router.v3.Router", "suppress_envoy_headers": suppressed}
    config = {
        "@type": f"{KIND}network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "router", "typed_config": router}],
        **options,
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "name": name,
        "address": address,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": config}]}],
    }


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workload, int, int]]:
    """A workload behind an Envoy with two listeners: one as Istio sets it up, one that says nothing."""
    behind, plain, quiet = free_ports(3)
    workload = Workload(behind)
    address = {"socket_address": {"address": "127.0.0.1", "port_value": behind}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    load = {"cluster_name": "workload", "endpoints": endpoints}
    cluster = {"name": "workload", "type": "STATIC", "load_assignment": load}
    listeners = [
        _listener("plain", plain, PLAIN, suppressed=False),
        _listener("quiet", quiet, QUIET, suppressed=True),
    ]
    with running(listeners, [cluster], tmp_path_factory.mktemp("envoy"), [plain, quiet]):
        yield workload, plain, quiet
    workload.close()


def _ask(port: int, fields: Fields) -> tuple[int, Fields]:
    """Send a request with these fields; the status and the fields of the answer."""
    lines = ["GET /x HTTP/1.1", "host: shop", *(f"{name}: {value}" for name, value in fields), "", ""]
    with socket.create_connection(("127.0.0.1", port), WAIT_S) as connection:
        connection.sendall("\r\n".join(lines).encode())
        first, *rest = _head(connection).partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return int(first.split()[1]), tuple(
        (name.lower(), value) for name, _, value in (line.partition(": ") for line in rest)
    )


WORDS = (
    *("close", "keep-alive", "x-a", "X-B", "te", "cookie", "authorization", "content-length", "x-forwarded-for"),
    *("x-forwarded-host", "x-forwarded-proto", ":path", "x-c", "trailer", "transfer-encoding"),
)
FIELDS: Fields = (
    *(("x-a", "1"), ("x-b", "2"), ("x-c", "3"), ("te", "trailers"), ("te", "gzip"), ("te", "gzip, trailers")),
    *(("keep-alive", "timeout=5"), ("proxy-connection", "keep-alive"), ("upgrade", "h2c"), ("trailer", "x-t")),
    *(("authorization", "Bearer x"), ("cookie", "a=b"), ("proxy-authorization", "Basic x"), ("x-envoy-hop", "1")),
)


def _drawn(seed: int) -> Fields:
    """Some fields, and a Connection that names some words; each name once."""
    draw = random.Random(seed)
    chosen = dict(draw.sample(FIELDS, draw.randint(0, 6)))
    chosen["connection"] = ", ".join(draw.sample(WORDS, draw.choice((0, 1, 1, 2, 3, 11))))
    fields = list(chosen.items())
    draw.shuffle(fields)
    return tuple(fields)


def test_envoy_takes_the_same_fields_off(mesh: tuple[Workload, int, int]) -> None:
    """What arrives behind Envoy of two hundred requests is what the pure function lets through; it refuses the same."""
    workload, plain, _ = mesh
    for seed in range(200):
        fields = _drawn(seed)
        workload.seen.clear()
        status, _ = _ask(plain, fields)
        assert (status == 400) == connection_problem(fields), fields
        if status == 200:
            arrived = read(workload.seen[0]).requests[0].fields
            passed = tuple(field for field in arrived if field[0] not in ENVOYS_OWN)
            assert sorted(passed) == sorted(end_to_end(fields)), fields


def test_envoy_tells_the_same_in_answers(mesh: tuple[Workload, int, int]) -> None:
    """With Istio's settings it says who answered and how long it took; without, the workload's own word is left."""
    _, plain, quiet = mesh
    loud = AnswerRules("istio-envoy", "gunicorn/20.1", service_time=True, metadata=())
    silent = AnswerRules("", "gunicorn/20.1", service_time=False, metadata=())
    for port, rules in ((plain, loud), (quiet, silent)):
        _, told = _ask(port, ())
        expected = dict(rules.fields((), 0))
        found = {name: value for name, value in told if name == SERVER or name.startswith("x-envoy-")}
        assert found.keys() == expected.keys()
        assert found[SERVER] == expected[SERVER]
        assert found.get(SERVICE_TIME, "0").isdecimal()
    refused, told = _ask(plain, (("connection", "x-forwarded-for"),))
    assert refused == 400
    assert dict(told)[SERVER] == "istio-envoy"
    assert SERVICE_TIME not in dict(told)
