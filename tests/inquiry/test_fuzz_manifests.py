"""Manifests of every kind with anything in place of parts of them: a subject, or mistakes with places in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from meshsim.inquiry.subject import subject_of_manifests
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.yaml_text import parse_yaml

SHOP = Path(__file__).parents[1] / "scenario" / "data" / "shop"
POLICIES = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers, namespace: shop, annotations: {istio.io/dry-run: "false"}}
spec:
  selector: {matchLabels: {app: catalog}}
  action: ALLOW
  rules:
    - from: [{source: {principals: [cluster.local/ns/shop/sa/front], notIpBlocks: [10.0.0.0/8]}}]
      to: [{operation: {methods: [GET], paths: ["/v1/{*}", "/v2*"], ports: ["8080"]}}]
      when: [{key: "request.auth.claims[groups]", values: [ops]}]
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: shop}
spec:
  targetRefs: [{kind: Service, group: "", name: catalog}]
  jwtRules:
    - {issuer: "https://a.example", audiences: [shop], jwksUri: "https://a.example/keys", forwardOriginalToken: true}
"""
TEXTS = [*((SHOP / name).read_text(encoding="utf-8") for name in ("apps.yaml", "rules.yaml")), POLICIES]
DOCUMENTS: list[dict[str, Any]] = [
    parse_yaml(part, "shop")[0] for text in TEXTS for part in text.split("\n---\n") if part.strip()
]
Steps = tuple[str | int, ...]


def places(value: Any, path: Steps = ()) -> list[Steps]:
    """The paths of all values but the root."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, below in inner for found in [(*path, key), *places(below, (*path, key))]]


PLACES = places(DOCUMENTS)
WORDS = ["", "*", "**", "a", "é", "1s", "-1s", "STRICT", "GET", "http", "5xx", "{*}", "catalog", "front", "10.0.0.0/8"]
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 70_000), st.floats(), st.text(max_size=5), st.sampled_from(WORDS),
    st.lists(st.sampled_from([*WORDS, 7, None]), max_size=2),
    st.dictionaries(st.sampled_from([*WORDS, "name", "exact", "mode"]), st.sampled_from([*WORDS, 7, None]), max_size=2),
)  # fmt: skip


def changed(changes: list[tuple[Steps, Any]]) -> list[Any]:
    """The documents, with other values in some places, as far as the places are still there."""
    documents = json.loads(json.dumps(DOCUMENTS))
    for path, junk in changes:
        parent: Any = documents
        for key in path[:-1]:
            known = isinstance(parent, dict) and key in parent
            inside = isinstance(parent, list) and isinstance(key, int) and key < len(parent)
            parent = parent[key] if known or inside else None
        last = path[-1]
        if isinstance(parent, dict) or (isinstance(parent, list) and isinstance(last, int) and last < len(parent)):
            parent[last] = junk
    return list(documents)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([((8, "spec", "http", 1, "fault", "abort"), False)])
@example([((11, "spec", "selector", "matchLabels"), "app")])
@given(st.lists(st.tuples(st.sampled_from(PLACES), JUNK), min_size=1, max_size=3))
def test_no_value_breaks_the_reading_of_manifests(tmp_path: Path, changes: list[tuple[Steps, Any]]) -> None:
    """Whatever stands in the place of a part of any object, it is accepted or told with file, line and column."""
    file = tmp_path / "all.yaml"
    file.write_text("\n---\n".join(map(json.dumps, changed(changes))), encoding="utf-8")
    mistakes = []
    try:
        subject_of_manifests(file)
    except ScenarioError as error:
        mistakes = error.diagnostics
    for one in mistakes:
        assert one.file == str(file)
        assert one.line > 0
        assert "\n" not in one.message
