"""PeerAuthentications and RequestAuthentications for some versions of a service: questions, the matrix and runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import meshsim
from meshsim.inquiry.ask import ask
from meshsim.inquiry.cases import read_cases
from meshsim.inquiry.matrix import build_matrix
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject, subject_of_manifests, subject_of_scenario
from meshsim.inquiry.trial import try_cases
from meshsim.scenario.errors import ScenarioError, UsageError
from meshsim.scenario.loader import load_scenario
from meshsim.scenario.token_reasons import UNKNOWN_ISSUER
from tests.inquiry.test_manifests import POLICY, WORKLOAD, write_shop

PEER = """\
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: stock, namespace: shop}
spec:
  selector: {matchLabels: {version: v2}}
"""
DISABLED = PEER + "  mtls: {mode: DISABLE}\n"
BY_PORT = PEER + "  portLevelMtls: {8080: {mode: DISABLE}, 8081: {mode: PERMISSIVE}}\n"
SHOP = """\
scenario: shop
duration: 2 s
network: {nodes: {edge: {kind: edge}}, slices: {web: {sst: 1, five_qi: 9}}}
services:
  front:
    placement: [edge]
    work: {constant: 1 ms}
    calls: [{to: stock, path: /80, optional: true}, {to: stock, port: 81, path: /81, optional: true}]
  stock: {placement: [edge], work: {constant: 1 ms}}
fleets: {users: {node: edge}}
mesh: {preset: istio, manifests: [shop]}
traffic: [{from: users, to: front, slice: web, arrivals: {constant: 40 /s}}]
"""


def write(home: Path, peer: str) -> Path:
    """The shop with two versions of stock, in which v2 has labels that no other service has."""
    folder = write_shop(home / "shop", policy=POLICY)
    second = WORKLOAD.format(name="stock").split("---\n")[2]
    second = second.replace("stock-v1", "stock-v2").replace("version: v1", "version: v2")
    (folder / "second.yaml").write_text(second, encoding="utf-8")
    (folder / "third.yaml").write_text(peer, encoding="utf-8")
    (home / "shop.yaml").write_text(SHOP, encoding="utf-8")
    return folder


def said(subject: Subject, destination: str, port: int) -> tuple[str, bool, bool]:
    """The mode of a port, whether a caller of the mesh speaks plaintext to it, and whether it is allowed."""
    verdict = ask(subject, Request(source="front", destination=destination, port=port))
    return verdict.asked.mode, verdict.asked.plaintext, verdict.decision.allowed


def test_a_mode_of_one_version(tmp_path: Path) -> None:
    """Callers speak plaintext to that version and prove nothing there; to the other all is as before."""
    subject = subject_of_manifests(write(tmp_path, DISABLED))
    assert said(subject, "stock:v1", 80) == ("STRICT", False, True)
    assert said(subject, "stock:v2", 80) == ("DISABLE", True, False)
    with pytest.raises(UsageError, match=re.escape("or TLS does; expected one of stock:v2, stock:v1")):
        ask(subject, Request(source="front", destination="stock"))
    cells = {(cell.caller.name, cell.callee.name, cell.port): cell.extent for cell in build_matrix(subject).cells}
    assert [cells["front", name, 80] for name in ("stock:v1", "stock:v2")] == ["some", "none"]


def test_modes_of_ports_of_one_version(tmp_path: Path) -> None:
    """PortLevelMtls is by the port of the container; what it leaves open is the namespace's."""
    subject = subject_of_manifests(write(tmp_path, BY_PORT))
    assert [said(subject, "stock:v1", port) for port in (80, 81)] == [("STRICT", False, True)] * 2
    assert said(subject, "stock:v2", 80) == ("DISABLE", True, False)
    assert said(subject, "stock:v2", 81) == ("PERMISSIVE", False, True)
    stranger = Request(source="anyone", destination="stock:v2", port=81)
    assert ask(subject, stranger).decision.rule == "default-deny"
    assert ask(subject, Request(source="anyone", destination="stock:v1", port=81)).decision.rule == "mutual-tls"


def test_cases_name_the_version(tmp_path: Path) -> None:
    """``policy test`` tries versions as ``ask`` does."""
    write(tmp_path, DISABLED)
    file = tmp_path / "cases.yaml"
    file.write_text(
        "manifests: shop\ncases:\n"
        "  - {source: front, destination: 'stock:v1', expect: allow}\n"
        "  - {source: front, destination: 'stock:v2', expect: deny, rule: default-deny}\n",
        encoding="utf-8",
    )
    cases = read_cases(file)
    subject = subject_of_manifests(tmp_path / "shop")
    assert [one.passed for one in try_cases(subject, cases.cases).tried] == [True, True]


@pytest.mark.parametrize("fidelity", ["real", "sampled", "modelled"])
@pytest.mark.parametrize("peer", [DISABLED, BY_PORT])
def test_a_run_goes_by_the_same_modes(tmp_path: Path, peer: str, fidelity: str) -> None:
    """Each replica's listeners take TLS as its version says, and callers speak to each as it takes it."""
    write(tmp_path, peer)
    run = meshsim.run(tmp_path / "shop.yaml", fidelity=fidelity, out=tmp_path / "run")
    calls = run.frame("calls")
    calls = calls[calls["destination"] == "stock"]
    subject = subject_of_scenario(tmp_path / "shop.yaml")
    found = {
        (str(version), int(path.removeprefix("/"))): set(outcomes)
        for (version, path), outcomes in calls.groupby(["destination_version", "path"])["outcome"]
    }
    assert set(found) == {("v1", 80), ("v1", 81), ("v2", 80), ("v2", 81)}
    for (version, port), outcomes in found.items():
        allowed = said(subject, f"stock:{version}", port)[2]
        assert outcomes == ({"ok"} if allowed else {"denied"}), (version, port)


def test_tokens_of_one_version(tmp_path: Path) -> None:
    """A RequestAuthentication by labels of a version has tokens looked at there alone."""
    rule = (
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: jwt, namespace: shop}\n"
        'spec: {selector: {matchLabels: {version: v2}}, jwtRules: [{issuer: "https://a.example"}]}\n'
    )
    subject = subject_of_manifests(write(tmp_path, rule))
    foreign = {"iss": "https://b.example", "sub": "x"}
    answers = {
        one: ask(subject, Request(source="front", destination=f"stock:{one}", claims=foreign)).decision
        for one in ("v1", "v2")
    }
    nameless = ask(subject, Request(source="front", destination="stock:v2", claims={"groups": ["x"]}))
    assert (nameless.decision.rule, nameless.notes) == (
        UNKNOWN_ISSUER,
        ("the claims name no issuer; --claim iss=https://a.example does",),
    )
    named = ask(subject, Request(source="front", destination="stock:v2", claims=foreign))
    assert not any("name no issuer" in note for note in named.notes)
    assert answers["v1"].allowed
    assert (answers["v2"].rule, answers["v2"].refused_by) == (UNKNOWN_ISSUER, "ns[shop]-requestauthentication[jwt]")


def test_two_for_one_version(tmp_path: Path) -> None:
    """A version can have one PeerAuthentication by a selector, as in Istio the oldest alone counts."""
    whole = DISABLED.replace("name: stock,", "name: whole,").replace("version: v2", "app: stock")
    write(tmp_path, f"{DISABLED}---\n{whole}")
    with pytest.raises(
        ScenarioError, match=r"the workload stock has the PeerAuthentication at .*third\.yaml:1 already"
    ):
        load_scenario(tmp_path / "shop.yaml")


def test_a_change_does_not_reach_ports_of_a_version(tmp_path: Path) -> None:
    """A mode that a version gives one of its ports would stay as it is, which is told where a change sets another."""
    write(tmp_path, BY_PORT)
    with pytest.raises(ScenarioError, match="port 80 of 'stock' has TLS settings of its own, which would not change"):
        load_scenario(tmp_path / "shop.yaml", ["changes=[{at: 1 s, workloads: {stock: {mode: STRICT}}}]"])


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        ("{'82': STRICT}", "'stock' has no port 82; expected 80 or 81"),
        ("{'80': STRICT, '81': DISABLE}", "another port leads to the same listener, 8080, and has another mode"),
        ("{'80': LAX}", "'LAX', which is not known"),
    ],
)
def test_mistakes_in_a_scenario(tmp_path: Path, ports: str, said: str) -> None:
    """Modes of ports of a version are of ports that are there, and of one listener the same."""
    path = tmp_path / "s.yaml"
    path.write_text(
        "scenario: s\nduration: 1 s\nnetwork: {nodes: {e: {kind: edge}}, slices: {d: {sst: 1, five_qi: 9}}}\n"
        "services:\n  stock:\n    work: {constant: 1 ms}\n    placement: [e]\n"
        "    ports: {'80': {target: 8080}, '81': {target: 8080}}\n"
        f"    versions: {{v1: {{tls: {{mode: STRICT, ports: {ports}}}}}}}\n"
        "fleets: {u: {node: e}}\ntraffic: [{from: u, to: stock, slice: d, arrivals: {poisson: 1 /s}}]\n",
        encoding="utf-8",
    )
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert any(said in one.message for one in caught.value.diagnostics), [str(one) for one in caught.value.diagnostics]
