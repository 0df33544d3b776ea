"""Status and response flags of what a waypoint could not do, as a real Envoy tells them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from meshsim.sidecar.messages import MOST_HEADER_BYTES
from meshsim.sidecar.resilience import STATUS, response_flags
from tests.policy.envoy_server import WAIT_S, Client, Identities, configured, envoy_binary, free_ports, http_manager

pytestmark = pytest.mark.skipif(envoy_binary() is None, reason="envoy is not installed")

Json = dict[str, Any]
KIND = "type.googleapis.com/envoy.extensions.filters."
TWICE = {"num_retries": 2, "retry_on": "connect-failure,reset", "retry_back_off": {"base_interval": "0.001s"}}
ISTIO = {"num_retries": 2, "retry_on": "connect-failure,refused-stream,unavailable,cancelled,reset-before-request"}
"""What Istio's proxies retry where no route says otherwise (pilot/pkg/networking/core/route/retry/retry.go)."""
EVERY = {"num_retries": 2, "retry_on": "5xx", "retry_back_off": {"base_interval": "0.001s"}}
ABORT = 418


class Peer:
    """Takes connections and requests; ends each connection then, or says nothing."""

    def __init__(self, port: int, *, hangs: bool) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        self._hangs = hangs
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            connection.settimeout(WAIT_S)
            connection.recv(4096)
            if self._hangs:
                self._open.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Take no more connections, and end those there are."""
        self._server.close()
        for connection in self._open:
            connection.close()


def cluster(name: str, port: int | None, **more: Any) -> Json:
    """A cluster with one endpoint, or without any."""
    address = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}
    endpoints = [] if port is None else [{"lb_endpoints": [{"endpoint": address}]}]
    assignment = {"cluster_name": name, "endpoints": endpoints}
    return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment, **more}


def _tunnel(port: int) -> tuple[list[Json], list[Json]]:
    """Listeners and clusters by which a waypoint sends on to a ztunnel that answers CONNECT with 401, as ztunnel does.

    As istiod sets them (pilot/pkg/networking/core/listener_waypoint.go): requests go to a listener within Envoy, which
    opens a tunnel in HTTP/2 for each of its connections.
    """
    protocols = {"explicit_http_config": {"http2_protocol_options": {}}}
    options = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            **protocols,
        }
    }
    inner = cluster("refused", None)
    address = {"envoy_internal_address": {"server_listener_name": "originate", "endpoint_id": "ledger"}}
    inner["load_assignment"]["endpoints"] = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    originate = {
        "@type": f"{KIND}network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "originate",
        "cluster": "ztunnel",
        "tunneling_config": {"hostname": "ledger:80"},
    }
    connect = {"match": {"connect_matcher": {}}, "direct_response": {"status": 401}}
    ztunnel = http_manager(
        [],
        {
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [connect]}]},
            "http2_protocol_options": {"allow_connect": True},
            "upgrade_configs": [{"upgrade_type": "CONNECT"}],
        },
        {},
    )
    where = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    listeners = [
        {
            "name": "originate",
            "internal_listener": {},
            "filter_chains": [{"filters": [{"name": "tcp", "typed_config": originate}]}],
        },
        {"name": "ztunnel", "address": where, "filter_chains": [{"filters": [ztunnel]}]},
    ]
    return listeners, [inner, cluster("ztunnel", port, typed_extension_protocol_options=options)]


def denies(port: int) -> Json:
    """A listener that denies by connection, as ztunnel does and a sidecar on a port that speaks no HTTP."""
    rbac = {
        "@type": f"{KIND}network.rbac.v3.RBAC",
        "stat_prefix": "rbac",
        "rules": {
            "action": "DENY",
            "policies": {"all": {"permissions": [{"any": True}], "principals": [{"any": True}]}},
        },
    }
    proxy = {"@type": f"{KIND}network.tcp_proxy.v3.TcpProxy", "stat_prefix": "proxy", "cluster": "gone"}
    filters = [{"name": "rbac", "typed_config": rbac}, {"name": "tcp", "typed_config": proxy}]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"name": "denying", "address": address, "filter_chains": [{"filters": filters}]}


def _route(path: str, cluster: str, **more: Any) -> Json:
    return {"match": {"path": path}, "route": {"cluster": cluster, "timeout": "0.4s", **more}}


def _added(value_bytes: int) -> list[Json]:
    """Nine fields that a route adds."""
    return [{"header": {"key": f"x-{number}", "value": "r" * value_bytes}} for number in range(9)]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A function that asks an Envoy for a path, and returns the status and the flags of its own answer."""
    folder = tmp_path_factory.mktemp("envoy")
    port, closed, cutting, silent, ztunnel, denying = free_ports(6)
    peers = [Peer(cutting, hangs=False), Peer(silent, hangs=True)]
    nothing = {"thresholds": [{"max_requests": 0, "max_pending_requests": 0}]}
    clusters = [
        cluster("gone", None),
        cluster("closed", closed),
        cluster("cutting", cutting),
        cluster("silent", silent),
        cluster("denying", denying),
        cluster("full", silent, circuit_breakers=nothing),
    ]
    fault = {"abort": {"http_status": ABORT, "percentage": {"numerator": 100}}}
    tunnel_listeners, tunnel_clusters = _tunnel(ztunnel)
    routes = [
        _route("/gone", "gone"),
        _route("/closed", "closed"),
        _route("/closed-twice", "closed", retry_policy=TWICE),
        _route("/cutting", "cutting"),
        _route("/cutting-twice", "cutting", retry_policy=TWICE),
        _route("/silent", "silent"),
        _route("/full", "full"),
        _route("/denied", "denying", retry_policy=ISTIO),
        _route("/denied-twice", "denying", retry_policy=EVERY),
        {**_route("/added", "ztunnel"), "request_headers_to_add": _added(7_500)},
        {**_route("/added-less", "ztunnel"), "request_headers_to_add": _added(6_500)},
        _route("/refused", "refused", retry_policy=ISTIO),
        _route("/refused-twice", "refused", retry_policy=EVERY),
        {
            **_route("/abort", "gone"),
            "typed_per_filter_config": {"fault": {"@type": f"{KIND}http.fault.v3.HTTPFault", **fault}},
        },
    ]
    filters = [{"name": "fault", "typed_config": {"@type": f"{KIND}http.fault.v3.HTTPFault"}}]
    options = {"route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}}
    chain = {"filters": [http_manager(filters, options, {"flags": "%RESPONSE_FLAGS%"})]}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    client = Client(Identities(folder, ()))
    listeners = [{"name": "way", "address": address, "filter_chains": [chain]}, *tunnel_listeners, denies(denying)]
    inside = "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"
    bootstrap = {
        "bootstrap_extensions": [{"name": "internal", "typed_config": {"@type": inside}}],
        "static_resources": {"listeners": listeners, "clusters": [*clusters, *tunnel_clusters]},
    }
    with configured(bootstrap, folder, [port, ztunnel, denying]):

        def answered(path: str) -> tuple[int, str]:
            status, body = client.request(("127.0.0.1", port), "GET", path, [("host", "service")])
            return status, body.get("flags", "")  # none of what another Envoy answers

        yield answered
    client.close()
    for peer in peers:
        peer.close()


@pytest.mark.parametrize(
    ("path", "outcome", "waited", "retried"),
    [
        ("/gone", "unreachable", False, False),
        ("/closed", "unreachable", True, False),
        ("/closed-twice", "unreachable", True, True),
        ("/cutting", "reset", False, False),
        ("/cutting-twice", "reset", False, True),
        ("/silent", "timeout", False, False),
        ("/full", "overflow", False, False),
        ("/denied", "reset", False, False),
        ("/denied-twice", "reset", False, True),
        ("/refused", "reset", False, False),
        ("/refused-twice", "reset", False, True),
        ("/nowhere", "unrouted", False, False),
        ("/abort", "aborted", False, False),
    ],
)
def test_failures_are_told_as_envoy_tells_them(ask: Any, path: str, outcome: str, waited: bool, retried: bool) -> None:
    """Each kind of failure has Envoy's status, and the flags of its access log."""
    expected = STATUS.get(outcome, ABORT), response_flags(outcome, waited=waited, retried=retried)
    assert ask(path) == expected


def test_an_envoy_limits_the_fields_of_others_and_not_its_own(ask: Any) -> None:
    """What it adds beyond 60 KiB is sent on; the next Envoy, which has it in HTTP/2, resets the stream for that."""
    assert 9 * 6_500 < MOST_HEADER_BYTES < 9 * 7_500
    assert ask("/added") == (503, "UR")
    assert ask("/added-less") == (404, "")
