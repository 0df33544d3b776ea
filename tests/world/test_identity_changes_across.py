"""Terms of certificates of other trust domains that change while a run goes on, each for its own workloads alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_text
from tests.world.conftest import Result

MS, S = 1_000_000, 1_000_000_000
SCENARIO = """\
scenario: terms
duration: 60 s
network:
  nodes: {edge-1: {kind: edge}, core-1: {kind: core}, core-2: {kind: core}}
  links:
    - {name: trunk, between: [edge-1, core-1], latency: 5 ms}
    - {name: other, between: [edge-1, core-2], latency: 5 ms}
  slices: {web: {sst: 1, five_qi: 9}}
services:
  planner: {replicas: {edge-1: 2}, work: {constant: 1 ms}}
fleets:
  robots: {node: edge-1, size: 3}
mesh:
  control: {node: core-1}
  identity: {svid_ttl: 40 s, issuer: {}}
  federation:
    trusts: [partner.example]
    domains:
      partner.example: {node: core-2, services: [planner], trusts: [mesh.example], identity: {issuer: {}}}
traffic:
  - {from: robots, to: planner, slice: web, arrivals: {constant: 4 /s}}
changes:
  - {name: other, at: 10 s, domains: {partner.example: {identity: {}}}}
"""
OWN, PARTNER = "mesh.example", "partner.example"


def run(folder: Path, identity: str, *overrides: str, more: str = "", text: str = SCENARIO) -> Result:
    """Run the scenario with other terms of the partner's certificates, and ``more`` in the change."""
    text = text.replace("{identity: {}}}}", f"{{identity: {identity}}}}}{more}}}")
    return Result(load_text(text, folder / "terms.yaml", overrides))


def rotated(result: Result, domain: str) -> list[tuple[float, float]]:
    """When certificates of a trust domain were replaced, rounded to a tenth, and how long those last; in seconds."""
    rows = [row for row in result.identities if row.event == "rotated" and f"//{domain}/" in row.spiffe_id]
    return [(round(row.t_ns / S, 1), (row.not_after_ns - row.not_before_ns) / S) for row in rows]


def test_a_life_is_cut_in_one_trust_domain(tmp_path: Path) -> None:
    """Its workloads renew when the change has reached them; those of the mesh's own run on as they were."""
    terms = "{svid_ttl: 20 s, backdate: 5 s, renew: at-once}"
    found = [run(tmp_path, terms, f"fidelity={one}") for one in ("real", "sampled", "modelled")]
    assert found[0].content() == found[1].content() == found[2].content()
    assert rotated(found[0], PARTNER)[:4] == [(10.1, 25), (10.1, 25), (20.0, 25), (20.0, 25)]
    assert rotated(found[0], OWN)[:3] == [(20.0, 50)] * 3
    (row,) = found[0].changes
    assert (row.proxies, row.acked) == (2, 2)
    assert "other: certificates of partner.example" in {one.reason for one in found[0].configs}
    assert all(one.outcome == "ok" for one in found[0].requests)


def pushed(result: Result) -> dict[str, set[str]]:
    """From which nodes changes of configuration were pushed, by the service or fleet to which."""
    told: dict[str, set[str]] = {}
    for row in result.configs:
        if row.kind == "configuration":
            told.setdefault(row.proxy.partition("/")[0], set()).add(row.source)
    return told


@pytest.mark.parametrize("cut", ["{kind: node-crash, target: NODE}", "{kind: link-down, target: LINK}"])
def test_it_comes_from_the_trust_domains_own_control_plane(tmp_path: Path, cut: str) -> None:
    """It is pushed to the domain's proxies alone; where its node is down or cut off it is late, and only there."""
    rows = {}
    for node, link in (("core-2", "other"), ("core-1", "trunk")):
        fault = cut.replace("NODE", node).replace("LINK", link)
        result = run(tmp_path, "{rotate_at: 75 %}", f"faults=[{{at: 5 s, for: 20 s, {fault[1:]}]")
        (rows[node],) = result.changes
        assert pushed(result) == {"planner": {"core-2"}}
        (fault_row,) = result.faults
        assert (fault_row.configurations > 0) == (link == "other" and "link" in cut)
    assert (rows["core-2"].proxies, rows["core-2"].acked) == (rows["core-1"].proxies, rows["core-1"].acked) == (2, 2)
    assert rows["core-2"].t_converged_ns > 25 * S
    assert rows["core-1"].t_converged_ns < 11 * S


@pytest.mark.parametrize("fault", ["kind: link-down, target: other", "kind: node-crash, target: core-2"])
def test_a_change_of_all_is_pushed_by_each_control_plane(tmp_path: Path, fault: str) -> None:
    """What holds for the mesh comes to each trust domain from its own node; if one is away it is late there alone."""
    text = SCENARIO.replace("domains: {partner.example: {identity: {}}}", "tls: {ciphers: [TLS_AES_128_GCM_SHA256]}")
    cut = f"faults=[{{at: 5 s, for: 20 s, {fault}}}]"
    found = [run(tmp_path, "", cut, f"fidelity={one}", text=text) for one in ("real", "sampled", "modelled")]
    assert found[0].content() == found[1].content() == found[2].content()
    assert pushed(found[0]) == {"planner": {"core-2"}, "robots": {"core-1"}}
    (row,) = found[0].changes
    assert (row.proxies, row.acked) == (5, 5)
    assert row.t_converged_ns > 25 * S
    acked = [one for one in found[0].configs if one.kind == "configuration" and one.event == "acked"]
    assert max(one.t_ns for one in acked if one.proxy.startswith("robots")) < 11 * S
    assert min(one.t_ns for one in acked if one.proxy.startswith("planner")) > 25 * S


def test_a_change_of_the_meshs_own_is_pushed_to_its_own(tmp_path: Path) -> None:
    """Terms of its own trust domain, and settings of a workload, go to no other's proxies."""
    for change, told in (
        ("identity: {svid_ttl: 30 s}", {"robots": {"core-1"}}),
        ("workloads: {planner: {ciphers: [TLS_AES_128_GCM_SHA256]}}", {"planner": {"core-2"}}),
    ):
        result = run(tmp_path, "", text=SCENARIO.replace("domains: {partner.example: {identity: {}}}", change))
        assert pushed(result) == told
        (row,) = result.changes
        assert (row.proxies, row.acked) == ((3, 3) if "robots" in told else (2, 2))


def test_the_point_of_rotation_is_the_domains(tmp_path: Path) -> None:
    """Certificates that are out are replaced at another part of their life, in that trust domain alone."""
    result = run(tmp_path, "{rotate_at: 75 %}")
    assert rotated(result, PARTNER)[:2] == [(30.0, 50)] * 2
    assert rotated(result, OWN)[:3] == [(20.0, 50)] * 3


def test_a_change_of_the_meshs_own_leaves_others_alone(tmp_path: Path) -> None:
    """One change can be of both, each by its own terms; of one alone, it is of that one."""
    both = run(tmp_path, "{svid_ttl: 15 s}", more=", identity: {svid_ttl: 30 s, renew: at-once}")
    assert rotated(both, OWN)[:3] == [(10.1, 40)] * 3
    assert rotated(both, PARTNER)[:2] == [(20.0, 25)] * 2
    own = SCENARIO.replace("domains: {partner.example: {identity: {}}}", "identity: {svid_ttl: 30 s, renew: at-once}")
    alone = run(tmp_path, "", text=own)
    assert rotated(alone, PARTNER)[:2] == [(20.0, 50)] * 2


def test_what_is_rolled_back_is_issued_no_more(tmp_path: Path) -> None:
    """A change that a proxy rejects is taken back in every trust domain that it is about."""
    text = SCENARIO + "faults: [{at: 1 s, for: 50 s, kind: push-rejected, target: robots}]\n"
    both = ", identity: {svid_ttl: 30 s}"
    result = run(tmp_path, "{svid_ttl: 20 s, renew: at-once}", "mesh.control.on_reject=roll_back", more=both, text=text)
    (row,) = result.changes
    assert row.rolled_back
    assert rotated(result, PARTNER)[-1][1] == 50


def test_changes_build_on_each_other(tmp_path: Path) -> None:
    """A second change of a trust domain leaves what the first one set, and what it does not set itself."""
    more = "}\n  - {at: 20 s, name: again, domains: {partner.example: {identity: {backdate: 1 s, renew: at-once}}}"
    result = run(tmp_path, "{svid_ttl: 16 s, renew: at-once}", more=more)
    lives = dict.fromkeys(life for _, life in rotated(result, PARTNER))
    assert list(lives) == [26, 17]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("{x.example: {identity: {svid_ttl: 20 s}}}", "'x.example' is no trust domain of mesh.federation.domains; did"),
        ("{mesh.example: {identity: {svid_ttl: 20 s}}}", "expected changes[].identity for the mesh's own"),
        ("{partner.example: {identity: {svid_ttl: 500 d}}}", "would live for 43200000 s, and ca_ttl is 31536000 s"),
        ("{partner.example: {identity: {}}}", "no term of certificates is changed, and none is renewed"),
        ("{partner.example: {}}", "'identity' is missing"),
        ("{}", "nothing is changed; expected policy, tls, workloads, identity or domains"),
        ("{partner.example: {identity: {rotate_at: 90 %, rotate_jitter: 20 %}}}", "expected all of it inside"),
    ],
)
def test_mistakes(tmp_path: Path, change: str, said: str) -> None:
    """What makes no sense with what holds before is told at its place."""
    text = SCENARIO.replace("{partner.example: {identity: {}}}", change)
    with pytest.raises(ScenarioError) as caught:
        load_text(text, tmp_path / "terms.yaml")
    assert any(said in one.message for one in caught.value.diagnostics), [str(one) for one in caught.value.diagnostics]
