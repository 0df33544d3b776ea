"""Meshes that are drawn at random as whole scenarios, with waypoints, versions, providers and tokens; and requests."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]
OWN, PARTNER = "mesh.example", "partner.example"
ISSUERS = (f"https://desk.{OWN}", f"https://club.{OWN}", "https://nobody.example")
GATEWAYS = "gateway.networking.k8s.io"
PRINCIPALS = (
    *(f"{OWN}/ns/foo/sa/a", f"{OWN}/ns/foo/sa/side", f"{OWN}/ns/bar/sa/b", f"{OWN}/ns/bar/sa/door", "*/ns/bar/sa/door"),
    *(f"{PARTNER}/ns/foo/sa/p", f"{PARTNER}/*", "*/sa/a", "*", f"{OWN}/fleet/users/0", f"{OWN}/ns/foo/*"),
)
SOURCES = (
    *("a", "side", "b", "p", "users/0", "users/1", "anyone"),
    *(f"spiffe://{one}" for one in (f"{OWN}/ns/bar/sa/door", f"{PARTNER}/ns/foo/sa/a", f"{PARTNER}/ns/foo/sa/p")),
)
PATHS = ("/", "/x", "/x/y", "/admin", "//admin", "/x/../admin", "/x?role=ops")
ROLES = ("ops", "dev", ["ops", "dev"], 7)
GROUPS = (["X25519"], ["P-256"], ["P-256", "X25519"], ["P-384"])
SOURCE_FIELDS = {
    "principals": PRINCIPALS,
    "namespaces": ("foo", "bar", "*"),
    "ipBlocks": ("10.244.0.0/24", "10.244.1.0/24"),
    "requestPrincipals": ("*", f"{ISSUERS[0]}/*", "*/alice"),
}
OPERATION_FIELDS = {
    "methods": ("GET", "POST", "P*"),
    "paths": ("/x", "/x*", "/admin", "*/y"),
    "ports": ("8080", "9000"),
    "hosts": ("b", "shop.example", "*"),
}
CONDITIONS = {
    "request.auth.claims[role]": ("ops", "dev", "*"),
    "request.auth.audiences": ("shop", "bank", "*"),
    "request.headers[x-t]": ("red", "r*", "*"),
    "request.headers[x-role]": ("ops", "*"),
    "meshsim.tls.group": ("X25519", "P-256", "P-*"),
    "meshsim.site": ("hall", "office"),
    "meshsim.source.node": ("edge-1", "core-1"),
    "connection.sni": ("outbound_.8080_._.b.bar.svc.cluster.local", "*"),
}
CEDAR = (
    'context.path like "/x*"',
    'context.headers has "x-t" && context.headers["x-t"] == "red"',
    'context.method == "POST"',
    'context.group == "X25519"',
    'context has claims && context.claims has "role" && context.claims["role"] == "ops"',
    'resource == Service::"b"',
)


def _some(rng: random.Random, pool: Sequence[str]) -> list[str]:
    return rng.sample(list(pool), min(rng.randint(1, 2), len(pool)))


def _fields(rng: random.Random, pools: Mapping[str, Sequence[str]]) -> Json:
    """One or two fields, some of them in their negative form."""
    found: Json = {}
    for name in rng.sample(sorted(pools), rng.choice((1, 1, 2))):
        found[name if rng.random() < 0.7 else f"not{name[0].upper()}{name[1:]}"] = _some(rng, pools[name])
    return found


def _rule(rng: random.Random, action: str) -> Json:
    found: Json = {}
    if action != "CUSTOM" and rng.random() < 0.6:
        found["from"] = [{"source": _fields(rng, SOURCE_FIELDS)}]
    if rng.random() < 0.4:
        found["to"] = [{"operation": _fields(rng, OPERATION_FIELDS)}]
    if rng.random() < 0.6:
        key = rng.choice([one for one in sorted(CONDITIONS) if action != "CUSTOM" or "auth" not in one])
        values = _some(rng, CONDITIONS[key])
        found["when"] = [{"key": key, rng.choice(("values", "values", "notValues")): values}]
    return found


def _scope(rng: random.Random) -> tuple[str, Json]:
    """Where an object holds: its namespace, and what its spec says of it."""
    named: dict[str, tuple[str, Json]] = {
        "mesh": ("istio-system", {}),
        "namespace": ("bar", {}),
        "workload": ("bar", {"selector": {"matchLabels": {"app": "b"}}}),
        "version": ("bar", {"selector": {"matchLabels": {"version": "v1"}}}),
        "service": ("bar", {"targetRefs": [{"kind": "Service", "group": "", "name": "b"}]}),
        "waypoint": ("bar", {"targetRefs": [{"kind": "Gateway", "group": GATEWAYS, "name": "door"}]}),
        "class": (
            "istio-system",
            {"targetRefs": [{"kind": "GatewayClass", "group": GATEWAYS, "name": "istio-waypoint"}]},
        ),
    }
    return copy.deepcopy(named[rng.choice(sorted(named))])


def _object(rng: random.Random, kind: str, name: str, spec: Json) -> Json:
    namespace, where = _scope(rng)
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": metadata, "spec": {**where, **spec}}


def _policies(rng: random.Random) -> list[Json]:
    found = []
    for index in range(rng.choice((0, 1, 1, 2))):
        action = rng.choice(("ALLOW", "ALLOW", "DENY", "DENY", "CUSTOM"))
        spec: Json = {"action": action, "rules": [_rule(rng, action)]}
        if action == "CUSTOM":
            spec["provider"] = {"name": "cedar"}
        found.append(_object(rng, "AuthorizationPolicy", f"p{index}", spec))
    return found


def _tokens(rng: random.Random) -> list[Json]:
    found = []
    for index in range(rng.choice((0, 1, 1, 2))):
        rule: Json = {"issuer": rng.choice(ISSUERS)}
        if rng.random() < 0.4:
            rule["audiences"] = _some(rng, ("shop", "bank"))
        if rng.random() < 0.2:
            rule["fromHeaders"] = [{"name": "x-jwt"}]
        if rng.random() < 0.2:
            rule["outputClaimToHeaders"] = [{"header": "x-role", "claim": "role"}]
        found.append(_object(rng, "RequestAuthentication", f"r{index}", {"jwtRules": [rule]}))
    return found


def _tls(rng: random.Random) -> Json:
    found: Json = {}
    if rng.random() < 0.5:
        found["mode"] = rng.choice(("STRICT", "PERMISSIVE", "DISABLE"))
    if rng.random() < 0.4:
        found["groups"] = rng.choice(GROUPS)
    return found


def _check(rng: random.Random) -> Json | None:
    if rng.random() < 0.7:
        return None
    found: Json = {"issuers": _some(rng, ("desk", "club")), "required": rng.random() < 0.5, "binding": "ignored"}
    return found | ({"audiences": ["shop"]} if rng.random() < 0.4 else {})


def _cedar(rng: random.Random) -> str:
    effect, rest = rng.choice((("permit", ""), ("forbid", "permit (principal, action, resource);")))
    return f"{effect} (principal, action, resource) when {{ {rng.choice(CEDAR)} }};\n{rest}"


FEATURES: dict[str, Callable[[random.Random], Any]] = {
    "ambient": lambda rng: rng.random() < 0.6,
    "door": lambda rng: rng.choice(("", "named", "placed")),
    "dataplanes": lambda rng: {one: rng.choice((None, None, "sidecar", "ambient")) for one in ("a", "side", "users")},
    "account": lambda rng: rng.choice(("side", "side", "a")),
    "versions": lambda rng: rng.choice((None, None, {}, {"mode": "PERMISSIVE"}, {"mode": "DISABLE"})),
    "tls": _tls,
    "tls_of": lambda rng: {one: _tls(rng) if rng.random() < 0.3 else {} for one in ("a", "side", "b", "users")},
    "second": lambda rng: rng.choice(("http", "tcp")),
    "trusts": lambda rng: rng.random() < 0.7,
    "destination": lambda rng: rng.choice((None, None, "plaintext", "auto")),
    "check": _check,
    "cedar": _cedar,
    "a_at": lambda rng: rng.choice(("edge-1", "core-1")),
    "policies": _policies,
    "tokens": _tokens,
}
"""What meshes differ in, and how each of it is drawn."""


def mesh(rng: random.Random) -> Json:
    """The features of a mesh."""
    return {name: draw(rng) for name, draw in FEATURES.items()}


def changed(rng: random.Random, features: Json) -> Json:
    """A mesh that differs in one or two features."""
    names = rng.sample(sorted(FEATURES), rng.choice((1, 1, 2)))
    return copy.deepcopy(features) | {name: FEATURES[name](rng) for name in names}


def files_of(features: Json) -> dict[str, str]:
    """The scenario of a mesh, ``s.yaml``, and its policies."""
    objects = [*features["policies"], *features["tokens"]]
    if not objects:
        objects = [_object(random.Random(0), "AuthorizationPolicy", "all", {"rules": [{}]})]
    return {
        "s.yaml": json.dumps(_scenario(features)),
        "p.yaml": "\n---\n".join(map(json.dumps, objects)),
        "c.cedar": features["cedar"],
    }


def _scenario(features: Json) -> Json:
    services = _services(features)
    flows = [
        {"name": f"to-{to}", "from": "users", "to": to, "slice": "web", "arrivals": {"constant": "5 /s"}}
        for to in services
    ]
    return {
        "scenario": "drawn",
        "duration": "1 s",
        "network": {
            "nodes": {"edge-1": {"kind": "edge", "site": "hall"}, "core-1": {"kind": "core", "site": "office"}},
            "links": [{"between": ["edge-1", "core-1"], "latency": "1 ms"}],
            "slices": {"web": {"sst": 1, "five_qi": 9}},
        },
        "services": services,
        "fleets": {"users": {"size": 2, "node": "edge-1", "token": {"issuer": "desk"}, **_own(features, "users")}},
        "mesh": _mesh(features, placed=features["door"] == "placed" and "waypoint" in services["b"]),
        "traffic": flows,
    }


def _own(features: Json, name: str) -> Json:
    own = {"tls": features["tls_of"].get(name), "dataplane": features["dataplanes"].get(name)}
    return {key: value for key, value in own.items() if value}


def _services(features: Json) -> Json:
    work = {"constant": "1 ms"}
    b: Json = {"namespace": "bar", "service_account": "b", "labels": {"app": "b"}, **_own(features, "b")}
    b["ports"] = {"8080": {}, "9000": {"protocol": features["second"]}}
    if features["versions"] is None:
        b["replicas"] = {"core-1": 1}
    else:
        told = {"tls": features["versions"]} if features["versions"] else {}
        each = {name: {"replicas": {"core-1": 1}, "labels": {"version": name}} for name in ("v1", "v2")}
        b["versions"] = {**each, "v1": {**each["v1"], **told}}
    if features["door"] and features["ambient"]:
        b["waypoint"] = "bar/door"
    if features["check"]:
        b["request_authentication"] = features["check"]
    foo = {"namespace": "foo", "replicas": {"edge-1": 1}}
    found = {
        "a": {**foo, "service_account": "a", "replicas": {features["a_at"]: 1}, **_own(features, "a")},
        "side": {**foo, "service_account": features["account"], **_own(features, "side")},
        "b": b,
        "p": {**foo, "service_account": "p", "token": {"issuer": "club"}},
    }
    return {name: {"work": work, **one} for name, one in found.items()}


def _mesh(features: Json, *, placed: bool) -> Json:
    partner = {"node": "core-1", "services": ["p"], "trusts": [OWN]}
    settings = {
        "unmatched": "ignore",
        "extension_providers": {"cedar": {"engine": "cedar", "files": ["c.cedar"]}},
    }
    found: Json = {
        "trust_domain": OWN,
        "ambient": features["ambient"],
        "tls": features["tls"],
        "federation": {"trusts": [PARTNER] if features["trusts"] else [], "domains": {PARTNER: partner}},
        "tokens": {"issuers": {"desk": {}, "club": {}}},
        "policy": {"engine": "istio", "files": ["p.yaml"], "default": "allow", "istio": settings},
        "resilience": {"retries": 0},
    }
    if placed:
        found["waypoints"] = {"bar/door": {"replicas": {"edge-1": 1}}}
    if features["destination"]:
        found["destinations"] = {"b": {"tls": features["destination"]}}
    return found


def request(rng: random.Random) -> Json:
    """A request to ``b``, as the fields of one; all but the port, method and path may be left out."""
    claims: Json | None = None
    if rng.random() < 0.6:
        claims = {"iss": rng.choice(ISSUERS)}
        claims |= {"aud": rng.choice(("shop", "bank", ["shop", "bank"], "x"))} if rng.random() < 0.6 else {"aud": []}
        claims |= {"role": rng.choice(ROLES)} if rng.random() < 0.6 else {}
        claims |= {"sub": rng.choice(("alice", "bob"))} if rng.random() < 0.5 else {}
    headers = [("x-t", rng.choice(("red", "blue", "ro")))] if rng.random() < 0.4 else []
    headers += [("x-role", rng.choice(("ops", "dev")))] if rng.random() < 0.2 else []
    return {
        "source": rng.choice(SOURCES),
        "port": rng.choice((8080, 9000)),
        "method": rng.choice(("GET", "POST", "PUT")),
        "path": rng.choice(PATHS),
        "headers": tuple(headers),
        "host": rng.choice((None, "b", "shop.example")),
        "claims": claims,
        "site": rng.choice((None, None, "hall", "office")),
    }
