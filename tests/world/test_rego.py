"""Runs whose calls are authorised by Rego."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshsim.scenario.loader import load_text
from meshsim.sidecar.http_sizes import response_size_bytes
from tests.world.conftest import Result

Data = dict[str, Any]

POLICY = """\
package envoy.authz

import input.attributes.request.http
import input.meshsim

default allow := false

allow if {
	meshsim.source.service == "phone"
	http.method == "GET"
}

# The clock of the called node decides.
allow if {
	http.method == "POST"
	(time.now_ns() / 1000000000) % 2 == 0
}

allow := {
	"allowed": false,
	"http_status": 401,
	"headers": {"WWW-Authenticate": "Bearer realm=plant", "Cookie": "a=b", "Server": "opa"},
	"body": "a token, please",
} if {
	http.method == "PUT"
	not http.headers.authorization
}
"""


@pytest.fixture
def run(tmp_path: Path, line: Data) -> Any:
    """A function that runs the line with Rego policies, with requests of some methods."""
    (tmp_path / "mesh.rego").write_text(POLICY)

    def simulate(*methods: str, fidelity: str = "sampled", http: Data | None = None, **policy: Any) -> Result:
        flow = line["traffic"][0]
        line["traffic"] = [flow | {"name": f"flow-{n}", "method": method} for n, method in enumerate(methods)]
        line["duration"] = "4 s"
        line["fidelity"] = fidelity
        line["mesh"] = {"policy": {"engine": "rego", "files": ["mesh.rego"]} | policy, "http": http or {}}
        return Result(load_text(json.dumps(line), tmp_path / "scenario.yaml", []))

    return simulate


@pytest.mark.parametrize("http", [{}, {"proxy_headers": {}}])
def test_fields_of_refusals_are_on_the_wire_once(run: Any, http: Data) -> None:
    """What Rego has a refusal say is received as it was sent, and a field that the sidecar writes itself not twice."""
    contents = []
    for fidelity in ("real", "modelled"):
        result = run("PUT", fidelity=fidelity, http=http)
        assert {(row.status, row.exposed) for row in result.requests} == {(401, "server")}
        contents.append(result.content())
    assert contents[0] == contents[1]


def test_rules_decide_and_are_named(run: Any) -> None:
    """Calls are allowed and denied by the bodies of rules, which the table of decisions names."""
    result = run("GET", "POST", "PUT", "DELETE")
    named = {(row.method, row.allowed, row.rule.partition("@")[2]) for row in result.decisions}
    assert named == {
        ("GET", True, "mesh.rego:8"),
        ("POST", True, "mesh.rego:14"),
        ("POST", False, "mesh.rego:6"),
        ("PUT", False, "mesh.rego:19"),
        ("DELETE", False, "mesh.rego:6"),
    }
    assert {row.engine for row in result.decisions} == {"rego"}


def test_a_refusal_has_the_response_of_the_decision(run: Any) -> None:
    """Status, header fields and body of a decision travel back to the caller, and their bytes are charged."""
    put, delete = (run(method).calls[0] for method in ("PUT", "DELETE"))
    assert (put.outcome, delete.outcome) == ("denied", "denied")
    fields = (("www-authenticate", "Bearer realm=plant"), ("server", "opa"), ("cookie", "a=b"))
    told = response_size_bytes(401, len("a token, please"), fields, first=True)
    assert put.bytes_received - delete.bytes_received == told - response_size_bytes(403, 19, first=True)
    statuses = {row.status for row in run("PUT").requests}
    assert statuses == {401}


def test_each_fidelity_has_the_same_content(run: Any) -> None:
    """With decisions that go by time and refusals with fields of their own, all fidelities agree."""
    contents = {run("GET", "POST", "PUT", fidelity=level).content() for level in ("real", "sampled", "modelled")}
    assert len(contents) == 1


def test_another_query_and_the_default(run: Any, tmp_path: Path) -> None:
    """The document that decides can be named, and what it leaves undefined is the default's."""
    (tmp_path / "mesh.rego").write_text(
        "package mesh\nopen := false if input.attributes.request.http.method == `PUT`\n"
    )
    result = run("GET", "PUT", default="allow", rego={"query": "data.mesh.open"})
    assert {(row.method, row.rule) for row in result.decisions} == {
        ("GET", "default-allow"),
        ("PUT", "mesh.open@mesh.rego:2"),
    }
