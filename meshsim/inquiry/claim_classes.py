"""Classes of the values of a claim: those that no policy and no rule for tokens can tell apart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any, Final

import msgspec

from meshsim.identity.token_check import are_meant
from meshsim.inquiry.constants import OTHER_CLAIM, Constants, Truth
from meshsim.inquiry.dimension import NO_CLAIM, Dimension, Value, matching_together
from meshsim.inquiry.patterns import Machine, Pattern, TextClass, class_words, exactly, shortest_texts, text_classes
from meshsim.policy.istio_authentication import SPACE_DELIMITED

_AUDIENCE: Final = ("aud",)
_SUBJECT: Final = ("sub",)
_FORMS: Final = ("{}", "https://{}/", "{}/", "https://{}", "http://{}/", "http://{}")
"""In which an audience is accepted."""
MOST_IN_SETS: Final = 4
"""Entries of sets of which every set is tried."""
_Spoken = tuple[int, int | None, int]
"""What a text has matched: as a whole, by its last word if that has begun, and by the words before."""


class _Words(msgspec.Struct, frozen=True):
    """A text that some take as it is, and some for a list of words."""

    text: str
    whole: tuple[Pattern, ...]
    words: tuple[Pattern, ...]
    """What any of its words matches."""

    @property
    def shown(self) -> str:
        """The class for people."""
        if " " not in self.text:
            return json.dumps(class_words(self.whole))
        return f"{json.dumps(class_words(self.whole))} with the words {json.dumps(class_words(self.words))}"


def claims(path: tuple[str, ...], constants: Constants, approximate: set[str]) -> Dimension:
    """Classes of a claim: it can be missing; a text; a list, of which any text may match; or what else is compared."""
    found = set(constants.claims.get(path, ()))
    patterns = set(constants.claim_texts.get(path, ()))
    plain = {one for one in found if isinstance(one, str) and one != OTHER_CLAIM}
    entries = {entry for one in found if isinstance(one, tuple) for entry in one if entry != OTHER_CLAIM}
    if path in constants.set_claims:
        if len(entries) > MOST_IN_SETS:
            approximate.add(f"of the sets of values of claim {'.'.join(path)} some are tried, not all")
        else:
            found |= set(_sets(sorted(entries)))
    other = _unknown(patterns, plain | entries)
    shown: dict[Any, str] = {}
    if patterns:
        texts, exhausted = _texts(path, patterns | set(map(exactly, plain | entries)), constants, other)
        shown = {text: words for text, (words, _) in texts.items()}
        kept = {one for one in found if not isinstance(one, str)}
        found = kept | texts.keys()
        if path in constants.listed_claims:
            classes = [TextClass(text, matched) for text, (_, matched) in texts.items()]
            together, complete = matching_together(classes)
            found |= {tuple(one.witness for one in each) for each in together}
            # A text with spaces can be taken for a list of words, and so can a claim that has to be text.
            apart = path == _SUBJECT or path in constants.whole_claims
            found |= {(one.witness,) for one in classes if one.matched and (" " in one.witness or apart)}
            exhausted &= complete
        if not exhausted:
            approximate.add(f"values of claim {'.'.join(path)} can match too much together; some are tried, not all")
    values = [(shown.get(one) or json.dumps(_said(one, other)), _said(one, other)) for one in found]
    values.sort(key=lambda each: _order(each[1]))
    return Dimension(
        f"claim {'.'.join(path)}", (Value(NO_CLAIM, None), *(Value(words, value) for words, value in values)), path
    )


def _sets(entries: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Every set of these entries, without another one and with one."""
    for size in range(len(entries) + 1):
        for part in combinations(entries, size):
            yield from (part, (*part, OTHER_CLAIM))


def _order(value: Any) -> tuple[str, str]:
    """Where a value stands among others: all that are of a type together."""
    value = tuple(value) if isinstance(value, list) else value
    return str(type(value)), str(value)


def _said(value: Any, other: str) -> Any:
    """A value as a token has it."""
    if isinstance(value, tuple):
        return [_said(one, other) for one in value]
    return value.holds if isinstance(value, Truth) else other if value == OTHER_CLAIM else value


def _unknown(patterns: Iterable[Pattern], plain: set[str]) -> str:
    """A text that is none of these and matches nothing, if there is one."""
    machine = Machine(tuple(sorted(set(patterns) | set(map(exactly, plain)))), path=False)
    names = ("other", *(f"other-{number}" for number in range(len(plain) + 1)))
    return next((one for one in names if not machine.ends_of(one)), "")


def _texts(
    path: tuple[str, ...], patterns: set[Pattern], constants: Constants, other: str
) -> tuple[dict[str, tuple[str, tuple[Pattern, ...]]], bool]:
    """A text of each class, with the class for people and the patterns that it matches; and whether these are all."""
    forms = _forms(constants.audiences) if path == _AUDIENCE else {}
    every = patterns | set(map(exactly, forms))
    if path in constants.split_claims and (path[0] not in SPACE_DELIMITED or path in constants.whole_claims):
        spoken, exhausted = _spoken(every)
        named = {one.text: (one.shown, one.whole) for one in spoken if one.whole or one.words}
        return {**named, **({other: ("", ())} if other else {})}, exhausted
    classes, exhausted = text_classes(every)
    found: dict[str, tuple[str, tuple[Pattern, ...]]] = {}
    seen: set[tuple[str, tuple[Pattern, ...]]] = set()
    order = {form: number for number, form in enumerate(forms)}
    for one in sorted(classes, key=lambda one: order.get(one.witness, -1)):
        accepted = forms.get(one.witness, "")
        own = tuple(each for each in one.matched if each in patterns)
        if accepted and (accepted, own) in seen:
            continue  # it is accepted as another form is, and to policies the same
        seen.add((accepted, own))
        if one.matched:
            found[one.witness] = json.dumps(one.shown), one.matched
        elif other or one.witness:  # a text that is empty and that nothing matches is as good as none
            found[other or one.witness] = "", ()
    return dict(sorted(found.items())), exhausted


def _forms(audiences: Iterable[str]) -> dict[str, str]:
    """The forms in which audiences are accepted, and a name for those that are accepted together."""
    found: dict[str, str] = {}
    for audience in sorted(audiences):
        bare = audience.removeprefix("http://").removeprefix("https://").removesuffix("/")
        for form in (one.format(bare) for one in _FORMS):
            if are_meant([form], [audience]):
                found.setdefault(form, bare)
    return found


def _spoken(patterns: set[Pattern]) -> tuple[list[_Words], bool]:
    """A text for all that texts can match as a whole and by their words."""
    machine = Machine(tuple(sorted(patterns)), path=False)
    first = machine.first()[0]
    characters = (*(one for one in machine.alphabet if one != " "), " ")

    def after(at: _Spoken, character: str) -> _Spoken:
        whole, word, words = at
        step = machine.step(whole, character)
        if character == " ":
            return step, None, words | (0 if word is None else word & machine.ends)
        return step, machine.step(first if word is None else word, character), words

    def follow(at: _Spoken) -> Iterator[tuple[str, _Spoken]]:
        return ((character, after(at, character)) for character in characters)

    start: _Spoken = (first, None, 0)
    reached, exhausted = shortest_texts(start, "", follow)
    found: dict[tuple[int, int], str] = {}
    for (whole, word, words), text in reached:
        found.setdefault((whole & machine.ends, words | (0 if word is None else word & machine.ends)), text)
    classes = [_Words(text, machine.matched(whole), machine.matched(words)) for (whole, words), text in found.items()]
    return classes, exhausted
