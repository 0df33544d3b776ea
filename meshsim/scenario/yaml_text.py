"""YAML text to plain data and the place of every key and value in it.

The text is untrusted. What is plain is read at once (``yaml_plain``), all else event by event (never by the recursive
composer). Scalars follow the YAML 1.2 core schema (``no`` and ``on`` are text, ``012`` is twelve), and size, nesting
and expansion are bounded while reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import Reader

from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.positions import Place, Positions
from meshsim.scenario.yaml_patterns import MAX_DEPTH, MAX_VALUES
from meshsim.scenario.yaml_plain import read_plain, read_plain_documents
from meshsim.scenario.yaml_problems import begins_before, plain_problem
from meshsim.scenario.yaml_scalars import resolve_manifest, resolve_plain
from meshsim.scenario.yaml_scanner import QuickParser, QuickScanner

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Node(msgspec.Struct, eq=False):
    """One scalar, list or mapping of the text; an alias is the very node it names."""

    content: Any
    """A plain value; or a list of nodes; or a list of (key text, key place, value node)."""
    kind: str
    """scalar, list or mapping."""
    line: int
    column: int
    empty: bool = False
    """Whether nothing at all was written."""


def parse_yaml(text: str, file: str) -> tuple[Any, Positions]:
    """Return the plain data of ``text`` and the place of each of its keys and values.

    Raises ScenarioError with every duplicate or unusable key, tag and scalar, or with the first place where the text
    is not YAML, is nested deeper than ``MAX_DEPTH`` or holds more than ``MAX_VALUES`` keys and values.
    """
    plain = read_plain(text, file)
    if plain is not None:
        return plain
    documents = read_events(text, file, several=False)
    return documents[0] if documents else (None, Positions(file))


def parse_documents(text: str, file: str, lines_before: int = 0) -> list[tuple[Any, Positions]]:
    """Return the plain data of each document of ``text`` (between lines ``---``) and the places of its keys and values.

    Paths begin anew in each document, lines go on; ``lines_before``: those of the file that stand before the text.
    Documents without anything in them are left out. The bounds hold for all documents together. Raises ScenarioError as
    :func:`parse_yaml` does, with the mistakes of all documents.
    """
    plain = read_plain_documents(text, file, lines_before)
    if plain is not None:
        return plain
    parsed = read_events(text, file, several=True, lines_before=lines_before)
    return [(data, positions) for data, positions in parsed if data is not None]


def read_events(text: str, file: str, *, several: bool = False, lines_before: int = 0) -> list[tuple[Any, Positions]]:
    """Return data and places of each document of any text as the library's events have them.

    ``several``: there may be more than one document, and words are those of manifests.
    """
    bad = _UNPRINTABLE.search(text)
    if bad:
        line = lines_before + text.count("\n", 0, bad.start()) + 1
        column = bad.start() - text.rfind("\n", 0, bad.start())
        message = f"the control character U+{ord(bad.group()):04X} is not allowed; expected printable text"
        raise ScenarioError([Diagnostic(file, line, column, message)])
    reader = _Reader(file, several=several, lines_before=lines_before)
    documents, count = [], [0]
    for root in reader.read(text):
        positions = Positions(file)
        documents.append((_expand(root, (), 0, positions, count), positions))
    if reader.diagnostics:
        raise ScenarioError(reader.diagnostics)
    return documents


class _Open(msgspec.Struct, eq=False):
    """A list or mapping whose end has not been read yet."""

    node: Node
    anchor: str | None
    key: Node | None = None
    seen: dict[str, int] = {}
    before: frozenset[str] = frozenset()
    """Keys above the merge key."""
    merged: Node | None = None
    """What stands at a merge key."""
    merged_at: Node | None = None
    """The key itself."""


class _Reader:
    """Builds the tree of nodes from parser events, collecting what can be said about more than one place."""

    def __init__(self, file: str, *, several: bool, lines_before: int) -> None:
        self.file = file
        self.diagnostics: list[Diagnostic] = []
        self._several = several
        self._lines_before = lines_before
        self._anchors: dict[str, Node] = {}
        self._open: list[_Open] = []
        self._roots: list[Node] = []
        self._count = 0

    def read(self, text: str) -> list[Node]:
        """The root of each document."""
        for event in self._events(text):
            if isinstance(event, DocumentStartEvent):
                self._start_document(event)
            elif isinstance(event, ScalarEvent):
                self._add(self._scalar(event), event.anchor)
            elif isinstance(event, AliasEvent):
                self._alias(event)
            elif isinstance(event, MappingStartEvent | SequenceStartEvent):
                self._start(event)
            elif isinstance(event, MappingEndEvent | SequenceEndEvent):
                done = self._open.pop()
                if done.merged is not None:
                    assert done.merged_at is not None
                    self._merge(done, done.merged, done.merged_at)
                if done.anchor:  # only now, so that nothing can hold itself
                    self._anchors[done.anchor] = done.node
        return self._roots

    def _events(self, text: str) -> Iterator[Event]:
        try:
            yaml = YAML(typ="safe", pure=True)
            yaml.Reader, yaml.Scanner, yaml.Parser = Reader, QuickScanner, QuickParser
            yaml.reader.line = self._lines_before
            yield from yaml.parse(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            if error.context_mark and begins_before(str(error.problem)):
                mark = error.context_mark
            opened = error.context_mark.line + 1 if error.context_mark else 0
            line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
            message = plain_problem(str(error.problem or error.context), str(error.context or ""), opened)
            self._stop(line, column, message, error)
        except ScenarioError:
            raise
        except (YAMLError, ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError) as error:
            # ruamel.yaml answers some malformed directives, tags and escapes with plain Python exceptions
            self._stop(0, 0, "this is not well-formed YAML; expected YAML 1.2 without directives and tags", error)

    def _stop(self, line: int, column: int, message: str, cause: BaseException | None = None) -> None:
        raise ScenarioError([*self.diagnostics, Diagnostic(self.file, line, column, message)]) from cause

    def _note(self, event: Event, message: str) -> None:
        self.diagnostics.append(Diagnostic(self.file, event.start_mark.line + 1, event.start_mark.column + 1, message))

    def _start_document(self, event: DocumentStartEvent) -> None:
        self._anchors.clear()
        if self._roots and not self._several:
            self._stop(
                event.start_mark.line + 1,
                event.start_mark.column + 1,
                "a second document begins here; expected one scenario to a file",
            )
        if event.version not in (None, (1, 2)):
            self._note(event, "another version of YAML is asked for; expected YAML 1.2, without a %YAML line")

    def _scalar(self, event: ScalarEvent) -> Node:
        self._refuse_tag(event)
        content: Any = event.value
        if _SURROGATE.search(content):  # escapes can spell the halves of a character, as JSON does
            try:
                content = content.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                self._note(event, "an escape stands for half a character; expected both halves, or the character")
                content = _SURROGATE.sub("?", content)
        if event.style is None and event.implicit[0]:
            try:
                content = (resolve_manifest if self._several else resolve_plain)(event.value)
            except ValueError as error:
                self._note(event, str(error))
        mark = event.start_mark
        return Node(content, "scalar", mark.line + 1, mark.column + 1, empty=event.style is None and event.value == "")

    def _refuse_tag(self, event: ScalarEvent | MappingStartEvent | SequenceStartEvent) -> None:
        if event.tag is not None:
            self._note(event, f"the tag {str(event.tag)[:60]!r} is not allowed; expected a plain value")

    def _start(self, event: MappingStartEvent | SequenceStartEvent) -> None:
        self._refuse_tag(event)
        mark = event.start_mark
        if len(self._open) >= MAX_DEPTH:
            self._stop(
                mark.line + 1, mark.column + 1, f"values are nested too deeply; expected at most {MAX_DEPTH} levels"
            )
        kind = "mapping" if isinstance(event, MappingStartEvent) else "list"
        node = Node([], kind, mark.line + 1, mark.column + 1)
        self._add(node, None)
        self._open.append(_Open(node, event.anchor, seen={}))

    def _alias(self, event: AliasEvent) -> None:
        node = self._anchors.get(event.anchor)
        if node is None:
            self._note(event, f"the alias *{event.anchor[:60]} has no anchor; expected &{event.anchor[:60]} before it")
            node = Node(None, "scalar", event.start_mark.line + 1, event.start_mark.column + 1)
        self._add(node, None)

    def _add(self, node: Node, anchor: str | None) -> None:
        self._count += 1
        if self._count > MAX_VALUES:
            self._stop(node.line, node.column, f"the file is too long; expected at most {MAX_VALUES} keys and values")
        if anchor:
            self._anchors[anchor] = node
        if not self._open:
            self._roots.append(node)
            return
        parent = self._open[-1]
        if parent.node.kind == "list":
            parent.node.content.append(node)
        elif parent.key is None:
            parent.key = node
        else:
            self._add_pair(parent, parent.key, node)
            parent.key = None

    def _merge(self, parent: _Open, merged: Node, key: Node) -> None:
        """Add the pairs of the mappings at a merge key: a key that stands in the mapping itself goes before."""
        for part in merged.content if merged.kind == "list" else [merged]:
            if part.kind != "mapping" and not any(one.line == part.line for one in self.diagnostics):
                self._say(part, "'<<' takes mappings alone; expected one, or a list of them")
            for text, place, value in part.content if part.kind == "mapping" else ():
                self._count += 1
                if self._count > MAX_VALUES:
                    message = f"the merge keys of the file stand for too much; expected at most {MAX_VALUES} values"
                    self._stop(key.line, key.column, message, None)
                if text in parent.before:
                    message = (
                        f"'<<' stands behind the key {text[:50]!r}, which kubectl would replace; expected it first"
                    )
                    self._say(key, message)
                elif text not in parent.seen:
                    parent.seen[text] = place.line
                    parent.node.content.append((text, place, value))

    def _say(self, node: Node, message: str) -> None:
        self.diagnostics.append(Diagnostic(self.file, node.line, node.column, message))

    def _add_pair(self, parent: _Open, key: Node, value: Node) -> None:
        if key.kind != "scalar":
            message = f"a key is a {key.kind}; expected text"
        elif not isinstance(key.content, str) and not _is_integer(key.content):
            shown = "empty" if key.empty else f"{key.content!r:.60}, which is not text"
            message = f"a key is {shown}; expected text, in quotes if need be"
        elif key.content == "<<" and self._several and parent.merged is None:
            parent.merged = value
            parent.merged_at = key
            parent.before = frozenset(parent.seen)
            return
        elif key.content == "<<" and self._several:
            message = "'<<' stands twice in one mapping; expected a list of what is merged"
        elif key.content == "<<":
            message = "merge keys (<<) are not part of YAML 1.2; expected the keys themselves"
        else:
            text = str(key.content)  # a whole number (a port, as Kubernetes writes it) is its digits
            if text not in parent.seen:
                parent.seen[text] = key.line
                parent.node.content.append((text, Place(self.file, key.line, key.column), value))
                return
            message = (
                f"the key {text[:60]!r} stands twice in one mapping, first at line {parent.seen[text]}; "
                "expected each key once"
            )
        self.diagnostics.append(Diagnostic(self.file, key.line, key.column, message))


def _is_integer(content: Any) -> bool:
    return isinstance(content, int) and not isinstance(content, bool)


def _expand(node: Node, path: tuple[str | int, ...], depth: int, positions: Positions, count: list[int]) -> Any:
    """Plain data of a node; aliases become copies, as far as the bounds allow."""
    place = Place(positions.file, node.line, node.column)
    count[0] += 1
    if count[0] > MAX_VALUES or depth > MAX_DEPTH:
        message = f"the aliases of the file stand for too much; expected at most {MAX_VALUES} values, {MAX_DEPTH} deep"
        raise ScenarioError([place.diagnostic(message)])
    positions.values[path] = place
    if node.kind == "scalar":
        return node.content
    children: Sequence[Any] = node.content
    if node.kind == "list":
        return [_expand(child, (*path, index), depth + 1, positions, count) for index, child in enumerate(children)]
    data = {}
    for key, key_place, child in children:
        positions.keys[(*path, key)] = key_place
        data[key] = _expand(child, (*path, key), depth + 1, positions, count)
        if child.empty:  # nothing is written there: the key is the only place to show
            positions.values[(*path, key)] = key_place
    return data
