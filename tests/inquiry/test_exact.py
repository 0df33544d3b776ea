"""Comparisons and matrices that are called exact, against requests that are drawn at random and asked one by one."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.inquiry.ask import ask
from meshsim.inquiry.callers import callers_of
from meshsim.inquiry.constants import merged
from meshsim.inquiry.matrix import Flip, _constants, compare
from meshsim.inquiry.names import NOBODY, find_caller
from meshsim.inquiry.placing import place_of
from meshsim.inquiry.presented import by_its_engine
from meshsim.inquiry.request import Request, age_s, instant_s
from meshsim.inquiry.subject import Subject, subject_of_scenario, with_engine
from meshsim.policy.engine import PolicyFile
from meshsim.scenario.errors import ScenarioError, UsageError
from tests.policy import istio_draws as draws

SCENARIO = """\
scenario: shop
duration: 1 s
network:
  nodes:
    gnb-1: {kind: gnb, site: hall}
    edge-1: {kind: edge, site: hall}
    core-1: {kind: core, site: office}
  links:
    - {between: [gnb-1, edge-1], latency: 1 ms}
    - {between: [edge-1, core-1], latency: 5 ms}
  slices:
    control: {sst: 2, five_qi: 82}
    video: {sst: 1, five_qi: 7}
    voice: {sst: 1, sd: "000002", five_qi: 1}
  radios:
    air: {fixed: {uplink: 3 ms, downlink: 3 ms}, cells: {cell-1: gnb-1}}
services:
  a: {replicas: {edge-1: 1}, work: {constant: 1 ms}, calls: [{to: b}], namespace: foo, service_account: a}
  b:
    replicas: {core-1: 1}
    work: {constant: 1 ms}
    namespace: bar
    service_account: b
    ports: {8080: {protocol: http}, 9000: {protocol: tcp}}
    tls: {mode: PERMISSIVE}
fleets:
  cars: {size: 2, radio: air}
mesh:
  trust_domain: mesh.example
  policy:
    engine: istio
    files: [p.yaml]
    istio:
      path_normalization: MODE
      trust_domain_aliases: [old.example]
      unmatched: ignore
      extension_providers:
        "yes": {verdict: allow}
        "no": {verdict: deny}
traffic:
  - {from: cars, to: a, slice: control, arrivals: {poisson: 10 /s}}
  - {name: seen, from: cars, to: a, slice: video, arrivals: {poisson: 10 /s}}
  - {name: heard, from: cars, to: a, slice: voice, arrivals: {poisson: 10 /s}}
"""
OWN = {
    "meshsim.slice": ("video", "vid*", "v*", "*o", "*"),
    "meshsim.site": ("hall", "o*"),
    "meshsim.time": ("08:00-18:00", "22:00-06:00", ">= 2026-03-01T12:00:00Z", "< 2026-03-02T00:30:00Z"),
    "meshsim.certificate.age": ("< 1 h", ">= 90 s"),
    "meshsim.tls.version": ("1.3", "1.*", "*"),
    "meshsim.tls.group": ("X25519", "P-*", "*9"),
    "meshsim.source.node": ("gnb-1", "*-1", "e*"),
}
"""Values of conditions that Istio has not."""
MORE = {
    "request.headers[x-token]": ("red", "*red", "blue", "dark-red"),
    "request.headers[host]": ("HTTP*", "httpbin.foo", "*EXAMPLE"),
    "request.headers[:path]": ("/info?v=1*", "*w=/admin", "/data*", "/info", "*?v=*"),
    "request.auth.claims[groups]": ("admin", "st*", "*in", "read write"),
    "request.auth.claims[org]": ("plant",),
    "request.auth.claims[org][unit]": ("plant", "*pot"),
    "request.auth.claims[sub]": ("alice", "*ce", "bob*"),
    "source.ip": draws.BLOCKS,
    "remote.ip": draws.BLOCKS,
}
TIMES = ("2026-01-01T08:00:00Z", "2026-03-01T11:59:59Z", "2026-03-01T17:59:59Z", "2026-03-02T05:00:00Z",
         "2026-03-02T12:00:00Z", "2026-03-05T23:00:00Z", "2026-03-01T02:00:00Z")  # fmt: skip
SOURCES = ("a", "b", "cars/0", "cars/1", NOBODY, *draws.IDENTITIES, "spiffe://mesh.example/ns/bar/sa/z",
           "spiffe://mesh.example/ns/foo/sa/z", "spiffe://old.example/ns/foo-2/sa/a",
           "spiffe://mesh.example/ns/x/sa/a")  # fmt: skip
MODES = ("NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES")
POINT = {"x": "WKn-ZIGevcwGIyyrzFoZNBdaq9_TsqzGl96oc0CWuis", "y": "y77t-RvAHRKTsSGdIYUfweuOvwrvDD-Q3Hv5J0fSKbE"}
"""Of a key that nobody signs with."""
KINDS = (*MODES, "waypoint", "asking", "cedar")
"""Modes of normalisation; a mesh with a waypoint; one whose CUSTOM policies ask Cedar; one with Cedar alone."""


CEDAR = (
    'context.path like "/info*"',
    'context.path == "/admin"',
    'context.path like "*//*"',
    'context.host like "*.example"',
    'context.method == "PUT"',
    'context.headers has "x-token" && context.headers["x-token"] like "*red"',
    'context has claims && context.claims has "sub" && context.claims["sub"] == "alice"',
    'context.slice == Slice::"video"',
    'context.source_ip.isInRange(ip("127.0.0.0/24"))',
    "context.port == 9000",
)
"""Conditions of Cedar."""


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    """The shop by the mode in which it normalises paths."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "p.yaml").write_text(json.dumps(_policy("foo", "ALLOW", [{}])), encoding="utf-8")
    found = {}
    (folder / "p.cedar").write_text("permit (principal, action, resource);", encoding="utf-8")
    asks = '"no": {verdict: deny}\n        "cedar": {engine: cedar, files: [p.cedar]}'
    istio = SCENARIO[SCENARIO.index("    engine: istio") : SCENARIO.index("traffic:")]
    variants = {
        **{mode: SCENARIO.replace("MODE", mode) for mode in MODES},
        "waypoint": SCENARIO.replace("MODE", "BASE")
        .replace("mesh:\n", "mesh:\n  ambient: true\n")
        .replace("namespace: bar\n", "namespace: bar\n    waypoint: door\n"),
        "asking": SCENARIO.replace("MODE", "MERGE_SLASHES").replace('"no": {verdict: deny}', asks),
        "cedar": SCENARIO.replace(istio, "    engine: cedar\n    files: [p.cedar]\n"),
    }
    for name, text in variants.items():
        file = folder / f"{name}.yaml"
        file.write_text(text, encoding="utf-8")
        found[name] = subject_of_scenario(file)
    return found


def _policy(namespace: str, action: str, rules: list[Any]) -> dict[str, Any]:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "more", "namespace": namespace},
        "spec": {"action": action, "rules": rules},
    }


def _rule(rng: random.Random) -> dict[str, Any]:
    """A rule of a few conditions that few others have."""
    pools = OWN | MORE
    when = []
    for key in rng.sample(sorted(pools), rng.choice((1, 2, 2))):
        values = rng.sample(pools[key], min(rng.choice((1, 2)), len(pools[key])))
        when.append({"key": key, rng.choice(("values", "values", "notValues")): values})
    return {"when": when}


def _documents(rng: random.Random) -> list[dict[str, Any]]:
    namespace = rng.choice(("foo", "bar"))
    found = draws.policies(rng, namespace, 8080)[:1] if rng.random() < 0.5 else []
    for one in found:
        del one["spec"]["rules"][1:]
    if rng.random() < 0.2:
        found += draws.authentication(rng, namespace, KEYS)
    if not found or rng.random() < 0.3:
        found.append(_policy(namespace, rng.choice(("ALLOW", "DENY")), [_rule(rng)]))
    return found


KEYS = json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", **POINT}]})


def _request(rng: random.Random) -> Request:
    drawn = draws.request(rng)
    claims = json.loads(drawn.claims) if drawn.claims else None
    if claims is not None:
        claims.pop("exp")
    source = rng.choice(SOURCES)
    proven: dict[str, Any] = {
        "tls_version": rng.choice(("1.2", "1.3")),
        "group": rng.choice(("X25519", "P-256", "X25519MLKEM768")),
        "certificate_age_s": rng.choice((0, 89, 90, 3600)),
    }
    return Request(
        source=source,
        destination=rng.choice("ab"),
        method=drawn.method,
        path=drawn.path + (f"?{drawn.query}" if drawn.query else ""),
        host=drawn.host,
        headers=drawn.headers,
        claims=claims,
        slice=rng.choice(("control", "video", "voice")),
        site=rng.choice(("hall", "office")),
        source_node=rng.choice(("gnb-1", "edge-1", "core-1")),
        source_ip=drawn.source_ip,
        time_s=instant_s(rng.choice(TIMES), "time"),
        **({} if source == NOBODY else proven),  # without a handshake there is none of this
    )


def _asked(options: tuple[str, ...]) -> Request:
    """The request that options of ``policy ask`` make."""
    pairs = [*zip(options[::2], options[1::2], strict=True)]
    said = {name.removeprefix("--").replace("-", "_"): value for name, value in pairs}
    claims = {}
    for name, value in pairs:
        if name == "--claim":
            key, _, text = value.partition("=")
            claims[key] = json.loads(text)
    age, time, place = said.pop("certificate_age", None), said.pop("time", None), said.pop("token_at", None)
    return Request(
        **{name: value for name, value in said.items() if name not in ("claim", "header", "port")},
        port=int(said["port"]),
        claims=claims or None,
        headers=tuple(tuple(value.split("=", 1)) for name, value in pairs if name == "--header"),
        certificate_age_s=None if age is None else age_s(age, "age"),
        time_s=None if time is None else instant_s(time, "time"),
        token_at=None if place is None else place_of(*place.split("=", 1), "place"),
    )


def _rebuilt(
    rng: random.Random, shop: Subject, kind: str, documents: list[dict[str, Any]], name: str
) -> Subject | None:
    """The shop with other policies; None if they are not accepted."""
    if kind == "cedar":
        conditions = " && ".join(f"({one})" for one in rng.sample(CEDAR, 2))
        effect, all_else = rng.choice((("permit", ""), ("forbid", "permit (principal, action, resource);")))
        file = PolicyFile("p.cedar", f"{effect} (principal, action, resource) when {{ {conditions} }};{all_else}", "p")
        assert shop.rebuild is not None
        return with_engine(shop, name, shop.rebuild([file]), [file])
    if kind == "waypoint" and rng.random() < 0.6:
        attached = {"kind": "Service", "group": "", "name": "b"}
        for one in documents[:1]:
            one["metadata"]["namespace"], one["spec"]["targetRefs"] = "bar", [attached]
    if kind == "asking":
        for one in documents[:1]:
            if one["spec"].get("action") == "CUSTOM":
                one["spec"]["provider"] = {"name": "cedar"}
    text = "\n---\n".join(map(json.dumps, documents))
    file = PolicyFile(f"{name}.yaml", text, f"{name}.yaml")
    assert shop.rebuild is not None
    try:
        return by_its_engine(with_engine(shop, name, shop.rebuild([file]), [file]))
    except ScenarioError:
        return None


def _row(request: Request, subject: Subject, rows: set[str]) -> str:
    """The SPIFFE ID of the row that a caller is in, or ``stranger`` for one that no row is for."""
    spiffe_id = find_caller(subject, request.source).spiffe_id
    return spiffe_id if spiffe_id in rows else "cars" if "/cars/" in spiffe_id else "stranger"


def _told(flips: tuple[Flip, ...]) -> set[tuple[str, str, int, bool]]:
    """The flips by row, service, port and direction; those of strangers for whom no row is are told together."""
    found = set()
    for flip in flips:
        key = flip.callee.name, flip.port, flip.now_allowed
        found.add((flip.caller.spiffe_id, *key))
        if not flip.caller.workload:
            found.add(("stranger", *key))
        if "/cars/" in flip.caller.spiffe_id:
            found.add(("cars", *key))
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(KINDS), st.sampled_from(KINDS))
def test_every_flip_is_listed_and_every_witness_flips(
    shops: dict[str, Subject], seed: int, one: str, other: str
) -> None:
    """Whatever request is decided differently, a flip of its caller is listed; what is listed flips when asked."""
    check(shops, seed, one, other)


def check(shops: dict[str, Subject], seed: int, one: str, other: str) -> None:
    """Draw policies for two shops, compare them, and hold that against requests that are drawn."""
    rng = random.Random(seed)
    documents = _documents(rng)
    changed = documents if one != other and rng.random() < 0.4 else _documents(rng)
    before, after = (
        _rebuilt(rng, shops[kind], kind, copy.deepcopy(each), name)
        for kind, each, name in ((one, documents, "before"), (other, changed, "after"))
    )
    if before is None or after is None:
        return
    try:
        comparison = compare(before, after, most=30_000)
    except UsageError:
        return
    words = f"{json.dumps(documents)}\n{json.dumps(changed)}"
    for flip in comparison.flips:
        decided = [ask(subject, _asked(flip.ask)).decision.allowed for subject in (before, after)]
        assert decided == [not flip.now_allowed, flip.now_allowed], (flip.ask, words)
    if comparison.space.approximate:
        return
    rows = {each.spiffe_id for each in callers_of([before, after], merged([_constants(before), _constants(after)]))}
    told = _told(comparison.flips)
    for _ in range(150):
        request = _request(rng)
        port = rng.choice((8080, 9000)) if request.destination == "b" else 8080
        request = msgspec.structs.replace(request, port=port)
        first, second = (ask(subject, request).decision for subject in (before, after))
        if first.allowed != second.allowed:
            # Where no policy looks at ports, the first one stands for all that TLS takes alike.
            ports = (port,) if "port" in comparison.space.reads else (8080, 9000)
            row = _row(request, before, rows)
            assert any((row, request.destination, one, second.allowed) in told for one in ports), (
                request,
                first,
                second,
                words,
            )


def test_paths_that_ztunnel_does_not_look_at(shops: dict[str, Subject]) -> None:
    """In ambient mode nobody reads paths at a service without a waypoint, so that none is refused there any more."""
    flips = compare(shops["BASE"], shops["waypoint"]).flips
    found = {(flip.callee.name, flip.witness.path, flip.now_allowed) for flip in flips if flip.caller.name == "b"}
    assert found == {("a", "/%00", True)}


def test_service_accounts_that_patterns_alone_match(shops: dict[str, Subject]) -> None:
    """Whoever else is of a namespace is a caller where policies look at it and at one account of it by name."""
    rules = [{"from": [{"source": one}]} for one in ({"namespaces": ["foo"]}, {"principals": ["*/ns/foo/sa/a"]})]
    before, after = (
        _rebuilt(random.Random(1), shops["BASE"], "BASE", [_policy("bar", "ALLOW", [rule])], "p") for rule in rules
    )
    assert before is not None
    assert after is not None
    flips = [flip for flip in compare(before, after).flips if flip.port == 8080]
    assert [(flip.caller.workload, flip.caller.spiffe_id.rpartition("/")[0]) for flip in flips] == [
        ("", f"spiffe://{domain}/ns/foo/sa") for domain in ("mesh.example", "old.example")
    ]
    assert all(flip.caller.spiffe_id.rpartition("/")[2] != "a" for flip in flips)


def test_ports_of_one_side_alone(shops: dict[str, Subject]) -> None:
    """A port that is new or gone flips what is allowed there, by no policy."""
    shop = shops["BASE"]
    fewer = msgspec.structs.replace(
        shop,
        callees=tuple(
            msgspec.structs.replace(one, ports={number: one.ports[number] for number in one.ports if number != 9000})
            for one in shop.callees
        ),
    )
    for pair, now_allowed in (((shop, fewer), False), ((fewer, shop), True)):
        flips = compare(*pair).flips
        assert {(flip.callee.name, flip.port, flip.now_allowed) for flip in flips} == {("b", 9000, now_allowed)}
        assert "no-such-port" in {flips[0].before.rule, flips[0].after.rule}
