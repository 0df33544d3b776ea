"""Kubernetes manifests: objects of one kind each, whose values are read with their places.

A reader of a kind asks for what it knows, value by value. What is of the wrong type, or a key that nobody asked for, is
noted at its place and the reading goes on, so that all mistakes of a file are told at once.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.positions import Path, Place, Positions
from meshsim.scenario.words import expected, show
from meshsim.scenario.yaml_text import parse_documents

DEFAULT_NAMESPACE = "default"
"""Namespace of an object that names none."""

_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_NAMESPACE = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?")
"""An empty one counts as none."""
_SEPARATOR = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_METADATA = ("name", "namespace", "labels", "annotations")
_BY_THE_SERVER = (
    *("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "finalizers", "generateName"),
    *("generation", "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid"),
)
"""Keys of metadata that a cluster writes, as ``kubectl get -o yaml`` shows them; they say nothing of what to do."""


class Value:
    """One value of a manifest, its place, and where mistakes are noted."""

    __slots__ = ("_mistakes", "_path", "_positions", "data")

    def __init__(self, data: Any, path: Path, positions: Positions, mistakes: list[Diagnostic]) -> None:
        self.data = data
        self._path = path
        self._positions = positions
        self._mistakes = mistakes

    @property
    def place(self) -> Place:
        """Where the value was written."""
        return self._positions.value(self._path)

    @property
    def name(self) -> str:
        """The key that it stands at, for messages."""
        names = [key for key in self._path if isinstance(key, str)]
        named = repr(names[-1]) if names else "the document"
        return f"an entry of {named}" if self._path and isinstance(self._path[-1], int) else named

    def wrong(self, message: str) -> None:
        """Note a mistake at the value."""
        self._mistakes.append(self.place.diagnostic(message))

    def wrong_key(self, message: str) -> None:
        """Note a mistake at the value's key."""
        self._mistakes.append(self._positions.key(self._path).diagnostic(message))

    def note(self, place: Place, message: str) -> None:
        """Note a mistake at a place of the same file."""
        self._mistakes.append(place.diagnostic(message))

    def child(self, key: str | int, data: Any) -> Value:
        """The value at a key or index."""
        return Value(data, (*self._path, key), self._positions, self._mistakes)

    def fields(self, *known: str) -> dict[str, Value]:
        """The values of a mapping with known keys, those that hold nothing left out; a mistake at each other key."""
        if not isinstance(self.data, dict):
            self.wrong(f"{self.name} is {show(self.data)}; expected a mapping{_with(known)}")
            return {}
        found = {}
        for key, data in self.data.items():
            if key not in known:
                self.child(key, data).wrong_key(f"unknown key {show(key)}; {expected(key, known)}")
            elif data is not None:
                found[key] = self.child(key, data)
        return found

    def entries(self) -> dict[str, Value]:
        """The values of a mapping whose keys are names."""
        if not isinstance(self.data, dict):
            self.wrong(f"{self.name} is {show(self.data)}; expected a mapping")
            return {}
        return {key: self.child(key, data) for key, data in self.data.items()}

    def items(self) -> list[Value]:
        """The values of a list."""
        if not isinstance(self.data, list):
            self.wrong(f"{self.name} is {show(self.data)}; expected a list")
            return []
        return [self.child(index, data) for index, data in enumerate(self.data)]

    def text(self) -> str:
        """A text; empty where there is none."""
        if isinstance(self.data, str):
            return self.data
        quoted = f", in quotes: '{show(self.data)}'" if isinstance(self.data, int | float) else ""
        if isinstance(self.data, bool):
            quoted = ", in quotes (true, false, yes, no, on, off, y and n are no text without)"
        self.wrong(f"{self.name} is {show(self.data)}; expected text{quoted}")
        return ""

    def texts(self) -> list[Value]:
        """The entries of a list of texts, those left out that are none."""
        return [value for value in self.items() if value.text() or isinstance(value.data, str)]

    def choice(self, known: Sequence[str]) -> str:
        """One of several words; empty where it is another."""
        if isinstance(self.data, str) and self.data in known:
            return self.data
        self.wrong(f"{self.name} is {show(self.data)}, which is not known; {expected(self.data, known)}")
        return ""

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.data, bool):
            self.wrong(f"{self.name} is {show(self.data)}; expected true or false")
            return False
        return self.data

    def text_entries(self) -> dict[str, str]:
        """A mapping from names to texts, such as labels."""
        return {key: value.text() for key, value in self.entries().items()}


def _with(known: Sequence[str]) -> str:
    return f" with {', '.join(known[:4])}{' …' if len(known) > 4 else ''}" if known else ""


class Manifest(msgspec.Struct, frozen=True):
    """One object: what every kind has."""

    api_version: str
    kind: str
    name: str
    namespace: str
    """The namespace that it names; ``default`` if it names none."""
    labels: Mapping[str, str]
    annotations: Mapping[str, Value]
    whole: Value
    """The whole document, with ``metadata``, and ``spec`` or what the kind has in its place."""

    @property
    def spec(self) -> Value:
        """Its ``spec``; an empty mapping where there is none."""
        data = self.whole.data.get("spec")
        return self.whole.child("spec", {} if data is None else data)

    def body(self, *known: str) -> dict[str, Value]:
        """What stands beside apiVersion, kind and metadata; a mistake at each key that is not known."""
        fields = self.whole.fields("apiVersion", "kind", "metadata", *known)
        return {key: value for key, value in fields.items() if key in known}


def read_manifests(
    text: str,
    file: str,
    known: Mapping[str, Sequence[str]],
    set_aside: Callable[[Value, str, str], bool] | None = None,
) -> tuple[list[Manifest], list[Diagnostic]]:
    """The objects of a YAML file, and every mistake in what all kinds have in common.

    ``known`` tells which kinds may stand in it: kind → the values of ``apiVersion``. ``set_aside`` is told each object
    with its kind and apiVersion; one that it takes is not looked at. A ``List``, as kubectl prints one, counts as its
    items.
    """
    mistakes: list[Diagnostic] = []
    documents = _documents(text, file, mistakes)
    objects = (whole for data, positions in documents for whole in _objects(Value(data, (), positions, mistakes)))
    if set_aside is not None:
        objects = (whole for whole in objects if not _is_set_aside(whole, set_aside))
    found = [manifest for whole in objects if (manifest := _manifest(whole, known)) is not None]
    return found, mistakes


def _documents(text: str, file: str, mistakes: list[Diagnostic]) -> list[tuple[Any, Positions]]:
    """The documents of a file; if one is no YAML, the others by themselves, so that their mistakes are told too."""
    try:
        return parse_documents(text, file)
    except ScenarioError as whole:
        starts = [0, *(match.start() for match in _SEPARATOR.finditer(text) if match.start()), len(text)]
        found, noted = [], []
        lines_before = 0
        for begin, end in itertools.pairwise(starts):
            try:
                found += parse_documents(text[begin:end], file, lines_before)
            except ScenarioError as error:
                noted += error.diagnostics
            lines_before += text.count("\n", begin, end)
        mistakes += noted or whole.diagnostics
        return found if noted else []


def _objects(document: Value) -> Iterator[Value]:
    data = document.data
    if isinstance(data, dict) and data.get("kind") == "List" and data.get("apiVersion") == "v1":
        items = document.fields("apiVersion", "kind", "metadata", "items").get("items")
        yield from items.items() if items is not None else ()
    else:
        yield document


def _is_set_aside(whole: Value, set_aside: Callable[[Value, str, str], bool]) -> bool:
    kind, version = (whole.data.get(key) if isinstance(whole.data, dict) else None for key in ("kind", "apiVersion"))
    return isinstance(kind, str) and isinstance(version, str) and set_aside(whole, kind, version)


def _manifest(whole: Value, known: Mapping[str, Sequence[str]]) -> Manifest | None:
    """An object of a known kind; None, with mistakes noted, if it is none or has no usable name."""
    data = whole.data
    if not isinstance(data, dict):
        whole.wrong(f"the document is {show(data)}; expected a mapping with apiVersion, kind, metadata and spec")
        return None
    for key in ("apiVersion", "kind", "metadata"):
        if data.get(key) is None:
            whole.wrong(f"'{key}' is missing; expected it here, as every Kubernetes object has it")
    if any(data.get(key) is None for key in ("apiVersion", "kind", "metadata")):
        return None
    kind = whole.child("kind", data["kind"]).choice(list(known))
    version = whole.child("apiVersion", data["apiVersion"]).choice(known[kind]) if kind else ""
    metadata = whole.child("metadata", data["metadata"]).fields(*_METADATA, *_BY_THE_SERVER)
    name = _checked(metadata.get("name"), _SUBDOMAIN, 253)
    if "name" not in metadata and isinstance(data["metadata"], dict):
        whole.child("metadata", data["metadata"]).wrong("'name' is missing; expected it here: the object's name")
    namespace = _checked(metadata.get("namespace"), _NAMESPACE, 63) or DEFAULT_NAMESPACE
    labels = metadata["labels"].text_entries() if "labels" in metadata else {}
    annotations = metadata["annotations"].entries() if "annotations" in metadata else {}
    for annotation in annotations.values():
        annotation.text()
    if not (version and name):
        return None
    return Manifest(version, kind, name, namespace, labels, annotations, whole)


def _checked(value: Value | None, pattern: re.Pattern[str], longest: int) -> str:
    """A name of Kubernetes; empty where there is none, or with a mistake noted."""
    if value is None or not isinstance(text := value.text() or value.data, str):
        return ""
    if len(text) > longest or not pattern.fullmatch(text):
        what = "lower-case letters, digits, inner hyphens"
        dots = ", dots" if pattern is _SUBDOMAIN else ""
        value.wrong(f"{show(text)} is no name in Kubernetes; expected at most {longest} {what}{dots}")
        return ""
    return text
