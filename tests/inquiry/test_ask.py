"""One request: whose it is, what it becomes, and what the answer says."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from meshsim.identity.token_places import Place
from meshsim.inquiry.ask import MUTUAL_TLS, ask
from meshsim.inquiry.carrying import carrying, clock_note
from meshsim.inquiry.names import find_callee, find_caller, find_name, listed
from meshsim.inquiry.request import Request, resolve
from meshsim.inquiry.subject import Subject, subject_of_scenario
from meshsim.scenario.errors import UsageError
from meshsim.scenario.token_reasons import EXPIRED, NOT_YET_VALID
from tests.inquiry.conftest import POLICY, SCENARIO

ROBOT = "spiffe://plant.example/fleet/robots/0"
PLANNER = "spiffe://plant.example/ns/plant/sa/planner"
SCREENS = "spiffe://plant.example/ns/office/sa/screens"


@pytest.mark.parametrize(
    ("text", "spiffe_id"),
    [
        ("robots", ROBOT),
        ("robots/2", "spiffe://plant.example/fleet/robots/2"),
        ("rob", ROBOT),
        ("planner", PLANNER),
        ("p", PLANNER),
        ("plant/planner", PLANNER),
        ("plant/p", PLANNER),
        ("viewer", SCREENS),
        ("screens", SCREENS),
        ("office/", SCREENS),
        (PLANNER, PLANNER),
        (PLANNER.removeprefix("spiffe://"), PLANNER),
        ("cluster.local/ns/a/sa/b", "spiffe://cluster.local/ns/a/sa/b"),
        ("spiffe://other.example/ns/a/sa/b", "spiffe://other.example/ns/a/sa/b"),
        ("anyone", ""),
    ],
)
def test_callers_by_short_names(plant: Subject, text: str, spiffe_id: str) -> None:
    """A caller goes by service, fleet, device, account or SPIFFE ID, as short as it is clear."""
    assert find_caller(plant, text).spiffe_id == spiffe_id


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ro", "--source: 'ro' can be robots/0, rovers/0; expected more of the name"),
        ("plant/", "--source: 'plant/' can be plant/planner, plant/vision; expected more of the name"),
        ("plannr", "--source: nothing here is called 'plannr'; did you mean planner?"),
        (
            "q",
            "--source: nothing here is called 'q'; expected one of anyone, planner, vision, viewer, screens, robots, "
            "rovers",
        ),
        (
            "",
            "--source: nothing here is called ''; expected one of anyone, planner, vision, viewer, screens, robots, "
            "rovers",
        ),
    ],
)
def test_callers_that_are_not_clear(plant: Subject, text: str, message: str) -> None:
    """A name that fits several or none is told with what it could be."""
    with pytest.raises(UsageError) as caught:
        find_caller(plant, text)
    assert str(caught.value) == message


def test_spiffe_ids_are_checked(plant: Subject) -> None:
    """A stranger needs a SPIFFE ID that a workload could have."""
    with pytest.raises(UsageError, match="is no SPIFFE ID of a workload"):
        find_caller(plant, "spiffe://other.example")


def test_strangers_have_the_namespace_of_their_service_account(plant: Subject) -> None:
    """Only a SPIFFE ID as Kubernetes has them says a namespace; no other is searched for one."""
    assert find_caller(plant, "spiffe://other.example/ns/a/sa/b").namespace == "a"
    assert find_caller(plant, "spiffe://other.example/fleet/a/sa/b").namespace == ""
    assert find_caller(plant, "spiffe://other.example/ns").namespace == ""


def test_a_service_comes_before_accounts_that_are_called_like_it(plant_file: Path) -> None:
    """Who has the service account `vision` is not meant by the name of the service."""
    subject = subject_of_scenario(plant_file, ["services.viewer.service_account=vision"])
    assert find_caller(subject, "vision").name == "vision"
    assert find_caller(subject, "office/vision").name == "viewer"


def test_lists_of_names_say_how_many_more_there_are() -> None:
    """Eight names are all told, and of nine the last one is counted."""
    assert listed("aabcdefgh") == "a, b, c, d, e, f, g, h"
    assert listed("abcdefghi") == "a, b, c, d, e, f, g, h and 1 more"


def test_manifests_know_no_slices() -> None:
    """Of what manifests say nothing of, the only name is none, and no beginning fits it."""
    with pytest.raises(UsageError, match="--slice: manifests say nothing of 'control'; expected it with --scenario"):
        find_name(("",), "control", "--slice")


def test_text_of_a_token_in_a_parameter_is_encoded(plant: Subject) -> None:
    """What stands for something else in a query is written as it has to be there, and as it is in a field."""
    request = Request(source="robots", destination="planner", path="/a?b=1", token="x&y z")
    sent, note = carrying(msgspec.structs.replace(request, token_at=Place("param", "key")), plant.callees[0])
    assert (sent.path, note) == ("/a?b=1&key=x%26y%20z", "the token is in parameter key")
    sent, note = carrying(request, plant.callees[0])
    assert (sent.path, sent.headers, note) == ("/a?b=1", (("authorization", "Bearer x&y z"),), "")


@pytest.mark.parametrize("reason", [EXPIRED, NOT_YET_VALID])
def test_the_clock_is_told_where_it_decides(reason: str) -> None:
    """Of a token that is too old or too young it is said by which clock, of no other."""
    assert clock_note(reason, 90) == "the clock says 1970-01-01T00:01:30Z; --time tells another instant"
    assert clock_note("token-bad-signature", 90) == ""


def test_services_and_other_names(plant: Subject) -> None:
    """Services go by name or namespace, and slices by their beginning."""
    assert find_callee(plant, "office/viewer").name == "viewer"
    assert find_callee(plant, "vis").name == "vision"
    for host in ("viewer.office", "viewer.office.svc", "viewer.office.svc.cluster.local"):
        assert find_callee(plant, host).name == "viewer"
    assert find_name(plant.slices, "con", "--slice") == "control"
    with pytest.raises(UsageError, match="'vi' can be plant/vision, office/viewer"):
        find_callee(plant, "vi")


def test_what_nobody_said_is_what_is_usual(plant: Subject) -> None:
    """Slice and site are those that the caller has in the scenario, and the answer says so."""
    asked = resolve(plant, Request(source="rovers", destination="viewer"))
    assert (asked.question.slice, asked.question.site) == ("video", "hall")
    assert asked.assumed == {"slice": "video", "site": "hall"}
    said = resolve(plant, Request(source="rovers", destination="viewer", slice="control", site="office"))
    assert (said.question.slice, said.question.site, said.assumed) == ("control", "office", {})


def test_an_answer_names_its_rule_and_why_others_did_not_match(plant: Subject) -> None:
    """The deciding rule comes with its place, and every other one with the part that did not hold."""
    verdict = ask(plant, Request(source="robots", destination="planner", path="/plans/7"))
    assert (verdict.decision.allowed, verdict.decision.rule) == (True, "robots-plan")
    assert verdict.place.endswith("plant.cedar:1:1")
    assert {one.rule: one.why for one in verdict.accounts} == {
        "robots-plan": "",
        "planner-looks": f'`principal in Service::"planner"`: the principal is {ROBOT}',
        "rovers-show": f'`principal in Fleet::"rovers"`: the principal is {ROBOT}',
        "no-secrets": '`when { context.path like "*/secret" }` does not hold',
    }


def test_a_strict_port_refuses_before_any_policy(plant: Subject) -> None:
    """Plaintext and callers without identity do not get as far as a policy, where the port is STRICT."""
    for request in (
        Request(source="anyone", destination="planner"),
        Request(source="robots", destination="planner", path="/plans/7", plaintext=True),
    ):
        verdict = ask(plant, request)
        assert (verdict.decision.allowed, verdict.decision.rule, verdict.accounts) == (False, MUTUAL_TLS, ())
        assert "STRICT" in verdict.why


def test_a_permissive_port_asks_the_policy(plant: Subject) -> None:
    """Plaintext to a PERMISSIVE port proves nothing, and policy decides."""
    verdict = ask(plant, Request(source="planner", destination="vision", plaintext=True))
    assert (verdict.decision.allowed, verdict.decision.rule) == (False, "default-deny")
    assert verdict.asked.question.principal == ""


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            Request(source="robots", destination="planner", port=1),
            "--port: planner has no port 1; expected one of 8080",
        ),
        (
            Request(source="robots", destination="planner", method="get"),
            "--method: 'get' is not known; did you mean 'GET'?",
        ),
        (Request(source="robots", destination="planner", path="plans"), "--path: 'plans' does not begin with a slash"),
        (
            Request(source="robots", destination="planner", path="/\udcff"),
            "--path: the character U+DCFF is in no request",
        ),
        (Request(source="robots", destination="planner", host="a\nb"), "--host: the character U+000A is in no request"),
        (Request(source="robots", destination="planner", headers=(("a b", "c"),)), "--header: 'a b' is no name of a"),
        (Request(source="robots", destination="planner", source_ip="abc"), "--source-ip: 'abc' is no IP address"),
        (Request(source="robots", destination="planner", tls_version="1.4"), "--tls-version: '1.4' is not known"),
        (Request(source="robots", destination="planner", cipher="AES"), "--cipher: 'AES' is not known; did you"),
        (Request(source="robots", destination="planner", group="X2551"), "--group: 'X2551' is not known; did you"),
        (Request(source="robots", destination="planner", claims={"a": float("nan")}), "--claim: the claims cannot be"),
    ],
)
def test_requests_that_cannot_be(plant: Subject, request_: Request, message: str) -> None:
    """What no request can have is told."""
    with pytest.raises(UsageError) as caught:
        resolve(plant, request_)
    assert str(caught.value).startswith(message)


def test_requests_that_can_be(plant: Subject) -> None:
    """A tabulator may stand in a field, and a token that is written out at a place of its own."""
    request = Request(source="robots", destination="planner", headers=(("x-a", "one\ttwo"),))
    assert ask(plant, request).decision.rule == "default-deny"
    placed = msgspec.structs.replace(request, token="a.b.c", token_at=Place("header", "x-token"))
    assert ask(plant, placed).decision.rule == "default-deny"


def test_what_has_a_meaning_carries_no_token(plant: Subject) -> None:
    """Fields of the mesh are known in any case, and claims that are nested without an end are told."""
    request = Request(source="robots", destination="planner", claims={})
    with pytest.raises(UsageError, match="the field 'X-Request-ID' has a meaning of its own"):
        ask(plant, msgspec.structs.replace(request, token_at=Place("header", "X-Request-ID")))
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(UsageError, match="--claim: the claims cannot be written as JSON"):
        ask(plant, msgspec.structs.replace(request, claims={"a": deep}))


def test_what_is_no_token_is_refused_before_any_policy(tmp_path: Path) -> None:
    """Where tokens are checked, one that is none among the header fields is refused; other schemes are let through."""
    issued = "mesh:\n  tokens: {issuers: {desk: {}}}\n"
    checked = "planner: {request_authentication: {issuers: [desk]}, "
    (tmp_path / "plant.cedar").write_text(POLICY, encoding="utf-8")
    (tmp_path / "plant.yaml").write_text(SCENARIO.replace("mesh:\n", issued).replace("planner: {", checked), "utf-8")
    plant = subject_of_scenario(tmp_path / "plant.yaml")

    def rule(value: str) -> str:
        headers = (("Authorization", value),)
        return ask(
            plant, Request(source="robots", destination="planner", path="/plans/7", headers=headers)
        ).decision.rule

    assert rule("Bearer abc") == "token-malformed"
    assert rule("Basic YTpi") == "robots-plan"
