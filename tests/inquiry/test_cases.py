"""Cases for policies: read, tried, covered."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from meshsim.commands.trying import try_files
from meshsim.inquiry.cases import EXPECTED_KEYS, FIELDS, TOP_KEYS, read_cases
from meshsim.inquiry.junit import junit_text
from meshsim.inquiry.subject import Subject, subject_of_scenario
from meshsim.inquiry.trial import try_cases
from meshsim.scenario.errors import ScenarioError
from tests.inquiry.conftest import POLICY, SCENARIO

SHIPPED = sorted((Path(__file__).parents[2] / "scenarios" / "policies").glob("*.test.yaml"))
CASES = """\
scenario: plant.yaml
defaults: {destination: planner, path: /plans/7}
cases:
  - {source: robots, expect: allow, rule: robots-plan}
  - {name: in vain, source: robots, method: POST, expect: allow}
  - {source: rovers, destination: viewer, slice: video, path: /secret, expect: deny, rule: rovers-show}
  - {source: anyone, expect: deny, rule: mutual-tls}
"""


def test_cases_are_tried(plant: Subject, plant_file: Path) -> None:
    """A case passes when the answer and, if one is named, the rule are as wanted."""
    file = plant_file.parent / "plant.test.yaml"
    file.write_text(CASES, encoding="utf-8")
    read = read_cases(file)
    assert read.scenario == plant_file
    trial = try_cases(plant, read.cases)
    assert [(one.case.name, one.passed) for one in trial.tried] == [
        ("robots \N{RIGHTWARDS ARROW} planner: GET /plans/7", True),
        ("in vain", False),
        ("rovers \N{RIGHTWARDS ARROW} viewer: GET /secret", False),
        ("anyone \N{RIGHTWARDS ARROW} planner: GET /plans/7", True),
    ]
    assert (trial.tried[1].wanted, trial.tried[1].found) == ("allowed", "denied by default-deny")
    assert [(one.rule, one.matched, one.decided) for one in trial.coverage] == [
        ("robots-plan", 1, 1),
        ("planner-looks", 0, 0),
        ("rovers-show", 1, 0),
        ("no-secrets", 1, 1),
    ]


def test_rules_are_counted_though_no_case_reaches_a_policy(plant: Subject, tmp_path: Path) -> None:
    """Cases that mutual TLS decides cover no rule."""
    file = tmp_path / "a.yaml"
    file.write_text("cases: [{source: anyone, destination: planner, expect: deny}]", encoding="utf-8")
    assert [one.decided for one in try_cases(plant, read_cases(file).cases).coverage] == [0, 0, 0, 0]


ADVISING = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: seen, namespace: plant}
spec: {action: AUDIT, rules: [{to: [{operation: {paths: ["/a"]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: trial, namespace: plant, annotations: {istio.io/dry-run: "true"}}
spec: {action: DENY, rules: [{to: [{operation: {paths: ["/b"]}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: mine, namespace: plant}
spec: {rules: [{to: [{operation: {methods: [GET]}}]}]}
"""


def test_rules_that_decide_nothing_are_covered_where_they_match(tmp_path: Path) -> None:
    """Audits and policies on trial never decide: a case that they match covers them, and no other does."""
    (tmp_path / "plant-policy.yaml").write_text(ADVISING, encoding="utf-8")
    scenario = tmp_path / "plant.yaml"
    written = SCENARIO.replace("{files: [plant.cedar]}", "{engine: istio, files: [plant-policy.yaml]}")
    scenario.write_text(written, encoding="utf-8")
    subject = subject_of_scenario(scenario)
    file = tmp_path / "a.yaml"
    for paths, covered in (
        (["/a"], [True, False, True]),
        (["/a", "/b"], [True, True, True]),
        (["/"], [False, False, True]),
    ):
        cases = "".join(f"  - {{source: robots, destination: planner, path: {one}, expect: allow}}\n" for one in paths)
        file.write_text(f"cases:\n{cases}", encoding="utf-8")
        coverage = try_cases(subject, read_cases(file).cases).coverage
        assert [(one.decides, one.covered) for one in coverage] == list(zip([False, False, True], covered, strict=True))


def test_outcomes_as_junit(plant: Subject, plant_file: Path) -> None:
    """A build server finds a suite for each file, and in a failed case what was wanted, found and why."""
    file = plant_file.parent / "plant.test.yaml"
    file.write_text(CASES.replace("in vain", "in v\\ain \N{BELL}"), encoding="utf-8")
    root = ElementTree.fromstring(junit_text([(file, try_cases(plant, read_cases(file).cases))]))
    (suite,) = root
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")
    failure = suite[1][0]
    assert failure.get("message") == "expected allowed, found denied by default-deny"
    assert "planner-looks (allow, " in (failure.text or "")


def test_every_mistake_is_told_at_its_place(tmp_path: Path) -> None:
    """All mistakes of a file are told at once."""
    file = tmp_path / "wrong.yaml"
    file.write_text(
        "scenaro: x\n"
        "defaults: {methd: GET}\n"
        "cases:\n"
        "  - {source: a, destination: 1, expect: alow}\n"
        "  - {destination: b, port: '80', plaintext: maybe}\n"
        "  - just text\n"
        "  - {source: a, destination: b, expect: deny, time: noon, headers: [x], certificate_age: 5, rule: 7}\n",
        encoding="utf-8",
    )
    with pytest.raises(ScenarioError) as caught:
        read_cases(file)
    assert str(caught.value).replace(f"{file}:", "").splitlines() == [
        "1:1: unknown key 'scenaro'; did you mean 'scenario'?",
        "2:12: unknown key 'methd'; did you mean 'method'?",
        "4:30: 1 is no text; expected some, in quotes: '1'",
        "4:41: 'alow' is no answer; expected expect: allow or deny",
        "5:5: the case expects nothing; expected expect: allow or deny",
        "5:5: the case has no source; expected one, here or in the defaults",
        "5:28: '80' is no whole number; expected one",
        "5:45: 'maybe' is neither true nor false; expected one of them",
        "6:5: a case is a mapping; expected keys such as {source: a, destination: b, expect: allow}",
        "7:53: time: 'noon' is no instant; expected one such as '2026-01-01T08:00:00Z'",
        "7:68: header fields are a mapping from names to texts; expected one such as {x-tenant: blue}",
        "7:90: 5 is no text; expected some, in quotes: '5'",
        "7:99: 7 is no rule; expected some text",
    ]


def test_rules_that_nothing_is_called_are_mistakes(plant: Subject, tmp_path: Path) -> None:
    """A case that wants a rule which is not there is wrong, and not one that fails."""
    file = tmp_path / "a.yaml"
    file.write_text(
        "defaults: {source: robots, destination: planner}\n"
        "cases:\n"
        "  - {path: /plans/1, expect: allow, rule: robot-plan}\n"
        "  - {path: /plans/1, expect: allow, rule: planner-looks}\n"
        "  - {path: /x, expect: deny, rule: mutual-tls}\n"
        "  - {path: /x, expect: deny, rule: nope}\n",
        encoding="utf-8",
    )
    with pytest.raises(ScenarioError) as caught:
        try_cases(plant, read_cases(file).cases)
    assert str(caught.value).replace(f"{file}:", "").splitlines() == [
        "3:43: unknown rule 'robot-plan'; did you mean 'robots-plan'?",
        "6:36: unknown rule 'nope'; expected one of robots-plan, planner-looks, rovers-show, no-secrets, "
        "default-allow, default-deny and 2 more",
    ]


def test_a_case_can_want_any_rule_that_decides(tmp_path: Path) -> None:
    """Of several rules that allow a request each one may be named, with others' words, or in Rego without its place."""
    twice = '@id("a") permit (principal, action, resource);\n@id("b") permit (principal, action, resource);\n'
    rego = 'package envoy.authz\nallow if input.attributes.request.http.path == "/a"\n'
    for name, text, settings, rules in (
        ("plant.cedar", twice, [], ["a", "b"]),
        ("plant.rego", rego, ["mesh.policy={engine: rego, files: [plant.rego]}"], ["envoy.authz.allow@plant.rego:2"]),
    ):
        (tmp_path / "plant.cedar").write_text(POLICY, encoding="utf-8")
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / "plant.yaml").write_text(SCENARIO, encoding="utf-8")
        subject = subject_of_scenario(tmp_path / "plant.yaml", settings)
        line = "  - {source: robots, destination: planner, path: PATH, expect: allow, rule: 'RULE'}\n"
        wanted = [("/a", rule) for rule in rules]
        others = [("/a", "vault: no"), *([("/b", "envoy.authz.allow")] if "rego" in name else [])]
        lines = [line.replace("PATH", path).replace("RULE", rule) for path, rule in (*wanted, *others)]
        (tmp_path / "a.yaml").write_text("cases:\n" + "".join(lines), encoding="utf-8")
        tried = try_cases(subject, read_cases(tmp_path / "a.yaml").cases).tried
        assert [one.passed for one in tried] == [True] * len(wanted) + [False] * len(others)
    assert try_cases(subject, ()).coverage == ()


def test_cases_of_manifests(tmp_path: Path) -> None:
    """A file of cases may name a folder of manifests in place of a scenario, and not both."""
    folder = SHIPPED[0].parents[1] / "manifests" / "canary-sorting"
    file = tmp_path / "a.yaml"
    text = (
        f"manifests: {folder}\ncases:\n  - {{source: sorter, destination: archive, expect: allow, rule: no-policy}}\n"
    )
    file.write_text(text, encoding="utf-8")
    assert read_cases(file).manifests == folder
    assert try_files([file], None, None, [], None, None, quiet=True).exit_code == 0
    file.write_text(f"scenario: a.yaml\n{text}", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"a\.yaml:2:1: manifests stand beside a scenario; expected one of them"):
        read_cases(file)
    file.write_text(text.partition("\n")[2], encoding="utf-8")
    with pytest.raises(ScenarioError, match="nothing says which policies are tried"):
        try_files([file], None, None, [], None, None, quiet=True)


def test_every_key_is_documented_and_can_be_used(plant: Subject, tmp_path: Path) -> None:
    """The tables in docs/policies.md have just the keys that a file can have; a case with all of them is tried."""
    text = (SHIPPED[0].parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
    tables = text[text.index("## Files of cases") :]
    told = {key for row in re.findall(r"^\| (`.*?`) \|", tables, re.MULTILINE) for key in re.findall("`([^`]+)`", row)}
    assert told == {*TOP_KEYS, *EXPECTED_KEYS, *FIELDS}
    file = tmp_path / "a.yaml"
    file.write_text(
        "defaults: {headers: {x-a: b}, plaintext: false, time: 2026-01-01T08:00:00Z, certificate_age: 90 min}\n"
        "cases:\n"
        "  - {source: robots, destination: vision, method: PUT, path: /a?b=c, port: 8080, host: v, claims: {},\n"
        "     token_at: {cookie: c},\n"
        "     slice: control, site: office, node: edge-1, source_node: gnb-1, source_ip: 10.0.0.1,\n"
        "     tls_version: '1.3', cipher: TLS_AES_128_GCM_SHA256, group: X25519,\n"
        "     name: all, expect: deny, rule: default-deny}\n",
        encoding="utf-8",
    )
    (case,) = read_cases(file).cases
    assert (case.request.time_s, case.request.certificate_age_s, case.request.claims) == (1_767_254_400, 5400, {})
    assert try_cases(plant, [case]).tried[0].passed


def test_unknown_names_are_told_at_their_case(plant: Subject, tmp_path: Path) -> None:
    """A case about what is not there is a mistake, not a failure, and told at its key, be it in the defaults."""
    file = tmp_path / "a.yaml"
    file.write_text(
        "defaults: {slice: nowhere}\n"
        "cases:\n"
        "  - {source: nobody, destination: planner, expect: deny}\n"
        "  - {source: robots, destination: planner, expect: deny}\n"
        "  - {source: robots, destination: planner, expect: deny, slice: video, source_ip: abc}\n"
        "  - {source: robots, destination: planner, expect: deny, slice: video, headers: {a b: c}}\n",
        encoding="utf-8",
    )
    with pytest.raises(ScenarioError) as caught:
        try_cases(plant, read_cases(file).cases)
    assert [line.partition(";")[0] for line in str(caught.value).replace(f"{file}:", "").splitlines()] == [
        "1:19: slice: nothing here is called 'nowhere'",
        "3:14: source: nothing here is called 'nobody'",
        "5:83: source_ip: 'abc' is no IP address",
        "6:81: headers: 'a b' is no name of a header field",
    ]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda path: path.name)
def test_shipped_cases_pass_and_exercise_every_rule(file: Path) -> None:
    """Every shipped policy has cases in which each of its rules decides."""
    assert try_files([file], None, None, [], "100 %", None, quiet=True).exit_code == 0


def test_every_shipped_policy_has_cases() -> None:
    """No policy with which a shipped scenario begins is without a file of cases."""
    policies = {path.stem for path in SHIPPED[0].parent.glob("*.cedar") if not path.stem.endswith("-strict")}
    assert policies <= {path.name.removesuffix(".test.yaml") for path in SHIPPED}
