"""The constants of Cedar policies.

A literal is held against every attribute of its kind that the same policy names, not only the one beside it: that makes
classes that need not be, and never misses one. Cedar compares text with ``==`` and ``like`` alone, so the classes are
exact; what is computed from numbers before they are compared, or compared with another attribute, is not followed, and
said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from meshsim.inquiry.checks import METHODS
from meshsim.inquiry.constants import NUMBER_ATTRIBUTES, OTHER_CLAIM, TEXT_ATTRIBUTES, Constants, header
from meshsim.inquiry.patterns import ANY, SEGMENT, Pattern, exactly
from meshsim.policy.cedar_text import PolicyText, Token, split
from meshsim.policy.cedar_vocabulary import QUESTION_ATTRIBUTES, Claims, Path, paths, vocabulary
from meshsim.policy.engine import PolicyFile

_LISTED = ("Slice", "Site", "Node", "Action")
_COMPUTED = ("offset", "durationSince", "toDate", "toTime", "toMilliseconds", "toSeconds", "toMinutes", "toHours")
_COMPARED = ("==", "!=", "<", "<=", ">", ">=", "like")
_WORDS = ("if", "then", "else", "in", "is", "has", "like")
"""What stands before a bracket or parenthesis without being called or looked into."""
_RANGES = {
    **dict.fromkeys(("isIpv4", "isIpv6"), ("::/0",)),
    "isLoopback": ("127.0.0.0/8", "::1/128"),
    "isMulticast": ("224.0.0.0/4", "ff00::/8"),
}
"""Function → the blocks of addresses that it tells from others."""
_IDENTITY: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "spiffe_id": ((), ()),
    "namespace": ((*"spiffe://", SEGMENT, *"/ns/"), (*"/sa/", SEGMENT)),
    "service_account": ((*"spiffe://", SEGMENT, *"/ns/", SEGMENT, *"/sa/"), ()),
}
"""Attribute of the principal that is part of its SPIFFE ID → what stands before it there, and behind it."""
_SETTLED = {
    **dict.fromkeys(("name", "labels", "trust_domain"), "principal"),
    **dict.fromkeys(("mutual", "port", "sni"), "context"),
}
"""Attributes that are known of a caller and of a port that is called, whatever else is asked, and whose they are."""
_OF_CALLED = (["resource", "=="], ["resource", "!="], ["resource", "in"])
_ESCAPES = re.compile(r"\\(u\{[0-9a-fA-F]+\}|x[0-9a-fA-F]{2}|.)|(\*)|([^\\*]+)", re.DOTALL)
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_DURATION = re.compile(r"(-?)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")


def read(files: Sequence[PolicyFile]) -> Constants:
    """Read the constants of policies that the engine has accepted."""
    constants = Constants(identities=True)
    for file in files:
        for policy in split(file)[0]:
            _read_policy(policy, constants)
    return constants


def _read_policy(policy: PolicyText, constants: Constants) -> None:
    for kind, name, _ in policy.entities():
        if kind in _LISTED:
            constants.names.add(_unescaped(name))
        elif kind == "Workload":
            constants.principals.add(_unescaped(name))
    used = [path.names[1:] for path in paths(policy.tokens) if path.names[0] == "context" and len(path.names) > 1]
    attributes = {QUESTION_ATTRIBUTES.get(names[0], names[0]) for names in used}
    if "method" in attributes:  # any comparison: each method by itself
        constants.names.update(METHODS, ("".join(one.pieces) for one in _patterns(policy) if one.exact))
    texts = [
        *attributes.intersection(TEXT_ATTRIBUTES),
        *(header(names[1]) for names in used if names[0] == "headers" and names[1:]),
    ]
    constants.add_text(texts, _patterns(policy))
    numbers = set(_numbers(policy))
    constants.add_numbers(attributes.intersection(NUMBER_ATTRIBUTES), numbers)
    constants.addresses.update(_arguments(policy, "ip"))
    for token in policy.tokens:
        constants.addresses.update(_RANGES.get(token.text, ()) if token.kind == "word" else ())
    _read_identities(policy, constants)
    if next(_beside(policy), None) is not None:
        constants.approximate.add("policies compare attributes with each other; not all that they can be is tried")
    plain = {"".join(pattern.pieces) for pattern in _patterns(policy) if pattern.exact}
    claims = vocabulary([policy]).claims
    _read_claims(claims, (), plain, numbers, constants)
    for path in _texts_in(claims, ()):
        constants.claim_texts.setdefault(path, set()).update(_patterns(policy))
    if _is_in(claims, "Long") and any(token.text in ("+", "-", "*") for token in policy.tokens):
        constants.approximate.add("policies compute with claims; only literal bounds are tried")
    if attributes.intersection(NUMBER_ATTRIBUTES):
        for token in policy.tokens:
            if (token.kind == "word" and token.text in _COMPUTED) or token.text in ("+", "-", "*"):
                constants.approximate.add(f"policies compute with times ({token.text}); only literal bounds are tried")


def _read_claims(
    claims: Claims, above: tuple[str, ...], texts: set[str], numbers: set[int], constants: Constants
) -> None:
    for name, kind in claims.items():
        path = (*above, name)
        if isinstance(kind, dict):
            _read_claims(kind, path, texts, numbers, constants)
        elif kind == "Long":
            constants.add_claims([path], (near for number in numbers for near in (number - 1, number, number + 1)))
        elif kind == "Bool":
            constants.add_claims([path], (True, False))
        elif kind == "Set<String>":
            constants.add_claims([path], [(), *((text,) for text in texts), tuple(sorted(texts)), (OTHER_CLAIM,)])
            constants.add_claims([path], [(text, OTHER_CLAIM) for text in texts])
            constants.set_claims.add(path)
        else:
            constants.add_claims([path], [*texts, OTHER_CLAIM])
        if above and isinstance(kind, str):
            # Of another type it is not there, and the claim that it is in is there without it.
            constants.add_claims([path], [OTHER_CLAIM if kind in ("Long", "Bool") else True])


def _texts_in(claims: Claims, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Paths of the claims that are text."""
    for name, kind in claims.items():
        if isinstance(kind, dict):
            yield from _texts_in(kind, (*above, name))
        elif kind == "String":
            yield (*above, name)


def _is_in(claims: Claims, wanted: str) -> bool:
    """Whether some claim is of a type."""
    return any(_is_in(kind, wanted) if isinstance(kind, dict) else kind == wanted for kind in claims.values())


def _read_identities(policy: PolicyText, constants: Constants) -> None:
    """Read what is told of principals whom no policy names: by parts of their SPIFFE IDs, and by namespaces."""
    used = {path.names[1] for path in paths(policy.tokens) if path.names[0] == "principal" and len(path.names) > 1}
    found = [(name, pattern) for name in used for pattern in _patterns(policy)]
    tokens = policy.tokens
    for index, (kind, colons, name) in enumerate(zip(tokens, tokens[1:], tokens[2:], strict=False)):
        of_resource = [token.text for token in tokens[max(index - 2, 0) : index]] == ["resource", "in"]
        if kind.text == "Namespace" and colons.text == "::" and name.kind == "string" and not of_resource:
            found.append(("namespace", exactly(_unescaped(name.text[1:-1]))))
    if any(set(pattern.pieces) <= {ANY} for _, pattern in found):
        # As empty text stands what an identity has not that is no service account's.
        found += [(name, Pattern((SEGMENT,))) for name in ("namespace", "service_account")]
    for attribute, pattern in found:
        if attribute in _IDENTITY:
            before, behind = _IDENTITY[attribute]
            constants.principal_patterns.add(Pattern((*before, *pattern.pieces, *behind)))
    constants.workloads |= not used.isdisjoint(("name", "labels")) or _names_callers(tokens)


def _names_callers(tokens: Sequence[Token]) -> bool:
    """Whether services or fleets are named of which callers may be, and not only the called service."""
    for index, (kind, colons) in enumerate(pairwise(tokens)):
        before = [token.text for token in tokens[max(index - 2, 0) : index]]
        if colons.text == "::" and kind.text in ("Service", "Fleet") and before not in _OF_CALLED:
            return True
    return False


def _beside(policy: PolicyText) -> Iterator[Path]:
    """Attributes that are compared with others, or given to functions, sets and records."""
    tokens, found = policy.tokens, [*paths(policy.tokens)]
    for path in found:
        first, last = _grouped(tokens, path)
        before, after = tokens[first - 1].text, tokens[last + 1].text
        if (path.names == ("context",) and not path.tested) or (before in ("[", ",", ":") and path.names[1:]):
            yield path
        elif before == "(" and after == ")":
            if not _is_literal(tokens, first - 4):
                yield path
        elif first < path.first and (before in _COMPARED or after in _COMPARED):
            yield path
        elif before in ("then", "else"):
            if after not in (*_COMPARED, ".", "has", "in", "is", "&&", "||"):
                yield path
        elif after in _COMPARED:
            other = next((one for one in found if one.first == last + 2), None)
            if other is not None and not (_is_settled(path) and _is_settled(other)):
                yield path


def _grouped(tokens: Sequence[Token], path: Path) -> tuple[int, int]:
    """The first and last token of an attribute with the parentheses around it alone, those of a call left out."""
    first, last = path.first, path.last
    while (tokens[first - 1].text, tokens[last + 1].text) == ("(", ")"):
        before = tokens[first - 2]
        if before.kind == "word" and before.text not in _WORDS:
            break
        first, last = first - 1, last + 1
    return first, last


def _is_literal(tokens: Sequence[Token], last: int) -> bool:
    """Whether what ends at a token, and is asked about an attribute, is a list or a constant of an own type."""
    begun = [token.text for token in tokens[max(last - 3, 0) : last - 1]]
    return tokens[last].text == "]" or (tokens[last - 1].kind == "string" and begun[:1] == ["ip"])


def _is_settled(path: Path) -> bool:
    """Whether an attribute is known of a caller, a port or a service, whatever else is asked."""
    return path.names[0] == "resource" or _SETTLED.get("".join(path.names[1:2])) == path.names[0]


def _strings(policy: PolicyText) -> Iterator[tuple[Token, Token]]:
    """Each string that is a value, with the token before it: no annotation, entity, attribute or argument."""
    tokens = policy.tokens
    begin = next(index for index, token in enumerate(tokens) if token.text in ("permit", "forbid"))
    for index in range(begin + 1, len(tokens)):
        token, before = tokens[index], tokens[index - 1]
        owner = tokens[index - 2]
        attribute = before.text == "[" and owner.kind in ("word", "string") and owner.text not in _WORDS
        argument = before.text == "(" and tokens[index - 2].text in ("ip", "datetime", "duration", "decimal")
        if token.kind == "string" and before.text not in ("::", "has") and not attribute and not argument:
            yield token, before


def _patterns(policy: PolicyText) -> Iterator[Pattern]:
    for token, before in _strings(policy):
        text = token.text[1:-1]
        yield _like(text) if before.text == "like" else exactly(_unescaped(text))


def _like(text: str) -> Pattern:
    """The pattern of a ``like``, in which ``*`` is any characters, and a star behind a backslash is a star."""
    pieces: list[str] = []
    for escaped, star, plain in _ESCAPES.findall(text):
        pieces += [ANY] if star else list(plain) if plain else [_character(escaped)]
    return Pattern(tuple(pieces))


def _unescaped(text: str) -> str:
    return "".join(
        star + plain if star or plain else _character(escaped) for escaped, star, plain in _ESCAPES.findall(text)
    )


def _character(escaped: str) -> str:
    if escaped[0] == "u" and len(escaped) > 1:
        return chr(int(escaped[2:-1], 16))
    if escaped[0] == "x" and len(escaped) > 1:
        return chr(int(escaped[1:], 16))
    return _PLAIN.get(escaped, escaped)


def _numbers(policy: PolicyText) -> Iterator[int]:
    """Whole numbers, durations in seconds, instants in seconds since the epoch."""
    for token in policy.tokens:
        if token.kind == "number":
            yield int(token.text)
    for text in _arguments(policy, "duration"):
        if found := _DURATION.fullmatch(text):
            days, hours, minutes, seconds, _ = (int(part or 0) for part in found.groups()[1:])
            yield (-1 if found[1] else 1) * (((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    for text in _arguments(policy, "datetime"):
        moment = datetime.fromisoformat(text)
        yield int((moment if moment.tzinfo else moment.fromisoformat(f"{text}T00:00:00Z")).timestamp())


def _arguments(policy: PolicyText, function: str) -> Iterator[str]:
    """The text in each ``function("text")``."""
    for name, bracket, text in zip(policy.tokens, policy.tokens[1:], policy.tokens[2:], strict=False):
        if name.text == function and bracket.text == "(" and text.kind == "string":
            yield json.loads(text.text)
