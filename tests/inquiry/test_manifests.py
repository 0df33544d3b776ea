"""Policies asked among Kubernetes and Istio manifests, without a scenario."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import meshsim
from meshsim.inquiry.ask import ask
from meshsim.inquiry.matrix import build_matrix, compare
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject, subject_of_manifests, subject_of_scenario
from meshsim.scenario.errors import ScenarioError, UsageError

WORKLOAD = """\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec:
  selector: {{app: {name}}}
  ports:
    - {{name: http, port: 80, targetPort: 8080}}
    - {{name: http-admin, port: 81, targetPort: 8081}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}-account, namespace: shop}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}-v1, namespace: shop}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {name}, version: v1}}}}
  template:
    metadata: {{labels: {{app: {name}, version: v1}}}}
    spec:
      serviceAccountName: {name}-account
      containers: [{{name: main, image: "example.org/{name}:1"}}]
"""
POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: stock-readers, namespace: shop}
spec:
  selector: {matchLabels: {app: stock}}
  action: ALLOW
  rules:
    - from: [{source: {principals: [cluster.local/ns/shop/sa/front-account]}}]
      to: [{operation: {methods: [GET]}}]
"""
STRICT = """\
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
"""
READERS = "ns[shop]-policy[stock-readers]-rule[0]"


def write_shop(folder: Path, policy: str | None = POLICY, peers: str | None = STRICT) -> Path:
    """Write the manifests of a shop into a new folder."""
    folder.mkdir()
    for name in ("front", "stock", "mail"):
        (folder / f"{name}.yaml").write_text(WORKLOAD.format(name=name), encoding="utf-8")
    for file, text in (("policy.yaml", policy), ("peers.yaml", peers)):
        if text is not None:
            (folder / file).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """The shop."""
    return subject_of_manifests(write_shop(tmp_path_factory.mktemp("manifests") / "shop"))


def test_manifests_give_services_identities_ports_and_modes(shop: Subject) -> None:
    """Only what manifests say has a name: no users, nodes, sites or slices are invented."""
    identities = {caller.name: caller.spiffe_id for caller in shop.callers}
    assert identities == {
        name: f"spiffe://cluster.local/ns/shop/sa/{name}-account" for name in ("front", "stock", "mail")
    }
    for callee in shop.callees:
        assert (callee.namespace, dict(callee.ports)) == ("shop", {80: "http", 81: "http"})
        assert set(callee.modes.values()) == {"STRICT"}
    assert {shop.slices, shop.sites, shop.nodes} == {("",)}
    assert {(one.site, one.node) for one in shop.callers} == {("", "")}


@pytest.mark.parametrize("source", ["front", "shop/front", "front-account", "fr"])
def test_ask_by_any_name(shop: Subject, source: str) -> None:
    """A service, namespace/service, service account or beginning of one asks the same question."""
    verdict = ask(shop, Request(source=source, destination="shop/stock"))
    assert (verdict.decision.allowed, verdict.decision.rule) == (True, READERS)
    assert verdict.place.endswith("shop/policy.yaml:8:7")


@pytest.mark.parametrize(
    ("request_", "allowed", "rule"),
    [
        (Request(source="mail", destination="stock"), False, "default-deny"),
        (Request(source="front", destination="stock", method="POST"), False, "default-deny"),
        (Request(source="front", destination="stock", plaintext=True), False, "mutual-tls"),
        (Request(source="anyone", destination="mail"), False, "mutual-tls"),
        (Request(source="mail", destination="front"), True, "default-allow"),
    ],
)
def test_ask_tells_the_rule(shop: Subject, request_: Request, allowed: bool, rule: str) -> None:
    """The AuthorizationPolicy holds where its selector does, and a STRICT port refuses plaintext before it."""
    decision = ask(shop, request_).decision
    assert (decision.allowed, decision.rule) == (allowed, rule)


def test_ask_without_policies(tmp_path: Path) -> None:
    """Without policy documents whom mutual TLS admits may call; PERMISSIVE, Istio's own default, admits everybody."""
    open_shop = subject_of_manifests(write_shop(tmp_path / "open", policy=None, peers=None))
    for source in ("mail", "anyone"):
        decision = ask(open_shop, Request(source=source, destination="stock")).decision
        assert (decision.allowed, decision.rule) == (True, "no-policy")
    strict = subject_of_manifests(write_shop(tmp_path / "strict", policy=None))
    assert ask(strict, Request(source="anyone", destination="stock")).decision.rule == "mutual-tls"


def test_what_manifests_do_not_say_cannot_be_asked(shop: Subject) -> None:
    """A slice, a site or a node is an error that tells where it would be known."""
    with pytest.raises(UsageError, match="--slice: manifests say nothing of 'video'; expected it with --scenario"):
        ask(shop, Request(source="front", destination="stock", slice="video"))


def test_matrix_has_the_workloads_alone(shop: Subject) -> None:
    """Callers are the workloads, strangers and nobody; what is allowed in part has no slice in it."""
    matrix = build_matrix(shop)
    extents = {(cell.caller.name, cell.callee.name): cell.extent for cell in matrix.cells}
    assert not matrix.space.approximate
    assert {caller for caller, _ in extents} == {
        *("front", "stock", "mail", "a stranger in the mesh", "a stranger from elsewhere", "anyone")
    }
    assert {pair for pair, extent in extents.items() if extent == "some"} == {("front", "stock")}
    assert {callee for (caller, callee), extent in extents.items() if caller == "mail" and extent == "all"} == {
        *("front", "mail")
    }
    cell = next(cell for cell in matrix.cells if cell.extent == "some")
    assert (cell.rules, cell.allowed.boxes) == ((READERS,), ({"method": ("GET",)},))


def test_diff_of_two_folders(shop: Subject, tmp_path: Path) -> None:
    """Another method is a newly allowed flip with its witness, and nothing else flips."""
    after = subject_of_manifests(write_shop(tmp_path / "after", policy=POLICY.replace("[GET]", "[GET, POST]")))
    (flip,) = compare(shop, after).flips
    assert (flip.caller.name, flip.callee.name, flip.now_allowed) == ("front", "stock", True)
    assert (flip.before.rule, flip.after.rule, flip.witness.method) == ("default-deny", READERS, "POST")


def test_diff_sees_the_mode_of_every_port(tmp_path: Path) -> None:
    """A port that another folder makes STRICT is asked about, though all ports were alike before."""
    peers = STRICT.replace("spec: ", "spec: {selector: {matchLabels: {app: mail}}, portLevelMtls: {8081: ").replace(
        "{mtls: {mode: STRICT}}", "{mode: STRICT}}}"
    )
    before = subject_of_manifests(write_shop(tmp_path / "before", policy=None, peers=None))
    after = subject_of_manifests(write_shop(tmp_path / "after", policy=None, peers=peers))
    flips = compare(before, after).flips
    assert [(flip.caller.name, flip.callee.name, flip.port, flip.after.rule) for flip in flips] == [
        ("anyone", "mail", 81, "mutual-tls")
    ]


def test_mistakes_are_told_where_they_stand(tmp_path: Path) -> None:
    """A wrong enum in either kind is one error with its file, line and column; both kinds are read."""
    wrong = write_shop(tmp_path / "wrong", policy=POLICY.replace("ALLOW", "PERMIT"))
    with pytest.raises(ScenarioError) as caught:
        subject_of_manifests(wrong)
    assert str(caught.value).startswith(f"{wrong / 'policy.yaml'}:6:11: ")
    wrong = write_shop(tmp_path / "peers", peers=STRICT.replace("STRICT", "STRICTLY"))
    with pytest.raises(ScenarioError) as caught:
        subject_of_manifests(wrong)
    assert str(caught.value).startswith(f"{wrong / 'peers.yaml'}:4:21: ")


def _with_two_versions(folder: Path, policy: str) -> Path:
    write_shop(folder, policy=policy)
    second = WORKLOAD.format(name="stock").split("---\n")[2]
    second = second.replace("stock-v1", "stock-v2").replace("version: v1", "version: v2")
    (folder / "second.yaml").write_text(second, encoding="utf-8")
    return folder


@pytest.mark.parametrize("labels", ["app: stock, version: v2", "version: v2"])
def test_a_policy_can_be_for_one_version(tmp_path: Path, labels: str) -> None:
    """A selector on the labels of a version holds for its replicas alone: questions, the matrix and a change say so."""
    deny = POLICY.replace("{app: stock}", f"{{{labels}}}").replace("ALLOW", "DENY")
    subject = subject_of_manifests(_with_two_versions(tmp_path / "shop", deny))
    for version, allowed in (("v1", True), ("v2", False)):
        verdict = ask(subject, Request(source="front", destination=f"stock:{version}"))
        assert verdict.decision.allowed == allowed
        assert verdict.asked.question.version == version
    assert verdict.decision.rule == READERS
    first = ask(subject, Request(source="front", destination="stock:v1")).accounts[0]
    assert first.why == "it is for workloads with version=v2; of stock v1, the label is v1"
    for text, said in (
        ("stock", "policies tell the versions of stock apart, or TLS does; expected one of stock:v2, stock:v1"),
        ("stock:v3", "stock has no version 'v3'; expected v2 or v1"),
    ):
        with pytest.raises(UsageError, match=re.escape(f"--destination: {said}")):
            ask(subject, Request(source="front", destination=text))
    cells = {(cell.caller.name, cell.callee.name, cell.port): cell.extent for cell in build_matrix(subject).cells}
    assert [cells["front", name, 80] for name in ("stock:v1", "stock:v2", "mail")] == ["all", "some", "all"]
    before = subject_of_manifests(_with_two_versions(tmp_path / "before", ""))
    flips = {(flip.callee.name, flip.now_allowed) for flip in compare(before, subject).flips}
    assert flips == {("stock:v2", False)}


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
def test_a_policy_for_one_version_holds_for_its_replicas_in_a_run(tmp_path: Path, fidelity: str) -> None:
    """Calls are denied by the replicas of that version alone, as questions say it."""
    deny = POLICY.replace("{app: stock}", "{version: v2}").replace("ALLOW", "DENY").partition("  rules:")[0]
    _with_two_versions(tmp_path / "shop", f"{deny}  rules: [{{}}]\n")
    scenario = tmp_path / "shop.yaml"
    scenario.write_text(
        "scenario: shop\nduration: 2 s\n"
        "network: {nodes: {edge: {kind: edge}}, slices: {web: {sst: 1, five_qi: 9}}}\n"
        "services:\n"
        "  front: {placement: [edge], work: {constant: 1 ms}, calls: [{to: stock}]}\n"
        "  stock: {placement: [edge], work: {constant: 1 ms}}\n"
        "fleets: {users: {node: edge}}\n"
        "mesh: {preset: istio, manifests: [shop]}\n"
        "traffic: [{from: users, to: front, slice: web, arrivals: {constant: 40 /s}}]\n",
        encoding="utf-8",
    )
    run = meshsim.run(scenario, fidelity=fidelity, out=tmp_path / "run")
    calls = run.frame("calls")
    found = calls[calls["destination"] == "stock"].groupby("destination_version")["outcome"].agg(set).to_dict()
    assert found == {"v1": {"ok"}, "v2": {"denied"}}
    subject = subject_of_scenario(scenario)
    asked = {one: ask(subject, Request(source="front", destination=f"stock:{one}")).decision for one in ("v1", "v2")}
    assert {one: decision.allowed for one, decision in asked.items()} == {"v1": True, "v2": False}


def test_folders_without_a_mesh(tmp_path: Path) -> None:
    """A folder that is not there, is empty, or runs nothing is one error that names it."""
    with pytest.raises(UsageError, match=r"there is no .*nowhere; expected a folder with manifests"):
        subject_of_manifests(tmp_path / "nowhere")
    with pytest.raises(ScenarioError, match="holds no manifest"):
        subject_of_manifests(tmp_path)
    (tmp_path / "peers.yaml").write_text(STRICT, encoding="utf-8")
    with pytest.raises(ScenarioError, match="no Service with a Deployment"):
        subject_of_manifests(tmp_path)


def test_one_file_is_enough(tmp_path: Path) -> None:
    """A file with everything in it does as well as a folder."""
    texts = [WORKLOAD.format(name=name) for name in ("front", "stock")]
    file = tmp_path / "all.yaml"
    file.write_text("---\n".join([*texts, POLICY]), encoding="utf-8")
    verdict = ask(subject_of_manifests(file), Request(source="front", destination="stock"))
    assert (verdict.decision.rule, verdict.place.rpartition("/")[2].partition(":")[0]) == (READERS, "all.yaml")


@pytest.mark.skipif("MESHSIM_REFERENCE" not in os.environ, reason="MESHSIM_REFERENCE names no reference data")
def test_bookinfo() -> None:
    """Bookinfo's own manifests, which have no policy, are asked by name and by service account."""
    bookinfo = subject_of_manifests(Path(os.environ["MESHSIM_REFERENCE"]) / "manifests")
    assert {one.name for one in bookinfo.callees} == {"details", "ratings", "reviews", "productpage"}
    for source in ("productpage", "default/productpage", "bookinfo-productpage"):
        verdict = ask(bookinfo, Request(source=source, destination="default/reviews"))
        assert (verdict.decision.allowed, verdict.decision.rule, verdict.asked.port) == (True, "no-policy", 9080)
        assert verdict.asked.caller.spiffe_id == "spiffe://cluster.local/ns/default/sa/bookinfo-productpage"
    extents = {(cell.caller.name, cell.extent, cell.refused != "") for cell in build_matrix(bookinfo).cells}
    stranger = "a stranger from elsewhere"
    assert {(extent, refused) for caller, extent, refused in extents if caller == stranger} == {("none", True)}
    assert {(extent, refused) for caller, extent, refused in extents if caller != stranger} == {("all", False)}


def test_what_is_not_used_is_told_beside_the_answers(tmp_path: Path) -> None:
    """Kinds that decide nothing do not stop the questions; they and those that are left aside are named as warnings."""
    folder = write_shop(tmp_path / "shop")
    (folder / "more.yaml").write_text(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\n---\n"
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n",
        encoding="utf-8",
    )
    with pytest.raises(ScenarioError, match=r"mesh.ignored_kinds: \[NetworkPolicy\]"):
        subject_of_manifests(folder)
    assert subject_of_manifests(folder, ["mesh.ignored_kinds=[NetworkPolicy]"]).warnings == (
        "left aside, as mesh.ignored_kinds has it: NetworkPolicy (1)",
        "not used, as they decide nothing about calls: Job (1)",
    )


def test_principals_of_trust_domains_that_nobody_has(tmp_path: Path) -> None:
    """A principal of an unknown trust domain is a warning, and one of an alias or of the mesh is not."""
    named = POLICY.replace("cluster.local/ns", "elsewhere.example/ns")
    subject = subject_of_manifests(write_shop(tmp_path / "other", policy=named))
    (said,) = [one for one in subject.warnings if "trust domain" in one]
    assert "is of the trust domain elsewhere.example, which nobody has here, so it never matches" in said
    aliases = ["mesh.policy.istio.trust_domain_aliases=[elsewhere.example]"]
    for folder, policy, settings in (("same", POLICY, []), ("alias", named, aliases)):
        subject = subject_of_manifests(write_shop(tmp_path / folder, policy=policy), settings)
        assert not [one for one in subject.warnings if "trust domain" in one]
