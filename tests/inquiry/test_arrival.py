"""Inquiries see of a request what a run's policies would: tokens that are accepted, header fields that are believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.inquiry.ask import ask
from meshsim.inquiry.claim_classes import claims
from meshsim.inquiry.constants import constants_of
from meshsim.inquiry.matrix import Matrix, build_matrix, compare
from meshsim.inquiry.region_words import region_words
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject, subject_of_manifests, subject_of_scenario
from meshsim.policy.engine import PolicyFile
from tests.inquiry.conftest import SCENARIO
from tests.inquiry.test_manifests import write_shop

ISSUER = "https://issuer.example"
TOKENS = """\
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: shop}
spec:
  selector: {matchLabels: {app: stock}}
  jwtRules: [{issuer: "https://issuer.example", audiences: [shop]}]
---
"""
POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: stock, namespace: shop}
spec:
  selector: {matchLabels: {app: stock}}
  rules: [RULE]
"""
ANY_PRINCIPAL = '{from: [{source: {requestPrincipals: ["*"]}}]}'
ADMINS = '{when: [{key: "request.auth.claims[groups]", values: [admin]}]}'
NOBODY_LOOKS = "the claims are not seen: nobody looks at tokens at"


def shop(folder: Path, rule: str, tokens: str = TOKENS) -> Subject:
    """The shop, whose stock takes tokens and has one rule."""
    return subject_of_manifests(write_shop(folder, policy=tokens + POLICY.replace("RULE", rule)))


def tokens_with(*keys: str) -> str:
    """The same RequestAuthentication with more keys in its rule."""
    return TOKENS.replace("[shop]}", f"[shop], {', '.join(keys)}}}")


def allowed(matrix: Matrix, caller: str, callee: str) -> list[str]:
    """What a caller may do at a service, for people."""
    cell = next(cell for cell in matrix.cells if (cell.caller.name, cell.callee.name) == (caller, callee))
    return region_words(cell.allowed, matrix.space.dimensions)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (ANY_PRINCIPAL, f'any request when claim aud is "shop" and claim iss is "{ISSUER}" and there is a claim sub'),
        (ADMINS, f'any request when claim aud is "shop" and claim groups is "admin" and claim iss is "{ISSUER}"'),
    ],
)
def test_the_matrix_tries_tokens_that_are_accepted(tmp_path: Path, rule: str, words: str) -> None:
    """The issuers and audiences of a RequestAuthentication are among the values of claims."""
    matrix = build_matrix(shop(tmp_path / "shop", rule))
    assert allowed(matrix, "front", "stock") == [words]
    assert not matrix.space.approximate


def test_flips_of_what_tokens_are_accepted(tmp_path: Path) -> None:
    """Another issuer, and a policy that no longer looks at the token, flip what valid tokens are allowed."""
    before = shop(tmp_path / "before", ANY_PRINCIPAL)
    moved = shop(tmp_path / "moved", ANY_PRINCIPAL, TOKENS.replace(ISSUER, "https://other.example"))
    flips = compare(before, moved).flips
    assert {(flip.now_allowed, flip.caller.name) for flip in flips} >= {(True, "front"), (False, "front")}
    open_to_all = shop(tmp_path / "open", "{}")
    found = {flip.now_allowed for flip in compare(open_to_all, before).flips}
    assert found == {False}


def test_where_nobody_looks_at_tokens_there_are_no_claims(tmp_path: Path) -> None:
    """Without RequestAuthentication no claim lets anybody in; ask says so, and so does the matrix."""
    blind = shop(tmp_path / "blind", ANY_PRINCIPAL, tokens="")
    matrix = build_matrix(blind)
    assert allowed(matrix, "front", "stock") == []
    assert matrix.notes == (f"{blind.name}: nobody looks at tokens, so policies see no claims",)
    before = shop(tmp_path / "before", ANY_PRINCIPAL)
    gone = {flip.now_allowed for flip in compare(before, blind).flips if flip.callee.name == "stock"}
    assert gone == {False}  # nothing is newly allowed: claims that nobody looks at open no door
    token = {"iss": ISSUER, "sub": "a", "aud": "shop"}
    verdict = ask(blind, Request(source="front", destination="stock", claims=token))
    assert (verdict.decision.allowed, verdict.asked.question.claims) == (False, "")
    assert verdict.notes == (f"{NOBODY_LOOKS} stock",)
    seen = ask(before, Request(source="front", destination="stock", claims=token))
    assert (seen.decision.allowed, seen.notes) == (True, ())


def test_lists_of_values_of_a_claim() -> None:
    """A token for two audiences can be accepted for one and let in for the other."""
    text = TOKENS + POLICY.replace("RULE", '{when: [{key: "request.auth.audiences", values: [desk]}]}')
    found = constants_of("istio", [PolicyFile("a.yaml", text)])
    approximate: set[str] = set()
    values = [one.witness for one in claims(("aud",), found, approximate).values]
    # shop is accepted in this other form, too, which policies do not compare with
    lists = [["desk", "https://shop/"], ["desk", "https://shop/", "shop"], ["desk", "shop"], ["https://shop/", "shop"]]
    assert values == [None, "desk", "https://shop/", "other", "shop", *lists]
    assert not approximate


def test_claims_with_dots_in_their_names(tmp_path: Path) -> None:
    """A name with a dot is one name, not a way into a mapping."""
    rule = '{when: [{key: "request.auth.claims[example.org/role]", values: [admin]}]}'
    (words,) = allowed(build_matrix(shop(tmp_path / "shop", rule)), "front", "stock")
    assert 'claim example.org/role is "admin"' in words


CHECKED = SCENARIO.replace(
    "namespace: plant, tls", "namespace: plant, request_authentication: {issuers: [depot], audiences: [hall]}, tls"
).replace("  policy:", "  tokens: {issuers: {depot: {}}}\n  policy:")
CLAIMS_POLICY = """\
@id("own-issuer")
permit (principal, action, resource) when { context.claims has iss && context.claims.iss == "https://else.example" };
@id("depot")
permit (principal, action, resource)
when { context.claims has iss && context.claims.iss == "https://depot.plant.example" };
@id("lifts")
permit (principal, action, resource) when { context.claims has groups && context.claims.groups.contains("lift") };
"""


def plant(folder: Path, scenario: str, policy: str) -> Subject:
    """The plant with another scenario and policy."""
    (folder / "plant.cedar").write_text(policy, encoding="utf-8")
    file = folder / "plant.yaml"
    file.write_text(scenario, encoding="utf-8")
    return subject_of_scenario(file)


def test_request_authentication_of_a_service_counts(tmp_path: Path) -> None:
    """A token of another issuer or for another audience is refused as in a run; without a check claims are not seen."""
    subject = plant(tmp_path, CHECKED, CLAIMS_POLICY)

    def rule(destination: str, **claims: object) -> str:
        return ask(subject, Request(source="planner", destination=destination, claims=claims)).decision.rule

    assert rule("vision", groups=["lift"]) == "lifts"
    assert rule("vision", iss="https://depot.plant.example") == "depot"
    assert rule("vision", iss="https://else.example") == "token-unknown-issuer"
    assert rule("vision", groups=["lift"], aud="yard") == "token-wrong-audience"
    assert rule("planner", groups=["lift"]) == "default-deny"
    matrix = build_matrix(subject)
    assert allowed(matrix, "planner", "planner") == []
    assert all("else.example" not in words for words in allowed(matrix, "planner", "vision"))
    assert any("depot.plant.example" in words for words in allowed(matrix, "planner", "vision"))


def test_a_required_token(tmp_path: Path) -> None:
    """Where a token is required, a request without one is refused before policy is asked."""
    subject = plant(
        tmp_path, CHECKED.replace("audiences: [hall]", "required: true"), "permit (principal, action, resource);"
    )
    verdict = ask(subject, Request(source="planner", destination="vision"))
    assert (verdict.decision.rule, verdict.decision.status) == ("token-missing", 401)
    assert ask(subject, Request(source="planner", destination="vision", claims={})).decision.allowed
    assert allowed(build_matrix(subject), "planner", "vision") == ["everything"]


@pytest.mark.parametrize(
    ("before", "after", "claims"),
    [
        ("issuers: [depot]", "issuers: [depot], required: true", None),
        ("", "issuers: [depot], required: true", None),
        ("", "issuers: [depot]", {"iss": "https://else.example"}),
        ("issuers: [depot, dock]", "issuers: [depot]", {"iss": "https://dock.plant.example"}),
        ("issuers: [depot]", "issuers: [depot], audiences: [hall]", {"aud": "yard"}),
    ],
)
@pytest.mark.parametrize("policies", [True, False])
def test_what_services_accept_flips_whatever_policies_read(
    tmp_path: Path, before: str, after: str, claims: dict[str, str] | None, policies: bool
) -> None:
    """A comparison asks about tokens that one side refuses, though no policy, or none at all, looks at claims."""
    sides = []
    for number, check in enumerate((before, after)):
        text = CHECKED.replace("request_authentication: {issuers: [depot], audiences: [hall]}, ", "")
        text = text.replace("namespace: plant, tls", f"namespace: plant, request_authentication: {{{check}}}, tls")
        text = text.replace("request_authentication: {}, ", "").replace("{depot: {}}", "{depot: {}, dock: {}}")
        text = text.replace("{size: 3,", "{size: 3, token: {issuer: depot},")
        text = text.replace("{size: 1,", "{size: 1, token: {issuer: dock},")
        text = text if policies else text.replace("  policy: {files: [plant.cedar]}\n", "")
        (tmp_path / str(number)).mkdir()
        sides.append(plant(tmp_path / str(number), text, "permit (principal, action, resource);"))
    request = Request(source="planner", destination="vision", claims=claims)
    assert [ask(side, request).decision.allowed for side in sides] == [True, False]
    comparison = compare(sides[0], sides[1])
    assert not comparison.space.approximate
    found = {(flip.caller.name, flip.callee.name, flip.now_allowed) for flip in comparison.flips}
    assert ("planner", "vision", False) in found


def test_tokens_that_are_bound_in_another_way_are_not_asked_about(tmp_path: Path) -> None:
    """How tokens are bound to certificates is in no question, so that a comparison of two ways is not exact."""
    sides = []
    for binding in ("checked", "required"):
        (tmp_path / binding).mkdir()
        text = CHECKED.replace("audiences: [hall]", f"binding: {binding}")
        sides.append(plant(tmp_path / binding, text, "permit (principal, action, resource);"))
    assert compare(sides[0], sides[0]).space.approximate == ()
    (said,) = compare(sides[0], sides[1]).space.approximate
    assert said.startswith("vision binds tokens to certificates in another way")


HEADERS_POLICY = """\
@id("root")
permit (principal, action, resource) when { context.headers has "x-user" && context.headers["x-user"] == "root" };
@id("by-certificate")
permit (principal, action, resource == Service::"viewer") when {
  context.headers has "x-forwarded-client-cert" && context.headers["x-forwarded-client-cert"] like "*URI=*robots/0" };
"""
BELIEVING = SCENARIO.replace(
    "  policy:",
    "  http: {identity_headers: [x-user], client_cert: {from_fleets: SANITIZE_SET}}\n  policy:",
)


def test_header_fields_that_a_sidecar_removes(tmp_path: Path) -> None:
    """What a fleet is not believed reaches no policy, in ask and matrix, and the answer says why."""
    subject = plant(tmp_path, BELIEVING, HEADERS_POLICY)
    headers = (("X-User", "root"), ("Connection", "close"))
    forged = ask(subject, Request(source="robots/1", destination="planner", headers=headers))
    assert not forged.decision.allowed
    assert forged.notes[:2] == (
        "header x-user is removed: mesh.http.identity_headers",
        "header connection is removed: it is about one hop alone",
    )
    assert ask(subject, Request(source="planner", destination="vision", headers=headers)).decision.rule == "root"
    matrix = build_matrix(subject)
    assert allowed(matrix, "robots", "planner") == []
    assert allowed(matrix, "planner", "vision") == ["any request when header x-user is root"]
    assert matrix.notes == ("header x-user is removed from what fleets and strangers send: mesh.http.identity_headers",)
    plain = plant(tmp_path, SCENARIO, HEADERS_POLICY)
    assert ask(plain, Request(source="robots/1", destination="planner", headers=headers)).decision.rule == "root"


def test_what_the_sidecar_says_of_the_certificate(tmp_path: Path) -> None:
    """X-Forwarded-Client-Cert is the sidecar's own word, not the caller's."""
    subject = plant(tmp_path, BELIEVING, HEADERS_POLICY)
    said = (("x-forwarded-client-cert", "URI=spiffe://plant.example/fleet/robots/0"),)
    assert ask(subject, Request(source="robots/0", destination="viewer")).decision.rule == "by-certificate"
    forged = ask(subject, Request(source="robots/1", destination="viewer", headers=said))
    assert not forged.decision.allowed
    assert forged.notes[0] == "header x-forwarded-client-cert is not taken as it is: mesh.http.client_cert.from_fleets"
    assert "its hash is not known" in forged.notes[1]


ADMITTED = """\
@id("by-field")
permit (principal, action, resource)
when { context.headers has "x-forwarded-client-cert" }
when { context.headers["x-forwarded-client-cert"] like "URI=spiffe://admin*" };
@id("by-user")
permit (principal, action, resource)
when { context.headers has "x-forwarded-user" && context.headers["x-forwarded-user"] == "root" };
"""


@pytest.mark.parametrize(
    ("mesh", "admitted"),
    [
        ("", {}),
        ("  preset: istio\n", {"planner": "by-field", "robots/0 as root": "by-user", "anyone as root": "by-user"}),
        (
            "  http: {client_cert: {from_fleets: ALWAYS_FORWARD_ONLY}}\n",
            {"robots/0": "by-field"},
        ),
    ],
)
def test_what_is_believed_by_default(tmp_path: Path, mesh: str, admitted: dict[str, str]) -> None:
    """Without a preset no forged field counts; with Istio's, those that its sidecars forward over mutual TLS."""
    admitted = {"planner as root": "by-user", **admitted}
    subject = plant(tmp_path, SCENARIO.replace("  policy:", mesh + "  policy:"), ADMITTED)
    found = {}
    for source in ("planner", "robots/0", "anyone"):
        for name, field in (
            (source, ("x-forwarded-client-cert", "URI=spiffe://admin")),
            (f"{source} as root", ("x-forwarded-user", "root")),
        ):
            decision = ask(subject, Request(source=source, destination="viewer", headers=(field,))).decision
            if decision.allowed:
                found[name] = decision.rule
    assert found == admitted


def test_claims_within_claims_and_both_addresses_are_dimensions(tmp_path: Path) -> None:
    """A claim within another is asked about where it is, and the client that is told beside the peer."""
    inner = '{when: [{key: "request.auth.claims[realm][roles]", values: [admin]}]}'
    words = allowed(build_matrix(shop(tmp_path / "claims", inner)), "front", "stock")
    assert [one.partition("claim realm")[2] for one in words] == ['.roles is "admin"']
    both = f'{inner}, {{when: [{{key: "request.auth.claims[realm]", values: [main]}}]}}'
    names = [one.name for one in build_matrix(shop(tmp_path / "both", both)).space.dimensions]
    assert {"claim realm", "claim realm.roles"} <= set(names)
    blocks = '{from: [{source: {ipBlocks: ["10.0.0.0/8"], remoteIpBlocks: ["192.0.2.0/24"]}}]}'
    matrix = build_matrix(shop(tmp_path / "blocks", blocks, ""))
    assert "header x-forwarded-for" in [one.name for one in matrix.space.dimensions]
    assert any("header x-forwarded-for is 192.0.2.0/24" in one for one in allowed(matrix, "front", "stock"))
    field = 'when: [{key: "request.headers[x-a]", values: [red]}]'
    peer = f'{{from: [{{source: {{ipBlocks: ["10.0.0.0/8"]}}}}], {field}}}'
    alone = build_matrix(shop(tmp_path / "peer", peer, ""))
    assert "header x-forwarded-for" not in [one.name for one in alone.space.dimensions]
