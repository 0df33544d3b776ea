"""Notes on who signs certificates and tokens: limits and time-outs that nobody's requests can meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush

import msgspec

from meshsim.scenario import units
from meshsim.scenario.check_reach import control_node, entry_nodes
from meshsim.scenario.findings import Finding
from meshsim.scenario.identity import Signing
from meshsim.scenario.model import Scenario
from meshsim.scenario.positions import Path
from meshsim.scenario.variants import replicas_by_node

SETUP_ROUND_TRIPS = 2
"""Round trips before the first request on a new connection: TCP, then TLS 1.3."""
_text = units.format_duration


class _Asking(msgspec.Struct, frozen=True):
    """Who asks one signer, and for what."""

    what: str
    at: Path
    signer: Signing
    timeout_ns: int
    node: str
    round_trips: int
    every_ns: int
    """How long after one request a holder sends the next; 0 where none does within the run."""
    holders: Mapping[str, Mapping[str, int]]
    """How many there are, by the fleet or service and the node at which they reach the network."""


def note_signing(scenario: Scenario) -> Iterator[Finding]:
    """Signers that are slower than what they are asked, or too far away, as some want to study."""
    for asking in (*_tokens(scenario), *_certificates(scenario)):
        yield from _note_timeout(scenario, asking)
        yield from _note_rates(scenario, asking)
        cores = scenario.network.nodes[asking.node].cores
        if asking.signer.cores is not None and asking.signer.cores > cores:
            message = (
                f"{asking.signer.cores} signatures at a time are to be made on {asking.node!r}, which has "
                f"{_counted(cores, 'core')}: they take turns there, no faster than with 'cores: {cores}'"
            )
            yield Finding((*asking.at, "cores"), message)


def _tokens(scenario: Scenario) -> Iterator[_Asking]:
    mesh = scenario.mesh
    held = {name: fleet.token for name, fleet in scenario.fleets.items()}
    held |= {name: service.token for name, service in scenario.services.items()}
    for name, issuer in () if mesh.tokens is None else mesh.tokens.issuers.items():
        endpoint = issuer.endpoint
        if endpoint is None:
            continue
        owners = [key for key, token in held.items() if token is not None and token.issuer == name]
        yield _Asking(
            what="token",
            at=("mesh", "tokens", "issuers", name, "endpoint"),
            signer=endpoint,
            timeout_ns=endpoint.timeout_ns,
            node=endpoint.node or _home(scenario, issuer.trust_domain or mesh.trust_domain),
            round_trips=1 + SETUP_ROUND_TRIPS,
            every_ns=min(issuer.renew_after_ns, issuer.ttl_ns - endpoint.margin_ns),
            holders={owner: _places(scenario, owner) for owner in owners},
        )


def _certificates(scenario: Scenario) -> Iterator[_Asking]:
    mesh = scenario.mesh
    for domain in mesh.trust_domains:
        identity = mesh.identity_of(domain)
        if identity.issuer is None:
            continue
        own = domain == mesh.trust_domain
        at: Path = ("mesh", "identity") if own else ("mesh", "federation", "domains", domain, "identity")
        owners = [name for name in (*scenario.fleets, *scenario.services) if mesh.trust_domain_of(name) == domain]
        every_ns = identity.svid_ttl_ns * identity.rotate_at_ppm // units.PPM
        # Who has a new certificate when the run begins asks for the next one only after that.
        asks = identity.at_start == "aged" or every_ns < scenario.duration_ns
        yield _Asking(
            what="certificate",
            at=(*at, "issuer"),
            signer=identity.issuer,
            timeout_ns=identity.issuer.timeout_ns,
            node=identity.issuer.node or _home(scenario, domain),
            round_trips=1 + (SETUP_ROUND_TRIPS if identity.at_start == "onboarding" else 0),
            every_ns=every_ns if asks else 0,
            holders={owner: _places(scenario, owner) for owner in owners},
        )


def _home(scenario: Scenario, domain: str) -> str:
    federation = scenario.mesh.federation
    if federation is not None and domain in federation.domains:
        return federation.domains[domain].node
    home = control_node(scenario)
    assert home is not None, "a mesh whose control plane is nowhere is refused"
    return home


def _places(scenario: Scenario, owner: str) -> Mapping[str, int]:
    """How many of a fleet or service there are at each node; devices with a radio count at each cell of it."""
    if owner in scenario.services:
        return replicas_by_node(scenario.services[owner])
    return dict.fromkeys(entry_nodes(scenario, owner), scenario.fleets[owner].size)


def _total(scenario: Scenario, asking: _Asking) -> int:
    """How many ask."""
    return sum(
        scenario.fleets[owner].size if owner in scenario.fleets else sum(places.values())
        for owner, places in asking.holders.items()
    )


def _note_timeout(scenario: Scenario, asking: _Asking) -> Iterator[Finding]:
    distances = distances_ns(scenario, asking.node)
    far = {
        node: 2 * asking.round_trips * distances[node]
        for places in asking.holders.values()
        for node, count in places.items()
        if count and 2 * asking.round_trips * distances.get(node, 0) >= asking.timeout_ns
    }
    if far:
        node = max(far, key=lambda one: far[one])
        message = (
            f"an answer is waited for {_text(asking.timeout_ns)}, and takes "
            f"{_counted(asking.round_trips, 'round trip')} to {asking.node!r}, {_text(far[node])} from {node!r}: "
            f"nobody there is ever given a {asking.what}; a longer 'timeout' avoids that"
        )
        yield Finding((*asking.at, "timeout"), message)


def _note_rates(scenario: Scenario, asking: _Asking) -> Iterator[Finding]:
    if not asking.every_ns:
        return
    signer, total = asking.signer, _total(scenario, asking)
    of_node: dict[str, int] = {}
    for owner, places in asking.holders.items():
        radio = owner in scenario.fleets and scenario.fleets[owner].node is None
        for node, count in places.items():
            where = f"a device of {owner}" if radio else node
            of_node[where] = 1 if radio else of_node.get(where, 0) + count
    busiest = max(of_node, key=lambda one: of_node[one], default="")
    for key, limit_uhz, holders, where in (
        ("signatures", signer.signatures_uhz, total, ""),
        ("signatures_per_node", signer.signatures_per_node_uhz, of_node.get(busiest, 0), f" on {busiest!r}"),
    ):
        asked_uhz = holders * units.NS_PER_S * 1_000_000 // asking.every_ns
        if limit_uhz is not None and asked_uhz > limit_uhz:
            asked, taken = units.format_rate(_rounded(asked_uhz)), units.format_rate(limit_uhz)
            message = (
                f"{_counted(holders, 'holder')}{where}, each asking for a new {asking.what} every "
                f"{_text(asking.every_ns)}, are {asked}, and {taken} are taken on: more and more wait or are refused; "
                f"a higher {key!r} avoids that"
            )
            yield Finding((*asking.at, key), message)


def _rounded(rate_uhz: int) -> int:
    """A rate with three digits."""
    step: int = 10 ** max(0, len(str(rate_uhz)) - 3)
    return round(rate_uhz / step) * step


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def distances_ns(scenario: Scenario, home: str) -> dict[str, int]:
    """The least one-way latency between a node and each other over links; base stations forward nothing for others."""
    near: dict[str, list[tuple[str, int]]] = {}
    for link in scenario.network.links:
        one, other = link.between
        near.setdefault(one, []).append((other, link.latency_ns))
        near.setdefault(other, []).append((one, link.latency_ns))
    found: dict[str, int] = {}
    waiting = [(0, home)]
    while waiting:
        distance_ns, node = heappop(waiting)
        if node in found:
            continue
        found[node] = distance_ns
        if node == home or scenario.network.nodes[node].kind != "gnb":
            for other, latency_ns in near.get(node, ()):
                heappush(waiting, (distance_ns + latency_ns, other))
    return found
