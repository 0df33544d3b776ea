"""Waypoints in manifests: which services they serve, as istiod finds them, and meshes in which nobody goes by them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from meshsim.inquiry.ask import ask
from meshsim.inquiry.odd import odd_in
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import subject_of_manifests
from meshsim.scenario.call_graph import calls_of
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import LoadedScenario, load_scenario, load_text
from meshsim.scenario.manifests.starter import load_manifests
from meshsim.scenario.placed_waypoints import Ways

SHOP = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient, istio.io/use-waypoint: waypoint}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop, labels: {istio.io/waypoint-for: service}}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop, labels: {app: cart}}
spec: {selector: {app: cart}, ports: [{port: 80, name: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  template: {metadata: {labels: {app: cart}}, spec: {containers: [{name: a, image: x}]}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: carts, namespace: shop}
spec: {action: DENY, targetRefs: [{kind: Service, name: cart}], rules: [{to: [{operation: {methods: [PUT]}}]}]}
"""
ELSEWHERE = "istio.io/use-waypoint: waypoint, istio.io/use-waypoint-namespace: edge"
AMBIENT = "istio.io/dataplane-mode: ambient, "
OWN_LABEL = ("labels: {app: cart}}\nspec: {sel", "labels: {app: cart, %s}}\nspec: {sel")


def shop(folder: Path, *changes: tuple[str, str]) -> LoadedScenario:
    """The shop with some changes, loaded as manifests alone."""
    text = SHOP
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "shop").mkdir()
    (folder / "shop" / "all.yaml").write_text(text, encoding="utf-8")
    return load_manifests(folder / "shop")


def test_a_service_is_served_by_the_waypoint_of_its_namespace(tmp_path: Path) -> None:
    """The mesh is then in ambient mode, and policies that are attached to the service hold."""
    loaded = shop(tmp_path)
    assert (loaded.scenario.mesh.ambient, loaded.scenario.mesh.preset) == (True, "ztunnel")
    assert loaded.scenario.services["cart"].waypoint == "shop/waypoint"
    assert not loaded.scenario.services["cart"].waypoint_for_gateways
    assert odd_in(loaded) == ()
    subject = subject_of_manifests(tmp_path / "shop")
    answers = [ask(subject, Request(source="cart", destination="cart", method=one)) for one in ("GET", "PUT")]
    assert [one.decision.allowed for one in answers] == [True, False]


@pytest.mark.parametrize(
    ("changes", "waypoint"),
    [
        (
            [
                (", istio.io/use-waypoint: waypoint", ""),
                (OWN_LABEL[0], OWN_LABEL[1] % "istio.io/use-waypoint: waypoint"),
            ],
            True,
        ),
        ([(OWN_LABEL[0], OWN_LABEL[1] % "istio.io/use-waypoint: none")], False),
        ([(", istio.io/use-waypoint: waypoint", "")], False),
        ([("waypoint-for: service", "waypoint-for: all")], True),
        ([("istio.io/dataplane-mode: ambient, ", "")], True),  # the waypoint says that the mode is ambient
    ],
)
def test_labels(tmp_path: Path, changes: list[tuple[str, str]], waypoint: bool) -> None:
    """A service's own label comes before its namespace's, and 'none' takes it out."""
    loaded = shop(tmp_path, *changes)
    assert loaded.scenario.services["cart"].waypoint == ("shop/waypoint" if waypoint else None)
    told = odd_in(loaded)
    assert [("nothing enforces it" in one) for one in told] == ([] if waypoint else [True])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ([("metadata: {name: waypoint,", "metadata: {name: other,")], "there is no Gateway shop/waypoint of the class"),
        ([("waypoint-for: service", "waypoint-for: workload")], "the waypoint shop/waypoint is for workload alone"),
        (
            [
                ("istio.io/use-waypoint: waypoint", ELSEWHERE),
                ("metadata: {name: waypoint, namespace: shop", "metadata: {name: waypoint, namespace: edge"),
            ],
            "the waypoint edge/waypoint allows no service of that namespace (allowedRoutes)",
        ),
        ([(AMBIENT, "istio-injection: enabled, ")], "sidecars do not go through waypoints"),
    ],
)
def test_a_waypoint_that_serves_nothing_is_told(tmp_path: Path, changes: list[tuple[str, str]], why: str) -> None:
    """A label that leads nowhere leaves the service without a waypoint, and its policies hold nowhere."""
    loaded = shop(tmp_path, *changes)
    assert loaded.scenario.services["cart"].waypoint is None
    assert any(one.startswith("no waypoint serves shop/cart, though labelled: ") and why in one for one in loaded.aside)
    (told,) = odd_in(loaded)
    assert "ns[shop]-policy[carts] is attached to the service cart, which no waypoint serves" in told


@pytest.mark.parametrize(
    "allowed",
    [
        "from: All",
        "from: Selector, selector: {matchLabels: {team: a}}",
        "from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: shop}}",  # Kubernetes puts that on each
    ],
)
def test_a_waypoint_of_another_namespace(tmp_path: Path, allowed: str) -> None:
    """It serves services of the namespaces that its listener allows."""
    loaded = shop(
        tmp_path,
        ("istio.io/use-waypoint: waypoint", f"{ELSEWHERE}, team: a"),
        ("metadata: {name: waypoint, namespace: shop", "metadata: {name: waypoint, namespace: edge"),
        ("protocol: HBONE}", f"protocol: HBONE, allowedRoutes: {{namespaces: {{{allowed}}}}}}}"),
        ("{kind: Service, name: cart}", "{kind: Service, group: core, name: cart}"),
    )
    assert loaded.scenario.services["cart"].waypoint == "edge/waypoint"


@pytest.mark.parametrize(
    ("listeners", "served"),
    [
        ("{name: mesh, port: 15008, protocol: HBONE, %s}, {name: more, port: 8080, protocol: HTTP}", True),
        ("{name: more, port: 8080, protocol: HTTP, %s}, {name: mesh, port: 15008, protocol: HBONE}", False),
        ("{name: more, port: 15009, protocol: HBONE, %s}", False),
        ("{name: mesh, port: 15008, protocol: HBONE}, {name: more, port: 15008, protocol: HBONE, %s}", False),
    ],
)
def test_the_listener_to_which_ztunnels_come_says_whom_it_serves(tmp_path: Path, listeners: str, served: bool) -> None:
    """The first with HBONE on port 15008; without one it is for its own namespace (istio: makeAllowedRoutes)."""
    loaded = shop(
        tmp_path,
        ("istio.io/use-waypoint: waypoint", ELSEWHERE),
        ("metadata: {name: waypoint, namespace: shop", "metadata: {name: waypoint, namespace: edge"),
        ("{name: mesh, port: 15008, protocol: HBONE}", listeners % "allowedRoutes: {namespaces: {from: All}}"),
    )
    assert loaded.scenario.services["cart"].waypoint == ("edge/waypoint" if served else None)


def test_the_service_of_a_waypoint_goes_by_none(tmp_path: Path) -> None:
    """Istiod labels it; the label of its namespace is not for it (istio: fetchWaypointForService)."""
    loaded = shop(tmp_path, (OWN_LABEL[0], OWN_LABEL[1] % "gateway.istio.io/managed: istio.io-mesh-controller"))
    assert loaded.scenario.services["cart"].waypoint is None
    assert loaded.aside == ()


def test_gateways_by_the_waypoint(tmp_path: Path) -> None:
    """The label istio.io/ingress-use-waypoint has gateways go through the waypoint too."""
    loaded = shop(tmp_path, (OWN_LABEL[0], OWN_LABEL[1] % 'istio.io/ingress-use-waypoint: "true"'))
    assert loaded.scenario.services["cart"].waypoint_for_gateways


@pytest.mark.parametrize(
    ("reference", "called"),
    [
        ("{kind: Service, name: cart}", True),
        ("{kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}", True),
        ("{kind: Service, name: front}", False),
    ],
)
def test_an_import_finds_calls_in_attached_policies(tmp_path: Path, reference: str, called: bool) -> None:
    """A policy that lets a service account in at a waypoint says who calls what the waypoint serves."""
    front = SHOP[SHOP.index("apiVersion: v1\nkind: Service\n") : SHOP.index("apiVersion: security")]
    front = front.replace("cart", "front").replace("spec: {containers", "spec: {serviceAccountName: front, containers")
    account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: front, namespace: shop}\n"
    rules = "rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/front]}}]}]"
    allowed = SHOP[SHOP.index("apiVersion: security") :]
    allowed = allowed.replace("action: DENY", "action: ALLOW").replace("{kind: Service, name: cart}", reference)
    allowed = f"{allowed[: allowed.index('rules:')]}{rules}}}\n"
    before = SHOP[: SHOP.index("apiVersion: security")]
    text = f"{before}{front}{account}---\n{allowed}"
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "all.yaml").write_text(text, encoding="utf-8")
    scenario = load_manifests(tmp_path / "shop").scenario
    assert [call.to for _, call in calls_of(scenario, "front")] == (["cart"] if called else [])
    assert [call.to for _, call in calls_of(scenario, "cart")] == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("HBONE}", "HBONE, allowedRoutes: {namespaces: {from: Everywhere}}}", "'from' is 'Everywhere', which is not"),
        ("HBONE}", "HBONE, allowedRoutes: {namespaces: {from: Selector}}}", "no namespace is selected; expected 'sel"),
        ("gatewayClassName: istio-waypoint", "gatewayClassName: istio", "Istio's own are read"),
        ("listeners: [", "listenrs: [", "unknown key 'listenrs'; did you mean 'listeners'?"),
        (
            "{istio.io/dataplane-mode: ambient",
            "{istio-injection: enabled, istio.io/dataplane-mode: ambient",
            "expected one of the two labels",
        ),
    ],
)
def test_mistakes(tmp_path: Path, old: str, new: str, said: str) -> None:
    """What cannot be meant is an error at its place."""
    with pytest.raises(ScenarioError) as caught:
        shop(tmp_path, (old, new))
    assert any(said in one.message for one in caught.value.diagnostics)


SCENARIO = """\
scenario: s
duration: 1 s
network: {nodes: {e: {kind: edge}}, slices: {d: {sst: 1, five_qi: 9}}}
services: {cart: {placement: [e], work: {constant: 1 ms}}}
fleets: {u: {node: e}}
mesh: {manifests: [shop]}
traffic: [{from: u, to: cart, slice: d, arrivals: {poisson: 1 /s}}]
"""


def test_a_scenario_may_say_whether_its_mesh_is_ambient(tmp_path: Path) -> None:
    """What it says holds over what manifests do, and without it a waypoint alone makes a mesh ambient."""
    shop(tmp_path, (AMBIENT, ""))
    found = {}
    for settings in ((), ("mesh.ambient=true",), ("mesh.ambient=false",)):
        scenario = load_text(SCENARIO, tmp_path / "s.yaml", settings).scenario
        found[settings] = (scenario.mesh.ambient, scenario.mesh.preset, scenario.services["cart"].waypoint)
    assert list(found.values()) == [*[(True, "ztunnel", "shop/waypoint")] * 2, (False, "istio", None)]


def test_a_scenario_may_have_manifests_with_sidecars_in_ambient_mode(tmp_path: Path) -> None:
    """A namespace with sidecars injected is none in a mesh that is said to be ambient, and its waypoints serve."""
    shop(tmp_path, (AMBIENT, "istio-injection: enabled, "))
    loaded = load_text(SCENARIO, tmp_path / "s.yaml", ["mesh.ambient=true"])
    assert loaded.scenario.services["cart"].waypoint == "shop/waypoint"
    assert loaded.aside == ()


CLASSIC = """\
---
apiVersion: v1
kind: Namespace
metadata: {name: old, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: till, namespace: old}
spec: {selector: {app: till}, ports: [{port: 80, name: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: till, namespace: old}
spec:
  selector: {matchLabels: {app: till}}
  template: {metadata: {labels: {app: till}}, spec: {containers: [{name: a, image: x}]}}
"""


def mixed(folder: Path, *changes: tuple[str, str], overrides: Sequence[str] = ()) -> dict[str, tuple[str | None, ...]]:
    """The dataplane and waypoint of each service of a mesh of both kinds, with changes to its manifests."""
    text = SHOP + CLASSIC
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "shop").mkdir()
    (folder / "shop" / "all.yaml").write_text(text, encoding="utf-8")
    more = "till: {placement: [e], work: {constant: 1 ms}}"
    scenario = SCENARIO.replace("constant: 1 ms}}}", "constant: 1 ms}}, " + more + "}").replace(
        "traffic: [", "traffic: [{name: t, from: u, to: till, slice: d, arrivals: {poisson: 1 /s}}, "
    )
    found = load_text(scenario, folder / "s.yaml", overrides).scenario
    ways = Ways(found)
    assert ways.proxy_of("till") != ways.proxy_of("cart")
    return {
        "mesh": (str(found.mesh.ambient), found.mesh.preset),
        **{name: (one.dataplane, one.waypoint) for name, one in found.services.items()},
    }


TILL = "labels: {app: till}}, spec"


@pytest.mark.parametrize(
    ("changes", "overrides", "expected"),
    [
        ([], [], {"mesh": ("False", "istio"), "cart": ("ambient", "shop/waypoint"), "till": (None, None)}),
        (
            [],
            ["mesh.ambient=true"],
            {"mesh": ("True", "ztunnel"), "cart": (None, "shop/waypoint"), "till": ("sidecar", None)},
        ),
        (  # a revision of the control plane injects
            [
                ("{istio-injection: enabled}", "{istio.io/rev: stable}"),
                ("dataplane-mode: ambient", "rev: stable, istio.io/dataplane-mode: ambient"),
            ],
            [],
            {"mesh": ("False", "istio"), "cart": ("ambient", "shop/waypoint"), "till": (None, None)},
        ),
        (  # pods say it for themselves
            [
                ("{istio-injection: enabled}", "{}"),
                (TILL, 'labels: {app: till, sidecar.istio.io/inject: "true"}}, spec'),
            ],
            ["mesh.preset=ztunnel"],
            {"mesh": ("True", "ztunnel"), "cart": (None, "shop/waypoint"), "till": ("sidecar", None)},
        ),
        (
            [
                ("istio.io/dataplane-mode: ambient, ", "istio-injection: enabled, "),
                (
                    TILL,
                    'labels: {app: till, sidecar.istio.io/inject: "false", istio.io/dataplane-mode: ambient}}, spec',
                ),
            ],
            [],
            {"mesh": ("False", "istio"), "cart": (None, None), "till": ("ambient", None)},
        ),
    ],
)
def test_labels_tell_who_has_a_sidecar(
    tmp_path: Path, changes: list[tuple[str, str]], overrides: list[str], expected: dict[str, tuple[str | None, ...]]
) -> None:
    """In a mesh of both kinds each service is as its pods are, by their own labels or their namespace's."""
    assert mixed(tmp_path, *changes, overrides=overrides) == expected


def test_pods_of_one_service_are_of_one_kind(tmp_path: Path) -> None:
    """A Service whose pods are of both kinds is an error."""
    second = (
        CLASSIC[CLASSIC.rindex("---") :]
        .replace("name: till,", "name: till-2,")
        .replace(TILL, 'labels: {app: till, sidecar.istio.io/inject: "false", istio.io/dataplane-mode: ambient}}, spec')
    )
    with pytest.raises(ScenarioError, match="pods of till have sidecars and others are in ambient mode"):
        mixed(tmp_path, (CLASSIC, CLASSIC + second))


def test_ambient_pods_in_a_mesh_that_is_said_to_have_sidecars(tmp_path: Path) -> None:
    """What the scenario says and all labels contradict is an error at the labels."""
    shop(tmp_path)
    with pytest.raises(ScenarioError, match="the scenario says that the mesh has sidecars"):
        load_text(SCENARIO, tmp_path / "s.yaml", ["mesh.ambient=false"])


def test_a_waypoint_of_manifests_may_have_a_place(tmp_path: Path) -> None:
    """The scenario says where it runs, by the name that its Gateway has."""
    shop(tmp_path)
    place = "mesh.waypoints={shop/waypoint: {replicas: {e: 1}}}"
    scenario = load_text(SCENARIO, tmp_path / "s.yaml", [place]).scenario
    assert Ways(scenario).through("u", "cart") == "waypoint"


def test_a_waypoint_needs_ambient_mode(tmp_path: Path) -> None:
    """A scenario that gives a service of a mesh of sidecars a waypoint is told so."""
    shop(tmp_path)
    path = tmp_path / "s.yaml"
    path.write_text(
        "scenario: s\nduration: 1 s\nnetwork: {nodes: {e: {kind: edge}}, slices: {d: {sst: 1, five_qi: 9}}}\n"
        "services: {cart: {replicas: {e: 1}, work: {constant: 1 ms}, waypoint: w}}\nfleets: {u: {node: e}}\n"
        "traffic: [{from: u, to: cart, slice: d, arrivals: {poisson: 1 /s}}]\n",
        encoding="utf-8",
    )
    with pytest.raises(ScenarioError, match=r"sidecars do not go through waypoints; expected mesh\.ambient: true"):
        load_scenario(path)
    assert load_scenario(path, ["mesh.preset=ztunnel"]).scenario.mesh.ambient
