"""What answers tell of the mesh: at every fidelity, with its bytes, and only to whom the settings say."""

from __future__ import annotations

from base64 import b64decode

import pytest

from meshsim.sidecar.answers import PEER_METADATA, PEER_METADATA_ID
from tests.world.conftest import TWO_EDGES, Result, Simulate

SCENARIO = (
    TWO_EDGES
    + """\
scenario: answers
services:
  shop: {replicas: {edge-2: 1}, work: {constant: 25 ms}, labels: {release: summer}}
fleets: {phones: {node: edge-1}}
traffic:
  - {from: phones, to: shop, slice: web, headers: ASKED, arrivals: {constant: 10 /s}}
mesh: {http: {proxy_headers: HEADERS}}
"""
)
ASKING = f"{{{PEER_METADATA}: a, {PEER_METADATA_ID}: a}}"


def told(simulate: Simulate, headers: str, asked: str = "{}", **settings: object) -> Result:
    """The run with some settings, which is the same at each fidelity."""
    text = SCENARIO.replace("ASKED", asked).replace("HEADERS", headers)
    real, modelled = (simulate(text, fidelity=level, **settings) for level in ("real", "modelled"))
    assert real.content() == modelled.content()
    return real


@pytest.mark.parametrize(
    ("headers", "asked", "exposed"),
    [
        ("{}", "{}", "server x-envoy-upstream-service-time"),
        ("{server: {disabled: true}}", "{}", "x-envoy-upstream-service-time"),
        ("{envoy_debug_headers: {disabled: true}}", "{}", "server"),
        ("{server: {disabled: true}, envoy_debug_headers: {disabled: true}}", "{}", ""),
        ("{}", ASKING, f"server x-envoy-upstream-service-time {PEER_METADATA} {PEER_METADATA_ID}"),
        ("{}", f"{{{PEER_METADATA_ID}: a}}", f"server x-envoy-upstream-service-time {PEER_METADATA_ID}"),
        ("{peer_metadata: false}", ASKING, "server x-envoy-upstream-service-time"),
        ("null", ASKING, ""),
    ],
)
def test_each_setting_takes_its_field_away(simulate: Simulate, headers: str, asked: str, exposed: str) -> None:
    """Answers have the fields that the settings leave, and peer metadata only for who sends fields of that name."""
    assert {row.exposed for row in told(simulate, headers, asked).requests} == {exposed}


def test_the_question_can_be_taken_off(simulate: Simulate) -> None:
    """Fields that are removed from what fleets send are not answered."""
    settings = {"mesh__http__identity_headers": ["x-envoy-peer-*"]}
    assert {row.exposed for row in told(simulate, "{}", ASKING, **settings).requests} == {
        "server x-envoy-upstream-service-time"
    }


def test_answers_are_larger_by_what_they_tell(simulate: Simulate) -> None:
    """Each field is on the wire: in HTTP/2 at least a byte for its name, and the value."""
    sizes = [
        {row.bytes_received for row in told(simulate, headers, asked).calls if row.call_id > 1}.pop()
        for headers, asked in (("null", ASKING), ("{peer_metadata: false}", ASKING), ("{}", ASKING))
    ]
    assert sizes[0] < sizes[1] < sizes[2] - 200


def test_a_workloads_own_server_is_left_or_covered(simulate: Simulate) -> None:
    """Where the sidecar does not write the field, the workload's own word goes out."""
    own = {"services__shop__server": "gunicorn/20.1"}
    assert {row.exposed for row in told(simulate, "null", **own).requests} == {"server"}
    quiet = "{server: {disabled: true}, envoy_debug_headers: {disabled: true}}"
    assert {row.exposed for row in told(simulate, quiet, **own).requests} == {"server"}


def test_refusals_tell_less(simulate: Simulate) -> None:
    """What a sidecar answers itself says who it is, but not how long a workload took."""
    checked = {"issuers": ["depot"], "audiences": ["a"], "required": True}
    denying = {"mesh__tokens": {"issuers": {"depot": {}}}, "services__shop__request_authentication": checked}
    result = told(simulate, "{}", **denying)
    assert {(row.status, row.exposed) for row in result.requests} == {(401, "server")}


def test_requests_that_are_not_read_are_answered_likewise(simulate: Simulate) -> None:
    """Envoy's 400 says who gives it, and so does a sidecar's here, unless the field is left to workloads."""
    malformed = {"traffic__0__malformed": "two-lengths"}
    assert {(row.status, row.exposed) for row in told(simulate, "{}", **malformed).requests} == {(400, "server")}
    quiet = told(simulate, "{server: {disabled: true}}", **malformed)
    assert {(row.status, row.exposed) for row in quiet.requests} == {(400, "")}


def test_metadata_is_a_protobuf_of_the_workload(simulate: Simulate) -> None:
    """It holds what Istio's sidecars exchange: the pod's name, its namespace, its address and labels."""
    result = told(simulate, "{}", ASKING)
    (replica,) = (host for host in result.world._state.hosts() if host.workload == "shop")
    rules = replica.sidecar.inbound._answers
    assert rules is not None
    fields = dict(rules.metadata)
    assert fields[PEER_METADATA_ID] == "sidecar~10.244.1.2~shop-0.default~default.svc.cluster.local"
    whole = b64decode(fields[PEER_METADATA])
    for text in (b"INSTANCE_IPS", b"10.244.1.2", b"release", b"summer", b"SERVICE_ACCOUNT", b"shop-0"):
        assert text in whole


def test_a_service_has_settings_of_its_own(simulate: Simulate) -> None:
    """They stand in place of the mesh's."""
    own = {"services__shop__proxy_headers": {"envoy_debug_headers": {"disabled": True}}}
    assert {row.exposed for row in told(simulate, "{}", **own).requests} == {"server"}


@pytest.mark.parametrize("mode", ["STRICT", "PERMISSIVE", "DISABLE"])
def test_who_asks_is_told_whether_or_not_it_shows_a_certificate(simulate: Simulate, mode: str) -> None:
    """Envoy answers the question of anybody, in plain text too, unless it is taken off."""
    asked = told(simulate, "{}", ASKING, mesh__tls__mode=mode)
    assert {row.exposed for row in asked.requests} == {
        f"server x-envoy-upstream-service-time {PEER_METADATA} {PEER_METADATA_ID}"
    }
    off = told(simulate, "{}", ASKING, mesh__tls__mode=mode, mesh__http__identity_headers=["x-envoy-peer-*"])
    assert {row.exposed for row in off.requests} == {"server x-envoy-upstream-service-time"}
