"""Files that hold several YAML documents."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.yaml_text import parse_documents, parse_yaml


def test_each_document_has_its_own_data_and_places() -> None:
    """Documents are read one after the other; paths begin anew, lines go on, empty documents are left out."""
    text = "# first\na: 1\n---\n---\nb:\n  - 2\n--- \n# nothing\n--- {c: 3}\n...\n---\nd: 4\n"
    documents = parse_documents(text, "m.yaml")
    assert [data for data, _ in documents] == [{"a": 1}, {"b": [2]}, {"c": 3}, {"d": 4}]
    (_, first), (_, second), (_, third), (_, fourth) = documents
    assert (first.key(("a",)).line, second.value(("b", 0)).line, second.value(("b", 0)).column) == (2, 6, 5)
    assert (third.key(("c",)).line, third.key(("c",)).column, fourth.key(("d",)).line) == (9, 6, 12)


def test_a_text_without_documents_gives_none() -> None:
    """Comments and separators alone hold no document."""
    assert parse_documents("", "m.yaml") == []
    assert parse_documents("# only a comment\n---\n", "m.yaml") == []


def test_anchors_do_not_reach_into_the_next_document() -> None:
    """An alias finds only anchors of its own document (YAML 1.2.2, section 3.2.2.2)."""
    assert [data for data, _ in parse_documents("a: &x 1\nb: *x\n", "m.yaml")] == [{"a": 1, "b": 1}]
    with pytest.raises(ScenarioError, match=r"m\.yaml:3:4: the alias \*x has no anchor"):
        parse_documents("a: &x 1\n---\nb: *x\n", "m.yaml")


def test_mistakes_of_all_documents_are_told() -> None:
    """What can be said of more than one place is said of every document."""
    with pytest.raises(ScenarioError) as caught:
        parse_documents("a: 1\na: 2\n---\nb: !!str 1\n---\n? [x]\n: 1\n", "m.yaml")
    assert [(one.line, one.column) for one in caught.value.diagnostics] == [(2, 1), (4, 4), (6, 3)]


_VALUES = st.recursive(
    st.one_of(st.integers(-9, 9), st.booleans(), st.sampled_from(["x", "y z", ""])),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, min_size=1)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_VALUES, max_size=4))
def test_documents_read_as_they_would_alone(values: list[object]) -> None:
    """A document in a row of them reads as in a file of its own."""
    texts = [_flow(value) + "\n" for value in values]
    together = [data for data, _ in parse_documents("---\n" + "---\n".join(texts), "m.yaml")]
    assert together == [parse_yaml(text, "m.yaml")[0] for text in texts] == values


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
