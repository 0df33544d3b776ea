"""Each mistake in a scenario file is told at its place, with what would be right."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_scenario, load_text
from meshsim.scenario.pattern_words import PATTERNS
from meshsim.scenario.schema import schema_text
from meshsim.scenario.yaml_text import parse_yaml

DATA = Path(__file__).parent / "data"
VALID = (DATA / "valid.yaml").read_text(encoding="utf-8")
MISTAKES: list[dict[str, Any]] = parse_yaml((DATA / "mistakes.yaml").read_text(encoding="utf-8"), "mistakes.yaml")[0]


def told(text: str, *overrides: str) -> list[str]:
    """What is said of a scenario text in the folder of the valid one, without the folder; nothing if it is accepted."""
    try:
        load_text(text, DATA / "valid.yaml", overrides)
    except ScenarioError as error:
        return [str(one).replace(f"{DATA}/", "") for one in error.diagnostics]
    return []


def test_valid_is_accepted() -> None:
    """The scenario that the mistakes are made in has none."""
    assert load_scenario(DATA / "valid.yaml").scenario.scenario == "corridor"


def test_the_table_is_long() -> None:
    """The table holds at least 150 mistakes, each of them made in text that is there."""
    assert len(MISTAKES) >= 150
    assert all(VALID.count(mistake["replace"]) >= 1 for mistake in MISTAKES)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake["by"].strip()[:50] or "left out")
def test_mistake(mistake: dict[str, Any]) -> None:
    """A mistake is told with exactly these places and words."""
    assert told(VALID.replace(mistake["replace"], mistake["by"], 1)) == mistake["says"]


def test_messages_are_short_and_say_what_is_right() -> None:
    """A message has one line of at most 165 characters, and its second half says what would be right."""
    for mistake in MISTAKES:
        for line in mistake["says"]:
            message = line.split(": ", 1)[1]
            assert len(message) <= 165, message
            assert re.search("; (expected|did you mean|the scenario declares no) ", message), message


def test_all_mistakes_at_once() -> None:
    """Structure, names, sums, reach and files are told together, though the structure is broken."""
    text = VALID
    for old, new in (
        ("seed: 7", "sed: 7"),
        ("latency: 5 ms", "latency: -5 ms"),
        ("share: 30 %", "share: 30 %, shar: 1 %"),
        ("five_qi: 80,", "five_qi: 80, share: 80 %,"),
        ("file: drive.csv", "file: none.csv"),
        ("{to: maps,", "{to: mops,"),
        ("{constant: 200 us}", "{constant: 200}"),
        ("    - {between: [gnb-2, edge-1], latency: 1 ms}\n", ""),
        ("target: ring", "target: rnig"),
        ("never: plaintext-on-wire", "never: plaintext"),
    ):
        assert text.count(old) >= 1
        text = text.replace(old, new, 1)
    assert told(text) == [
        "valid.yaml:3:1: unknown key 'sed'; did you mean 'seed'?",
        "valid.yaml:15:44: '-5 ms' is negative; expected zero or more, such as '10 ms'",
        "valid.yaml:16:3: the shares of the slices add up to 110 %; expected at most 100 %",
        "valid.yaml:17:63: unknown key 'shar'; did you mean 'share'?",
        "valid.yaml:21:21: 'none.csv': there is no such file; expected one that exists",
        "valid.yaml:31:14: there is no service 'mops'; did you mean 'maps'?",
        "valid.yaml:35:51: 200 has no unit; expected a quantity with a unit such as '10 ms'",
        "valid.yaml:48:22: no replica of 'planner' can be reached from node 'gnb-2'; expected links that join them",
        "valid.yaml:55:55: there is no link 'rnig'; did you mean 'ring'?",
        "valid.yaml:59:13: 'never' is 'plaintext', which is not known; did you mean 'plaintext-on-wire'?",
    ]


def test_conflicts_are_told_where_the_author_wrote() -> None:
    """Of two values that do not go together, the one that is told is set by hand: on the command line, or written."""
    said = "the authority's certificate lives no longer than 31536000 s (svid_ttl); expected ca_ttl to be more"
    option = "mesh.identity.svid_ttl=365 d"
    assert told(VALID, option) == [f"--set {option}: {said}"]
    both = VALID.replace("svid_ttl: 1 h", "svid_ttl: 1 h, ca_ttl: 365 d")
    assert told(both, option) == [f"--set {option}: {said}"]
    assert told(both.replace("1 h", "365 d")) == [f"valid.yaml:44:39: {said}"]
    late = "an attempt may take 2 s, all together 1 s; expected attempt_timeout to be at most that"
    option = "mesh.resilience.request_timeout=1 s"
    assert told(VALID, option) == [f"--set {option}: {late}"]


def test_replicas_without_a_node() -> None:
    """A bare number of replicas is answered with the form that is expected."""
    said = "valid.yaml:29:15: 'replicas' is 2; expected a mapping from nodes to numbers, such as {edge-1: 2}"
    assert told(VALID.replace("replicas: {edge-1: 2}", "replicas: 2")) == [said]


def test_no_name_for_each_flow() -> None:
    """Two flows of one fleet need names, since tables tell them apart by name."""
    flow = "  - {from: cars, to: vision, slice: video, arrivals: {constant: 1 /s}}\nphases:"
    said = "valid.yaml:52:12: a second flow is called 'cars'; expected a 'name' for each flow of the fleet"
    assert told(VALID.replace("phases:", flow, 1)) == [said]


def test_fan_out() -> None:
    """Calls that multiply at every level are refused before they are made."""
    shape = "{replicas: {edge-1: 1}, work: {constant: 0 ms}"
    chain = [f"  s{level}: {shape}, calls: [{', '.join([f'{{to: s{level + 1}}}'] * 10)}]}}\n" for level in range(5)]
    text = VALID.replace("services:\n", f"services:\n{''.join(chain)}  s5: {shape}}}\n")
    text = text.replace(
        "phases:", "  - {name: s, from: cars, to: s0, slice: video, arrivals: {constant: 1 /s}}\nphases:"
    )
    assert told(text) == ["valid.yaml:29:3: one request to 's1' sets off 11110 calls; expected at most 10000"]
    assert told(text.replace("calls: [", "calls: [{one_of: [").replace("}]}\n", "}]}]}\n")) == []


def test_an_authorizer_apart() -> None:
    """An authorizer that no proxy could ever reach is told, rather than being asked in vain for the whole run."""
    text = VALID.replace("    core-1: {kind: core}\n", "    core-1: {kind: core}\n    lone: {kind: edge}\n")
    text = text.replace("default: deny}", "default: deny, authorizer: {node: lone}}")
    said = "the authorizer on 'lone' cannot reach node 'edge-1'; expected links that join them"
    assert told(text) == [f"valid.yaml:46:67: {said}"]


def test_unused_things_are_mistakes() -> None:
    """What is declared and never used would be ignored in silence, so it is told."""
    text = VALID.replace("    video: {sst: 1", "    spare: {sst: 3, five_qi: 9}\n    video: {sst: 1")
    text = text.replace("    core-1: {kind: core}", "    core-1: {kind: core}\n    core-9: {kind: core}")
    text = text.replace("fleets:\n", "  idle: {replicas: {core-1: 1}, work: {constant: 0 ms}}\nfleets:\n")
    assert told(text) == [
        "valid.yaml:12:5: the node 'core-9' is declared but never used; expected a link, replica, cell or fleet on it",
        "valid.yaml:20:5: the slice 'spare' is declared but never used; expected a flow in it, or not to be here",
        "valid.yaml:39:3: the service 'idle' is declared but never used; "
        "expected a flow or call to it, or not to be here",
    ]


def _patterns(schema: Any) -> set[str]:
    """Every pattern in a JSON Schema, of values and of keys."""
    if isinstance(schema, list):
        return set().union(*map(_patterns, schema))
    if not isinstance(schema, dict):
        return set()
    found = {one for key, one in schema.items() if key == "pattern" and isinstance(one, str)}
    keys = schema.get("patternProperties")
    found |= set(keys) if isinstance(keys, dict) else set()
    return found.union(*map(_patterns, schema.values()))


def test_every_pattern_has_words() -> None:
    """A text that a pattern refuses is told what it is not, and what would be right; quantities have words of units."""
    patterns = _patterns(json.loads(schema_text()))
    assert len(patterns) > 20
    named = {pattern.strip("^$") for pattern in patterns if "[0-9]{1,18}" not in pattern}
    assert named - PATTERNS.keys() == set()


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("services.planner.server=''", "'server' is an empty text; expected some, or no such key"),
        ('services.planner.server="a\\nb"', "is no value of a header field; expected up to 4096 visible ASCII"),
        (
            "services.planner.proxy_headers={server: {disabled: true, value: x}}",
            "the field is left as it is and has a value; expected disabled or value",
        ),
        ("mesh.http={identity_headers: [X-User]}", "'X-User' stands for no header fields; expected a name in lower"),
        (
            "expect=[{requests_exposed: {at_most: 0}}]",
            "no sidecar says anything of itself in answers; expected mesh.http.proxy_headers",
        ),
    ],
)
def test_mistakes_in_what_answers_tell(override: str, says: str) -> None:
    """Fields about header fields and manifests refuse what would say nothing, with words of their own."""
    found = told(VALID, override)
    assert any(says in line for line in found), found


def test_a_request_has_no_more_fields_than_envoy_takes() -> None:
    """Ninety fields of a flow are taken and one more is not: the mesh adds its own to them."""
    for count, mistakes in ((90, 0), (91, 1)):
        fields = ", ".join(f"x-{number}: a" for number in range(count))
        found = told(VALID, f"traffic.0.headers={{{fields}}}")
        assert [f"there are {count} header fields; expected at most 90" in one for one in found] == [True] * mistakes


@pytest.mark.parametrize(
    "expectation",
    ["handshakes: {at_least: 1}", "certificates_issued: {at_least: 1}", "decisions_wrongly_denied: {at_most: 0}"],
)
def test_services_that_other_services_alone_call_can_be_expected_of(expectation: str) -> None:
    """What a service has whoever calls it is measured though no flow leads to it."""
    assert told(VALID, "phases={}", f"expect=[{{service: maps, {expectation}}}]") == []


def test_faults_of_things_that_are_called_alike_do_not_meet() -> None:
    """A trust domain, a token issuer and a node may have one name, and faults of them be at the same time."""
    domain = "edge-2: {node: core-1, services: [store], endpoint: {}, trusts: [corridor.example]}"
    overrides = (
        f"mesh.federation={{endpoint: {{}}, trusts: [edge-2], domains: {{{domain}}}}}",
        "mesh.tokens.issuers={edge-2: {endpoint: {}}}",
        "fleets.office.token={issuer: edge-2}",
        "faults=[{kind: token-outage, target: edge-2, at: 1 s, for: 3 s}, {kind: node-crash, target: edge-2, at: 2 s, "
        "for: 1 s}, {kind: bundle-endpoint, target: edge-2, at: 2 s, for: 1 s}]",
        "expect=[]",
        "phases={}",
    )
    assert told(VALID, *overrides) == []
