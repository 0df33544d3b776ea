"""Istio policies and requests that are drawn at random, so that about as many match as do not."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

Json = dict[str, Any]

TRUST_DOMAIN, ALIAS = "mesh.example", "old.example"
IDENTITIES = (
    "spiffe://mesh.example/ns/foo/sa/a",
    "spiffe://mesh.example/ns/bar/sa/b",
    "spiffe://old.example/ns/foo/sa/a",
    "spiffe://other.example/ns/foo/sa/a",
    "spiffe://mesh.example/fleet/cars/1",
    "spiffe://mesh.example/ns/foo-2/cluster/x/sa/a-2",
)
SOURCE_IPS = ("127.0.0.1", "127.0.0.5", "127.0.1.9")
SERVER_NAMES = ("", "a.example", "b.a.example")
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
PATHS = (
    *("/", "/info", "/info/7", "/info/7/details", "/data", "/data/", "/data//x", "/admin/../info", "/admin", "/Admin"),
    *("/info%2F7", "/info%2e", "/a/b/c", "/a//c", "/x/..;/admin", "/%61dmin", "/data\\x", "/info/%7Bx%7D", "/a%00b"),
    *("/a=b/c", "/info/7/", "/a;v=1/b", "/%5cadmin", "/info/*", "/a.b/c+d"),
)
HOSTS = ("httpbin", "HTTPBIN.foo", "httpbin.foo:8000", "a.example", "example")
TOKENS = ("red", "blue-1", "", "dark-red", "red,blue")
ISSUERS = ("https://issuer.example", "issuer-b", "issuer-c")
PROVIDERS = ("yes", "no")


class Request(NamedTuple):
    """What a client sends, and how it connects."""

    identity: str | None
    """None: plaintext; empty: TLS without a certificate."""
    source_ip: str
    sni: str
    method: str
    path: str
    query: str
    host: str
    headers: tuple[tuple[str, str], ...]
    claims: str
    """Canonical JSON; empty without a token."""


def request(rng: random.Random) -> Request:
    """One request."""
    identity = rng.choice((*IDENTITIES, *IDENTITIES[:2], "", None))
    headers = [("x-token", rng.choice(TOKENS)) for _ in range(rng.choice((0, 1, 1, 2)))]
    if rng.random() < 0.2:
        headers.append(("x-forwarded-for", rng.choice(("10.1.2.3", "127.0.0.9, 10.1.2.3", "10.1.2.3, nobody", "::1"))))
    if rng.random() < 0.1:
        headers += [("cookie", "a=1"), ("cookie", "b=2")]
    return Request(
        identity=identity,
        source_ip=rng.choice(SOURCE_IPS),
        sni="" if identity is None else rng.choice(SERVER_NAMES),
        method=rng.choice(METHODS),
        path=rng.choice(PATHS),
        query=rng.choice(("", "", "v=1&w=/admin")),
        host=rng.choice(HOSTS),
        headers=tuple(headers),
        claims=claims(rng) if rng.random() < 0.5 else "",
    )


def claims(rng: random.Random) -> str:
    """The claims of a token."""
    found: Json = {"iss": rng.choice(ISSUERS), "exp": 4_000_000_000}
    optional: dict[str, Callable[[], Any]] = {
        "sub": lambda: rng.choice(("alice", "bob/2", "")),
        "aud": lambda: rng.choice(("shop", ["shop", "bank"], "https://shop/", ["bank"])),
        "azp": lambda: rng.choice(("app", "web-app")),
        "scope": lambda: rng.choice(("read", "read write", ["write"])),
        "groups": lambda: rng.choice(("admin", ["admin", "staff"], [], 7, True, "read write")),
        "org": lambda: rng.choice(({"unit": "plant"}, {"unit": ["plant", "depot"]}, "plant", {"unit": {}})),
    }
    found |= {name: draw() for name, draw in optional.items() if rng.random() < 0.6}
    return json.dumps(found, sort_keys=True, separators=(",", ":"))


PRINCIPALS = (
    *("mesh.example/ns/foo/sa/a", "cluster.local/ns/foo/sa/a", "old.example/ns/bar/sa/b", "*", "*/ns/foo/sa/a"),
    *(
        "mesh.example/ns/foo/*",
        "*/sa/a",
        "other.example/ns/foo/sa/a",
        "mesh.example/fleet/cars/1",
        "*.example/ns/bar/sa/b",
    ),
    *("*a", "mesh.exampl*", "nobody", "*foo*"),
)
REQUEST_PRINCIPALS = (
    *("https://issuer.example/alice", "*", "https://issuer.example/*", "*/alice", "issuer-b*", "*ice", "issuer-b"),
    *("issuer-b/", "*.example/alice", "https://issuer.example/al*", "issuer-b/bob/2", "*/"),
)
NAMESPACES = ("foo", "bar", "foo*", "*", "*o", "f*o", "foo-2")
ACCOUNTS = ("foo/a", "a", "bar/b", "foo-2/a-2", "foo-2/a")
BLOCKS = ("127.0.0.1", "127.0.0.0/24", "127.0.0.4/30", "10.0.0.0/8", "::1", "0.0.0.0/0", "127.0.1.9/16", "::/0")
PATH_VALUES = (
    *("/info", "/info*", "*/details", "*", "/data", "/admin", "/info/{*}", "/{**}/details", "/{*}/b/{*}", "/data/"),
    *("/{**}", "/info/{*}/{**}", "/a/{**}/", "/info/*", "/a.b/{*}", "/admi*", "*c", "/%7B*", "/a;v=1/{*}"),
)
HOST_VALUES = ("httpbin", "httpbin*", "*.EXAMPLE", "*", "httpbin.foo", "*example", "A.example")
METHOD_VALUES = ("GET", "POST", "P*", "*ET", "*", "get")
TOKEN_VALUES = ("red", "*", "*red", "blue*", "red,blue", "red,*", "*,red")


def _some(rng: random.Random, pool: tuple[str, ...]) -> list[str]:
    return rng.sample(pool, min(rng.choice((1, 1, 2, 3)), len(pool)))


def _fields(rng: random.Random, pools: dict[str, tuple[str, ...]]) -> Json:
    """One or two fields of a source or operation, some of them in their negative form."""
    found: Json = {}
    for name in rng.sample(sorted(pools), rng.choice((1, 1, 2))):
        written = name if rng.random() < 0.75 else f"not{name[0].upper()}{name[1:]}"
        found[written] = _some(rng, pools[name])
    return found


def source(rng: random.Random, *, identities: bool) -> Json:
    """A source; without what CUSTOM policies do not support unless ``identities``."""
    pools = {"ipBlocks": BLOCKS, "remoteIpBlocks": BLOCKS}
    if identities:
        pools |= {"requestPrincipals": REQUEST_PRINCIPALS}
        named = {"principals": PRINCIPALS, "namespaces": NAMESPACES}
        pools |= named if rng.random() < 0.75 else {"serviceAccounts": ACCOUNTS}
    return {"source": _fields(rng, pools)}


def operation(rng: random.Random, port: int) -> Json:
    """An operation."""
    ports = (str(port), "80", "8080")
    pools = {"hosts": HOST_VALUES, "ports": ports, "methods": METHOD_VALUES, "paths": PATH_VALUES}
    return {"operation": _fields(rng, pools)}


def condition(rng: random.Random, port: int, *, identities: bool) -> Json:
    """A condition."""
    pools = {
        "request.headers[X-Token]": TOKEN_VALUES,
        "request.headers[:method]": METHOD_VALUES,
        "request.headers[host]": HOST_VALUES,
        "request.headers[cookie]": ("a=1", "a=1; b=2", "*"),
        "request.headers[:path]": ("/info", "*w=/admin", "/data*", "*/7"),
        "source.ip": BLOCKS,
        "remote.ip": BLOCKS,
        "destination.ip": BLOCKS,
        "destination.port": (str(port), "80"),
        "connection.sni": ("a.example", "*", "*.a.example", "b*"),
    }
    if identities:
        pools |= {
            "source.namespace": NAMESPACES,
            "source.principal": PRINCIPALS,
            "source.serviceAccount": ACCOUNTS,
            "request.auth.principal": REQUEST_PRINCIPALS,
            "request.auth.audiences": ("shop", "*", "ban*", "bank"),
            "request.auth.presenter": ("app", "*app", "*"),
            "request.auth.claims[iss]": ("*", "issuer-b", "https*"),
            "request.auth.claims[scope]": ("read", "write", "read write", "*"),
            "request.auth.claims[groups]": ("admin", "st*", "*", "7", "true", "read", "read write"),
            "request.auth.claims[org][unit]": ("plant", "*pot", "*"),
        }
    key = rng.choice(sorted(pools))
    forms = rng.choice((("values",), ("values",), ("notValues",), ("values", "notValues")))
    return {"key": key} | {form: _some(rng, pools[key]) for form in forms}


def rule(rng: random.Random, port: int, *, identities: bool) -> Json:
    """A rule; one in twelve matches everything."""
    if rng.random() < 1 / 12:
        return {}
    parts: Json = {
        "from": [source(rng, identities=identities) for _ in range(rng.choice((0, 1, 1, 2)))],
        "to": [operation(rng, port) for _ in range(rng.choice((0, 1, 1, 2)))],
        "when": [condition(rng, port, identities=identities) for _ in range(rng.choice((0, 0, 1, 1, 2)))],
    }
    return {key: value for key, value in parts.items() if value} or {"to": [operation(rng, port)]}


def policies(rng: random.Random, namespace: str, port: int) -> list[Json]:
    """The policies of one namespace."""
    found = []
    provider = rng.choice(PROVIDERS)
    for index in range(rng.choice((1, 2, 2, 3, 4))):
        action = rng.choice(("ALLOW", "ALLOW", "ALLOW", "DENY", "DENY", "AUDIT", "CUSTOM", "CUSTOM"))
        rules = [rule(rng, port, identities=action != "CUSTOM") for _ in range(rng.choice((1, 1, 2, 3)))]
        if action in ("ALLOW", "AUDIT") and rng.random() < 0.05:
            rules = []
        metadata: Json = {"name": f"p{9 - index}", "namespace": namespace}
        if action in ("ALLOW", "DENY") and rng.random() < 0.2:
            metadata["annotations"] = {"istio.io/dry-run": "true"}
        spec: Json = {"action": action, "rules": rules}
        if action == "CUSTOM":
            spec["provider"] = {"name": provider}
        found.append(_object("AuthorizationPolicy", metadata, spec))
    return found


def authentication(rng: random.Random, namespace: str, key_set: str) -> list[Json]:
    """Which tokens a namespace accepts, half of the time."""
    if rng.random() < 0.5:
        return []
    rules = []
    for issuer in rng.sample(ISSUERS[:2], rng.choice((1, 2))):
        one: Json = {"issuer": issuer, "jwks": key_set}
        if rng.random() < 0.4:
            one["audiences"] = rng.choice((["shop"], ["http://shop"], ["bank", "shop"]))
        if rng.random() < 0.4:
            one["spaceDelimitedClaims"] = ["groups"]
        rules.append(one)
    return [_object("RequestAuthentication", {"name": "tokens", "namespace": namespace}, {"jwtRules": rules})]


def _object(kind: str, metadata: Json, spec: Json) -> Json:
    return {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
