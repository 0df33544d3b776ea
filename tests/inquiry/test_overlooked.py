"""Requests that comparisons once overlooked: each is decided differently, so a flip of its caller has to say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshsim.commands.matrices import narrowed
from meshsim.inquiry.ask import ask
from meshsim.inquiry.callers import callers_of
from meshsim.inquiry.constants import merged
from meshsim.inquiry.matrix import Comparison, _constants, compare
from meshsim.inquiry.names import find_caller
from meshsim.inquiry.present import comparison_document
from meshsim.inquiry.presented import by_its_engine
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject, subject_of_scenario, with_engine
from meshsim.policy.engine import PolicyFile
from meshsim.scenario.errors import UsageError
from tests.inquiry.test_exact import KEYS, SCENARIO, _asked

OBJECT = "{{apiVersion: security.istio.io/v1, kind: {}, metadata: {{name: p, namespace: bar}}, spec: {}}}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A service ``a`` in plaintext, and a service ``b`` with two ports of HTTP."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "p.yaml").write_text(policy("ALLOW", "{}"), encoding="utf-8")
    text = SCENARIO.replace("MODE", "BASE").replace("9000: {protocol: tcp}", "9000: {protocol: http}")
    file = folder / "shop.yaml"
    file.write_text(text.replace("service_account: a}", "service_account: a, tls: {mode: DISABLE}}"), encoding="utf-8")
    return subject_of_scenario(file)


def policy(action: str, rule: str) -> str:
    """A policy for ``b``."""
    return OBJECT.format("AuthorizationPolicy", f"{{action: {action}, rules: [{rule}]}}")


def when(key: str, value: str) -> str:
    """A rule with one condition."""
    return f'{{when: [{{key: "{key}", values: ["{value}"]}}]}}'


def tokens(issuer: str = "i", more: str = "") -> str:
    """A RequestAuthentication for ``b``."""
    return OBJECT.format("RequestAuthentication", f"{{jwtRules: [{{issuer: {issuer}, jwks: '{KEYS}'{more}}}]}}")


def other(shop: Subject, *objects: str) -> Subject:
    """The shop with other policies."""
    file = PolicyFile("x.yaml", "\n---\n".join(objects), "x.yaml")
    assert shop.rebuild is not None
    return by_its_engine(with_engine(shop, "x", shop.rebuild([file]), [file]))


def flips(comparison: Comparison, caller: str) -> set[tuple[int, bool]]:
    """The flips of a caller at ``b``, by its SPIFFE ID."""
    assert not comparison.space.approximate
    mine = (flip for flip in comparison.flips if flip.caller.spiffe_id == caller and flip.callee.name == "b")
    return {(flip.port, flip.now_allowed) for flip in mine}


IN_MESH = "spiffe://mesh.example/ns/bar/sa/b"
GROUPS = policy("ALLOW", when("request.auth.claims[groups]", "admin"))
AUDIENCES = ", audiences: [shop]"
CLAIMS = {"iss": "i", "sub": "s"}
WORDS = ", spaceDelimitedClaims: [groups]"
NOBODY_IN = policy("DENY", when("source.ip", "::1"))
SNI = [policy("DENY", when("connection.sni", value)) for value in ("x", "outbound_.9000*")]


@pytest.mark.parametrize(
    ("before", "after", "asked"),
    [
        # of this field one word is left, which the end of the pattern alone does not show
        (
            [policy("DENY", when("request.headers[te]", "none"))],
            [policy("DENY", when("request.headers[te]", "trail*"))],
            {"headers": (("te", "trailers"),)},
        ),
        # one side takes the text for a list of words
        ([tokens(), GROUPS], [tokens(more=WORDS), GROUPS], {"claims": {**CLAIMS, "groups": "x admin"}}),
        # the audience is accepted with a slash behind it, too
        (
            [tokens(more=AUDIENCES), policy("DENY", when("request.auth.audiences", "shop"))],
            [tokens(more=AUDIENCES), policy("DENY", when("request.auth.audiences", "shop*"))],
            {"claims": {**CLAIMS, "aud": "shop/"}},
        ),
        # an issuer that is called as unknown ones are in what is shown
        ([NOBODY_IN], [tokens("other"), NOBODY_IN], {"claims": {**CLAIMS, "iss": "q"}}),
        # the name that is asked for in the handshake holds the port
        (SNI[:1], SNI[1:], {"port": 9000}),
    ],
    ids=["te", "words", "audience", "issuer", "sni"],
)
def test_requests_that_were_overlooked(
    shop: Subject, before: list[str], after: list[str], asked: dict[str, Any]
) -> None:
    """What is asked about is decided differently, and the comparison lists a flip of its caller at its port."""
    sides = other(shop, *before), other(shop, *after)
    request = Request(source=IN_MESH, destination="b", **asked)
    first, second = (ask(side, request).decision.allowed for side in sides)
    assert first != second
    assert (request.port or 8080, second) in flips(compare(*sides), IN_MESH)


@pytest.mark.parametrize(
    ("one", "two", "source"),
    [
        # the only workload of the namespace speaks plaintext; another one of it need not
        ('namespaces: ["bar"]', 'namespaces: ["bar", "foo"]', "spiffe://mesh.example/ns/foo/sa/"),
        # identities need not be those of service accounts
        ('principals: ["nobody"]', 'principals: ["mesh.example/spire/*"]', "spiffe://mesh.example/spire/"),
        ('namespaces: ["*"]', 'principals: ["*"]', "spiffe://mesh.example/"),
    ],
    ids=["plaintext", "spire", "no-account"],
)
def test_callers_that_were_overlooked(shop: Subject, one: str, two: str, source: str) -> None:
    """Somebody stands for every identity that policies tell apart, and whom TLS takes otherwise than its workload."""
    sides = [other(shop, policy("ALLOW", f"{{from: [{{source: {{{each}}}}}]}}")) for each in (one, two)]
    found = {flip.caller.spiffe_id for flip in compare(sides[0], sides[1]).flips if flip.now_allowed}
    (asked,) = sorted(each for each in found if each.startswith(source) and not each.endswith("/ns/foo/sa/a"))[:1]
    assert [ask(side, Request(source=asked, destination="b")).decision.allowed for side in sides] == [False, True]


def test_a_token_is_at_one_place_for_both_sides(shop: Subject) -> None:
    """A token is asked about at the same place on both sides, so that each witness flips when it is asked about."""
    key = f"jwks: '{KEYS}'"
    rules = f"{{issuer: i, {key}}}, {{issuer: j, {key}, fromHeaders: [{{name: x-a}}]}}", f"{{issuer: i, {key}}}"
    groups = policy("DENY", when("request.auth.claims[groups]", "admin"))
    sides = [other(shop, OBJECT.format("RequestAuthentication", f"{{jwtRules: [{one}]}}"), groups) for one in rules]
    found = compare(sides[0], sides[1]).flips
    assert {flip.witness.claims for flip in found if flip.caller.spiffe_id == IN_MESH}
    for flip in found:
        decided = [ask(side, _asked(flip.ask)).decision.allowed for side in sides]
        assert decided == [not flip.now_allowed, flip.now_allowed], flip.ask


def test_callers_that_are_asked_for_have_a_row(shop: Subject) -> None:
    """A comparison for one caller alone asks about it, though policies cannot tell it from another one."""
    sides = other(shop, policy("DENY", when("source.ip", "::1"))), other(shop, policy("DENY", "{}"))
    for name in ("cars/1", "spiffe://mesh.example/ns/x/sa/y"):
        comparison = compare(*sides, narrowed(sides[0], name, "b"))
        assert (8080, False) in flips(comparison, find_caller(sides[0], name).spiffe_id)


def test_paths_that_a_mesh_without_policies_does_not_refuse(tmp_path: Path, shop: Subject) -> None:
    """Paths that policies have refused are no flips against a mesh without any: that is said, and callers counted."""
    text = SCENARIO[: SCENARIO.index("  policy:")] + SCENARIO[SCENARIO.index("traffic:") :]
    (tmp_path / "shop.yaml").write_text(text, encoding="utf-8")
    bare = subject_of_scenario(tmp_path / "shop.yaml")
    for sides in ((bare, shop), (shop, bare)):
        comparison = compare(*sides)
        assert any(note.startswith("refused-path") for note in comparison.notes)
        (left_out,) = comparison_document(comparison)["left_out"]
        assert left_out["rule"] == "refused-path"
        rows = [each.spiffe_id or "anyone" for each in callers_of(sides, merged([_constants(one) for one in sides]))]
        requests = [Request(source=row, destination=each, path="/%00") for row in rows for each in "ab"]
        decided = [[ask(side, one).decision.allowed for side in sides] for one in requests]
        assert left_out["pairs"] == sum(one != other for one, other in decided) > 0
    assert compare(bare, bare).left_out == compare(shop, shop).left_out == ()
    denied = other(shop, policy("DENY", "{}").replace("bar", "istio-system"))
    assert {flip.callee.name for flip in compare(bare, denied).flips} == {"a", "b"}


@pytest.mark.parametrize(
    "told",
    [{"tls_version": "1.3"}, {"group": "X25519"}, {"cipher": "TLS_AES_128_GCM_SHA256"}, {"certificate_age_s": 5}],
)
def test_nothing_of_tls_is_asked_about_plaintext(shop: Subject, told: dict[str, Any]) -> None:
    """What only a handshake comes to is an error where a caller speaks plaintext: always, by settings, or told so."""
    for more in ({"source": "anyone"}, {"source": "a"}, {"source": "b", "plaintext": True}):
        with pytest.raises(UsageError, match="speaks plaintext to b:8080, so there is no TLS to speak of"):
            ask(shop, Request(destination="b", **more, **told))
    ask(shop, Request(source="b", destination="b", **told))
