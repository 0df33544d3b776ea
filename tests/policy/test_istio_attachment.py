"""What targetRefs attach policies to, and the two proxies on the way to a service that a waypoint serves.

The cases are those of istio/istio, pilot/pkg/model/policyattachment.go, and of
pilot/pkg/serviceregistry/kube/controller/ambient/authorization.go, with the notes of istio.io, "Use Layer 7 features".
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
import pytest

from meshsim.policy.engine import Default, Directory, PolicyFile
from meshsim.policy.istio import REFUSED_PATH, IstioEngine
from meshsim.policy.istio_waypoints import both
from meshsim.policy.question import DEFAULT_ALLOW, DEFAULT_DENY, Decision, Question
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.policy import IstioPolicy
from meshsim.scenario.token_reasons import UNKNOWN_ISSUER

Json = dict[str, Any]
DOMAIN = "spiffe://mesh.example/ns"
FRONT, EDGE, INGRESS = f"{DOMAIN}/shop/sa/front", f"{DOMAIN}/edge/sa/edge", f"{DOMAIN}/istio-system/sa/ingress"
DIRECTORY = Directory(
    services=frozenset({"front", "cart", "stock", "edge", "ingress"}),
    trust_domains=frozenset({"mesh.example"}),
    trust_domain="mesh.example",
    workloads={
        FRONT: "front",
        f"{DOMAIN}/shop/sa/cart": "cart",
        f"{DOMAIN}/depot/sa/stock": "stock",
        EDGE: "edge",
        INGRESS: "ingress",
    },
    namespaces={"front": "shop", "cart": "shop", "stock": "depot", "edge": "edge", "ingress": "istio-system"},
    labels={
        "cart": {"app": "cart"},
        "stock": {"app": "stock"},
        "edge": {"gateway.networking.k8s.io/gateway-name": "door"},
        "ingress": {"istio": "ingressgateway"},
    },
    ports={name: {8080: "http"} for name in ("front", "cart", "stock", "edge", "ingress")},
    ambient=True,
    waypoints={"cart": "shop/waypoint", "stock": "shop/waypoint"},
    gateways={"ingress": frozenset({"shop/web"})},
)
ALL: Json = {}
GET = {"to": [{"operation": {"methods": ["GET"]}}]}
FROM_FRONT = {"from": [{"source": {"principals": ["mesh.example/ns/shop/sa/front"]}}]}
FROM_WAYPOINT = {"from": [{"source": {"principals": ["mesh.example/ns/shop/sa/waypoint"]}}]}
TO_CART = [{"kind": "Service", "name": "cart"}]


def policy(
    name: str, action: str, namespace: str, *rules: Json, kind: str = "AuthorizationPolicy", **spec: Any
) -> Json:
    """An object of Istio's."""
    body = {"action": action, "rules": list(rules), **spec} if kind == "AuthorizationPolicy" else spec
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": metadata, "spec": body}


def engine(*objects: Json, default: Default = "allow", **options: Any) -> IstioEngine:
    """An engine from objects, in one file."""
    text = "\n---\n".join(map(json.dumps, objects))
    return IstioEngine.from_sources([PolicyFile("a.yaml", text)], DIRECTORY, default, IstioPolicy(**options))


def question(destination: str = "cart", principal: str = FRONT, **more: Any) -> Question:
    """A GET of one service by another."""
    given: Json = {"method": "GET", "path": "/", "port": 8080, **more}
    source = DIRECTORY.workloads.get(principal, "x")
    return Question(principal, source, destination, slice="", site="", mutual=bool(principal), **given)


def gateway(name: str, group: str = "gateway.networking.k8s.io", kind: str = "Gateway") -> list[Json]:
    """A reference to a gateway, or to a class of them."""
    return [{"kind": kind, "group": group, "name": name}]


@pytest.mark.parametrize(
    ("namespace", "references", "here"),
    [
        ("shop", TO_CART, {"cart"}),
        ("shop", [{"kind": "Service", "group": "core", "name": "cart"}], {"cart"}),
        ("depot", [{"kind": "Service", "name": "stock"}], {"stock"}),  # its waypoint is in another namespace
        ("shop", [{"kind": "Service", "name": "front"}], set()),  # no waypoint serves it
        ("shop", gateway("waypoint"), {"cart", "stock"}),
        ("istio-system", gateway("istio-waypoint", kind="GatewayClass"), {"cart", "stock"}),
        ("edge", gateway("door"), {"edge"}),
        ("shop", gateway("web", "networking.istio.io"), {"ingress"}),
        ("shop", [*TO_CART, {"kind": "Service", "name": "front"}], {"cart"}),
    ],
)
def test_where_a_policy_with_references_holds(namespace: str, references: list[Json], here: set[str]) -> None:
    """It holds at the waypoint of its service, at a waypoint, or at a gateway's workload; at no sidecar."""
    denies = engine(policy("a", "DENY", namespace, ALL, targetRefs=references))
    assert {name for name in DIRECTORY.services if not denies.decide(question(name)).allowed} == here


def test_a_service_that_is_called_like_another_with_its_namespace() -> None:
    """One of several services of one name has the namespace in its own; where the name is there, that one is meant."""
    more = {"cart-shop": "shop", "stock-depot": "depot"}
    directory = msgspec.structs.replace(
        DIRECTORY,
        services=DIRECTORY.services - {"stock"} | frozenset(more),
        namespaces={**DIRECTORY.namespaces, **more},
        ports={name: {8080: "http"} for name in (*DIRECTORY.services, *more)},
        waypoints=dict.fromkeys(("cart", *more), "shop/waypoint"),
    )
    for namespace, name, here in (("shop", "cart", "cart"), ("depot", "stock", "stock-depot")):
        text = json.dumps(policy("a", "DENY", namespace, ALL, targetRefs=[{"kind": "Service", "name": name}]))
        denies = IstioEngine.from_sources([PolicyFile("a.yaml", text)], directory)
        assert [one for one in ("cart", *more) if not denies.decide(question(one)).allowed] == [here]


@pytest.mark.parametrize("namespace", ["depot", "istio-system"])
def test_references_stay_in_their_namespace(namespace: str) -> None:
    """A policy of another namespace, that of the root included, cannot be attached to a service by its name."""
    attached = policy("a", "DENY", namespace, ALL, targetRefs=TO_CART)
    with pytest.raises(ScenarioError, match="there is no service 'cart' in"):
        engine(attached)
    assert engine(attached, unmatched="ignore").decide(question()).allowed


def test_both_proxies_have_to_allow() -> None:
    """An ALLOW policy by selector is ztunnel's, which sees the waypoint as the caller: it opens no other way."""
    attached = policy("l7", "ALLOW", "shop", {**GET, **FROM_FRONT}, targetRefs=TO_CART)
    by_caller = policy("l4", "ALLOW", "shop", FROM_FRONT, selector={"matchLabels": {"app": "cart"}})
    by_waypoint = policy("l4", "ALLOW", "shop", FROM_WAYPOINT, selector={"matchLabels": {"app": "cart"}})
    alone = engine(attached).decide(question())
    assert (alone.allowed, alone.rule) == (True, "ns[shop]-policy[l7]-rule[0]")
    assert engine(attached).decide(question(method="PUT")).rule == DEFAULT_DENY
    closed = engine(attached, by_caller).decide(question())
    assert (closed.allowed, closed.rule) == (False, DEFAULT_DENY)
    opened = engine(attached, by_waypoint)
    assert opened.decide(question()).reasons == ("ns[shop]-policy[l7]-rule[0]", "ns[shop]-policy[l4]-rule[0]")
    assert not opened.decide(question(method="PUT")).allowed
    assert engine(by_waypoint).decide(question()).rule == "ns[shop]-policy[l4]-rule[0]"


@pytest.mark.parametrize(
    ("action", "rule", "allowed"),
    [
        ("ALLOW", {**FROM_WAYPOINT}, True),
        ("ALLOW", {**FROM_WAYPOINT, **GET}, False),  # rules that match HTTP attributes are omitted
        ("DENY", {"to": [{"operation": {"methods": ["PUT"]}}]}, False),  # enforced without the HTTP rules
        ("DENY", {"to": [{"operation": {"methods": ["PUT"], "ports": ["9"]}}]}, True),
        ("DENY", {"from": [{"source": {"requestPrincipals": ["*"]}}]}, False),
        ("DENY", {"from": [{"source": {"remoteIpBlocks": ["192.0.2.0/24"]}}]}, False),
        ("DENY", {"when": [{"key": "request.headers[x]", "values": ["y"]}]}, False),
        ("ALLOW", {"from": [{"source": {"serviceAccounts": ["shop/waypoint"]}}]}, True),
        ("ALLOW", {"when": [{"key": "source.serviceAccount", "values": ["shop/waypoint"]}]}, False),  # no such key
        ("DENY", {"when": [{"key": "source.serviceAccount", "values": ["shop/front"]}]}, False),
        ("DENY", FROM_FRONT, True),  # the caller is the waypoint
        ("DENY", FROM_WAYPOINT, False),
        ("DENY", {"from": [{"source": {"namespaces": ["shop"]}}]}, False),
        ("AUDIT", GET, True),  # ztunnel knows no such policy
    ],
)
def test_what_ztunnel_looks_at(action: str, rule: Json, allowed: bool) -> None:
    """Policies without references are looked at behind the waypoint, where TCP alone is seen."""
    found = engine(policy("a", action, "shop", rule, selector={"matchLabels": {"app": "cart"}}))
    assert found.decide(question(port=8080)).allowed is allowed


@pytest.mark.parametrize(
    ("rule", "through", "past"),
    [
        ({"from": [{"source": {"ipBlocks": ["192.0.2.0/24"]}}]}, True, False),
        ({"from": [{"source": {"notIpBlocks": ["192.0.2.0/24"]}}]}, False, True),
    ],
)
def test_addresses_of_callers_are_not_known_behind_a_waypoint(rule: Json, through: bool, past: bool) -> None:
    """Whoever goes through the waypoint is in no block there, and who goes past it comes from the own address."""
    denies = engine(policy("a", "DENY", "shop", rule, selector={"matchLabels": {"app": "cart"}}))
    assert "source_ip" in denies.reads
    asked = question(source_ip="192.0.2.7")
    assert denies.decide(asked).allowed is through
    assert denies.decide(msgspec.structs.replace(asked, principal="")).allowed is past


def test_what_both_proxies_say_is_one_decision() -> None:
    """Reasons, errors, audits and trials of both are told; of a refusal its own reasons, and errors of both."""
    waypoint = Decision(True, "w", ("w",), ("we",), ("wa",), "")
    ztunnel = Decision(True, "z", ("z",), ("ze",), (), "zd")
    assert both(waypoint, ztunnel) == Decision(True, "w", ("w", "z"), ("we", "ze"), ("wa",), "zd")
    silent = Decision(True, DEFAULT_ALLOW, dry_run="wd")
    assert both(silent, ztunnel) == Decision(True, "z", ("z",), ("ze",), (), "wd")
    refused = Decision(False, "z", ("z",), ("ze",))
    assert both(waypoint, refused) == Decision(False, "z", ("z",), ("we", "ze"), ("wa",))


def test_a_policy_for_all_waypoints_holds_in_the_root_namespace_alone() -> None:
    """Elsewhere it is a mistake, and holds nowhere if that is let pass."""
    references = gateway("istio-waypoint", kind="GatewayClass")
    attached = policy("a", "DENY", "shop", ALL, targetRefs=references)
    with pytest.raises(ScenarioError, match="holds in the root namespace alone"):
        engine(attached)
    assert all(engine(attached, unmatched="ignore").decide(question(name)).allowed for name in DIRECTORY.services)


def test_who_goes_past_the_waypoint() -> None:
    """Callers that prove no identity, and gateways: policies attached by references hold nothing against them."""
    attached = policy("a", "DENY", "shop", ALL, targetRefs=TO_CART)
    denies = engine(attached)
    assert not denies.decide(question()).allowed
    assert denies.decide(question(principal="")).rule == DEFAULT_ALLOW
    assert denies.decide(question(principal=INGRESS)).allowed
    assert denies.decide(question(principal=EDGE)).allowed
    assert denies.decide(question(principal=f"{DOMAIN}/shop/sa/waypoint")).allowed
    (account,) = denies.explain(question(principal=""))
    assert account.why == "the caller proves no identity, so it is not in the mesh and goes past the waypoint"
    closed = engine(attached, policy("b", "ALLOW", "shop", FROM_WAYPOINT, selector={"matchLabels": {"app": "cart"}}))
    assert closed.decide(question(principal="")).rule == DEFAULT_DENY
    assert closed.decide(question(principal=INGRESS)).rule == DEFAULT_DENY
    assert engine(attached, default="deny").decide(question(principal="")).rule == DEFAULT_DENY


def test_gateways_go_through_where_the_service_says_so() -> None:
    """The label istio.io/ingress-use-waypoint has gateways go through the waypoint too."""
    directory = msgspec.structs.replace(DIRECTORY, open_to_gateways=frozenset({"cart"}))
    text = json.dumps(policy("a", "DENY", "shop", ALL, targetRefs=TO_CART))
    denies = IstioEngine.from_sources([PolicyFile("a.yaml", text)], directory)
    assert not denies.decide(question(principal=INGRESS)).allowed


def test_ztunnel_alone_where_no_waypoint_serves() -> None:
    """In ambient mode a service without a waypoint has policies of TCP alone, with its callers as they are."""
    allows = engine(policy("a", "ALLOW", "shop", FROM_FRONT))
    assert allows.decide(question("front")).allowed
    assert not allows.decide(question("front", principal=EDGE)).allowed
    with_http = engine(policy("a", "ALLOW", "shop", {**FROM_FRONT, **GET}))
    assert with_http.decide(question("front")).rule == DEFAULT_DENY
    (account,) = with_http.explain(question("front"))
    assert account.why == "methods needs HTTP, which ztunnel does not see: it allows nothing"
    door = engine(policy("a", "ALLOW", "edge", GET))
    assert [door.decide(question("edge", method=one)).allowed for one in ("GET", "PUT")] == [True, False]


def test_what_decides_by_connection_closes_it() -> None:
    """Ztunnel, and a sidecar on a port without HTTP, have no answer to give, as in Envoy."""
    text = json.dumps(policy("a", "DENY", "shop", ALL))
    sidecars = msgspec.structs.replace(DIRECTORY, ambient=False, waypoints={}, ports={"front": {80: "http", 90: "tcp"}})
    sidecar = IstioEngine.from_sources([PolicyFile("a.yaml", text)], sidecars)
    ambient = engine(policy("a", "DENY", "shop", ALL), policy("b", "DENY", "shop", ALL, targetRefs=TO_CART))
    elsewhere = policy("a", "DENY", "depot", ALL)
    by_default = engine(elsewhere, default="deny")

    def told(by: IstioEngine, *asked: Any, **more: Any) -> tuple[bool, int, bool, bool]:
        decision = by.decide(question(*asked, **more))
        return decision.allowed, decision.status, decision.closes, decision.behind

    assert told(sidecar, "front", port=80) == (False, 403, False, False)
    assert told(sidecar, "front", port=90) == told(ambient, "front") == (False, 503, True, False)
    assert told(ambient, "cart") == (False, 403, False, False)  # its waypoint reads HTTP
    assert told(ambient, "cart", principal="") == (False, 503, True, False)  # past the waypoint
    assert told(by_default, "front") == told(by_default, "cart", principal="") == (False, 503, True, False)
    assert told(engine(elsewhere), "front") == (True, 403, False, False)


SOURCES: list[Json] = [
    {"principals": ["mesh.example/ns/shop/sa/front"]},
    {"principals": ["*/sa/edge"], "notNamespaces": ["depot"]},
    {"namespaces": ["shop", "ed*"]},
    {"ipBlocks": ["192.0.2.0/24"]},
    {"notIpBlocks": ["192.0.2.0/25"], "namespaces": ["*"]},
    {"requestPrincipals": ["*"]},
    {"serviceAccounts": ["shop/front", "cart"]},
]
OPERATIONS: list[Json] = [
    *({"methods": ["GET"]}, {"paths": ["/a*"], "ports": ["8080"]}, {"notMethods": ["PUT"]}),
    *({"ports": ["8080"]}, {"notPorts": ["8080"]}, {"hosts": ["cart"]}),
]
CONDITIONS: list[Json] = [
    {"key": "request.headers[x]", "values": ["y"]},
    {"key": "source.namespace", "notValues": ["shop"]},
    {"key": "destination.port", "values": ["8080", "9000"]},
    {"key": "request.auth.claims[iss]", "notValues": ["z"]},
    {"key": "meshsim.slice", "values": ["*"]},
]


def test_ztunnel_reads_policies_as_a_sidecar_does_on_a_port_of_tcp() -> None:
    """Of both, Istio leaves out what needs HTTP; where ztunnel differs (remote.ip, SNI) is said above."""
    random = Random(1)
    tcp = msgspec.structs.replace(
        DIRECTORY, ambient=False, waypoints={}, ports={name: {8080: "tcp"} for name in DIRECTORY.services}
    )
    apart = 0
    for _ in range(400):
        objects = []
        for number in range(random.randint(1, 4)):
            rule: Json = {}
            for key, part, some in (("from", "source", SOURCES), ("to", "operation", OPERATIONS)):
                if random.random() < 0.6:
                    rule[key] = [{part: one} for one in random.sample(some, random.randint(1, 2))]
            if random.random() < 0.4:
                rule["when"] = [random.choice(CONDITIONS)]
            objects.append(policy(f"p{number}", random.choice(["ALLOW", "DENY"]), "shop", rule))
        text = "\n---\n".join(map(json.dumps, objects))
        sidecar = IstioEngine.from_sources([PolicyFile("a.yaml", text)], tcp)
        ztunnel = engine(*objects)
        with_http = IstioEngine.from_sources(
            [PolicyFile("a.yaml", text)], msgspec.structs.replace(DIRECTORY, ambient=False, waypoints={})
        )
        for principal in (FRONT, EDGE, f"{DOMAIN}/depot/sa/stock", ""):
            for address in ("192.0.2.1", "192.0.2.200", "198.51.100.1"):
                asked = question("front", principal=principal, source_ip=address, host="cart", headers=(("x", "y"),))
                found = [one.decide(asked) for one in (sidecar, ztunnel)]
                assert found[0] == found[1], (text, asked)
                apart += with_http.decide(asked).allowed != found[0].allowed
    assert apart > 100  # questions on which HTTP would make a difference


def test_default_deny_is_the_waypoints() -> None:
    """The default is as one more policy at the waypoint; ztunnel takes what the waypoint lets through."""
    attached = policy("a", "ALLOW", "shop", GET, targetRefs=TO_CART)
    closed = engine(attached, default="deny")
    assert closed.decide(question()).rule == "ns[shop]-policy[a]-rule[0]"
    assert closed.decide(question(method="PUT")).rule == DEFAULT_DENY
    assert closed.decide(question("front")).rule == DEFAULT_DENY


def test_tokens_are_the_waypoints() -> None:
    """A RequestAuthentication holds where it is attached; ztunnel looks at no token, by a selector or without."""
    rule = {"issuer": "https://a.example"}
    attached = policy("t", "", "shop", kind="RequestAuthentication", jwtRules=[rule], targetRefs=TO_CART)
    selected = policy("t", "", "shop", kind="RequestAuthentication", jwtRules=[rule])
    foreign = question(claims='{"iss":"https://b.example"}')
    decision = engine(attached).decide(foreign)
    assert (decision.rule, decision.refused_by) == (UNKNOWN_ISSUER, "ns[shop]-requestauthentication[t]")
    assert engine(attached).looks_at_tokens("cart")
    assert engine(selected).decide(foreign).allowed
    assert not engine(selected).looks_at_tokens("cart")
    assert not engine(selected).looks_at_tokens("front")
    sidecars = msgspec.structs.replace(DIRECTORY, ambient=False, waypoints={})
    text = json.dumps(selected)
    assert IstioEngine.from_sources([PolicyFile("a.yaml", text)], sidecars).looks_at_tokens("front")


def test_paths_are_refused_by_the_waypoint() -> None:
    """Envoy's 400 is the waypoint's: who goes past it meets nobody who reads a path."""
    denies = engine(policy("a", "DENY", "shop", GET, targetRefs=TO_CART))
    assert denies.decide(question(path="/%00", method="PUT")).rule == REFUSED_PATH
    assert denies.decide(question(path="/%00", principal="")).allowed


def test_custom_policies_ask_at_the_waypoint() -> None:
    """A CUSTOM policy asks where it is attached, and ztunnel knows none."""
    providers = {"closed": {"verdict": "deny"}}
    custom = {"provider": {"name": "closed"}}
    attached = engine(policy("a", "CUSTOM", "shop", ALL, targetRefs=TO_CART, **custom), extension_providers=providers)
    assert attached.decide(question()).rule == "ns[shop]-policy[a]-rule[0]"
    assert attached.provider(question()) is not None
    assert attached.provider(question(principal="")) is None
    selected = engine(policy("a", "CUSTOM", "shop", ALL, **custom), extension_providers=providers)
    assert selected.decide(question()).allowed
    assert selected.provider(question()) is None
    (account,) = selected.explain(question())
    assert account.why == "in ambient mode ztunnel looks at it, which knows no CUSTOM policy"


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        (
            [policy("a", "DENY", "shop", ALL, targetRefs=[{"kind": "Service", "name": "front"}])],
            "ns[shop]-policy[a] is attached to the service front, which no waypoint serves: sidecars and ztunnel",
        ),
        (
            [policy("a", "DENY", "shop", ALL, targetRefs=[*TO_CART, {"kind": "Service", "name": "front"}])],
            "ns[shop]-policy[a] is attached to the service front, which no waypoint serves: sidecars and ztunnel",
        ),
        (
            [policy("a", "DENY", "shop", ALL, targetRefs=gateway("gone"))],
            "ns[shop]-policy[a] is attached to the Gateway gone, which is not here: nothing enforces it",
        ),
        (
            [policy("t", "", "shop", kind="RequestAuthentication", jwtRules=[{"issuer": "a"}])],
            "ns[shop]-requestauthentication[t] is for cart or front: in ambient mode ztunnel looks at no token",
        ),
        (
            [policy("a", "AUDIT", "shop", ALL)],
            "ns[shop]-policy[a] is for cart or front: in ambient mode ztunnel knows no AUDIT policy",
        ),
        (
            [policy("a", "ALLOW", "shop", {**GET, **FROM_WAYPOINT})],
            "ns[shop]-policy[a] is for cart or front: in ambient mode ztunnel sees no methods, so the rule allows",
        ),
        (
            [policy("a", "DENY", "shop", GET)],
            "ns[shop]-policy[a] is for cart or front: in ambient mode ztunnel sees no methods, so the rule denies",
        ),
        (
            [policy("a", "DENY", "shop", {"when": [{"key": "request.auth.claims[iss]", "notValues": ["a"]}]})],
            "is for cart or front: in ambient mode ztunnel sees no request.auth.claims[iss], so the rule denies",
        ),
        ([policy("a", "DENY", "shop", ALL, targetRefs=TO_CART)], ""),
        ([policy("a", "DENY", "shop", FROM_WAYPOINT)], ""),
    ],
)
def test_what_nobody_enforces_is_told(objects: list[Json], said: str) -> None:
    """A warning names what holds nowhere, or not as it is written."""
    told = engine(*objects, unmatched="ignore").unenforced()
    assert [said in one for one in told] == ([True] if said else [])


def test_accounts_tell_whom_a_waypoint_does_not_serve() -> None:
    """A policy at a waypoint that does not serve the called service says so, and who does."""
    at_one = policy("a", "DENY", "shop", ALL, targetRefs=gateway("waypoint"))
    at_another = policy("b", "DENY", "shop", ALL, targetRefs=gateway("other"))
    told = [one.why for one in engine(at_one, at_another, unmatched="ignore").explain(question("front"))]
    assert told == [f"it is attached to {name} in shop, which does not serve front: no waypoint does" for name in NAMES]
    elsewhere = policy("c", "DENY", "depot", ALL, targetRefs=[{"kind": "Service", "name": "stock"}])
    assert engine(elsewhere).explain(question("cart"))[0].why == "it is attached to stock in depot; cart is in shop"
    (_, of_cart) = engine(at_one, at_another, unmatched="ignore").explain(question("cart"))
    assert of_cart.why == "it is attached to other in shop, which does not serve cart: the waypoint shop/waypoint does"


NAMES = ("waypoint", "other")
