"""Checks of revocation: lists and responses that cannot be or end early, and targets that are not there."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario import units
from meshsim.scenario.expectations import RevocationExpectation
from meshsim.scenario.faults import Revoke
from meshsim.scenario.findings import Finding
from meshsim.scenario.model import Scenario
from meshsim.scenario.positions import Path
from meshsim.scenario.variants import replica_count

MOST_FETCHES = 5_000_000
"""Fetches of revocation lists or OCSP responses in one run."""
_AT: Path = ("mesh", "identity", "revocation")
_text = units.format_duration


def check_revocation(scenario: Scenario) -> Iterator[Finding]:
    """Settings that make no sense together, and targets with a number that nobody has."""
    yield from _check_settings(scenario)
    for index, fault in enumerate(scenario.faults):
        revocation = scenario.mesh.identity.revocation
        staples = revocation is not None and revocation.ocsp is not None
        if isinstance(fault, Revoke):
            yield from _check_target(scenario, fault, ("faults", index, "target"))
            if fault.holds_back and not staples:
                message = "nobody staples responses that could be held back; expected mesh.identity.revocation.ocsp"
                yield Finding(("faults", index, "holds_back"), message, at_key=True)
        elif fault.kind == "ocsp-responder" and not staples:
            message = "there is no OCSP responder; expected mesh.identity.revocation.ocsp"
            yield Finding(("faults", index, "kind"), message)
    kinds = dict(zip(scenario.fault_names(), scenario.faults, strict=True))
    for index, expectation in enumerate(scenario.expect):
        if isinstance(expectation, RevocationExpectation):
            other = kinds.get(expectation.revokes.after)
            if other is not None and other.kind != "revoke":
                message = f"{expectation.revokes.after!r} is a {other.kind}, which revokes nothing; expected a revoke"
                yield Finding(("expect", index, "revokes", "after"), message)


def _check_settings(scenario: Scenario) -> Iterator[Finding]:
    revocation = scenario.mesh.identity.revocation
    if revocation is None:
        return
    if revocation.crl is None and revocation.ocsp is None and not revocation.deny_list:
        yield Finding(_AT, "nobody would hear of anything; expected crl, ocsp or deny_list", at_key=True)
    elif revocation.live == "cut" and revocation.crl is None and not revocation.deny_list:
        message = "OCSP responses come with handshakes, so that nobody hears of open connections by them"
        message = f"{message}; expected crl or deny_list beside, or live: keep"
        yield Finding((*_AT, "live"), message, involved=((*_AT, "crl"), (*_AT, "deny_list")))
    node = scenario.network.nodes.get(revocation.node or "")
    if node is not None and node.kind == "router":
        message = "a router carries no workloads; expected a node of kind edge, regional, core or gnb"
        yield Finding((*_AT, "node"), message)
    hosts = sum(replica_count(service) for service in scenario.services.values())
    fetchers = {"crl": hosts + sum(fleet.size for fleet in scenario.fleets.values()), "ocsp": hosts}
    for key, part in (("crl", revocation.crl), ("ocsp", revocation.ocsp)):
        if part is None:
            continue
        if part.valid_ns % units.NS_PER_S:
            message = f"{_text(part.valid_ns)!r} is no whole number of seconds; expected one, as X.509 has it"
            yield Finding((*_AT, key, "valid"), message)
        fetches = scenario.duration_ns // part.fetch_ns * fetchers[key]
        if fetches > MOST_FETCHES:
            message = f"there would be {fetches} fetches; expected at most {MOST_FETCHES}, with a longer 'fetch'"
            yield Finding((*_AT, key, "fetch"), message)


def note_revocation(scenario: Scenario) -> Iterator[Finding]:
    """Lists and responses that end before the next ones are there, which is no mistake where a gap is to be studied."""
    revocation = scenario.mesh.identity.revocation
    if revocation is None:
        return
    crl, ocsp = revocation.crl, revocation.ocsp
    if crl is not None and crl.stale == "refuse" and crl.valid_ns <= crl.every_ns + crl.fetch_ns:
        message = (
            f"a list is good for {_text(crl.valid_ns)}, can be {_text(crl.every_ns)} old when it is fetched, and is in "
            f"use for {_text(crl.fetch_ns)} from then on: with stale: refuse every peer is refused when it ends before "
            "the next one is there; a longer 'valid', or stale: accept, avoids that"
        )
        yield Finding((*_AT, "crl"), message)
    if ocsp is not None and ocsp.valid_ns <= ocsp.fetch_ns:
        refused = "sends none" if ocsp.staple == "lenient" else "refuses handshakes"
        message = (
            f"a response is good for {_text(ocsp.valid_ns)} and is replaced after {_text(ocsp.fetch_ns)}: in between a "
            f"server {refused} with staple: {ocsp.staple}; a 'valid' longer than 'fetch' avoids that"
        )
        yield Finding((*_AT, "ocsp"), message)


def _check_target(scenario: Scenario, fault: Revoke, path: Path) -> Iterator[Finding]:
    name, _, number = fault.target.partition("/")
    if name in scenario.services:
        count, what = replica_count(scenario.services[name]), "replicas"
    elif name in scenario.fleets:
        count, what = scenario.fleets[name].size, "devices"
    else:
        return
    if number and int(number) >= count:
        message = f"{name!r} has {count} {what}, counted from 0; expected a number below {count}, or {name!r} alone"
        yield Finding(path, message)
    elif number and str(int(number)) != number:
        yield Finding(path, f"{number!r} is written with zeros before it; expected {int(number)}")
