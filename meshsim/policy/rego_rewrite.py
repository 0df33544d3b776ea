"""Rego as the engine gets it: with what it lacks or does otherwise than Open Policy Agent put right."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from meshsim.policy.rego_builtins import NOW, REMAINDER, SHIMMED
from meshsim.policy.rego_scope import Called
from meshsim.policy.rego_syntax import Binary, Branch, Module, Scalar, within


class Edit(NamedTuple):
    """Text that is put in the place of other text."""

    start: int
    end: int
    order: int
    """Which of several at one place comes first."""
    text: str
    braces: bool = False
    """Whether it puts a body into braces."""


class Rewritten:
    """The text of a module with all edits, as a whole or in parts."""

    def __init__(self, module: Module, calls: Iterable[Called]) -> None:
        self._text = module.file.text
        self._edits = sorted(_edits(module, calls))

    @property
    def whole(self) -> str:
        """The module."""
        return self._with(self._edits, 0, len(self._text))

    def origin(self, offset: int) -> int:
        """The offset in the original of what stands at one of the whole."""
        shift = 0
        for edit in self._edits:
            if edit.start + shift >= offset:
                break
            shift += len(edit.text) - (edit.end - edit.start)
        return min(max(offset - shift, 0), len(self._text))

    def part(self, start: int, end: int) -> str:
        """What stands between two offsets of the original, a body without braces of its own."""
        within_it = [edit for edit in self._edits if start <= edit.start and edit.end <= end and not edit.braces]
        return self._with(within_it, start, end)

    def _with(self, edits: Iterable[Edit], start: int, end: int) -> str:
        pieces: list[str] = []
        for edit in edits:
            pieces += [self._text[start : edit.start], edit.text]
            start = edit.end
        return "".join([*pieces, self._text[start:end]])


def _edits(module: Module, calls: Iterable[Called]) -> Iterable[Edit]:
    for call in calls:
        name = ".".join(call.path)
        if call.builtin and name == "time.now_ns":
            yield Edit(call.node.start, call.node.end, 0, NOW)
        elif call.builtin and name in SHIMMED:
            yield Edit(call.node.start, call.node.name_end, 0, SHIMMED[name])
    text = module.file.text
    for rule in module.rules:
        for number, node in enumerate(within(rule)):
            # What begins with another is opened after it, and closed before it.
            if isinstance(node, Binary) and node.operator == "%":
                yield Edit(node.start, node.start, number, f"{REMAINDER}(")
                yield Edit(node.operator_start, node.operator_start + 1, 0, ",")
                yield Edit(node.end, node.end, -number, ")")
            elif isinstance(node, Branch) and node.body and not node.braced:
                # The engine takes some conditions in braces only.
                yield Edit(node.body_start, node.body_start, number, "{ ", braces=True)
                yield Edit(node.body_end, node.body_end, -number, " }", braces=True)
            elif isinstance(node, Scalar) and isinstance(node.value, str) and text[node.start] in '"`':
                # Strings that are written in different ways would not be equal.
                canonical = json.dumps(node.value, ensure_ascii=False)
                if canonical != text[node.start : node.end]:
                    yield Edit(node.start, node.end, 0, canonical)
