"""What policies compare requests with, read off their text: classes of requests follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from meshsim.identity.token_places import Place
from meshsim.inquiry.patterns import Pattern
from meshsim.policy.engine import PolicyFile

TEXT_ATTRIBUTES = ("path", "query", "host", "tls_version", "cipher", "group")
"""Attributes of a question whose values are any text."""
NUMBER_ATTRIBUTES = ("certificate_age_s", "time_s")
ADDRESS_ATTRIBUTES = ("source_ip", "destination_ip")


class Constants(msgspec.Struct):
    """The constants of one set of policies; more of them than need be only makes more classes."""

    texts: dict[str, set[Pattern]] = {}
    """By attribute; header fields as ``header x-tenant``."""
    numbers: dict[str, set[int]] = {}
    names: set[str] = set()
    """Names of slices, sites, nodes, methods: whatever is looked up in a list."""
    addresses: set[str] = set()
    """Addresses and blocks of addresses, as they are written."""
    claims: dict[tuple[str, ...], set[Any]] = {}
    """Values by the path of a claim."""
    principals: set[str] = set()
    """SPIFFE IDs that are named."""
    identities: bool = False
    """Whether they look at who calls."""
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
        found = set(values)
        for path in paths:
            self.claims.setdefault(path, set()).update(found)


def header(name: str) -> str:
    """The attribute that a header field is."""
    return f"header {name.lower()}"


def merged(each: Sequence[Constants]) -> Constants:
    """The constants of several sets of policies together."""
    whole = Constants()
    for one in each:
        for attribute, patterns in one.texts.items():
            whole.add_text([attribute], patterns)
        for attribute, numbers in one.numbers.items():
            whole.add_numbers([attribute], numbers)
        for path, values in one.claims.items():
            whole.add_claims([path], values)
        whole.names |= one.names
        whole.addresses |= one.addresses
        whole.principals |= one.principals
        whole.identities |= one.identities
        whole.told |= one.told
        whole.token_places |= one.token_places
        for mode, patterns in one.paths.items():
            whole.paths.setdefault(mode, set()).update(patterns)
        whole.approximate |= one.approximate
    return whole


Reader = Callable[[Sequence[PolicyFile]], Constants]


def _cedar(files: Sequence[PolicyFile]) -> Constants:
    from meshsim.inquiry.constants_cedar import read

    return read(files)


def _istio(files: Sequence[PolicyFile]) -> Constants:
    from meshsim.inquiry.constants_istio import read

    return read(files)


def _rego(files: Sequence[PolicyFile]) -> Constants:
    from meshsim.inquiry.constants_rego import read

    return read(files)


READERS: Mapping[str, Reader] = {"cedar": _cedar, "istio": _istio, "rego": _rego}
"""Name of an engine → what reads the constants of its policies."""


def constants_of(engine: str, files: Sequence[PolicyFile]) -> Constants:
    """The constants of policy files that the engine has accepted."""
    return READERS[engine](files)
