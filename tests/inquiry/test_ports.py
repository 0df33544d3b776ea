"""Ports in policies are those of containers: runs, questions and the matrix go by the same ones, with every engine."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import meshsim
from meshsim.inquiry.ask import ask
from meshsim.inquiry.matrix import build_matrix
from meshsim.inquiry.request import Request, resolve
from meshsim.inquiry.subject import Subject, subject_of_scenario
from meshsim.scenario.errors import ScenarioError, UsageError

SCENARIO = """\
scenario: ports
duration: 1 s
network:
  nodes: {edge: {kind: edge}}
  slices: {web: {sst: 1, five_qi: 9}}
services:
  back:
    replicas: {edge: 1}
    work: {constant: 1 ms}
    namespace: shop
    ports: {80: {target: 8080}, 9090: {target: 9090}, 5432: {target: 5433, protocol: tcp}}
fleets:
  users: {node: edge}
mesh:
  tls: {mode: STRICT}
  policy: {engine: ENGINE, files: [FILE], default: DEFAULT}
traffic:
  - {name: http, from: users, to: back, port: 80, path: /http, slice: web, arrivals: {constant: 9 /s}}
  - {name: own, from: users, to: back, port: 9090, path: /own, slice: web, arrivals: {constant: 9 /s}}
  - {name: tcp, from: users, to: back, port: 5432, path: /tcp, slice: web, arrivals: {constant: 9 /s}}
"""
PORTS = {"/http": 80, "/own": 9090, "/tcp": 5432}
ISTIO = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: p, namespace: shop}}
spec: {{action: {action}, rules: [{rule}]}}
"""
CEDAR = "permit (principal, action, resource) when {{ {condition} }};"
REGO = "package envoy.authz\nimport input.attributes.destination.address.socketAddress\nallow if {condition}\n"


def _istio(action: str, rule: str) -> tuple[str, str, str, str]:
    return "istio", "p.yaml", "allow", ISTIO.format(action=action, rule=rule)


def _cedar(condition: str) -> tuple[str, str, str, str]:
    return "cedar", "p.cedar", "deny", CEDAR.format(condition=condition)


def _rego(condition: str) -> tuple[str, str, str, str]:
    return "rego", "p.rego", "deny", REGO.format(condition=condition)


TO_PORTS = '{{to: [{{operation: {{{}: ["{}"]}}}}]}}'
WHEN_PORT = '{{when: [{{key: destination.port, values: ["{}"]}}]}}'
CASES = [
    (_istio("ALLOW", TO_PORTS.format("ports", 8080)), {"/http"}),
    (_istio("ALLOW", TO_PORTS.format("ports", 80)), set()),
    (_istio("ALLOW", TO_PORTS.format("notPorts", 8080)), {"/own", "/tcp"}),
    (_istio("ALLOW", WHEN_PORT.format(5433)), {"/tcp"}),
    (_istio("ALLOW", WHEN_PORT.format(5432)), set()),
    (_istio("DENY", WHEN_PORT.format(9090)), {"/http", "/tcp"}),
    (_istio("DENY", "{to: [{operation: {methods: [POST]}}]}"), {"/http", "/own"}),
    (_istio("ALLOW", "{to: [{operation: {methods: [GET]}}]}"), {"/http", "/own"}),
    (_istio("DENY", '{to: [{operation: {methods: [GET], ports: ["5433", "8080"]}}]}'), {"/own"}),
    (_istio("ALLOW", '{when: [{key: connection.sni, values: ["outbound_.80_*"]}]}'), {"/http"}),
    (_cedar("context.port == 8080"), {"/http"}),
    (_cedar("context.port == 80"), set()),
    (_cedar("context.port == 5433 || context.port == 9090"), {"/own", "/tcp"}),
    (_rego("socketAddress.portValue == 8080"), {"/http"}),
    (_rego("socketAddress.portValue == 5432"), set()),
    (_rego("input.meshsim.destination.port in {5433, 9090}"), {"/own", "/tcp"}),
]


def _scenario(folder: Path, policies: tuple[str, str, str, str]) -> Path:
    engine, file, default, text = policies
    (folder / file).write_text(text, encoding="utf-8")
    scenario = folder / "ports.yaml"
    text = SCENARIO.replace("ENGINE", engine).replace("FILE", file).replace("DEFAULT", default)
    scenario.write_text(text, encoding="utf-8")
    return scenario


@pytest.mark.parametrize(("policies", "allowed"), CASES)
def test_runs_and_questions_go_by_the_ports_of_containers(
    tmp_path: Path, policies: tuple[str, str, str, str], allowed: set[str]
) -> None:
    """Whatever a policy says of ports, runs of every fidelity, questions and the matrix say the same of it."""
    scenario = _scenario(tmp_path, policies)
    subject = subject_of_scenario(scenario)
    for fidelity in ("real", "sampled", "modelled"):
        run = meshsim.run(scenario, fidelity=fidelity, out=tmp_path / fidelity)
        decisions = pd.read_parquet(Path(run.path) / "decisions.parquet")
        found = {tuple(row) for row in decisions[["path", "allowed", "rule"]].itertuples(index=False)}
        assert found == {(path, *_asked(subject, path, port)) for path, port in PORTS.items()}
        assert {path for path, through, _ in found if through} == allowed
    boxes = {(cell.caller.name, cell.port): cell.allowed.boxes for cell in build_matrix(subject).cells}
    for path, port in PORTS.items():
        methods = [", ".join(box.get("method", ("GET",))).split(", ") for box in boxes["users", port]]
        assert any("GET" in each for each in methods) == (path in allowed)


def _asked(subject: Subject, path: str, port: int) -> tuple[bool, str]:
    decision = ask(subject, Request(source="users", destination="back", path=path, port=port)).decision
    return decision.allowed, decision.rule


def test_questions_name_a_port_of_the_service(tmp_path: Path) -> None:
    """A question is about a port of the service; one about the port of the container is told which leads there."""
    subject = subject_of_scenario(_scenario(tmp_path, CASES[0][0]))
    asked = resolve(subject, Request(source="users", destination="back"))
    assert (asked.port, asked.question.port, asked.assumed["port"]) == (80, 8080, "8080")
    wrong = r"--port: back has no port 8080; expected one of 80 \(which leads to 8080\), 9090, 5432"
    with pytest.raises(UsageError, match=wrong):
        resolve(subject, Request(source="users", destination="back", port=8080))


def test_a_port_that_only_a_service_has_is_a_warning(tmp_path: Path) -> None:
    """Who writes the service's port into a policy of Istio is told that policies see the container's."""
    warnings = subject_of_scenario(_scenario(tmp_path, CASES[1][0])).warnings
    assert [one.partition(": ")[2] for one in warnings] == [
        "ports '80' are on no replica: policies see the port of the container, and port 80 of back leads to 8080"
    ]
    assert subject_of_scenario(_scenario(tmp_path, CASES[0][0])).warnings == ()


def test_ports_that_lead_to_one_listener_agree(tmp_path: Path) -> None:
    """Two ports of a service can lead to one listener if it can do as both of them say."""
    scenario = _scenario(tmp_path, CASES[0][0])
    text = scenario.read_text(encoding="utf-8")
    scenario.write_text(text.replace("target: 5433", "target: 8080"), encoding="utf-8")
    with pytest.raises(ScenarioError, match="ports 80 and 5432 lead to one listener, 8080, and differ in their protoc"):
        subject_of_scenario(scenario)
    scenario.write_text(text.replace("9090: {target: 9090}", "9090: {target: 8080, tls: {mode: DISABLE}}"))
    with pytest.raises(ScenarioError, match="ports 80 and 9090 lead to one listener, 8080, and differ in their tls"):
        subject_of_scenario(scenario)
