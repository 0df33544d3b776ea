"""Gateways in manifests: a workload with an identity of its own, whose calls VirtualServices route."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.inquiry.ask import ask
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import subject_of_manifests
from meshsim.inquiry.ways import survey
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import LoadedScenario, load_scenario, load_text
from meshsim.scenario.manifests.gateways import hosts_of
from meshsim.scenario.manifests.starter import import_manifests, load_manifests
from tests.scenario.test_manifests import SHOP, home, told
from tests.world.conftest import Result

GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: door, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 8080, name: http, protocol: HTTP}
      hosts: ["*"]
"""
ROUTES = """\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: door, namespace: shop}
spec:
  hosts: ["*"]
  gateways: [door]
  http:
    - match: [{uri: {exact: /welcome}}, {uri: {prefix: /static}}]
      route: [{destination: {host: front, port: {number: 80}}}]
"""
POLICY = """\
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: front, namespace: shop}
spec:
  selector: {matchLabels: {app: front}}
  rules:
    - from: [{source: {principals: [cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account]}}]
      to: [{operation: {methods: [GET]}}]
"""


def test_istios_own_gateway_needs_no_manifest_of_its_own(tmp_path: Path) -> None:
    """A Gateway with its labels is a workload in istio-system, with its service account, that takes plaintext."""
    home(tmp_path, more=GATEWAY + ROUTES + POLICY)
    subject = subject_of_manifests(tmp_path / "shop")
    (gateway,) = (one for one in subject.callers if one.name == "istio-ingressgateway")
    assert gateway.spiffe_id == "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account"
    (callee,) = (one for one in subject.callees if one.name == "istio-ingressgateway")
    assert set(callee.modes.values()) == {"DISABLE"}
    asked = [ask(subject, Request(source=one, destination="front")) for one in ("istio-ingressgateway", "catalog")]
    assert [one.decision.allowed for one in asked] == [True, False]
    assert asked[0].decision.rule == "ns[shop]-policy[front]-rule[0]"


def test_an_import_lets_users_in_by_the_gateway(tmp_path: Path) -> None:
    """Users call the gateway with a path of its routes; it calls the service with its own identity and is let in."""
    home(tmp_path, more=GATEWAY + ROUTES + POLICY)
    made = import_manifests(tmp_path / "shop", tmp_path / "s.yaml", force=False, survey=survey)
    loaded = load_scenario(made.file, ["duration=1 s"])
    flows = {flow.to: flow.path for flow in loaded.scenario.traffic}
    assert flows == {"istio-ingressgateway": "/welcome"}
    result = Result(loaded)
    called = {(row.source, row.destination, row.path) for row in result.calls if row.source != "users"}
    assert ("istio-ingressgateway", "front", "/welcome") in called
    decided = {(row.source, row.allowed) for row in result.decisions if row.destination == "front"}
    assert decided == {("istio-ingressgateway", True)}


def test_a_request_to_a_gateway_goes_on_to_one_service(tmp_path: Path) -> None:
    """Two routes of a gateway make two calls of which it makes exactly one for each request, both equally often."""
    two = ROUTES + "    - match: [{uri: {prefix: /list}}]\n      route: [{destination: {host: catalog}}]\n"
    home(tmp_path, more=GATEWAY + two)
    made = import_manifests(tmp_path / "shop", tmp_path / "s.yaml", force=False, survey=survey)
    result = Result(load_scenario(made.file, ["duration=20 s", "services.front.calls=[]"]))
    onward = [row for row in result.calls if row.source == "istio-ingressgateway"]
    assert len({row.request_id for row in onward}) == len(onward) == len(result.requests) > 300
    share = sum(row.destination == "front" for row in onward) / len(onward)
    assert abs(share - 0.5) < 0.12
    assert {row.outcome for row in result.requests} == {"ok"}


@pytest.mark.parametrize(
    ("hosts", "named"),
    [
        ("[other.example.com, shop.example.com]", "shop.example.com"),
        ('["*"]', "shop.example.com"),
        ('["*.example.com"]', "www.example.com"),
    ],
)
def test_an_import_takes_the_authority_of_a_virtual_service(tmp_path: Path, hosts: str, named: str) -> None:
    """Users name a host of the VirtualService, the one that policies behind the gateway let in, and it is handed on."""
    routes = ROUTES.replace('hosts: ["*"]', f"hosts: {hosts}")
    home(tmp_path, more=GATEWAY + routes + POLICY.replace("methods: [GET]", f"hosts: [{named}]"))
    made = import_manifests(tmp_path / "shop", tmp_path / "s.yaml", force=False, survey=survey)
    assert "let through" not in made.text
    result = Result(load_scenario(made.file, ["duration=1 s"]))
    calls = result.loaded.scenario.services["istio-ingressgateway"].calls
    assert [getattr(one, "authority", None) for one in calls] == [named]
    assert {flow.authority for flow in result.loaded.scenario.traffic} == {named}
    decided = {(row.source, row.allowed) for row in result.decisions if row.destination == "front"}
    assert decided == {("istio-ingressgateway", True)}


@pytest.mark.parametrize("match", ["{uri: {prefix: static}}", "{uri: {exact: '/a b'}}"])
def test_an_import_takes_no_path_that_no_request_has(tmp_path: Path, match: str) -> None:
    """A match that nothing can fulfil, which Istio lets pass, is left to the next one."""
    home(tmp_path, more=GATEWAY + ROUTES.replace("{uri: {exact: /welcome}}", match) + POLICY)
    made = import_manifests(tmp_path / "shop", tmp_path / "s.yaml", force=False, survey=survey)
    assert {flow.path for flow in load_scenario(made.file).scenario.traffic} == {"/static"}


def _called_by(tmp_path: Path, routes: str, path: str) -> LoadedScenario:
    """A scenario whose users call the gateway, which calls the service ``front``."""
    calls = f"[{{to: front, path: {path}}}]"
    own = f"  istio-ingressgateway: {{placement: [edge], work: {{constant: 1 ms}}, calls: {calls}}}\n"
    text = SHOP.replace("  front:\n", f"{own}  front:\n", 1).replace("to: front, s", "to: istio-ingressgateway, s")
    return load_text(text, home(tmp_path, more=GATEWAY + routes), ["duration=1 s"])


def _answers(tmp_path: Path, routes: str, path: str) -> set[int]:
    """What the gateway's calls of the service ``front`` are answered with."""
    calls = Result(_called_by(tmp_path, routes, path)).calls
    return {row.status for row in calls if row.source == "istio-ingressgateway" and row.outcome != "failed"}


def test_hosts_choose_between_virtual_services_of_a_gateway(tmp_path: Path) -> None:
    """Two that lead to one service each route their own hosts, the most exact one alone, as Envoy's virtual hosts."""
    one = ROUTES.replace('["*"]', "[shop.example.com, a.example.org]")
    other = ROUTES.replace("name: door, n", "name: other, n").replace('["*"]', '["*.example.com"]')
    other = other.replace("/welcome}}, {uri: {prefix: /static", "/offers}}, {uri: {exact: /both")
    told = {
        ("shop.example.com", "/welcome"): 200,
        ("a.example.org", "/welcome"): 200,
        ("shop.example.com", "/offers"): 404,  # its host is the first one's, though the other's wildcard holds too
        ("www.example.com", "/offers"): 200,
        ("www.example.com", "/welcome"): 404,
        ("example.com", "/offers"): 404,
        ("b.example.org", "/offers"): 404,
        (None, "/offers"): 200,
        (None, "/welcome"): 200,
        (None, "/nowhere"): 404,
    }
    for (authority, path), status in told.items():
        sent = path if authority is None else f"{path}, authority: {authority}"
        assert _answers(tmp_path, one + other, sent) == {status}, (authority, path)
    whole = one + other.replace('["*.example.com"]', '["*"]')
    for authority, path, status in (("b.example.org", "/offers", 200), ("shop.example.com", "/offers", 404)):
        assert _answers(tmp_path, whole, f"{path}, authority: {authority}") == {status}, (authority, path)


def test_routes_of_a_gateway_are_for_its_calls_alone(tmp_path: Path) -> None:
    """Its other calls are answered with 404, as a gateway answers them; those of others go on as before."""
    loaded = _called_by(tmp_path, ROUTES, "/welcome")
    routes = [route for route in loaded.scenario.mesh.routes if route.to == "front"]
    assert [one.match[0].source_labels.get("istio") for one in routes[:2]] == ["ingressgateway", "ingressgateway"]
    assert [(one.match, one.split[0].to) for one in routes[2:]] == [((), "front")]
    for path, answers in (("/welcome", {200}), ("/static/a", {200}), ("/welcomes", {404})):
        assert _answers(tmp_path, ROUTES, path) == answers, path


def test_a_match_for_other_labels_is_none_of_a_gateway(tmp_path: Path) -> None:
    """Labels of callers in a route hold for a gateway as they hold for others: it has to have them."""
    for labels, answers in (("{istio: other}", {404}), ("{istio: ingressgateway}", {200}), ("{more: x}", {404})):
        routes = ROUTES.replace("{uri: {exact: /welcome}}", f"{{uri: {{exact: /welcome}}, sourceLabels: {labels}}}")
        assert _answers(tmp_path, routes, "/welcome") == answers, labels
    alone = ROUTES.replace("[{uri: {exact: /welcome}}, {uri: {prefix: /static}}]", "[{sourceLabels: {istio: other}}]")
    left = _called_by(tmp_path, alone, "/").scenario.mesh.routes
    assert not any(route.split for route in left if route.match and route.to == "front")


def test_a_gateway_that_does_not_take_part_is_left_out(tmp_path: Path) -> None:
    """A scenario that neither names nor calls it has neither the workload nor its routes."""
    plain, more = load_text(SHOP, home(tmp_path)), load_text(SHOP, home(tmp_path, more=GATEWAY + ROUTES))
    assert more.resolved == plain.resolved
    assert any("istio-ingressgateway" in note for note in more.notes)


def test_pods_of_the_manifests_can_be_the_gateway(tmp_path: Path) -> None:
    """Labels of a Deployment's pods choose that workload, with its own service account."""
    home(tmp_path, more=GATEWAY.replace("{istio: ingressgateway}", "{app: front}"))
    subject = subject_of_manifests(tmp_path / "shop")
    assert not any(one.name == "istio-ingressgateway" for one in subject.callers)
    (front,) = (one for one in subject.callees if one.name == "front")
    assert set(front.modes.values()) == {"DISABLE"}


@pytest.mark.parametrize(
    ("replace", "by", "said"),
    [
        (
            "{istio: ingressgateway}",
            "{istio: door}",
            "no pods of a Service have istio=door; expected labels",
        ),
        ("  selector: {istio: ingressgateway}\n", "", "the Gateway selects no pods; expected labels"),
        ("protocol: HTTP}", "protocol: MONGO}", "'protocol' is 'MONGO', which is not known"),
        ("gateways: [door]", "gateways: [dor]", "there is no gateway 'dor'; expected mesh or shop/door"),
        ("gateways: [door]", "gateways: [other/door]", "there is no gateway 'other/door'; did you mean 'shop/door'?"),
        ("host: front", "host: frnt", "there is no service 'frnt'; did you mean 'front'?"),
        ('      hosts: ["*"]\n', '      hots: ["*"]\n', "unknown key 'hots'; did you mean 'hosts'?"),
        (
            "networking.istio.io/v1\nkind: Gateway",
            "gateway.networking.k8s.io/v1\nkind: Gateway",
            "Istio's own are read",
        ),
    ],
)
def test_mistakes(tmp_path: Path, replace: str, by: str, said: str) -> None:
    """Gateways and what is bound to them are checked as all else is."""
    text = GATEWAY + ROUTES
    assert replace in text
    found = told(home(tmp_path, more=text.replace(replace, by, 1)))
    assert any(said in line for line in found), found


def test_a_gateway_alone_routes_nothing(tmp_path: Path) -> None:
    """It is a workload that nothing is known to be called by; that is no mistake."""
    with pytest.raises(ScenarioError):
        load_text(SHOP, home(tmp_path, more=ROUTES))  # without the Gateway it is one
    assert load_text(SHOP, home(tmp_path, more=GATEWAY)).scenario.scenario == "shop"


def test_a_match_for_sidecars_alone_holds_at_no_gateway(tmp_path: Path) -> None:
    """What stands behind it with the same condition is for the gateway's calls alone, and unused by nobody."""
    http = """\
    - match: [{uri: {prefix: /a}, gateways: [mesh]}, {uri: {prefix: /b}, gateways: []}]
      fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
      route: [{destination: {host: front, port: {number: 80}}}]
    - match: [{uri: {prefix: /a}}, {uri: {prefix: /b}}]
      route: [{destination: {host: front, port: {number: 80}}}]
"""
    head = ROUTES.partition("    - match")[0].replace('hosts: ["*"]', "hosts: [front]")
    home(tmp_path, more=GATEWAY + head.replace("[door]", "[door, mesh]") + http)
    loaded = load_manifests(tmp_path / "shop")
    routes = [
        ([match.path.prefix for match in route.match if match.path is not None], bool(route.match[0].source_labels))
        for route in loaded.scenario.mesh.routes
        if route.to == "front" and (route.abort is None or route.abort.status == 418)
    ]
    assert routes == [(["/b"], True), (["/a"], True), (["/a", "/b"], False)]
    assert [note.partition(".yaml:")[2] for note in loaded.notes if "IST01" in note] == [
        "20:36: this match never comes into play: the same stands at "
        + f"{tmp_path}/shop/zz.yaml:17 (IST0131 of Istio)"
    ]


@pytest.mark.parametrize(
    ("hosts", "meant"),
    [(["*", "a.org"], ()), (["*.b.org", "a.org"], ("a.org", "www.b.org")), (["*b.org", "a b", 1], ()), ("a.org", ())],
)
def test_hosts_that_users_can_name(hosts: object, meant: tuple[str, ...]) -> None:
    """Whole ones come first, a wildcard stands for one of its hosts, and with a star alone any will do."""
    assert hosts_of(hosts) == meant
