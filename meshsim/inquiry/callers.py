"""Who may ask: workloads, and one caller for each kind of others that policies can tell apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from string import ascii_letters, digits
from typing import Final

import msgspec

from meshsim.identity.spiffe import check_spiffe_id
from meshsim.inquiry.admission import admission
from meshsim.inquiry.constants import Constants
from meshsim.inquiry.names import NOBODY
from meshsim.inquiry.patterns import Machine, shortest_texts
from meshsim.inquiry.subject import Caller, Subject
from meshsim.policy.istio import IstioEngine
from meshsim.policy.istio_trust import LOCAL

STRANGER: Final = "/ns/unknown/sa/stranger"
OTHER_DOMAIN: Final = "elsewhere.example"
_UNFINISHED: Final = frozenset(("", "n", "ns", ".", ".."))
"""Segments in which no SPIFFE ID of another form ends here; with ``ns`` begins the name of a namespace."""
_IN_NAMES: Final = frozenset(f"{ascii_letters}{digits}-._")
"""Characters of a segment of a SPIFFE ID."""


def callers_of(subjects: Iterable[Subject], constants: Constants, wanted: Caller | None = None) -> list[Caller]:
    """Who may ask: every workload, everybody whom a policy names, strangers within and without, and nobody.

    ``wanted``: somebody who is among them though policies cannot tell it from others.
    """
    each = list(subjects)
    machine = Machine(tuple(sorted(constants.principal_patterns)), path=False)
    found = _workloads(each, constants, machine)
    for spiffe_id in sorted(constants.principals - found.keys()):
        if check_spiffe_id(spiffe_id) is None:
            found[spiffe_id] = Caller(name=spiffe_id, workload="", spiffe_id=spiffe_id)
    own = each[0].trust_domain
    ends = [end for one in each for callee in one.callees for end in callee.ends.values()]
    believed = frozenset().union(*(end.trusts for end in ends)) - {own}
    if constants.identities:
        for twin in _twins(list(found.values()), own, sorted(believed)):
            found.setdefault(twin.spiffe_id, twin)
    for one in each:
        apart = isinstance(one.engine, IstioEngine) or any(callee.door for callee in one.callees)
        for spiffe_id, name in one.waypoints.items() if apart else ():
            found.setdefault(spiffe_id, Caller(name=f"the waypoint {name}", workload="", spiffe_id=spiffe_id))
    strangers = [(own, "a stranger in the mesh"), *((domain, f"a stranger in {domain}") for domain in sorted(believed))]
    for domain, name in [*strangers, (OTHER_DOMAIN, "a stranger from elsewhere")]:
        spiffe_id = f"spiffe://{domain}{STRANGER}"
        found.setdefault(spiffe_id, Caller(name=name, workload="", spiffe_id=spiffe_id))
    if machine.patterns:
        others = (one.spiffe_id for one in found.values() if not (constants.workloads and one.workload))
        stand_for = [one for one in others if _speaks_as_anybody(one, each)]
        for domain, _ in strangers:
            for spiffe_id in _others(domain, stand_for, machine):
                found.setdefault(spiffe_id, Caller(name=spiffe_id, workload="", spiffe_id=spiffe_id))
    if wanted is not None and wanted.spiffe_id:
        found.setdefault(wanted.spiffe_id, wanted)
    return [*found.values(), Caller(name=NOBODY, workload="", spiffe_id="")]


def _speaks_as_anybody(spiffe_id: str, subjects: Iterable[Subject]) -> bool:
    """Whether TLS lets a workload come as far, wherever it calls, as a stranger with its identity."""
    stranger = Caller(name=spiffe_id, workload="", spiffe_id=spiffe_id)
    for subject in subjects:
        known = next((one for one in subject.callers if one.spiffe_id == spiffe_id), stranger)
        for callee in (part for one in subject.callees for part in (one.versions or (one,))):
            for port in callee.ports if known.end is not None else ():
                mine, theirs = (admission(one, callee, port) for one in (known, stranger))
                if (mine.plaintext, bool(mine.refused)) != (theirs.plaintext, bool(theirs.refused)):
                    return False
    return True


def _workloads(subjects: Sequence[Subject], constants: Constants, machine: Machine) -> dict[str, Caller]:
    """Workloads; of devices that policies cannot tell apart one, for its fleet where they can tell none apart.

    Services that share an identity are callers of their own, since they may have other proxies and TLS settings.
    """
    found: dict[str, Caller] = {}
    fleets: dict[str, set[int]] = {}
    holders: dict[str, dict[str, None]] = {}
    for one in subjects:
        shared = Counter(caller.spiffe_id for caller in one.callers)
        for caller in one.callers:
            if not caller.namespace:
                kinds = fleets.setdefault(caller.workload, set())
                kind = machine.ends_of(caller.spiffe_id)
                named = caller.spiffe_id in constants.principals
                if kind in kinds and not named:
                    continue
                if not kinds and not named:
                    caller = msgspec.structs.replace(caller, name=caller.workload)
                kinds |= set() if named else {kind}
            held_by = holders.setdefault(caller.spiffe_id, {})
            if not held_by or (shared[caller.spiffe_id] > 1 and caller.workload not in held_by):
                found[f"{caller.spiffe_id} {caller.workload}" if held_by else caller.spiffe_id] = caller
                held_by[caller.workload] = None
    return found


def _others(domain: str, known: Iterable[str], machine: Machine) -> Iterator[str]:
    """A SPIFFE ID of a trust domain for each kind of which nobody known is: a service account's, if one is."""
    begun = f"spiffe://{domain}/"
    seen = {machine.ends_of(one) for one in known if one.startswith(begun)}
    for spiffe_id in (*_accounts(begun, machine), *_of_other_forms(begun, machine)):
        kind = machine.ends_of(spiffe_id)
        if kind not in seen:
            seen.add(kind)
            yield spiffe_id


def _accounts(begun: str, machine: Machine) -> Iterator[str]:
    """SPIFFE IDs of service accounts, as Istio writes them."""
    state = machine.first()[0]
    for character in f"{begun}ns/":
        state = machine.step(state, character)
    names = [one for one in machine.alphabet if one in _IN_NAMES]

    def follow(at: tuple[int, str]) -> Iterator[tuple[str, tuple[int, str]]]:
        before, part = at
        for character in names:
            if character != "." or part.endswith("name"):
                yield character, (machine.step(before, character), part.removesuffix(" name") + " name")
        if part == "namespace name":
            after = before
            for character in "/sa/":
                after = machine.step(after, character)
            yield "/sa/", (after, "account")

    for (_, part), text in shortest_texts((state, "namespace"), f"{begun}ns/", follow)[0]:
        if part == "account name":
            yield text


def _of_other_forms(begun: str, machine: Machine) -> Iterator[str]:
    """SPIFFE IDs that name no namespace."""
    state = machine.first()[0]
    for character in begun:
        state = machine.step(state, character)
    names = sorted(_IN_NAMES.intersection((*machine.alphabet, ".", "n", "s")))

    def follow(at: tuple[int, str]) -> Iterator[tuple[str, tuple[int, str]]]:
        before, segment = at
        for character in names:
            longer = segment + character
            yield character, (machine.step(before, character), longer if longer in _UNFINISHED else "name")
        if segment not in _UNFINISHED:
            yield "/", (machine.step(before, "/"), "")

    start = (state, "")
    for (_, segment), text in shortest_texts(start, begun, follow)[0]:
        if segment not in _UNFINISHED:
            yield text


def _twins(callers: Sequence[Caller], own: str, believed: Sequence[str]) -> Iterator[Caller]:
    """Who has the namespace and account of a caller of the mesh in another trust domain that is believed.

    Policies may take them for the same: by an alias of the trust domain, by namespace, or by the end of a principal.
    """
    for caller in callers:
        domain, _, path = caller.spiffe_id.removeprefix("spiffe://").partition("/")
        if domain in (own, LOCAL) and path.startswith("ns/"):
            name = f"{path.split('/')[1]}/{path.rpartition('/')[2]}" if caller.name == caller.spiffe_id else caller.name
            for other in believed if domain == own else (own, *believed):
                yield Caller(name=f"{name} in {other}", workload="", spiffe_id=f"spiffe://{other}/{path}")
