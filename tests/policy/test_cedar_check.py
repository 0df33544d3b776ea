"""Mistakes in Cedar policies: what is said of them, and where."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.policy.cedar import CedarEngine
from meshsim.policy.cedar_text import MAX_NESTING, MAX_POLICY_TOKENS, split
from meshsim.policy.engine import Directory, PolicyFile
from meshsim.scenario.errors import Diagnostic, ScenarioError

DIRECTORY = Directory(
    services=frozenset({"vision", "planner"}),
    fleets=frozenset({"cars"}),
    slices=frozenset({"control"}),
    sites=frozenset({"plant"}),
    trust_domains=frozenset({"plant.example"}),
    workloads={"spiffe://plant.example/sa/vision": "vision"},
)


def mistakes(text: str, *more: str) -> list[Diagnostic]:
    """The diagnostics for policy texts, in files a.cedar, b.cedar and so on."""
    files = [PolicyFile(f"{chr(ord('a') + i)}.cedar", t) for i, t in enumerate((text, *more))]
    try:
        CedarEngine.from_sources(files, DIRECTORY, "deny")
    except ScenarioError as error:
        return error.diagnostics
    return []


SCOPE = "permit (principal, action, resource)"


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("permt (principal, action, resource);", 1, 1, "did you mean `permit`?"),
        ("\n  permit (principal action, resource);", 2, 21, "unexpected `action`"),
        ("permit (principal, action, resoruce);", 1, 28, "did you mean `resource`?"),
        (f"{SCOPE} whn {{ true }};", 1, 38, "did you mean `when`?"),
        (f"{SCOPE} when {{ context.path == }};", 1, 61, "unexpected `}`"),
        (f"{SCOPE} when {{ true\n}}\n\n{SCOPE};", 2, 1, 'this policy has no end; end it with ";" here'),
        (f"{SCOPE}\n{SCOPE.replace('permit', 'forbid')};", 1, 36, 'this policy has no end; end it with ";" here'),
        (f'{SCOPE}\n@id("b")\n{SCOPE};', 1, 36, 'this policy has no end; end it with ";" here'),
        (f'{SCOPE} when {{\n  context.path = "/a" }};', 2, 16, "`context.path =`: '=' is not a valid operator"),
        (f"{SCOPE};;", 1, 38, "unexpected `;`"),
        (f"{SCOPE} when {{ contxt.mutual }};", 1, 45, "did you mean `context`?"),
        (f'{SCOPE} when {{ context.path.startsWith("/a") }};', 1, 58, "`startsWith` is not a valid method"),
        (f'{SCOPE} when {{ context.path like "\\q" }};', 1, 63, "not a valid escape"),
        (f"{SCOPE} when {{ context.path == 'a' }};", 1, 61, "double quotes"),
        (f'{SCOPE} when {{ context.path == "a }};', 1, 61, "never closed"),
        (f"{SCOPE}", 1, 36, 'end it with ";"'),
        (f"{SCOPE} # why", 1, 38, "comments start with //"),
        (f"\ufeff{SCOPE};", 1, 1, "byte order mark"),
        ("permit (principal == ?principal, action, resource);", 1, 22, "template"),
        (f'@id("a") @id("b") {SCOPE};', 1, 1, "duplicate annotation"),
        (
            f"{SCOPE}\nwhen {{ context.port == 80 ||\n context.port == {10**20} }};",
            3,
            18,
            "is too large a number; expected",
        ),
    ],
)
def test_syntax(text: str, line: int, column: int, said: str) -> None:
    """Each mistake of syntax is found at its token."""
    (found,) = mistakes(text)
    assert (found.file, found.line, found.column) == ("a.cedar", line, column)
    assert said in found.message


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        (f'{SCOPE}\nwhen {{ context.paht like "/a" }};', 2, 16, "did you mean `path`?"),
        ('permit (principal, action == Action::"GTE", resource);', 1, 38, 'unrecognized action `Action::"GTE"`'),
        ('permit (principal, action in Action::"raed", resource);', 1, 38, "did you mean `read`?"),
        ("permit (principal is Wrkload, action, resource);", 1, 22, "did you mean `Workload`?"),
        (f'{SCOPE} when {{ principal.name == "a" }};', 1, 55, "say `principal is Workload` first"),
        (f'@id("x")\n{SCOPE} when {{ context.slice == "control" }};', 2, 45, 'write Slice::"control"'),
        (f'{SCOPE} when {{ context.mutual == "yes" }};', 1, 45, "the types Bool and String are not compatible"),
        (f"{SCOPE} when {{\n  context.path > 3 }};", 2, 3, "`context.path` is a String; expected a Long here"),
        (f"{SCOPE} when {{ context.mutual &&\n  context.path }};", 2, 3, "expected a Bool here"),
        (f"{SCOPE} when {{ (3 + 4)\n > context.path }};", 2, 4, "expected a Long here"),
        ('permit (principal, action == Action::"read", resource);', 1, 27, 'write `action in Action::"read"`'),
        ('permit (principal == Service::"vision", action, resource);', 1, 19, 'principal in Service::"vision"'),
        (f'{SCOPE} when {{ principal != Fleet::"cars" }};', 1, 55, 'write `!(principal in Fleet::"cars")`'),
        ('permit (principal, action == Action::"get", resource);', 1, 38, "did you mean `GET`?"),
        ('permit (principal, action, resource == Slice::"control");', 1, 1, "no request can match this scope"),
        (f'{SCOPE} when {{ ip("1.2.3") == ip("10.0.0.1") }};', 1, 48, "failed to parse as IP address"),
    ],
)
def test_types(text: str, line: int, column: int, said: str) -> None:
    """Each mistake against the schema is found at the word it is about, or at its policy."""
    (found,) = mistakes(text)
    assert (found.line, found.column) == (line, column)
    assert said in found.message


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ('principal in Service::"visoin"', "unknown service 'visoin'; did you mean 'vision'?"),
        ('principal in Fleet::"trucks"', "unknown fleet 'trucks'; the scenario has cars"),
        ('context.slice == Slice::"contrl"', "unknown slice 'contrl'; did you mean 'control'?"),
        ('context.site == Site::"plnt"', "unknown site 'plnt'; did you mean 'plant'?"),
        ('principal in TrustDomain::"plant.exmple"', "did you mean 'plant.example'?"),
        ('principal == Workload::"vision"', "not the SPIFFE ID of a workload"),
        ('principal == Workload::"spiffe://plant.example"', "not the SPIFFE ID of a workload"),
        (
            'principal == Workload::"spiffe://plant.example/sa/visoin"',
            "did you mean 'spiffe://plant.example/sa/vision'",
        ),
    ],
)
def test_names(condition: str, said: str) -> None:
    """A name that the scenario does not have is found where it stands."""
    (found,) = mistakes(f"{SCOPE}\nwhen {{ {condition} }};")
    assert (found.line, found.column) == (2, 8 + condition.index('"'))
    assert said in found.message


def test_names_from_elsewhere_are_allowed() -> None:
    """An identity of another trust domain need not be in the directory."""
    assert mistakes('permit (principal == Workload::"spiffe://city.example/sa/x", action, resource);') == []


def test_a_scenario_without_the_noun_says_so() -> None:
    """The hint does not list names when there are none."""
    with pytest.raises(ScenarioError, match="the scenario has no service"):
        CedarEngine.from_sources(
            [PolicyFile("a.cedar", 'permit (principal, action, resource == Service::"x");')], Directory()
        )


@pytest.mark.parametrize(
    ("texts", "file", "said"),
    [
        ((f'@id("a") {SCOPE};', f'@id("a") {SCOPE};'), "b.cedar", "'a' is the @id of an earlier policy"),
        ((f'@id("default-deny") {SCOPE};',), "a.cedar", "names the default decision"),
        ((f'@id("") {SCOPE};',), "a.cedar", "this @id is empty"),
        ((f"@id {SCOPE};",), "a.cedar", "this @id is empty"),
        ((f"{SCOPE};", f'@id("a.cedar#1") {SCOPE};'), "b.cedar", "'a.cedar#1' is the @id of an earlier policy"),
    ],
)
def test_rule_names(texts: tuple[str, ...], file: str, said: str) -> None:
    """Rule names are unique across the files, not empty, and not those of the defaults."""
    (found,) = mistakes(*texts)
    assert found.file == file
    assert said in found.message


@pytest.mark.parametrize("text", ["", "\n// soon\n"])
def test_a_file_without_policies_is_refused(text: str) -> None:
    """A file that says nothing would deny all by leaving no trace of why."""
    assert [(one.file, one.line) for one in mistakes(f"{SCOPE};", text)] == [("b.cedar", 0)]


def test_every_operand_that_does_not_fit_is_told() -> None:
    """Two misfits of one sort in one policy have two places."""
    found = mistakes(f"{SCOPE} when {{\n context.path > 3 &&\n 4 < context.method }};")
    assert [(one.line, one.column) for one in found] == [(2, 2), (3, 6)]


def test_all_mistakes_are_told_at_once() -> None:
    """Mistakes of every sort in several files come together, in the order of their places."""
    first = f'permt (principal, action, resource);\n{SCOPE} when {{ context.paht == "/" }};'
    second = 'permit (principal, action, resource == Service::"x");\npermit (principal action);'
    places = [(d.file, d.line) for d in mistakes(first, second)]
    assert places == [("a.cedar", 1), ("a.cedar", 2), ("b.cedar", 1), ("b.cedar", 2)]


def test_diagnostics_show_the_path_and_rules_the_name() -> None:
    """A diagnostic names the file as the user can open it."""
    with pytest.raises(ScenarioError, match=r"^scenarios/a\.cedar:1:1: "):
        CedarEngine.from_sources(
            [PolicyFile("a.cedar", "permt (principal, action, resource);", "scenarios/a.cedar")], DIRECTORY, "deny"
        )


def test_columns_count_characters() -> None:
    """A column counts characters, not bytes, and comments and strings do not confuse the places."""
    (found,) = mistakes('// permit (";\n@id("é;//")  permit (principal, action, resoruce);')
    assert (found.line, found.column) == (2, 41)


@pytest.mark.parametrize("depth", [MAX_NESTING + 1, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("(", ")"), ("[", "]"), ("if ", " then true else true")])
def test_deep_nesting_is_refused(depth: int, opening: str, closing: str) -> None:
    """Nesting that would overflow the engine's stack never reaches it."""
    (found,) = mistakes(f"{SCOPE} when {{ {opening * depth}true{closing * depth} }};")
    assert "nests deeper" in found.message


def test_nesting_up_to_the_limit_is_accepted() -> None:
    """The limit itself is allowed."""
    depth = MAX_NESTING - 1
    assert mistakes(f"{SCOPE} when {{ {'(' * depth}true{')' * depth} }};") == []


def test_long_policies_are_refused() -> None:
    """A chain that the engine would give up on is refused; one of allowed length is accepted."""
    (found,) = mistakes(f"{SCOPE} when {{ {' && '.join(['context.mutual'] * 1000)} }};")
    assert f"more than {MAX_POLICY_TOKENS}" in found.message
    assert mistakes(f"{SCOPE} when {{ {' && '.join(['context.mutual'] * 450)} }};") == []


def test_huge_files_are_refused() -> None:
    """A file past the size limit is refused as a whole."""
    (found,) = mistakes(" " * 10_000_001)
    assert (found.line, found.message[:27]) == (0, "the policy file has 1000000")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                *("@", "(", ")", "{", "}", "[", "]", ";", ",", ".", "<", ">", "=", "+", "-", "*", "!", ":", '"', "\\"),
                *(
                    "//",
                    "\n",
                    " ",
                    "permit",
                    "forbid",
                    "principal",
                    "action",
                    "resource",
                    "context",
                    "when",
                    "if",
                    "then",
                ),
                *("else", "id", '"x"', "::", "Service", "Slice", "==", "in", "is", "like", "7", "é", "\0"),
            ]
        ),
        max_size=40,
    )
)
def test_no_text_breaks_the_check(words: list[str]) -> None:
    """Whatever a file holds, it is accepted or gets diagnostics inside the file."""
    text = "".join(words)
    lines = text.split("\n")
    for found in mistakes(text):
        if "no policy" in found.message:
            continue
        assert 1 <= found.line <= len(lines)
        assert 1 <= found.column <= len(lines[found.line - 1])
        assert found.message


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_taken_or_told(text: str) -> None:
    """Whatever text a file or a condition holds, it is taken or its mistakes are told."""
    for written in (text, f"{SCOPE} when {{ {text} }};", f'{SCOPE} when {{ context.path == "{text}" }};'):
        assert all(found.message for found in mistakes(written))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 11), st.sampled_from(["]", "::", "permit", "7", "&&"]))
def test_a_stray_token_is_found_where_it_stands(place: int, stray: str) -> None:
    """A token that cannot stand where it was put is the one that is pointed at, or the next."""
    tokens = ["permit", "(", "principal", ",", "action", ",", "resource", ")", "when", "{", "true", "}", ";"]
    text = " ".join([*tokens[:place], stray, *tokens[place:]])
    column = len(" ".join(tokens[:place])) + (2 if place else 1)
    (found,) = mistakes(text)
    assert column <= found.column <= column + len(stray) + 1


def test_policies_are_cut_at_semicolons_outside_strings_and_comments() -> None:
    """A semicolon in a string or a comment ends nothing."""
    text = f'{SCOPE} when {{ context.path == ";" }}; // one; two\n{SCOPE};'
    policies, wrong = split(PolicyFile("a.cedar", text))
    assert [p.number for p in policies] == [1, 2]
    assert wrong == []
