"""`meshsim import`: a scenario around manifests that runs at once, and says what it assumes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from meshsim.scenario.errors import ScenarioError, UsageError
from meshsim.scenario.loader import load_scenario
from meshsim.scenario.manifests.callers import evidence
from meshsim.scenario.manifests.expand import read_mesh
from meshsim.scenario.manifests.starter import import_manifests
from meshsim.scenario.manifests.values import Notes
from meshsim.scenario.reading import Folder
from meshsim.scenario.services import Call

DATA = Path(__file__).parent / "data"
POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: catalog, namespace: shop}
spec:
  selector: {matchLabels: {app: catalog}}
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/front, "*"]}}]}]
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The shop's manifests in a folder of their own."""
    shutil.copytree(DATA / "shop", tmp_path / "shop")
    return tmp_path / "shop"


def test_what_is_written_can_be_run(shop: Path) -> None:
    """The scenario names the manifests, has every service, and nothing is wrong with it."""
    made = import_manifests(shop, shop.parent / "scenario.yaml", force=False)
    loaded = load_scenario(made.file)
    assert loaded.scenario.scenario == "shop"
    assert set(made.services) == set(loaded.scenario.services) == {"front", "catalog"}
    assert 'manifests: ["shop"]' in made.text
    assert not [path for path in shop.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(("folder", "name"), [("False", "false"), ("null", "null"), ("2026", "2026"), ("1e3", "1e3")])
def test_names_that_yaml_takes_for_something_else_are_quoted(shop: Path, folder: str, name: str) -> None:
    """A folder or service may be called like a number, a truth value or nothing."""
    for file in ("apps.yaml", "rules.yaml"):
        text = (shop / file).read_text(encoding="utf-8")
        renamed = text.replace("catalog", "'true'").replace("'true'.", "true.").replace("'true'-", "true-")
        (shop / file).write_text(renamed, encoding="utf-8")
    other = shop.rename(shop.parent / folder)
    scenario = load_scenario(import_manifests(other, other.parent / "scenario.yaml", force=False).file).scenario
    assert scenario.scenario == name
    assert set(scenario.services) == {"front", "true"}


def test_values_can_be_set_in_what_is_written(shop: Path) -> None:
    """``--set`` changes the file that is written, which keeps its remarks, and holds while it is made."""
    (shop / "net.yaml").write_text(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n", encoding="utf-8"
    )
    target = shop.parent / "scenario.yaml"
    with pytest.raises(ScenarioError):
        import_manifests(shop, target, force=False)
    chosen = ["mesh.ignored_kinds=[NetworkPolicy]", "network.nodes.edge-1.cores=4", "mesh.tls.min_version='1.3'"]
    made = import_manifests(shop, target, chosen, force=False)
    plain = made.text.splitlines()
    assert "    edge-1: {kind: edge, cores: 4, memory: 3 GiB}" in plain
    assert "    placement: [edge-1]  # assumed" in plain
    loaded = load_scenario(made.file)
    assert loaded.scenario.network.nodes["edge-1"].cores == 4
    assert loaded.aside == ("left aside, as mesh.ignored_kinds has it: NetworkPolicy (1)",)
    with pytest.raises(ScenarioError, match=r"--set network\.nodes\.edge-9"):
        import_manifests(shop, target, [chosen[0], "network.nodes.edge-9.cores=x"], force=True)


def test_assumptions_are_marked(shop: Path) -> None:
    """Each line that no manifest gives says so, and the sentences name the calls that were guessed."""
    made = import_manifests(shop, shop.parent / "scenario.yaml", force=False)
    lines = made.text.splitlines()
    for start in ("    placement:", "    work:", "      - {to: catalog}", "  users:"):
        found = [line for line in lines if line.startswith(start)]
        assert found
        assert all("# assumed" in line for line in found), found
    assert "front calls catalog: an environment variable of front names it" in made.assumed
    assert [flow.to for flow in load_scenario(made.file).scenario.traffic] == ["front"]


def test_policies_tell_who_calls(shop: Path) -> None:
    """A policy that lets a service account in by name is evidence of a call."""
    apps = shop / "apps.yaml"
    apps.write_text(apps.read_text().replace("http://catalog:8080/v1", "elsewhere"), encoding="utf-8")
    (shop / "policy.yaml").write_text(POLICY, encoding="utf-8")
    names = ["shop/apps.yaml", "shop/policy.yaml"]
    mesh = read_mesh(Folder(shop.parent), names, ("istio-system", False), Notes())
    (found,) = evidence(mesh.cluster, mesh.objects.manifests)
    assert (found.caller, found.callee) == ("front", "catalog")
    assert found.why == "the AuthorizationPolicy catalog allows it"


def test_nothing_is_overwritten(shop: Path) -> None:
    """A file that is there stays as it is, unless --force is given."""
    target = shop.parent / "scenario.yaml"
    target.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="is there already; expected a name that is free, or --force"):
        import_manifests(shop, target, force=False)
    assert target.read_text(encoding="utf-8") == "mine"
    with pytest.raises(UsageError, match="nowhere; expected a folder with manifests, or one of them"):
        import_manifests(shop / "nowhere", target, force=False)  # which name would be free is not the question
    import_manifests(shop, target, force=True)
    assert target.read_text(encoding="utf-8") != "mine"


def test_manifests_lie_below_the_scenario(shop: Path, tmp_path: Path) -> None:
    """A scenario reads nothing outside of its folder: import says where it can be written."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(UsageError, match=r"does not lie below .*elsewhere.* expected --out .*scenario\.yaml"):
        import_manifests(shop, elsewhere / "scenario.yaml", force=False)
    with pytest.raises(UsageError, match="there is no "):
        import_manifests(tmp_path / "nothing", tmp_path / "scenario.yaml", force=False)


def test_mistakes_are_told_and_nothing_is_written(shop: Path) -> None:
    """Every mistake in the manifests is told at its place; a folder without services is one too."""
    rules = shop / "rules.yaml"
    rules.write_text(rules.read_text().replace("timeout: 1.5s", "timeout: soon").replace("v2/}", "v2/, x: 1}"))
    target = shop.parent / "scenario.yaml"
    with pytest.raises(ScenarioError) as caught:
        import_manifests(shop, target, force=False)
    assert [(one.line, one.column) for one in caught.value.diagnostics] == [(34, 28), (36, 16)]
    assert not target.exists()
    (shop / "apps.yaml").unlink()
    rules.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match="no Service with a Deployment"):
        import_manifests(shop, target, force=False)


def test_circles_are_not_guessed(shop: Path) -> None:
    """Evidence that would close a circle of calls is passed over."""
    apps = shop / "apps.yaml"
    text = apps.read_text(encoding="utf-8")
    text = text.replace(
        "containers: [{name: catalog, image: example.org/catalog:1}]",
        'containers: [{name: catalog, image: a, env: [{name: A, value: "front.shop.svc.cluster.local:80"}]}]',
    )
    apps.write_text(text, encoding="utf-8")
    made = import_manifests(shop, shop.parent / "scenario.yaml", force=False)
    assert [text for text in made.assumed if " calls " in text and ":" in text] == [
        "front calls catalog: an environment variable of front names it"
    ]


def test_a_version_may_call_more_than_the_others(shop: Path) -> None:
    """What the environment of one Deployment names, by its whole name in DNS alone, is its version's."""
    apps = shop / "apps.yaml"
    text = apps.read_text(encoding="utf-8").replace("http://catalog:8080/v1", "elsewhere")
    text = text.replace(
        "containers: [{name: catalog, image: example.org/catalog:2}]",
        "containers: [{name: catalog, image: a, env: [{name: A, value: front.shop.svc.cluster.local}]}]",
    )
    apps.write_text(text, encoding="utf-8")
    made = import_manifests(shop, shop.parent / "scenario.yaml", force=False)
    scenario = load_scenario(made.file).scenario
    catalog = scenario.services["catalog"]
    assert catalog.calls == ()
    assert catalog.versions["v1"].calls is None
    assert [call.to for call in catalog.versions["v2"].calls or () if isinstance(call, Call)] == ["front"]
    assert "catalog v2 calls front: an environment variable of catalog-v2 names it" in made.assumed
