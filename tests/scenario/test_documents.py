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


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *((word, True) for word in ("y", "yes", "Yes", "on", "ON", "true")),
        *((word, False) for word in ("n", "no", "NO", "off", "Off", "false")),
        ("yEs", "yEs"),
        ("nope", "nope"),
        ("'yes'", "yes"),
        ("010", 8),
        ("-010", -8),
        ("0o10", 8),
        ("0x1F", 31),
        ("0b101", 5),
        ("089", 89),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("2001-01-01", "2001-01-01"),
        ("1:30", "1:30"),
        ("v1_0", "v1_0"),
    ],
)
def test_scalars_are_those_of_kubectl(written: str, value: object) -> None:
    """Booleans and numbers of manifests are those of YAML 1.1 as go-yaml has them; a scenario's are those of 1.2."""
    ((data, _),) = parse_documents(f"a: {written}\n", "m.yaml")
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


MERGED = "base: &b {x: 1, y1: 2}\nmore: &m {x: 3, z: 4}\n"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("{<<: *b, x: 9}", {"x": 9, "y1": 2}),
        ("{<<: *b, w: 9}", {"x": 1, "y1": 2, "w": 9}),
        ("{<<: [*b, *m]}", {"x": 1, "y1": 2, "z": 4}),
        ("{<<: {q: 1}}", {"q": 1}),
        ("{'<<': *b, x: 9}", {"x": 9, "y1": 2}),
    ],
)
def test_merge_keys_are_read(written: str, value: object) -> None:
    """What stands in a mapping goes before what is merged into it, and of several mappings the first."""
    ((data, positions),) = parse_documents(f"{MERGED}a: {written}\n", "m.yaml")
    assert data["a"] == value
    assert all(positions.key(("a", key)).line for key in data["a"])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{<<: 3}", "3:9: '<<' takes mappings alone; expected one, or a list of them"),
        ("{<<: [*b, 3]}", "3:14: '<<' takes mappings alone; expected one, or a list of them"),
        ("{x: 1, <<: *b}", "3:11: '<<' stands behind the key 'x', which kubectl would replace; expected it first"),
        ("{<<: *b, <<: *m}", "3:13: '<<' stands twice in one mapping; expected a list of what is merged"),
        ("{<<: *c}", "3:9: the alias *c has no anchor; expected &c before it"),
    ],
)
def test_mistakes_in_merge_keys(written: str, said: str) -> None:
    """What cannot be merged, or would be merged in another way by kubectl, is told."""
    with pytest.raises(ScenarioError) as caught:
        parse_documents(f"{MERGED}a: {written}\n", "m.yaml")
    assert f"m.yaml:{said}" in [str(one) for one in caught.value.diagnostics]


def test_merges_are_bounded() -> None:
    """Mappings that merge one another over and over end at the bound on values."""
    big = ", ".join(f"k{number}: 1" for number in range(1000))
    text = f"a0: &a0 {{{big}}}\n" + "".join(f"a{i}: &a{i} {{<<: *a{i - 1}}}\n" for i in range(1, 400))
    with pytest.raises(ScenarioError, match="expected at most 200000"):
        parse_documents(text, "m.yaml")


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
