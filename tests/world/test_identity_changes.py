"""Terms of certificates that change while a run goes on: who issues by them, who replaces by them, and from when on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.scenario.loader import load_text
from tests.world.conftest import Result

MS, S = 1_000_000, 1_000_000_000
SCENARIO = """\
scenario: terms
duration: 60 s
network:
  nodes: {edge-1: {kind: edge}, core-1: {kind: core}}
  links: [{name: trunk, between: [edge-1, core-1], latency: 5 ms}]
  slices: {web: {sst: 1, five_qi: 9}}
services:
  planner: {replicas: {edge-1: 2}, work: {constant: 1 ms}}
fleets:
  robots: {node: edge-1, size: 3}
mesh:
  control: {node: core-1}
  identity: {svid_ttl: 40 s, issuer: {}}
traffic:
  - {from: robots, to: planner, slice: web, arrivals: {constant: 4 /s}}
changes:
  - {name: other, at: 10 s, identity: {}}
"""
HOSTS = 5


def run(folder: Path, identity: str, *overrides: str, text: str = SCENARIO, more: str = "") -> Result:
    """Run the scenario with a change of identity, and ``more`` in it."""
    text = text.replace("identity: {}}", f"identity: {identity}{more}}}")
    return Result(load_text(text, folder / "terms.yaml", overrides))


def rotated(result: Result) -> list[tuple[float, float, float]]:
    """When certificates were replaced, from when on those are valid and until when; in seconds, rounded to a tenth."""
    rows = [row for row in result.identities if row.event == "rotated"]
    return [(round(row.t_ns / S, 1), row.not_before_ns / S, row.not_after_ns / S) for row in rows]


def times(result: Result) -> list[float]:
    """When certificates were replaced, each instant once."""
    return sorted({each[0] for each in rotated(result)})


def test_certificates_may_be_dated_back_for_longer_than_they_live(tmp_path: Path) -> None:
    """As Istio issues them: not-before is the instant of issue less ``backdate``, not-after is it and ``svid_ttl``."""
    terms = "mesh.identity={svid_ttl: 20 s, backdate: 120 s, issuer: {}}"
    change = "{svid_ttl: 10 s, renew: when-due}"
    found = [run(tmp_path, change, terms, f"fidelity={each}") for each in ("real", "modelled")]
    assert found[0].content() == found[1].content()
    assert rotated(found[0])[: 3 * HOSTS : HOSTS] == [(10.0, -110, 20), (15.0, -105, 25), (20.0, -100, 30)]
    assert {row.outcome for row in found[0].requests} == {"ok"}


def test_a_lifetime_is_cut_at_once(tmp_path: Path) -> None:
    """Every host that has the change has a new certificate, of the new life and date, and replaces it by that life."""
    found = [
        run(tmp_path, "{svid_ttl: 20 s, backdate: 5 s, renew: at-once}", f"fidelity={fidelity}")
        for fidelity in ("real", "sampled", "modelled")
    ]
    assert found[0].content() == found[1].content() == found[2].content()
    (row,) = found[0].changes
    (sent_bytes,) = {news.sent_bytes for news in found[0].configs if news.version == 2 and news.event == "acked"}
    # One after the other, at 1 Gbit/s.
    assert (row.proxies, row.acked, row.t_converged_ns) == (HOSTS, HOSTS, 10_105 * MS + HOSTS * sent_bytes * 8)
    assert {news.reason for news in found[0].configs if news.version == 2 and news.event == "acked"} >= {
        "other: certificates"
    }
    assert rotated(found[0])[: 2 * HOSTS] == [(10.1, 5, 30)] * HOSTS + [(20.0, 15, 40)] * HOSTS
    assert {one.purpose for one in found[0].issuances if one.t_start_ns < 15 * S} == {"renewal"}
    assert all(one.outcome == "ok" for one in found[0].requests)


def test_certificates_run_on_until_they_are_due(tmp_path: Path) -> None:
    """Unless it is said otherwise, the life of certificates that are out stays what it was."""
    told, untold = (run(tmp_path, f"{{svid_ttl: 10 s, backdate: 1 s{more}}}") for more in (", renew: when-due", ""))
    assert told.content() == untold.content()
    assert rotated(told)[: 2 * HOSTS] == [(20.0, 19, 30)] * HOSTS + [(25.0, 24, 35)] * HOSTS


@pytest.mark.parametrize("issuer", ["{}", "null"])
def test_the_point_of_rotation_holds_for_certificates_that_are_out(tmp_path: Path, issuer: str) -> None:
    """A host that hears of another point of rotation looks anew at the certificate that it has."""
    later = run(tmp_path, "{rotate_at: 75 %}", f"mesh.identity.issuer={issuer}")
    assert times(later) == [30.0]  # 75 % of 40 s; the next are due at the end of the run
    earlier = run(tmp_path, "{rotate_at: 10 %}", f"mesh.identity.issuer={issuer}")
    # 10 % were over at 4 s. With an issuer, what is overdue waits as long as for a first retry.
    assert times(earlier)[0] == (11.1 if issuer == "{}" else 10.1)
    never = run(tmp_path, "{rotate_at: 100 %}", f"mesh.identity.issuer={issuer}")
    assert times(never) == []
    assert sum(row.event == "expired" for row in never.identities) == HOSTS


def test_jitter_can_be_had_while_running(tmp_path: Path) -> None:
    """Rotations that were due together are spread when each host has heard of the jitter."""
    assert len({row.t_ns // (100 * MS) for row in run(tmp_path, "{svid_ttl: 40 s}").identities}) == 3
    result = run(tmp_path, "{rotate_jitter: 10 %}")
    first = [t for t, _, _ in rotated(result)[:HOSTS]]
    assert len(set(first)) == HOSTS
    assert min(first) >= 16
    assert max(first) <= 24.1


def test_who_is_cut_off_goes_by_what_it_has(tmp_path: Path) -> None:
    """While the way to the control plane is cut, hosts replace certificates as before; what they are issued is new."""
    cut = "faults: [{at: 9 s, for: 20 s, kind: link-down, target: trunk}]\n"
    identity = "issuer: {node: edge-1}"
    text = SCENARIO.replace("issuer: {}", identity) + cut
    result = run(tmp_path, "{svid_ttl: 12 s, rotate_at: 25 %}", text=text)
    assert rotated(result)[:HOSTS] == [(20.0, 10, 32)] * HOSTS  # at half of 40 s
    # What they then have is of the new life, and replaced at half of it until they hear of another point: 20 + 6 s.
    assert times(result)[1] == 26.0
    (row,) = result.changes
    assert row.t_converged_ns > 29 * S


def test_what_is_rolled_back_is_issued_no_more(tmp_path: Path) -> None:
    """Where a change is rejected and taken back, certificates are issued by the former terms again."""
    rejected = SCENARIO.replace(", issuer: {}", "")
    rejected += "faults: [{at: 1 s, for: 50 s, kind: push-rejected, target: planner}]\n"
    terms = "{svid_ttl: 10 s, backdate: 0 s, renew: at-once}"
    result = run(tmp_path, terms, "mesh.control.on_reject=roll_back", text=rejected)
    (row,) = result.changes
    assert row.rolled_back
    assert rotated(result)[:3] == [(10.1, 10, 20)] * 3  # the fleet had the change, and renewed
    late = rotated(result)[3:]
    assert late[:3] == [(15.1, 5, 55)] * 3
    assert all(end - begin == 50 for _, begin, end in late)


@pytest.mark.parametrize(("renew", "at_s"), [("", 10.1), ("renew: at-once", 10.1), ("renew: when-due", 20.0)])
def test_keys_change_at_once_or_when_due(tmp_path: Path, renew: str, at_s: float) -> None:
    """Another type of key comes with the next certificate: at once, unless certificates are to run on."""
    tls = ", workloads: {planner: {key: ed25519}}"
    text = SCENARIO.replace(", identity: {}", "") if not renew else SCENARIO
    text = text.replace("at: 10 s}", f"at: 10 s{tls}}}")
    overrides = ("fidelity=real", "mesh.pool={idle_timeout: 30 ms}", "mesh.tls.resumption=false")
    result = run(tmp_path, f"{{{renew}}}", *overrides, text=text, more=tls if renew else "")
    presented = [(round(one.t_start_ns / S, 1), one.key_type) for one in result.handshakes]
    assert {key for t, key in presented if t < at_s} == {"ecdsa-p256"}
    assert {key for t, key in presented if t > at_s + 0.3} == {"ed25519"}
    assert all(one.outcome == "established" for one in result.handshakes)


def test_who_is_about_to_get_a_certificate_gets_another(tmp_path: Path) -> None:
    """A key that was made before another type was asked for is not what is presented in the end."""
    slow = SCENARIO.replace("latency: 5 ms", "latency: 400 ms").replace("at: 10 s", "at: 19500 ms")
    # All ask for certificates at 20 s, hear of the change at 20.0 s, and are answered at 20.8 s.
    tls = ", workloads: {planner: {key: ed25519}}"
    result = run(tmp_path, "{renew: at-once}", "fidelity=real", text=slow, more=tls)
    planner = [row for row in result.issuances if "planner" in row.host]
    assert [(row.purpose, round(row.t_end_ns / S, 1)) for row in planner[:4]] == [
        ("rotation", 20.8),
        ("rotation", 20.8),
        ("renewal", 21.6),
        ("renewal", 21.6),
    ]
    assert len([row for row in result.issuances if "robots" in row.host and row.t_end_ns < 25 * S]) == 3


def test_who_is_onboarding_does_not_miss_a_change(tmp_path: Path) -> None:
    """A workload that is still on its way when a change is pushed has it, and a key of the new type, before long."""
    early = SCENARIO.replace("at: 10 s", "at: 2 ms").replace("issuer: {}", "at_start: onboarding, issuer: {}")
    early = early.replace("control: {node: core-1}", "control: {node: core-1, debounce: 10 ms}")
    tls = ", workloads: {planner: {key: ed25519}}"
    result = run(tmp_path, "{rotate_at: 25 %}", "fidelity=real", "mesh.tls.resumption=false", text=early, more=tls)
    assert {one.key_type for one in result.handshakes if one.t_start_ns > S} == {"ed25519"}
    purposes = [row.purpose for row in result.issuances if row.outcome == "done"]
    assert purposes[:HOSTS] == ["onboarding"] * HOSTS
    assert purposes[HOSTS : HOSTS + 2] == ["renewal"] * 2
    assert 9 < min(t for t, _, _ in rotated(result) if t > 1) < 11  # a quarter of 40 s


CHANGES = st.lists(
    st.tuples(st.integers(0, 40_000), st.integers(6, 60), st.integers(0, 5), st.sampled_from(["at-once", "when-due"])),
    min_size=1,
    max_size=4,
)


@settings(max_examples=15, deadline=None)
@given(CHANGES)
def test_certificates_are_of_the_terms_of_their_instant(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int, int, str]]
) -> None:
    """Whatever changes when, a certificate is issued by the newest terms, and none ends unreplaced."""
    lines = [
        f"  - {{at: {at_ms} ms, identity: {{svid_ttl: {ttl_s} s, backdate: {back_s} s, renew: {renew}}}}}\n"
        for at_ms, ttl_s, back_s, renew in changes
    ]
    text = SCENARIO[: SCENARIO.index("  - {name: other")].replace(", issuer: {}", "") + "".join(lines)
    result = Result(load_text(text, tmp_path_factory.mktemp("law") / "terms.yaml", ("fidelity=modelled",)))
    terms = [(0, 40, 10), *sorted((at_ms * MS, ttl_s, back_s) for at_ms, ttl_s, back_s, _ in changes)]
    rows: list[Any] = result.identities
    assert {row.event for row in rows} <= {"issued", "rotated"}
    for row in rows:
        in_force = [each for each in terms if each[0] <= row.t_ns]
        newest = {each[1:] for each in in_force if each[0] == in_force[-1][0]}
        spans = {((row.t_ns - back * S) // S, (row.t_ns + ttl * S) // S) for ttl, back in newest}
        assert (row.not_before_ns // S, row.not_after_ns // S) in spans
    # Whoever is to renew at once has done so when all have the change.
    for change, row in zip(sorted(changes, key=lambda each: each[0]), result.changes, strict=True):
        if change[3] == "at-once" and row.t_converged_ns >= 0:
            held = {one.spiffe_id for one in rows if row.t_ns < one.t_ns <= row.t_converged_ns}
            assert len(held) == 4  # the two replicas have one name
