"""Waypoints with a place in scenarios: mistakes at their places, and what is told of those without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.scenario.call_graph import peers_of
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_text
from meshsim.scenario.placed_waypoints import Ways
from tests.world.test_dataplanes import SCENARIO

PLAIN = SCENARIO.replace("  policy: {engine: istio, files: [shop.yaml], default: allow}\n", "")
TO = "mesh.waypoints"


def messages(*overrides: str, text: str = PLAIN) -> list[str]:
    """The mistakes in the scenario with these overrides."""
    try:
        load_text(text, Path("s.yaml"), overrides)
    except ScenarioError as error:
        return [one.message for one in error.diagnostics]
    return []


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            [f"{TO}={{shop/gates: {{replicas: {{shop: 1}}}}}}"],
            "no service goes by the waypoint shop/gates (services.*.waypoint); did you mean 'shop/gate'?",
        ),
        (
            [f"{TO}={{gate: {{replicas: {{shop: 1}}}}}}"],
            "no service goes by the waypoint default/gate (services.*.waypoint); expected shop/gate",
        ),
        ([f"{TO}={{shop/gate: {{replicas: {{shp: 1}}}}}}"], "there is no node 'shp'; did you mean 'shop'?"),
        ([f"{TO}={{shop/gate: {{replicas: {{}}}}}}"], "'replicas' is empty; expected at least 1"),
        ([f"{TO}={{shop/gate: {{}}}}"], "'replicas' is missing; expected it here: how many replicas on which node"),
        (
            ["network.nodes.desk.kind=router", f"{TO}.shop/gate.replicas={{desk: 1}}", "fleets.modern.node=shop"],
            "a router carries no workloads; expected a node of kind edge, regional, core or gnb",
        ),
        (
            ["services.new.waypoint=old", f"{TO}={{shop/old: {{replicas: {{shop: 1}}}}}}"],
            "a service is called 'old' too, and tables tell them apart by name; expected another name",
        ),
        (
            ["services.new.waypoint=g.v1", f"{TO}={{shop/g.v1: {{replicas: {{shop: 1}}}}}}"],
            "a service account cannot be called so here; expected at most 63 letters, digits, inner hyphens",
        ),
        (
            [
                "services.new.namespace=default",
                f"{TO}={{gate: {{replicas: {{shop: 1}}}}, default/gate: {{replicas: {{shop: 1}}}}}}",
            ],
            "'default/gate' is 'gate' once more; expected each waypoint once",
        ),
        (
            [
                "fleets.modern.tls.mode=DISABLE",
                "mesh.tls.mode=PERMISSIVE",
                "changes=[{at: 1 s, workloads: {modern: {mode: STRICT}}}]",
            ],
            "'modern' speaks TLS at times only, and so would go through the waypoint of 'new' at times; expected mode "
            "DISABLE all along, or never",
        ),
        (
            ["faults=[{kind: waypoint-outage, target: shop/gat, at: 1 s, for: 500 ms}]"],
            "no waypoint 'shop/gat' has a place (mesh.waypoints); did you mean 'shop/gate'?",
        ),
        (
            [f"{TO}={{shop/gate: {{replicas: {{shop: 2}}, cores: 2}}}}"],
            "waypoints would have 4 cores of 'shop' to themselves, which has 4; expected one left at least for all "
            "else that runs there",
        ),
        ([f"{TO}.shop/gate.cores=0"], "0 is out of range; expected at least 1"),
        (["services.old.dataplane=sidecars"], "'dataplane' is 'sidecars', which is not known; did you mean 'sidecar'?"),
        (
            ["services.old.waypoint=gate"],
            "waypoints serve services with a ztunnel; expected no sidecar and no gateway here, or no waypoint",
        ),
    ],
)
def test_mistakes(overrides: list[str], said: str) -> None:
    """Each is told once, in words that say what would be right."""
    assert said in messages(*overrides)


def test_a_waypoint_is_reached_over_links() -> None:
    """Callers that do not reach it, and services that it does not reach, are told."""
    apart = PLAIN.replace("shop: {kind: edge}}", "shop: {kind: edge}, isle: {kind: edge}}")
    found = messages(f"{TO}.shop/gate.replicas={{isle: 1}}", text=apart)
    assert "no replica of 'gate' can be reached from node 'desk'; expected links that join them" in found
    assert "no replica of 'new' can be reached from node 'isle'; expected links that join them" in found


SPLIT = "mesh.routes=[{to: new, split: [{weight: 1}, {to: far, weight: 1}]}]"
APART = "no replica of 'far' can be reached from node {!r}; expected links that join them"


@pytest.mark.parametrize(
    ("gate", "more", "from_node"),
    [
        ("mast", (), ""),  # the waypoint reaches both parts of the network, its callers do not
        ("desk", (), "desk"),
        ("desk", ("fleets.modern.node=mast",), "desk"),  # the waypoint reaches one part, its callers both
        ("mast", ("fleets.modern.tls.mode=DISABLE",), ""),  # past the waypoint, by ztunnel, which knows no routes
        ("mast", ("fleets.modern.dataplane=sidecar",), "desk"),  # past the waypoint, by its own routes
    ],
)
def test_routes_lead_on_from_where_they_hold(gate: str, more: tuple[str, ...], from_node: str) -> None:
    """A target of routes has to be reached by the waypoint, or by a caller whose proxy knows them; by no ztunnel."""
    text = PLAIN.replace("shop: {kind: edge}}", "shop: {kind: edge}, mast: {kind: gnb}, isle: {kind: edge}}")
    text = text.replace("links: [", "links: [{between: [desk, mast]}, {between: [mast, isle]}, ")
    text = text.replace("fleets:\n", "  far: {replicas: {isle: 1}, work: {constant: 1 ms}}\nfleets:\n")
    text = text[: text.index("  - {name: classic-new")]
    found = messages(SPLIT, f"{TO}.shop/gate.replicas={{{gate}: 1}}", *more, text=text)
    apart = {one for one in found if "'far'" in one}
    assert apart == ({APART.format(from_node)} if from_node else set())


def test_memory_of_waypoints_counts() -> None:
    """Each replica takes what a sidecar does."""
    small = ["network.nodes.desk.memory=100 MB", "fleets.modern.node=shop", "fleets.classic.node=shop"]
    assert messages(*small, f"{TO}.shop/gate.replicas={{desk: 1}}") == []
    assert any("needs 115 MiB" in one for one in messages(*small, f"{TO}.shop/gate.replicas={{desk: 2}}"))


def test_a_waypoint_without_a_place_is_noted() -> None:
    """The note says what is left out, and what would have requests go through it."""
    loaded = load_text(PLAIN, Path("s.yaml"), [f"{TO}={{}}"])
    assert [note.partition(": ")[2] for note in loaded.notes if "waypoint" in note] == [
        "the waypoint shop/gate has no place: it decides for new, takes no time and cannot fail; "
        "mesh.waypoints: {shop/gate: {replicas: {NODE: 1}}} has requests go through it"
    ]
    assert not any("waypoint" in note for note in load_text(PLAIN, Path("s.yaml")).notes)


BARE = (f"{TO}={{}}", "services.new.waypoint=null")
AT_REQUESTS = "which try no request again: its retries hold for none of them"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["mesh.routes=[{to: new}]"], ["calls of modern to new leave by ztunnel alone, which knows no routes"]),
        (
            ["mesh.destinations={old: {tls: mutual}}"],
            ["to old leave by ztunnel alone, which knows no limits"],
        ),
        (["mesh.routes=[{to: old}]", "fleets.modern.dataplane=sidecar"], []),
        (["mesh.resilience={retries: 1}"], []),
        (["mesh.resilience={retries: 1}", "fleets.classic.dataplane=ambient"], [AT_REQUESTS]),
        (["mesh.resilience={attempt_timeout: 1 s}", "fleets.classic.dataplane=ambient"], [AT_REQUESTS]),
        (["mesh.resilience={connect_timeout: 1 s}", "fleets.classic.dataplane=ambient"], []),
        (["mesh.preset=istio", "fleets.classic.dataplane=ambient"], []),
        (["mesh.preset=istio", "mesh.resilience={retries: 3}", "fleets.classic.dataplane=ambient"], [AT_REQUESTS]),
    ],
)
def test_what_nobody_goes_by_is_noted(overrides: list[str], said: list[str]) -> None:
    """What is said of requests holds for nobody where ztunnels alone carry them, and a note tells whose."""
    notes = [note for note in load_text(PLAIN, Path("s.yaml"), [*BARE, *overrides]).notes if "ztunnel" in note]
    assert len(notes) == len(said)
    assert all(text in note for text, note in zip(said, notes, strict=True))


@pytest.mark.parametrize("placed", [True, False])
def test_peers_are_those_that_connect(placed: bool) -> None:
    """Who goes through a waypoint with a place is no peer of the service behind it."""
    loaded = load_text(PLAIN, Path("s.yaml"), [] if placed else [f"{TO}={{}}"])
    callers, _ = peers_of(loaded.scenario, "new")
    assert callers == ({"gate", "classic"} if placed else {"modern", "classic"})
    assert peers_of(loaded.scenario, "gate") == (({"modern"}, {"new"}) if placed else (frozenset(), frozenset()))


def test_waypoints_of_one_name_are_told_apart() -> None:
    """Of two in different namespaces each has its namespace behind its name in tables."""
    text = PLAIN.replace(
        "  new: {", "  other: {namespace: bar, replicas: {shop: 1}, work: {constant: 1 ms}, waypoint: gate}\n  new: {"
    )
    text = text.replace(
        "traffic:\n", "traffic:\n  - {name: o, from: modern, to: other, slice: web, arrivals: {constant: 1 /s}}\n"
    )
    both = f"{TO}={{shop/gate: {{replicas: {{shop: 1}}}}, bar/gate: {{replicas: {{shop: 1}}}}}}"
    ways = Ways(load_text(text, Path("s.yaml"), [both]).scenario)
    assert (ways.through("modern", "new"), ways.through("modern", "other")) == ("gate-shop", "gate-bar")
    assert ways.through("classic", "new") == ""
