"""Our decisions on Istio policies against a real Envoy that runs what istiod would make of them."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from meshsim.policy.engine import Directory, PolicyFile
from meshsim.policy.istio import REFUSED_PATH, IstioEngine
from meshsim.policy.istio_path import Normalization, normalized
from meshsim.policy.istio_types import AuthorizationPolicy
from meshsim.policy.question import DEFAULT_ALLOW, DEFAULT_DENY, Decision, Question
from meshsim.scenario.policy import ExtensionProvider, IstioPolicy
from tests.policy import istio_draws as draws
from tests.policy.envoy_server import Client, Identities, envoy_binary, free_ports, http_manager, listener, running
from tests.policy.istio_to_envoy import custom_filters, jwt_filter, rbac_filter

pytestmark = pytest.mark.skipif(envoy_binary() is None, reason="the package envoy-server is not installed")

Json = dict[str, Any]
MODES: dict[Normalization, Json] = {
    "NONE": {"normalize_path": False},
    "BASE": {"normalize_path": True},
    "MERGE_SLASHES": {"normalize_path": True, "merge_slashes": True},
    "DECODE_AND_MERGE_SLASHES": {
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD",
    },
}
WORKLOADS_PER_MODE = 10
REQUESTS = 25
"""To each workload, in HTTP; a third as many connections in TCP."""
ANSWER = {
    "details": "%RESPONSE_CODE_DETAILS%",
    "path": "%REQ(:path)%",
    "audit": "%DYNAMIC_METADATA(envoy.common:access_log_hint)%",
    "custom": "%DYNAMIC_METADATA(envoy.filters.http.rbac:istio_ext_authz_shadow_effective_policy_id)%",
    "deny_on_trial": "%DYNAMIC_METADATA(envoy.filters.http.rbac:istio_dry_run_deny_shadow_effective_policy_id)%",
    "allow_on_trial": "%DYNAMIC_METADATA(envoy.filters.http.rbac:istio_dry_run_allow_shadow_engine_result)%",
}
TRUST_DOMAINS = (draws.TRUST_DOMAIN, draws.ALIAS)


class Workload(NamedTuple):
    """One called service, with its listeners."""

    name: str
    mode: Normalization
    address: str
    port: int
    tcp_port: int


class Bench(NamedTuple):
    """A running Envoy, what it runs, and who can ask it."""

    engines: dict[Normalization, IstioEngine]
    workloads: list[Workload]
    echoes: dict[Normalization, int]
    """Port of a listener without policies for each mode."""
    client: Client
    key: ec.EllipticCurvePrivateKey
    """Signs tokens."""

    def asked(self, workload: Workload, request: draws.Request) -> tuple[int, Json]:
        """What Envoy answers to a request."""
        headers = [("host", request.host), *request.headers]
        if request.claims:
            token = jwt.encode(json.loads(request.claims), self.key, algorithm="ES256", headers={"kid": "k"})
            headers.append(("authorization", f"Bearer {token}"))
        target = request.path + (f"?{request.query}" if request.query else "")
        to = (workload.address, workload.port)
        return self.client.request(
            to, request.method, target, headers, request.source_ip, request.identity, request.sni
        )

    def tcp_admits(self, workload: Workload, request: draws.Request) -> bool:
        """Whether bytes on a TCP connection come back."""
        to = (workload.address, workload.tcp_port)
        connection = self.client.connect(to, request.source_ip, request.identity, request.sni)
        try:
            connection.sendall(b"hello")
            return connection.recv(5) != b""
        except OSError:
            return False
        finally:
            connection.close()


def question(workload: Workload, request: draws.Request, *, tokens: bool, port: int) -> Question:
    """The question that a sidecar would put about a request."""
    return Question(
        principal=request.identity or "",
        source="client",
        destination=workload.name,
        method=request.method,
        path=request.path,
        slice="",
        site="",
        mutual=bool(request.identity),
        port=port,
        host=request.host,
        headers=request.headers,
        claims=request.claims if tokens else "",
        source_ip=request.source_ip,
        query=request.query,
        destination_ip=workload.address,
        sni=request.sni,
    )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One Envoy with a listener for each workload, stopped after the tests of this module."""
    folder = tmp_path_factory.mktemp("envoy")
    rng = random.Random(20260101)
    key = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    key_set = json.dumps({"keys": [public | {"kid": "k", "alg": "ES256"}]})
    ports = free_ports(2 * WORKLOADS_PER_MODE * len(MODES) + len(MODES) + len(draws.PROVIDERS))
    taken = iter(ports)
    workloads, engines = [], {}
    for mode in MODES:
        here = [
            Workload(f"w{number}-{mode.lower().replace('_', '-')}", mode, rng.choice(("127.0.0.1", "127.0.0.2")),
                     next(taken), next(taken))
            for number in range(WORKLOADS_PER_MODE)
        ]  # fmt: skip
        workloads += here
        engines[mode] = _engine(rng, mode, here, key_set)
    echoes = {mode: next(taken) for mode in MODES}
    providers = {name: next(taken) for name in draws.PROVIDERS}
    identities = Identities(folder, draws.IDENTITIES)
    listeners = [part for one in workloads for part in _listeners(one, engines[one.mode], identities)]
    tls = identities.transport_socket()
    for mode, port in echoes.items():
        listeners.append(listener(f"echo-{port}", ("127.0.0.1", port), [http_manager([], MODES[mode], ANSWER)], tls))
    for name, port in providers.items():
        manager = http_manager([], {}, {})
        routes = manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
        routes[0]["direct_response"]["status"] = 200 if name == "yes" else 403
        listeners.append(listener(name, ("127.0.0.1", port), [manager], tls))
    clusters = [_cluster(name, port) for name, port in providers.items()]
    client = Client(identities)
    waited = [one.port for one in workloads if one.address == "127.0.0.1"] + list(providers.values())
    with running(listeners, clusters, folder, waited):
        yield Bench(engines, workloads, echoes, client, key)
        client.close()


def _engine(rng: random.Random, mode: Normalization, here: list[Workload], key_set: str) -> IstioEngine:
    documents = [
        document
        for one in here
        for document in (*draws.policies(rng, one.name, one.port), *draws.authentication(rng, one.name, key_set))
    ]
    directory = Directory(
        services=frozenset(one.name for one in here),
        namespaces={one.name: one.name for one in here},
        ports={one.name: {one.port: "http", one.tcp_port: "tcp"} for one in here},
        trust_domain=draws.TRUST_DOMAIN,
    )
    verdicts = {
        name: ExtensionProvider(verdict="allow" if name == "yes" else "deny", protocol="http")
        for name in draws.PROVIDERS
    }
    settings = IstioPolicy(trust_domain_aliases=(draws.ALIAS,), path_normalization=mode, extension_providers=verdicts)
    text = "\n---\n".join(json.dumps(document, indent=1) for document in documents)
    return IstioEngine.from_sources([PolicyFile(f"{mode}.yaml", text)], directory, "allow", settings)


def _here(engine: IstioEngine, workload: Workload) -> list[AuthorizationPolicy]:
    return [policy for policy in engine.policies.authorization if policy.scope.namespace == workload.name]


def _rules(engine: IstioEngine, workload: Workload) -> list[Any]:
    return [
        rule for one in engine.policies.authentication if one.scope.namespace == workload.name for rule in one.rules
    ]


def _listeners(workload: Workload, engine: IstioEngine, identities: Identities) -> list[Json]:
    here = _here(engine, workload)
    tokens = _rules(engine, workload)
    clusters = {name: name for name in draws.PROVIDERS}
    actions = ("AUDIT", "DENY", "ALLOW")
    filters = [jwt_filter(tokens)] if tokens else []
    filters += custom_filters(here, TRUST_DOMAINS, clusters)
    filters += [made for action in actions if (made := rbac_filter(here, action, TRUST_DOMAINS, tcp=False))]
    below = [made for action in actions if (made := rbac_filter(here, action, TRUST_DOMAINS, tcp=True))]
    kind = "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"
    echo = {"name": "echo", "typed_config": {"@type": kind}}
    manager = http_manager(filters, MODES[workload.mode], ANSWER)
    tls = identities.transport_socket()
    return [
        listener(workload.name, (workload.address, workload.port), [manager], tls),
        listener(f"{workload.name}-tcp", (workload.address, workload.tcp_port), [*below, echo], tls),
    ]


def _cluster(name: str, port: int) -> Json:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def accounts(engine: IstioEngine, asked: Question) -> str:
    """What became of the rules for the called workload, one to a line."""
    here = [one for one in engine.explain(asked) if f"ns[{asked.destination}]" in one.rule]
    return "\n".join(map(str, here))


def told(decision: Decision, engine: IstioEngine) -> str:
    """What Envoy has to say of a decision: status, and what made it."""
    actions = {rule.name: policy.action for policy in engine.policies.authorization for rule in policy.rules}
    if decision.rule == REFUSED_PATH:
        return "400"
    if decision.allowed:
        return "200"
    if decision.rule == DEFAULT_DENY:
        return "403 none"
    if decision.rule not in actions:
        return "token"
    if actions[decision.rule] == "CUSTOM":
        return "403 provider"
    return f"403 {min(decision.reasons)}"  # Envoy looks at rules in the order of their names


def said(status: int, answer: Json) -> str:
    """What Envoy said, in the same words."""
    details = str(answer.get("details"))
    if "jwt_authn" in details:
        return "token"
    if status == 403:
        found = details.partition("matched_policy[")[2][:-1]
        return "403 provider" if "ext_authz" in details else f"403 {found}"
    return str(status)


def test_http_decisions_are_envoys(bench: Bench) -> None:
    """About each of a thousand requests Envoy decides as we do, by the same rule, and marks and tries the same."""
    rng = random.Random(7)
    counts: dict[str, int] = {}
    for workload in bench.workloads:
        engine = bench.engines[workload.mode]
        tokens = bool(_rules(engine, workload))
        for _ in range(REQUESTS):
            request = draws.request(rng)
            asked = question(workload, request, tokens=tokens, port=workload.port)
            decision = engine.decide(asked)
            status, answer = bench.asked(workload, request)
            about = f"{asked}\n{decision}\n{accounts(engine, asked)}\n{status} {answer}"
            expected = told(decision, engine)
            assert said(status, answer) == expected, about
            kind = " ".join(expected.split()[:1]) if "ns[" in expected else expected
            counts[kind] = counts.get(kind, 0) + 1
            if expected in ("400", "token"):
                continue
            if expected == "403 provider":
                custom = answer["custom"].removeprefix(f"istio-ext-authz-{draws.PROVIDERS[1]}-")
                assert custom in decision.reasons, about
                continue
            assert bool(answer["audit"]) == bool(decision.audited), about
            counts["audited"] = counts.get("audited", 0) + bool(decision.audited)
            if decision.allowed:
                on_trial = answer["deny_on_trial"] or (
                    DEFAULT_DENY if decision.rule == DEFAULT_ALLOW and answer["allow_on_trial"] == "denied" else None
                )
                assert bool(decision.dry_run) == bool(on_trial), about
                counts["on trial"] = counts.get("on trial", 0) + bool(on_trial)
    assert sum(counts.values()) >= 1000
    assert all(counts[kind] >= 10 for kind in ("200", "403", "403 none", "403 provider", "token", "audited")), counts
    assert counts["400"] >= 3, counts
    assert counts["on trial"] >= 3, counts


def test_tcp_decisions_are_envoys(bench: Bench) -> None:
    """Where only TCP is seen, Envoy admits the connections that we do."""
    rng = random.Random(11)
    admitted = 0
    for workload in bench.workloads:
        engine = bench.engines[workload.mode]
        for _ in range(REQUESTS // 3):
            request = draws.request(rng)
            asked = question(workload, request, tokens=False, port=workload.tcp_port)
            decision = engine.decide(asked)
            assert bench.tcp_admits(workload, request) is decision.allowed, f"{asked}\n{decision}"
            admitted += decision.allowed
    assert 30 < admitted < WORKLOADS_PER_MODE * len(MODES) * (REQUESTS // 3) - 30


def test_paths_are_normalised_as_envoy_does(bench: Bench) -> None:
    """Thousands of paths made of what normalisation is about come out the same in every mode."""
    rng = random.Random(5)
    parts = (
        *("/", "//", "a", "b", ".", "..", "%2e", "%2E", "%2f", "%5c", "\\", "%", "%%", "%4", "%41", "%7e", "%25"),
        *("%00", "^", "{", "}", "|", '"', "<", "*", "=", ";", "%c3%a9", "%20", "~", "_", "...", "/.", "/..", "/../"),
        *("/./", "%2525", "%6", "%G1", "'", "[", "]", "@", "!", "%34", "%%3", "A", "f", "\\..;", "..;", "/.;x", "%30"),
    )
    for _ in range(700):
        path = "/" + "".join(rng.choice(parts) for _ in range(rng.randint(0, 7)))
        for mode, port in bench.echoes.items():
            status, answer = bench.client.request(("127.0.0.1", port), "GET", path, [("host", "a")])
            found = answer["path"] if status == 200 else None
            assert normalized(path, mode) == found, (mode, path, status)


@pytest.mark.parametrize("path", ["/a#b", "a", "*", "/\xe9"])
def test_refused_paths_are_refused_by_envoy(bench: Bench, path: str) -> None:
    """What is no path at all is answered with 400, without normalisation too."""
    port = bench.echoes["NONE"]
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"))
        assert connection.recv(12) == b"HTTP/1.1 400"
    assert normalized(path, "NONE") is None


def test_envoy_stops(tmp_path: Path) -> None:
    """An Envoy that a test runs is gone after it."""
    (port,) = free_ports(1)
    with running(
        [
            listener(
                "a", ("127.0.0.1", port), [http_manager([], {}, ANSWER)], Identities(tmp_path, ()).transport_socket()
            )
        ],
        [],
        tmp_path,
        [port],
    ):
        pass
    with pytest.raises(OSError, match=r"refused|reset"):
        socket.create_connection(("127.0.0.1", port), 1)
