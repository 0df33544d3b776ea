"""A first request that is let through, of calls that `meshsim import` assumes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import meshsim
from meshsim.commands.importing import import_folder
from meshsim.inquiry.ways import survey
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_scenario
from meshsim.scenario.manifests.starter import Imported, import_manifests
from meshsim.scenario.manifests.starter_text import Way
from meshsim.scenario.services import Call

SHOP = Path(__file__).parent.parent / "scenario" / "data" / "shop"
POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: catalog, namespace: shop}
spec:
  selector: {matchLabels: {app: catalog}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/front]}}]
"""


def imported(folder: Path, policy: str) -> Imported:
    """The shop with one more policy, imported."""
    shutil.copytree(SHOP, folder / "shop")
    (folder / "shop" / "policy.yaml").write_text(policy, encoding="utf-8")
    return import_manifests(folder / "shop", folder / "scenario.yaml", force=False, survey=survey)


@pytest.mark.parametrize(
    ("rule", "written"),
    [
        ("", "{to: catalog}"),
        ("to: [{operation: {methods: [GET], paths: ['/items/*']}}]", "{to: catalog, path: /items/}"),
        ("to: [{operation: {methods: [POST], paths: ['/a/{*}/']}}]", "{to: catalog, method: POST"),
        ("when: [{key: 'request.headers[x-tenant]', values: [blue]}]", 'headers: {"x-tenant": "blue"}}'),
    ],
)
def test_a_call_is_one_that_policies_allow(tmp_path: Path, rule: str, written: str) -> None:
    """Method, path and header fields are those of the rule that lets the call in, and none is denied."""
    made = imported(tmp_path, f"{POLICY}    {rule}\n")
    assert written in made.text
    run = meshsim.run(made.file, out=tmp_path / "run", overrides=["duration=2 s"])
    outcomes = set(run.frame("calls").outcome)  # the shop's routes delay and abort some
    assert "ok" in outcomes
    assert "denied" not in outcomes


def test_another_port_is_tried_and_without_policies_tls_alone(tmp_path: Path) -> None:
    """Where one port alone is let in, the call goes to that; one in plaintext to a STRICT port to none."""
    shutil.copytree(SHOP, tmp_path / "shop")
    apps = tmp_path / "shop" / "apps.yaml"
    one = "ports: [{port: 8080, name: grpc, protocol: TCP}]"
    text = apps.read_text(encoding="utf-8")
    assert one in text
    apps.write_text(text.replace(one, f"{one[:-1]}, {{port: 8081, name: http}}]"), encoding="utf-8")
    (tmp_path / "shop" / "policy.yaml").write_text(f"{POLICY}    to: [{{operation: {{ports: ['8081']}}}}]\n")
    made = import_manifests(tmp_path / "shop", tmp_path / "scenario.yaml", force=False, survey=survey)
    assert "{to: catalog, port: 8081}" in made.text
    (tmp_path / "shop" / "policy.yaml").unlink()
    loaded = load_scenario(import_manifests(tmp_path / "shop", made.file, force=True).file)
    assert survey(loaded)("front", (), "catalog", ()) == Way()
    refused = load_scenario(made.file, overrides=["mesh.destinations.catalog.tls=plaintext", "mesh.tls.mode=STRICT"])
    assert survey(refused)("front", (), "catalog", ()) is None


def test_a_call_that_nothing_lets_through_is_marked(tmp_path: Path) -> None:
    """Where policies deny all that can be tried, the scenario and the command say so."""
    policy = POLICY.replace("sa/front", "sa/default")
    made = imported(tmp_path, policy)
    (call,) = load_scenario(made.file).scenario.services["front"].calls
    assert isinstance(call, Call)
    assert (call.method, call.path) == ("GET", "/")
    (line,) = [line for line in made.text.splitlines() if "{to: catalog}" in line]
    assert line.endswith("names it; no request was found that mutual TLS and policies let through, so all fail")
    assert any(text.startswith("front calls catalog: ") and text.endswith("so all fail") for text in made.assumed)


def test_mistakes_in_policies_are_told_and_nothing_is_written(tmp_path: Path) -> None:
    """What `meshsim check` would find wrong with the policies, import tells at the same places."""
    shutil.copytree(SHOP, tmp_path / "shop")
    policy = POLICY.replace("cluster.local/", "spiffe://cluster.local/").replace("rules:", "actoin: DENY\n  rules:")
    (tmp_path / "shop" / "policy.yaml").write_text(policy, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        import_folder(tmp_path / "shop", tmp_path / "scenario.yaml", force=False, quiet=True)
    told = [(Path(one.file).name, one.line, one.column) for one in caught.value.diagnostics]
    assert sorted(told) == [("policy.yaml", 6, 3), ("policy.yaml", 8, 35)]
    assert not (tmp_path / "scenario.yaml").exists()
