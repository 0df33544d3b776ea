"""Requests in HTTP/1.1 from outside of the mesh: fields about one hop end at the first sidecar."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_text
from tests.world.conftest import TWO_EDGES, Result

SCENARIO = (
    TWO_EDGES
    + """\
scenario: old-clients
services:
  front: {replicas: {edge-2: 1}, work: {constant: 1 ms}, forward_headers: [x-tenant], calls: [{to: plans}]}
  plans: {replicas: {edge-2: 1}, work: {constant: 1 ms}}
fleets: {browsers: {node: edge-1}, robots: {node: edge-1}}
traffic:
  - name: old
    from: browsers
    to: front
    slice: web
    http_version: "1.1"
    method: POST
    headers: {x-tenant: blue, connection: "HEADERS"}
    arrivals: {constant: 10 /s}
  - {from: robots, to: front, slice: web, headers: {x-tenant: blue}, arrivals: {constant: 10 /s}}
mesh: {policy: {files: [a.cedar]}}
"""
)
IS_BLUE = 'context.headers has "x-tenant" && context.headers["x-tenant"] == "blue"'
BLUE = f"permit (principal, action, resource) when {{{IS_BLUE}}};"
ALL = "permit (principal, action, resource);"
TOKENS = [
    "mesh={tokens: {issuers: {depot: {}}}, policy: {files: [a.cedar]}}",
    "fleets.browsers.token={issuer: depot, audiences: [a]}",
]
"""Settings by which browsers send tokens."""


def many(number: int) -> str:
    """So many header fields, as a scenario has them."""
    return ", ".join(f"x-{index}: v" for index in range(number))


def played(folder: Path, connection: str, policy: str, *settings: str) -> Result:
    """The outcome of a run, which is the same at every fidelity."""
    (folder / "a.cedar").write_text(policy, encoding="utf-8")
    text = SCENARIO.replace("HEADERS", connection)
    real, modelled = (
        Result(load_text(text, folder / "s.yaml", [f"fidelity={level}", *settings])) for level in ("real", "modelled")
    )
    assert real.content() == modelled.content()
    return real


def denied(result: Result) -> set[tuple[str, str]]:
    """Who was refused where."""
    return {(row.source, row.destination) for row in result.decisions if not row.allowed}


def test_what_connection_names_reaches_no_policy(tmp_path: Path) -> None:
    """A field that Connection names is gone before the first policy looks, and so it is not handed on either."""
    kept = played(tmp_path, "keep-alive", BLUE)
    assert denied(kept) == set()
    gone = played(tmp_path, "close, X-Tenant", BLUE)
    assert denied(gone) == {("browsers", "front")}
    told = {row.source: row.removed for row in gone.decisions if row.destination == "front"}
    assert told == {"browsers": "x-tenant connection", "robots": ""}
    everyone = played(tmp_path, "x-tenant", BLUE.replace("permit", "forbid") + ALL)
    assert denied(everyone) == {("robots", "front")}  # the rule that forbids is got round


@pytest.mark.parametrize("chunked", [False, True])
def test_connections_are_kept_unless_it_says_close(tmp_path: Path, chunked: bool) -> None:
    """One request at a time on a connection, which goes on; with close, each has one of its own."""
    settings = ["traffic.0.headers.transfer-encoding=chunked"] if chunked else []
    kept = played(tmp_path, "keep-alive", ALL, *settings)
    closed = played(tmp_path, "close", ALL, *settings)
    handshakes = [sum(row.client == "browsers/0" for row in result.handshakes) for result in (kept, closed)]
    assert handshakes == [1, 10]
    assert {row.status for row in kept.requests} == {200}


def test_bytes_are_those_of_http1(tmp_path: Path) -> None:
    """A request in HTTP/1.1 is as large as its text, which HPACK would have made smaller."""
    result = played(tmp_path, "keep-alive", ALL, "mesh.tls.mode=DISABLE")
    sent = {row.source: row.bytes_sent for row in result.calls if row.parent_id == 0 and row.call_id > 2}
    lines = (
        "POST / HTTP/1.1",
        "host: front",
        f"x-request-id: {'0' * 36}",
        f"traceparent: {'0' * 55}",
        "x-tenant: blue",
        "connection: keep-alive",
        "content-length: 512",
        "",
    )
    assert sent["browsers"] == sum(len(line) + 2 for line in lines) + 512
    assert sent["robots"] < sent["browsers"]


def test_the_answer_to_head_has_no_body(tmp_path: Path) -> None:
    """Over HTTP/2 (where a body would be a mistake that libnghttp2 finds) and HTTP/1.1, allowed or denied."""
    heads = ["traffic.0.method=HEAD", "traffic.1.method=HEAD", "mesh.tls.mode=DISABLE"]
    for policy, body_bytes in ((ALL, 1024), ('forbid (principal, action, resource) when {context has "nothing"};', 19)):
        got, head = played(tmp_path, "keep-alive", policy), played(tmp_path, "keep-alive", policy, *heads)
        plain = played(tmp_path, "keep-alive", policy, heads[2])
        assert {row.status for row in head.requests} == {row.status for row in got.requests}
        for source in ("browsers", "robots"):
            pairs = [[row.bytes_received for row in each.calls if row.source == source] for each in (plain, head)]
            saved = {one - other for one, other in zip(*pairs, strict=True)}
            framing = 9 if source == "robots" else len(str(body_bytes)) - 1
            assert saved == {body_bytes + framing}


def test_as_many_fields_as_can_be_are_read(tmp_path: Path) -> None:
    """What a scenario may write is not too much for the reader, with all that the mesh adds to it, a token too."""
    result = played(tmp_path, f'close", {many(87)}, x-last: "v', ALL, *TOKENS)
    assert {row.status for row in result.requests} == {200}


def test_connection_that_names_where_a_request_goes_is_refused(tmp_path: Path) -> None:
    """Envoy refuses it with 400, and so does a sidecar here, at every fidelity."""
    result = played(tmp_path, "x-forwarded-for", ALL)
    assert {(row.outcome, row.status) for row in result.requests if row.source == "old"} == {("denied", 400)}
    assert {(row.engine, row.rule) for row in result.decisions if row.source == "browsers"} == {
        ("http", "bad-connection")
    }


def test_refusals_and_tokens_go_over_http1(tmp_path: Path) -> None:
    """What a policy denies is answered in HTTP/1.1 too, and requests carry tokens."""
    required = "services.front.request_authentication={issuers: [depot], audiences: [a], required: true}"
    result = played(tmp_path, "keep-alive", ALL, *TOKENS, required)
    assert {(row.source, row.status) for row in result.requests} == {("old", 200), ("robots", 401)}
    result = played(tmp_path, "keep-alive", 'forbid (principal in Service::"front", action, resource);')
    assert {row.status for row in result.requests} == {403}


@pytest.mark.parametrize("place", ["{header: x-token, prefix: 'Key '}", "{param: token}", "{cookie: token}"])
def test_tokens_are_where_they_are_put(tmp_path: Path, place: str) -> None:
    """In a field, the query or a cookie of HTTP/1.1 too a token arrives as it was sent, at every fidelity."""
    result = played(tmp_path, "keep-alive", ALL, *TOKENS, f"fleets.browsers.token.at={place}")
    assert {row.status for row in result.requests} == {200}


@pytest.mark.parametrize("required", [True, False])
def test_a_token_that_connection_names_is_looked_at_by_nobody(tmp_path: Path, required: bool) -> None:
    """Envoy takes the field off before its filters run: where a token is required, there is none."""
    check = f"{{issuers: [depot], audiences: [a], required: {str(required).lower()}}}"
    result = played(tmp_path, "Authorization", ALL, *TOKENS, f"services.front.request_authentication={check}")
    assert {row.status for row in result.requests if row.source == "old"} == {401 if required else 200}
    assert {row.removed for row in result.decisions if row.source == "browsers"} == {"authorization connection"}


@pytest.mark.parametrize(
    ("place", "field", "gone"),
    [("{header: x-key}", "x-key", "x-key connection"), ("{cookie: key}", "cookie", "connection cookie")],
)
def test_connection_can_name_any_field_with_a_token(tmp_path: Path, place: str, field: str, gone: str) -> None:
    """Wherever it is, a token whose field ends at the hop is none, and the field is told as taken off."""
    check = "{issuers: [depot], audiences: [a], required: true, from_headers: [{name: x-key}], from_cookies: [key]}"
    settings = [f"fleets.browsers.token.at={place}", f"services.front.request_authentication={check}"]
    kept, named = (played(tmp_path, what, ALL, *TOKENS, *settings) for what in ("close", f"close, {field}"))
    for result, status in ((kept, 200), (named, 401)):
        assert {row.status for row in result.requests if row.source == "old"} == {status}
    assert {row.removed for row in named.decisions if row.source == "browsers"} == {gone}


@pytest.mark.parametrize(
    ("replace", "by", "said"),
    [
        ('HEADERS"', f'close", {many(90)}', "there are 92 header fields; expected at most 90"),
        (
            '    http_version: "1.1"\n',
            "",
            "'connection' is about one connection and is not sent in HTTP/2; expected another",
        ),
        ('connection: "HEADERS"', "transfer-encoding: gzip", "bodies are not sent as 'gzip'; expected chunked"),
        ('connection: "HEADERS"', "connection: upgrade", "'upgrade' asks for another protocol, which is not simulated"),
        ("    method: POST\n", "    malformed: bad-length\n", "expected no http_version beside malformed"),
        (
            "work: {constant: 1 ms}, f",
            "work: {constant: 1 ms}, ports: {80: {protocol: grpc}}, f",
            "the port speaks grpc",
        ),
    ],
)
def test_mistakes(tmp_path: Path, replace: str, by: str, said: str) -> None:
    """What HTTP/2 or this version cannot carry is told at its place."""
    (tmp_path / "a.cedar").write_text(ALL, encoding="utf-8")
    text = SCENARIO.replace(replace, by).replace('connection: "HEADERS"', "connection: close")
    with pytest.raises(ScenarioError) as caught:
        load_text(text, tmp_path / "s.yaml")
    assert any(said in str(one) for one in caught.value.diagnostics), [str(one) for one in caught.value.diagnostics]
