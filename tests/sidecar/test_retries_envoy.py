"""Which failures are tried again under which of Envoy's conditions: a real Envoy against a sidecar told the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshsim.scenario.manifests.http_route import RETRY_ON
from meshsim.scenario.presets import PRESETS
from meshsim.sidecar import events
from meshsim.sidecar.commands import BackOff
from meshsim.sidecar.resilience import response_flags
from meshsim.sidecar.tls.machine import TlsServer
from tests.policy.envoy_server import Client, Identities, envoy_binary, free_ports, http_manager, running
from tests.sidecar.test_outbound import EPOCH, handshake

Json = dict[str, Any]
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
CLIENT = "spiffe://mesh.example/ns/foo/sa/client"
ISTIO = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
"""Istio's default retry policy: istio, pilot/pkg/networking/core/route/retry, defaultPolicy."""
CONDITIONS = (ISTIO, "connect-failure", "reset-before-request", "reset", "5xx", "gateway-error", "refused-stream")
FAILURES = ("no-endpoint", "no-listener", "client-refuses", "server-refuses", "plaintext-to-tls")

needs_envoy = pytest.mark.skipif(envoy_binary() is None, reason="envoy is not installed")


def _client_tls(certificate: Path, trusted: Path) -> Json:
    common = {
        "tls_certificates": [
            {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(certificate)}}
        ],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "validation_context": {"trusted_ca": {"filename": str(trusted)}},
    }
    typed = {"@type": f"{TLS}UpstreamTlsContext", "common_tls_context": common}
    return {"name": "tls", "typed_config": typed}


def _cluster(name: str, port: int | None, tls: Json | None = None) -> Json:
    address = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}
    endpoints = [] if port is None else [{"lb_endpoints": [{"endpoint": address}]}]
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    http2 = {"@type": f"type.googleapis.com/{options}", "explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        "typed_extension_protocol_options": {options: http2},
        **({"transport_socket": tls} if tls else {}),
    }


def _server(port: int, ours: Identities) -> Json:
    tls = ours.transport_socket()
    tls["typed_config"]["require_client_certificate"] = True
    tls["typed_config"]["common_tls_context"]["alpn_protocols"] = ["h2"]
    chain = {"filters": [http_manager([], {"stat_prefix": "server"}, {})], "transport_socket": tls}
    return {"name": "server", **_address(port), "filter_chains": [chain]}


def _address(port: int) -> Json:
    return {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A function that has Envoy meet a failure under a condition; returns its attempts and its flags."""
    folders = [tmp_path_factory.mktemp(name) for name in ("envoy", "ours", "theirs")]
    ours, theirs = (Identities(folder, (CLIENT,)) for folder in folders[1:])
    port, server, nobody = free_ports(3)
    clusters = [
        _cluster("no-endpoint", None),
        _cluster("no-listener", nobody),
        _cluster("client-refuses", server, _client_tls(ours.clients[CLIENT], theirs.ca)),
        _cluster("server-refuses", server, _client_tls(theirs.clients[CLIENT], ours.ca)),
        _cluster("plaintext-to-tls", server),
    ]
    routes = [
        {
            "match": {"path": f"/{failure}/{condition}"},
            "route": {
                "cluster": failure,
                "retry_policy": {
                    "num_retries": 2,
                    "retry_on": condition,
                    "retry_back_off": {"base_interval": "0.001s"},
                },
            },
        }
        for failure in FAILURES
        for condition in CONDITIONS
    ]
    options = {"route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]}}
    told = {"flags": "%RESPONSE_FLAGS%", "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"}
    chain = {"filters": [http_manager([], options, told)]}
    client = Client(ours)
    listeners = [{"name": "client", **_address(port), "filter_chains": [chain]}, _server(server, ours)]
    with running(listeners, clusters, folders[0], [port, server]):

        def met(failure: str, condition: str) -> tuple[int, str]:
            _, body = client.request(("127.0.0.1", port), "GET", f"/{failure}/{condition}", [("host", "service")])
            return int(body["attempts"]), body["flags"]

        yield met
    client.close()


def _fail(stage: Any, failure: str, retry_on: frozenset[str]) -> tuple[bool, str, bool]:
    """Have a sidecar meet a failure once; returns whether it tries again, the outcome, whether it waited till then."""
    more: dict[str, Any] = {"endpoints": ()} if failure == "no-endpoint" else {}
    if failure in ("client-refuses", "server-refuses"):
        more = {"mode": "STRICT", "side": stage.side("planner", ttl_s=1 if failure == "server-refuses" else 3600)}
    book = stage.sidecar(retries=1, retry_on=retry_on, **more)
    book.on(stage.call(7))
    if failure == "no-listener":
        book.takes()
        book.on(events.ConnectionLost(1, "refused"))
    elif failure == "client-refuses":
        book.takes()
        book.on(events.TcpEstablished(1))
        (compute,) = book.takes()
        book.on(events.WorkDone(1, compute.step))
        book.takes()
        (answer,) = TlsServer(stage.side("impostor")).receive(compute.step.flights[0], EPOCH).flights
        book.on(events.UnitReceived(1, answer))
        (compute,) = book.takes()
        book.on(events.WorkDone(1, compute.step))
    elif failure == "server-refuses":
        book.takes()
        server, finish = handshake(stage, book, stage.side("vision"), 7)
        book.on(events.UnitReceived(1, server.receive(finish, EPOCH + 5 * 10**9).flights[0]))
        (compute,) = book.takes()
        book.on(events.WorkDone(1, compute.step))
    elif failure == "plaintext-to-tls":
        book.takes()
        book.on(events.TcpEstablished(1))
        book.takes()
        book.on(events.ConnectionLost(1, "the peer speaks TLS"))
    end = book.takes()[-1]
    return type(end) is BackOff, end.outcome, failure in ("no-listener", "client-refuses")


@needs_envoy
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("failure", FAILURES)
def test_failures_are_tried_again_as_envoy_does(stage: Any, envoy: Any, failure: str, condition: str) -> None:
    """A manifest's `retryOn` has a sidecar try again just where Envoy does, and its flags are Envoy's."""
    retry_on = frozenset(outcome for word in condition.split(",") for outcome in RETRY_ON[word])
    again, outcome, waited = _fail(stage, failure, retry_on)
    flags = response_flags(outcome, waited=waited, retried=again)
    assert (3 if again else 1, flags) == envoy(failure, condition)


def test_the_presets_condition_is_that_of_istios_default_policy() -> None:
    """The preset `istio` tries again what Istio's default policy does."""
    (preset,) = (each.value for each in PRESETS["istio"].defaults if each.path == "resilience.retry_on")
    assert set(preset) == {outcome for word in ISTIO.split(",") for outcome in RETRY_ON[word]}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("outcome", ["unreachable", "tls-refused", "reset"])
def test_outcomes_are_tried_again_by_name(stage: Any, failure: str, outcome: str) -> None:
    """An outcome in `retry_on` is tried again whether the request was sent or not, and no other is."""
    again, ended, _ = _fail(stage, failure, frozenset((outcome,)))
    assert again == (ended == outcome)
