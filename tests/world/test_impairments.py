"""Damage, copies, reordering and small packets on links, seen from requests and handshakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Data = dict[str, Any]
Simulate = Callable[..., Any]

FIDELITIES = ("modelled", "sampled", "real")


def mesh(link: Data, tls: Data | None = None, **flow: Any) -> Data:
    """Three clients and a service on either end of one link with these settings, ten requests a second for five s."""
    return {
        "scenario": "impairments",
        "seed": 5,
        "duration": "5 s",
        "network": {
            "nodes": {"west": {"kind": "edge"}, "east": {"kind": "edge"}},
            "links": [{"between": ["west", "east"], "latency": "2 ms", "bandwidth": "100 Mbit/s"} | link],
            "slices": {"web": {"sst": 1, "five_qi": 80}},
        },
        "services": {"front": {"replicas": {"east": 1}, "work": {"constant": "1 ms"}}},
        "fleets": {"clients": {"size": 3, "node": "west"}},
        "mesh": {"tls": tls or {}},
        "traffic": [{"from": "clients", "to": "front", "slice": "web", "arrivals": {"poisson": "40 /s"}} | flow],
    }


def alike(simulate: Simulate, data: Data) -> Any:
    """Run at every fidelity; the same bytes come out, and OpenSSL has agreed to all of it."""
    modelled, sampled, real = (simulate(data, fidelity=fidelity) for fidelity in FIDELITIES)
    assert modelled.content() == sampled.content() == real.content()
    return modelled


def sums(result: Any) -> tuple[int, int, int]:
    """Bytes sent, delivered and lost on all links."""
    rows = result.links
    return (
        sum(row.sent_bytes for row in rows),
        sum(row.delivered_bytes for row in rows),
        sum(row.lost_bytes for row in rows),
    )


def test_damaged_records_end_connections(simulate: Simulate) -> None:
    """A damaged record of a request or response breaks its connection: the calls on it end as reset."""
    data = mesh({"corrupt": "0.4 %"}, request="20 kB", response="20 kB")
    data["mesh"]["resilience"] = {"retries": 0}
    result = alike(simulate, data)
    outcomes = Counter(row.outcome for row in result.requests)
    assert set(outcomes) <= {"ok", "reset", "tls-refused"}
    assert outcomes["reset"] > 5
    established = sum(row.outcome == "established" for row in result.handshakes)
    assert established > 3, "nobody has connected again"
    assert not any(row.corrupted for row in result.calls)


def test_calls_on_broken_connections_are_tried_again(simulate: Simulate) -> None:
    """With the usual retries most calls on connections that damage has broken are answered after all."""
    result = alike(simulate, mesh({"corrupt": "0.2 %"}, request="20 kB", response="20 kB"))
    retried = [row for row in result.calls if row.retries]
    assert len(retried) > 3
    assert sum(row.outcome == "ok" for row in retried) > len(retried) / 2


def test_damaged_flights_are_refused_with_the_right_alert(simulate: Simulate) -> None:
    """A damaged ClientHello is an unexpected message, a damaged protected record has a bad MAC; either end refuses."""
    result = alike(simulate, mesh({"corrupt": "15 %"}))
    refused = Counter((row.refused_by, row.alert) for row in result.handshakes if row.outcome == "refused")
    assert refused.keys() == {
        ("server", "unexpected_message"),
        ("client", "bad_record_mac"),
        ("server", "bad_record_mac"),
    }
    assert all(row.reason == "tampered record" for row in result.handshakes if row.outcome == "refused")


def test_damage_to_plaintext_goes_unnoticed(simulate: Simulate) -> None:
    """Without TLS damaged requests are answered as if nothing had happened, and the calls' rows say so."""
    result = alike(simulate, mesh({"corrupt": "2 %"}, {"mode": "DISABLE"}, request="20 kB"))
    assert {row.outcome for row in result.requests} == {"ok"}
    assert 0.1 < sum(row.corrupted for row in result.calls) / len(result.calls) < 0.5


def test_copies_take_bandwidth_and_deliver_nothing(simulate: Simulate) -> None:
    """With every packet sent twice all the bytes cross the link twice, and requests and answers are the same."""
    plain, twice = alike(simulate, mesh({})), alike(simulate, mesh({"duplicate": "100 %"}))
    sent, delivered, lost = sums(plain)
    # SYN, SYN-ACK and their like are copied too.
    assert sums(twice) == (2 * sent, 2 * delivered, 2 * lost)
    assert [row.outcome for row in twice.requests] == [row.outcome for row in plain.requests]
    assert len(twice.calls) == len(plain.calls)
    assert len(twice.handshakes) == len(plain.handshakes)


def test_copies_slow_a_full_link(simulate: Simulate) -> None:
    """On a link that is three quarters full, copies of half of all packets make everything wait."""

    def p50_ns(link: Data) -> int:
        result = simulate(mesh({"bandwidth": "7 Mbit/s"} | link, request="16 kB"), fidelity="modelled")
        latencies: list[int] = sorted(row.latency_ns for row in result.requests)
        return latencies[len(latencies) // 2]

    assert p50_ns({"duplicate": "50 %"}) > 2 * p50_ns({})


def test_copies_go_on_over_links_and_air(simulate: Simulate, line: Data) -> None:
    """Copies made on a link take bandwidth on all later hops up to the receiver, the air among them."""
    line["traffic"][0]["response"] = "30 kB"
    plain = simulate(line, fidelity="modelled")
    line["network"]["links"][0]["duplicate"] = "100 %"
    twice = alike(simulate, line)

    def of(result: Any, key: str) -> int:
        return sum(row.sent_bytes for row in result.links if row.link.endswith(key))

    assert of(twice, "web down") == 2 * of(plain, "web down")
    assert of(twice, "web up") == of(plain, "web up")
    assert len(twice.requests) == len(plain.requests)


def test_small_packets_cost_headers(simulate: Simulate) -> None:
    """Segments keep to the smallest MTU on the way: a header of 52 bytes for each."""

    def sent_bytes(mtu: str) -> int:
        return sums(alike(simulate, mesh({"mtu": mtu}, request="140 kB", arrivals=apart)))[0]

    apart = {"constant": "5 /s"}  # requests that meet each other are looked at closer, acknowledgements and all
    requests = len(simulate(mesh({"mtu": "1500 B"}, request="140 kB", arrivals=apart), fidelity="modelled").requests)
    more = sent_bytes("600 B") - sent_bytes("1500 B")
    segments = 140_000 / (600 - 52) - 140_000 / (1500 - 52)
    assert more / requests / 52 == pytest.approx(segments, rel=0.1)
    assert sent_bytes("9000 B") < sent_bytes("1500 B")


def test_reordering_is_put_right_by_tcp(simulate: Simulate) -> None:
    """Units that overtake are delivered in order all the same: every request is answered, in the same mesh."""
    link = {"jitter": "30 ms", "reorder": "50 %"}
    result = alike(simulate, mesh(link, arrivals={"poisson": "200 /s"}))
    assert {row.outcome for row in result.requests} == {"ok"}
    kept = simulate(mesh({"jitter": "30 ms"}, arrivals={"poisson": "200 /s"}), fidelity="modelled")
    assert result.content() != kept.content()


def test_delays_of_a_file(simulate: Simulate) -> None:
    """The samples of a file beside the scenario are what a link adds to its latency each way, to the nanosecond."""
    delay = {"empirical": {"file": "samples.csv"}}
    plain, delayed = (
        alike(simulate, mesh({"bandwidth": "10 Gbit/s"} | link, arrivals={"constant": "2 /s"}))
        for link in ({}, {"delay": delay})
    )
    # A request right behind a handshake's last flight keeps its order, and so waits for that.
    extra_ns = {
        row.network_ns - other.network_ns
        for row, other in zip(delayed.requests, plain.requests, strict=True)
        if not row.handshake_ns
    }
    samples_ns = (1_000_000, 2_500_000, 7_000_000)
    assert extra_ns <= {there_ns + back_ns for there_ns in samples_ns for back_ns in samples_ns}
    assert len(extra_ns) > 2


_links = st.fixed_dictionaries(
    {
        "jitter": st.sampled_from(("1 ms", "20 ms")),
        "loss": st.sampled_from(("0 %", "3 %", {"gilbert_elliott": {"average": "5 %", "mean_burst": 3}})),
        "duplicate": st.sampled_from(("0 %", "10 %")),
        "corrupt": st.sampled_from(("0 %", "1 %", "10 %")),
        "reorder": st.sampled_from(("0 %", "30 %")),
        "mtu": st.sampled_from(("1500 B", "576 B", "9000 B")),
        "slicing": st.booleans(),
        "queue": st.sampled_from(("4 MiB", "20 kB")),
    },
    optional={
        "delay": st.sampled_from(
            (
                {"uniform": ["0 ms", "10 ms"]},
                {"empirical": {"file": "samples.csv"}},
                {"normal": {"mean": "3 ms", "standard_deviation": "2 ms"}},
                {"lognormal": {"median": "1 ms", "p99": "30 ms"}},
            )
        )
    },
)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(link=_links, seed=st.integers(0, 9), mode=st.sampled_from(("STRICT", "STRICT", "PERMISSIVE", "DISABLE")))
def test_any_link_at_every_fidelity(simulate: Simulate, link: Data, seed: int, mode: str) -> None:
    """Whatever befalls packets: same bytes at every fidelity, each byte delivered or lost, each request one outcome."""
    data = mesh(link, {"mode": mode}, request="6 kB", response="30 kB") | {"seed": seed, "duration": "2 s"}
    result = alike(simulate, data)
    sent, delivered, lost = sums(result)
    assert sent == delivered + lost
    assert sorted(row.request_id for row in result.requests) == list(range(1, len(result.requests) + 1))
    if mode != "DISABLE":
        assert not any(row.corrupted for row in result.calls)
