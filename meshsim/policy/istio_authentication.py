"""RequestAuthentication: which tokens a workload accepts, and what of a token its policies see.

A request without a token is let through without claims. One whose token is from an issuer, or for an audience, that no
rule for the workload names is refused before any policy is looked at. Signatures and times are checked before a
question is asked, by the same rules (``identity/token_check.py``): a question carries the claims of valid tokens only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from meshsim.policy.istio_scope import read_scope
from meshsim.policy.istio_types import JwtRule, RequestAuthentication
from meshsim.policy.question import Decision, token_refusal
from meshsim.scenario.key_set import read_key_set
from meshsim.scenario.manifest_reader import Manifest, Value
from meshsim.scenario.token_reasons import UNKNOWN_ISSUER, WRONG_AUDIENCE
from meshsim.scenario.words import show

SPACE_DELIMITED = ("permission", "scope")
"""Claims whose text is always taken for a list of words, as Istio configures Envoy."""

_RULE = (
    *("issuer", "audiences", "jwksUri", "jwks_uri", "jwks", "fromHeaders", "fromParams", "fromCookies"),
    *("outputPayloadToHeader", "forwardOriginalToken", "outputClaimToHeaders", "timeout", "spaceDelimitedClaims"),
)
_FIELD_NAME = re.compile(r"[-_A-Za-z0-9]+")
_DURATION = re.compile(r"([0-9]+(\.[0-9]+)?(h|m|s|ms|us|ns))+")


def read_authentication(manifest: Manifest) -> RequestAuthentication:
    """A RequestAuthentication; mistakes are noted where the manifest notes its own."""
    manifest.body("spec", "status")
    spec = manifest.spec.fields("selector", "targetRef", "targetRefs", "jwtRules")
    written = spec["jwtRules"].items() if "jwtRules" in spec else []
    name = f"ns[{manifest.namespace}]-requestauthentication[{manifest.name}]"
    return RequestAuthentication(
        name=name,
        scope=read_scope(manifest, spec),
        rules=tuple(_rule(value, name) for value in written),
        place=manifest.whole.place,
    )


def _rule(value: Value, name: str) -> JwtRule:
    fields = value.fields(*_RULE)
    texts = {
        key: fields[key].text()
        for key in ("issuer", "jwksUri", "jwks_uri", "jwks", "outputPayloadToHeader")
        if key in fields
    }
    jwks_uri = texts.get("jwksUri") or texts.get("jwks_uri", "")
    if isinstance(value.data, dict) and not texts.get("issuer") and not jwks_uri:
        value.wrong("the rule has neither issuer nor jwksUri; expected the issuer of the tokens that are accepted")
    if jwks_uri and not re.fullmatch(r"https?://[^/:\s]+(:[0-9]+)?(/\S*)?", jwks_uri):
        fields.get("jwksUri", fields.get("jwks_uri", value)).wrong(
            f"{show(jwks_uri)} is no address of a key set; expected one with http:// or https://"
        )
    if texts.get("jwks"):
        _check_key_set(fields["jwks"])
    if "timeout" in fields:
        given = fields["timeout"].data
        if not isinstance(given, str) or not _DURATION.fullmatch(given):
            fields["timeout"].wrong(f"{show(given)} is no duration; expected one such as '5s'")
    return JwtRule(
        issuer=texts.get("issuer", ""),
        audiences=_texts(fields.get("audiences")),
        jwks_uri=jwks_uri,
        jwks=texts.get("jwks", ""),
        from_headers=_pairs(fields.get("fromHeaders"), "name", "prefix"),
        from_params=_texts(fields.get("fromParams")),
        from_cookies=_texts(fields.get("fromCookies")),
        forward="forwardOriginalToken" in fields and fields["forwardOriginalToken"].flag(),
        output_payload_to_header=texts.get("outputPayloadToHeader", "").lower(),
        output_claims_to_headers=_pairs(fields.get("outputClaimToHeaders"), "header", "claim"),
        space_delimited_claims=_texts(fields.get("spaceDelimitedClaims")),
        place=value.place,
        name=name,
    )


def _check_key_set(value: Value) -> None:
    try:
        read_key_set(value.data)
    except ValueError as error:
        value.wrong(f"'jwks' {error}")


def _texts(value: Value | None) -> tuple[str, ...]:
    found = value.texts() if value is not None else []
    for item in found:
        if not item.data:
            item.wrong(f"{item.name} is empty; expected text")
    return tuple(item.data for item in found)


def _pairs(value: Value | None, first: str, second: str) -> tuple[tuple[str, str], ...]:
    """Entries of a list of mappings with a header field, and a prefix that may be left out or a claim."""
    pairs = []
    for item in value.items() if value is not None else []:
        fields = item.fields(first, second)
        texts = {key: field.text() for key, field in fields.items()}
        for key in (first, second):
            if not texts.get(key) and key != "prefix" and isinstance(item.data, dict):
                fields.get(key, item).wrong(f"{item.name} has no {key}; expected one")
        if texts.get(first) and not _FIELD_NAME.fullmatch(texts[first]):
            fields[first].wrong(f"{show(texts[first])} is no name of a header field; expected one such as 'x-token'")
        pairs.append((texts.get(first, "").lower(), texts.get(second, "")))
    return tuple(pairs)


class Tokens:
    """What the rules for one workload make of the claims of a token."""

    def __init__(self, authentications: Sequence[RequestAuthentication]) -> None:
        self.names = tuple(one.name for one in authentications)
        rules = (rule for one in authentications for rule in one.rules)
        self.rules = tuple(sorted(rules, key=lambda rule: rule.issuer))
        """In the order in which they are tried, which istiod has by their issuers."""
        self._seen: dict[str, Mapping[str, Any] | Decision] = {}

    def seen(self, claims: str) -> Mapping[str, Any] | Decision:
        """The claims that policies see; the decision if the token is refused."""
        if not claims or not self.names:
            return claims_of(claims, SPACE_DELIMITED)
        if claims not in self._seen:
            self._seen[claims] = self._accepted(claims)
        return self._seen[claims]

    @property
    def has_rules(self) -> bool:
        """Whether any token is looked at."""
        return bool(self.rules)

    def _accepted(self, claims: str) -> Mapping[str, Any] | Decision:
        plain = claims_of(claims, ())
        if not self.rules:  # without rules no token is looked at
            return MappingProxyType({})
        listed = plain.get("aud", [])
        audiences = {_audience(one) for one in (listed if isinstance(listed, list) else [listed])}
        known = [rule for rule in self.rules if rule.issuer in ("", plain.get("iss"))]
        for rule in known:
            if not rule.audiences or not audiences.isdisjoint(map(_audience, rule.audiences)):
                return claims_of(claims, (*SPACE_DELIMITED, *rule.space_delimited_claims))
        by = dict.fromkeys(rule.name for rule in known or self.rules)
        return token_refusal(WRONG_AUDIENCE if known else UNKNOWN_ISSUER, tuple(by))


def _audience(value: object) -> str:
    """An audience as Envoy compares it: without http:// or https://, and without a slash at the end."""
    return re.sub("^https?://", "", str(value)).removesuffix("/")


@lru_cache(maxsize=4096)
def claims_of(text: str, space_delimited: tuple[str, ...]) -> Mapping[str, Any]:
    """The claims of a token from their JSON text; those of ``space_delimited`` that are texts, as lists of words."""
    claims: dict[str, Any] = json.loads(text) if text else {}
    for name in space_delimited:
        if isinstance(claims.get(name), str):
            claims[name] = [word for word in claims[name].split(" ") if word]
    return MappingProxyType(claims)
