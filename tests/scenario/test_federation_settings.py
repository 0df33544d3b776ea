"""Mistakes about federation, each told at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_text
from meshsim.scenario.model import Scenario

TEXT = """\
scenario: apart
duration: 1 min
network:
  nodes: {core: {kind: core}, far: {kind: core}, hop: {kind: router}}
  links: [{between: [core, far], latency: 1 ms}, {between: [core, hop], latency: 1 ms}]
  slices: {web: {sst: 1, five_qi: 9}}
services: {front: {replicas: {far: 1}, work: {constant: 1 ms}}}
fleets: {client: {node: core}}
traffic: [{from: client, to: front, slice: web, arrivals: {constant: 1 /s}}]
mesh:
  trust_domain: own.example
  federation:
    trusts: [far.example]
    domains:
      far.example:
        node: far
        services: [front]
        trusts: [own.example]
        endpoint: {refresh_hint: 60 s}
        identity: {svid_ttl: 10 min}
faults: [{kind: bundle-endpoint, target: far.example, at: 10 s, for: 10 s}]
"""


def told(text: str) -> list[str]:
    """What is said of a scenario; nothing if it is accepted."""
    try:
        load_text(text, Path("apart.yaml"))
    except ScenarioError as error:
        return [str(one) for one in error.diagnostics]
    return []


def loaded(text: str) -> Scenario:
    """The scenario of a text."""
    return load_text(text, Path("apart.yaml")).scenario


@pytest.mark.parametrize(
    ("wrong", "right", "says"),
    [
        (
            "trusts: [far.exmple]",
            "trusts: [far.example]",
            "13:14: there is no trust domain 'far.exmple'; did you mean 'far.example'?",
        ),
        (
            "trusts: [own.example, far.example]",
            "trusts: [far.example]",
            "13:14: 'own.example' believes its own workloads anyway; expected trust domains beside it",
        ),
        (
            "trusts: [far.example, far.example]",
            "trusts: [far.example]",
            "13:27: 'far.example' stands here twice; expected it once",
        ),
        ("node: fra", "node: far", "16:15: there is no node 'fra'; did you mean 'far'?"),
        (
            "node: hop",
            "node: far",
            "16:15: a router carries no workloads; expected a node of kind edge, regional, core or gnb",
        ),
        (
            "node: alone",
            "node: far",
            "13:14: node 'core' cannot reach the bundle endpoint of 'far.example' on 'alone'; expected links that join "
            "them\n18:18: node 'alone' cannot reach the bundle endpoint of 'own.example' on 'core'; expected links "
            "that join them",
        ),
        ("services: [fornt]", "services: [front]", "17:20: there is no service 'fornt'; did you mean 'front'?"),
        (
            "fleets: [front]",
            "services: [front]",
            "17:18: there is no fleet 'front'; expected client",
        ),
        (
            "services: [front, front]",
            "services: [front]",
            "17:27: 'front' is twice here; expected it in one, once",
        ),
        (
            "services: []",
            "services: [front]",
            "15:7: nobody is in the trust domain 'far.example'; expected services, fleets or both",
        ),
        (
            "endpoint: {refresh_hint: 1500 ms}",
            "endpoint: {refresh_hint: 60 s}",
            "19:34: '1.5 s' is no whole number of seconds; expected one, as bundles have it",
        ),
        (
            "endpoint: {profile: https}",
            "endpoint: {refresh_hint: 60 s}",
            "19:29: 'profile' is 'https', which is not known; did you mean 'https_web'?",
        ),
        (
            "identity: {svid_ttl: 30500 ms}",
            "identity: {svid_ttl: 10 min}",
            "20:30: '30.5 s' is no whole number of seconds; expected one, as X.509 has it",
        ),
        (
            "identity: {svid_ttl: 400 d}",
            "identity: {svid_ttl: 10 min}",
            "20:30: the authority's certificate lives no longer than 34560000 s (svid_ttl); expected ca_ttl to be more",
        ),
        (
            "identity: {ca_ttl: 1 d, ca_age: 2 d}",
            "identity: {svid_ttl: 10 min}",
            "20:41: the authority is 172800 s old when the run begins, and lives for 86400 s; expected it to be "
            "younger",
        ),
        (
            "identity: {issuers: {}}",
            "identity: {svid_ttl: 10 min}",
            "20:20: unknown key 'issuers'; did you mean 'issuer'?",
        ),
        (
            "target: far.exampel",
            "target: far.example",
            "21:42: there is no trust domain 'far.exampel'; did you mean 'far.example'?",
        ),
        (
            "serves: rubbish, target: far.example",
            "target: far.example",
            "21:42: 'serves' is 'rubbish', which is not known; expected nothing, older, empty or malformed",
        ),
        (
            "kind: ca-rotation, target: far",
            "kind: bundle-endpoint, target: far.example",
            "21:38: there is no authority 'far'; expected authority or far.example",
        ),
        (
            "kind: ca-rotation, target: own.example",
            "kind: bundle-endpoint, target: far.example",
            "21:38: 'own.example' is the mesh's own trust domain; expected authority, or no target",
        ),
        (
            "      own.example:",
            "      far.example:",
            "13:14: there is no trust domain 'far.example'; there is none\n"
            "15:7: 'own.example' is the mesh's own trust domain (mesh.trust_domain); expected another one\n"
            "21:42: there is no trust domain 'far.example'; did you mean 'own.example'?",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else "",
)
def test_mistakes(wrong: str, right: str, says: str) -> None:
    """Each mistake is told with exactly this place and these words."""
    text = TEXT.replace(right, wrong, 1)
    if wrong == "node: alone":
        text = text.replace("hop: {kind: router}", "hop: {kind: router}, alone: {kind: edge}")
    assert told(text) == [f"apart.yaml:{line}" for line in says.split("\n")]


def test_accepted() -> None:
    """Without mistakes there is nothing to tell, and each workload is in one trust domain."""
    assert told(TEXT) == []
    mesh = loaded(TEXT).mesh
    assert mesh.trust_domains == ("own.example", "far.example")
    assert (mesh.trust_domain_of("front"), mesh.trust_domain_of("client")) == ("far.example", "own.example")
    assert mesh.trusted_by("own.example") == ("far.example",)


def test_settings_are_the_meshs_unless_given() -> None:
    """What a trust domain does not say of its certificates is as mesh.identity has it, but for who issues them."""
    text = TEXT.replace("  federation:", "  identity: {svid_ttl: 1 d, ca_key: ed25519, issuer: {}}\n  federation:")
    mesh = loaded(text).mesh
    own, far = mesh.identity_of("own.example"), mesh.identity_of("far.example")
    assert (own.svid_ttl_ns // 10**9, far.svid_ttl_ns // 10**9) == (86_400, 600)
    assert own.ca_key == far.ca_key == "ed25519"
    assert own.issuer is not None
    assert far.issuer is None


def test_in_two_domains() -> None:
    """A service is in one trust domain."""
    more = "      third.example: {node: core, services: [front]}\nfaults:"
    assert told(TEXT.replace("faults:", more)) == [
        "apart.yaml:21:46: 'front' is in the trust domain 'far.example' too; expected it in one, once"
    ]


def test_fault_without_federation() -> None:
    """A bundle endpoint can't fail where there is none."""
    text = TEXT[: TEXT.index("  federation:")] + TEXT[TEXT.index("faults:") :]
    assert told(text) == ["apart.yaml:12:17: no trust domain has a bundle endpoint; expected mesh.federation"]


@pytest.mark.parametrize(
    ("expectation", "says"),
    [
        (
            "{bundles_taken: {at_least: 1}, slice: web}",
            "22:10: bundles_taken is about trust domains; expected no slice",
        ),
        (
            "{bundle_lag_max: {at_most: 1}}",
            "22:37: 1 has no unit; expected a quantity with a unit such as '10 ms'",
        ),
    ],
)
def test_expectations(expectation: str, says: str) -> None:
    """Expectations about bundles are about all of them."""
    assert [line.removeprefix("apart.yaml:") for line in told(f"{TEXT}expect: [{expectation}]\n")] == [says]


@pytest.mark.parametrize("metric", ["bundles_stale", "handshakes_refused_across"])
def test_expectations_without_federation(metric: str) -> None:
    """Where there is one trust domain nothing is between two."""
    text = TEXT[: TEXT.index("  federation:")] + f"expect: [{{{metric}: {{at_most: 0}}}}]\n"
    assert told(text) == [
        "apart.yaml:12:11: there is one trust domain, so nothing would be measured; expected mesh.federation"
    ]


def test_set_where_names_have_dots() -> None:
    """A value below a trust domain can be set on the command line, by the name as it is."""
    path = "mesh.federation.domains.far.example.endpoint.profile"
    scenario = load_text(TEXT, Path("apart.yaml"), [f"{path}=https_web"]).scenario
    assert scenario.mesh.endpoint_of("far.example").profile == "https_web"
    with pytest.raises(ScenarioError) as error:
        load_text(TEXT, Path("apart.yaml"), ["mesh.federation.domains.far.exampel.endpoint.profile=https_web"])
    assert "mesh.federation.domains.far leads nowhere; expected far.example" in str(error.value)
