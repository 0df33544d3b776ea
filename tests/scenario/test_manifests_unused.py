"""What Istio accepts in manifests though it does nothing: accepted here as well, and told."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.scenario.loader import load_text
from tests.scenario.test_manifests import SHOP, home, told

FIRST = "  http:\n    - name: trial\n"
PEER = (
    "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: none, namespace: shop}\n"
    "spec: {selector: {matchLabels: {app: frnt}}, mtls: {mode: DISABLE}}\n"
)


def test_routes_behind_one_that_takes_all_are_told_and_left_out(tmp_path: Path) -> None:
    """Istio accepts a route that no call can take, and only its analysis warns."""
    before = "  http:\n    - {name: all, route: [{destination: {host: catalog}}]}\n    - name: trial\n"
    loaded = load_text(SHOP, home(tmp_path, {"rules.yaml": (FIRST, before)}))
    assert [route.name for route in loaded.scenario.mesh.routes] == ["all"]
    notes = [note.replace(f"{tmp_path}/", "") for note in loaded.notes if "IST0130" in note]
    said = "no call takes this route: the one at shop/rules.yaml:27 before it takes all (IST0130 of Istio)"
    assert notes == [f"shop/rules.yaml:{line}: {said}" for line in ("28:7", "39:7")]


def test_matches_that_stand_before_already_are_told_and_left_out(tmp_path: Path) -> None:
    """A match that an earlier route has never comes into play; a route of nothing else is never taken."""
    post = "{method: {exact: POST}, queryParams: {trial: {}}}"
    route = "route: [{destination: {host: catalog}}]"
    before = (
        f"  http:\n    - {{name: one, match: [{post}, {post}], {route}}}\n"
        f"    - {{name: two, match: [{post}], {route}}}\n    - name: trial\n"
    )
    loaded = load_text(SHOP, home(tmp_path, {"rules.yaml": (FIRST, before)}))
    routes = loaded.scenario.mesh.routes
    assert [(route.name, len(route.match)) for route in routes] == [("one", 1), ("trial", 1), (None, 0)]
    notes = [note.replace(f"{tmp_path}/", "") for note in loaded.notes if "IST013" in note]
    assert [note.partition(": ")[0] for note in notes] == [
        f"shop/rules.yaml:{place}" for place in ("27:78", "28:27", "28:7", "34:11")
    ]
    assert ["IST0131" in note for note in notes] == [True, True, False, True]


def test_a_mistake_in_a_route_that_no_call_takes_is_told_all_the_same(tmp_path: Path) -> None:
    """What is left out has been read: a wrong value in it stops the work."""
    wrong = "{timeout: 1 s, route: [{destination: {host: catalog}}]}"
    text = (
        f"  http:\n    - {{name: all, route: [{{destination: {{host: catalog}}}}]}}\n    - {wrong}\n    - name: trial\n"
    )
    says = told(home(tmp_path, {"rules.yaml": (FIRST, text)}))
    assert says == [
        "shop/rules.yaml:28:17: 'timeout' is '1 s', which is no duration; expected one such as '7s' or '250ms'"
    ]


@pytest.mark.parametrize("policies", ["", "with policies"])
def test_a_peer_authentication_for_nothing_can_be_let_pass(tmp_path: Path, policies: str) -> None:
    """As with AuthorizationPolicies, ``unmatched: ignore`` has it pass, and a note says that it holds for nothing."""
    allow = (
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: shop}\n"
        "spec: {rules: [{}]}\n"
    )
    path = home(tmp_path, more=PEER + (allow if policies else ""))
    setting = "mesh.policy.istio.unmatched="
    (refused,) = told(path)
    assert refused.endswith("app=frnt; expected labels of some, or mesh.policy.istio.unmatched: ignore")
    assert told(path, SHOP, f"{setting}error")
    assert any("'ingore'" in one for one in told(path, SHOP, f"{setting}ingore"))
    loaded = load_text(SHOP, path, [f"{setting}ignore"])
    assert (loaded.scenario.mesh.policy is not None) is bool(policies)
    (note,) = [note for note in loaded.notes if "holds for nothing" in note]
    assert note.startswith(f"{tmp_path}/shop/zz.yaml:4:32: no Deployment's pods that it is for have app=frnt, so that")
    own = SHOP.replace("  manifests: [shop]", "  manifests: [shop]\n  policy: {istio: {unmatched: ignore}}")
    assert load_text(own, path).resolved == loaded.resolved


def test_what_is_no_list_is_a_mistake_beside_manifests(tmp_path: Path) -> None:
    """Who is called is looked for in whatever stands there, and of a choice in each of its calls."""
    calls = "[{to: catalog, path: /v1/items}]"
    text = SHOP.replace(calls, "5")
    assert told(home(tmp_path), text) == ["shop.yaml:15:12: 'calls' is 5; expected a list, such as [one, other]"]
    before, _, after = SHOP.partition("  catalog:\n")
    text = (
        before.replace(calls, "[{one_of: [{to: catalog}, {to: catalog, path: /v1/items}]}]") + after[after.index("f") :]
    )
    (one,) = told(home(tmp_path), text)
    assert "placement of 'catalog'" in one
    nodes = "nodes:\n    edge: {kind: edge}\n    core: {kind: core}"
    assert any("'nodes' is 5" in one for one in told(home(tmp_path), text.replace(nodes, "nodes: 5")))
