"""The tokens of one request: looked for, judged, taken off and told of, as Envoy's JWT filter does for istiod.

Each rule is a provider of that filter. One that finds several tokens wants all of them to be good. The first rule whose
tokens are good decides; if none is, the request is refused unless no rule has found any token (istiod's "any of them,
or each of them or none", policy_applier.go). What a good token says is written into header fields, which are taken
from nobody else, and the token is taken off unless it is to be forwarded.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from meshsim.identity.token_check import (
    ABSENT,
    Keys,
    Lookup,
    TokenRules,
    TokenVerdict,
    judge,
    judge_text,
)
from meshsim.identity.token_places import Fields, found, joined, taken_off
from meshsim.identity.tokens import Token, base64url
from meshsim.scenario.token_reasons import MISSING, UNKNOWN_ISSUER

_NONE_THERE: Final = "none"


class Checked(msgspec.Struct, frozen=True):
    """One token that was judged."""

    token: Token | None
    """None for a text of which no facts are known."""
    rules: TokenRules
    """By which it was judged."""
    verdict: TokenVerdict


class Inspection(msgspec.Struct, frozen=True, gc=False):
    """What came of the tokens of a request."""

    verdict: TokenVerdict
    """What is decided: the reason of a refusal, or claims."""
    checked: tuple[Checked, ...]
    """Each token that was judged, in order."""
    headers: Fields
    """Header fields as the workload and policies see them."""
    target: str
    """Path and query, likewise."""


class TokenSearch:
    """Looks for the tokens of requests by one listener's rules."""

    def __init__(self, rules: TokenRules) -> None:
        self.rules = rules
        self._parts = [(one, msgspec.structs.replace(rules, accepted=one.accepted, lookups=())) for one in rules.looked]

    @property
    def is_usual(self) -> bool:
        """Whether tokens are looked for at the usual places, taken off, and told of nowhere."""
        return len(self._parts) == 1 and self._parts[0][0].is_usual

    @property
    def names(self) -> tuple[str, ...]:
        """The RequestAuthentications whose rules these are."""
        return tuple(dict.fromkeys(lookup.name for lookup, _ in self._parts if lookup.name))

    def look(
        self, headers: Fields, target: str, known: dict[str, Token], clock_s: int, thumbprint: str, keys: Keys
    ) -> Inspection:
        """Judge what a request carries; ``known``: the facts of tokens by their text."""
        one = _Look(joined(headers), target, lambda text, rules: _judge(text, rules, known, clock_s, thumbprint, keys))
        verdict = one.decide(self._parts)
        if verdict is ABSENT and self.rules.required:
            verdict = TokenVerdict(MISSING, "", "")
        return Inspection(verdict, tuple(one.checked), one.headers, one.target)


def _judge(text: str, rules: TokenRules, known: dict[str, Token], clock_s: int, thumbprint: str, keys: Keys) -> Checked:
    token = known.get(text)
    if token is None:
        return Checked(None, rules, judge_text(text, rules, clock_s, thumbprint, keys))
    return Checked(token, rules, judge(token, rules, clock_s, thumbprint, keys))


class _Look:
    """One request while it is looked at."""

    def __init__(self, headers: Fields, target: str, judged: Callable[[str, TokenRules], Checked]) -> None:
        self.headers = headers
        self.target = target
        self.checked: list[Checked] = []
        self._judged = judged
        self._claims = ""

    def decide(self, parts: list[tuple[Lookup, TokenRules]]) -> TokenVerdict:
        """The verdict on the request."""
        written = frozenset(name for lookup, _ in parts for name in lookup.writes)
        self.headers = tuple(field for field in self.headers if field[0] not in written)
        reasons = []
        for lookup, rules in parts:
            reason = self._verify(lookup, rules)
            if not reason:
                return self._accepted()
            reasons.append((reason, lookup))
        if len(parts) > 1:
            reasons.append(self._each_or_none(parts))
            if not reasons[-1][0]:
                return self._accepted()
        final = the_reason(reason for reason, _ in reasons)
        by = tuple(dict.fromkeys(lookup.name for reason, lookup in reasons if reason == final and lookup.name))
        return TokenVerdict(final, "", "", by=by) if final else ABSENT

    def _accepted(self) -> TokenVerdict:
        return TokenVerdict("", "", self._claims) if self._claims else ABSENT

    def _each_or_none(self, parts: list[tuple[Lookup, TokenRules]]) -> tuple[str, Lookup]:
        for lookup, rules in parts:
            reason = self._verify(lookup, rules)
            if reason not in ("", _NONE_THERE):
                return reason, lookup
        return "", parts[0][0]

    def _verify(self, lookup: Lookup, rules: TokenRules) -> str:
        """Judge what one rule finds, the last of it first; return why it is refused, empty if all of it is good."""
        self.headers = tuple(field for field in self.headers if field[0] not in lookup.writes)
        there = list(found(lookup.places, self.headers, self.target))
        if not there:
            return _NONE_THERE
        for place, text in reversed(there):
            checked = self._judged(text, rules)
            self.checked.append(checked)
            if checked.verdict.reason:
                return checked.verdict.reason
            self._claims = checked.verdict.claims
            self.headers = (*self.headers, *told(lookup, self._claims, text))
            if not lookup.forward:
                self.headers, self.target = taken_off(place, self.headers, self.target)
        return ""


def the_reason(reasons: Iterable[str]) -> str:
    """Why a request is refused that several rules refuse, each for a reason of its own; empty if none found a token."""
    final = _NONE_THERE
    for reason in reasons:
        if reason not in (_NONE_THERE, UNKNOWN_ISSUER) or final == _NONE_THERE:
            final = reason
    return "" if final == _NONE_THERE else final


def told(lookup: Lookup, claims: str, text: str = "") -> Fields:
    """The header fields that a rule writes of an accepted token; without its text, as long as it would be."""
    fields = []
    if lookup.payload_header:
        canonical = json.dumps(json.loads(claims), sort_keys=True, separators=(",", ":"))
        payload = next(part for part in text.split(".")[1:] if part) if text else base64url(canonical.encode())
        fields.append((lookup.payload_header, payload))
    if lookup.claim_headers:
        whole = json.loads(claims)
        for header, claim in lookup.claim_headers:
            value = _written(_claim(whole, claim))
            if value:
                fields.append((header, value))
    return tuple(fields)


def _claim(claims: dict[str, Any], name: str) -> Any:
    """A claim by its name, in which dots lead into mappings."""
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _written(value: Any) -> str:
    """A claim as a header field has it: lists and mappings as JSON in base64; of nothing it has none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
        # As protobuf writes JSON; in which order it has the keys of a mapping is left open there.
        return base64.b64encode(text.replace("<", "\\u003c").replace(">", "\\u003e").encode()).decode()
    if isinstance(value, int | float):
        number = float(value)  # Envoy keeps numbers as doubles
        return str(int(number)) if 0 <= number < 2**64 and number == int(number) else f"{number:f}"
    return ""
