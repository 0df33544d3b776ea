"""What policies compare requests with, read off their text: classes of requests follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from meshsim.identity.token_places import Place
from meshsim.inquiry.patterns import ANY, ONE, SEGMENT, Pattern, exactly
from meshsim.policy.engine import PolicyFile

TEXT_ATTRIBUTES = ("path", "query", "host", "tls_version", "cipher", "group")
"""Attributes of a question whose values are any text."""
NUMBER_ATTRIBUTES = ("certificate_age_s", "time_s")
ADDRESS_ATTRIBUTES = ("source_ip", "destination_ip")


OTHER_CLAIM: Final = "\0other"
"""In place of a value of a claim that no policy names."""


class Truth(msgspec.Struct, frozen=True):
    """True or false as a value of a claim, which Python takes for the numbers 1 and 0."""

    holds: bool


class Constants(msgspec.Struct):
    """The constants of one set of policies; more of them than need be only makes more classes."""

    texts: dict[str, set[Pattern]] = {}
    """By attribute; header fields as ``header x-tenant``."""
    several: set[str] = set()
    """Of these, those of which a request can have several, each of which may match."""
    single: set[str] = set()
    """And those that are compared as one text, however many there are."""
    numbers: dict[str, set[int]] = {}
    day_times: set[int] = set()
    """Seconds since midnight at which a part of a day begins or ends."""
    names: set[str] = set()
    """Names of slices, sites, nodes, methods: whatever is looked up in a list."""
    name_patterns: set[str] = set()
    """Beginnings and ends of such names, with a star behind or before them."""
    addresses: set[str] = set()
    """Addresses and blocks of addresses, as they are written."""
    called_addresses: set[str] = set()
    """Those with which the called replica's alone is compared."""
    peer_addresses: bool = False
    """Whether they look at the peer's address, whatever header fields say."""
    told_addresses: bool = False
    """Whether they look at the client's that ``x-forwarded-for`` tells."""
    claims: dict[tuple[str, ...], set[Any]] = {}
    """Values by the path of a claim."""
    claim_texts: dict[tuple[str, ...], set[Pattern]] = {}
    """Patterns by the path of a claim: a text may match, and of a list any of its texts."""
    listed_claims: set[tuple[str, ...]] = set()
    """Those of which lists match, too."""
    split_claims: set[tuple[str, ...]] = set()
    """Those whose text somebody takes for a list of words, while somebody else may take it as it is."""
    whole_claims: set[tuple[str, ...]] = set()
    """Those whose text is compared as it is by an engine that takes no text for a list of words."""
    set_claims: set[tuple[str, ...]] = set()
    """Those of which a list is compared as a set, so that each part of what is named may be all there is."""
    audiences: set[str] = set()
    """Audiences for which tokens are accepted, in whichever form the token says them."""
    principals: set[str] = set()
    """SPIFFE IDs that are named."""
    principal_patterns: set[Pattern] = set()
    """What SPIFFE IDs are compared with, whole or in part."""
    identities: bool = False
    """Whether they look at who calls."""
    workloads: bool = False
    """Whether they look at which workload calls, so that others of its identity's kind are not as it is."""
    targets: set[Pattern] = set()
    """What path and query are compared with where they are one text; see :meth:`split_targets`."""
    paths: dict[str, set[Pattern]] = {}
    """How paths are normalised before they are compared → what they are compared with then; see :meth:`see_paths`."""
    token_places: set[Place] = set()
    """Places of tokens that are told from others."""
    told: bool = False
    """Whether policies compare header fields into which claims are written, or tokens."""
    approximate: set[str] = set()
    """What the classes may miss, for people."""

    def add_text(self, attributes: Iterable[str], patterns: Iterable[Pattern]) -> None:
        """Say that these attributes are compared with these patterns."""
        found = set(patterns)
        for attribute in attributes:
            self.texts.setdefault(attribute, set()).update(found)

    def split_targets(self, *, alone: bool) -> None:
        """Tell parts of paths and queries apart by what both are compared with in one text.

        ``alone``: nobody looks at either by itself, so that only a question mark that is named parts them.
        """
        alone = alone and not any("?" in pattern.pieces for pattern in self.targets)
        for pattern in () if alone else sorted(self.targets):
            self.add_target(pattern)

    def add_target(self, pattern: Pattern) -> None:
        """Say that path and query together are compared with a pattern: parts of it match the one and the other."""
        self.add_text(["path"], [pattern])
        self.add_text(["query"], [exactly("")])  # where there is none, the path is all
        for index, piece in enumerate(pattern.pieces):
            if piece in ("?", ANY, ONE, SEGMENT):
                before, behind = pattern.pieces[:index], pattern.pieces[index + 1 :]
                stays: list[tuple[str, ...]] = [(ANY,)] if piece == ANY else [()]
                stays += [(SEGMENT,)] if piece == SEGMENT else []
                self.add_text(["path"], [Pattern((*before, *one)) for one in stays])
                self.add_text(["query"], [Pattern((*one, *behind)) for one in stays])

    def see_paths(self, mode: str) -> None:
        """Say how the paths are normalised that are compared with what has been said of them."""
        self.paths[mode] = set(self.texts.get("path", ()))

    def add_numbers(self, attributes: Iterable[str], numbers: Iterable[int]) -> None:
        """Say that these attributes are compared with these numbers."""
        found = set(numbers)
        for attribute in attributes:
            self.numbers.setdefault(attribute, set()).update(found)

    def add_claims(self, paths: Iterable[tuple[str, ...]], values: Iterable[Any]) -> None:
        """Say that these claims are compared with these values."""
        found = {Truth(value) if isinstance(value, bool) else value for value in values}
        for path in paths:
            self.claims.setdefault(path, set()).update(found)


ANY_CASE_HOST = "host in any case"
"""Hosts that are compared whatever the case of their letters; the patterns are in lower case."""


def header(name: str) -> str:
    """The attribute that a header field is."""
    return f"header {name.lower()}"


def merged(each: Sequence[Constants]) -> Constants:
    """The constants of several sets of policies together."""
    whole = Constants()
    for one in each:
        for name in Constants.__struct_fields__:
            mine, more = getattr(whole, name), getattr(one, name)
            if isinstance(more, dict):
                for key, values in more.items():
                    mine.setdefault(key, set()).update(values)
            elif isinstance(more, set):
                mine.update(more)
            else:
                setattr(whole, name, mine or more)
    return whole


Reader = Callable[[Sequence[PolicyFile]], Constants]


def _cedar(files: Sequence[PolicyFile]) -> Constants:
    from meshsim.inquiry.constants_cedar import read

    return _as_one(read(files))


def _istio(files: Sequence[PolicyFile]) -> Constants:
    from meshsim.inquiry.constants_istio import read

    return read(files)


def _rego(files: Sequence[PolicyFile]) -> Constants:
    from meshsim.inquiry.constants_rego import read

    return _as_one(read(files))


def _as_one(constants: Constants) -> Constants:
    """Header fields of one name are one text to engines other than Istio's."""
    constants.single |= {name for name in constants.texts if name.startswith("header ")}
    constants.whole_claims |= {*constants.claims, *constants.claim_texts}
    constants.peer_addresses = bool(constants.addresses)
    return constants


READERS: Mapping[str, Reader] = {"cedar": _cedar, "istio": _istio, "rego": _rego}
"""Name of an engine → what reads the constants of its policies."""


def constants_of(engine: str, files: Sequence[PolicyFile]) -> Constants:
    """The constants of policy files that the engine has accepted."""
    return READERS[engine](files)
