"""Workloads with sidecars beside workloads in ambient mode: who enforces what, and who goes by which way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshsim.inquiry.ask import MUTUAL_TLS, ask
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import subject_of_scenario
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_text
from meshsim.scenario.token_reasons import UNKNOWN_ISSUER, WRONG_AUDIENCE
from tests.world.conftest import Result

SCENARIO = """\
scenario: mixed
duration: 2 s
network:
  nodes: {desk: {kind: edge}, shop: {kind: edge}}
  links: [{between: [desk, shop], latency: 1 ms}]
  slices: {web: {sst: 1, five_qi: 9}}
services:
  old: {namespace: shop, replicas: {shop: 1}, work: {constant: 1 ms}, labels: {app: cart}, dataplane: sidecar}
  new: {namespace: shop, replicas: {shop: 1}, work: {constant: 1 ms}, labels: {app: cart}, waypoint: gate}
fleets:
  modern: {node: desk}
  classic: {node: desk, dataplane: sidecar}
mesh:
  ambient: true
  waypoints: {shop/gate: {replicas: {shop: 1}}}
  policy: {engine: istio, files: [shop.yaml], default: allow}
traffic:
  - {name: modern-old, from: modern, to: old, slice: web, arrivals: {constant: 10 /s}}
  - {name: modern-new, from: modern, to: new, slice: web, arrivals: {constant: 10 /s}}
  - {name: classic-old, from: classic, to: old, slice: web, arrivals: {constant: 10 /s}}
  - {name: classic-new, from: classic, to: new, slice: web, arrivals: {constant: 10 /s}}
"""
UNPLACED = "mesh.waypoints={}"
Run = Callable[..., Result]


def deny(name: str, **spec: Any) -> dict[str, Any]:
    """A policy that denies GET, for what else it says."""
    rules = [{"to": [{"operation": {"methods": ["GET"]}}]}]
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"action": "DENY", "rules": rules, **spec},
    }


ATTACHED = deny("attached", targetRefs=[{"kind": "Service", "name": "new"}])
PUT = [{"to": [{"operation": {"methods": ["PUT"]}}]}]
PUT_SELECTED = deny("selected", selector={"matchLabels": {"app": "cart"}}, rules=PUT)
PUT_ATTACHED = deny("attached", targetRefs=[{"kind": "Service", "name": "new"}], rules=PUT)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A function that runs the shop under a policy, with these overrides."""

    def of(policy: dict[str, Any], *overrides: str) -> Result:
        (tmp_path / "shop.yaml").write_text(json.dumps(policy), encoding="utf-8")
        return Result(load_text(SCENARIO, tmp_path / "scenario.yaml", overrides))

    return of


def denied(result: Result) -> set[str]:
    """The flows of which anything was denied, which then is all."""
    flows = {row.source for row in result.requests if row.outcome == "denied"}
    assert all((row.source in flows) == (row.outcome == "denied") for row in result.requests)
    return flows


@pytest.mark.parametrize("more", [(), (UNPLACED,)])
def test_what_is_attached_holds_for_callers_in_ambient_mode(run: Run, more: tuple[str, ...]) -> None:
    """Sidecars go past the waypoint, and no sidecar looks at what is attached."""
    assert denied(run(ATTACHED, *more)) == {"modern-new"}


@pytest.mark.parametrize("more", [(), (UNPLACED,)])
def test_a_sidecar_reads_http_and_ztunnel_does_not(run: Run, more: tuple[str, ...]) -> None:
    """The same policy lets GET in at a sidecar; ztunnel drops the method from it, and denies whatever comes."""
    assert denied(run(PUT_SELECTED, *more)) == {"modern-new", "classic-new"}


def test_only_callers_in_ambient_mode_go_through(run: Run) -> None:
    """A sidecar calls the service itself; what has a sidecar is called without a waypoint by everybody."""
    result = run(PUT_ATTACHED)
    ways = {(row.source, row.destination) for row in result.calls}
    assert ways == {("modern", "gate"), ("gate", "new"), ("modern", "old"), ("classic", "old"), ("classic", "new")}


def test_each_kind_of_proxy_has_its_cost(run: Run) -> None:
    """Two ztunnels cost less than two sidecars, one of each what lies between."""
    result = run(PUT_ATTACHED)
    cost = {row.source: row.proxy_ns for row in result.requests}
    costs = result.world.hosts[0].machine.costs
    assert cost["classic-old"] == 2 * (costs.proxy_request_ns + costs.proxy_response_ns) + 4 * costs.tcp_message_ns
    assert cost["classic-new"] == cost["modern-old"]
    assert 2 * cost["modern-old"] == cost["classic-old"] + 4 * (costs.ztunnel_message_ns + costs.tcp_message_ns)


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
def test_a_mesh_of_sidecars_can_have_ambient_workloads(run: Run, fidelity: str) -> None:
    """It is the same mesh, whichever of the two the others say."""
    other = (
        "mesh.ambient=false",
        "services.old.dataplane=null",
        "fleets.classic.dataplane=null",
        "services.new.dataplane=ambient",
        "fleets.modern.dataplane=ambient",
        "mesh.resilience.retries=0",
        f"fidelity={fidelity}",
    )
    assert run(ATTACHED, *other).content() == run(ATTACHED, "mesh.resilience.retries=0").content()


def test_a_ztunnel_that_is_said_to_be_one_retries_nothing(run: Run) -> None:
    """Sidecars try again what was lost; a ztunnel carries connections, and tries no request again."""
    lost = "faults=[{kind: node-crash, target: shop, at: 1 s, for: 400 ms}]"
    result = run(PUT_ATTACHED, lost, "fleets.modern.dataplane=ambient", "mesh.control.node=desk")
    retried = {row.source for row in result.calls if row.retries}
    assert "classic" in retried
    assert "modern" not in retried


BARE = ("mesh.waypoints={}", "services.new.waypoint=null")
"""Nobody serves the service in ambient mode."""
AS_SAID = ("fleets.modern.dataplane=ambient", "services.new.dataplane=ambient")
ROUTES = "mesh.routes=[{to: new, abort: {status: 418, share: 100 %}}]"


@pytest.mark.parametrize("said", [(), AS_SAID])
def test_without_a_waypoint_nobody_tries_again_what_ztunnels_carry(run: Run, said: tuple[str, ...]) -> None:
    """Whether the mesh is in ambient mode or a workload says so: sidecars try again, and ztunnels do not."""
    lost = "faults=[{kind: node-crash, target: shop, at: 1 s, for: 400 ms}]"
    resilience = "mesh.resilience={retries: 2, attempt_timeout: 500 us}"
    result = run(PUT_SELECTED, lost, resilience, *BARE, *said, "mesh.control.node=desk")
    assert {row.source for row in result.calls if row.retries} <= {"classic"}
    # Each attempt of a sidecar is given up after half a millisecond; a ztunnel knows no attempts.
    done = {row.source for row in result.calls if row.outcome in ("ok", "denied")}
    assert done == {"modern"}


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
def test_ztunnel_closes_the_connection_of_who_is_denied(run: Run, tmp_path: Path, fidelity: str) -> None:
    """Nobody answers 403: a connection is closed, in runs and when asked; a sidecar tries it again as Envoy's 5xx."""
    nobody = deny("selected", selector={"matchLabels": {"app": "cart"}}, rules=[{}])
    more = (*BARE, f"fidelity={fidelity}", "mesh.resilience={retries: 1, retry_on: [failed]}")
    result = run(nobody, *more)
    ends = {(row.source, row.destination, row.outcome, row.status, row.retries) for row in result.calls}
    assert ends == {
        ("modern", "new", "denied", 0, 0),
        ("classic", "new", "denied", 503, 1),
        ("modern", "old", "denied", 403, 0),
        ("classic", "old", "denied", 403, 0),
    }
    (tmp_path / "scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    subject = subject_of_scenario(tmp_path / "scenario.yaml", more)
    for source, name, status in (
        ("modern/0", "new", None),
        ("classic/0", "new", 503),
        ("modern/0", "old", 403),
        ("classic/0", "old", 403),
    ):
        verdict = ask(subject, Request(source=source, destination=name))
        assert (verdict.status, verdict.decision.closes) == (status, name == "new")
        heard = "sees a connection that is reset" if status is None else "makes 503 of that (flag UC)"
        told = [note for note in verdict.notes if "ztunnel closes the connection" in note]
        assert [heard in note for note in told] == [True] * (name == "new")


def test_a_waypoint_carries_connections_to_ports_without_http(run: Run) -> None:
    """What it or ztunnel denies there is closed, is tried again by nobody, and has no status; with HTTP it is 503."""
    nobody = deny("selected", selector={"matchLabels": {"app": "cart"}}, rules=[{}])
    more = ("mesh.resilience={retries: 1, retry_on: [failed]}",)
    mine = {("modern", "gate"), ("gate", "new")}

    def ends(policy: dict[str, Any], *overrides: str) -> set[tuple[str, str, int, int, str]]:
        calls = [row for row in run(policy, *more, *overrides).calls if (row.source, row.destination) in mine]
        assert {row.outcome for row in calls} == {"denied"}
        return {(row.source, row.destination, row.status, row.retries, row.flags) for row in calls}

    assert ends(nobody) == {("modern", "gate", 503, 0, "UC"), ("gate", "new", 503, 0, "UC")}
    tried = ("mesh.waypoints={shop/gate: {replicas: {shop: 1}, resilience: {retries: 1, retry_on: [failed]}}}",)
    assert ends(nobody, *tried) == {("modern", "gate", 503, 0, "URX,UC"), ("gate", "new", 503, 1, "URX,UC")}
    tcp = (*tried, "services.new.ports={8080: {protocol: tcp}}")
    assert ends(nobody, *tcp) == {("modern", "gate", 0, 0, "UC"), ("gate", "new", 0, 0, "UC")}
    assert ends(deny("attached", targetRefs=[{"kind": "Service", "name": "new"}], rules=[{}]), *tcp) == {
        ("modern", "gate", 0, 0, "")
    }


@pytest.mark.parametrize("said", [(), AS_SAID])
def test_routes_hold_where_somebody_reads_http(run: Run, said: tuple[str, ...]) -> None:
    """At a caller's sidecar, or at a waypoint, with a place or for whom the caller stands; a ztunnel knows none."""
    for more, aborted in (("mesh.tls={}", {"modern", "gate", "classic"}), (UNPLACED, {"modern", "classic"})):
        found = run(PUT_ATTACHED, ROUTES, more, *said)
        assert {row.source for row in found.calls if row.outcome == "aborted"} == aborted
    bare = run(PUT_SELECTED, ROUTES, *BARE, *said)
    assert {row.source for row in bare.calls if row.outcome == "aborted"} == {"classic"}


@pytest.mark.parametrize("destination", ["new", "old"])
def test_ztunnels_speak_as_they_do_whatever_destinations_say(run: Run, tmp_path: Path, destination: str) -> None:
    """A destination that is called in plaintext is so by sidecars alone, in runs and when asked."""
    plaintext = (f"mesh.destinations={{{destination}: {{tls: plaintext}}}}", "mesh.tls.mode=STRICT", *BARE)
    result = run(PUT_SELECTED, *plaintext)
    refused = {row.source for row in result.calls if row.destination == destination and not row.encrypted}
    assert refused == {"classic"}
    (tmp_path / "s.yaml").write_text(SCENARIO, encoding="utf-8")
    subject = subject_of_scenario(tmp_path / "s.yaml", plaintext)
    asked = {name: ask(subject, Request(source=f"{name}/0", destination=destination)) for name in ("modern", "classic")}
    assert {name for name, verdict in asked.items() if verdict.decision.rule == MUTUAL_TLS} == refused


TOKEN = "fleets.{}.token={{issuer: desk}}"
TOKENS = ("mesh.tokens={issuers: {desk: {}}}", *(TOKEN.format(one) for one in ("modern", "classic")))


@pytest.mark.parametrize("fidelity", ["real", "modelled"])
@pytest.mark.parametrize("more", [(), (UNPLACED,)])
@pytest.mark.parametrize("own", [False, True])
def test_nobody_looks_at_tokens_past_a_waypoint(
    run: Run, tmp_path: Path, more: tuple[str, ...], fidelity: str, *, own: bool
) -> None:
    """What a waypoint makes of tokens holds for who goes through it, in runs and when asked; a sidecar goes past."""
    rules = {**PUT_ATTACHED, "kind": "RequestAuthentication"}
    rules["spec"] = {"targetRefs": [{"kind": "Service", "name": "new"}], "jwtRules": [{"issuer": "nobody"}]}
    more = (*TOKENS, f"fidelity={fidelity}", *more)
    if own:
        rules = PUT_ATTACHED
        more = (*more, "services.new.request_authentication={issuers: [desk], audiences: [shop], required: true}")
    result = run(rules, *more)
    refused = denied(result)
    assert refused == {"modern-new"}
    assert {row.rule for row in result.decisions if not row.allowed} == {WRONG_AUDIENCE if own else UNKNOWN_ISSUER}
    (tmp_path / "s.yaml").write_text(SCENARIO, encoding="utf-8")
    subject = subject_of_scenario(tmp_path / "s.yaml", more)
    claims = {"iss": "https://desk.mesh.example", "aud": []}
    for name in ("modern", "classic"):
        verdict = ask(subject, Request(source=f"{name}/0", destination="new", claims=claims))
        assert verdict.decision.allowed == (f"{name}-new" not in refused)
        assert any("goes past the waypoint" in note for note in verdict.notes) == verdict.decision.allowed


DISABLED = "services.new.ports={8080: {tls: {mode: DISABLE}}}"
SITE = [{"when": [{"key": "meshsim.site", "values": ["desk"]}]}]
FOREIGN = {
    **PUT_ATTACHED,
    "kind": "RequestAuthentication",
    "spec": {"targetRefs": [{"kind": "Service", "name": "new"}], "jwtRules": [{"issuer": "nobody"}]},
}


@pytest.mark.parametrize(
    ("policy", "more", "outcomes"),
    [
        (PUT_ATTACHED, ["services.new.tls={groups: [P-384]}"], {"modern": "tls-refused", "classic": "tls-refused"}),
        (PUT_ATTACHED, [DISABLED], {"modern": "unreachable", "classic": "unreachable"}),
        (PUT_ATTACHED, [DISABLED, "mesh.destinations={new: {tls: auto}}"], {"modern": "ok", "classic": "ok"}),
        (PUT_ATTACHED, ["fleets.modern.tls={groups: [P-384]}"], {"modern": "tls-refused", "classic": "ok"}),
        (
            ATTACHED,
            ["fleets.modern.tls={mode: DISABLE}", "mesh.tls.mode=PERMISSIVE"],
            {"modern": "ok", "classic": "ok"},
        ),
        (PUT_ATTACHED, ["mesh.destinations={new: {tls: plaintext}}"], {"modern": "reset", "classic": "reset"}),
        (FOREIGN, [*TOKENS, "services.new.ports={8080: {protocol: tcp}}"], {"modern": "ok", "classic": "ok"}),
        (
            deny("site", selector={"matchLabels": {"app": "cart"}}, rules=SITE),
            [],
            {"modern": "ok", "classic": "denied"},
        ),
    ],
)
def test_handshakes_and_places_are_those_of_the_waypoint(
    run: Run, tmp_path: Path, policy: dict[str, Any], more: list[str], outcomes: dict[str, str]
) -> None:
    """Who goes through one shakes hands with it, and it does with the service, at which it is the caller."""
    more = [*more, "fidelity=real"]
    result = run(policy, *more)
    found = {row.source: row.outcome for row in result.calls if row.source in outcomes and row.destination != "old"}
    assert found == outcomes
    (tmp_path / "s.yaml").write_text(SCENARIO, encoding="utf-8")
    subject = subject_of_scenario(tmp_path / "s.yaml", more)
    for name, outcome in outcomes.items():
        claims = {"iss": "https://desk.mesh.example"} if TOKENS[0] in more else None
        decision = ask(subject, Request(source=f"{name}/0", destination="new", claims=claims)).decision
        assert decision.allowed == (outcome == "ok")
        assert (decision.rule == MUTUAL_TLS) == (outcome not in ("ok", "denied"))


def test_a_service_with_a_sidecar_is_behind_no_waypoint(run: Run) -> None:
    """The scenario says where that is wrong, in a mesh of either kind."""
    for overrides in (["services.new.dataplane=sidecar"], ["mesh.ambient=false", "services.new.dataplane=null"]):
        with pytest.raises(ScenarioError, match="waypoint"):
            run(ATTACHED, *overrides)
