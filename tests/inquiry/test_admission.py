"""What TLS refuses before a policy is asked: matrix, comparison and single questions tell it as a run has it."""

from __future__ import annotations

from pathlib import Path

import pytest

import meshsim
from meshsim.inquiry.admission import admission
from meshsim.inquiry.ask import MUTUAL_TLS, ask
from meshsim.inquiry.matrix import build_matrix, compare
from meshsim.inquiry.names import find_callee, find_caller
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject, subject_of_scenario
from tests.inquiry.conftest import SCENARIO, write

FOREIGN = "spiffe://partner.example/ns/a/sa/b"
NO_BUNDLE = "the port has no bundle for the trust domain partner.example: TLS refuses its certificates"
ANYBODY = "permit (principal, action, resource);"


def changed(folder: Path, *changes: tuple[str, str], policy: str = ANYBODY) -> Path:
    """The plant with other words in its scenario."""
    folder.mkdir(exist_ok=True)
    file = write(folder, policy)
    text = SCENARIO
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def open_plant(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """The plant, with a policy that lets everybody in."""
    return subject_of_scenario(changed(tmp_path_factory.mktemp("open") / "plant"))


@pytest.mark.parametrize("port", ["planner", "vision"])
def test_a_trust_domain_without_a_bundle_is_refused(open_plant: Subject, port: str) -> None:
    """STRICT or PERMISSIVE: who proves a foreign identity does not get as far as a policy that would allow it."""
    verdict = ask(open_plant, Request(source=FOREIGN, destination=port))
    assert (verdict.decision.allowed, verdict.decision.rule, verdict.why) == (False, MUTUAL_TLS, NO_BUNDLE)


def test_the_matrix_tells_who_is_refused_and_why(open_plant: Subject) -> None:
    """Everybody in the mesh may call; strangers from elsewhere and, where the port is STRICT, nobody cannot."""
    refused = {(cell.caller.name, cell.callee.name): cell.refused for cell in build_matrix(open_plant).cells}
    assert {pair for pair, why in refused.items() if why} == {
        *(("a stranger from elsewhere", name) for name in ("planner", "vision", "viewer")),
        *(("anyone", name) for name in ("planner", "viewer")),
    }
    assert "no bundle for the trust domain elsewhere.example" in refused["a stranger from elsewhere", "vision"]
    assert all(cell.extent == ("none" if cell.refused else "all") for cell in build_matrix(open_plant).cells)


def test_a_plaintext_port_proves_nothing_and_refuses_nobody(tmp_path: Path) -> None:
    """Without TLS there is no identity to refuse, and policy sees none."""
    plain = subject_of_scenario(
        changed(tmp_path, ("trust_domain: plant", "tls: {mode: DISABLE}\n  trust_domain: plant"))
    )
    verdict = ask(plain, Request(source=FOREIGN, destination="planner"))
    assert (verdict.decision.allowed, verdict.asked.question.principal) == (True, "")
    refused = {cell.caller.name: cell.refused for cell in build_matrix(plain).cells if cell.callee.name == "viewer"}
    assert refused.pop("vision") == "the port is DISABLE: it takes plaintext only, and the caller's sidecar speaks TLS"
    assert not any(refused.values())


def test_a_comparison_has_both_trust_domains(open_plant: Subject, tmp_path: Path) -> None:
    """When the mesh is called otherwise, identities of the old name are refused and those of the new one let in."""
    after = subject_of_scenario(changed(tmp_path, ("plant.example", "hall.example")))
    flips = {(flip.caller.spiffe_id, flip.callee.name): flip for flip in compare(open_plant, after).flips}
    old = flips["spiffe://plant.example/ns/plant/sa/planner", "viewer"]
    assert (old.now_allowed, old.after.rule) == (False, MUTUAL_TLS)
    new = flips["spiffe://hall.example/ns/plant/sa/planner", "viewer"]
    assert (new.now_allowed, new.before.rule) == (True, MUTUAL_TLS)
    assert all(spiffe_id for spiffe_id, _ in flips)


def test_federated_trust_domains_are_believed_as_the_scenario_says(tmp_path: Path) -> None:
    """Of two trust domains both must have the other's bundle; a stranger in one is refused where it is not believed."""
    federation = "federation: {trusts: [office.example], domains: {office.example: {node: core-1, services: [viewer]}}}"
    domain = "trust_domain: plant.example\n"
    one_way = subject_of_scenario(changed(tmp_path / "one", (domain, f"{domain}  {federation}\n")))
    why = {(cell.caller.name, cell.callee.name): cell.refused for cell in build_matrix(one_way).cells}
    assert why["planner", "viewer"] == (
        "the port has no bundle for the trust domain plant.example: TLS refuses its certificates"
    )
    assert why["viewer", "planner"] == (
        "the caller has no bundle for the trust domain plant.example: TLS refuses its certificates"
    )
    assert why["a stranger in office.example", "planner"] == ""
    assert why["a stranger from elsewhere", "viewer"]
    both = federation.replace("services: [viewer]", "services: [viewer], trusts: [plant.example]")
    after = subject_of_scenario(changed(tmp_path / "both", (domain, f"{domain}  {both}\n")))
    flips = {(flip.caller.name, flip.callee.name): flip.now_allowed for flip in compare(one_way, after).flips}
    assert flips["planner", "viewer"]
    assert flips["viewer", "planner"]
    assert all(flips.values())


def test_an_alias_of_the_trust_domain_is_the_mesh(tmp_path: Path) -> None:
    """Istio checks peers of an alias with the mesh's own roots, so TLS lets them in."""
    file = changed(
        tmp_path,
        ("files: [plant.cedar]", "engine: istio, files: [a.yaml], istio: {trust_domain_aliases: [old.example]}"),
    )
    (tmp_path / "a.yaml").write_text(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: plant}\n"
        "spec: {rules: [{from: [{source: {principals: [plant.example/ns/plant/sa/planner]}}]}]}\n",
        encoding="utf-8",
    )
    subject = subject_of_scenario(file)
    verdict = ask(subject, Request(source="spiffe://old.example/ns/plant/sa/planner", destination="vision"))
    assert (verdict.decision.allowed, verdict.decision.rule) == (True, "ns[plant]-policy[a]-rule[0]")
    allowed = {(cell.caller.name, cell.callee.name): cell.extent for cell in build_matrix(subject).cells}
    assert allowed["a stranger in old.example", "vision"] == "none"
    assert allowed["planner in old.example", "vision"] == "all"


def test_an_alias_that_is_new_is_a_difference(tmp_path: Path) -> None:
    """A comparison lists who may call because a trust domain has become an alias: who had that name elsewhere."""
    policy = "engine: istio, files: [a.yaml], istio: {trust_domain_aliases: [old.example]}"
    after = changed(tmp_path / "after", ("files: [plant.cedar]", policy))
    before = changed(tmp_path / "before", ("files: [plant.cedar]", policy.replace("[old.example]", "[]")))
    text = (
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: plant}\n"
        "spec: {rules: [{from: [{source: {principals: [cluster.local/ns/plant/sa/planner]}}]}]}\n"
    )
    for file in (before, after):
        (file.parent / "a.yaml").write_text(text, encoding="utf-8")
    first, second = subject_of_scenario(before), subject_of_scenario(after)
    found = {(flip.caller.spiffe_id, flip.callee.name): flip for flip in compare(first, second).flips}
    flip = found["spiffe://old.example/ns/plant/sa/planner", "vision"]
    assert (flip.now_allowed, flip.before.rule) == (True, MUTUAL_TLS)
    request = Request(source=flip.caller.spiffe_id, destination="vision")
    assert [ask(each, request).decision.allowed for each in (first, second)] == [False, True]
    assert ("spiffe://old.example/ns/plant/sa/vision", "planner") not in found


def test_names_of_the_mesh_in_a_federated_domain_are_asked_about(tmp_path: Path) -> None:
    """A policy that goes by namespace lets in who has it in another trust domain that is believed."""
    domains = "{office.example: {node: core-1, services: [viewer], trusts: [plant.example]}}"
    federation = f"federation: {{trusts: [office.example], domains: {domains}}}"
    domain = "trust_domain: plant.example\n"
    file = changed(
        tmp_path, (domain, f"{domain}  {federation}\n"), ("files: [plant.cedar]", "engine: istio, files: [a.yaml]")
    )
    (tmp_path / "a.yaml").write_text(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: plant}\n"
        "spec: {rules: [{from: [{source: {namespaces: [plant]}}]}]}\n",
        encoding="utf-8",
    )
    cells = {(cell.caller.name, cell.callee.name): cell for cell in build_matrix(subject_of_scenario(file)).cells}
    assert cells["planner in office.example", "vision"].extent == "all"
    assert cells["a stranger in office.example", "vision"].extent == "none"


SETTINGS = [
    ("tls: {groups: [P-384]}", "the TLS handshake fails: no common group, says the port"),
    ("tls: {ciphers: [TLS_CHACHA20_POLY1305_SHA256]}", ""),
    (
        "tls: {signature_schemes: [ed25519], key: ed25519}",
        "the TLS handshake fails: no client certificate, says the port",
    ),
    ("ports: {8080: {tls: {mode: DISABLE}}}", "the port is DISABLE: it takes plaintext only"),
]


@pytest.mark.parametrize(("settings", "why"), SETTINGS)
def test_settings_that_do_not_fit_are_refused_as_in_a_run(tmp_path: Path, settings: str, why: str) -> None:
    """Where two ends have nothing in common, the answer is that of the handshakes of a run."""
    viewer = "service_account: screens"
    flow = "- {from: rovers, to: viewer, slice: video, arrivals: {poisson: 10 /s}}"
    file = changed(tmp_path, (viewer, f"{viewer}, {settings}"), (flow, flow.replace("10 /s", "50 /s")))
    subject = subject_of_scenario(file)
    found = admission(find_caller(subject, "rovers"), find_callee(subject, "viewer"), 8080)
    assert found.refused.startswith(why)
    assert bool(found.refused) == bool(why)
    run = meshsim.run(file, fidelity="modelled", out=tmp_path / "run")
    outcomes = set(run.requests.loc[run.requests["service"] == "viewer", "outcome"])
    assert ("ok" in outcomes) == (not why)


def test_an_answer_assumes_what_the_handshake_comes_to(tmp_path: Path) -> None:
    """Version, cipher and group that nobody said are those that the two ends agree on."""
    policy = 'permit (principal, action, resource) when { context.group == "P-256" };'
    viewer = "service_account: screens"
    subject = subject_of_scenario(changed(tmp_path, (viewer, f"{viewer}, tls: {{groups: [P-256]}}"), policy=policy))
    assert ask(subject, Request(source="planner", destination="viewer")).asked.assumed["group"] == "P-256"
    assert ask(subject, Request(source="planner", destination="viewer")).decision.allowed
    assert not ask(subject, Request(source="planner", destination="vision")).decision.allowed
