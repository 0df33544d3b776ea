"""A first request that mutual TLS and policies let through, for calls of which nobody said what they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, product
from typing import get_args

import msgspec

from meshsim.inquiry.arrival import arrived
from meshsim.inquiry.constants import constants_of
from meshsim.inquiry.request import Request, resolve
from meshsim.inquiry.space import space_of
from meshsim.inquiry.subject import Subject, split, subject_of, versioned
from meshsim.scenario.headers import AUTHORITY
from meshsim.scenario.loader import LoadedScenario
from meshsim.scenario.manifests.starter import FindWay
from meshsim.scenario.manifests.starter_text import Way
from meshsim.scenario.services import Method

MOST_TRIED = 5_000
"""Requests of one caller to one service that are tried."""


def survey(loaded: LoadedScenario) -> FindWay:
    """What finds a way from one workload of a scenario to another.

    It tries ``GET /`` first, then one request of each class that policies can tell apart by port, path, method and
    header fields, without a token; with one of the authorities that are known, or else with the service's name before
    others that policies name. Raises ScenarioError with every mistake in the policies.
    """
    subject = subject_of(loaded, str(loaded.path))

    def find(caller: str, versions: tuple[str, ...], callee: str, hosts: tuple[str, ...]) -> Way | None:
        identities = _identities(subject, loaded, caller, versions)
        called = next(one for one in subject.callees if one.name == callee)
        pairs = list(product(identities, [one.name for one in split([called], versioned(subject))]))
        candidates = islice(_candidates(subject, callee, hosts), MOST_TRIED)
        return next((way for way in candidates if all(_lets(subject, *pair, way) for pair in pairs)), None)

    return find


def _identities(subject: Subject, loaded: LoadedScenario, caller: str, versions: tuple[str, ...]) -> list[str]:
    """SPIFFE IDs of a service's versions, or of one device that stands for its fleet."""
    if caller not in loaded.scenario.services:
        return [one.spiffe_id for one in subject.callers if one.workload == caller][:1]
    service = loaded.scenario.services[caller]
    accounts = {service.versions[version].service_account or service.service_account for version in versions}
    found = [one.spiffe_id for one in subject.callers if one.workload == caller]
    return [one for one in found if not versions or one.rpartition("/")[2] in accounts]


def _candidates(subject: Subject, callee: str, known: tuple[str, ...]) -> Iterator[Way]:
    yield from (Way(host=host) for host in (known or [None]))
    if subject.engine is None:
        return
    space = space_of([subject], constants_of(subject.engine.name, subject.files))
    classes = {one.name: [value.witness for value in one.values] for one in space.dimensions}
    fields = [
        [(name.partition(" ")[2], witness) for witness in witnesses]
        for name, witnesses in classes.items()
        if name.startswith("header ") and not name.startswith("header :")
    ]
    ports = next(list(one.ports) for one in subject.callees if one.name == callee)
    methods = [method for method in ("GET", *classes["method"]) if method in get_args(Method)]
    paths = dict.fromkeys(("/", *classes["path"]))
    named = [host for host in classes.get("host", ()) if re.fullmatch(AUTHORITY, str(host))]
    hosts: tuple[str | None, ...] = known or (None, *named)
    for host, *headers, port, method, path in product(
        hosts, *fields, [None, *ports[1:]], dict.fromkeys(methods), paths
    ):
        yield Way(method, path, port, tuple((name, text) for name, text in headers if text is not None), host)


def _lets(subject: Subject, caller: str, callee: str, way: Way) -> bool:
    request = Request(source=caller, destination=callee, **msgspec.structs.asdict(way))
    asked = resolve(subject, request)
    if asked.refused or subject.engine is None:
        return not asked.refused
    came = arrived(subject, asked.caller, asked.callee, asked.question, None)
    return not came.refused and subject.engine.decide(came.question).allowed
