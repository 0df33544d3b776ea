"""Inquiries into Rego policies."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from meshsim.inquiry.ask import ask
from meshsim.inquiry.constants import OTHER_CLAIM, Truth, constants_of, header
from meshsim.inquiry.matrix import build_matrix, compare
from meshsim.inquiry.patterns import ANY, SEGMENT, Machine, Pattern, exactly, glob, prefix, suffix, within
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject, subject_of_scenario
from meshsim.policy.engine import PolicyFile
from tests.inquiry.conftest import SCENARIO

POLICY = """\
package envoy.authz

import input.attributes.request.http
import input.meshsim

default allow := false

allow if {
	meshsim.source.service == "robots"
	meshsim.destination.service == "planner"
	http.method == "GET"
	startswith(http.path, "/plans/")
	not endswith(http.path, "/secret")
}

allow if {
	meshsim.source.service == "rovers"
	meshsim.destination.service == "viewer"
	meshsim.slice == "video"
}
"""


def _plant(folder: Path, policy: str) -> Subject:
    folder.mkdir(exist_ok=True)
    (folder / "plant.rego").write_text(policy, encoding="utf-8")
    file = folder / "plant.yaml"
    file.write_text(SCENARIO.replace("{files: [plant.cedar]}", "{engine: rego, files: [plant.rego]}"), encoding="utf-8")
    return subject_of_scenario(file)


@pytest.fixture
def plant(tmp_path: Path) -> Subject:
    """The plant under Rego policies."""
    return _plant(tmp_path / "plant", POLICY)


def test_one_request(plant: Subject) -> None:
    """The body that allows is named by its place, and the others with the condition that failed."""
    verdict = ask(plant, Request(source="robots", destination="planner", path="/plans/7"))
    assert (verdict.decision.allowed, verdict.decision.rule) == (True, "envoy.authz.allow@plant.rego:8")
    assert verdict.accounts[2].why == '`meshsim.source.service == "rovers"` does not hold: ' + (
        'meshsim.source.service is "robots"'
    )
    denied = ask(plant, Request(source="robots", destination="planner", path="/plans/secret"))
    assert (denied.decision.allowed, denied.decision.rule) == (False, "envoy.authz.allow@plant.rego:6")
    assert denied.accounts[1].why.startswith('`not endswith(http.path, "/secret")` does not hold')


def test_the_matrix_and_what_flips(plant: Subject, tmp_path: Path) -> None:
    """Classes follow from what conditions compare with, and another policy's flips have witnesses."""
    cells = {(cell.caller.name, cell.callee.name): cell for cell in build_matrix(plant).cells}
    assert cells["robots", "planner"].extent == "some"
    assert cells["planner", "vision"].extent == "none"
    after = _plant(tmp_path / "after", POLICY.replace('"/secret"', '"/hidden"'))
    flips = compare(plant, after).flips
    assert {flip.witness.path.rpartition("/")[2] for flip in flips} == {"secret", "hidden"}


@pytest.mark.parametrize(
    ("condition", "texts"),
    [
        ('http.path == "/a"', {"path": {exactly("/a")}}),
        ('startswith(http.path, "/a")', {"path": {prefix("/a")}}),
        ('endswith(http.path, "/a")', {"path": {suffix("/a")}}),
        ('contains(http.path, "a")', {"path": {within("a")}}),
        ('glob.match("/a/*", ["/"], http.path)', {"path": {glob("/a/*"), exactly("/a/"), Pattern((*"/a/", SEGMENT))}}),
        ('http.headers["x-a"] in {"b", "c"}', {header("x-a"): {exactly("b"), exactly("c")}}),
        ('input.meshsim.tls.group == "X25519"', {"group": {exactly("X25519")}}),
    ],
)
def test_texts(condition: str, texts: dict[str, object]) -> None:
    """What a text is compared with, and how, is read off the condition, and exactly."""
    module = f"package envoy.authz\nimport input.attributes.request.http\nallow if {condition}"
    constants = constants_of("rego", [PolicyFile("a.rego", module)])
    assert constants.texts == texts
    assert not constants.approximate


@pytest.mark.parametrize(
    "condition",
    [
        'input.parsed_path[0] == "a"',  # in which escapes are decoded
        "input.parsed_query.a",
        'http.path < "/m"',
        'http.headers["x-a"] == http.headers["x-b"]',
        "input.meshsim.claims.level < 1.5",
        'input.meshsim.claims.groups[_] == "a"',
        "input.meshsim.claims.nothing == null",
        'startswith(input.meshsim.source.ip, "10.")',
        'input.attributes.request.time == "2026-01-01T00:00:00Z"',
        'http.host == "a" with input.meshsim.slice as "video"',
        "time.now_ns() < limit",
        '"k", "a" in input.meshsim.claims.groups',
        'glob.match("*a*b*c*d*e", ["/"], http.host)',
    ],
)
def test_what_is_not_understood_is_said(condition: str) -> None:
    """Whatever is read of the input and not compared in a way that makes classes, makes them approximate."""
    module = f"package envoy.authz\nimport input.attributes.request.http\nallow if {{ {condition} }}"
    assert constants_of("rego", [PolicyFile("a.rego", module)]).approximate


@pytest.mark.parametrize("text", ["*x*", "a/*x**"])
def test_each_star_of_a_glob_may_stand_for_nothing(text: str) -> None:
    """The patterns of a glob together match what it does, each star being some characters of a segment or none."""
    module = f'package envoy.authz\nallow if glob.match("{text}", ["/"], input.attributes.request.http.host)'
    expression = re.compile(text.replace("**", ".+").replace("*", "[^/]*").replace(".+", ".*"))
    patterns = [*sorted(constants_of("rego", [PolicyFile("a.rego", module)]).texts["host"])]
    exact = Machine([one for one in patterns if one.pieces.count(ANY) == text.count("**")], path=False)
    for length in range(7):
        for one in map("".join, product("ax/", repeat=length)):
            assert bool(exact.ends_of(one)) == bool(expression.fullmatch(one)), one


def test_a_path_with_a_segment_that_a_glob_takes(tmp_path: Path) -> None:
    """What is in another segment is told from what stands before or behind a text in the same one."""
    conditions = 'glob.match("/*x*", ["/"], http.path)', 'contains(http.path, "x")'
    head = POLICY[: POLICY.index("allow if")]
    sides = [_plant(tmp_path / f"{number}", f"{head}allow if {one}\n") for number, one in enumerate((*conditions,))]
    request = Request(source="robots", destination="planner", path="/a/x")
    assert [ask(side, request).decision.allowed for side in sides] == [False, True]
    comparison = compare(sides[0], sides[1])
    assert not comparison.space.approximate
    assert "robots" in {flip.caller.name for flip in comparison.flips}


def test_what_is_there_of_service_accounts_alone() -> None:
    """A namespace is compared only where there is one, and a text only where there is text."""
    conditions = 'input.meshsim.source.namespace != "shop"', 'startswith(input.meshsim.claims.sub, "a") == false'
    found = constants_of("rego", [PolicyFile("a.rego", f"package envoy.authz\nallow if {{ {'; '.join(conditions)} }}")])
    assert {one.shown for one in found.principal_patterns} == {
        "spiffe://{*}/ns/shop/sa/{*}",
        "spiffe://{*}/ns/{*}/sa/{*}",
    }
    assert not found.workloads
    assert Truth(True) in found.claims["sub",]


@pytest.mark.parametrize(("read", "by_name"), [("service", True), ("labels.app", True), ("site", False)])
def test_what_is_known_of_workloads_alone(read: str, by_name: bool) -> None:
    """Whether strangers can be as a workload with the same kind of identity goes by what is read of callers."""
    module = f'package envoy.authz\nallow if input.meshsim.source.{read} == "viewer"'
    assert constants_of("rego", [PolicyFile("a.rego", module)]).workloads is by_name


def test_segments_of_paths() -> None:
    """A segment that is compared can stand wherever a path has one."""
    module = 'package envoy.authz\nallow if input.parsed_path[0] == "a"'
    found = constants_of("rego", [PolicyFile("a.rego", module)])
    assert found.texts == {"path": {exactly("/a"), prefix("/a/"), suffix("/a"), within("/a/")}}


def test_conditions_without_constants() -> None:
    """That a field or a claim is there, and parts of names and identities, make classes too, and exact ones."""
    conditions = (
        'not http.headers["x-a"]',
        "input.meshsim.claims.admin",
        'startswith(input.meshsim.slice, "vi")',
        'upper(http.method) != "x"',
        'startswith(input.attributes.source.principal, "spiffe://plant.example/ns/shop/")',
        'startswith(input.meshsim.claims.sub, "al")',
        "input.meshsim.claims.level < 5",
        'http.path == "/a?b=1"',
    )
    module = "package envoy.authz\nimport input.attributes.request.http\nallow if {\n" + "\n".join(conditions) + "\n}"
    found = constants_of("rego", [PolicyFile("a.rego", module)])
    assert found.approximate == {"some texts are not compared with the input directly; each is tried as it stands"}
    assert header("x-a") in found.texts
    assert found.claims["admin",] == {Truth(True), Truth(False), OTHER_CLAIM}
    assert found.claim_texts["sub",] == {prefix("al")}
    assert found.name_patterns == {"vi*"}
    assert found.claims["level",] == {4, 4.5, 5, 5.5, 6, OTHER_CLAIM}
    assert {"GET", "DELETE"} <= found.names
    assert found.principal_patterns == {prefix("spiffe://plant.example/ns/shop/")}
    found.split_targets(alone=True)
    assert exactly("b=1") in found.texts["query"]
    assert exactly("/a") in found.texts["path"]


def test_what_is_computed_is_said() -> None:
    """Constants that are not compared with the input directly make the classes approximate."""
    module = (
        'package envoy.authz\nallow if { [_, kind] := split(input.attributes.request.http.path, "."); kind == "js" }'
    )
    constants = constants_of("rego", [PolicyFile("a.rego", module)])
    assert constants.approximate
    assert constants.texts["path"] == {exactly("."), exactly("js")}


def test_claims_numbers_and_addresses() -> None:
    """Claims, times, ages and blocks of addresses are found too."""
    conditions = (
        '"admin" in input.meshsim.claims.roles',
        'input.meshsim.claims.realm.id == "a"',
        "input.meshsim.certificate_age_s < 3600",
        "input.meshsim.time_ns > 1767225600000000000",
        'net.cidr_contains("10.0.0.0/8", input.meshsim.source.ip)',
        'input.attributes.source.principal == "spiffe://plant.example/fleet/robots/0"',
    )
    module = "package envoy.authz\nallow if {\n" + "\n".join(conditions) + "\n}"
    constants = constants_of("rego", [PolicyFile("a.rego", module)])
    assert constants.claims == {("roles",): {(), ("admin",), (OTHER_CLAIM,)}, ("realm", "id"): {"a", OTHER_CLAIM}}
    assert constants.numbers == {"certificate_age_s": {3600}, "time_s": {1767225600}}
    assert constants.addresses == {"10.0.0.0/8"}
    assert constants.principals == {"spiffe://plant.example/fleet/robots/0"}


def test_parts_of_methods_make_each_method_a_class(tmp_path: Path) -> None:
    """A method of which only the beginning is compared is told apart from all others."""
    condition = 'startswith(input.attributes.request.http.method, "PU")'
    policy = f"package envoy.authz\n\ndefault allow := false\n\nallow if {condition}\n"
    matrix = build_matrix(_plant(tmp_path / "plant", policy))
    cell = next(cell for cell in matrix.cells if (cell.caller.name, cell.callee.name) == ("robots", "planner"))
    assert [box["method"] for box in cell.allowed.boxes] == [("PUT",)]
