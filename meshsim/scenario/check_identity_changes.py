"""Checks of changes of the terms of certificates: that they make sense with what holds before them."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario import units
from meshsim.scenario.changes import Change, IdentityChange, identity_after
from meshsim.scenario.findings import Finding
from meshsim.scenario.identity import Identity
from meshsim.scenario.model import Scenario
from meshsim.scenario.positions import Path
from meshsim.scenario.words import expected

_text = units.format_duration


def change_order(scenario: Scenario) -> list[int]:
    """The indices of the changes in the order in which they come: by instant, then by place in the file."""
    return sorted(range(len(scenario.changes)), key=lambda index: scenario.changes[index].at_ns)


def check_identity_changes(scenario: Scenario) -> Iterator[Finding]:
    """Terms that do not go together, or not with the authority."""
    mesh = scenario.mesh
    federation = mesh.federation
    identities = {name: mesh.identity_of(name) for name in mesh.trust_domains}
    for index in change_order(scenario):
        change = scenario.changes[index]
        known = [] if federation is None else list(federation.domains)
        for name in change.domains:
            if name not in known:
                nothing = "mesh.federation has none"
                own = "changes[].identity for the mesh's own" if name == mesh.trust_domain else ""
                right = f"expected {own}" if own else expected(name, known, nothing)
                message = f"{name!r} is no trust domain of mesh.federation.domains; {right}"
                yield Finding(("changes", index, "domains", name), message, at_key=True)
        if change.identity is not None:
            at: Path = ("changes", index, "identity")
            identities[mesh.trust_domain] = identity_after(identities[mesh.trust_domain], change.identity)
            yield from _check(scenario, change, change.identity, identities[mesh.trust_domain], at)
        for name in (one for one in change.domains if one in known):
            terms = change.domains[name].identity
            identities[name] = identity_after(identities[name], terms)
            at = ("changes", index, "domains", name, "identity")
            yield from _check(scenario, change, terms, identities[name], at)


def _check(
    scenario: Scenario, change: Change, terms: IdentityChange, identity: Identity, at: Path
) -> Iterator[Finding]:
    """What is wrong with the terms that one trust domain gets, which come to ``identity``."""
    if not terms.terms and terms.renew != "at-once" and not _changes_keys(change):
        message = "no term of certificates is changed, and none is renewed; expected svid_ttl, backdate, rotate_at, "
        yield Finding(at, f"{message}rotate_jitter, renew: at-once, or no identity")
    yield from _check_lifetime(scenario, change, terms.terms, identity, at)
    if terms.rotate_at_ppm is not None or terms.rotate_jitter_ppm is not None:
        yield from _check_rotation(identity, at)


def _changes_keys(change: Change) -> bool:
    return any(tls is not None and tls.key is not None for tls in (change.tls, *change.workloads.values()))


def _check_lifetime(
    scenario: Scenario, change: Change, terms: dict[str, int], identity: Identity, at: Path
) -> Iterator[Finding]:
    lifetime = [key for key in ("svid_ttl", "backdate") if f"{key}_ns" in terms]
    for key in lifetime:
        if terms[f"{key}_ns"] % units.NS_PER_S:
            message = f"{_text(terms[f'{key}_ns'])!r} is no whole number of seconds; expected one, as X.509 has it"
            yield Finding((*at, key), message, alone=True)
    if not lifetime or any(terms[f"{key}_ns"] % units.NS_PER_S for key in lifetime):
        return
    lasts_ns, backdate_ns = identity.svid_ttl_ns, identity.backdate_ns
    if "svid_ttl_ns" in terms:
        for name, bound_ns in (("ca_ttl", identity.ca_ttl_ns), ("intermediate_ttl", identity.intermediate_ttl_ns)):
            if bound_ns is not None and lasts_ns >= bound_ns:
                message = f"certificates would live for {_text(lasts_ns)}, and {name} is {_text(bound_ns)}"
                yield Finding((*at, "svid_ttl"), f"{message}; expected less")
    if scenario.epoch_ns + change.at_ns < backdate_ns:
        yield Finding((*at, "backdate"), "certificates would begin before 1970; expected less")


def _check_rotation(identity: Identity, at: Path) -> Iterator[Finding]:
    at_ppm, jitter_ppm = identity.rotate_at_ppm, identity.rotate_jitter_ppm
    if jitter_ppm and not jitter_ppm < at_ppm <= units.PPM - jitter_ppm:
        early, late = (units.format_share(max(0, min(units.PPM, at_ppm + way * jitter_ppm))) for way in (-1, 1))
        message = f"certificates would be replaced at {early} to {late} of their lifetime; expected all of it inside"
        yield Finding((*at, "rotate_jitter"), message, rivals=((*at, "rotate_at"),))
