"""Reading Kubernetes manifests: what all kinds have in common."""

from __future__ import annotations

from typing import Any

import pytest

from meshsim.scenario import manifest_reader
from meshsim.scenario.manifest_reader import Manifest, read_manifests
from meshsim.scenario.positions import Positions
from meshsim.scenario.yaml_text import parse_documents

KNOWN = {"Thing": ("example.org/v1", "example.org/v1beta1"), "Service": ("v1",)}
HEAD = "apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: a, namespace: plant}\n"


def read(text: str) -> list[Manifest]:
    """The objects of a text without mistakes."""
    found, mistakes = read_manifests(text, "m.yaml", KNOWN)
    assert mistakes == []
    return found


def told(text: str) -> list[str]:
    """The mistakes in a text."""
    return [str(mistake) for mistake in read_manifests(text, "m.yaml", KNOWN)[1]]


def test_objects_of_a_file() -> None:
    """Each document is an object; the namespace is default if none is named."""
    first, second = read(f"{HEAD}spec: {{size: 1}}\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: b.c\n")
    assert (first.api_version, first.kind, first.name, first.namespace) == ("example.org/v1", "Thing", "a", "plant")
    assert first.spec.fields("size")["size"].data == 1
    assert (second.kind, second.name, second.namespace, second.spec.data) == ("Service", "b.c", "default", {})


def test_what_a_cluster_writes_is_no_mistake() -> None:
    """Objects as kubectl prints them can be read, a List of them too."""
    item = (
        "- apiVersion: v1\n  kind: Service\n  metadata:\n    name: b\n    namespace: ''\n    uid: x\n"
        "    creationTimestamp: 2026-01-01T00:00:00Z\n    labels: {app: b}\n    annotations: {note: c}\n"
    )
    (found,) = read(f"apiVersion: v1\nkind: List\nmetadata: {{}}\nitems:\n{item}")
    assert (found.name, found.namespace, found.labels, found.annotations["note"].data) == (
        "b",
        "default",
        {"app": "b"},
        "c",
    )
    assert found.annotations["note"].place.line == 13


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", ["m.yaml:1:1: the document is a list; expected a mapping with apiVersion, kind, metadata and spec"]),
        (
            "kind: Thing\n",
            [
                "m.yaml:1:1: 'apiVersion' is missing; expected it here, as every Kubernetes object has it",
                "m.yaml:1:1: 'metadata' is missing; expected it here, as every Kubernetes object has it",
            ],
        ),
        (
            HEAD.replace("v1\n", "v2\n"),
            ["m.yaml:1:13: 'apiVersion' is 'example.org/v2', which is not known; did you mean 'example.org/v1'?"],
        ),
        (HEAD.replace("Thing", "Thang"), ["m.yaml:2:7: 'kind' is 'Thang', which is not known; did you mean 'Thing'?"]),
        (HEAD.replace("name: a", "nam: a"), None),
        (
            HEAD.replace("name: a", "name: A b"),
            [
                "m.yaml:3:18: 'A b' is no name in Kubernetes; expected at most 253 lower-case letters, digits, inner "
                "hyphens, dots"
            ],
        ),
        (HEAD.replace("name: a", "name: ''"), None),
        (
            HEAD.replace("plant", "plant.a"),
            [
                "m.yaml:3:32: 'plant.a' is no name in Kubernetes; expected at most 63 lower-case letters, digits, "
                "inner hyphens"
            ],
        ),
        (HEAD.replace("name: a", "name: 7"), ["m.yaml:3:18: 'name' is 7; expected text, in quotes: '7'"]),
        (
            HEAD.replace("name: a", "name: a, labels: {b: true}"),
            [
                "m.yaml:3:33: 'b' is true; expected text, in quotes (true, false, yes, no, on, off, y and n are no "
                "text without)"
            ],
        ),
        ("a: [\n", None),
        ("apiVersion: v1\nkind: List\nitems: {}\n", ["m.yaml:3:8: 'items' is a mapping; expected a list"]),
    ],
)
def test_mistakes(text: str, said: list[str] | None) -> None:
    """What all objects have in common is checked, and told at its place."""
    assert told(text)
    if said is not None:
        assert told(text) == said


def test_values_note_what_is_wrong_and_go_on() -> None:
    """Whoever reads a value of the wrong type gets an empty one, and the mistake is kept."""
    spec = "spec: {size: x, flag: maybe, names: [a, 1, ''], kind: c, sice: 2, nothing: null, map: 7}\n"
    found, mistakes = read_manifests(HEAD + spec, "m.yaml", KNOWN)
    fields = found[0].spec.fields("size", "flag", "names", "kind", "nothing", "map")
    assert "nothing" not in fields
    assert (fields["size"].items(), fields["flag"].flag(), fields["kind"].choice(("a", "b"))) == ([], False, "")
    assert [value.data for value in fields["names"].texts()] == ["a", ""]
    assert (fields["map"].fields("a"), fields["map"].entries()) == ({}, {})
    assert [str(mistake).partition("; ")[0] for mistake in mistakes] == [
        "m.yaml:4:58: unknown key 'sice'",
        "m.yaml:4:14: 'size' is 'x'",
        "m.yaml:4:23: 'flag' is 'maybe'",
        "m.yaml:4:55: 'kind' is 'c', which is not known",
        "m.yaml:4:41: an entry of 'names' is 1",
        "m.yaml:4:87: 'map' is 7",
        "m.yaml:4:87: 'map' is 7",
    ]


def test_one_broken_document_hides_no_mistake_of_another() -> None:
    """Beside what is no YAML, the mistakes of the other objects of the file are told, each at its line."""
    text = f"{HEAD}---\nkind: [\n---\n{HEAD.replace('Thing', 'Thang')}---\na: 1\na: 2\n---\n{HEAD.replace('v1', 'v7')}"
    found, mistakes = read_manifests(text, "m.yaml", KNOWN)
    assert [one.name for one in found] == ["a"]
    assert sorted(one.line for one in mistakes) == [6, 8, 12, 14]


def test_documents_beside_a_broken_one_are_read_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many they are: none is read with what stands before it, and its lines are those of the file."""
    lengths: list[int] = []

    def counted(text: str, file: str, lines_before: int = 0) -> list[tuple[Any, Positions]]:
        lengths.append(len(text))
        return parse_documents(text, file, lines_before)

    monkeypatch.setattr(manifest_reader, "parse_documents", counted)
    text = "a: [\n" + 300 * "---\n" + "a: 1\na: 2\n"
    _, mistakes = read_manifests(text, "m.yaml", KNOWN)
    assert str(mistakes[-1]).startswith("m.yaml:303:1: the key 'a' stands twice in one mapping, first at line 302;")
    assert sum(lengths) == 2 * len(text)


def test_one_broken_document_among_no_others() -> None:
    """A file of one document that is no YAML is told as before."""
    assert len(told("a: [\n")) == 1


def test_unquoted_words_of_yaml_1_1() -> None:
    """A name that kubectl takes for a boolean is refused, as there, and so is such a label."""
    assert told(HEAD.replace("name: a", "name: yes")) == [
        "m.yaml:3:18: 'name' is true; expected text, in quotes (true, false, yes, no, on, off, y and n are no text "
        "without)"
    ]
    assert told(HEAD.replace("name: a", "name: a, labels: {app: on}"))
    assert read(HEAD.replace("name: a", "name: 'yes', labels: {app: 'on'}"))[0].name == "yes"
