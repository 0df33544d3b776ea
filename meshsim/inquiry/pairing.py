"""Which callers and services of two sides are the same, and by which names either side knows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from meshsim.inquiry.space import Space, ports_of
from meshsim.inquiry.subject import Callee, Caller, Subject
from meshsim.inquiry.usual import Pair


class Couples(msgspec.Struct, frozen=True):
    """The services of two sides."""

    each: tuple[tuple[Callee, Callee], ...]
    """What is there on both."""
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]


class Twin(msgspec.Struct, frozen=True):
    """A caller at a port, as both sides know them."""

    caller: Caller
    callee: Callee
    """The version, if one side has versions."""
    port: int
    sides: tuple[Pair, Pair]


def couples_of(before: Subject, after: Subject, apart: frozenset[str]) -> Couples:
    """The services that both sides have; of those in ``apart`` the versions, each beside the whole if there are none.

    A service without versions is to callers as each version of it would be.
    """
    found: list[tuple[Callee, Callee]] = []
    only: tuple[list[str], list[str]] = ([], [])
    later = {one.name: one for one in after.callees}
    for one in before.callees:
        other = later.pop(one.name, None)
        if other is None:
            only[0].extend(part.name for part in _parts(one, apart))
            continue
        mine, theirs = _parts(one, apart), _parts(other, apart)
        if not (mine[0].version and theirs[0].version):
            found += [(part, counterpart) for part in mine for counterpart in theirs]
            continue
        found += [(part, match) for part in mine for match in theirs if part.version == match.version]
        for index, (some, others) in enumerate(((mine, theirs), (theirs, mine))):
            there = {part.version for part in others}
            only[index].extend(part.name for part in some if part.version not in there)
    only[1].extend(part.name for one in later.values() for part in _parts(one, apart))
    return Couples(tuple(found), tuple(sorted(only[0])), tuple(sorted(only[1])))


def _parts(callee: Callee, apart: frozenset[str]) -> tuple[Callee, ...]:
    return (callee.versions or (callee,)) if callee.service in apart else (callee,)


def twins(before: Subject, after: Subject, callers: Sequence[Caller], couples: Couples, space: Space) -> Iterator[Twin]:
    """Every caller at every port that one side has."""
    for caller in callers:
        mine, theirs = (as_known(caller, side) for side in (before, after))
        for earlier, later in couples.each:
            ports = ports_of(earlier, space.reads, later)
            ports += [port for port in ports_of(later, space.reads) if port not in earlier.ports]
            for port in ports:
                named = earlier if earlier.version or not later.version else later
                yield Twin(caller, named, port, ((mine, earlier, port), (theirs, later, port)))


def as_known(caller: Caller, subject: Subject) -> Caller:
    """A caller as one side knows it, by its workload or else by its identity: who has neither there is a stranger."""
    known = [one for one in subject.callers if one.spiffe_id == caller.spiffe_id]
    same = next((one for one in known if one.workload == caller.workload), known[0] if known else None)
    if same is None:
        return Caller(caller.name, "", caller.spiffe_id)
    return msgspec.structs.replace(same, name=caller.name)
