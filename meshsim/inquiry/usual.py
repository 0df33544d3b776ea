"""What holds of a request when nobody says otherwise, and where that is not the same to two sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from meshsim.inquiry.admission import Admission, admission
from meshsim.inquiry.dimension import AS_IT_IS, OWN, Value
from meshsim.inquiry.space import Space
from meshsim.inquiry.subject import Callee, Caller, Subject

Pair = tuple[Caller, Callee, int]
_OF_TLS: Final = ("tls_version", "cipher", "group")
_NAMES: Final = ("slice", "site", "node", "source_node", "host", "source_ip", "time_s", *_OF_TLS)
"""Attributes that a scenario gives a request in which they are left out."""


def usual(subject: Subject, caller: Caller, callee: Callee, port: int, admitted: Admission) -> dict[str, Any]:
    """What holds when nobody says otherwise."""
    slices = caller.slices or subject.slices
    come_to = admitted.established
    return {
        "slice": slices[0] if slices else "",
        "site": caller.site,
        "node": callee.node,
        "source_node": caller.node,
        "port": callee.targets[port],
        "host": caller.authorities.get(callee.service, callee.service),
        "source_ip": caller.address,
        "tls_version": "" if come_to is None else come_to.version,
        "cipher": "" if come_to is None else come_to.cipher,
        "group": "" if come_to is None else come_to.group,
        "certificate_age_s": -1 if admitted.plaintext or not caller.spiffe_id else 0,
        "time_s": subject.epoch_s,
    }


def own_values(subject: Subject, space: Space, pair: Pair) -> Mapping[str, Any]:
    """What a side has where combinations leave that to it; nothing where none do."""
    caller, callee, port = pair
    if not space.own or port not in callee.ports:
        return {}
    return usual(subject, caller, callee, port, admission(caller, callee, port))


def with_own(space: Space, before: Subject, after: Subject, pairs: Iterable[tuple[Pair, Pair]]) -> Space:
    """The space in which attributes can be left out that the two sides then have other values of.

    Of who is not there on one side, nothing is known but the identity, so that nothing can be said to have changed.
    """
    names = {one.name for one in space.dimensions if len(one.values) > 1}.intersection(_NAMES)
    differ: set[str] = set()
    for one, other in pairs if names else ():
        if bool(one[0].workload) == bool(other[0].workload) and one[2] in one[1].ports and other[2] in other[1].ports:
            differ |= _differing(names - differ, (before, one), (after, other))
    dimensions = (
        msgspec.structs.replace(one, values=(*one.values, Value(AS_IT_IS, OWN))) if one.name in differ else one
        for one in space.dimensions
    )
    return msgspec.structs.replace(space, dimensions=tuple(dimensions), own=frozenset(differ))


def _differing(names: set[str], *sides: tuple[Subject, Pair]) -> set[str]:
    admitted = [admission(*pair) for _, pair in sides]
    if any(one.refused for one in admitted):
        return set()
    if any(one.established is None for one in admitted):
        names = names.difference(_OF_TLS)  # there is none of this on one side, whatever it is on the other
    first, second = (usual(side, *pair, one) for (side, pair), one in zip(sides, admitted, strict=True))
    return {name for name in names if first[name] != second[name]}
