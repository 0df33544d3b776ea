"""Mistakes in Istio policies: what is said of them, and where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.policy.engine import Directory, PolicyFile
from meshsim.policy.istio import IstioEngine
from meshsim.policy.istio_read import read_policies
from meshsim.policy.question import Question
from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.policy import ExtensionProvider, IstioPolicy
from meshsim.scenario.yaml_text import parse_yaml

DIRECTORY = Directory(
    services=frozenset({"planner", "vision"}),
    slices=frozenset({"control"}),
    sites=frozenset({"plant"}),
    namespaces={"planner": "plant", "vision": "plant"},
    labels={"planner": {"app": "planner"}},
)
OPTIONS = IstioPolicy(
    extension_providers={"opa": ExtensionProvider(verdict="deny"), "other": ExtensionProvider(verdict="allow")},
    filter_metadata={"envoy.filters.network.mysql_proxy": {"db.table": ("select", "insert"), "user": "root"}},
)
DATA = Path(__file__).parent / "data" / "istio_mistakes.yaml"
MISTAKES: dict[str, list[dict[str, str]]] = parse_yaml(DATA.read_text(encoding="utf-8"), DATA.name)[0]
HEAD = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: plant}\n"
TOKENS = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: a, namespace: plant}\n"


def told(*texts: str, settings: IstioPolicy = OPTIONS) -> list[str]:
    """What is said of policy files, called 0.yaml and so on; nothing if they are accepted."""
    files = [PolicyFile(f"{number}.yaml", text) for number, text in enumerate(texts)]
    try:
        IstioEngine.from_sources(files, DIRECTORY, "allow", settings)
    except ScenarioError as error:
        return [str(one) for one in error.diagnostics]
    return []


def spec(text: str) -> list[str]:
    """What is said of a policy with this spec, which begins in line 4."""
    return told(f"{HEAD}spec: {text}\n")


def when(text: str) -> list[str]:
    """What is said of one condition, at line 4, column 23."""
    return spec(f"{{rules: [{{when: [{text}]}}]}}")


@pytest.mark.parametrize("mistake", MISTAKES["policies"], ids=lambda mistake: mistake["spec"][:60])
def test_mistakes_in_a_policy(mistake: dict[str, str]) -> None:
    """What Istio's validation refuses, and what cannot be meant, is told at its place with what would be right."""
    assert spec(mistake["spec"]) == [f"0.yaml:{mistake['says']}"]


@pytest.mark.parametrize("mistake", MISTAKES["conditions"], ids=lambda mistake: mistake["spec"][:60])
def test_mistakes_in_a_condition(mistake: dict[str, str]) -> None:
    """Keys and values of conditions are checked, those that Istio has and those it has not."""
    assert when(mistake["spec"]) == [f"0.yaml:{mistake['says']}"]


@pytest.mark.parametrize("mistake", MISTAKES["authentications"], ids=lambda mistake: mistake["spec"][:60])
def test_mistakes_in_a_request_authentication(mistake: dict[str, str]) -> None:
    """The cases of Istio's own table of invalid objects are told, each at its place."""
    assert told(f"{TOKENS}spec: {mistake['spec']}\n") == [f"0.yaml:{mistake['says']}"]


def test_conditions_on_headers_that_a_token_check_writes() -> None:
    """A condition on a header field that comes from a claim is no mistake: it sees what is written."""
    writes = f"{TOKENS}spec: {{jwtRules: [{{issuer: a, outputClaimToHeaders: [{{header: X-Group, claim: group}}]}}]}}\n"
    reads = f"{HEAD}spec: {{rules: [{{when: [{{key: 'request.headers[x-group]', values: [b]}}]}}]}}\n"
    assert told(writes, reads) == []


@pytest.mark.parametrize("value", ["yes", "TRUE ", ""])
def test_the_annotation_for_trials_is_a_truth_value(value: str) -> None:
    """What Go does not take for a truth value is none here."""
    head = HEAD.replace("plant}", f"plant, annotations: {{istio.io/dry-run: '{value}'}}}}")
    assert told(f"{head}spec: {{rules: [{{}}]}}\n") == [
        f"0.yaml:3:71: 'istio.io/dry-run' is {value!r}; expected 'true' or 'false'"
    ]


def test_only_deny_and_allow_can_be_on_trial() -> None:
    """Istio's trial is for ALLOW and DENY."""
    head = HEAD.replace("plant}", "plant, annotations: {istio.io/dry-run: 'true'}}")
    assert told(f"{head}spec: {{action: AUDIT, rules: [{{}}]}}\n") == [
        "0.yaml:3:53: AUDIT policies cannot be on trial; expected 'istio.io/dry-run' with ALLOW or DENY alone"
    ]
    assert told(f"{head}spec: {{action: DENY, rules: [{{}}]}}\n") == []


def test_files_and_names() -> None:
    """A file without objects, an object of another kind and a name that is taken are mistakes."""
    assert told("# nothing\n") == [
        "0.yaml: the file holds no object; expected an AuthorizationPolicy, or the file not to be named"
    ]
    assert told(HEAD.replace("AuthorizationPolicy", "AuthorisationPolicy")) == [
        "0.yaml:2:7: 'kind' is 'AuthorisationPolicy', which is not known; did you mean 'AuthorizationPolicy'?"
    ]
    assert told(HEAD.replace("istio.io/v1", "istio.io/v1alpha1")) == [
        "0.yaml:1:13: 'apiVersion' is 'security.istio.io/v1alpha1', which is not known; "
        "did you mean 'security.istio.io/v1'?"
    ]
    assert told(HEAD, f"---\n{HEAD}") == [
        "1.yaml:2:1: plant/a is already the name of the AuthorizationPolicy at 0.yaml:1; expected another name"
    ]
    assert told(HEAD, TOKENS) == []
    assert told(HEAD.replace("plant", "plent")) == [
        "0.yaml:1:1: no service is in the namespace 'plent'; did you mean 'plant'?"
    ]
    assert told(HEAD.replace("plant", "plent"), settings=IstioPolicy(unmatched="ignore")) == []


def test_two_providers_for_one_workload() -> None:
    """Istio then denies whatever matches; here it is a mistake."""
    one = f"{HEAD}spec: {{action: CUSTOM, provider: {{name: opa}}, rules: [{{}}]}}\n"
    other = one.replace("name: a", "name: b").replace("opa", "other")
    assert told(f"{one}---\n{other}") == [
        "0.yaml:9:34: planner would have two providers, 'opa' and 'other'; expected one for a workload, as Istio has it"
    ]


def test_all_mistakes_at_once() -> None:
    """Mistakes of several files, documents and kinds are told together, in their order."""
    first = (
        f"{HEAD}spec: {{acton: DENY, rules: [{{to: [{{}}], when: [{{key: a}}]}}]}}\n---\n{TOKENS}spec: {{rules: []}}\n"
    )
    second = f"{HEAD}sepc: {{}}\n"
    lines = [line.partition(" ")[0] for line in told(first, second)]
    assert lines == ["0.yaml:4:8:", "0.yaml:4:35:", "0.yaml:4:53:", "0.yaml:9:8:", "1.yaml:1:1:", "1.yaml:4:1:"]


def test_objects_beside_the_policies_can_be_passed_over() -> None:
    """A reader of whole folders names the kinds that it reads itself."""
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: planner}\n"
    found, mistakes = read_policies([PolicyFile("a.yaml", f"{service}---\n{HEAD}")], {"Service": ("v1",)})
    assert ([policy.name for policy in found.authorization], mistakes) == (["ns[plant]-policy[a]"], [])


def test_what_filters_say_is_known_beforehand() -> None:
    """Conditions on the metadata of filters hold by the settings: a text, or an entry of a list in brackets."""
    asked = Question("", "a", "planner", "GET", "/", "", "", mutual=False)

    def holds(key: str, *values: str) -> bool:
        written = json.dumps({"key": f"experimental.envoy.filters.network.mysql_proxy[{key}]", "values": values})
        text = f"{HEAD}spec: {{rules: [{{when: [{written}]}}]}}\n"
        return IstioEngine.from_sources([PolicyFile("a", text)], DIRECTORY, "allow", OPTIONS).decide(asked).allowed

    assert [holds("user", value) for value in ("root", "ro*", "*", "admin", "[root]")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert [holds("db.table", value) for value in ("[select]", "[in*]", "select", "[drop]")] == [
        True,
        True,
        False,
        False,
    ]
    assert holds("db.table", "[drop]", "[*]")


VALID: dict[str, Any] = {
    "apiVersion": "security.istio.io/v1",
    "kind": "AuthorizationPolicy",
    "metadata": {"name": "a", "namespace": "plant", "annotations": {"istio.io/dry-run": "true"}},
    "spec": {
        "selector": {"matchLabels": {"app": "planner"}},
        "action": "DENY",
        "rules": [
            {
                "from": [{"source": {"principals": ["a", "*"], "ipBlocks": ["10.0.0.0/8"]}}],
                "to": [{"operation": {"paths": ["/{*}"], "ports": ["80"], "notHosts": ["a"]}}],
                "when": [
                    {"key": "request.headers[x]", "values": ["a"]},
                    {"key": "meshsim.time", "values": ["< 2030-01-01"]},
                ],
            }
        ],
    },
}
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 99999),
    st.floats(allow_nan=False),
    st.text(max_size=6),
    st.sampled_from(["*", "**", "{*}", "/{**}/{*}", "[", "request.headers[", "::", "1/", "a[b]", "\0", "é", "< 1 h"]),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.sampled_from(["from", "key", "source", "a", ""]), st.text(max_size=3), max_size=2),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, below in inner for place in _places(below, (*path, key)))]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_places(VALID)[1:]), JUNK), min_size=1, max_size=3))
def test_no_value_breaks_the_reader(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    """Whatever stands in the place of a part of a policy, it is accepted or gets diagnostics inside the file."""
    document = json.loads(json.dumps(VALID))
    for path, junk in changes:
        parent = document
        for key in path[:-1]:
            parent = parent[key] if isinstance(parent, dict) and key in parent else parent
            parent = parent[key] if isinstance(parent, list) and isinstance(key, int) and key < len(parent) else parent
        if isinstance(parent, dict) or (
            isinstance(parent, list) and isinstance(path[-1], int) and path[-1] < len(parent)
        ):
            parent[path[-1]] = junk
    text = json.dumps(document, indent=1)
    lines = text.split("\n")
    try:
        engine = IstioEngine.from_sources([PolicyFile("a.yaml", text)], DIRECTORY)
    except ScenarioError as error:
        for found in error.diagnostics:
            assert found.message
            assert 0 <= found.line <= len(lines)
        return
    asked = Question("", "a", "planner", "GET", "/x", "", "", mutual=False, port=80)
    assert engine.decide(asked) == engine.decide(asked)
    assert len(engine.explain(asked)) == engine.size


@settings(max_examples=150, deadline=None)
@given(st.text("abk: -[]{}\n'\"*&!#|>,?%@\t", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever a file holds, it is read or gets diagnostics."""
    found, mistakes = read_policies([PolicyFile("a.yaml", text)])
    assert mistakes or found.authorization


@settings(max_examples=200, deadline=None)
@given(
    path=st.text(max_size=12),
    host=st.text(max_size=8),
    header=st.text(max_size=8),
    address=st.text(max_size=8),
    claims=st.sampled_from(["", "{}", '{"iss":7}', '{"iss":"a","sub":["b"]}', '{"a":{"b":[1,null,"x"]}}']),
)
def test_no_question_breaks_the_matcher(path: str, host: str, header: str, address: str, claims: str) -> None:
    """Whatever a request holds, there is a decision, and reasons for it."""
    rule = {
        "from": [{"source": {"requestPrincipals": ["a/*"], "notIpBlocks": ["10.0.0.0/8"], "remoteIpBlocks": ["::/0"]}}],
        "to": [{"operation": {"paths": ["/{*}/x", "*é"], "hosts": ["É*"], "methods": ["*"]}}],
        "when": [{"key": "request.headers[x]", "values": ["*"]}, {"key": "request.auth.claims[a][b]", "values": ["x"]}],
    }
    text = json.dumps(VALID | {"spec": {"action": "DENY", "rules": [rule]}})
    engine = IstioEngine.from_sources([PolicyFile("a.yaml", text)], DIRECTORY)
    asked = Question(
        "", "a", "planner", "GET", path, "", "", mutual=False, host=host, source_ip=address, claims=claims,
        headers=(("x", header), ("x-forwarded-for", address)),
    )  # fmt: skip
    assert engine.decide(asked).rule
    assert len(engine.explain(asked)) == 1
