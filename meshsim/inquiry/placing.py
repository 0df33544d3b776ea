"""Where the token of an inquiry is put, of the places where a called service looks: policies may tell them apart."""

from __future__ import annotations

import json
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from meshsim.identity.token_check import Lookup, TokenRules, are_meant
from meshsim.identity.token_places import DEFAULT_PLACES, Fields, Place, put, taken_off
from meshsim.identity.token_search import the_reason, told
from meshsim.inquiry.constants import OTHER_CLAIM, Constants, header
from meshsim.inquiry.patterns import ANY, Pattern
from meshsim.inquiry.subject import Callee, Subject
from meshsim.policy.question import Decision, token_refusal
from meshsim.scenario.errors import UsageError
from meshsim.scenario.token_reasons import UNKNOWN_ISSUER, WRONG_AUDIENCE
from meshsim.scenario.words import show

TokenPlace = Place
UNKNOWN_TOKEN: Final = "token"
"""In place of the text of a token that nobody has signed."""
KINDS: Final[Mapping[str, str]] = {"header": "header", "param": "parameter", "cookie": "cookie"}
"""Kind of a place, and what it is called."""
ANOTHER: Final = "another place"


class Spot(msgspec.Struct, frozen=True):
    """What is known of where a token is."""

    place: Place | None = None
    """There; None: at the first place of the rule that accepts it."""


ANYWHERE: Final = Spot()


class Carried(msgspec.Struct, frozen=True):
    """What policies see of a request once its token is looked at."""

    headers: Fields
    query: str
    place: Place | None = None
    """Where the token was found."""
    unseen: bool = False
    """Whether it is where nobody looks, so that it is no token to them."""
    lookup: Lookup | None = None
    """The rule that accepts it."""
    refused: Decision | None = None
    """The decision by which every rule that looks there refuses it; None if one accepts it."""


def shown(place: Place) -> str:
    """A place for people."""
    return f"{KINDS[place.kind]} {place.name}" + (f" after '{place.prefix.strip()}'" if place.prefix else "")


def place_of(kind: str, name: str, what: str) -> Place:
    """A place as somebody names it; raises UsageError."""
    for one in KINDS:
        if one == kind and name:
            return Place(one, name.lower() if one == "header" else name)  # type: ignore[arg-type]  # a kind
    raise UsageError(
        f"{what}: {show(f'{kind}={name}')} is no place of a token; expected header, param or cookie with its name"
    )


def places_at(callee: Callee) -> tuple[Place, ...]:
    """Every place where a service looks for tokens."""
    rules = callee.token_rules
    return () if rules is None else tuple(dict.fromkeys(place for one in rules.looked for place in one.places))


def carry(
    callee: Callee, headers: Fields, query: str, claims: str | None, said: Container[str] | None, spot: Spot = ANYWHERE
) -> Carried:
    """What is left of a request whose token has these claims (None: without one), as policies see it.

    ``said``: the claims of which it is known whether the token has them; None: those that it has.
    """
    rules = callee.token_rules
    if rules is not None:
        written = names_written(rules)
        headers = tuple(field for field in headers if field[0] not in written)
    if claims is None:
        return Carried(headers, query)
    known = json.loads(claims)
    lookups = () if rules is None else rules.looked
    place, lookup = spot.place, _by(lookups, known, said)
    if place is None:
        if not lookups:
            return Carried(headers, query)
        # Whom nobody accepts stands where the rule for its issuer looks, or the first one.
        looking = lookup or _by(lookups, known, said, only=("iss",)) or lookups[0]
        place = looking.places[0]
    there = [one for one in lookups if place in one.places]
    lookup = _by(there, known, said)
    if there and lookup is None:
        return Carried(headers, query, place, refused=_refusal(there, known, said))
    if place.kind == "header":  # it stands in place of what else is said there
        headers = tuple(field for field in headers if field[0] != place.name)
    headers, target = put(place, UNKNOWN_TOKEN, headers, f"?{query}" if query else "")
    if place not in places_at(callee):
        return Carried(headers, target.partition("?")[2], unseen=True)
    if lookup is not None:
        headers = (*headers, *told(lookup, claims))
        if not lookup.forward:
            headers, target = taken_off(place, headers, target)
    return Carried(headers, target.partition("?")[2], place, lookup=lookup)


def names_written(rules: TokenRules) -> frozenset[str]:
    """Names of the header fields that are written by the rules for tokens, and taken from nobody else."""
    return frozenset(name for lookup in rules.looked for name in lookup.writes)


def looks_first(callee: Callee, claims: Mapping[str, Any]) -> Place | None:
    """Where a service looks first for a token with these claims; None if it looks for none."""
    lookups = () if callee.token_rules is None else callee.token_rules.looked
    looking = _by(lookups, claims, None, only=("iss",)) or next(iter(lookups), None)
    return None if looking is None else looking.places[0]


def _refusal(lookups: Sequence[Lookup], claims: Mapping[str, Any], said: Container[str] | None) -> Decision:
    """The decision of rules of which none accepts a token with these claims."""
    reasons = [WRONG_AUDIENCE if _by([one], claims, said, only=("iss",)) else UNKNOWN_ISSUER for one in lookups]
    final = the_reason(reasons)
    named = (one.name for one, reason in zip(lookups, reasons, strict=True) if reason == final and one.name)
    return token_refusal(final, tuple(dict.fromkeys(named)))


def _by(
    lookups: Iterable[Lookup],
    claims: Mapping[str, Any],
    said: Container[str] | None,
    only: Collection[str] = ("iss", "aud"),
) -> Lookup | None:
    """The rule that accepts a token with these claims, as far as it goes by the claims in ``only``.

    Of all others it is taken to have what makes it valid.
    """
    known = [name for name in only if name in (claims if said is None else said)]
    named = claims.get("aud", [])
    audiences = [str(one) for one in named] if isinstance(named, list) else [str(named)]
    for lookup in lookups:
        issuers = {lookup.issuer} if lookup.issuer else {one.issuer.iss for one in lookup.accepted}
        if "" in issuers:
            issuers.clear()  # any will do
        meant = lookup.audiences or tuple(each for one in lookup.accepted for each in one.audiences)
        if issuers and "iss" in known and claims.get("iss") not in issuers:
            continue
        if not (meant and "aud" in known and not are_meant(audiences, meant)):
            return lookup
    return None


def add_places(subject: Subject, constants: Constants) -> None:
    """Add the places of tokens that policies tell from others: by the field or the query that a token stands in."""
    reads = frozenset() if subject.engine is None else subject.engine.reads
    for lookup in _lookups(subject):
        for place in lookup.places:
            in_query = place.kind == "param"
            attribute = "query" if in_query else header("cookie" if place.kind == "cookie" else place.name)
            if attribute not in constants.texts or ("query" if in_query else "headers") not in reads:
                continue
            constants.token_places.add(place)
            constants.told = True
            constants.add_claims([("iss",)], {lookup.issuer or OTHER_CLAIM})  # which tells a token from none
            stays = lookup.forward or place.kind == "cookie"
            if stays and any(_may_be_token(one, place) for one in constants.texts[attribute]):
                constants.approximate.add(f"{attribute} holds the token of {shown(place)}, whose text is not known")


def _may_be_token(pattern: Pattern, place: Place) -> bool:
    """Whether it depends on the text of a token if a pattern matches what holds it."""
    fixed = "".join(piece for piece in pattern.pieces if len(piece) == 1)
    if place.kind == "header" and pattern.exact and fixed.count(".") < 2:
        return False  # a token has two dots
    return not (place.prefix.startswith(fixed) and pattern.pieces[-1:] == (ANY,))


def add_moved(before: Subject, after: Subject, constants: Constants) -> None:
    """Add the places where tokens are looked for by one of two subjects alone."""
    each = [{(one.issuer, place) for one in _lookups(subject) for place in one.places} for subject in (before, after)]
    constants.token_places |= {place for _, place in each[0] ^ each[1]}


def spots_of(subjects: Iterable[Subject], told: frozenset[Place]) -> dict[str, Spot]:
    """The places of tokens that are told apart; of all others, one for those where the same rules look."""
    spots = {shown(place): Spot(place) for place in sorted(told, key=shown)}
    looking: dict[Place, set[int]] = {}
    for number, lookup in enumerate(lookup for one in subjects for lookup in _lookups(one)):
        for place in lookup.places:
            looking.setdefault(place, set()).add(number)
    alike: dict[frozenset[int], Place] = {}
    for place in looking.keys() - told:
        by = frozenset(looking[place])
        alike[by] = min(alike.get(by, place), place, key=shown)
    for place in sorted(alike.values(), key=shown):
        spots[ANOTHER if len(alike) == 1 else shown(place)] = Spot(place)
    return spots if len(spots) > 1 else {}


def _lookups(subject: Subject) -> Iterator[Lookup]:
    for callee in (part for one in subject.callees for part in (one, *one.versions)):
        yield from () if callee.token_rules is None else callee.token_rules.looked


def spot_of(wanted: Place | None, callee: Callee) -> Spot:
    """Where a token is that somebody puts at a place: behind what the service wants there, if it looks there."""
    if wanted is None:
        return ANYWHERE
    alike = (one for one in places_at(callee) if (one.kind, one.name) == (wanted.kind, wanted.name))
    return Spot(next(alike, wanted))


def told_places(callee: Callee, claims: Mapping[str, Any], spot: Spot) -> Iterator[str]:
    """Where a token was put, for people, where that is not plain."""
    found = carry(callee, (), "", json.dumps(claims), None, spot)
    if spot.place is not None and found.unseen:
        known = ", ".join(map(shown, places_at(callee)))
        yield f"nobody looks for a token in {shown(spot.place)}, so it counts for none; {callee.name} looks in {known}"
    elif spot.place is None and found.lookup is not None and found.lookup.places != DEFAULT_PLACES:
        assert found.place is not None
        others = [shown(one) for one in found.lookup.places if one != found.place]
        more = f"; it is looked for in {', '.join(others)} too" if others else ""
        yield f"the token is in {shown(found.place)}{more}"
