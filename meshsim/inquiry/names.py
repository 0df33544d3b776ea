"""Names as short as they are unambiguous."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from meshsim.identity.spiffe import check_spiffe_id
from meshsim.inquiry.subject import Callee, Caller, Subject
from meshsim.policy.engine import trust_domain_of
from meshsim.scenario.errors import UsageError
from meshsim.scenario.words import expected

NOBODY = "anyone"
"""The caller that proves no identity."""

MOST_LISTED = 8
SCHEME = "spiffe://"
_PRINCIPAL = re.compile("[^/]+/ns/[^/]+/sa/[^/]+")
"""A SPIFFE ID as Istio's policies write it: without the scheme."""

Named = TypeVar("Named")
_Names = dict[str, dict[str, Named]]
"""Name → what it can mean: each by its whole name."""


def find_caller(subject: Subject, text: str, what: str = "--source") -> Caller:
    """Return the caller that ``text`` names.

    That is a service, a fleet (its first device stands for it), a device, ``namespace/service``, a service account, a
    SPIFFE ID (of a service account without its scheme too, as Istio writes it), or the beginning of one of these that
    fits one workload alone; ``anyone`` proves nothing. A SPIFFE ID that no workload here has is somebody from
    elsewhere. Raises UsageError.
    """
    if text == NOBODY:
        return Caller(name=NOBODY, workload="", spiffe_id="")
    if text.startswith(SCHEME):
        return _by_spiffe_id(subject, text, what)
    if _PRINCIPAL.fullmatch(text):
        return _by_spiffe_id(subject, f"{SCHEME}{text}", what)
    names: _Names[Caller] = {}
    fleets: set[str] = set()
    own = {name for caller in subject.callers for name in _names_of(caller)}
    for caller in subject.callers:
        whole = f"{caller.namespace}/{caller.name}" if caller.namespace else caller.name
        for name in _names_of(caller):
            _add(names, name, whole, caller)
        for name in _accounts_of(caller):
            if name not in own:  # else it is a service's, whoever has an account that is called so
                _add(names, name, whole, caller)
        if not caller.namespace and caller.workload not in fleets:
            fleets.add(caller.workload)
            _add(names, caller.workload, whole, caller)
    short = {name: found for name, found in names.items() if "/" not in name}
    return _pick([short, names], text, what, [NOBODY, *short])


def find_callee(subject: Subject, text: str, what: str = "--destination") -> Callee:
    """Return the service that ``text`` names.

    That is its name, ``namespace/service``, its host in Kubernetes (``service.namespace.svc.cluster.local``, or as far
    as the namespace or ``svc``), or a beginning of one of these that fits it alone; with a colon and a version behind
    it, that version. Raises UsageError.
    """
    service, colon, version = text.partition(":")
    if colon:
        found = find_callee(subject, service, what)
        versions = {one.version: one for one in found.versions}
        if version not in versions:
            said = f"{found.name} has no version {version!r}"
            raise UsageError(f"{what}: {said}; {expected(version, list(versions), 'expected the service alone')}")
        return versions[version]
    names: _Names[Callee] = {}
    for callee in subject.callees:
        whole = f"{callee.namespace}/{callee.name}"
        host = f"{callee.name}.{callee.namespace}"
        for name in (callee.name, whole, host, f"{host}.svc", f"{host}.svc.cluster.local"):
            _add(names, name, whole, callee)
    return _pick([names], text, what, [callee.name for callee in subject.callees])


def find_name(known: Iterable[str], text: str, what: str) -> str:
    """Return the one of ``known`` that ``text`` is or begins; raises UsageError."""
    names: _Names[str] = {name: {name: name} for name in known if name}
    if not names:
        raise UsageError(f"{what}: manifests say nothing of {text!r}; expected it with --scenario FILE alone")
    return _pick([names], text, what, list(names))


def _add(names: _Names[Named], name: str, whole: str, one: Named) -> None:
    names.setdefault(name, {})[whole] = one


def _names_of(caller: Caller) -> Iterator[str]:
    yield caller.name
    if caller.namespace:
        for name in (caller.name, caller.workload):
            yield name
            yield f"{caller.namespace}/{name}"


def _accounts_of(caller: Caller) -> Iterator[str]:
    if caller.namespace:
        account = caller.spiffe_id.rpartition("/")[2]
        yield from (account, f"{caller.namespace}/{account}")


def _by_spiffe_id(subject: Subject, text: str, what: str) -> Caller:
    for caller in subject.callers:
        if caller.spiffe_id == text:
            return caller
    problem = check_spiffe_id(text)
    if problem is not None:
        raise UsageError(f"{what}: {text} is no SPIFFE ID of a workload: {problem}")
    return Caller(name=text, workload="", spiffe_id=text, namespace=_namespace(text))


def _namespace(spiffe_id: str) -> str:
    parts = spiffe_id[len(SCHEME) + len(trust_domain_of(spiffe_id)) :].split("/")
    return parts[2] if len(parts) > 2 and parts[1] == "ns" else ""


def _pick(stages: Sequence[_Names[Named]], text: str, what: str, shown: list[str]) -> Named:
    """Return what ``text`` is in one of the ``stages``, or else begins in the first one where it begins anything."""
    for names in stages:
        if text in names:
            return _only(names[text], text, what)
    for names in stages:
        found = {whole: one for name, those in names.items() if name.startswith(text) for whole, one in those.items()}
        if text and found:
            return _only(found, text, what)
    near = difflib.get_close_matches(text, stages[-1], 1)
    hint = f"did you mean {near[0]}?" if near else f"expected one of {listed(shown)}"
    raise UsageError(f"{what}: nothing here is called {text!r}; {hint}")


def _only(found: Mapping[str, Named], text: str, what: str) -> Named:
    if len(found) > 1:
        raise UsageError(f"{what}: {text!r} can be {listed(found)}; expected more of the name")
    return next(iter(found.values()))


def listed(names: Iterable[str]) -> str:
    """The first few of some names, and how many more there are."""
    each = list(dict.fromkeys(names))
    more = f" and {len(each) - MOST_LISTED} more" if len(each) > MOST_LISTED else ""
    return ", ".join(each[:MOST_LISTED]) + more
