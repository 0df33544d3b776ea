"""Checks of certificates: lifetimes, rotation, and who issues them."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario import units
from meshsim.scenario.check_reach import control_node
from meshsim.scenario.faults import CaOutage
from meshsim.scenario.findings import Finding
from meshsim.scenario.identity import Identity
from meshsim.scenario.model import Scenario
from meshsim.scenario.positions import Path
from meshsim.scenario.words import expected

MOST_AUTHORITIES = 1000
"""Authorities of one run: each is in every trust bundle while it is trusted."""
YEAR_2050_NS = 2_524_608_000 * units.NS_PER_S
"""From here on certificates write dates in a longer form (RFC 5280, section 4.1.2.5), which is not simulated."""
_AT: Path = ("mesh", "identity")
_text = units.format_duration


def check_identity(scenario: Scenario) -> Iterator[Finding]:
    """Lifetimes of certificates that cannot be written down, or make no sense together."""
    identity = scenario.mesh.identity
    issuer = None if identity.issuer is None else identity.issuer.node
    yield from check_lifetimes(scenario, identity, _AT, issuer)
    yield from _check_rotation(identity)
    yield from _check_intermediates(identity)
    yield from check_issuer(scenario, identity, _AT)
    for index, fault in enumerate(scenario.faults):
        if fault.kind == "ca-outage":
            yield from _check_outage(scenario, fault, ("faults", index))


def _check_outage(scenario: Scenario, fault: CaOutage, at: Path) -> Iterator[Finding]:
    """An outage of an issuer that is not there."""
    federation = scenario.mesh.federation
    domains = {} if federation is None else federation.domains
    if fault.target == "issuer":
        if scenario.mesh.identity.issuer is None:
            message = "the mesh has no issuer: its certificates are there at once; expected mesh.identity.issuer"
            yield Finding((*at, "kind"), message)
    elif fault.target not in domains:
        known = expected(fault.target, ["issuer", *domains])
        yield Finding((*at, "target"), f"there is no issuer {fault.target!r}; {known}")
    elif domains[fault.target].identity.issuer is None:
        message = f"{fault.target!r} has no issuer: its certificates are there at once; expected an issuer in "
        yield Finding((*at, "target"), f"{message}mesh.federation.domains.{fault.target}.identity")


def check_lifetimes(scenario: Scenario, identity: Identity, at: Path, issuer: str | None) -> Iterator[Finding]:
    """The same of one trust domain, with its settings at ``at``; ``issuer`` is the node of who signs, if any."""
    for key, value_ns in (
        ("svid_ttl", identity.svid_ttl_ns),
        ("backdate", identity.backdate_ns),
        ("ca_ttl", identity.ca_ttl_ns),
        ("intermediate_ttl", identity.intermediate_ttl_ns or 0),
    ):
        if value_ns % units.NS_PER_S:
            message = (
                f"{units.format_duration(value_ns)!r} is no whole number of seconds; expected one, as X.509 has it"
            )
            yield Finding((*at, key), message, alone=True)
    if identity.ca_ttl_ns <= identity.svid_ttl_ns:
        message = f"the authority's certificate lives no longer than {units.format_duration(identity.svid_ttl_ns)}"
        message = f"{message} (svid_ttl); expected ca_ttl to be more"
        yield Finding((*at, "ca_ttl"), message, rivals=((*at, "svid_ttl"),))
    yield from _check_succession(scenario, identity, at, issuer)


def _check_intermediates(identity: Identity) -> Iterator[Finding]:
    ttl_ns = identity.intermediate_ttl_ns
    if ttl_ns is None:
        return
    at = ("mesh", "identity", "intermediate_ttl")
    if identity.hierarchy == "root":
        message = "the root itself signs certificates; expected hierarchy: per-site beside a lifetime of intermediates"
        yield Finding(at, message, at_key=True, involved=((*at[:-1], "hierarchy"),))
    for name, bound_ns, fits, right in (
        ("svid_ttl", identity.svid_ttl_ns, ttl_ns > identity.svid_ttl_ns, "more"),
        ("ca_ttl", identity.ca_ttl_ns, ttl_ns <= identity.ca_ttl_ns, "at most that"),
    ):
        if not fits:
            lifetimes = f"{units.format_duration(ttl_ns)}, {name} is {units.format_duration(bound_ns)}"
            message = f"intermediates live for {lifetimes}; expected {right}"
            yield Finding(at, message, rivals=(("mesh", "identity", name),))


def _check_rotation(identity: Identity) -> Iterator[Finding]:
    at_ppm, jitter_ppm = identity.rotate_at_ppm, identity.rotate_jitter_ppm
    if jitter_ppm and not jitter_ppm < at_ppm <= units.PPM - jitter_ppm:
        early, late = (units.format_share(max(0, min(units.PPM, at_ppm + way * jitter_ppm))) for way in (-1, 1))
        message = f"certificates would be replaced at {early} to {late} of their lifetime; expected all of it inside"
        at = ("mesh", "identity")
        yield Finding((*at, "rotate_jitter"), message, rivals=((*at, "rotate_at"),))


def check_issuer(scenario: Scenario, identity: Identity, at: Path) -> Iterator[Finding]:
    """Who signs in a trust domain whose settings are at ``at``."""
    issuer = identity.issuer
    if issuer is None:
        if identity.at_start == "onboarding":
            message = "nobody is there to issue certificates to workloads without; expected "
            message = f"{message}{'.'.join(map(str, at))}.issuer"
            yield Finding((*at, "at_start"), message, involved=((*at, "issuer"),))
        return
    at = (*at, "issuer")
    node = scenario.network.nodes.get(issuer.node or "")
    if node is not None and node.kind == "router":
        message = "a router carries no workloads; expected a node of kind edge, regional, core or gnb"
        yield Finding((*at, "node"), message)
    retry = issuer.retry
    if retry.base_ns > retry.cap_ns:
        base, cap = units.format_duration(retry.base_ns), units.format_duration(retry.cap_ns)
        message = f"the first wait is {base} and the longest {cap}; expected base to be at most cap"
        yield Finding((*at, "retry", "base"), message, rivals=((*at, "retry", "cap"),))


def _check_succession(scenario: Scenario, identity: Identity, at: Path, issuer: str | None) -> Iterator[Finding]:
    """Authorities: how old the first one is, when it is replaced, and whether certificates can say so."""
    age_ns, life_ns = identity.authority_age_ns, identity.ca_ttl_ns
    if age_ns < identity.oldest_ns:
        message = f"certificates are up to {_text(identity.oldest_ns)} old when the run begins, and their authority is "
        message += f"{_text(age_ns)}; expected ca_age to be at least that of certificates"
        yield Finding((*at, "ca_age"), message, rivals=((*at, "at_start"),))
    if age_ns >= life_ns:
        message = f"the authority is {_text(age_ns)} old when the run begins, and lives for {_text(life_ns)}"
        yield Finding((*at, "ca_age"), f"{message}; expected it to be younger", rivals=((*at, "ca_ttl"),))
    elif identity.ca_rotation is not None:
        yield from _check_terms(scenario, identity, at)
    skew_ns = scenario.network.nodes[issuer].clock_skew_ns if issuer in scenario.network.nodes else 0
    first_ns = scenario.epoch_ns + skew_ns - age_ns - identity.backdate_ns
    last_ns = scenario.epoch_ns + skew_ns + life_ns + (scenario.duration_ns if identity.ca_rotation is not None else 0)
    if first_ns < 0:
        yield Finding(("epoch",), "certificates would begin before 1970; expected a later epoch")
    if last_ns >= YEAR_2050_NS:
        message = "the authority's certificate would end after the year 2049; expected a shorter ca_ttl"
        yield Finding((*at, "ca_ttl"), message, rivals=(("epoch",),))


def _check_terms(scenario: Scenario, identity: Identity, at: Path) -> Iterator[Finding]:
    age_ns, life_ns, rotation = identity.authority_age_ns, identity.ca_ttl_ns, identity.ca_rotation
    assert rotation is not None
    path: Path = (*at, "ca_rotation")
    prepare_ns, activate_ns = identity.prepare_ns, identity.activate_ns
    if rotation.overlap == "none":
        if rotation.prepare_ns is not None:
            message = "without overlap nothing is prepared; expected no 'prepare', or overlap: full"
            yield Finding((*path, "prepare"), message, at_key=True)
        prepare_ns = activate_ns
    elif prepare_ns < activate_ns:
        message = f"the next authority is made {_text(prepare_ns)} before the end and signs {_text(activate_ns)} before"
        yield Finding((*path, "prepare"), f"{message}; expected it to be made first", rivals=((*path, "activate"),))
        return
    if prepare_ns >= life_ns - identity.backdate_ns:
        message = f"each authority lives for {_text(life_ns)}, and the next is due {_text(prepare_ns)} before its end"
        yield Finding((*path, "prepare"), f"{message}; expected less", rivals=((*path, "activate"), (*at, "ca_ttl")))
        return
    if age_ns > life_ns - prepare_ns:
        message = f"the authority is {_text(age_ns)} old when the run begins, and the next one was due at an age of "
        message += f"{_text(life_ns - prepare_ns)}; expected at most that"
        yield Finding((*at, "ca_age"), message, rivals=((*at, "at_start"), (*path, "prepare"), (*at, "ca_ttl")))
    replaced = (scenario.duration_ns + age_ns) // (life_ns - activate_ns)
    if replaced > MOST_AUTHORITIES:
        message = f"the authority would be replaced {replaced} times; expected at most {MOST_AUTHORITIES}"
        yield Finding((*at, "ca_ttl"), message, rivals=((*path, "activate"),))


def note_skew(scenario: Scenario) -> Iterator[Finding]:
    """Clocks so far behind their issuer's that new certificates are not valid there yet, as some want to study."""
    nodes, mesh = scenario.network.nodes, scenario.mesh
    for name in mesh.trust_domains:
        identity = mesh.identity_of(name)
        own = name == mesh.trust_domain or mesh.federation is None
        place = None if identity.issuer is None else identity.issuer.node
        if place is None and (identity.issuer is not None or not own):
            place = control_node(scenario) if own or mesh.federation is None else mesh.federation.domains[name].node
        ahead_ns = nodes[place].clock_skew_ns if place in nodes else 0
        for node, settings in nodes.items():
            early_ns = ahead_ns - identity.backdate_ns - settings.clock_skew_ns
            if early_ns > 0 and settings.clock_skew_ns:
                who = "the issuer's" if place is None or not ahead_ns else f"the issuer's on {place!r}"
                message = (
                    f"this clock is {_text(ahead_ns - settings.clock_skew_ns)} behind {who}, and certificates of "
                    f"{name!r} are dated back by {_text(identity.backdate_ns)}: each new one is refused here for "
                    f"{_text(early_ns)}; a longer 'backdate' avoids that"
                )
                yield Finding(("network", "nodes", node, "clock_skew"), message)
