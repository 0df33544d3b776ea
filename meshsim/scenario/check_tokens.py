"""Checks of tokens: names of issuers, claims, and what flows present."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import unquote

from meshsim.scenario import units
from meshsim.scenario.call_graph import calls_of
from meshsim.scenario.findings import Finding
from meshsim.scenario.headers import FIELDS_OF_THE_MESH
from meshsim.scenario.model import Scenario
from meshsim.scenario.positions import Path
from meshsim.scenario.services import Call
from meshsim.scenario.tokens import Flaw, HeldToken, StolenToken, TokenCheck, TokenIssuer, TokenPlace
from meshsim.scenario.traffic import Traffic
from meshsim.scenario.words import expected, one_of, show

OWN_CLAIMS = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf")
"""Claims that tokens have by themselves (RFC 7519, section 4.1; RFC 7800)."""
MOST_CLAIM_BYTES = 8192
"""Of one token's claims: it, and what is written of it into header fields, are within the 60 KiB that Envoy takes."""


def check_tokens(scenario: Scenario) -> Iterator[Finding]:
    """Issuers that are not there, claims that no token can have, and tokens that nobody could present."""
    held = _held(scenario)
    yield from _check_issuers(scenario, held)
    for path, token in held.values():
        yield from _check_claims(token, (*path, "claims"))
    for path, source, request in _requests(scenario):
        presented, at = request.token, (*path, "token")
        yield from _check_presented(at, source, presented, set(held))
        if isinstance(presented, StolenToken) and presented.at is not None:
            yield from _check_place(presented.at, (*at, "at"))
        if presented != "none":
            yield from _check_doubled(request, path, _place(source, presented, held))
    for path, token in held.values():
        if token.at is not None:
            yield from _check_place(token.at, (*path, "at"))
    yield from _check_fields(scenario)


def _held(scenario: Scenario) -> dict[str, tuple[Path, HeldToken]]:
    """The token of each workload that has one, and where it says so."""
    fleets = {name: (("fleets", name, "token"), fleet.token) for name, fleet in scenario.fleets.items()}
    services = {name: (("services", name, "token"), service.token) for name, service in scenario.services.items()}
    return {name: (path, token) for name, (path, token) in {**fleets, **services}.items() if token is not None}


def _check_issuers(scenario: Scenario, held: dict[str, tuple[Path, HeldToken]]) -> Iterator[Finding]:
    tokens = scenario.mesh.tokens
    issuers = {} if tokens is None else tokens.issuers
    uses: list[tuple[Path, str]] = [((*path, "issuer"), token.issuer) for path, token in held.values()]
    for name, service in scenario.services.items():
        if service.request_authentication is not None:
            at = ("services", name, "request_authentication", "issuers")
            uses += [((*at, index), issuer) for index, issuer in enumerate(service.request_authentication.issuers)]
    for path, issuer in uses:
        if issuer not in issuers:
            nothing = "expected one in mesh.tokens.issuers"
            message = f"there is no token issuer {show(issuer)}; {expected(issuer, list(issuers), nothing)}"
            yield Finding(path, message, alone=True)
    used = {issuer for _, issuer in uses}
    for name, issuer_ in issuers.items():
        at_issuer = ("mesh", "tokens", "issuers", name)
        if name not in used:
            message = (
                f"the token issuer {show(name)} is declared but never used; expected a token of it, or not to be here"
            )
            yield Finding(at_issuer, message, at_key=True)
        domain, domains = issuer_.trust_domain, scenario.mesh.trust_domains
        if domain is not None and domain not in domains:
            message = f"there is no trust domain {show(domain)}; {expected(domain, domains)}"
            yield Finding((*at_issuer, "trust_domain"), message)
        if domain is not None and issuer_.algorithm == "EdDSA":
            message = "JWT-SVIDs are not signed with EdDSA; expected ES256, ES384 or RS256 beside a trust_domain"
            yield Finding((*at_issuer, "algorithm"), message)
        if issuer_.ttl_ns % units.NS_PER_S:
            shown = units.format_duration(issuer_.ttl_ns)
            message = f"{shown!r} is no whole number of seconds; expected one, as JWTs have it"
            yield Finding((*at_issuer, "ttl"), message, alone=True)
        if issuer_.endpoint is not None:
            yield from _check_endpoint(scenario, issuer_, (*at_issuer, "endpoint"))
    if tokens is not None and tokens.leeway_ns % units.NS_PER_S:
        message = f"{units.format_duration(tokens.leeway_ns)!r} is no whole number of seconds; expected one"
        yield Finding(("mesh", "tokens", "leeway"), message, alone=True)
    for index, fault in enumerate(scenario.faults):
        if fault.kind == "token-outage" and (fault.target not in issuers or issuers[fault.target].endpoint is None):
            known = [name for name, one in issuers.items() if one.endpoint is not None]
            right = expected(fault.target, known, "expected an issuer in mesh.tokens.issuers with an endpoint")
            message = f"there is no token issuer {show(fault.target)} with an endpoint; {right}"
            yield Finding(("faults", index, "target"), message)
    names = [issuer.issuer or name for name, issuer in issuers.items()]
    for name, issuer_ in issuers.items():
        if issuer_.issuer is not None and names.count(issuer_.issuer) > 1:
            message = f"two issuers say {show(issuer_.issuer)} of themselves; expected a name of its own for each"
            yield Finding(("mesh", "tokens", "issuers", name, "issuer"), message)


def _check_place(place: TokenPlace, path: Path) -> Iterator[Finding]:
    kinds = ("header", "param", "cookie")
    named = [kind for kind in kinds if getattr(place, kind) is not None]
    if len(named) != 1:
        said = "nowhere" if not named else f"at {len(named)} places"
        yield Finding(path, f"the token would be {said}; expected one of {one_of(kinds)}")
    elif place.prefix and place.header is None:
        message = f"a {named[0]} has nothing before its token; expected no prefix, or a header"
        yield Finding((*path, "prefix"), message, at_key=True)
    if place.header is not None:
        yield from _check_field(place.header, (*path, "header"))


def _check_fields(scenario: Scenario) -> Iterator[Finding]:
    """Header fields in which services look for tokens, or write what they say."""
    for name, service in scenario.services.items():
        check, at = service.request_authentication, ("services", name, "request_authentication")
        if check is not None:
            yield from _check_overwritten(check, at)
            for index, one in enumerate(check.from_headers):
                yield from _check_field(one.name, (*at, "from_headers", index, "name"))
            for index, written in enumerate(check.output_claims_to_headers):
                yield from _check_field(written.header, (*at, "output_claims_to_headers", index, "header"))
            if check.output_payload_to_header is not None:
                yield from _check_field(check.output_payload_to_header, (*at, "output_payload_to_header"))


def _check_overwritten(check: TokenCheck, at: Path) -> Iterator[Finding]:
    """Fields that tell of a token and would carry one: what callers put there is taken off before it is looked for."""
    looked = {one.name.lower() for one in check.from_headers}
    if not (check.from_headers or check.from_params or check.from_cookies):
        looked = {"authorization"}
    written: list[tuple[Path, str]] = [
        ((*at, "output_claims_to_headers", index, "header"), one.header)
        for index, one in enumerate(check.output_claims_to_headers)
    ]
    if check.output_payload_to_header is not None:
        written.append(((*at, "output_payload_to_header"), check.output_payload_to_header))
    for path, name in written:
        if name.lower() in looked:
            message = f"tokens are looked for in {show(name)}, and callers cannot set what is written there, so that "
            yield Finding(path, f"{message}none is ever found in it; expected another field")


def _check_field(name: str, path: Path) -> Iterator[Finding]:
    if name.lower() in FIELDS_OF_THE_MESH or name.lower() == "cookie":
        hint = "; a token in a cookie is at 'cookie'" if name.lower() == "cookie" else ""
        yield Finding(path, f"the field {show(name)} has a meaning of its own; expected another one{hint}")


def _check_endpoint(scenario: Scenario, issuer: TokenIssuer, at: Path) -> Iterator[Finding]:
    endpoint = issuer.endpoint
    assert endpoint is not None
    node = scenario.network.nodes.get(endpoint.node or "")
    if node is not None and node.kind == "router":
        message = "a router carries no workloads; expected a node of kind edge, regional, core or gnb"
        yield Finding((*at, "node"), message)
    retry, text = endpoint.retry, units.format_duration
    if retry.base_ns > retry.cap_ns:
        message = f"the first wait is {text(retry.base_ns)} and the longest {text(retry.cap_ns)}"
        yield Finding(
            (*at, "retry", "base"), f"{message}; expected base to be at most cap", rivals=((*at, "retry", "cap"),)
        )
    if endpoint.margin_ns >= issuer.ttl_ns:
        message = (
            f"a token lives for {text(issuer.ttl_ns)} and is not sent in the last {text(endpoint.margin_ns)} of it"
        )
        yield Finding((*at, "margin"), f"{message}; expected margin to be less than ttl", rivals=((*at[:-1], "ttl"),))


def _check_claims(token: HeldToken, path: Path) -> Iterator[Finding]:
    for name, value in token.claims.items():
        if name in OWN_CLAIMS:
            message = f"every token has the claim {show(name)} by itself; expected one other than {one_of(OWN_CLAIMS)}"
            yield Finding((*path, name), message, at_key=True)
            continue
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            yield Finding(
                (*path, name), "this is nothing that JSON can hold; expected text, a number, true, a list or a mapping"
            )
    size_bytes = len(json.dumps(token.claims, default=str))
    if size_bytes > MOST_CLAIM_BYTES:
        yield Finding(path, f"the claims have {size_bytes} characters as JSON; expected at most {MOST_CLAIM_BYTES}")


def _requests(scenario: Scenario) -> Iterator[tuple[Path, str, Traffic | Call]]:
    for index, flow in enumerate(scenario.traffic):
        yield ("traffic", index), flow.source, flow
    for name in scenario.services:
        for below, call in calls_of(scenario, name):
            yield ("services", name, *below), name, call


def _place(source: str, presented: Flaw | StolenToken, held: dict[str, tuple[Path, HeldToken]]) -> TokenPlace | None:
    """Where requests carry a token; None if there is none."""
    holder = presented.stolen_from if isinstance(presented, StolenToken) else source
    said = presented.at if isinstance(presented, StolenToken) else None
    if holder not in held:
        return None
    return said or held[holder][1].at or TokenPlace(header="authorization", prefix="Bearer ")


def _check_doubled(request: Traffic | Call, path: Path, place: TokenPlace | None) -> Iterator[Finding]:
    """What a request itself says where its token is put: there would be two, of which one is none or is never seen."""
    if place is None:
        return
    right = "expected another place (the token's 'at'), 'token: none', or nothing there"
    for name, value in request.headers.items():
        cookies = {one.partition("=")[0].strip() for one in value.split(";")} if name.lower() == "cookie" else set()
        if place.header is not None and name.lower() == place.header.lower():
            yield Finding(
                (*path, "headers", name), f"the request's token is in {show(name)}, too; {right}", at_key=True
            )
        elif place.cookie in cookies:
            message = f"the request's token is in the cookie {show(str(place.cookie))}, too; {right}"
            yield Finding((*path, "headers", name), message)
    query = request.path.partition("?")[2].split("&")
    if place.param is not None and place.param in {unquote(one.partition("=")[0]) for one in query}:
        yield Finding((*path, "path"), f"the request's token is in the parameter {show(place.param)}, too; {right}")


def _check_presented(path: Path, source: str, presented: Flaw | StolenToken, held: set[str]) -> Iterator[Finding]:
    if isinstance(presented, StolenToken):
        victim = presented.stolen_from
        if victim not in held:
            right = expected(victim, sorted(held), "expected a fleet or service with a token")
            yield Finding((*path, "stolen_from"), f"{victim!r} has no token that could be stolen; {right}")
        elif victim == source:
            yield Finding(
                (*path, "stolen_from"), f"{source!r} would steal from itself; expected somebody else, or 'own'"
            )
    elif presented not in ("own", "none") and source not in held:
        message = f"{source!r} has no token to present; expected one (its key 'token'), or token: none"
        yield Finding(path, message)
