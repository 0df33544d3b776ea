"""The Rego engine itself: rego-cpp, through regopy.

Its Python objects take the text of an answer for JSON, which it is not when a string in it holds quotes, so answers are
read node by node with the functions that those objects stand on. They are used here alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import regopy
from regopy import NodeKind, rego_shared

_DEEPEST = 400
"""Levels of an answer that are followed; ctypes hides it when Python's own limit is met."""
_CONSTANTS = {NodeKind.True_: True, NodeKind.False_: False, NodeKind.Null: None}


_POWERS = re.compile(r'"(?:[^"\\]|\\.)*"|(?<![.0-9])(-?[0-9]+)(e[+-]?[0-9]+)')
"""Texts, and numbers with a power and no fraction."""


def json_text(value: Any) -> str:
    """JSON for the engine, which crashes at data such as ``1e+308``: numbers with a power get a fraction."""
    text = json.dumps(value, ensure_ascii=False)
    return _POWERS.sub(lambda found: f"{found[1]}.0{found[2]}" if found[1] else found[0], text)


class Answer(NamedTuple):
    """What came of a query."""

    defined: bool
    value: Any
    error: str
    """Why it failed; empty if it did not."""


class Bundle:
    """Modules compiled for one query; raises ValueError if the engine refuses them."""

    def __init__(self, modules: Mapping[str, str], documents: Mapping[str, Any], query: str) -> None:
        self._interpreter = _interpreter()
        try:
            for name, text in modules.items():
                self._interpreter.add_module(name, text)
            if documents:
                self._interpreter.add_data_json(json_text(documents))
            self._bundle = self._interpreter.build(f"answer = {query}")
        except regopy.RegoError as error:
            said = "; ".join(dict.fromkeys(re.findall(r"\(errormsg \d+:([^\n]*?)\)\n", str(error)))) or str(error)
            raise ValueError(f"the engine does not accept these modules: {said}") from error

    def ask(self, document: Any) -> Answer:
        """Evaluate the query with an input document."""
        text = json_text(document)
        if "\\" in text:  # read as text, escaped strings get the form that the constants in policies have
            self._interpreter.set_input_term(text)
        else:
            self._interpreter.set_input(document)
        output = rego_shared.rego_bundle_query(self._interpreter._impl, self._bundle._impl)
        try:
            return _answer(rego_shared.rego_output_node(output))
        finally:
            rego_shared.rego_free_output(output)


def refusals(name: str, text: str) -> list[tuple[int, str]]:
    """What the engine's own parser says of a module: offsets and messages; empty if it accepts it."""
    interpreter = _interpreter()
    try:
        interpreter.add_module(name, text)
        interpreter.build("true")
    except regopy.RegoError as error:
        encoded = text.encode("utf-8", "surrogatepass")
        found = re.findall(r"\(error \d+:[^|]*\|(\d+)\|\d+\s+\(errormsg \d+:([^\n]*?)\)\n", str(error))
        places = [(len(encoded[: int(place)].decode("utf-8", "replace")), message) for place, message in found]
        return places or [(0, "the engine does not accept this module")]
    return []


def _interpreter() -> Any:
    interpreter = regopy.Interpreter()
    interpreter.log_level = regopy.LogLevel.NONE  # it would print its mistakes
    return interpreter


def _answer(node: Any) -> Answer:
    kind = rego_shared.rego_node_type(node)
    if kind in (NodeKind.Error, NodeKind.ErrorSeq):
        return Answer(False, None, "; ".join(dict.fromkeys(_messages(node))))
    if kind == NodeKind.Undefined:
        return Answer(False, None, "")
    for one in _below(node, NodeKind.Binding):
        return Answer(True, _value(rego_shared.rego_node_get(one, 1)), "")
    return Answer(False, None, "")


def _messages(node: Any) -> Iterable[str]:
    for one in _below(node, NodeKind.ErrorMessage):
        yield str(rego_shared.rego_node_value(one))


def _below(node: Any, kind: NodeKind) -> Iterable[Any]:
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if rego_shared.rego_node_type(one) == kind:
            yield one
        else:
            waiting += reversed(_children(one))


def _children(node: Any) -> list[Any]:
    return [rego_shared.rego_node_get(node, index) for index in range(rego_shared.rego_node_size(node))]


def _value(node: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise RecursionError(f"an answer nests deeper than {_DEEPEST} levels")
    kind = rego_shared.rego_node_type(node)
    if kind in (NodeKind.Term, NodeKind.Scalar):
        return _value(rego_shared.rego_node_get(node, 0), depth)
    if kind in (NodeKind.Array, NodeKind.Set):
        return [_value(one, depth + 1) for one in _children(node)]
    if kind == NodeKind.Object:
        pairs = [_children(one) for one in _children(node)]
        return {str(_value(key, depth + 1)): _value(value, depth + 1) for key, value in pairs}
    text = str(rego_shared.rego_node_value(node))
    if kind in _CONSTANTS:
        return _CONSTANTS[kind]
    if kind == NodeKind.Boolean:
        return text == "true"
    if kind == NodeKind.Int:
        return int(text)
    if kind == NodeKind.Float:
        return float(text)
    assert kind == NodeKind.String, f"a node of kind {kind} in an answer"
    return _unescaped(text)


def _unescaped(text: str) -> str:
    """A string as it is meant: what comes from constants is still escaped, what functions made is not."""
    try:
        return str(json.loads(f'"{text}"', strict=False)) if "\\" in text else text
    except json.JSONDecodeError:
        return text
