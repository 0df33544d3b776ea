"""What both ends of a case say and compute, from the TLS model and the cost profile."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from meshsim.identity.authority import Authority
from meshsim.identity.bundle import TrustBundle, by_trust_domain
from meshsim.network.tcp_dialogue import Dialogue, Turn
from meshsim.network.tcp_path import DOWN, UP
from meshsim.probe.case import FlightSize, ProbeCase, unknown
from meshsim.scenario.cost_profile import CostProfile, CpuCosts
from meshsim.scenario.errors import UsageError
from meshsim.sidecar.http_sizes import request_size_bytes, response_size_bytes
from meshsim.sidecar.tls.machine import TlsClient, TlsServer
from meshsim.sidecar.tls.outcome import End, TlsStep
from meshsim.sidecar.tls.prediction import HandshakeCase
from meshsim.sidecar.tls.records import sealed_size_bytes
from meshsim.sidecar.tls.settings import TlsSettings, TlsSide

TRUST_DOMAIN: Final = "probe.example"
SERVER_ID: Final = f"spiffe://{TRUST_DOMAIN}/ns/default/sa/server"
CLIENT_ID: Final = f"spiffe://{TRUST_DOMAIN}/ns/default/sa/client"
START_NS: Final = 1_790_000_000 * 1_000_000_000
"""An instant of the certificates' lives: the dates in them have one length, so any will do."""
LIFETIME_NS: Final = 24 * 3_600 * 1_000_000_000
RESPONSE_BYTES: Final = 1_024
"""Body of the response; the request is a GET without one."""


class Script(msgspec.Struct, frozen=True):
    """A dialogue with its meaning."""

    dialogue: Dialogue
    finish: int
    """Index of the turn with the client's last flight: once the client has computed it, it is established."""
    response: int
    """Index of the turn with the response."""
    flights: tuple[FlightSize, ...]
    cpu_client_ns: int
    cpu_server_ns: int
    request_bytes: int
    """The sealed request, headers included."""
    response_bytes: int
    """The sealed response, headers included."""


@lru_cache(maxsize=64)
def probe_authority(key_type: str, intermediates: int = 0) -> Authority:
    """Return the authority behind the certificates of cases: a root, or an intermediate so far below one.

    All of them have keys of one type.
    """
    authority = None
    for below in range(intermediates + 1):
        name = f"intermediate-{below}" if below else "root"
        authority = Authority(
            TRUST_DOMAIN, f"{key_type}/{name}", 1, key_type, START_NS, START_NS + 365 * LIFETIME_NS, authority
        )
    assert authority is not None
    return authority


def handshake_case(case: ProbeCase) -> HandshakeCase:
    """Return both ends of a case as the TLS model wants them; with a ticket if a session is to be resumed."""
    authority = probe_authority(case.key, case.chain - 1)
    bundles = by_trust_domain([TrustBundle(TRUST_DOMAIN, frozenset({authority.issuers[-1].authority}))])
    settings = TlsSettings(groups=(case.group,), mutual=case.mutual)

    def side(spiffe_id: str, ticket_key: str = "") -> TlsSide:
        svid = authority.issue(spiffe_id, case.key, START_NS, START_NS + LIFETIME_NS, 0)
        return TlsSide(settings=settings, svid=svid, bundles=bundles, ticket_key=ticket_key)

    first = HandshakeCase(
        client=side(CLIENT_ID),
        server=side(SERVER_ID, "boot 1"),
        expected_peers=frozenset({SERVER_ID}),
        client_clock_ns=START_NS,
        server_clock_ns=START_NS,
    )
    if not case.resumed:
        return first
    ticket = next(step.ticket for _, step in reversed(play(first)) if step.ticket is not None)
    return msgspec.structs.replace(first, ticket=ticket)


def play(case: HandshakeCase) -> list[tuple[End, TlsStep]]:
    """Return what each end does, step by step, when nothing is lost between them."""
    client = TlsClient(case.client, case.expected_peers, case.ticket)
    server = TlsServer(case.server)
    steps: list[tuple[End, TlsStep]] = [("client", client.start(case.client_clock_ns))]
    while steps[-1][1].flights:
        end, step = steps[-1]
        (flight,) = step.flights
        if end == "client":
            steps.append(("server", server.receive(flight, case.server_clock_ns)))
        else:
            steps.append(("client", client.receive(flight, case.client_clock_ns)))
    return steps


def costs_of(profile: CostProfile, cpu: str) -> CpuCosts:
    """Return a CPU's costs; raises UsageError for one that the profile does not have."""
    try:
        return profile.cpu(cpu)
    except KeyError:
        raise UsageError(unknown("CPU", cpu, tuple(profile.cpus))) from None


def step_ns(costs: CpuCosts, step: TlsStep) -> int:
    """Return the CPU time of a step: its operations, and a message through TCP for what came and each that goes."""
    operations_ns = sum(costs.operation_ns(name) * times for name, times in step.operations)
    return operations_ns + costs.tcp_message_ns * (1 + len(step.flights))


def write_script(case: ProbeCase, profile: CostProfile) -> Script:
    """Return the script of a case. Both ends are sidecars: HTTP work and records are charged as a proxy's."""
    costs: dict[End, CpuCosts] = {
        "client": costs_of(profile, case.cpu),
        "server": costs_of(profile, case.server_cpu or case.cpu),
    }
    steps = play(handshake_case(case))
    turns: list[Turn] = []
    flights: list[FlightSize] = []
    cpu_ns: dict[End, int] = {"client": 0, "server": 0}
    finish = -1
    cipher = ""
    left_ns = 0
    for end, step in steps:
        work_ns = step_ns(costs[end], step)
        cpu_ns[end] += work_ns
        if end == "client" and step.established is not None:
            finish = len(turns)
            cipher = step.established.cipher
        for flight in step.flights:
            turns.append(_turn(end, flight.size_bytes, work_ns))
            flights.append(FlightSize(end, type(flight).__name__, flight.size_bytes))
            if len(turns) == finish + 1:
                turns.append(_request(costs["client"], cipher))
        if end == "server" and not step.flights:
            left_ns = work_ns  # no session tickets: the response waits for the work all the same
    assert finish >= 0, "a handshake between two sound ends succeeds"
    turns.append(_response(costs["server"], cipher, left_ns))
    return Script(
        dialogue=tuple(turns),
        finish=finish,
        response=len(turns) - 1,
        flights=tuple(flights),
        cpu_client_ns=cpu_ns["client"],
        cpu_server_ns=cpu_ns["server"],
        request_bytes=turns[finish + 1].size_bytes,
        response_bytes=turns[-1].size_bytes,
    )


def _turn(end: End, size_bytes: int, work_ns: int) -> Turn:
    return Turn(direction=UP if end == "client" else DOWN, writes_bytes=(size_bytes,), compute_ns=work_ns)


def _request(costs: CpuCosts, cipher: str) -> Turn:
    size_bytes = sealed_size_bytes(request_size_bytes("GET", "/", "server", 0, first=True))
    return _turn(
        "client", size_bytes, costs.proxy_request_ns + costs.tcp_message_ns + costs.record_ns(cipher, size_bytes)
    )


def _response(costs: CpuCosts, cipher: str, left_ns: int) -> Turn:
    request_bytes = sealed_size_bytes(request_size_bytes("GET", "/", "server", 0, first=True))
    size_bytes = sealed_size_bytes(response_size_bytes(200, RESPONSE_BYTES, first=True))
    work_ns = costs.proxy_request_ns + costs.proxy_response_ns + 2 * costs.tcp_message_ns
    work_ns += costs.record_ns(cipher, request_bytes) + costs.record_ns(cipher, size_bytes)
    return _turn("server", size_bytes, left_ns + work_ns)
