"""Which DestinationRule holds for whom: that of the caller's namespace, of the service's, of the root namespace."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.inquiry.ask import ask
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import subject_of_manifests
from meshsim.scenario.loader import load_text
from tests.inquiry.test_manifests import STRICT, WORKLOAD
from tests.world.conftest import Result

DEV = WORKLOAD.replace("shop", "shop-dev")
RULE = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{host: "{host}", trafficPolicy: {{tls: {{mode: {mode}}}}}{export}}}
"""
BACK = "back.shop.svc.cluster.local"
ALL = "*.shop.svc.cluster.local"


def rules(*said: tuple[str, ...]) -> str:
    """DestinationRules: namespace, host, and what is exported; the odd ones speak plaintext."""
    texts = []
    for number, (namespace, host, mode, *export) in enumerate(said):
        more = f", exportTo: [{export[0]}]" if export else ""
        texts.append(RULE.format(name=f"r{number}", namespace=namespace, host=host, mode=mode, export=more))
    return "---\n".join(texts)


def write(folder: Path, text: str) -> Path:
    """The workloads front and back in shop, front in shop-dev too, where listeners of shop take mutual TLS only."""
    parts = [WORKLOAD.format(name="front"), WORKLOAD.format(name="back"), DEV.format(name="front"), STRICT, text]
    folder.mkdir(exist_ok=True)
    (folder / "all.yaml").write_text("---\n".join(parts), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (rules(("shop-dev", BACK, "DISABLE")), {"shop-dev/front"}),
        (rules(("shop", "back", "DISABLE")), {"shop/front", "shop-dev/front"}),
        (rules(("shop", "back", "DISABLE", '"."')), {"shop/front"}),
        (rules(("shop", "back", "DISABLE", "shop-dev")), {"shop/front", "shop-dev/front"}),
        (rules(("shop", "back", "DISABLE", "elsewhere")), {"shop/front"}),
        (rules(("istio-system", BACK, "DISABLE")), {"shop/front", "shop-dev/front"}),
        (rules(("istio-system", BACK, "DISABLE", '"."')), set()),
        (rules(("istio-system", BACK, "DISABLE"), ("shop", "back", "ISTIO_MUTUAL")), set()),
        (rules(("istio-system", BACK, "DISABLE"), ("shop", "back", "ISTIO_MUTUAL", '"."')), {"shop-dev/front"}),
        (rules(("shop-dev", BACK, "DISABLE"), ("shop", "back", "ISTIO_MUTUAL")), {"shop-dev/front"}),
        (rules(("shop-dev", ALL, "DISABLE"), ("shop", "back", "ISTIO_MUTUAL")), {"shop-dev/front"}),
        (rules(("shop", ALL, "DISABLE"), ("shop", "back", "ISTIO_MUTUAL")), set()),
        (rules(("shop", "back", "DISABLE", '"."'), ("shop", ALL, "ISTIO_MUTUAL")), {"shop/front"}),
        (rules(("elsewhere", BACK, "DISABLE")), set()),
    ],
)
def test_whose_rule_holds(tmp_path: Path, text: str, refused: set[str]) -> None:
    """Istio's order of looking a rule up (istio.io, traffic management, cross-namespace configuration)."""
    subject = subject_of_manifests(write(tmp_path / "shop", text))
    found = {
        source
        for source in ("shop/front", "shop-dev/front")
        if not ask(subject, Request(source=source, destination="back")).decision.allowed
    }
    assert found == refused


RUN = """\
scenario: callers
duration: 1 s
network:
  nodes: {edge: {kind: edge}}
  slices: {web: {sst: 1, five_qi: 9}}
services:
  front-shop: {placement: [edge], work: {constant: 1 ms}, calls: [{to: back}]}
  front-shop-dev: {placement: [edge], work: {constant: 1 ms}, calls: [{to: back}]}
  back: {placement: [edge], work: {constant: 1 ms}}
fleets: {users: {node: edge}}
traffic:
  - {name: one, from: users, to: front-shop, slice: web, arrivals: {constant: 10 /s}}
  - {name: two, from: users, to: front-shop-dev, slice: web, arrivals: {constant: 10 /s}}
mesh: {manifests: [shop]}
"""


def outcomes(folder: Path, text: str, *settings: str) -> dict[str, set[str]]:
    """How the calls of each service to back end."""
    write(folder / "shop", text)
    result = Result(load_text(RUN, folder / "s.yaml", ["fidelity=real", "mesh.tls.mode=PERMISSIVE", *settings]))
    found: dict[str, set[str]] = {}
    for row in result.calls:
        if row.destination == "back":
            found.setdefault(row.source, set()).add(row.outcome)
    return found


def test_a_run_goes_by_the_same(tmp_path: Path) -> None:
    """Callers in the namespace of the rule speak plaintext and are turned away; the others are answered."""
    found = outcomes(tmp_path, rules(("shop-dev", BACK, "DISABLE")))
    assert found["front-shop"] == {"ok"}
    assert "ok" not in found["front-shop-dev"]


def test_a_subset_that_callers_know_nothing_of(tmp_path: Path) -> None:
    """A route to a subset of another namespace's rule leads nowhere, as a cluster that Envoy does not have."""
    subset = rules(("shop", "back", "ISTIO_MUTUAL", '"."')).replace(
        "}}, exportTo", "}}, subsets: [{name: v1, labels: {version: v1}}], exportTo"
    )
    route = """\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: back, namespace: shop}
spec:
  hosts: [back.shop.svc.cluster.local]
  http: [{route: [{destination: {host: back, subset: v1}}]}]
"""
    found = outcomes(tmp_path, subset + route)
    assert found["front-shop"] == {"ok"}
    assert found["front-shop-dev"] == {"unreachable"}
