"""Authorities that replace each other while the mesh runs: with overlap nobody notices, without it calls fail."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.world.networks import triangle_network

MS = 1_000_000
S = 1_000_000_000
Data = dict[str, Any]


@pytest.fixture
def mesh() -> Data:
    """Two clients on a call a service on c; issuer and control plane are on b. An authority lives for two minutes."""
    return {
        "scenario": "authorities",
        "duration": "200 s",
        "network": triangle_network(cores=2),
        "services": {"front": {"replicas": {"c": 2}, "work": {"constant": "1 ms"}}},
        "fleets": {"client": {"node": "a", "size": 2}},
        "mesh": {
            "control": {"node": "b"},
            "identity": {
                "svid_ttl": "20 s",
                "backdate": "2 s",
                "rotate_jitter": "10 %",
                "ca_ttl": "2 min",
                "ca_rotation": {"prepare": "60 s", "activate": "30 s"},
                "issuer": {"timeout": "2 s"},
            },
            "pool": {"idle_timeout": "50 ms"},
            "resilience": {"retries": 0},
            "tls": {"resumption": False},
        },
        "traffic": [{"from": "client", "to": "front", "slice": "web", "arrivals": {"constant": "4 /s"}}],
    }


def deeds(result: Any) -> list[tuple[str, str, int]]:
    """What became of authorities: deed, authority, and the second."""
    of_authorities = [row for row in result.identities if row.spiffe_id.count("/") == 2]
    return [(row.event, row.issuer.split("/")[1], row.t_ns // S) for row in of_authorities]


def outcomes(result: Any, from_s: float, to_s: float) -> Counter[str]:
    """How the requests of a window ended."""
    return Counter(row.outcome for row in result.requests if from_s * S <= row.t_intended_ns < to_s * S)


def test_overlap_goes_unnoticed(simulate: Any, mesh: Data) -> None:
    """The next authority is trusted by all before it signs, and the old one as long as its certificates are in use."""
    result = simulate(mesh)
    assert deeds(result) == [
        ("prepared", "root-2", 58),
        ("activated", "root-2", 88),
        ("prepared", "root-3", 116),
        ("retired", "root", 118),
        ("activated", "root-3", 146),
        ("prepared", "root-4", 174),
        ("retired", "root-2", 176),
    ]
    assert set(outcomes(result, 0, 200)) == {"ok"}
    leaves = [row for row in result.identities if row.event in ("issued", "rotated")]
    assert {row.issuer for row in leaves} == {f"mesh.example/{name}" for name in ("root", "root-2", "root-3")}
    ends_ns = {"root": 118 * S, "root-2": 176 * S, "root-3": 234 * S}
    assert all(row.not_after_ns <= ends_ns[row.issuer.split("/")[1]] for row in leaves)


def test_bundles_reach_every_proxy(simulate: Any, mesh: Data) -> None:
    """Each change of what is trusted is pushed to every proxy and takes its time to get there."""
    result = simulate(mesh, fidelity="modelled")
    pushes = [row for row in result.configs if "trust bundle" in row.reason]
    first = [row for row in pushes if row.version == 2]
    assert {row.reason for row in first} == {"trust bundle: root-2 prepared"}
    assert Counter((row.proxy, row.event) for row in first) == Counter(
        (proxy, event) for proxy in ("front/0", "front/1", "client/0", "client/1") for event in ("sent", "acked")
    )
    # Two on either side, a millisecond away: what is pushed to one after the other takes its bytes at 1 Gbit/s.
    (sent_bytes,) = {row.sent_bytes for row in first if row.event == "acked"}
    took_ns = Counter(row.t_ns - 58 * S for row in first if row.event == "acked")
    assert took_ns == {1 * MS + sent_bytes * 8: 2, 1 * MS + 2 * sent_bytes * 8: 2}
    assert [row.version for row in pushes] == sorted(row.version for row in pushes)


def test_without_overlap_the_outage_shows(simulate: Any, mesh: Data) -> None:
    """Without overlap calls are refused, for an authority that is not known, until all have new certificates."""
    mesh["mesh"]["identity"]["ca_rotation"] = {"activate": "30 s", "overlap": "none"}
    result = simulate(mesh)
    assert deeds(result)[:2] == [("activated", "root-2", 88), ("retired", "root", 88)]
    assert set(outcomes(result, 0, 87.9)) == {"ok"}
    assert outcomes(result, 88.2, 92)["ok"] == 0
    assert outcomes(result, 88.2, 105)["tls-refused"] > 20
    assert set(outcomes(result, 105, 175)) == {"ok"}
    reasons = {row.reason for row in result.handshakes if row.outcome == "refused"}
    assert reasons == {"unknown authority"}


def test_replaced_by_decision(simulate: Any, mesh: Data) -> None:
    """An authority that somebody replaces leaves the same outage behind; time to get used to it takes it away."""
    del mesh["mesh"]["identity"]["ca_rotation"]
    mesh["mesh"]["identity"]["ca_ttl"] = "1 d"
    mesh["duration"] = "80 s"
    fault: Data = {"kind": "ca-rotation", "at": "30 s", "for": "40 s"}
    mesh["faults"] = [fault]
    hard = simulate(mesh)
    assert deeds(hard) == [("activated", "root-2", 30), ("retired", "root", 30)]
    assert outcomes(hard, 30.2, 32)["ok"] == 0
    assert set(outcomes(hard, 45, 80)) == {"ok"}
    (row,) = hard.faults
    assert (row.kind, row.target, row.effects, row.certificates) == ("ca-rotation", "authority", 4, 4)
    fault["overlap"] = "full"
    soft = simulate(mesh)
    assert deeds(soft) == [("activated", "root-2", 30), ("retired", "root", 70)]
    assert set(outcomes(soft, 0, 80)) == {"ok"}


def test_renewal_on_news_shortens_the_outage(simulate: Any, mesh: Data) -> None:
    """Workloads that renew when they hear of another authority are back as soon as all have done so."""
    identity = mesh["mesh"]["identity"]
    del identity["ca_rotation"]
    identity |= {"ca_ttl": "1 d", "svid_ttl": "10 min", "renew_within": "3 s"}
    mesh["duration"] = "60 s"
    mesh["faults"] = [{"kind": "ca-rotation", "at": "30 s", "for": "20 s"}]
    result = simulate(mesh)
    renewals = [row for row in result.issuances if row.purpose == "renewal"]
    assert {row.outcome for row in renewals} == {"done"}
    assert len(renewals) == 4
    assert len({row.t_start_ns for row in renewals}) == 4
    assert all(30 * S < row.t_start_ns < 33.1 * S for row in renewals)
    assert outcomes(result, 30, 33.2)["tls-refused"] > 0
    assert set(outcomes(result, 33.2, 60)) == {"ok"}


def test_new_authority_is_refused_until_word_has_come(simulate: Any, mesh: Data) -> None:
    """A proxy that the control plane cannot reach refuses certificates of an authority that it has not heard of."""
    identity = mesh["mesh"]["identity"]
    del identity["ca_rotation"]
    identity |= {"ca_ttl": "1 d", "svid_ttl": "10 min", "renew_within": "0 s"}
    mesh["duration"] = "60 s"
    mesh["mesh"]["control"]["node"] = "c"
    mesh["network"]["links"] = [
        {"between": ["a", "b"], "latency": "1 ms"},
        {"between": ["b", "c"], "latency": "1 ms"},
    ]
    mesh["network"]["nodes"]["d"] = {"kind": "edge"}
    mesh["network"]["links"].append({"between": ["a", "d"], "latency": "1 ms"})
    mesh["fleets"]["near"] = {"node": "b"}
    mesh["traffic"].append(
        {"name": "near", "from": "near", "to": "front", "slice": "web", "arrivals": {"constant": "4 /s"}}
    )
    mesh["faults"] = [
        {"kind": "link-down", "target": "a--b", "at": "29 s", "for": "6 s"},
        {"kind": "ca-rotation", "at": "30 s", "for": "20 s"},
    ]
    result = simulate(mesh)
    stale = {row.proxy for row in result.configs if "trust bundle" in row.reason and row.event == "stale"}
    assert stale == {"client/0", "client/1"}
    late = [row.t_ns for row in result.configs if row.proxy == "client/0" and "trust" in row.reason]
    assert 35 * S < late[-1] < 37 * S
    near = Counter(row.outcome for row in result.requests if row.source == "near" and row.t_intended_ns > 31 * S)
    assert set(near) == {"ok"}
    assert set(outcomes(result, 38, 60)) == {"ok"}


def test_issuer_that_was_away_catches_up(simulate: Any, mesh: Data) -> None:
    """While the issuer is gone its authority is not replaced; when it is back, that comes first."""
    mesh["mesh"]["identity"]["issuer"]["retry"] = {"cap": "4 s"}
    mesh["faults"] = [{"kind": "ca-outage", "at": "50 s", "for": "90 s"}]
    result = simulate(mesh, fidelity="modelled")
    assert [deed for deed, _, _ in deeds(result)][:3] == ["prepared", "activated", "retired"]
    assert 140 <= deeds(result)[0][2] <= 150
    assert set(outcomes(result, 0, 58)) == {"ok"}
    assert outcomes(result, 75, 140)["ok"] == 0
    assert set(outcomes(result, 160, 200)) == {"ok"}


def test_authority_that_has_ended_issues_nothing(simulate: Any, mesh: Data) -> None:
    """Without a successor certificates get ever shorter towards the authority's end, and after it there are none."""
    del mesh["mesh"]["identity"]["ca_rotation"]
    result = simulate(mesh, fidelity="modelled")
    leaves = [row for row in result.identities if row.event in ("issued", "rotated")]
    assert max(row.not_after_ns for row in leaves) == 118 * S
    refused = [row for row in result.identities if row.event == "refused"]
    assert {row.reason for row in refused} == {"the authority has ended"}
    assert min(row.t_ns for row in refused) >= 118 * S
    assert outcomes(result, 119, 200)["ok"] == 0


def test_authorities_without_an_issuer(simulate: Any, mesh: Data) -> None:
    """Where certificates are there at once authorities are replaced all the same."""
    del mesh["mesh"]["identity"]["issuer"]
    result = simulate(mesh)
    assert set(outcomes(result, 0, 200)) == {"ok"}
    assert {name for _, name, _ in deeds(result)} >= {"root", "root-2", "root-3"}
    mesh["mesh"]["identity"]["ca_rotation"] = {"activate": "30 s", "overlap": "none"}
    assert outcomes(simulate(mesh, fidelity="modelled"), 88.2, 90)["tls-refused"] > 0


def test_authorities_of_sites_go_with_their_root(simulate: Any, mesh: Data) -> None:
    """Where sites have authorities of their own these are replaced with the root, and nobody notices either."""
    mesh["mesh"]["identity"] |= {"hierarchy": "per-site", "intermediate_ttl": "50 s", "at_start": "aged"}
    result = simulate(mesh)
    assert set(outcomes(result, 0, 200)) == {"ok"}
    leaves = [row for row in result.identities if row.event in ("issued", "rotated")]
    roots = {row.issuer.split("/")[1] for row in leaves}
    assert roots >= {"root", "root-2", "root-3"}
    ends_ns = {row.not_after_ns for row in result.identities if row.event == "activated"}
    assert len(ends_ns) > 3
    begins_ns = {row.not_before_ns for row in leaves if row.event == "issued"}
    assert min(begins_ns) < -2 * S


def test_every_fidelity_gives_the_same(simulate: Any, mesh: Data) -> None:
    """Authorities that come and go give the same rows with OpenSSL and without."""
    mesh["duration"] = "100 s"
    mesh["mesh"]["identity"]["renew_within"] = "2 s"
    mesh["faults"] = [{"kind": "ca-rotation", "at": "30 s", "for": "10 s"}]
    contents = {simulate(mesh, fidelity=fidelity).content() for fidelity in ("real", "sampled", "modelled")}
    assert len(contents) == 1
