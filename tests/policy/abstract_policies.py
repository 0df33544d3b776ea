"""Small policies without a language, drawn at random, and their text in each of the three languages.

A policy is a list of rules; a rule allows or denies, and holds when each of its conditions does. One that denies
outweighs any that allow, and what no rule allows is denied.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from meshsim.policy.engine import Directory, PolicyFile
from meshsim.policy.question import Question

DOMAIN = "plant.example"
SERVICES = {"vision": "shop", "planner": "plans", "viewer": "shop"}
IDENTITIES = {name: f"spiffe://{DOMAIN}/ns/{namespace}/sa/{name}" for name, namespace in SERVICES.items()}
STRANGER = f"spiffe://{DOMAIN}/ns/else/sa/stranger"
CAR = f"spiffe://{DOMAIN}/fleet/cars/1"
NOON_S = 1_767_268_800
"""2026-01-01T12:00:00Z."""

DIRECTORY = Directory(
    services=frozenset(SERVICES),
    fleets=frozenset({"cars"}),
    slices=frozenset({"control", "video"}),
    sites=frozenset({"hall", "yard"}),
    nodes=frozenset({"edge-1", "edge-2"}),
    trust_domains=frozenset({DOMAIN}),
    trust_domain=DOMAIN,
    workloads={spiffe_id: name for name, spiffe_id in IDENTITIES.items()} | {CAR: "cars"},
    namespaces=SERVICES,
    labels={name: {"app": name} for name in SERVICES},
    ports={name: {8080: "http", 9090: "http"} for name in SERVICES},
)


class Condition(NamedTuple):
    """``subject`` has one of the values (or none of them), in this way."""

    subject: str
    way: str
    """``is``, ``prefix``, ``suffix``, ``present``, ``less``, ``since``, ``within``."""
    values: tuple[str, ...]
    negated: bool


class Rule(NamedTuple):
    """One rule."""

    allows: bool
    destination: str
    """The called service; empty for every one."""
    conditions: tuple[Condition, ...]


VALUES = {
    "principal": list(IDENTITIES.values()),
    "namespace": ["shop", "plans"],
    "method": ["GET", "POST", "DELETE"],
    "path": ["/a", "/a/b", "/b"],
    "host": ["planner", "vision.shop"],
    "port": ["8080", "9090"],
    "slice": ["control", "video"],
    "site": ["hall", "yard"],
    "node": ["edge-1", "edge-2"],
    "source_node": ["edge-1", "edge-2"],
    "tls_version": ["1.3"],
    "group": ["X25519", "X25519MLKEM768"],
    "header x-tenant": ["blue", "blue-2", "red"],
    "header x-debug": ["on"],
    "claim role": ["admin", "user"],
    "age": ["60", "3600"],
    "time": [str(NOON_S)],
    "address": ["10.244.0.0/16", "100.64.0.0/10", "10.244.1.7/32"],
}
WAYS = {
    "path": ["is", "prefix", "suffix"],
    "header x-tenant": ["is", "prefix", "suffix", "present"],
    "header x-debug": ["is", "present"],
    "age": ["less"],
    "time": ["since"],
    "address": ["within"],
}


def draw_policy(random: Random) -> list[Rule]:
    """Draw some rules; few conditions each, so that they often hold."""
    return [_rule(random) for _ in range(random.randint(1, 4))]


def _rule(random: Random) -> Rule:
    subjects = random.sample(list(VALUES), random.choice([0, 1, 1, 2, 3]))
    conditions = []
    for subject in subjects:
        way = random.choice(WAYS.get(subject, ["is"]))
        number = 1 if way in ("less", "since", "present") else random.randint(1, 2)
        values = tuple(random.sample(VALUES[subject], min(number, len(VALUES[subject]))))
        conditions.append(Condition(subject, way, values if way != "present" else (), random.random() < 0.3))
    return Rule(random.random() < 0.7, random.choice(["", *SERVICES]), tuple(conditions))


def draw_question(random: Random) -> Question:
    """Draw a question about what policies speak of, often right at a border."""

    def some(subject: str, *others: str) -> str:
        return random.choice([*VALUES[subject], *others])

    principal = random.choice([*IDENTITIES.values(), STRANGER, CAR, ""])
    headers = [(name, some(f"header {name}", "other", "")) for name in ("x-tenant", "x-debug") if random.random() < 0.6]
    claims = {"role": some("claim role", "guest")} if random.random() < 0.6 else {}
    encrypted = bool(principal)
    return Question(
        principal=principal,
        source="vision",
        destination=random.choice(list(SERVICES)),
        method=some("method", "PUT"),
        path=some("path", "/", "/a/", "/c/b", "/ab"),
        slice=some("slice"),
        site=some("site"),
        mutual=encrypted,
        port=int(some("port")),
        host=some("host", "viewer"),
        headers=tuple(headers),
        claims=json.dumps(claims, separators=(",", ":")) if claims else "",
        node=some("node"),
        source_node=some("source_node"),
        source_ip=random.choice(["10.244.1.7", "10.244.9.9", "100.64.0.1", "192.0.2.1"]),
        tls_version="1.3" if encrypted else "",
        cipher="TLS_AES_128_GCM_SHA256" if encrypted else "",
        group=some("group") if encrypted else "",
        certificate_age_s=random.choice([0, 59, 60, 61, 3599, 3600, 86_400]) if encrypted else -1,
        time_s=random.choice([NOON_S - 1, NOON_S, NOON_S + 1, NOON_S + 86_400]),
    )


# Cedar


def cedar(rules: Sequence[Rule]) -> PolicyFile:
    """The policy in Cedar."""
    policies = []
    for number, rule in enumerate(rules):
        resource = f'resource == Service::"{rule.destination}"' if rule.destination else "resource"
        conditions = "".join(f" when {{ {_cedar(one)} }}" for one in rule.conditions)
        effect = "permit" if rule.allows else "forbid"
        policies.append(f'@id("r{number}") {effect} (principal, action, {resource}){conditions};')
    return PolicyFile("agreed.cedar", "\n".join(policies))


_CEDAR_ENTITIES = {"slice": "Slice", "site": "Site", "node": "Node", "source_node": "Node"}


def _cedar(condition: Condition) -> str:
    subject, way, values, negated = condition
    kind, _, name = subject.partition(" ")
    if kind in ("header", "claim"):
        place = f'context.{kind}s["{name}"]'
        tests = [_cedar_text(place, way, value) for value in values] or ["true"]
        text = f'(context.{kind}s has "{name}" && ({" || ".join(tests)}))'
    elif kind == "principal":
        text = " || ".join(f'principal == Workload::"{value}"' for value in values)
    elif kind == "namespace":
        tests = [f'principal.namespace == "{value}"' for value in values]
        text = f"(principal is Workload && ({' || '.join(tests)}))"
    elif kind in _CEDAR_ENTITIES:
        text = " || ".join(f'context.{kind} == {_CEDAR_ENTITIES[kind]}::"{value}"' for value in values)
    elif kind == "age":
        text = f'(context has certificate_age && context.certificate_age < duration("{values[0]}s"))'
    elif kind == "time":
        text = 'context.time >= datetime("2026-01-01T12:00:00Z")'
    elif kind == "address":
        text = " || ".join(f'context.source_ip.isInRange(ip("{value}"))' for value in values)
    elif kind == "port":
        text = " || ".join(f"context.port == {value}" for value in values)
    else:
        text = " || ".join(_cedar_text(f"context.{kind}", way, value) for value in values)
    return f"!({text})" if negated else text


def _cedar_text(place: str, way: str, value: str) -> str:
    if way == "is":
        return f'{place} == "{value}"'
    return f'{place} like "{value}*"' if way == "prefix" else f'{place} like "*{value}"'


# Rego

_REGO_PLACES = {
    "principal": "input.attributes.source.principal",
    "namespace": "input.meshsim.source.namespace",
    "method": "input.attributes.request.http.method",
    "path": "input.attributes.request.http.path",
    "host": "input.attributes.request.http.host",
    "port": "input.attributes.destination.address.socketAddress.portValue",
    "slice": "input.meshsim.slice",
    "site": "input.meshsim.source.site",
    "node": "input.meshsim.destination.node",
    "source_node": "input.meshsim.source.node",
    "tls_version": "input.meshsim.tls.version",
    "group": "input.meshsim.tls.group",
    "age": "input.meshsim.certificate_age_s",
    "time": "time.now_ns()",
    "address": "input.attributes.source.address.socketAddress.address",
}


def rego(rules: Sequence[Rule]) -> PolicyFile:
    """The policy in Rego."""
    lines = ["package envoy.authz", "", "default allow := false"]
    helpers: list[str] = []
    for number, rule in enumerate(rules):
        conditions = ["not denied"] if rule.allows else []
        if rule.destination:
            conditions.append(f'input.meshsim.destination.service == "{rule.destination}"')
        for index, condition in enumerate(rule.conditions):
            helper = f"r{number}_{index}"
            helpers += [f"{helper} if {test}" for test in _rego(condition)]
            conditions.append(f"not {helper}" if condition.negated else helper)
        lines.append(f"{'allow' if rule.allows else 'denied'} if {{\n\t" + "\n\t".join(conditions or ["true"]) + "\n}")
    if not any(not rule.allows for rule in rules):
        lines.append("denied if false")
    return PolicyFile("agreed.rego", "\n".join([*lines, *helpers, ""]))


def _rego(condition: Condition) -> list[str]:
    """One test for each value."""
    subject, way, values, _ = condition
    kind, _, name = subject.partition(" ")
    place = _REGO_PLACES.get(kind, f'input.attributes.request.http.headers["{name}"]')
    if kind == "claim":
        place = f"input.meshsim.claims.{name}"
    if way == "present":
        return [f"{place} == {place}"]
    if kind in ("port", "age"):
        return [f"{place} {'==' if kind == 'port' else '<'} {value}" for value in values]
    if way == "since":
        return [f"{place} >= {value}000000000" for value in values]
    if way == "within":
        return [f'net.cidr_contains("{value}", {place})' for value in values]
    function = {"prefix": "startswith", "suffix": "endswith"}.get(way)
    return [f'{function}({place}, "{value}")' if function else f'{place} == "{value}"' for value in values]


# Istio

_ISTIO_SOURCES = {"principal": "principals", "namespace": "namespaces", "address": "ipBlocks"}
_ISTIO_OPERATIONS = {"method": "methods", "path": "paths", "host": "hosts", "port": "ports"}
_ISTIO_KEYS = {
    "slice": "meshsim.slice",
    "site": "meshsim.site",
    "node": "meshsim.node",
    "source_node": "meshsim.source.node",
    "tls_version": "meshsim.tls.version",
    "group": "meshsim.tls.group",
    "age": "meshsim.certificate.age",
    "time": "meshsim.time",
}


def istio(rules: Sequence[Rule]) -> PolicyFile:
    """The policy as Istio's: one AuthorizationPolicy for each rule."""
    documents = []
    for number, rule in enumerate(rules):
        source: dict[str, list[str]] = {}
        operation: dict[str, list[str]] = {}
        when: list[dict[str, object]] = []
        for condition in rule.conditions:
            values = _istio_values(condition)
            kind, _, name = condition.subject.partition(" ")
            fields = source if kind in _ISTIO_SOURCES else operation if kind in _ISTIO_OPERATIONS else None
            if fields is not None:
                field = (_ISTIO_SOURCES | _ISTIO_OPERATIONS)[kind]
                fields[f"not{field[0].upper()}{field[1:]}" if condition.negated else field] = values
            else:
                keys = {"header": f"request.headers[{name}]", "claim": f"request.auth.claims[{name}]"}
                key = keys.get(kind) or _ISTIO_KEYS[kind]
                when.append({"key": key, ("notValues" if condition.negated else "values"): values})
        body: dict[str, object] = {}
        if source:
            body["from"] = [{"source": source}]
        if operation:
            body["to"] = [{"operation": operation}]
        if when:
            body["when"] = when
        spec: dict[str, object] = {"action": "ALLOW" if rule.allows else "DENY", "rules": [body]}
        if rule.destination:
            spec["selector"] = {"matchLabels": {"app": rule.destination}}
        namespace = SERVICES[rule.destination] if rule.destination else "istio-system"
        metadata = {"name": f"r{number}", "namespace": namespace}
        kind_ = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy"}
        documents.append(json.dumps(kind_ | {"metadata": metadata, "spec": spec}))
    return PolicyFile("agreed.yaml", "\n---\n".join(documents))


def _istio_values(condition: Condition) -> list[str]:
    if condition.way == "present":
        return ["*"]
    if condition.subject == "principal":
        return [value.removeprefix("spiffe://") for value in condition.values]
    if condition.way == "less":
        return [f"< {value} s" for value in condition.values]
    if condition.way == "since":
        return [">= 2026-01-01T12:00:00Z"]
    marks = {"prefix": "{}*", "suffix": "*{}"}
    return [marks.get(condition.way, "{}").format(value) for value in condition.values]
