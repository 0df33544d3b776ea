"""The quick scanner finds what the library's own finds, in right and in wrong texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from meshsim.scenario.yaml_scanner import QuickParser, QuickScanner

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))
PIECES = [
    *("a", "b c", "10 ms", "100 %", "-1.5", "é", "'q'", '"d"', "key: v", "&a ", "*a", "!t ", "<<", "\t", "\x85"),
    *(" ", "  ", "\n", "\n  ", "\n    ", "\n\n", "\r\n", "#x", " #c", "---", "...", "\n---\n", "%"),
    *(
        "{a: b}",
        "[a, b c]",
        "{a: {b: 1 ms}, c: [d, {e: -f}]}",
        "{a: b, ",
        "[{a: [b]}, ",
        "- {a: b}\n",
        "k: [a]\n",
        "- ",
    ),
    *(": ", ":", ",", "{", "}", "[", "]", "- ", "-", "?", "? ", "|", "|\n  ", ">\n  "),
]


def _events(text: str, *, quick: bool) -> list[Any]:
    """Every event with its value and both its places, and the error at the end if there is one."""
    yaml = YAML(typ="safe", pure=True)
    if quick:
        yaml.Scanner, yaml.Parser = QuickScanner, QuickParser
    found: list[Any] = []
    try:
        for event in yaml.parse(text):
            said = [getattr(event, name, None) for name in ("value", "anchor", "tag", "implicit", "style")]
            marks = [(mark.line, mark.column, mark.index) for mark in (event.start_mark, event.end_mark)]
            found.append((type(event).__name__, said, marks))
    except Exception as error:  # whatever the one raises, the other has to raise too
        found.append((type(error).__name__, str(error)))
    return found


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_shipped_scenarios(path: Path) -> None:
    """The shipped scenarios give the same events at the same places."""
    text = path.read_text(encoding="utf-8")
    assert _events(text, quick=True) == _events(text, quick=False)


@settings(max_examples=600)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=14))
def test_any_text(pieces: list[str]) -> None:
    """Texts put together from YAML's characters give the same events, or the same error at the same place."""
    text = "".join(pieces)
    assert _events(text, quick=True) == _events(text, quick=False)


@given(place=st.floats(0, 1), cut=st.integers(0, 6), piece=st.sampled_from(["", *PIECES]))
def test_scenarios_with_a_slip(place: float, cut: int, piece: str) -> None:
    """A scenario with something cut out of it or put into it gives the same events, or the same error."""
    text = SCENARIOS[0].read_text(encoding="utf-8")
    begin = int(place * len(text))
    slipped = (text[:begin] + piece + text[begin + cut :])[max(0, begin - 300) : begin + 300]
    assert _events(slipped, quick=True) == _events(slipped, quick=False)


@settings(max_examples=400)
@given(
    pieces=st.lists(
        st.sampled_from(["{", "}", "[", "]", "a", "b c", "-", "-1", ": ", ":", ", ", ",", " ", '"q"', "\n"]),
        max_size=24,
    ),
    before=st.sampled_from(["", "k: ", "- ", "- - ", "[x, ", "{k: ", "? "]),
)
def test_any_brackets(pieces: list[str], before: str) -> None:
    """What stands in brackets, well formed or not, gives the same events, or the same error at the same place."""
    text = f"{before}{''.join(pieces)}"
    assert _events(text, quick=True) == _events(text, quick=False)


@pytest.mark.parametrize("length", [880, 899, 900, 901, 1020, 1030, 2000])
@pytest.mark.parametrize("before", ["", "- ", "k: ", "[", "- - {k: "])
@pytest.mark.parametrize("after", ["", ": v", " x", "\n- a"])
def test_long_brackets(length: int, before: str, after: str) -> None:
    """Brackets about as long as a key may be give the same, whether they are a key or not."""
    text = f"{before}[{'a, ' * (length // 3)}a]{after}"
    assert _events(text, quick=True) == _events(text, quick=False)
