"""Everything that is wrong with a set of Cedar policies, with its place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cedarpy

from meshsim.policy.cedar_names import unknown_names
from meshsim.policy.cedar_text import PolicyText, Token, offending, split
from meshsim.policy.cedar_types import misfits
from meshsim.policy.cedar_vocabulary import Vocabulary, paths, vocabulary
from meshsim.policy.engine import Directory, PolicyFile
from meshsim.policy.question import DEFAULT_ALLOW, DEFAULT_DENY
from meshsim.scenario.errors import Diagnostic

_WORDS = (
    *("permit", "forbid", "principal", "action", "resource", "context", "when", "unless"),
    *("if", "then", "else", "true", "false", "in", "is", "has", "like", "call", "read", "write"),
    *("GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "DELETE", "CONNECT"),
    *("Action", "Workload", "Unauthenticated", "Service", "Fleet", "TrustDomain", "Slice", "Site", "Node", "Namespace"),
    *("spiffe_id", "trust_domain", "name", "namespace", "service_account", "labels"),
    *("method", "path", "query", "host", "port", "headers", "claims", "slice", "site", "node", "source_node", "mutual"),
    *("source_ip", "destination_ip", "tls_version", "cipher", "group", "certificate_age", "time"),
    *("datetime", "duration", "ip", "isInRange", "toTime", "toDate", "offset", "durationSince"),
    *("contains", "containsAll", "containsAny", "isEmpty"),
)
"""What a misspelt word may have been meant to be."""

_LARGEST = 2**63 - 1
"""What a number of Cedar can be (docs.cedarpolicy.com, "Long")."""
_MISSABLE = re.compile("access to optional attribute `(.+?)` (?:in|on) ")
_ACTION_GROUPS = ('Action::"read"', 'Action::"write"', 'Action::"call"')
_NO_REQUEST = "unable to find an applicable action given the policy scope constraints"
_SCOPE_HINT = (
    "no request can match this scope; a principal is a Workload (in a Service, Fleet, Namespace or TrustDomain) or "
    'Unauthenticated, an action == a method or in Action::"read", "write" or "call", a resource a Service'
)


class Checked(NamedTuple):
    """Policy files after the check. When there are mistakes, the policies are those that could be read at all."""

    policies: list[PolicyText]
    rules: list[str]
    """The name of each policy: its ``@id`` annotation, or ``file#n`` for the n-th policy of a file."""
    vocabulary: Vocabulary
    schema: cedarpy.Schema
    """With the names that the policies use."""
    mistakes: list[Diagnostic]


def check(files: Sequence[PolicyFile], schema_text: str, directory: Directory) -> Checked:
    """Check policy files, and find every mistake in them."""
    policies: list[PolicyText] = []
    mistakes: list[Diagnostic] = []
    for file in files:
        in_file, unusable = split(file)
        if not in_file and not unusable:
            message = "the file holds no policy, so it allows no request; write one, or take the file from the scenario"
            mistakes.append(Diagnostic(file.place, 0, 0, message))
        policies += in_file
        mistakes += unusable
    wrong = {policy: _syntax(policy) for policy in policies}
    mistakes += [mistake for mistake in wrong.values() if mistake is not None]
    parsed = [policy for policy, mistake in wrong.items() if mistake is None]
    words = vocabulary(parsed)
    schema = cedarpy.Schema.from_str(words.complete(schema_text))
    for policy in parsed:
        mistakes += _types(policy, schema)
        mistakes += unknown_names(policy, directory)
    rules, misnamed = _rules(parsed)
    return Checked(parsed, rules, words, schema, mistakes + misnamed)


def _syntax_error(text: str) -> str:
    """What the engine's parser says of a text; empty when it is right."""
    try:
        cedarpy.PolicySet.from_str(text)
    except ValueError as error:
        return str(error)
    return ""


def _syntax(policy: PolicyText) -> Diagnostic | None:
    message = _syntax_error(policy.text)
    if not message:
        slot = next((token for token in policy.tokens if token.kind == "slot"), None)
        if slot is None:
            return None
        return policy.at(slot, f"a template with {slot.text} authorizes nothing here; write the entity in its place")
    if found := re.fullmatch("unexpected token `(.*)`", message, re.DOTALL):
        token = offending(policy, found[1], lambda text: _syntax_error(text).startswith("unexpected end"))
        if last := _unended(policy, policy.tokens.index(token)):
            return policy.at(last, 'this policy has no end; end it with ";" here, before the next one begins')
        return policy.at(token, f"unexpected {_quoted(token)}{_meant(token.text)}")
    if message.startswith("'=' is not"):
        index = next(index for index, token in enumerate(policy.tokens) if token.text == "=")
        left = "".join(token.text for token in policy.tokens[max(index - 3, 0) : index] if token.kind != "string")
        compared = left if re.fullmatch(r"[a-z]+\.[a-z_]+", left) else policy.tokens[max(index - 1, 0)].text
        return policy.at(policy.tokens[index], f"`{compared} =`: {message}; write `{compared} ==`")
    if message.startswith("integer parse error"):
        token = next(one for one in policy.tokens if one.kind == "number" and int(one.text) > _LARGEST)
        return policy.at(token, f"{token.text} is too large a number; expected at most {_LARGEST}")
    token = _named_in(policy, message) or policy.tokens[0]
    return policy.at(token, message + _meant(token.text))


def _unended(policy: PolicyText, index: int) -> Token | None:
    """The last token of a policy without a semicolon, if the parser stumbled over the beginning of the next."""
    tokens = policy.tokens
    if tokens[index].text == "(" and index > 0:  # the parser took `permit` for a kind of condition
        index -= 1
    begins = tokens[index].text == "@" or [token.text for token in tokens[index : index + 2]] in (
        ["permit", "("],
        ["forbid", "("],
    )
    return tokens[index - 1] if begins and index > 0 and tokens[index - 1].text in (")", "}") else None


def _groups(policy: PolicyText) -> Iterator[Diagnostic]:
    """Principals and actions that are said to equal a group: none ever does."""
    for subject, operator, kind, colons, name in zip(*(policy.tokens[start:] for start in range(5)), strict=False):
        if operator.text not in ("==", "!=") or colons.text != "::" or name.kind != "string":
            continue
        entity = f"{kind.text}::{name.text}"
        if subject.text == "principal" and kind.text in ("Service", "Fleet", "TrustDomain", "Namespace"):
            group = f"a {kind.text} is a group of workloads"
        elif subject.text == "resource" and kind.text == "Namespace":
            group = "a Namespace is a group of services"
        elif subject.text == "action" and entity in _ACTION_GROUPS:
            group = f"{name.text} is a group of methods"
        else:
            continue
        right = f"{subject.text} in {entity}"
        right = right if operator.text == "==" else f"!({right})"
        yield policy.at(operator, f"{group}, which no {subject.text} equals; write `{right}`")


def _types(policy: PolicyText, schema: cedarpy.Schema) -> Iterator[Diagnostic]:
    """What the engine's validator says of a policy."""

    def complaints(text: str) -> list[str]:
        found = (error.error for error in cedarpy.validate_policies(text, schema).errors)
        # The validator tries each action by itself and says the same thing of each.
        return [re.sub(r"^for policy `[^`]*`, | for Action::\"[^\"]*\"", "", message) for message in found]

    groups = list(_groups(policy))
    yield from groups
    errors = complaints(policy.text)
    yield from _untested(policy, errors)
    for message in dict.fromkeys(errors):
        if _MISSABLE.search(message):
            continue
        if message == _NO_REQUEST:
            if set(errors) == {_NO_REQUEST} and not groups:
                yield policy.at(policy.tokens[0], _SCOPE_HINT)
            continue
        if placed := misfits(policy, message, complaints):
            yield from placed
            continue
        token = _named_in(policy, message)
        hint = "" if token is None else _meant(token.text.strip('"'))
        if "entity type `Unauthenticated` not found" in message and not hint:
            hint = "; say `principal is Workload` first"
        yield policy.at(token or _effect(policy), message + hint)


def _untested(policy: PolicyText, messages: Sequence[str]) -> Iterator[Diagnostic]:
    """The uses of attributes that may be missing; of one inside another, the innermost alone."""
    missing = {match[1] for message in messages if (match := _MISSABLE.search(message))}
    found = {tuple(one.strip('["]') for one in re.findall(r'\[".+?"\]|[^.\[\]]+', text)) for text in missing}
    for names in sorted(found):
        if any(len(other) > len(names) and other[: len(names)] == names for other in found):
            continue
        path = next(
            (path for path in paths(policy.tokens) if not path.tested and path.names[1 : len(names) + 1] == names), None
        )
        token = _effect(policy) if path is None else policy.tokens[path.first]
        base = "context" if path is None else path.names[0]
        if len(names) > 1:
            base, names = f"{base}.{names[0]}", names[1:]
        inner = ".".join(names) if all(name.isidentifier() for name in names) else f'"{names[-1]}"'
        used = policy.text if path is None else policy.between(path.first, path.last)
        yield policy.at(token, f"`{used}` may be missing; say `{base} has {inner}` first")


def _rules(policies: Sequence[PolicyText]) -> tuple[list[str], list[Diagnostic]]:
    """The rule name of each policy, and what is wrong with the names."""
    rules: list[str] = []
    taken = {DEFAULT_ALLOW: "names the default decision", DEFAULT_DENY: "names the default decision"}
    mistakes: list[Diagnostic] = []
    for policy in policies:
        found = policy.annotation("id")
        rule, token = found or (f"{policy.file.name}#{policy.number}", policy.tokens[0])
        if not rule:
            mistakes.append(policy.at(token, 'this @id is empty; write @id("a-name")'))
        elif rule in taken:
            mistakes.append(policy.at(token, f"{rule!r} {taken[rule]}; each policy needs an @id of its own"))
        taken[rule] = "is the @id of an earlier policy"
        rules.append(rule)
    return rules, mistakes


def _named_in(policy: PolicyText, message: str) -> Token | None:
    """The token that an engine's message quotes or ends with."""
    quoted: list[str] = re.findall(r"`([^`]+)`", message)
    words = quoted or message.rpartition(": ")[2:]
    for word in words:
        if token := policy.find(word) or policy.find(word.rpartition("::")[2]):
            return token
    return None


def _effect(policy: PolicyText) -> Token:
    return policy.find("permit") or policy.find("forbid") or policy.tokens[0]


def _quoted(token: Token) -> str:
    return token.text if token.kind == "string" else f"`{token.text}`"


def _meant(word: str) -> str:
    """``; did you mean …?`` for a misspelt word of the language or the schema."""
    if word in _WORDS or not word.isidentifier():
        return ""
    if same := next((known for known in _WORDS if known.lower() == word.lower()), None):
        return f"; did you mean `{same}`?"
    near = difflib.get_close_matches(word, _WORDS, 1, 0.7)
    return f"; did you mean `{near[0]}`?" if near else ""
