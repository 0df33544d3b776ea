"""Every question that some policy could answer in another way, as a product of classes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

import msgspec

from meshsim.inquiry.admission import admission
from meshsim.inquiry.claim_classes import claims
from meshsim.inquiry.classes import (
    addresses,
    forwarded_for,
    headers,
    listed,
    methods,
    numbers,
    paths,
    texts,
    told_apart,
)
from meshsim.inquiry.constants import ADDRESS_ATTRIBUTES, ANY_CASE_HOST, NUMBER_ATTRIBUTES, TEXT_ATTRIBUTES, Constants
from meshsim.inquiry.dimension import OWN, TOKEN_AT, Dimension, Value
from meshsim.inquiry.placing import Spot, spots_of
from meshsim.inquiry.subject import Callee, Caller, Subject
from meshsim.policy.question import Question, server_name

Combination = tuple[Value, ...]
"""One value of each dimension."""


class Space(msgspec.Struct, frozen=True):
    """The questions that a set of policies can tell apart."""

    dimensions: tuple[Dimension, ...]
    reads: frozenset[str]
    approximate: tuple[str, ...]
    """What the classes may miss, for people; empty: they are exact."""
    spots: Mapping[str, Spot] = {}
    """By the witness of a place of tokens, where policies can tell those apart."""
    own: frozenset[str] = frozenset()
    """Dimensions that combinations may leave to each side."""

    @property
    def size(self) -> int:
        """Questions about one caller and one callee."""
        size = 1
        for dimension in self.dimensions:
            size *= len(dimension.values)
        return size

    @property
    def claims(self) -> frozenset[str]:
        """The claims that are dimensions, by the outermost of their names."""
        return frozenset(dimension.path[0] for dimension in self.dimensions if dimension.path)

    def combinations(self) -> Iterator[Combination]:
        """Every combination of classes, in a fixed order."""
        return product(*(dimension.values for dimension in self.dimensions))

    def token_at(self, combination: Combination) -> str:
        """The place of the token in a combination, by its witness; empty where places are not told apart."""
        return str(combination[-1].witness) if self.spots else ""

    def question(
        self, caller: Caller, callee: Callee, port: int, combination: Combination, own: Mapping[str, Any] = {}
    ) -> Question:
        """The question that stands for a combination; ``own``: what the side has of what is left to it."""
        fields: dict[str, Any] = {
            "port": callee.targets[port],
            "service_port": port,
            "host": caller.authorities.get(callee.service, callee.service),
            "destination_ip": callee.addresses[0],
            "version": callee.version,
        }
        fields_sent: list[tuple[str, str]] = []
        token: dict[str, Any] = {}
        for dimension, value in zip(self.dimensions, combination, strict=True):
            kind, _, name = dimension.name.partition(" ")
            if not name:
                fields[kind] = own[kind] if value.witness == OWN else value.witness
            elif value.witness is not None and kind == "header":
                several = value.witness if isinstance(value.witness, tuple) else (value.witness,)
                fields_sent += [(name, one) for one in several]
            elif value.witness is not None:
                _put(token, dimension.path, value.witness)
        fields["headers"] = tuple(fields_sent)
        fields["claims"] = json.dumps(token, sort_keys=True, separators=(",", ":")) if token else ""
        base = {name: fields.pop(name) for name in ("method", "path", "slice", "site")}
        encrypted = not admission(caller, callee, port).plaintext
        fields["sni"] = server_name(callee.service, callee.namespace, port)
        if not encrypted:
            fields |= dict.fromkeys(("tls_version", "cipher", "group", "sni"), "") | {"certificate_age_s": -1}
        return Question(
            principal=caller.spiffe_id if encrypted else "",
            source=caller.workload,
            destination=callee.service,
            mutual=encrypted,
            **base,
            **{name: value for name, value in fields.items() if name in self.reads},
        )


def space_of(subjects: Iterable[Subject], constants: Constants) -> Space:
    """The space of questions about one or two subjects, whose policies have these constants."""
    each = list(subjects)
    reads = frozenset().union(*(one.engine.reads for one in each if one.engine is not None))
    if constants.told:
        reads |= {"claims"}
    approximate = set(constants.approximate)
    dimensions = [Dimension("method", methods(constants)), paths(constants, approximate)]
    for name, known in (("slice", "slices"), ("site", "sites"), ("node", "nodes"), ("source_node", "nodes")):
        if name in reads or known != "nodes":
            values = (value for one in each for value in getattr(one, known))
            dimensions.append(listed(name, values, constants))
    dimensions += [
        texts(name, constants, approximate)
        for name in TEXT_ATTRIBUTES[1:]
        if name in reads and (name in constants.texts or (name == "host" and ANY_CASE_HOST in constants.texts))
    ]
    if "headers" in reads:
        names = sorted(name for name in constants.texts if name.startswith("header "))
        dimensions += [headers(name, constants, approximate) for name in names]
        if constants.peer_addresses and constants.told_addresses:
            dimensions.append(forwarded_for(constants, approximate))
    if "claims" in reads:
        found = sorted({*constants.claims, *constants.claim_texts})
        dimensions += [claims(path, constants, approximate) for path in found]
    for name in NUMBER_ATTRIBUTES:
        if name in reads:
            usual = 0 if name == "certificate_age_s" else each[0].epoch_s
            dimensions.append(numbers(name, usual, constants))
    dimensions += [Dimension(name, addresses(constants)) for name in ADDRESS_ATTRIBUTES[:1] if name in reads]
    if "destination_ip" in reads:
        called = (callee for one in each for callee in one.callees if len(callee.addresses) > 1)
        approximate |= {
            f"policies tell replicas of {callee.name} apart by destination.ip; the first one is asked about"
            for callee in called
            if told_apart(callee.addresses, constants)
        }
    spots = spots_of(each, frozenset(constants.token_places))
    # The last one: token_at() goes by that.
    dimensions.append(Dimension(TOKEN_AT, tuple(Value(name, name) for name in spots)))
    return Space(tuple(one for one in dimensions if one.values), reads, tuple(sorted(approximate)), spots)


def ports_of(callee: Callee, reads: frozenset[str], later: Callee | None = None) -> list[int]:
    """The ports that policies can tell apart, or that speak TLS in different ways, now or ``later``."""
    if not reads.isdisjoint(("port", "sni")):  # the name that a caller asks for in the handshake holds the port
        return list(callee.ports)
    after = callee if later is None else later
    # The first port of each kind stands for all of it.
    kinds: dict[tuple[Any, ...], int] = {}
    for port in callee.ports:
        kind = tuple(
            (one.ends.get(port), *(told.get(port) for told in one.plaintext.values())) for one in (callee, after)
        )
        kinds.setdefault(kind, port)
    return list(kinds.values())


def _put(token: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        inner: object = token.setdefault(name, {})
        if not isinstance(inner, dict):
            return  # a claim that is text has none in it
        token = inner
    token[path[-1]] = value
