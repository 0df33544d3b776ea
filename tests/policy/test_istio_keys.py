"""Every key of Istio in ``from``, ``to`` and ``when``: what matches, what does not, and what of it TCP sees.

Sources: istio.io, "Authorization Policy" (Source, Operation, Condition) and "Authorization Policy Conditions", whose
column of supported protocols says which keys are of HTTP alone.
"""

from __future__ import annotations

from typing import Any

import pytest

from meshsim.policy.istio_read import _OPERATION, _SOURCE
from meshsim.policy.istio_values import _CONDITIONS, key_problem
from tests.policy.test_istio import Json, engine, policy, question

OTHER = "spiffe://partner.example/ns/other/sa/cat"
BOTH, HTTP = "HTTP and TCP", "HTTP only"
CLAIMS = '{"iss":"https://a.example","sub":"alice","aud":["api"],"azp":"app","groups":["dev","ops"],"a":{"b":"c"}}'
POOR = '{"iss":"b","sub":"bob","aud":["web"],"azp":"other","groups":["dev"],"a":{"b":"d"}}'

# Key, values, protocols, what of a question matches, and what does not.
KEYS: list[tuple[str, list[str], str, Json, Json]] = [
    ("principals", ["mesh.example/ns/default/sa/sleep"], BOTH, {}, {"principal": OTHER}),
    ("principals", ["mesh.example/ns/default/*"], BOTH, {}, {"principal": OTHER}),
    ("principals", ["*/sa/sleep"], BOTH, {}, {"principal": OTHER}),
    ("principals", ["*"], BOTH, {}, {"principal": "", "mutual": False}),
    ("requestPrincipals", ["https://a.example/alice"], HTTP, {"claims": CLAIMS}, {"claims": POOR}),
    ("requestPrincipals", ["https://a.example/*"], HTTP, {"claims": CLAIMS}, {"claims": POOR}),
    ("requestPrincipals", ["*/alice"], HTTP, {"claims": CLAIMS}, {"claims": POOR}),
    ("requestPrincipals", ["*"], HTTP, {"claims": POOR}, {"claims": ""}),
    ("serviceAccounts", ["default/sleep"], BOTH, {}, {"principal": OTHER}),
    ("namespaces", ["default"], BOTH, {}, {"principal": OTHER}),
    ("namespaces", ["def*"], BOTH, {}, {"principal": OTHER}),
    ("trustDomains", ["mesh.example"], BOTH, {}, {"principal": OTHER}),
    ("ipBlocks", ["10.1.0.0/16", "10.9.9.9"], BOTH, {"source_ip": "10.1.2.3"}, {"source_ip": "10.2.0.1"}),
    ("remoteIpBlocks", ["10.1.0.0/16"], BOTH, {"source_ip": "10.1.2.3"}, {"source_ip": "10.2.0.1"}),
    ("hosts", ["api.example"], HTTP, {"host": "API.example"}, {"host": "api.example.org"}),
    ("hosts", ["*.example"], HTTP, {"host": "api.example"}, {"host": "api.other"}),
    ("methods", ["GET"], HTTP, {"method": "GET"}, {"method": "POST"}),
    ("methods", ["P*"], HTTP, {"method": "PUT"}, {"method": "GET"}),
    ("paths", ["/info/7"], HTTP, {"path": "/info/7"}, {"path": "/info/7/"}),
    ("paths", ["/info*"], HTTP, {"path": "/info/7"}, {"path": "/data"}),
    ("paths", ["*/7"], HTTP, {"path": "/info/7"}, {"path": "/info/8"}),
    ("paths", ["/{*}/7"], HTTP, {"path": "/info/7"}, {"path": "/a/info/7"}),
    ("paths", ["/{**}/7"], HTTP, {"path": "/a/info/7"}, {"path": "/a/info/8"}),
    ("request.headers[X-Team]", ["blue"], HTTP, {"headers": (("x-team", "blue"),)}, {"headers": (("x-team", "red"),)}),
    ("request.headers[x-team]", ["*"], HTTP, {"headers": (("x-team", ""),)}, {"headers": ()}),
    ("source.ip", ["10.1.0.0/16"], BOTH, {"source_ip": "10.1.2.3"}, {"source_ip": "10.2.0.1"}),
    ("remote.ip", ["10.1.2.3"], BOTH, {"source_ip": "10.1.2.3"}, {"source_ip": "10.2.0.1"}),
    ("source.namespace", ["default"], BOTH, {}, {"principal": OTHER}),
    ("source.principal", ["mesh.example/ns/default/sa/sleep"], BOTH, {}, {"principal": OTHER}),
    ("source.serviceAccount", ["default/sleep"], BOTH, {}, {"principal": OTHER}),
    ("request.auth.principal", ["https://a.example/alice"], HTTP, {"claims": CLAIMS}, {"claims": POOR}),
    ("request.auth.audiences", ["api"], HTTP, {"claims": CLAIMS}, {"claims": POOR}),
    ("request.auth.presenter", ["app"], HTTP, {"claims": CLAIMS}, {"claims": POOR}),
    ("request.auth.claims[groups]", ["ops"], HTTP, {"claims": CLAIMS}, {"claims": POOR}),
    ("request.auth.claims[a][b]", ["c*"], HTTP, {"claims": CLAIMS}, {"claims": POOR}),
    ("destination.ip", ["10.244.0.0/24"], BOTH, {"destination_ip": "10.244.0.9"}, {"destination_ip": "10.244.1.9"}),
    ("connection.sni", ["*.example"], BOTH, {"sni": "api.example"}, {"sni": "api.other"}),
]
IDS = [f"{key} {values[0]}" for key, values, *_ in KEYS]


def rule(key: str, values: list[str], *, negated: bool = False) -> Json:
    """A rule with this key alone."""
    name = f"not{key[0].upper()}{key[1:]}" if negated else key
    if key in _SOURCE:
        return {"from": [{"source": {name: values}}]}
    if key in _OPERATION:
        return {"to": [{"operation": {name: values}}]}
    return {"when": [{"key": key, "notValues" if negated else "values": values}]}


def allowed(action: str, written: Json, port: int, asked: dict[str, Any]) -> bool:
    """The decision of a policy with one rule on a question about a port of ``api``: 80 speaks HTTP, 9000 does not."""
    found = engine(policy("a", action, "bar", written))
    return found.decide(question(**{"destination": "api", "port": port, **asked})).allowed


@pytest.mark.parametrize(("key", "values", "protocols", "matching", "other"), KEYS, ids=IDS)
def test_key(key: str, values: list[str], protocols: str, matching: Json, other: Json) -> None:
    """With HTTP, a value matches what it should, its negation the rest, whatever the action."""
    for negated in (False, True):
        written = rule(key, values, negated=negated)
        assert allowed("ALLOW", written, 80, matching) is not negated
        assert allowed("ALLOW", written, 80, other) is negated
        assert allowed("DENY", written, 80, matching) is negated
        assert allowed("DENY", written, 80, other) is not negated


@pytest.mark.parametrize(("key", "values", "protocols", "matching", "other"), KEYS, ids=IDS)
def test_key_without_http(key: str, values: list[str], protocols: str, matching: Json, other: Json) -> None:
    """Without HTTP, an ALLOW rule on something of HTTP never matches, a DENY rule matches as if it were not there."""
    for negated in (False, True):
        written = rule(key, values, negated=negated)
        if protocols == HTTP:
            assert [allowed("ALLOW", written, 9000, one) for one in (matching, other)] == [False, False]
            assert [allowed("DENY", written, 9000, one) for one in (matching, other)] == [False, False]
        else:
            assert [allowed("ALLOW", written, 9000, one) for one in (matching, other)] == [not negated, negated]
            assert [allowed("DENY", written, 9000, one) for one in (matching, other)] == [negated, not negated]


@pytest.mark.parametrize("written", [rule("ports", ["9000"]), rule("destination.port", ["9000"])], ids=["to", "when"])
def test_ports(written: Json) -> None:
    """The port is seen with HTTP and without it."""
    assert [allowed("ALLOW", written, port, {}) for port in (80, 9000)] == [False, True]
    assert [allowed("DENY", written, port, {}) for port in (80, 9000)] == [True, False]


def test_every_key_is_in_the_table() -> None:
    """No key of a source, an operation or a condition is left out; those with names in brackets are there too."""
    told = {key.partition("[")[0] for key, *_ in KEYS} | {"ports", "destination.port"}
    assert told == {*_SOURCE, *_OPERATION, *_CONDITIONS, "request.headers", "request.auth.claims"}
    assert all(key_problem(key) == "" for key, *_ in KEYS if "." in key)
