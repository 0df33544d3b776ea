"""Extension providers with authorizers of their own: each with its place, its patience, and its way to fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_text
from tests.world.conftest import Result

MS = 1_000_000
SCENARIO = """\
scenario: providers
duration: 4 s
network:
  nodes: {near: {kind: edge, cores: 4}, mid: {kind: edge}, far: {kind: edge}}
  links:
    - {name: short, between: [near, mid], latency: 2 ms}
    - {name: long, between: [near, far], latency: 20 ms}
  slices: {web: {sst: 1, five_qi: 80}}
services:
  shop: {replicas: {near: 1}, work: {constant: 1 ms}, labels: {app: shop}}
  bank: {replicas: {near: 1}, work: {constant: 1 ms}, labels: {app: bank}}
  wall: {replicas: {near: 1}, work: {constant: 1 ms}, labels: {app: wall}}
fleets: {clients: {node: near}}
mesh:
  resilience: {retries: 0}
  policy:
    engine: istio
    files: [mesh.yaml]
    istio:
      extension_providers:
        opa: {engine: cedar, files: [shop.cedar], authorizer: {node: mid, on_failure: allow}}
        vault:
          engine: cedar
          files: [bank.cedar]
          authorizer: {node: far, timeout: 100 ms, status_on_failure: 503}
        inside: {verdict: deny}
traffic:
  - {name: shoppers, from: clients, to: shop, slice: web, arrivals: {constant: 20 /s}}
  - {name: savers, from: clients, to: bank, slice: web, arrivals: {constant: 20 /s}}
  - {name: climbers, from: clients, to: wall, slice: web, arrivals: {constant: 20 /s}}
"""
CUSTOM = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {app}, namespace: default}}
spec:
  selector: {{matchLabels: {{app: {app}}}}}
  action: CUSTOM
  provider: {{name: {provider}}}
  rules: [{{}}]
"""


def write(folder: Path) -> Path:
    """The policies beside the scenario; the path of the scenario."""
    pairs = (("shop", "opa"), ("bank", "vault"), ("wall", "inside"))
    policies = "---\n".join(CUSTOM.format(app=app, provider=provider) for app, provider in pairs)
    (folder / "mesh.yaml").write_text(policies, encoding="utf-8")
    (folder / "shop.cedar").write_text("permit (principal, action, resource);", encoding="utf-8")
    (folder / "bank.cedar").write_text('permit (principal, action == Action::"GET", resource);', encoding="utf-8")
    return folder / "s.yaml"


def played(folder: Path, faults: str = "", *settings: str, fidelity: str = "real") -> Result:
    """The run with some faults from 1 s to 3 s."""
    text = SCENARIO + (f"faults: [{faults}]\n" if faults else "")
    return Result(load_text(text, write(folder), [f"fidelity={fidelity}", *settings]))


def statuses(result: Result, flow: str, begin_s: int = 0, end_s: int = 9) -> set[int]:
    """How a flow's requests ended that were sent in a part of the run."""
    rows = (row for row in result.requests if row.source == flow)
    return {row.status for row in rows if begin_s * 1000 * MS <= row.t_intended_ns < end_s * 1000 * MS}


def test_each_provider_is_asked_where_it_runs(tmp_path: Path) -> None:
    """The way to each is its own, and who is in the proxy costs no way at all."""
    result = played(tmp_path)
    spent = {
        flow: [row.policy_ns for row in result.requests if row.source == flow]
        for flow in ("shoppers", "savers", "climbers")
    }
    assert 4 * MS < min(spent["shoppers"]) <= max(spent["shoppers"]) < 6 * MS
    assert 40 * MS < min(spent["savers"]) <= max(spent["savers"]) < 42 * MS
    assert max(spent["climbers"]) < MS
    assert [statuses(result, flow) for flow in spent] == [{200}, {200}, {403}]


def test_each_fails_in_its_own_way(tmp_path: Path) -> None:
    """One provider that is gone lets all in, the other keeps all out with its status; nobody else notices."""
    opa = played(tmp_path, "{kind: policy-outage, at: 1 s, for: 2 s, target: opa}")
    assert (statuses(opa, "shoppers"), statuses(opa, "savers")) == ({200}, {200})
    rules = {(row.destination, row.rule) for row in opa.decisions if row.failure}
    assert rules == {("shop", "failed-open")}
    vault = played(tmp_path, "{kind: policy-outage, at: 1 s, for: 2 s, target: vault}")
    assert (statuses(vault, "shoppers"), statuses(vault, "savers", 1, 3)) == ({200}, {503})
    assert {(row.destination, row.rule) for row in vault.decisions if row.failure} == {("bank", "failed-closed")}
    for result, failed in ((opa, "shop"), (vault, "bank")):
        (row,) = result.faults
        assert row.decisions == sum(one.destination == failed and bool(one.failure) for one in result.decisions) > 30


def test_policies_on_trial_tell_what_was_let_in_by_failure(tmp_path: Path) -> None:
    """What nobody answered about is looked at by DENY policies on trial as if the provider had allowed it."""
    file = write(tmp_path)
    on_trial = CUSTOM.format(app="shop", provider="opa").replace("CUSTOM", "DENY").replace("{name: opa}", "")
    on_trial = on_trial.replace("  provider: \n", "").replace(
        "name: shop,", "name: trial, annotations: {istio.io/dry-run: 'true'},"
    )
    with (tmp_path / "mesh.yaml").open("a", encoding="utf-8") as written:
        written.write(f"---\n{on_trial}")
    text = SCENARIO + "faults: [{kind: policy-outage, at: 1 s, for: 2 s, target: opa}]\n"
    rows = [row for row in Result(load_text(text, file)).decisions if row.destination == "shop"]
    assert {(row.rule, row.dry_run) for row in rows} == {
        ("failed-open", "ns[default]-policy[trial]-rule[0]"),
        ("default-allow", "ns[default]-policy[trial]-rule[0]"),
    }


@pytest.mark.parametrize(
    ("target", "trial", "told"),
    [
        ("opa", "{action: DENY}", {"denied"}),  # which the proxy itself would look at
        ("opa", "{action: CUSTOM, provider: {name: opa}}", {""}),  # which would fail open, too
        ("opa", "{action: CUSTOM, provider: {name: inside}}", {"denied"}),
        ("vault", "{action: DENY}", {"allowed"}),  # would not bring it before anybody
        ("vault", "{action: CUSTOM, provider: {name: vault}}", {""}),
    ],
)
def test_a_set_on_trial_tells_what_it_makes_of_a_failure(
    tmp_path: Path, target: str, trial: str, told: set[str]
) -> None:
    """Policies of mesh.policy.shadow would deny what was let in, or let in what was denied, or fail in the same way."""
    file = write(tmp_path)
    spec = f"spec: {{selector: {{matchLabels: {{app: shop}}}}, rules: [{{}}], {trial[1:]}"
    (tmp_path / "trial.yaml").write_text(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: trial, namespace: default}\n"
        + (spec if target == "opa" or "CUSTOM" not in trial else spec.replace("app: shop", "app: bank"))
    )
    text = SCENARIO.replace("traffic:", "    shadow: {files: [trial.yaml]}\ntraffic:")
    text += f"faults: [{{kind: policy-outage, at: 1 s, for: 2 s, target: {target}}}]\n"
    failed = [row for row in Result(load_text(text, file)).decisions if row.failure]
    assert len(failed) > 30
    assert {row.shadow for row in failed} == told


def test_a_slow_provider_slows_no_other(tmp_path: Path) -> None:
    """Decisions of one take longer, beyond its own patience; those of the other do not."""
    result = played(tmp_path, "{kind: policy-slow, at: 1 s, for: 2 s, target: vault, factor: 1000000}")
    assert statuses(result, "shoppers") == {200}
    assert {row.failure for row in result.decisions if row.destination == "bank"} == {"", "timeout"}
    assert max(row.policy_ns for row in result.requests if row.source == "shoppers") < 6 * MS
    assert 95 * MS < max(row.policy_ns for row in result.requests if row.source == "savers") < 102 * MS


def test_a_provider_without_one_of_its_own_is_with_the_meshs(tmp_path: Path) -> None:
    """The mesh's authorizer stands in for whoever has none, and an outage of it touches them alone."""
    own = "mesh.policy.authorizer={node: mid}"
    result = played(tmp_path, "{kind: policy-outage, at: 1 s, for: 2 s}", own)
    assert {row.destination for row in result.decisions if row.failure} == {"wall"}
    assert statuses(result, "savers") == {200}


def test_every_fidelity_decides_alike(tmp_path: Path) -> None:
    """Real engines and remembered answers give the same rows, faults and all."""
    fault = "{kind: policy-outage, at: 1 s, for: 2 s, target: vault}"
    assert played(tmp_path, fault).content() == played(tmp_path, fault, fidelity="modelled").content()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["faults=[{kind: policy-outage, at: 1 s, for: 1 s}]"], "there is no authorizer 'authorizer'; expected"),
        (["faults=[{kind: policy-outage, at: 1 s, for: 1 s, target: vualt}]"], "did you mean 'vault'?"),
        (
            ["faults=[{kind: policy-slow, at: 1 s, for: 1 s, factor: 2, target: inside}]"],
            "nothing called 'inside' decides outside of the proxies; expected",
        ),
        (["mesh.policy.istio.extension_providers.opa.authorizer.node=nid"], "did you mean 'mid'?"),
        (["mesh.policy.istio.extension_providers.opa.authorizer.cores=99"], "'mid' has fewer cores"),
        (["mesh.policy.istio.extension_providers.engine={verdict: deny}"], "is called 'engine', as faults call others"),
    ],
)
def test_mistakes(tmp_path: Path, settings: list[str], said: str) -> None:
    """Names that are not there and places that cannot be are told."""
    with pytest.raises(ScenarioError) as caught:
        load_text(SCENARIO, write(tmp_path), settings)
    found: list[Any] = [str(one) for one in caught.value.diagnostics]
    assert any(said in one for one in found), found
