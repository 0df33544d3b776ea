"""Several trust domains: who believes whom, bundles that are fetched in time, and what becomes of them."""

from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from meshsim.scenario.loader import load_text
from tests.world.conftest import Result

Data = dict[str, Any]
S, MS = 1_000_000_000, 1_000_000


@pytest.fixture
def mesh() -> Data:
    """Clients of plant.example call a broker of partner.example, 10 ms away; bundles are fetched every 10 s."""
    return copy.deepcopy(
        {
            "scenario": "federation",
            "duration": "60 s",
            "network": {
                "nodes": {"core": {"kind": "core"}, "partner": {"kind": "core"}},
                "links": [{"between": ["core", "partner"], "latency": "10 ms"}],
                "slices": {"web": {"sst": 1, "five_qi": 9}},
            },
            "services": {"broker": {"replicas": {"partner": 2}, "work": {"constant": "1 ms"}}},
            "fleets": {"client": {"node": "core", "size": 2}},
            "mesh": {
                "trust_domain": "plant.example",
                "tls": {"resumption": False},
                "pool": {"idle_timeout": "200 ms"},
                "resilience": {"retries": 0},
                "identity": {"svid_ttl": "10 min"},
                "federation": {
                    "trusts": ["partner.example"],
                    "endpoint": {"refresh_hint": "10 s"},
                    "domains": {
                        "partner.example": {
                            "node": "partner",
                            "services": ["broker"],
                            "trusts": ["plant.example"],
                            "endpoint": {"refresh_hint": "10 s"},
                        }
                    },
                },
            },
            "traffic": [{"from": "client", "to": "broker", "slice": "web", "arrivals": {"constant": "2 /s"}}],
        }
    )


def partner(mesh: Data) -> Data:
    """The settings of the other trust domain."""
    found: Data = mesh["mesh"]["federation"]["domains"]["partner.example"]
    return found


def outcomes(result: Any, from_s: float = 0, to_s: float = 60) -> Counter[str]:
    """How requests of a window of simulated time ended."""
    rows = (row for row in result.requests if from_s * S <= row.t_intended_ns < to_s * S)
    return Counter(row.outcome for row in rows)


def fetches(result: Any, by: str = "plant.example") -> list[tuple[int, str, int, str]]:
    """What came of each fetch by a trust domain: second, event, sequence number held, reason."""
    return [
        (row.t_start_ns // S, row.event, row.sequence, row.reason)
        for row in result.bundles
        if row.trust_domain == by and row.event != "unchanged"
    ]


def test_domains_that_believe_each_other(simulate: Any, mesh: Data) -> None:
    """Each has an authority of its own, and mutual TLS between them works while each fetches the other's bundle."""
    result = simulate(mesh)
    assert set(outcomes(result)) == {"ok"}
    issuers = {row.spiffe_id: row.issuer for row in result.identities}
    assert issuers["spiffe://plant.example/fleet/client/0"] == "plant.example/root"
    assert issuers["spiffe://partner.example/ns/default/sa/broker"] == "partner.example/root"
    polls = [row for row in result.bundles if row.trust_domain == "plant.example"]
    assert [row.t_start_ns // S for row in polls] == [0, 10, 20, 30, 40, 50]
    assert {row.event for row in polls} == {"unchanged"}
    # Three round trips of 20 ms (TCP, TLS, the request), and some CPU.
    assert all(60 * MS < row.t_ns - row.t_start_ns < 62 * MS for row in polls)


@pytest.mark.parametrize(
    ("believer", "by", "reason"),
    [("plant.example", "server", "trust domain"), ("partner.example", "client", "trust domain")],
)
def test_one_way_is_refused(simulate: Any, mesh: Data, believer: str, by: str, reason: str) -> None:
    """Where one of two does not believe the other, its end refuses every handshake."""
    mesh["mesh"]["federation"]["trusts"] = ["partner.example"] if believer == "plant.example" else []
    partner(mesh)["trusts"] = ["plant.example"] if believer == "partner.example" else []
    result = simulate(mesh)
    assert set(outcomes(result)) == {"tls-refused"}
    (told,) = {(row.refused_by, row.reason) for row in result.handshakes}
    assert told[0] == by
    assert reason in told[1]


def test_bundles_are_not_pooled(simulate: Any, mesh: Data) -> None:
    """A third domain's authority is no good for the second one's workloads, though a client believes both."""
    mesh["mesh"]["federation"]["domains"]["third.example"] = {"node": "partner", "fleets": ["other"]}
    mesh["fleets"]["other"] = {"node": "core"}
    mesh["traffic"].append({"from": "other", "to": "broker", "slice": "web", "arrivals": {"constant": "1 /s"}})
    mesh["mesh"]["federation"]["trusts"] = ["partner.example", "third.example"]
    result = simulate(mesh)
    bundles = result.world._domains.told["plant.example"].bundles
    assert {bundle.trust_domain: sorted(bundle.authorities) for bundle in bundles} == {
        "partner.example": ["partner.example/root"],
        "third.example": ["third.example/root"],
    }
    refused = {row.client for row in result.handshakes if row.outcome == "refused"}
    assert refused == {"other/0"}


def rotating(mesh: Data, prepare: str) -> None:
    """Have the partner's authority be replaced at 35 s, and its workloads have new certificates at once."""
    partner(mesh)["identity"] = {
        "ca_ttl": "1 h",
        "ca_age": "10 min",
        "ca_rotation": {"prepare": prepare, "activate": "2955 s"},
        "renew_within": "1 ms",
    }


def test_prepared_in_time(simulate: Any, mesh: Data) -> None:
    """An authority that is in the bundle for longer than a refresh before it signs is not noticed."""
    rotating(mesh, "2967 s")  # 12 s before it signs, at 23 s
    result = simulate(mesh)
    assert fetches(result) == [(30, "taken", 2, "")]
    assert set(outcomes(result)) == {"ok"}
    pushes = [row for row in result.configs if row.reason == "federated bundle: partner.example, sequence 2"]
    assert Counter(row.event for row in pushes) == {"sent": 2, "acked": 2}


def test_prepared_too_late(simulate: Any, mesh: Data) -> None:
    """One that signs before others have fetched it is refused until they do."""
    rotating(mesh, "2959 s")  # 4 s before it signs, after the fetch at 30 s
    result = simulate(mesh)
    assert fetches(result) == [(40, "taken", 2, "")]
    assert set(outcomes(result, 0, 34)) == set(outcomes(result, 41, 60)) == {"ok"}
    assert set(outcomes(result, 35.2, 39)) == {"tls-refused"}
    assert {row.reason for row in result.handshakes if row.outcome == "refused"} == {"unknown authority"}


def test_locked_out(simulate: Any, mesh: Data) -> None:
    """Who has missed an authority can't fetch its bundle from an endpoint that it vouches for: only Web PKI helps."""
    rotating(mesh, "2959 s")
    partner(mesh)["identity"]["svid_ttl"] = "76 s"  # the endpoint's certificate is renewed at 38 s
    result = simulate(mesh)
    why = "bundle endpoint: unknown authority"
    assert fetches(result) == [
        (40, "refused", 1, why),
        (50, "refused", 1, why),
    ]
    assert set(outcomes(result, 36, 60)) == {"tls-refused"}
    partner(mesh)["endpoint"]["profile"] = "https_web"
    result = simulate(mesh)
    assert fetches(result) == [(40, "taken", 2, "")]
    assert set(outcomes(result, 41, 60)) == {"ok"}


def disturbed(mesh: Data, serves: str, at: str = "15 s", duration: str = "30 s") -> None:
    """Have the partner's endpoint serve something else for a while."""
    fault = {"kind": "bundle-endpoint", "target": "partner.example", "serves": serves, "at": at, "for": duration}
    mesh.setdefault("faults", []).append(fault)


def test_endpoint_that_is_gone(simulate: Any, mesh: Data) -> None:
    """What was fetched last holds; after three misses the bundle is stale, which may mean that it holds no longer."""
    disturbed(mesh, "nothing")
    result = simulate(mesh)
    down, three = "the bundle endpoint is down", "3 fetches in a row have brought nothing"
    assert fetches(result) == [
        (20, "failed", 1, down),
        (30, "failed", 1, down),
        (40, "failed", 1, down),
        (40, "stale", 1, three),
    ]
    assert result.faults[0].configurations == 3
    assert set(outcomes(result)) == {"ok"}
    mesh["mesh"]["federation"]["when_stale"] = "refuse"
    result = simulate(mesh)
    assert set(outcomes(result, 0, 40)) == set(outcomes(result, 50.2, 60)) == {"ok"}
    assert set(outcomes(result, 40.2, 50)) == {"tls-refused"}
    assert {row.reason for row in result.handshakes if row.outcome == "refused"} == {"unknown authority"}


def test_older_bundle_is_refused(simulate: Any, mesh: Data) -> None:
    """Sequence numbers only grow; without them an old bundle is taken for a new one."""
    rotating(mesh, "2967 s")
    disturbed(mesh, "older", at="38 s", duration="10 s")
    result = simulate(mesh)
    assert fetches(result) == [(30, "taken", 2, ""), (40, "refused", 2, "sequence 1 is older than 2")]
    assert set(outcomes(result)) == {"ok"}
    partner(mesh)["endpoint"]["sequence"] = False
    result = simulate(mesh)
    assert fetches(result) == [(30, "taken", 0, ""), (40, "taken", 0, ""), (50, "taken", 0, "")]
    assert set(outcomes(result, 40.2, 50)) == {"tls-refused"}
    assert set(outcomes(result, 50.2, 60)) == {"ok"}


def test_empty_bundle_revokes_all(simulate: Any, mesh: Data) -> None:
    """A bundle without authorities has its whole domain refused, the endpoint too unless the Web PKI vouches for it."""
    disturbed(mesh, "empty", at="15 s", duration="12 s")
    result = simulate(mesh)
    assert fetches(result)[0] == (20, "taken", 2, "")
    assert {event for _, event, _, _ in fetches(result)[1:]} == {"refused", "stale"}
    assert set(outcomes(result, 20.2, 60)) == {"tls-refused"}
    partner(mesh)["endpoint"]["profile"] = "https_web"
    result = simulate(mesh)
    assert fetches(result) == [(20, "taken", 2, ""), (30, "taken", 3, "")]
    assert set(outcomes(result, 20.2, 30)) == {"tls-refused"}
    assert set(outcomes(result, 30.2, 60)) == {"ok"}


def test_malformed_bundle_is_refused(simulate: Any, mesh: Data) -> None:
    """What is no bundle changes nothing."""
    disturbed(mesh, "malformed", at="15 s", duration="10 s")
    result = simulate(mesh)
    assert fetches(result) == [(20, "refused", 1, "'keys' is no list")]
    assert set(outcomes(result)) == {"ok"}


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"kind": "link-down", "target": "core--partner"}, "no answer from the bundle endpoint"),
        ({"kind": "node-crash", "target": "partner"}, "no answer from the bundle endpoint"),
    ],
)
def test_endpoint_that_cannot_be_reached(simulate: Any, mesh: Data, fault: Data, why: str) -> None:
    """A link or node that is down costs fetches, which are counted for it; the next is no earlier than it would be."""
    mesh["network"]["reroute_after"] = "30 s"
    mesh["faults"] = [{**fault, "at": "19.5 s", "for": "1 s"}]
    result = simulate(mesh)
    assert fetches(result)[0] == (20, "failed", 1, why)
    assert result.faults[0].configurations >= 1


def test_who_fetches_is_down(simulate: Any, mesh: Data) -> None:
    """A control plane without power fetches nothing, and holds what it had when it is back."""
    mesh["faults"] = [{"kind": "node-crash", "target": "core", "at": "19 s", "for": "5 s"}]
    result = simulate(mesh)
    assert fetches(result) == [(20, "failed", 1, "the node that fetches is down")]
    assert set(outcomes(result, 30, 60)) == {"ok"}


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
def test_authority_that_has_ended(simulate: Any, mesh: Data, fidelity: str) -> None:
    """Without a successor an authority takes its endpoint along, whose certificate can't be renewed any more."""
    partner(mesh)["identity"] = {"svid_ttl": "20 s", "ca_ttl": "45 s"}  # ends at 35 s: it is backdated too
    result = simulate(mesh, fidelity=fidelity)
    why = "bundle endpoint: expired"
    assert fetches(result) == [(40, "refused", 1, why), (50, "refused", 1, why)]
    assert set(outcomes(result, 0, 34)) == {"ok"}
    assert set(outcomes(result, 36, 60)) == {"tls-refused"}


def test_clock_of_who_fetches(simulate: Any, mesh: Data) -> None:
    """Endpoints are judged by the clock of who fetches: one that is too slow refuses what is not valid yet."""
    mesh["network"]["nodes"]["core"]["clock_skew"] = "-30 s"
    result = simulate(mesh)
    assert {(event, reason) for _, event, _, reason in fetches(result)} >= {
        ("refused", "bundle endpoint: not yet valid")
    }


def test_rotation_by_decision(simulate: Any, mesh: Data) -> None:
    """The authority of a federated domain is replaced by a fault: its name is the target."""
    mesh["faults"] = [
        {"kind": "ca-rotation", "target": "partner.example", "at": "21 s", "for": "10 s", "overlap": "full"}
    ]
    result = simulate(mesh)
    (fault,) = result.faults
    assert (fault.target, fault.certificates) == ("partner.example", 2)
    assert fetches(result) == [(30, "taken", 2, ""), (40, "taken", 3, "")]
    roots = {row.issuer for row in result.identities if row.event in ("activated", "retired")}
    assert roots == {"partner.example/root", "partner.example/root-2"}


def test_without_hint_every_five_minutes(simulate: Any, mesh: Data) -> None:
    """A bundle that gives no hint is fetched every five minutes."""
    mesh["duration"] = "11 min"
    mesh["traffic"][0]["arrivals"] = {"constant": "0.1 /s"}
    del partner(mesh)["endpoint"]
    result = simulate(mesh)
    assert [row.t_start_ns // S for row in result.bundles if row.trust_domain == "plant.example"] == [0, 300, 600]


def test_equal_at_every_fidelity(simulate: Any, mesh: Data) -> None:
    """Refusals, fetches and lock-outs are the same whether OpenSSL and real documents are asked or not."""
    rotating(mesh, "2959 s")
    partner(mesh)["identity"]["svid_ttl"] = "76 s"
    disturbed(mesh, "malformed", at="15 s", duration="10 s")
    real, sampled, modelled = (simulate(mesh, fidelity=level) for level in ("real", "sampled", "modelled"))
    assert real.content() == sampled.content() == modelled.content()
    assert outcomes(real)["tls-refused"] > 20


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
def test_authorities_of_other_kinds(simulate: Any, mesh: Data, fidelity: str) -> None:
    """Another key type and intermediates of sites go together, over a rotation too."""
    mesh["mesh"]["identity"]["hierarchy"] = "per-site"
    rotating(mesh, "2967 s")
    partner(mesh)["identity"]["ca_key"] = "ed25519"
    result = simulate(mesh, fidelity=fidelity)
    assert set(outcomes(result)) == {"ok"}
    issuers = {row.issuer for row in result.identities if row.event in ("issued", "rotated")}
    assert {"plant.example/root/core", "partner.example/root/partner", "partner.example/root-2/partner"} == issuers


def test_beside_an_issuer(simulate: Any, mesh: Data) -> None:
    """Workloads of the mesh's own trust domain are issued theirs; those of others have them, and are there at once."""
    mesh["mesh"]["identity"] |= {"issuer": {}, "at_start": "onboarding"}
    mesh["faults"] = [{"kind": "node-crash", "target": "partner", "at": "20 s", "for": "1 s"}]
    mesh["network"]["nodes"]["partner"]["kind"] = "edge"
    result = simulate(mesh)
    assert {row.host for row in result.issuances} == {"client/0", "client/1"}
    assert set(outcomes(result, 1, 19)) == set(outcomes(result, 30, 60)) == {"ok"}


POLICIES = {
    "cedar": """
        permit (principal in TrustDomain::"plant.example", action, resource);
        forbid (principal == Workload::"spiffe://plant.example/fleet/client/1", action, resource);
    """,
    "rego": """
package envoy.authz
default allow := false
allow if {
    input.meshsim.source.trust_domain == "plant.example"
    input.attributes.source.principal != "spiffe://plant.example/fleet/client/1"
}
""",
    "istio": """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: partners, namespace: default}
spec:
  rules:
    - from: [{source: {principals: ["plant.example/*"], notPrincipals: ["plant.example/fleet/client/1"]}}]
""",
}


@pytest.mark.parametrize("engine", POLICIES)
def test_policies_see_foreign_identities(mesh: Data, engine: str, tmp_path: Path) -> None:
    """A policy can name workloads and trust domains beyond the one that it guards."""
    name = {"cedar": "mesh.cedar", "rego": "mesh.rego", "istio": "mesh.yaml"}[engine]
    (tmp_path / name).write_text(POLICIES[engine], encoding="utf-8")
    mesh["mesh"]["policy"] = {"engine": engine, "files": [name]}
    result = Result(load_text(json.dumps(mesh), tmp_path / "scenario.yaml", []))
    assert {(row.client, row.outcome) for row in result.requests} == {("client/0", "ok"), ("client/1", "denied")}
