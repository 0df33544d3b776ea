"""Whether a verifier accepts a token: predicted from facts, and found out for real by PyJWT.

The order of the checks is that of Envoy's JWT filter (authenticator.cc): a token is there, is one at all, signed by an
algorithm for that, of a known issuer, of this time, for this audience, by that issuer's algorithm and key (one in the
verifier's bundle, where the issuer is a trust domain's), and presented with the certificate that it is bound to. The
first to fail is the reason; what fails before a key is tried costs no check of a signature.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from meshsim.identity.key_sets import is_signed, standing, verify_by
from meshsim.identity.token_places import DEFAULT_PLACES, Place
from meshsim.identity.token_reading import Reading, read_token
from meshsim.identity.tokens import KEY_TYPES, Issuer, Token, kid_of, public_pem
from meshsim.scenario.key_set import FAMILIES
from meshsim.scenario.token_reasons import (
    BAD_SIGNATURE,
    EXPIRED,
    MISSING,
    NOT_BOUND,
    NOT_YET_VALID,
    OTHER_CERTIFICATE,
    UNKNOWN_ISSUER,
    UNKNOWN_KEY,
    WRONG_ALGORITHM,
    WRONG_AUDIENCE,
)

_SCHEME: Final = re.compile(r"^https?://")
_AFTER_A_KEY: Final = frozenset({"", BAD_SIGNATURE, NOT_BOUND, OTHER_CERTIFICATE})
"""What comes of a token whose signature was checked."""
_CHARGED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RS256"),
    **dict.fromkeys(("ES384", "ES512"), "ES384"),
    "ES256": "ES256",
    "EdDSA": "EdDSA",
}
"""Whose cost the check of a signature has, by algorithm: that of the nearest key that costs are known of. Of shared
secrets it is nothing to speak of."""


class Accepted(msgspec.Struct, frozen=True):
    """One issuer whose tokens a listener accepts."""

    issuer: Issuer
    audiences: tuple[str, ...]
    """One of these must be among the token's; empty: any will do."""
    jwks: str = ""
    """Key set of the rule, as JSON; empty if it brings none."""
    has_key: bool = True
    """Whether the verifier has the key of the issuer, beside those of ``jwks``."""

    @property
    def is_foreign(self) -> bool:
        """Whether nothing is known of the issuer but what the rule says; with an empty ``iss`` it may be any."""
        return not self.issuer.name

    def is_meant(self, audiences: Iterable[str]) -> bool:
        """Say whether a token for these audiences is for this listener."""
        return not self.audiences or are_meant(audiences, self.audiences)


def are_meant(audiences: Iterable[str], accepted: Iterable[str]) -> bool:
    """Say whether one of the audiences of a token is one that is accepted."""
    return not set(map(_audience, accepted)).isdisjoint(map(_audience, audiences))


def _audience(text: str) -> str:
    """An audience as Envoy compares it: without http:// or https:// once, and without a slash at the end."""
    return _SCHEME.sub("", text).removesuffix("/")


class Lookup(msgspec.Struct, frozen=True):
    """One rule for tokens: where they are looked for, whose are accepted there, and what becomes of them."""

    accepted: tuple[Accepted, ...] = ()
    """Empty where nobody here has a key whose tokens it accepts."""
    places: tuple[Place, ...] = DEFAULT_PLACES
    forward: bool = False
    """Whether an accepted token goes on to the workload, and is seen by policies."""
    payload_header: str = ""
    """Header field into which its claims are written, in base64url; empty for none."""
    claim_headers: tuple[tuple[str, str], ...] = ()
    """Header fields, and the claim that is written into each."""
    issuer: str = ""
    """What ``iss`` has to be of one that is accepted; empty for any of ``accepted``."""
    audiences: tuple[str, ...] = ()
    name: str = ""
    """Name of the RequestAuthentication that it is from; empty for a service's own settings."""

    @property
    def writes(self) -> frozenset[str]:
        """Names of the header fields that it writes, and that are taken from nobody else."""
        names = [name for name, _ in self.claim_headers]
        return frozenset([*names, self.payload_header] if self.payload_header else names)

    @property
    def is_usual(self) -> bool:
        """Whether it looks at the usual places, takes tokens off, and tells of them nowhere."""
        return self.places == DEFAULT_PLACES and not self.forward and not self.writes


class TokenRules(msgspec.Struct, frozen=True):
    """Which tokens a listener accepts."""

    accepted: tuple[Accepted, ...]
    """Those of the same issuer have the same key; one of them must take the audience."""
    required: bool
    binding: str
    """ignored, checked or required."""
    leeway_s: int
    lookups: tuple[Lookup, ...] = ()
    """Empty: one at the usual places for all that is accepted."""
    blind: frozenset[int] = frozenset()
    """Ports on which nobody looks, since Envoy sees no requests there."""
    past: frozenset[str] = frozenset()
    """SPIFFE IDs of callers at whose tokens nobody looks, since they go past the waypoint that does; the empty one
    stands for who proves none."""

    @property
    def looked(self) -> tuple[Lookup, ...]:
        """The rules by which tokens are looked for."""
        return self.lookups or (Lookup(self.accepted),)


class TokenVerdict(msgspec.Struct, frozen=True, gc=False):
    """What came of the token of one request."""

    reason: str
    """Why it is refused, one of ``token_reasons.REASONS``; empty if it is accepted or not there."""
    algorithm: str
    """Algorithm of the signature that was checked; empty where it did not come to that."""
    claims: str
    """Claims as canonical JSON; empty without an accepted token."""
    keys: frozenset[str] = frozenset()
    """Keys of the issuer that the verifier had, where those are in the bundle of a trust domain."""
    by: tuple[str, ...] = ()
    """Names of the RequestAuthentications that refuse it; empty where a service's own settings do."""


ABSENT: Final = TokenVerdict("", "", "")


Keys = Callable[[str], frozenset[str]]
"""Which keys of its token issuers the bundle has that a verifier holds of a trust domain, by ``Authority.id``."""


def no_keys(_trust_domain: str) -> frozenset[str]:
    """Return the keys of a verifier that has no bundle of any other trust domain."""
    return frozenset()


def judge(token: Token | None, rules: TokenRules, clock_s: int, thumbprint: str, keys: Keys = no_keys) -> TokenVerdict:
    """Predict the verdict on a token presented with the certificate of this ``thumbprint`` (empty: with none)."""
    if token is None:
        return TokenVerdict(MISSING, "", "") if rules.required else ABSENT
    if token.algorithm not in FAMILIES:
        return TokenVerdict(WRONG_ALGORITHM, "", "")
    accepted = _accepting(rules, token.iss)
    if not accepted:
        return TokenVerdict(UNKNOWN_ISSUER, "", "")
    one, issuer = accepted[0], accepted[0].issuer
    if one.is_foreign:
        return judge_text(token.text, rules, clock_s, thumbprint, keys)
    if clock_s + rules.leeway_s < token.not_before_s:
        return TokenVerdict(NOT_YET_VALID, "", "")
    if clock_s - rules.leeway_s >= token.expires_s:
        return TokenVerdict(EXPIRED, "", "")
    if not any(one.is_meant(token.audiences) for one in accepted):
        return TokenVerdict(WRONG_AUDIENCE, "", "")
    known = frozenset[str]()
    if not one.has_key:
        refused = standing(issuer.keyed(token.key), token.algorithm, one.jwks)
        if refused:
            return TokenVerdict(refused, issuer.algorithm if refused == BAD_SIGNATURE else "", "")
    elif token.algorithm != issuer.algorithm:
        return TokenVerdict(WRONG_ALGORITHM, "", "")
    elif issuer.trust_domain:
        known = keys(issuer.trust_domain)
        if token.key not in known:
            return TokenVerdict(UNKNOWN_KEY, "", "", known)
    reason = ""
    if not token.genuine:
        reason = BAD_SIGNATURE
    elif rules.binding == "required" and not token.thumbprint:
        reason = NOT_BOUND
    elif rules.binding != "ignored" and token.thumbprint and token.thumbprint != thumbprint:
        reason = OTHER_CERTIFICATE
    return TokenVerdict(reason, issuer.algorithm, "" if reason else token.claims, known)


def _accepting(rules: TokenRules, iss: object) -> list[Accepted]:
    """Those by which tokens with this ``iss`` are judged."""
    named = [one for one in rules.accepted if one.issuer.iss == iss and iss]
    return named or [one for one in rules.accepted if not one.issuer.iss]


def judge_text(text: str, rules: TokenRules, clock_s: int, thumbprint: str, keys: Keys = no_keys) -> TokenVerdict:
    """Judge what a workload wrote into ``authorization`` itself: of that no facts are known, so that PyJWT reads it."""
    read = read_token(text)
    reason = verify(text, rules, clock_s, thumbprint, keys)
    if isinstance(read, str) or reason not in _AFTER_A_KEY:
        return TokenVerdict(reason, "", "")
    shown = "" if reason else json.dumps(read.claims, sort_keys=True, separators=(",", ":"))
    return TokenVerdict(reason, _CHARGED.get(read.algorithm, ""), shown)


def verify(text: str, rules: TokenRules, clock_s: int, thumbprint: str, keys: Keys = no_keys) -> str:
    """Find out the reason to refuse the text of a token, or an empty string: PyJWT judges its signature.

    It is asked for nothing else, as it would read the wall clock: the times are held against ``clock_s`` here.
    """
    read = read_token(text)
    if isinstance(read, str):
        return read
    accepted = _accepting(rules, read.iss)
    if not accepted:
        return UNKNOWN_ISSUER
    if clock_s + rules.leeway_s < read.not_before_s:
        return NOT_YET_VALID
    if read.expires_s and clock_s - rules.leeway_s >= read.expires_s:
        return EXPIRED
    if not any(one.is_meant(read.audiences) for one in accepted):
        return WRONG_AUDIENCE
    one = accepted[0]
    reason = _by_own_key(read, one.issuer, keys) if one.has_key else UNKNOWN_KEY
    if one.jwks and reason:
        by_set = verify_by(one.jwks, read)
        if not by_set or not one.has_key:
            reason = by_set
    return reason or _binding(read.claims, rules, thumbprint)


def _by_own_key(read: Reading, issuer: Issuer, keys: Keys) -> str:
    """Why the signature of a token is refused that should be by a key of this issuer; empty if it is by one."""
    if read.algorithm != issuer.algorithm:
        return WRONG_ALGORITHM
    if issuer.trust_domain:
        signing = {kid_of(one): one for one in map(issuer.keyed, keys(issuer.trust_domain))}
        if read.kid not in signing:
            return UNKNOWN_KEY
        issuer = signing[read.kid]
    return "" if is_signed(read, public_pem(issuer)) else BAD_SIGNATURE


def _binding(claims: Mapping[str, Any], rules: TokenRules, thumbprint: str) -> str:
    confirmation = claims.get("cnf")
    bound_to = confirmation.get("x5t#S256", "") if isinstance(confirmation, dict) else ""
    if rules.binding == "required" and not bound_to:
        return NOT_BOUND
    if rules.binding != "ignored" and bound_to and bound_to != thumbprint:
        return OTHER_CERTIFICATE
    return ""


def verify_operation(algorithm: str) -> str:
    """The operation of a cost profile that checking a signature of this algorithm is."""
    return f"{KEY_TYPES[algorithm]}.verify"
