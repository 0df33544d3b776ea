"""Several Services over the same pods: one of them takes part."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from meshsim.inquiry.subject import subject_of_manifests
from meshsim.scenario.loader import load_scenario, load_text
from meshsim.scenario.manifests.starter import import_manifests
from tests.scenario.test_manifests import DATA, SHOP, home, told

HEADLESS = """\
apiVersion: v1
kind: Service
metadata: {name: front-pods, namespace: shop}
spec:
  clusterIP: None
  selector: {app: front}
  ports: [{port: 9090, name: tcp-metrics}]
---
apiVersion: v1
kind: Service
metadata: {name: a-catalog-v1, namespace: shop}
spec:
  selector: {app: catalog, version: v1}
  ports: [{port: 8080, name: grpc}]
"""
"""A headless Service beside the shop's, and one for a part of the pods of another."""


def test_one_of_several_services_takes_part(tmp_path: Path) -> None:
    """What is there for nobody changes nothing of a scenario, and is told as other services that nothing calls."""
    plain, beside = load_text(SHOP, home(tmp_path)), load_text(SHOP, home(tmp_path, more=HEADLESS))
    assert beside.resolved == plain.resolved
    (note,) = (one for one in beside.notes if one not in plain.notes)
    assert note.endswith("nothing calls and the scenario does not name: front-pods, a-catalog-v1")


def test_the_other_one_can_take_part_in_its_place(tmp_path: Path) -> None:
    """A scenario that calls the headless one has its ports and the same pods, and its callers choose at random."""
    scenario = SHOP.replace("to: front", "to: front-pods").replace("  front:", "  front-pods:")
    loaded = load_text(scenario, home(tmp_path, more=HEADLESS))
    services = loaded.scenario.services
    assert "front" not in services
    assert services["front-pods"].protocols == {9090: "tcp"}
    balancing = loaded.scenario.mesh.destinations["front-pods"].load_balancing
    assert balancing is not None
    assert balancing.policy == "random"


@pytest.mark.parametrize(
    ("name", "line", "pods", "other"),
    [
        ("front-pods", 1, "front", "front has (shop/apps.yaml:7)"),
        ("a-catalog-v1", 9, "catalog-v1", "catalog has (shop/apps.yaml:38)"),
    ],
)
def test_two_that_take_part_are_a_mistake(tmp_path: Path, name: str, line: int, pods: str, other: str) -> None:
    """Pods are there once: it is said which two Services select them, and where both stand."""
    flow = "  - {from: users, to: front, slice: web, arrivals: {poisson: 50 /s}}\n"
    more = flow.replace("{from", "{name: more, from").replace("to: front", f"to: {name}")
    assert flow in SHOP
    said = told(home(tmp_path, more=HEADLESS), SHOP.replace(flow, flow + more))
    wanted = f"shop/zz.yaml:{line}:1: {name} selects the pods of {pods}, which the Service {other}, and both take part"
    assert any(one.startswith(f"{wanted}; expected one of them") for one in said), said


def test_an_import_takes_the_one_that_stands_for_others(tmp_path: Path) -> None:
    """That with the most pods, of like ones that with an address; what names another calls it, and that is told."""
    shop = tmp_path / "shop"
    shutil.copytree(DATA / "shop", shop)
    apps = shop / "apps.yaml"
    env = '{name: CATALOG, value: "http://catalog:8080/v1"}'
    more = '{name: CATALOG, value: "http://a-catalog-v1:8080/v1"}, {name: PEERS, value: "front-pods:9090"}'
    apps.write_text(apps.read_text(encoding="utf-8").replace(env, more), encoding="utf-8")
    (shop / "aa.yaml").write_text(HEADLESS, encoding="utf-8")
    made = import_manifests(shop, tmp_path / "scenario.yaml", force=False)
    assert made.services == ("front", "catalog")
    calls = load_scenario(made.file).scenario.services["front"].calls
    assert [call.to for call in calls] == ["catalog"]  # type: ignore[union-attr]  # each is a call
    told_of = [one for one in made.assumed if "stands for it" in one]
    assert [one.partition(":")[0] for one in told_of] == [
        "the Service front-pods selects pods of front, which stands for it",
        "the Service a-catalog-v1 selects pods of catalog, which stands for it",
    ]
    assert [one.service for one in subject_of_manifests(shop).callees] == ["front", "catalog"]


def test_pods_that_only_the_other_one_has_are_told(tmp_path: Path) -> None:
    """Where two Services overlap, the pods that nobody else selects are left out with the Service, by name."""
    shop = tmp_path / "shop"
    shutil.copytree(DATA / "shop", shop)
    pods = OTHER.partition("---\n")[2].partition("---\n")[2]
    both = pods.replace("name: other", "name: both").replace("{app: other}", "{app: other, part: more}")
    third = pods.replace("other", "third").replace("{app: third}", "{app: third, part: more}")
    few = OTHER.partition("---\n")[2].partition("---\n")[0]
    more = few.replace("name: other", "name: more").replace("app: other", "part: more")
    (shop / "zz.yaml").write_text("---\n".join((few, more, pods, both, third)), encoding="utf-8")
    made = import_manifests(shop, tmp_path / "scenario.yaml", force=False)
    assert made.services == ("front", "catalog", "other")
    (said,) = (one for one in made.assumed if "stands for it" in one)
    assert said.startswith("the Service more selects pods of other, which stands for it")
    assert said.endswith("; the pods of third, which it has besides, are left out")


def test_all_pods_take_part_where_a_service_without_its_own_does_not(tmp_path: Path) -> None:
    """A policy that no pod's labels match is a mistake as ever: nothing is left out that it could be for."""
    policy = """\
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nobody, namespace: shop}
spec: {selector: {matchLabels: {app: nothing}}, rules: [{}]}
"""
    strict = load_text(SHOP, home(tmp_path, more=HEADLESS + policy)).scenario.mesh.policy
    assert strict is not None
    assert strict.istio is None or strict.istio.unmatched == "error"
    other = HEADLESS + OTHER + policy
    lax = load_text(SHOP, home(tmp_path, more=other)).scenario.mesh.policy
    assert lax is not None
    assert lax.istio is not None
    assert lax.istio.unmatched == "ignore"


OTHER = """\
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop}
spec: {selector: {app: other}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: other, namespace: shop}
spec:
  selector: {matchLabels: {app: other}}
  template: {metadata: {labels: {app: other}}, spec: {containers: [{name: main, image: x}]}}
"""
"""A service that nothing calls, with pods of its own."""
EDGE = """\
apiVersion: v1
kind: Service
metadata: {name: a-edge-pods, namespace: shop}
spec: {clusterIP: None, selector: {app: edge}, ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: shop}
spec: {selector: {app: edge}, ports: [{port: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: shop}
spec: {selector: {app: edge}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
"""


def test_a_gateway_is_the_service_that_stands_for_its_pods(tmp_path: Path) -> None:
    """Of the Services over a gateway's pods that with an address is its own, whichever stands first."""
    shop = tmp_path / "shop"
    shutil.copytree(DATA / "shop", shop)
    pods = OTHER.partition("---\n")[2].partition("---\n")[2].replace("other", "edge")
    (shop / "aa.yaml").write_text(f"{EDGE}---\n{pods}", encoding="utf-8")
    made = import_manifests(shop, tmp_path / "scenario.yaml", force=False)
    services = load_scenario(made.file).scenario.services
    assert services["edge"].gateways == ("shop/edge",)
    assert "a-edge-pods" not in services
