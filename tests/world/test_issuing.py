"""Certificates that have to be asked for: the way into the mesh, the issuer's limits, and what its absence does."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from meshsim.telemetry.issuance_row import ISSUANCE_PARTS
from tests.world.networks import triangle_network

MS = 1_000_000
S = 1_000_000_000
Data = dict[str, Any]


@pytest.fixture
def mesh() -> Data:
    """A client on a calls a service on c; the issuer and the control plane are on b, 1 ms from either."""
    return {
        "scenario": "issuing",
        "duration": "20 s",
        "network": triangle_network(cores=2),
        "services": {"front": {"replicas": {"c": 2}, "work": {"constant": "1 ms"}}},
        "fleets": {"client": {"node": "a"}},
        "mesh": {
            "control": {"node": "b", "failure_detection": "100 ms", "debounce": "10 ms"},
            "identity": {"issuer": {}},
            "pool": {"idle_timeout": "50 ms"},
            "tls": {"resumption": False},
        },
        "traffic": [{"from": "client", "to": "front", "slice": "web", "arrivals": {"constant": "5 /s"}}],
    }


def identity(mesh: Data, **settings: Any) -> None:
    """Change settings of identities."""
    mesh["mesh"]["identity"] |= settings


def onboarding(mesh: Data, **issuer: Any) -> None:
    """Have every workload begin without a certificate."""
    identity(mesh, at_start="onboarding", issuer=issuer)


def done(result: Any, purpose: str = "onboarding") -> list[Any]:
    """The attempts that led to a certificate."""
    return [row for row in result.issuances if row.purpose == purpose and row.outcome == "done"]


def outcomes(result: Any, from_ms: float, to_ms: float) -> set[str]:
    """How the requests of a window ended."""
    return {row.outcome for row in result.requests if from_ms * MS <= row.t_intended_ns < to_ms * MS}


def test_without_an_issuer_nothing_is_asked(simulate: Any, mesh: Data) -> None:
    """A mesh that says nothing of an issuer has its certificates at once, and no row of an issuance."""
    del mesh["mesh"]["identity"]
    result = simulate(mesh, fidelity="modelled")
    assert result.issuances == []
    assert {row.t_ns for row in result.identities} == {0}


def test_onboarding_step_by_step(simulate: Any, mesh: Data) -> None:
    """Each step takes its time, in order; no replica is routed to before it was announced, and then all is well."""
    onboarding(
        mesh,
        node_attestation={"time": "200 ms"},
        workload_attestation={"time": "50 ms", "work": "3 ms"},
    )
    result = simulate(mesh, fidelity="modelled")
    rows = {row.host: row for row in done(result)}
    assert set(rows) == {"front/0", "front/1", "client/0"}
    for row in rows.values():
        parts = {name: getattr(row, name) for name in ISSUANCE_PARTS}
        assert sum(parts.values()) == row.t_end_ns - row.t_start_ns
        assert 206 * MS < row.node_attestation_ns < 210 * MS  # three round trips of 2 ms each
        assert 53 * MS <= row.workload_attestation_ns <= 56 * MS
        assert row.network_ns == 2 * MS
        assert 6 * MS < row.configuration_ns < 8 * MS
        assert row.key_ns > 0 < row.signing_ns
        assert row.backoff_ns == row.failed_ns == 0
        assert (row.announcement_ns >= 1 * MS) == row.host.startswith("front")
    healthy_ns = min(row.t_end_ns for row in rows.values() if row.host.startswith("front"))
    assert outcomes(result, 0, 270) == {"unreachable"}
    assert outcomes(result, 400, 20_000) == {"ok"}
    assert all(row.t_start_ns > healthy_ns for row in result.handshakes)
    events = [row.event for row in result.identities if "client" in row.spiffe_id]
    assert events == ["attested", "issued"]


def test_nodes_are_attested_once_for_all_their_workloads(simulate: Any, mesh: Data) -> None:
    """Ten workloads on a node wait for one attestation of it, and the issuer's node signs one certificate for it."""
    mesh["services"]["front"]["replicas"] = {"c": 10}
    onboarding(mesh, node_attestation={"time": "200 ms"}, cores=1)
    result = simulate(mesh, fidelity="modelled")
    times = {row.node_attestation_ns for row in done(result) if row.node == "c"}
    assert len(times) == 1


def test_attestation_can_fail(simulate: Any, mesh: Data) -> None:
    """Attestations that fail are made again after a wait; what failed is in the rows, and in the end all get in."""
    mesh["services"]["front"]["replicas"] = {"c": 12}
    mesh["duration"] = "60 s"
    onboarding(mesh, workload_attestation={"failure": "50 %", "time": "10 ms"}, retry={"base": "1 s", "jitter": "0 %"})
    result = simulate(mesh, fidelity="modelled")
    failed = [row for row in result.issuances if row.outcome == "failed"]
    assert {(row.step, row.reason) for row in failed} == {("workload-attestation", "attestation failed")}
    assert len(done(result)) == 13
    assert Counter(row.event for row in result.identities)["failed"] == len(failed) > 3
    waits = {(row.attempt, row.backoff_ns) for row in result.issuances}
    assert {(1, 0), (2, 1 * S), (3, 2 * S)} <= waits


def test_attestation_can_fail_for_a_node(simulate: Any, mesh: Data) -> None:
    """While a node's attestation fails, none of its workloads gets a certificate."""
    onboarding(mesh, node_attestation={"failure": "100 %"})
    result = simulate(mesh, fidelity="modelled")
    assert {(row.outcome, row.step, row.reason) for row in result.issuances} >= {
        ("failed", "node-attestation", "attestation failed")
    }
    assert done(result) == []
    assert outcomes(result, 0, 20_000) == {"unreachable"}


def test_issuer_has_limits(simulate: Any, mesh: Data) -> None:
    """Many who ask at once are signed at the limit's rate after its burst, in the order in which they came."""
    mesh["services"]["front"]["replicas"] = {"c": 40}
    onboarding(mesh, signatures="10 /s")
    result = simulate(mesh, fidelity="modelled")
    assert max(row.queue_ns for row in done(result)) == pytest.approx(31 / 10 * S, rel=0.02)
    assert max(row.ahead for row in done(result)) >= 29


def test_issuer_signs_on_its_node(simulate: Any, mesh: Data) -> None:
    """Signing takes CPU time of the issuer's node; a storm of rotations shows there and in the time that they take."""
    mesh["duration"] = "12 s"
    mesh["services"]["front"] |= {"replicas": {"c": 340}, "memory": "1 MB"}
    mesh["network"]["nodes"]["c"]["memory"] = "64 GiB"
    mesh["network"]["nodes"]["b"] |= {"cpu": "cortex-a72", "cores": 1}
    mesh["sample_every"] = "100 ms"
    identity(mesh, svid_ttl="20 s", backdate="0 s")
    result = simulate(mesh, fidelity="modelled")
    busy = {row.t_ns: row.utilisation_ppm for row in result.nodes if row.node == "b"}
    assert busy[1 * S] < 10_000
    assert max(busy.values()) > 900_000
    rotations = done(result, "rotation")
    assert len(rotations) == 341
    assert min(row.t_end_ns - row.t_start_ns for row in rotations) < 10 * MS
    assert max(row.queue_ns for row in rotations) > 200 * MS
    identity(mesh, rotate_jitter="10 %")
    calm = simulate(mesh, fidelity="modelled")
    assert max(row.queue_ns for row in done(calm, "rotation")) < 30 * MS


def test_full_queue_of_the_issuer_refuses(simulate: Any, mesh: Data) -> None:
    """An issuer with more waiting than it takes says so, and who was refused comes again."""
    mesh["services"]["front"]["replicas"] = {"c": 20}
    mesh["network"]["nodes"]["b"]["cpu"] = "cortex-a72"  # signs more slowly than replicas come to ask
    onboarding(mesh, cores=1, queue=3)
    result = simulate(mesh, fidelity="modelled")
    assert {row.reason for row in result.issuances if row.outcome == "failed"} == {"the issuer is overloaded"}
    assert len(done(result)) == 21


def test_outage_of_the_issuer(simulate: Any, mesh: Data) -> None:
    """Without an issuer certificates run out, calls are refused from then on, and all is well after it."""
    mesh["duration"] = "60 s"
    identity(mesh, svid_ttl="20 s", backdate="0 s", issuer={"retry": {"base": "1 s", "cap": "4 s"}})
    mesh["faults"] = [{"kind": "ca-outage", "at": "5 s", "for": "35 s"}]
    result = simulate(mesh)
    assert outcomes(result, 0, 19_900) == {"ok"}
    assert outcomes(result, 20_100, 40_000) == {"tls-refused"}
    assert outcomes(result, 46_000, 60_000) == {"ok"}
    refusals = {(row.reason, row.alert) for row in result.handshakes if row.outcome == "refused"}
    assert refusals == {("expired", "certificate_expired")}
    (fault,) = result.faults
    failed = [row for row in result.issuances if row.outcome == "failed"]
    assert {row.reason for row in failed} == {"the issuer is down"}
    assert fault.effects == fault.certificates == len(failed)
    assert [row.event for row in result.identities if "client" in row.spiffe_id].count("expired") == 1
    longest = [row.backoff_ns for row in failed if row.attempt > 4]
    assert min(longest) >= 3.2 * S  # the cap of 4 s, less 20 % of jitter
    assert max(longest) <= 4.8 * S


@pytest.mark.parametrize(
    ("fault", "reasons"),
    [
        ({"kind": "node-crash", "target": "b"}, {"no answer from the issuer", "no way to the issuer"}),
        ({"kind": "link-down", "target": "b--c"}, {"no answer from the issuer"}),
    ],
)
def test_what_is_on_the_way_takes_the_issuer_away(simulate: Any, mesh: Data, fault: Data, reasons: set[str]) -> None:
    """A crash of the issuer's node and a cut link have that effect by themselves, and it counts as theirs."""
    mesh["duration"] = "40 s"
    mesh["network"]["links"].pop()  # the detour
    mesh["network"]["nodes"]["d"] = {"kind": "router"}
    mesh["network"]["links"].append({"between": ["c", "d"], "latency": "1 ms"})
    mesh["network"]["links"].append({"between": ["d", "a"], "latency": "1 ms"})
    mesh["network"]["reroute_after"] = "30 s" if fault["kind"] == "link-down" else "50 ms"
    identity(mesh, svid_ttl="10 s", backdate="0 s", issuer={"timeout": "2 s"})
    mesh["faults"] = [{**fault, "at": "3 s", "for": "20 s"}]
    result = simulate(mesh, fidelity="modelled")
    failed = [row for row in result.issuances if row.outcome == "failed" and row.node == "c"]
    assert {row.reason for row in failed} <= reasons
    assert failed
    assert {row.failed_ns for row in failed} == {2 * S}
    (row,) = result.faults
    assert row.certificates >= len(failed)
    assert outcomes(result, 30_000, 40_000) == {"ok"}


def test_restarted_replica_gets_in_again(simulate: Any, mesh: Data) -> None:
    """A replica that comes back has no certificate; it is routed to only once it is announced again."""
    identity(mesh, issuer={"workload_attestation": {"time": "2 s"}})
    mesh["faults"] = [{"kind": "node-crash", "target": "c", "at": "5 s", "for": "2 s"}]
    mesh["mesh"]["resilience"] = {"request_timeout": "1 s"}
    result = simulate(mesh, fidelity="modelled")
    rows = done(result)
    assert {row.host for row in rows} == {"front/0", "front/1"}
    assert {row.t_start_ns for row in rows} == {7 * S}
    assert all(row.t_end_ns > 9 * S for row in rows)
    assert outcomes(result, 5_500, 9_000) == {"unreachable"}
    assert outcomes(result, 9_300, 20_000) == {"ok"}


def test_started_again_before_anybody_noticed(simulate: Any, mesh: Data) -> None:
    """A replica that is back at once, but without a certificate, refuses handshakes until it has one or is left out."""
    identity(mesh, issuer={"workload_attestation": {"time": "5 s"}})
    mesh["mesh"]["control"]["failure_detection"] = "1 s"
    mesh["network"]["reroute_after"] = "5 s"
    mesh["faults"] = [{"kind": "node-crash", "target": "c", "at": "5050 ms", "for": "100 ms"}]
    result = simulate(mesh)
    assert "no server certificate" in {row.reason for row in result.handshakes}
    assert outcomes(result, 5_300, 6_000) == {"tls-refused"}
    assert outcomes(result, 6_400, 10_000) == {"unreachable"}
    assert outcomes(result, 10_500, 20_000) == {"ok"}


def test_onboarding_needs_the_control_plane(simulate: Any, mesh: Data) -> None:
    """A new workload gets no configuration while the control plane is gone, whatever the issuer says."""
    mesh["network"]["nodes"]["e"] = {"kind": "edge", "cores": 2}
    mesh["network"]["links"].append({"between": ["e", "c"], "latency": "1 ms"})
    mesh["mesh"]["control"]["node"] = "e"
    onboarding(mesh, node="b", timeout="1 s", retry={"base": "1 s", "factor": 1, "jitter": "0 %"})
    mesh["faults"] = [{"kind": "node-crash", "target": "e", "at": "1 ms", "for": "6 s"}]
    result = simulate(mesh, fidelity="modelled")
    failed = [row for row in result.issuances if row.outcome == "failed"]
    assert {(row.step, row.reason) for row in failed} == {("configuration", "no answer from the control plane")}
    assert {row.event for row in result.identities if row.t_ns < 1 * S} == {"attested", "issued"}
    assert [fault.certificates for fault in result.faults] == [len(failed)]
    assert outcomes(result, 0, 6_000) == {"unreachable"}
    assert outcomes(result, 9_000, 20_000) == {"ok"}


def test_killed_on_its_way(simulate: Any, mesh: Data) -> None:
    """Who dies in the middle of an attempt leaves a row that says so, and begins anew when it starts again."""
    onboarding(mesh, workload_attestation={"time": "3 s"})
    mesh["faults"] = [{"kind": "node-crash", "target": "c", "at": "1 s", "for": "1 s"}]
    result = simulate(mesh, fidelity="modelled")
    cut = [row for row in result.issuances if row.outcome == "cut"]
    assert {(row.host, row.t_end_ns, row.step) for row in cut} == {
        ("front/0", 1 * S, "workload-attestation"),
        ("front/1", 1 * S, "workload-attestation"),
    }
    assert len(done(result)) == 3


def test_what_is_still_going_on_at_the_end_has_a_row(simulate: Any, mesh: Data) -> None:
    """An attempt that the end of the run cuts is on record as that, and as cut then."""
    onboarding(mesh, workload_attestation={"time": "30 s"})
    result = simulate(mesh, fidelity="modelled")
    assert {row.t_end_ns for row in result.issuances} == {20 * S}
    assert {(row.outcome, row.step) for row in result.issuances} == {("cut", "workload-attestation")}


def test_waits_can_follow_what_is_left_of_a_certificate(simulate: Any, mesh: Data) -> None:
    """A workload that waits a share of what is left of its certificate's life asks ever more often, to a bound."""
    mesh["duration"] = "100 s"
    mesh["services"]["front"]["replicas"] = {"c": 1}
    retry = {"of_remaining": "50 %", "base": "2 s", "cap": "1 h", "factor": 1, "jitter": "0 %"}
    identity(mesh, svid_ttl="80 s", backdate="0 s", issuer={"retry": retry})
    mesh["faults"] = [{"kind": "ca-outage", "at": "5 s", "for": "95 s"}]
    rows = [row for row in simulate(mesh, fidelity="modelled").issuances if row.host == "client/0"]
    waits = [round(row.backoff_ns / S, 1) for row in rows]
    assert waits[:7] == [0, 20, 10, 5, 2.5, 2, 2]


def test_aged_certificates_are_spread(simulate: Any, mesh: Data) -> None:
    """In a mesh that has run for long every certificate is of another age, none older than its rotation."""
    mesh["duration"] = "60 s"
    mesh["services"]["front"] |= {"replicas": {"c": 50}, "memory": "1 MB"}
    identity(mesh, svid_ttl="100 s", at_start="aged", rotate_at="50 %", rotate_jitter="1 %", backdate="0 s")
    result = simulate(mesh, fidelity="modelled")
    ends_ns = [row.not_after_ns for row in result.identities if row.event == "issued"]
    assert 48 * S < min(ends_ns) < 55 * S < 95 * S < max(ends_ns) <= 100 * S
    rotations = sorted(row.t_start_ns for row in done(result, "rotation"))
    assert 0 < rotations[0] < 3 * S < 45 * S < rotations[50] < 51 * S


def test_rotation_leaves_connections_alone(simulate: Any, mesh: Data) -> None:
    """A connection outlives the rotation of both its ends; the next handshake shows the new certificate."""
    mesh["mesh"]["pool"]["idle_timeout"] = "1 h"
    mesh["duration"] = "25 s"
    identity(mesh, svid_ttl="20 s", backdate="0 s")
    mesh["traffic"].append(
        {"name": "late", "from": "other", "to": "front", "slice": "web", "arrivals": {"constant": "1 /s"}}
        | {"start": "12 s"}
    )
    mesh["fleets"]["other"] = {"node": "a"}
    mesh["services"]["front"]["replicas"] = {"c": 1}
    result = simulate(mesh)
    assert outcomes(result, 0, 25_000) == {"ok"}
    first, second = result.handshakes
    assert (first.client, second.client) == ("client/0", "other/0")
    assert first.t_start_ns < 1 * S
    assert second.t_start_ns > 12 * S
    assert {row.connection_id for row in result.calls if row.source == "client"} == {first.connection_id}
    rotated = [row.t_ns for row in result.identities if row.event == "rotated"]
    assert {instant_ns // S for instant_ns in rotated} == {10, 20}
    assert "expired" not in {row.event for row in result.identities}


def test_every_fidelity_gives_the_same(simulate: Any, mesh: Data) -> None:
    """Onboarding, an outage, a crash and skewed clocks give the same rows with OpenSSL and without."""
    mesh["network"]["nodes"]["c"]["clock_skew"] = "-3 s"
    onboarding(mesh, node_attestation={"failure": "30 %"}, workload_attestation={"failure": "30 %"}, timeout="1 s")
    identity(mesh, svid_ttl="8 s", backdate="2 s", rotate_jitter="10 %")
    mesh["faults"] = [
        {"kind": "ca-outage", "at": "6 s", "for": "5 s"},
        {"kind": "node-crash", "target": "b", "at": "12 s", "for": "2 s"},
    ]
    contents = {simulate(mesh, fidelity=fidelity).content() for fidelity in ("real", "sampled", "modelled")}
    assert len(contents) == 1
