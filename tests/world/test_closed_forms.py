"""What a run charges, against sums worked out by hand."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest

from meshsim.sidecar.http_sizes import request_size_bytes, response_size_bytes
from meshsim.sidecar.tls.prediction import HandshakeCase, predict
from meshsim.sidecar.tls.records import sealed_size_bytes
from meshsim.world.compute import Cores

MS = 1_000_000
S = 1_000_000_000
HEADER_BYTES = 52
CIPHER = "TLS_AES_128_GCM_SHA256"
UPLINK_BPS, DOWNLINK_BPS, LINK_BPS = 100_000_000, 500_000_000, 1_000_000_000


def _sojourn_ns(servers: int, load: float, mean_ns: int, jobs: int) -> float:
    """Mean time in a system with Poisson arrivals, exponential work and this load per server."""
    cores, arrivals, work = Cores(servers), Random(21), Random(22)
    now_ns, total_ns = 0, 0
    for _ in range(jobs):
        now_ns += round(arrivals.expovariate(servers * load / mean_ns))
        work_ns = round(work.expovariate(1 / mean_ns))
        total_ns += cores.submit(now_ns, work_ns) + work_ns - now_ns
    return total_ns / jobs


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (1, 0.8), (4, 0.7), (4, 0.85)])
def test_cores_are_an_m_m_c_queue(servers: int, load: float) -> None:
    """Mean sojourn is work plus the wait of Erlang's C formula."""
    mean_ns = 1 * MS
    offered = servers * load
    full = offered**servers / math.factorial(servers) / (1 - load)
    waits = full / (sum(offered**k / math.factorial(k) for k in range(servers)) + full)
    expected_ns = mean_ns + waits * mean_ns / (servers * (1 - load))
    assert abs(_sojourn_ns(servers, load, mean_ns, 300_000) / expected_ns - 1) < 0.04


def test_cores_by_hand() -> None:
    """Jobs start when the first core is free; waiting jobs, work done and a crash are accounted for."""
    cores = Cores(2)
    assert [cores.submit(0, work) for work in (10, 4, 3, 8)] == [0, 0, 4, 7]
    assert [cores.waiting(now) for now in (0, 4, 7)] == [2, 1, 0]
    assert [cores.worked_ns(now) for now in (0, 5, 12, 15)] == [0, 10, 22, 25]
    cores = Cores(2)
    cores.submit(0, 10)
    cores.reset(4)
    assert (cores.worked_ns(4), cores.worked_ns(9), cores.waiting(4)) == (4, 4, 0)
    assert cores.submit(6, 5) == 6


def _across_ns(size_bytes: int, *bandwidths_bps: int) -> int:
    """Serialisation of one segment on each hop."""
    return sum(size_bytes * 8 * S // bandwidth_bps for bandwidth_bps in bandwidths_bps)


def test_request_at_zero_load(simulate: Any, line: Any) -> None:
    """On a connection that is there, a lone request takes exactly its CPU work, its bits and its delays."""
    result = simulate(line, fidelity="modelled")
    _, row = result.requests
    phone = result.loaded.cost_profile.cpu("cortex-a72")
    edge = result.loaded.cost_profile.cpu("xeon-6242r")
    up_bytes = sealed_size_bytes(request_size_bytes("GET", "/", "front", 512, first=False))
    down_bytes = sealed_size_bytes(response_size_bytes(200, 1024, first=False))
    crypto_ns = sum(cpu.record_ns(CIPHER, size) for cpu in (phone, edge) for size in (up_bytes, down_bytes))
    proxy_ns = sum(cpu.proxy_request_ns + cpu.proxy_response_ns + 2 * cpu.tcp_message_ns for cpu in (phone, edge))
    up_bytes, down_bytes = up_bytes + HEADER_BYTES, down_bytes + HEADER_BYTES
    radio_ns = 7 * MS + _across_ns(up_bytes, UPLINK_BPS) + _across_ns(down_bytes, DOWNLINK_BPS)
    network_ns = 4 * MS + _across_ns(up_bytes, LINK_BPS) + _across_ns(down_bytes, LINK_BPS)
    assert (row.crypto_ns, row.proxy_ns, row.radio_ns, row.network_ns) == (crypto_ns, proxy_ns, radio_ns, network_ns)
    assert row.service_ns == 1 * MS
    assert row.latency_ns == crypto_ns + proxy_ns + radio_ns + network_ns + 1 * MS
    assert row.t_sent_ns - row.t_intended_ns == phone.record_ns(CIPHER, up_bytes - HEADER_BYTES) + (
        phone.proxy_request_ns + phone.tcp_message_ns
    )


def _case(result: Any) -> HandshakeCase:
    """The handshake of the first device with the first replica, as the ends bring it."""
    state = result.world._state
    client, server = state.devices["phone"][0], state.replicas[0]
    clock_ns = state.scenario.epoch_ns
    sides = (client.sidecar.outbound.side, server.sidecar.inbound.side)
    return HandshakeCase(*sides, frozenset({server.spiffe_id}), clock_ns, clock_ns)


def test_handshake_on_an_idle_network(simulate: Any, line: Any) -> None:
    """TCP takes a round trip of small packets; TLS takes its flights' travel and the CPU work of its steps."""
    result = simulate(line, fidelity="modelled")
    (row,) = result.handshakes
    assert row.tcp_ns == 11 * MS + _across_ns(60, UPLINK_BPS, LINK_BPS) + _across_ns(60, LINK_BPS, DOWNLINK_BPS)
    (_, hello), (_, answer), (_, finish), (_, tickets) = predict(_case(result)).flights
    phone = result.loaded.cost_profile.cpu("cortex-a72")
    edge = result.loaded.cost_profile.cpu("xeon-6242r")
    client_hello_ns = phone.operations["tls13.client_hello"] + phone.operations["x25519.keygen"]
    server_names = ("tls13.server_flight", "x25519.keygen", "x25519.derive", "ecdsa-p256.sign")
    server_flight_ns = sum(edge.operations[name] for name in server_names)
    client_names = ("tls13.client_finish", "x25519.derive", "tls13.certificate_messages", "x509.check")
    client_names += ("ecdsa-p256.sign",)
    client_finish_ns = sum(phone.operations[name] for name in client_names)
    client_finish_ns += 2 * phone.operations["ecdsa-p256.verify"]
    cpu_ns = client_hello_ns + client_finish_ns + 4 * phone.tcp_message_ns + server_flight_ns + 2 * edge.tcp_message_ns
    travel_ns = 11 * MS + _across_ns(hello.size_bytes + HEADER_BYTES, UPLINK_BPS, LINK_BPS)
    travel_ns += _across_ns(answer.size_bytes + HEADER_BYTES, LINK_BPS, DOWNLINK_BPS)
    assert row.duration_ns == cpu_ns + travel_ns
    assert row.cpu_client_ns == client_hello_ns + client_finish_ns + 4 * phone.tcp_message_ns
    assert (row.bytes_sent, row.bytes_received) == (
        hello.size_bytes + finish.size_bytes,
        answer.size_bytes + tickets.size_bytes,
    )


def test_first_request_pays_for_the_connection(simulate: Any, line: Any) -> None:
    """The first request waits for TCP and TLS, as long as those took; the second waits for neither."""
    result = simulate(line, fidelity="modelled")
    first, second = result.requests
    (handshake,) = result.handshakes
    assert first.tcp_ns == handshake.tcp_ns
    assert first.handshake_ns >= handshake.duration_ns
    assert second.tcp_ns == second.handshake_ns == 0
    assert first.latency_ns - second.latency_ns > handshake.tcp_ns + handshake.duration_ns


def test_resumed_handshake_is_cheaper(simulate: Any, line: Any) -> None:
    """A resumed handshake costs less CPU on either end and less time, in the same round trips."""
    line["mesh"] = {"pool": {"idle_timeout": "100 ms"}}
    full, resumed = simulate(line, fidelity="modelled").handshakes
    assert (full.resumed, resumed.resumed) == (False, True)
    assert resumed.cpu_client_ns < full.cpu_client_ns / 2
    assert resumed.cpu_server_ns < full.cpu_server_ns
    assert resumed.duration_ns < full.duration_ns
    assert resumed.round_trips == full.round_trips == 1


def test_without_tls_nothing_is_charged_for_it(simulate: Any, line: Any) -> None:
    """In a mesh without TLS there is no handshake and no record to seal, and the rest is as before."""
    encrypted = simulate(line, fidelity="modelled").requests[1]
    line["mesh"] = {"tls": {"mode": "DISABLE"}}
    result = simulate(line, fidelity="modelled")
    first, second = result.requests
    assert not result.handshakes
    assert first.handshake_ns == first.crypto_ns == second.crypto_ns == 0
    assert (second.proxy_ns, second.service_ns) == (encrypted.proxy_ns, encrypted.service_ns)
    assert not any(call.encrypted for call in result.calls)


def test_large_response_needs_slow_start_rounds(simulate: Any, line: Any) -> None:
    """A response of more than ten segments waits for the window to open, charged to TCP: at first, and after idling."""
    line["traffic"][0]["arrivals"] = {"constant": "10 /s"}
    line["traffic"][0]["response"] = "12 kB"  # nine segments: the session tickets are under way, too
    fits, fits_again, *_ = simulate(line, fidelity="modelled").requests
    line["traffic"][0]["response"] = "40 kB"
    more, more_again, *_ = simulate(line, fidelity="modelled").requests
    assert fits_again.tcp_ns == more_again.tcp_ns == 0
    assert 5 * MS <= more.tcp_ns - fits.tcp_ns < 12 * MS
    line["traffic"][0]["arrivals"] = {"constant": "2 /s"}
    _, after_idle = simulate(line, fidelity="modelled").requests
    assert 5 * MS <= after_idle.tcp_ns < 6 * MS
    line["network"]["tcp"] = {"slow_start_after_idle": False}
    assert simulate(line, fidelity="modelled").requests[1].tcp_ns == 0
    line["network"]["tcp"] |= {"maximum_window": 10}
    assert simulate(line, fidelity="modelled").requests[1].tcp_ns > 5 * MS


def test_calls_in_sequence_and_at_once(simulate: Any, line: Any) -> None:
    """Two calls in sequence take the sum of both, two at once the longer, each attributed along the critical path."""
    line["network"]["nodes"]["edge"]["cores"] = 8
    line["services"] |= {
        "quick": {"replicas": {"edge": 1}, "work": {"constant": "5 ms"}},
        "slow": {"replicas": {"edge": 1}, "work": {"constant": "20 ms"}},
    }
    calls = [{"to": "quick"}, {"to": "slow"}]
    line["services"]["front"]["calls"] = calls
    in_sequence = simulate(line, fidelity="modelled").requests[1]
    line["services"]["front"]["calls"] = [{"parallel": calls}]
    result = simulate(line, fidelity="modelled")
    at_once = result.requests[1]
    assert (in_sequence.service_ns, at_once.service_ns) == (26 * MS, 21 * MS)
    assert in_sequence.latency_ns > at_once.latency_ns + 5 * MS
    critical = {call.destination for call in result.calls if call.critical and call.request_id == 2}
    assert critical == {"front", "slow"}


def test_optional_call_may_fail(simulate: Any, line: Any) -> None:
    """A call that times out fails its caller with a 502, unless the caller can do without it."""
    line["services"]["slow"] = {"replicas": {"edge": 1}, "work": {"constant": "200 ms"}}
    for optional, outcome, status in ((True, "ok", 200), (False, "failed", 502)):
        line["services"]["front"]["calls"] = [{"to": "slow", "timeout": "50 ms", "optional": optional}]
        result = simulate(line, fidelity="modelled")
        assert {(row.outcome, row.status) for row in result.requests} == {(outcome, status)}
        assert {row.outcome for row in result.calls if row.destination == "slow"} == {"timeout"}


def test_queueing_is_charged_to_the_queue(simulate: Any, line: Any) -> None:
    """Two requests of one instant wait for each other's work on one core, and hardly on two."""
    line["services"]["front"]["work"] = {"constant": "30 ms"}
    line["traffic"] = [
        {"name": name, "from": "phone", "to": "front", "slice": "web", "arrivals": {"constant": "2 /s"}}
        for name in ("one", "other")
    ]
    for cores, low_ns, high_ns in ((1, 30 * MS, 31 * MS), (2, 0, 1 * MS)):
        line["network"]["nodes"]["edge"]["cores"] = cores
        _, _, *later = simulate(line, fidelity="modelled").requests
        assert all(low_ns <= row.queue_ns < high_ns for row in later)
