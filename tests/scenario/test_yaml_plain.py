"""What is read as plain YAML is what the library's events say, each value and each place; all else is left to it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.bench.scale import scenario_text
from meshsim.scenario import yaml_plain
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.yaml_patterns import MAX_DEPTH
from meshsim.scenario.yaml_plain import read_plain, read_plain_documents
from meshsim.scenario.yaml_text import parse_documents, parse_yaml, read_events

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(
    path
    for folder in ("scenarios", "scenarios/studies", "docs", "meshsim/scenario/data", "meshsim/bench/data")
    for path in (ROOT / folder).glob("*.yaml")
)
WORDS = ["a", "b c", "10 ms", "-1.5", "0x1F", "~", "true", "012", "é", "(a)", "x#y", "x:y", "a?b", "spiffe://a/b"]
PIECES = [
    *WORDS,
    *(
        "k: ",
        "k2: ",
        "12: ",
        "true: ",
        "'q'",
        '"q"',
        '"k": ',
        "''",
        "'it''s'",
        '"\\n"',
        "<<: ",
        "&a ",
        "*a",
        "!t ",
        "?",
    ),
    *(
        "- ",
        "- ",
        "-",
        "\n",
        "\n",
        "\n  ",
        "\n    ",
        "\n   ",
        "\n\n",
        "  ",
        " ",
        "\t",
        "\r\n",
        "\xa0",
        "\x85",
        "---",
        "...",
    ),
    *(
        "# c",
        " # c",
        "#c",
        "{a: b}",
        "[a, b c]",
        "{}",
        "[]",
        "{",
        "}",
        "[",
        "]",
        ", ",
        ",",
        ": ",
        ":",
        "%",
        "@",
        "|",
        ">",
    ),
    *("|-\n  t\n  u\n", ">-\n  t\n  u\n", ">\n    t # u\n", "|\n  t\n\n", "|\n  t\n\n  # u\n", "|2\n  t\n"),
]
LINES = [
    *(
        "a: b",
        "b:",
        "c: {a: b, c: [d]}",
        "d: [a,",
        "  b]",
        "e: {a: b, # c",
        "  c: d}",
        "}",
        "f: []  # c",
        "g: x #",
        "h: x#",
    ),
    *(
        "- a",
        "- k: v",
        "  l: m",
        "    n: o",
        "- ",
        "-",
        "  - p",
        "  - q: r",
        "    s: t",
        "- - u",
        "-   w: 1",
        "    v: 2",
    ),
    *(
        "# c",
        "  # c",
        "    # c",
        "",
        "  ",
        "i: >-",
        "j: |",
        "  several",
        "    lines",
        "k: 'q'",
        '"l": 1',
        "m: - x",
        "n: a: b",
    ),
    *("12: c", "0xC: c", "1.5: c", "a: b", "o: p  q ", " r: s", "   t: u", "  {c: d}", "  [a, {b: c}]", "  'q'", "---"),
]
MANIFESTS = sorted(
    [*(ROOT / "scenarios/manifests").rglob("*.yaml"), *(ROOT / "scenarios/studies/policies").glob("*.yaml")]
)
DOCUMENTS = [
    *(
        "a: b",
        "b:",
        "c: {a: b, c: [d]}",
        "- a",
        "- k: v",
        "  l: m",
        "---",
        "---",
        "---",
        "--- ",
        "--- # c",
        "---x",
        "...",
    ),
    *(
        "# c",
        "  # c",
        "",
        "  ",
        "i: |",
        "  t",
        "k: yes",
        "on: x",
        "n: 012",
        "o: 0b1",
        "p: 1_0",
        "<<: {a: b}",
        "%YAML 1.2",
    ),
    *("~", "{}", "[]", "# \x07", "\t", "q: off"),
]
BRACKETS = [
    "{",
    "}",
    "[",
    "]",
    "a",
    "b c",
    "-1",
    ": ",
    ": ",
    ":",
    ", ",
    ", ",
    ",",
    " ",
    '"q"',
    "'s'",
    "\n",
    "\n ",
    " # c\n",
]


def alike(text: str) -> bool:
    """Whether a text is plain; if so, it must have the data and places that the events give."""
    plain = read_plain(text, "a.yaml")
    if plain is None:
        return False
    (data, positions), *others = read_events(text, "a.yaml")
    assert not others
    assert repr(plain[0]) == repr(data)
    assert list(plain[1].values.items()) == list(positions.values.items())
    assert list(plain[1].keys.items()) == list(positions.keys.items())
    return True


def alike_documents(text: str, lines_before: int = 0) -> bool:
    """Whether all documents of a text are plain; if so, they must have the data and places that the events give."""
    plain = read_plain_documents(text, "a.yaml", lines_before)
    if plain is None:
        return False
    by_events = read_events(text, "a.yaml", several=True, lines_before=lines_before)
    expected = [(data, positions) for data, positions in by_events if data is not None]
    assert repr([data for data, _ in plain]) == repr([data for data, _ in expected])
    for (_, found), (_, positions) in zip(plain, expected, strict=True):
        assert list(found.values.items()) == list(positions.values.items())
        assert list(found.keys.items()) == list(positions.keys.items())
    return True


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_shipped_manifests_are_plain(path: Path) -> None:
    """Every shipped manifest is plain, and reads as the library has it."""
    assert alike_documents(path.read_text(encoding="utf-8"))


@settings(max_examples=250)
@given(st.lists(st.sampled_from(DOCUMENTS), max_size=9), st.sampled_from(["", "\n"]), st.integers(0, 2))
def test_any_documents(lines: list[str], end: str, lines_before: int) -> None:
    """Lines that part documents, among others, are read as by events, or left to them."""
    alike_documents("\n".join(lines) + end, lines_before)


def test_bounds_hold_for_all_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two documents that together hold more than may be are left to the library."""
    text = "a: b\n---\nc: d\n"
    assert alike_documents(text)
    monkeypatch.setattr(yaml_plain, "MAX_VALUES", 5)
    assert read_plain_documents(text, "a.yaml", 0) is None


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_are_plain(path: Path) -> None:
    """Every shipped scenario and cost profile is plain, and reads as the library has it."""
    assert alike(path.read_text(encoding="utf-8"))


def test_the_benchmark_is_plain() -> None:
    """A generated scenario of many nodes is plain."""
    assert alike(scenario_text(50, 30, 100))


@settings(max_examples=250)
@given(st.lists(st.sampled_from(PIECES), max_size=14))
def test_any_text(pieces: list[str]) -> None:
    """Texts put together from YAML's characters are read as by events, or left to them."""
    alike("".join(pieces))


@settings(max_examples=250)
@given(st.lists(st.sampled_from(LINES), max_size=8), st.sampled_from(["", "\n"]))
def test_any_lines(lines: list[str], end: str) -> None:
    """Lines of any indentation, one after the other, are read as by events, or left to them."""
    alike("\n".join(lines) + end)


@settings(max_examples=250)
@given(
    st.lists(st.sampled_from(BRACKETS), max_size=18), st.sampled_from(["", "k: ", "- ", "- - ", "k:\n  - ", "- k: "])
)
def test_any_brackets(pieces: list[str], before: str) -> None:
    """What stands in brackets, over several lines too, is read as by events, or left to them."""
    alike(f"{before}{''.join(pieces)}\n")


@pytest.mark.parametrize(
    "text",
    [
        "# c\n\nk: v # c\n", "k:\n- a\n- b\nl:\n", "- a: b\n  c:\n    - d\n- - e\n  - f: g\n",
        "k: >-\n  a\n  b\nl: |\n  c\n\nm: n\n", "{a: 1, 'b': [], \"c\": {d: e},\n f: [g, 'h', [i]]}",
        "k:\n  {a: b, # c\n   c: d}\n", "'k': 0x1F\n1: 'x'\n\"\": ~\n",
    ],
)  # fmt: skip
def test_what_is_plain(text: str) -> None:
    """Comments, lists and mappings of either kind, quotes, and text of several lines are plain."""
    assert alike(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "a: b\na: c\n", "k: &a b\n", "k: *a\n", "k: !t b\n", "? a\n", "k: a: b\n", "k: 'it''s'\n",
        'k: "\\n"\n', "k: a\n  b\n", "---\nk: a\n", "k: a\n...\n", "<<: a\n", "'<<': a\n", "true: a\n", "1.5: a\n",
        "{a: 1, a: 2}", "{a}", "[a: b]", "[a,]", "[a}", "k: [a] b\n", "k: [a\n", "k:\ta\n", "k: a\r\n", "k: \x85\n",
        "k: \x07\n", "- a\nk: b\n", "k: v\n- a\n", "  k: v\nl: w\n", "k:\n  a: b\n c: d\n", "k: |+\n  a\n",
        "k: |\n  a\n\n  # b\n", "k: |\n  a\n   b\n", "k: |\n  a\n\n   \n",
        "k: >-\n  a\n \n    \n\nl: b\n", "k: 123456789012345678901\n", f"{'k' * 1000}: v\n",
        f"{{{'k' * 1000}: v}}\n", "k: |\n  a", "k:\n  l: |\n  m: n\n", 'k: "a"#c\n', "k: [a]#c\n", "- |\n  a \n",
    ],
)  # fmt: skip
def test_what_is_not(text: str) -> None:
    """Whatever is refused, said twice, tagged, named, escaped, or goes on in another line is left to the library."""
    assert read_plain(text, "a.yaml") is None


def test_bounds_are_those_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """As deep and as many as may be is read at once; one more is left to the library, which refuses it."""
    deepest = "[" * (MAX_DEPTH - 1) + "[a]" + "]" * (MAX_DEPTH - 1)
    assert alike(f"{deepest}\n")
    for most, text in ((MAX_DEPTH, f"[{deepest}]\n"), (7, "a: b\nc: [d, e, f]\n"), (7, "{a: [b, c, d, e, f]}")):
        monkeypatch.setattr(yaml_plain, "MAX_VALUES", most)
        assert read_plain(text, "a.yaml") is None
    monkeypatch.undo()
    with pytest.raises(ScenarioError, match="nested too deeply"):
        parse_yaml(f"[{deepest}]\n", "a.yaml")


def test_places_go_with_the_data() -> None:
    """Places are found when they are first wanted: after a copy to another process, and for what has been replaced."""
    _, positions = parse_yaml("a: b\nc:\n  - d\n", "a.yaml")
    positions = pickle.loads(pickle.dumps(positions))
    positions.replace(("a",), "--set a=e")
    assert str(positions.value(("a",)).diagnostic("x")).startswith("--set a=e")
    assert (positions.value(("c", 0)).line, positions.value(("c", 0)).column) == (3, 5)


def test_manifests_have_words_of_their_own() -> None:
    """What is a truth value to kubectl is text in a scenario, however plain it is."""
    assert parse_yaml("a: yes\n", "a.yaml")[0] == {"a": "yes"}
    assert parse_documents("a: yes\n", "a.yaml")[0][0] == {"a": True}
