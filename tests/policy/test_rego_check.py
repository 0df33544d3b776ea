"""Mistakes in Rego modules: what is said of them, and where."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.policy.engine import PolicyFile
from meshsim.policy.rego import RegoEngine
from meshsim.policy.rego_builtins import ARITY, NOT_IN_ENGINE, REFUSED
from meshsim.policy.rego_cursor import MAX_NESTING
from meshsim.policy.rego_parser import parse
from meshsim.policy.rego_terms import MAX_OPERATORS
from meshsim.scenario.errors import Diagnostic, ScenarioError
from tests.policy.test_rego import DIRECTORY, QUESTION


def mistakes(*texts: str) -> list[Diagnostic]:
    """The diagnostics for modules, in files a.rego, b.rego and so on."""
    files = [PolicyFile(f"{chr(ord('a') + i)}.rego", text) for i, text in enumerate(texts)]
    try:
        RegoEngine.from_sources(files, DIRECTORY)
    except ScenarioError as error:
        return error.diagnostics
    return []


def told(rules: str) -> list[tuple[int, int, str]]:
    """Line, column and message of each mistake in the rules of a module whose package stands on line 1."""
    found = mistakes(f"package envoy.authz\n{rules}")
    return [(one.line, one.column, one.message) for one in found]


@pytest.mark.parametrize(
    ("rules", "line", "column", "said"),
    [
        ("allow if { input.meshsim.mutual", 2, 31, "the file ends here; expected a term"),
        ("allow if input.meshsim.mutual ==", 2, 32, "the file ends here; expected a term"),
        ("allow if {\n  input.meshsim.mutual ==\n}", 4, 1, "unexpected `}`; expected a term"),
        ("allow if { input.meshsim.mutual input.meshsim.slice }", 2, 33, "expected a new line, ';' or '}'"),
        ("allow if { }", 2, 10, "a body without conditions"),
        ("allow", 2, 5, "expected `if` and a condition, or `:=` and a value, behind `allow`"),
        ("allow if", 2, 8, "expected a term"),
        ("allow := true allow := false", 2, 15, "expected a new line before the next rule"),
        ("allow if true && false", 2, 15, "Rego has no '&&'; conditions that must all hold"),
        ("allow if true || false", 2, 15, "Rego has no '||'; conditions of which one must hold"),
        ("allow if input.meshsim.slice == 'control'", 2, 33, "strings stand between double quotes"),
        ('allow if input.meshsim.slice == "control', 2, 33, 'this string is never closed; end it with " on its line'),
        ('allow if input.meshsim.slice == "\\q"', 2, 33, "none of JSON's"),
        ('allow if $"{input.meshsim.slice}"', 2, 10, "write sprintf(...)"),
        ("allow if true // why", 2, 15, "comments start with #"),
        ("allow if not not true", 2, 14, "expected one 'not' alone"),
        ("default allow := false if true", 2, 1, "a default is a value without conditions"),
        ("default allow", 2, 1, "write `default allow := false`"),
        ("allow if true\nimport data.x", 3, 1, "write it above all rules"),
        ("import inptu.x\nallow if true", 2, 8, "did you mean `input`?"),
        ("import rego.v2\nallow if true", 2, 8, "there is no `rego.v2` to import; expected rego.v1"),
        ("allow if input.parsed_path [0]", 2, 28, "expected a new line"),
        ('"allow" := true', 2, 1, "expected a rule, which begins with its name"),
        ("allow if " + "(" * 70 + "true" + ")" * 70, 2, 75, f"nests deeper than {MAX_NESTING} levels"),
        ("allow if 1" + " + 1" * 300 + " == 1", 2, 812, f"more than {MAX_OPERATORS} operators in a row"),
    ],
)
def test_syntax(rules: str, line: int, column: int, said: str) -> None:
    """Each mistake of syntax is found at its token."""
    ((found_line, found_column, message), *_) = told(rules)
    assert (found_line, found_column) == (line, column), message
    assert said in message


@pytest.mark.parametrize(
    ("rules", "line", "column", "said"),
    [
        ("allow if alowed\nallowed := true", 2, 10, "`alowed` is not known here; did you mean `allowed`?"),
        ("allow if x == 1", 2, 10, "nothing gives it a value"),
        ("allow if not x", 2, 14, "nothing gives it a value"),
        ("allow if { not input.parsed_path[i] }", 2, 34, "`i` is not known here"),
        ("allow if { every p in input.parsed_path { p != q } }", 2, 48, "`q` is not known here"),
        ("allow if count([y | some y in input.parsed_path; y == z]) > 0", 2, 55, "`z` is not known here"),
        ('allow if { x == "a"; x := input.meshsim.slice }', 2, 12, "`x` has no value yet"),
        ('allow if { not x == "a"; x = input.meshsim.slice }', 2, 16, "`x` has no value yet"),
        ("allow if { x := x }", 2, 17, "`x` has no value yet"),
        ("allow if { x := 1; x := 2 }", 2, 20, "`x` has a value already"),
        ("allow if startwith(input.meshsim.slice, `c`)", 2, 10, "did you mean `startswith`?"),
        ("allow if startswith(input.meshsim.slice)", 2, 10, "`startswith` takes 2 arguments, not 1"),
        ("allow if startswith()", 2, 10, "`startswith` takes 2 arguments, not 0"),
        ("f(x) := x\nallow if f(1, 2, 3)", 3, 10, "`f` takes 1 argument, not 3"),
        ("p := 1\nallow if p(1)", 3, 10, "`p` is a rule and no function"),
        ("allow if data.lib.f(1)", 2, 10, "`data.lib.f` is defined by no file"),
        ("allow if http.send({})", 2, 10, "reaches out to the network"),
        ('allow if rand.intn("x", 5) == 1', 2, 10, "draws at random"),
        ("allow if opa.runtime().env.HOME", 2, 10, "tells of the machine"),
        ("allow if { print(input.meshsim.slice) }", 2, 12, "leave it out"),
        ('allow if yaml.unmarshal("a: 1").a == 1', 2, 10, "use json.unmarshal"),
        ('allow if net.cidr_expand("10.0.0.0/30")[_] == "a"', 2, 10, "is not in the engine"),
        ("allow if data.roles.admin", 2, 10, "no file defines `data.roles.admin`"),
        ("allow if data.envoy.authz.alow\nalso := true", 2, 10, "did you mean `data.envoy.authz.allow`?"),
        ("allow if p\np if q\nq if allow", 2, 1, "needs itself (allow -> p -> q -> allow)"),
        ("allow if f(1)\nf(x) := f(x)", 3, 1, "needs itself (f -> f)"),
        ("allow if count(data) > 1", 2, 1, "needs itself"),
        ("allow if input.attributes.request.http.metod", 2, 10, "did you mean 'method'?"),
        ("import input.attributes.request.http as h\nallow if h.metod", 3, 10, "did you mean 'method'?"),
        ("allow if input.mesh.slice", 2, 10, "did you mean 'meshsim'?"),
        ('allow if input.meshsim.slice == "contrl"', 2, 33, "unknown slice 'contrl'; did you mean 'control'?"),
        ('allow if input.meshsim.slice in {"control", "vidoe"}', 2, 45, "did you mean 'video'?"),
        ('import input.meshsim as m\nallow if "visoin" == m.source.service', 3, 10, "did you mean 'vision'?"),
        ('allow if input.meshsim.destination.node == "edge1"', 2, 44, "did you mean 'edge-1'?"),
        ('allow if input.attributes.source.principal == "vision"', 2, 47, "not the SPIFFE ID of a workload"),
        (
            'allow if input.attributes.source.principal == "spiffe://plant.example/ns/shop/sa/visoin"',
            *(2, 47, "did you mean 'spiffe://plant.example/ns/shop/sa/vision'?"),
        ),
        ("allow contains 1", 2, 1, "`allow` decides, and is a set here"),
        ("allow if input.meshsim.time_ns == " + "1" * 5000, 2, 35, "is too long a number"),
        ("allow if input.meshsim.time_ns < 1e999", 2, 34, "1e999 is too large a number; expected a finite one"),
        ("allow if input.meshsim.time_ns > 1.5e-310", 2, 34, "1.5e-310 is too small a number; expected 0, or one"),
        ("allow(x) := x", 2, 1, "`allow` decides, and is a function here"),
        ('allow := "yes"', 2, 10, "this is no decision"),
        ('allow := {"allowed": true, "dynamic_metadata": {}}', 2, 28, "'dynamic_metadata' is not simulated"),
        ("alow if true", 0, 0, "no file defines `data.envoy.authz.allow`, which decides; did you mean"),
    ],
)
def test_meaning(rules: str, line: int, column: int, said: str) -> None:
    """Each name, call or value that cannot be meant is found at its place."""
    found = [(one, other) for one, other, message in told(rules) if said in message]
    assert found == [(line, column)], told(rules)


@pytest.mark.parametrize(
    "rules",
    [
        "allow { input.meshsim.mutual }",
        "allow = true { input.meshsim.mutual } { input.meshsim.slice }",
        'allow if {\n  input.meshsim.slice ==\n    "control"\n}',
        'allow if { some i; input.parsed_path[i] == "plans"; i == 0 }',
        'allow if { input.parsed_path[i] == x; x = "plans"; i == 0 }'.replace("x; x = ", ""),
        "allow if { count(input.parsed_path, n); n == 3 }",
        'allow if { [_, x, _] = input.parsed_path; x == "7" }',
        'allow if { walk(input.meshsim, [path, value]); value == "control"; path[0] == "slice" }',
        'p[x] { x := input.parsed_path[_] }\nallow if p["plans"]',
        'p[k] := v if some k, v in input.parsed_query\nallow if p.fast[0] == "1"',
        "a.b.c := 1\nallow if a.b.c == 1",
        "f(1) := 2\nf(x) := x if x > 1\nallow if f(1) == f(2)",
        "default f(_) := 3\nallow if f(1) == 3",
        'allow if 1, "7" in input.parsed_path',
        'allow if {"a"} == {x | some x in ["a"]}',
        "x := 3\nallow if { some x in [4]; x == 4 }",
        'allow if { x := {"k": v | v := 3}\n[1, 2,][1] == 2 }',
        'allow if input.meshsim.mutual with input as {"meshsim": {"mutual": true}}',
        'allow if every k, v in {"a": 1} { k == "a"; v == 1 }',
        "import future.keywords.if\nimport future.keywords\nallow if true # why\n\n# end",
    ],
)
def test_rego_as_it_is_written(rules: str) -> None:
    """What is right in Rego, of this version and the one before, is accepted and does what it says."""
    asked = RegoEngine.from_sources([PolicyFile("a.rego", f"package envoy.authz\n\n{rules}\n")], DIRECTORY)
    assert asked.decide(QUESTION).allowed


def test_all_mistakes_are_told_at_once() -> None:
    """Mistakes of every sort in several files come together, in the order of their places."""
    first = "package envoy.authz\nallow if {\n  x = \n}\n\nallow if startwith(1)\n\np if y\n"
    second = "pakage lib\nf(x) := x\n"
    third = '{"a": 1,}'
    files = [PolicyFile("a.rego", first), PolicyFile("b.rego", second), PolicyFile("c.json", third)]
    with pytest.raises(ScenarioError) as raised:
        RegoEngine.from_sources(files, DIRECTORY)
    places = [(one.file, one.line) for one in raised.value.diagnostics]
    assert places == [("a.rego", 4), ("a.rego", 6), ("a.rego", 8), ("b.rego", 1), ("c.json", 1)]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (PolicyFile("a.rego", ""), "the file holds no policy"),
        (PolicyFile("a.rego", "# soon\n"), "the file holds no policy"),
        (PolicyFile("a.rego", "\ufeffpackage a"), "byte order mark"),
        (PolicyFile("a.rego", "allow := true"), "expected a package first"),
        (PolicyFile("a.rego", "package meshsim_shims\nx := 1"), "is the simulator's own"),
        (PolicyFile("a.json", "[1]"), "the data of policies is an object"),
        (PolicyFile("a.json", "{"), "this is no JSON"),
        (PolicyFile("a.json", '{"a": NaN}'), "NaN is no number in JSON"),
        (PolicyFile("a.json", '{"a": -1e999}'), "-1e999 is too large a number"),
        (PolicyFile("a.json", '{"a": -1e-310}'), "-1e-310 is too small a number"),
        (PolicyFile("a.json", '{"a": ' + "9" * 9000 + "}"), "too long a number"),
        (PolicyFile("a.json", '{"a": ' + "[" * 500 + "]" * 500 + "}"), "expected at most 500 levels"),
        (PolicyFile("a.json", '{"a": ' + "[" * 10**6), "expected at most 500 levels"),
        (PolicyFile("a.json", '{"a": "\\ud800"}'), "half of a surrogate pair"),
        (PolicyFile("a.json", '{"a": 1, "a": 2}'), "the key 'a' stands twice"),
    ],
)
def test_files_that_cannot_be_used(file: PolicyFile, said: str) -> None:
    """A file without policies, without a package, or of another kind is refused."""
    with pytest.raises(ScenarioError) as raised:
        RegoEngine.from_sources([file], DIRECTORY)
    assert any(said in one.message for one in raised.value.diagnostics)


@pytest.mark.parametrize("value", ["0", "0e999", "false", "null", '""', "[]", "{}", "2.3e-308"])
def test_data_may_be_false_or_empty(value: str) -> None:
    """A value that a data file has is there, whatever it is."""
    files = [PolicyFile("a.rego", f"package envoy.authz\nallow if data.a == {value}\n")]
    engine = RegoEngine.from_sources([*files, PolicyFile("a.json", f'{{"a": {value}}}')], DIRECTORY)
    assert engine.decide(QUESTION).allowed


def test_data_may_nest_as_deep_as_told() -> None:
    """Data of the greatest depth that is allowed are read, on every version of Python."""
    policies = PolicyFile("a.rego", "package envoy.authz\nallow if data.a\n")
    data = PolicyFile("a.json", '{"a": ' + "[" * 499 + "]" * 499 + "}")
    assert RegoEngine.from_sources([policies, data], DIRECTORY).decide(QUESTION).allowed


def test_diagnostics_show_the_path_and_rules_the_name() -> None:
    """A diagnostic names the file as the user can open it."""
    with pytest.raises(ScenarioError, match=r"^scenarios/a\.rego:2:7: "):
        RegoEngine.from_sources([PolicyFile("a.rego", "package x\nallow { ", "scenarios/a.rego")], DIRECTORY)


def test_functions_are_those_of_the_engine() -> None:
    """Every function that is let through is in the engine, but for one that is mended, and none that is refused is."""
    import regopy

    has = regopy.Interpreter().is_builtin
    assert {name for name in ARITY if not has(name)} == {"net.cidr_contains"}
    assert not ARITY.keys() & (REFUSED.keys() | NOT_IN_ENGINE)
    assert not any(has(name) for name in NOT_IN_ENGINE)


WORDS = (
    *(
        "allow",
        "p",
        "x",
        "_",
        "input",
        "input.meshsim.slice",
        "data",
        "if",
        "else",
        "not",
        "some",
        "every",
        "in",
        "with",
    ),
    *(
        "as",
        "default",
        "contains",
        "true",
        "null",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        ";",
        "\n",
        ",",
        ":",
        "|",
        "=",
        ":=",
        "==",
    ),
    *(
        "<",
        "+",
        "-",
        "%",
        "&",
        ".",
        "1",
        "2.5",
        '"a"',
        '"b\\""',
        "`r`",
        "[1, 2]",
        '{"a": 1}',
        "[x | x := 1]",
        "count(x)",
    ),
    *("\n\n", "import", "package", '"', "#", "\u00e9", "\x00", "$"),
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS), max_size=25),
    st.sampled_from(["", "package envoy.authz\n", "package a\nallow if "]),
)
def test_any_soup_of_words_is_told_or_taken(words: list[str], begin: str) -> None:
    """Whatever a file holds, it is read or its mistakes are told, each with a place inside the file."""
    text = begin + " ".join(words)
    lines = text.split("\n")
    for mistake in parse(PolicyFile("a.rego", text))[1]:
        assert mistake.line <= len(lines)
        assert mistake.column <= len(lines[mistake.line - 1]) + 1
    with suppress(ScenarioError):
        RegoEngine.from_sources([PolicyFile("a.rego", text)], DIRECTORY).decide(QUESTION)


@pytest.mark.parametrize("number", ["1e300", "1e22", "-1e-7", "1.25e30"])
def test_numbers_with_powers_in_data(number: str) -> None:
    """Numbers that Python writes with a power are what they are, beside texts that look like them."""
    rego = f'package envoy.authz\nallow if {{ data.a.n == {number}; data.a.t == "1e22" }}'
    files = [PolicyFile("a.rego", rego), PolicyFile("d.json", f'{{"a": {{"n": {number}, "t": "1e22"}}}}')]
    assert RegoEngine.from_sources(files, DIRECTORY).decide(QUESTION).allowed


def test_mistakes_in_data_have_places() -> None:
    """A key that stands twice and a number that is none are told where they stand."""
    for text, place in (
        ('{"a": 1,\n "b": 2,\n  "a": 3}', (3, 3)),
        ('{"a":\n [1, Infinity]}', (2, 6)),
        ("{\n a}", (2, 2)),
    ):
        with pytest.raises(ScenarioError) as raised:
            RegoEngine.from_sources([PolicyFile("a.json", text)], DIRECTORY)
        assert place in [(one.line, one.column) for one in raised.value.diagnostics if one.file == "a.json"]


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=30)
    | st.text('{}[]:,"\\u0d8a1e9.-NaN \n', max_size=30)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abx"), inner, max_size=3),
        max_leaves=8,
    ).map(lambda value: json.dumps({"a": value}))
)
def test_any_data_is_told_or_taken(text: str) -> None:
    """Whatever a data file holds, policies are decided with it, or its mistakes are told in that file."""
    files = [PolicyFile("a.rego", "package envoy.authz\nallow if data.a.b == 1"), PolicyFile("d.json", text)]
    mistakes = []
    try:
        RegoEngine.from_sources(files, DIRECTORY).decide(QUESTION)
    except ScenarioError as error:
        mistakes = error.diagnostics
    assert all(one.file == "d.json" or "no file defines" in one.message for one in mistakes)
    assert all(one.line > 0 for one in mistakes)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_told_or_taken(text: str) -> None:
    """Whatever text a file holds, it is read or its mistakes are told."""
    with suppress(ScenarioError):
        RegoEngine.from_sources([PolicyFile("a.rego", "package envoy.authz\n" + text)], DIRECTORY).decide(QUESTION)
