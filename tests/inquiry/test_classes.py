"""Classes of what one attribute can be."""

from __future__ import annotations

import pytest

from meshsim.inquiry.claim_classes import claims
from meshsim.inquiry.classes import addresses, forwarded_for, headers, listed, numbers, texts
from meshsim.inquiry.constants import ANY_CASE_HOST, Constants, constants_of, merged
from meshsim.inquiry.patterns import OTHER, exactly, prefix
from meshsim.policy.engine import PolicyFile


def read(condition: str) -> Constants:
    """The constants of an Istio policy with one condition."""
    spec = f"spec: {{rules: [{{when: [{condition}]}}]}}"
    text = f"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: a}}\n{spec}\n"
    return constants_of("istio", [PolicyFile("a.yaml", text)])


def test_several_fields_of_one_name() -> None:
    """Any of several fields may match an Istio policy, so those that match two values together are a class."""
    found = headers("header x-a", read('{key: "request.headers[x-a]", values: [red, "b*"]}'), set())
    assert [(one.shown, one.witness) for one in found.values] == [
        ("missing", None),
        ("b*", "b"),
        ("red", "red"),
        ("any other", ""),
        ("b* beside red", ("b", "red")),
    ]
    assert found.values[-1].matched == ("b*", "red")


def test_fields_that_are_one_text_to_the_other_side() -> None:
    """Cedar sees several fields as one text: not all such texts are tried, and that is said."""
    istio = read('{key: "request.headers[x-a]", values: [red]}')
    cedar = PolicyFile("a.cedar", 'permit (principal, action, resource) when { context.headers["x-a"] == "blue" };')
    approximate: set[str] = set()
    headers("header x-a", merged([istio, constants_of("cedar", [cedar])]), approximate)
    assert len(approximate) == 1


def test_claims_that_match_two_values() -> None:
    """A text can match a beginning and an end, a list what its texts match; an empty text is as good as none."""
    found = read('{key: "request.auth.claims[groups]", values: ["ab*", "*bc", "*"]}')
    values = [one.witness for one in claims(("groups",), found, set()).values]
    assert values == [None, "ab", "abc", "bc", "d"]  # a list of ab and bc matches what abc does


def test_a_claim_that_has_spaces_can_be_in_a_list() -> None:
    """Text of several words may be taken for a list of them: the text as a whole has to stand in one."""
    found = read('{key: "request.auth.claims[scope]", values: ["read write"]}')
    assert ["read write"] in [one.witness for one in claims(("scope",), found, set()).values]


def test_parts_of_the_day_before_and_after_an_instant() -> None:
    """A part of the day comes again after an instant, and there both hold."""
    day = '{key: meshsim.time, values: ["08:00-18:00"]}'
    instant = '{key: meshsim.time, values: [">= 1970-03-01T12:00:00Z"]}'
    values = [one.witness for one in numbers("time_s", 0, read(f"{day}, {instant}")).values]
    bound = 59 * 86_400 + 43_200
    kinds = {(8 * 3600 <= one % 86_400 < 18 * 3600, one >= bound) for one in values}
    assert kinds == {(True, True), (True, False), (False, True), (False, False)}


def test_names_that_are_matched_in_part() -> None:
    """Of the names that there are, those that a beginning or an end fits are told from the rest."""
    constants = read('{key: meshsim.slice, values: ["vi*", "*l"]}')
    found = listed("slice", ["control", "video", "voice", "spare"], constants)
    assert [one.shown for one in found.values] == ["control", "video", "any other"]
    assert not constants.approximate


def test_what_a_connection_can_be() -> None:
    """TLS versions, suites and groups are those that there are."""
    found = texts("tls_version", read('{key: meshsim.tls.version, values: ["1.*", "9"]}'), set())
    assert [(one.shown, one.witness) for one in found.values] == [("1.*", "1.2")]


def test_hosts_in_any_case() -> None:
    """Where one clause looks at the case of letters and another does not, texts that differ in it are told apart."""
    constants = Constants()
    constants.add_text([ANY_CASE_HOST], [exactly("ab")])
    assert [one.witness for one in texts("host", constants, set()).values] == ["ab", "other.example"]
    constants.add_text(["host"], [prefix("A")])
    found = {one.matched: one.witness for one in texts("host", constants, set()).values}
    assert found[("A*", "ab in any case")] == "AB"
    assert found[("ab in any case",)] == "aB"


@pytest.mark.parametrize("keys", [("source.ip",), ("remote.ip",), ("source.ip", "remote.ip")])
def test_the_client_and_the_peer(keys: tuple[str, ...]) -> None:
    """The client that a header field tells is another than the peer, where policies look at both."""
    constants = read(", ".join(f"{{key: {key}, values: [10.0.0.0/8]}}" for key in keys))
    assert (constants.peer_addresses and constants.told_addresses) is (len(keys) == 2)
    assert next(iter(forwarded_for(constants, set()).values)).witness is None


def test_addresses_of_both_versions() -> None:
    """Blocks of IPv6 have addresses, too."""
    constants = read('{key: source.ip, values: ["::1", "10.0.0.0/8", "0.0.0.0/0"]}')
    assert {one.shown for one in addresses(constants)} == {"10.0.0.0/8", "0.0.0.0/0", "::1/128", "any other"}


def test_path_and_query_together() -> None:
    """A pattern of both is told by what the path and what the query match, wherever the one ends."""
    constants = read('{key: "request.headers[:path]", values: ["/a?x*"]}')
    assert exactly("/a") in constants.texts["path"]
    assert {exactly(""), prefix("x")} <= constants.texts["query"]
    assert not constants.approximate


def test_numbers_on_both_sides_of_a_bound_and_days_around_it() -> None:
    """Each bound is tried, one less and one more, none below zero; parts of the day on the days around each."""
    constants = Constants()
    constants.add_numbers(["certificate_age_s"], [0, 90])
    assert [one.witness for one in numbers("certificate_age_s", 40, constants).values] == [0, 1, 40, 89, 90, 91]
    constants = Constants()
    constants.add_numbers(["time_s"], [5 * 86_400 + 5])
    constants.day_times = {100}
    found = {one.witness for one in numbers("time_s", 7, constants).values}
    assert found == {
        7,
        *(day * 86_400 + 100 + near for day in (0, 1, 4, 5, 6) for near in (-1, 0, 1)),
        432_004,
        432_005,
        432_006,
    }


def test_a_client_that_is_told_from_no_block_matches_none() -> None:
    """Of addresses in x-forwarded-for that no policy names none is said to match anything."""
    found = forwarded_for(read('{key: remote.ip, values: ["10.0.0.0/8"]}'), set())
    assert [one.matched for one in found.values if one.witness and one.shown == OTHER] == [()]
    assert {one.shown: one.matched for one in found.values}["10.0.0.0/8"] == ("10.0.0.0/8",)
