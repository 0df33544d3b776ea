"""Conditions that Istio has not: keys meshsim.*."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.policy.engine import Directory, PolicyFile
from meshsim.policy.istio import IstioEngine
from meshsim.policy.istio_own import OWN_KEYS, bounds_s, own_match
from meshsim.policy.question import Question

DAY_S = 86_400
NOON_S = 1_767_225_600 + DAY_S // 2
"""2026-01-01T12:00:00Z."""
DIRECTORY = Directory(
    services=frozenset({"planner"}), slices=frozenset({"control", "video"}), sites=frozenset({"plant", "depot"})
)


def holds(key: str, *values: str, **attributes: object) -> bool:
    """Whether a condition holds of a question."""
    fields: dict[str, object] = {"slice": "control", "site": "plant"} | attributes
    asked = Question("", "a", "planner", "GET", "/", mutual=False, **fields)  # type: ignore[arg-type] # fields of Question
    policy = {
        "apiVersion": "security.istio.io/v1beta1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "a"},
        "spec": {"rules": [{"when": [{"key": key, "values": list(values)}]}]},
    }
    return IstioEngine.from_sources([PolicyFile("a", json.dumps(policy))], DIRECTORY).decide(asked).allowed


@pytest.mark.parametrize(
    ("key", "value", "attributes", "expected"),
    [
        ("meshsim.slice", "control", {}, True),
        ("meshsim.slice", "video", {}, False),
        ("meshsim.slice", "*", {"slice": ""}, False),
        ("meshsim.site", "pl*", {}, True),
        ("meshsim.site", "depot", {}, False),
        ("meshsim.node", "edge-a", {"node": "edge-a"}, True),
        ("meshsim.source.node", "*-b", {"source_node": "edge-b"}, True),
        ("meshsim.tls.version", "1.3", {"tls_version": "1.3"}, True),
        ("meshsim.tls.version", "1.3", {"tls_version": ""}, False),
        ("meshsim.tls.cipher", "TLS_AES_256*", {"cipher": "TLS_AES_256_GCM_SHA384"}, True),
        ("meshsim.tls.group", "X25519MLKEM768", {"group": "X25519"}, False),
        ("meshsim.certificate.age", "< 1 h", {"certificate_age_s": 3599}, True),
        ("meshsim.certificate.age", "< 1 h", {"certificate_age_s": 3600}, False),
        ("meshsim.certificate.age", "<= 1 h", {"certificate_age_s": 3600}, True),
        ("meshsim.certificate.age", ">=1 h", {"certificate_age_s": 3600}, True),
        ("meshsim.certificate.age", "> 0.5 s", {"certificate_age_s": 1}, True),
        ("meshsim.certificate.age", "< 1 h", {"certificate_age_s": -1}, False),
        ("meshsim.certificate.age", ">= 0 s", {"certificate_age_s": -1}, False),
        ("meshsim.time", "12:00-13:00", {"time_s": NOON_S}, True),
        ("meshsim.time", "11:00-12:00", {"time_s": NOON_S}, False),
        ("meshsim.time", "11:00-12:00", {"time_s": NOON_S - 1}, True),
        ("meshsim.time", "22:00-06:00", {"time_s": NOON_S}, False),
        ("meshsim.time", "22:00-06:00", {"time_s": NOON_S + 10 * 3600}, True),
        ("meshsim.time", "22:00-06:00", {"time_s": NOON_S - 6 * 3600}, False),
        ("meshsim.time", "22:00-06:00", {"time_s": NOON_S - 6 * 3600 - 1}, True),
        ("meshsim.time", "00:00-24:00", {"time_s": NOON_S}, True),
        ("meshsim.time", ">= 2026-01-01T12:00:00Z", {"time_s": NOON_S}, True),
        ("meshsim.time", "< 2026-01-01T12:00:00Z", {"time_s": NOON_S}, False),
        ("meshsim.time", "< 2026-01-01T14:00:00+02:00", {"time_s": NOON_S - 1}, True),
    ],
)
def test_conditions(key: str, value: str, attributes: dict[str, object], expected: bool) -> None:
    """Texts match as everywhere in Istio; ages and times are compared, and no certificate has no age."""
    assert holds(key, value, **attributes) is expected


def test_several_values() -> None:
    """Any of several values is enough, for ages and times too."""
    assert holds("meshsim.slice", "video", "control")
    assert holds("meshsim.certificate.age", "< 1 min", "> 1 h", certificate_age_s=4000)
    assert not holds("meshsim.certificate.age", "< 1 min", "> 1 h", certificate_age_s=100)


def test_every_key_can_be_used() -> None:
    """Each key that is documented is known to the engine."""
    values = {"meshsim.slice": "control", "meshsim.certificate.age": "> 1 s", "meshsim.time": "> 1970-01-01"}
    assert all(isinstance(holds(key, values.get(key, "*")), bool) for key in OWN_KEYS)


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 24), st.integers(0, DAY_S - 1))
def test_parts_of_the_day(hour: int, minute: int, end: int, second: int) -> None:
    """A part of the day holds from its first second to the one before its end, over midnight too."""
    text = f"{hour:02}:{minute:02}-{end:02}:00"
    begin_s, end_s = hour * 3600 + minute * 60, end * 3600
    if begin_s == end_s:
        return
    question = Question("", "", "", "", "", "", "", mutual=False, time_s=NOON_S - DAY_S // 2 + second)
    within = begin_s <= second < end_s if begin_s < end_s else second >= begin_s or second < end_s
    assert own_match("meshsim.time", text)(question) is within
    assert bounds_s("meshsim.time", text) == (begin_s, end_s)
