"""What control planes push takes its bytes on links: it is counted, waits its turn, is lost, and is sent again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from meshsim.network.tcp import HEADER_BYTES, SEGMENT_BYTES
from meshsim.scenario.loader import load_text
from tests.world.conftest import Result

MS, S = 1_000_000, 1_000_000_000
SCENARIO = """\
scenario: pushes
duration: 30 s
network:
  nodes: {core: {kind: core}, hub: {kind: router}, edge: {kind: edge}, far: {kind: edge}}
  links:
    - {name: trunk, between: [core, hub], latency: 5 ms, bandwidth: BANDWIDTH}
    - {name: last, between: [hub, edge], latency: 5 ms}
    - {name: side, between: [core, far], latency: 1 ms}
  slices: {web: {sst: 1, five_qi: 9}}
services:
  front: {replicas: {edge: 2}, work: {constant: 1 ms}}
  other: {replicas: {far: 1}, work: {constant: 1 ms}}
fleets:
  client: {node: edge, size: 4}
  clerk: {node: far, size: 1}
mesh:
  policy: {files: [small.cedar]}
  identity: {revocation: {deny_list: true}}
  control: {node: core}
traffic:
  - {from: client, to: front, slice: web, arrivals: {constant: 40 /s}}
  - {from: clerk, to: other, slice: web, arrivals: {constant: 2 /s}}
"""
SMALL = '@id("all") permit (principal, action, resource);\n'
LARGE = SMALL + "// why this is so, at length\n" * 3_000
HOSTS_AT_EDGE = 6
AT_FAR = ("other/0", "clerk/0")


def run(folder: Path, more: str, *overrides: str, bandwidth: str = "100 Mbit/s") -> Result:
    """Run the scenario over such a trunk, with ``more`` in it; traffic never leaves the edge."""
    (folder / "small.cedar").write_text(SMALL)
    (folder / "large.cedar").write_text(LARGE)
    text = SCENARIO.replace("BANDWIDTH", bandwidth) + more
    return Result(load_text(text, folder / "pushes.yaml", overrides))


def sent_bytes(result: Result, link: str) -> int:
    """What a direction of a link was offered."""
    return sum(row.sent_bytes for row in result.links if row.link == link)


def delivered_bytes(result: Result, link: str) -> int:
    """What came through."""
    return sum(row.delivered_bytes for row in result.links if row.link == link)


CHANGE = "changes: [{name: new, at: 10 s, POLICY}]\n".replace("POLICY", "policy: {files: [large.cedar]}")
EVERYTHING = (
    CHANGE
    + """\
faults:
  - {at: 4 s, kind: revoke, target: other}
  - {at: 6 s, for: 15 s, kind: node-crash, target: far}
"""
)


@pytest.mark.parametrize("impairment", ["", "loss: 2 %", "duplicate: 1 %"])
@pytest.mark.parametrize("at", ["core", "everything"])
def test_every_byte_is_counted(tmp_path: Path, impairment: str, at: str) -> None:
    """All bytes that leave the control plane are those of the rows of what it pushed, whatever becomes of them."""
    more = EVERYTHING if at == "everything" else CHANGE
    overrides = [f"network.links.0.{impairment.replace(': ', '=')}"] if impairment else []
    result = run(tmp_path, more, *overrides)
    rows = [row for row in result.configs if row.kind]
    assert {row.source for row in rows} == {"core"}
    kinds = {"configuration", "endpoints", "trust"} if at == "everything" else {"configuration"}
    assert {row.kind for row in rows} == kinds
    left = sent_bytes(result, "core->hub") + sent_bytes(result, "core->far")
    assert left == sum(row.sent_bytes for row in rows)  # what a link sends twice is no doing of the control plane's
    if not impairment:
        assert sent_bytes(result, "hub->edge") == sent_bytes(result, "core->hub")
    assert sum(row.sent_bytes for row in rows if row.event == "sent") == 0


@pytest.mark.parametrize("fidelity", ["real", "sampled"])
def test_every_fidelity_comes_to_the_same(tmp_path: Path, fidelity: str) -> None:
    """Decisions, pushes and all else are the same however often real components run; and in a second run."""
    found = run(tmp_path, EVERYTHING, f"fidelity={fidelity}", "network.links.0.loss=1 %").content()
    assert found == run(tmp_path, EVERYTHING, "fidelity=modelled", "network.links.0.loss=1 %").content()


def test_policies_take_their_bytes(tmp_path: Path) -> None:
    """A push of policies has the bytes of their files, in segments with headers, for each proxy."""
    result = run(tmp_path, CHANGE)
    rows = [row for row in result.configs if row.kind == "configuration" and row.event == "acked"]
    (each,) = {row.sent_bytes for row in rows if row.proxy not in AT_FAR}
    segments = -(-len(LARGE) // SEGMENT_BYTES)
    assert len(LARGE) + segments * HEADER_BYTES < each < (len(LARGE) + segments * HEADER_BYTES) * 1.01
    assert sent_bytes(result, "core->hub") == delivered_bytes(result, "hub->edge") == HOSTS_AT_EDGE * each


def test_pushes_queue_on_a_thin_link(tmp_path: Path) -> None:
    """Over a thin link the last proxy has a change when all that was pushed before it has passed."""
    result = run(tmp_path, CHANGE, bandwidth="10 Mbit/s")
    (row,) = result.changes
    took_ns = sent_bytes(result, "core->hub") * 800
    assert took_ns < row.t_converged_ns - (10 * S + 100 * MS) < took_ns + 200 * MS
    (fast,) = run(tmp_path, CHANGE, bandwidth="10 Gbit/s").changes
    assert fast.t_converged_ns < row.t_converged_ns - took_ns // 2


def test_pushes_wait_behind_other_traffic(tmp_path: Path) -> None:
    """A push that finds a link busy waits for what was sent before it; and a request waits behind pushes."""
    flow = "  - {from: office, to: sink, slice: web, request: SIZE, arrivals: {constant: 5 /s}}\n"
    traffic = "fleets:\n  office: {node: core}\n"
    text = SCENARIO.replace("fleets:\n", traffic).replace(
        "  other: {", "  sink: {replicas: {edge: 1}, work: {constant: 1 ms}}\n  other: {"
    )
    (tmp_path / "small.cedar").write_text(SMALL)
    (tmp_path / "large.cedar").write_text(LARGE)
    times = []
    for size in ("1 kB", "1 MB"):
        thin = text.replace("BANDWIDTH", "45 Mbit/s") + flow.replace("SIZE", size) + CHANGE
        result = Result(load_text(thin, tmp_path / "pushes.yaml", ["fidelity=modelled"]))
        times.append(result.changes[0].t_converged_ns)
    assert times[1] > times[0] + 50 * MS


def test_a_cut_loses_what_is_on_its_way(tmp_path: Path) -> None:
    """A change that is half through when its link is cut begins anew after the cut, whole, and old policies decide."""
    cut = CHANGE + "faults: [{at: 10150 ms, for: 3 s, kind: link-down, target: trunk}]\n"
    result = run(tmp_path, cut, bandwidth="10 Mbit/s")
    (change,) = result.changes
    rows = [row for row in result.configs if row.kind == "configuration" and row.proxy not in AT_FAR]
    lost = [row for row in rows if row.event == "stale" and row.sent_bytes]
    assert len(lost) >= HOSTS_AT_EDGE
    assert {row.event for row in rows if row.t_ns < 13 * S} == {"sent", "stale"}
    (whole,) = {row.sent_bytes for row in rows if row.event == "acked"}
    (new,) = {row.sent_bytes for row in run(tmp_path, CHANGE).configs if row.event == "acked" and row.kind}
    assert len([row for row in rows if row.event == "acked"]) == HOSTS_AT_EDGE
    assert 1_000 < whole - new < 2_000  # settings of TLS and terms of certificates, for the stream is another one
    assert change.t_converged_ns > 13 * S
    (fault,) = result.faults
    stale = [row for row in rows if row.event == "stale"]
    assert fault.configurations == len(stale)
    assert sent_bytes(result, "core->hub") == sum(row.sent_bytes for row in result.configs if row.proxy not in AT_FAR)


def test_what_is_superseded_is_not_sent_again(tmp_path: Path) -> None:
    """Of two changes that a cut holds up, proxies behind it get the later one alone."""
    changes = CHANGE.replace("}}]", "}}, {name: back, at: 11 s, policy: {files: [small.cedar]}}]")
    result = run(tmp_path, changes + "faults: [{at: 9 s, for: 4 s, kind: link-down, target: trunk}]\n")
    acked = [
        row.reason
        for row in result.configs
        if row.proxy == "client/0" and row.kind == "configuration" and row.event == "acked"
    ]
    assert acked == ["back: policy"]


def test_deny_lists_that_are_superseded_are_not_sent_again(tmp_path: Path) -> None:
    """Of two revocations that a cut holds up, proxies behind it get the list with both alone, once."""
    faults = """\
faults:
  - {at: 3 s, for: 5 s, kind: link-down, target: trunk}
  - {at: 4 s, kind: revoke, target: client/0}
  - {at: 5 s, kind: revoke, target: client/1}
"""
    rows = [row for row in run(tmp_path, faults).configs if row.kind == "trust"]
    assert [row.version for row in rows if row.proxy == "other/0" and row.event == "acked"] == [2, 3]
    assert [row.version for row in rows if row.proxy == "client/2" and row.event == "acked"] == [3]
    assert {row.version for row in rows if row.proxy == "client/2" and row.t_ns > 6 * S} == {3}


def test_a_deny_list_grows_on_the_wire(tmp_path: Path) -> None:
    """Pushes of a deny list are the larger the more certificates are on it."""
    faults = "faults: [{at: 4 s, kind: revoke, target: client/0}, {at: 8 s, kind: revoke, target: client/1}]\n"
    result = run(tmp_path, faults)
    rows: list[Any] = [row for row in result.configs if row.kind == "trust" and row.event == "acked"]
    first, second = ({row.sent_bytes for row in rows if row.t_ns // S == at} for at in (4, 8))
    # 35 bytes of DER more, 46 to 49 in PEM.
    assert 44 <= min(second) - max(first) <= 52


def test_issuers_tell_their_control_planes(tmp_path: Path) -> None:
    """Word of what is trusted goes from the issuer to the control plane first, with its bytes."""
    result = run(tmp_path, "faults: [{at: 4 s, kind: revoke, target: client/0}]\n", "mesh.identity.issuer={node: far}")
    pushed = [row for row in result.configs if row.kind == "trust" and row.event == "acked" and row.proxy not in AT_FAR]
    (each,) = {row.sent_bytes for row in pushed}
    assert sent_bytes(result, "far->core") == each


def test_a_push_that_is_lost_frees_its_place(tmp_path: Path) -> None:
    """With one push at a time, those that a cut loses hold up nobody whom the control plane can reach."""
    cut = CHANGE + "faults: [{at: 10090 ms, for: 5 s, kind: link-down, target: trunk}]\n"
    result = run(tmp_path, cut, "mesh.control.concurrent_pushes=1")
    acked = {row.proxy: row.t_ns for row in result.configs if row.kind == "configuration" and row.event == "acked"}
    assert acked.keys() == {*AT_FAR, "front/0", "front/1", *(f"client/{one}" for one in range(4))}
    assert max(acked[name] for name in AT_FAR) < 11 * S
    assert min(acked[name] for name in acked if name not in AT_FAR) > 15 * S


def test_what_comes_late_does_not_take_the_place_of_what_is_newer(tmp_path: Path) -> None:
    """A change whose packet was lost arrives after the next one, and is not taken any more."""
    changes = (
        "changes: [{name: one, at: 10 s, tls: {groups: [P-256]}}, {name: two, at: 10500 ms, tls: {groups: [P-384]}}]\n"
    )
    result = run(tmp_path, changes, "network.links.0.loss=30 %")
    late = 0
    for proxy in {row.proxy for row in result.configs}:
        rows = [row for row in result.configs if row.proxy == proxy and row.kind == "configuration"]
        acked = [row.version for row in rows if row.event == "acked"]
        assert acked == sorted(acked)
        assert acked[-1] == 3
        late += any(row.event == "stale" and row.version == 2 and row.t_ns > rows[-1].t_ns - 1 for row in rows)
    assert late


def test_trust_that_comes_late_is_told_as_such(tmp_path: Path) -> None:
    """A deny list whose packet was lost arrives after the next one, which has it too: nobody takes it any more."""
    faults = """\
faults:
  - {at: 4 s, kind: revoke, target: client/0}
  - {at: 4500 ms, kind: revoke, target: client/1}
"""
    result = run(tmp_path, faults, "network.links.0.loss=30 %")
    late = 0
    for proxy in {row.proxy for row in result.configs}:
        rows = [row for row in result.configs if row.proxy == proxy and row.kind == "trust" and row.event != "sent"]
        taken = [row.version for row in rows if row.event == "acked"]
        assert taken == sorted(set(taken))
        assert taken[-1] == 3
        late += [(row.version, row.event) for row in rows][-2:] == [(3, "acked"), (2, "stale")]
    assert late


def test_who_asks_anew_takes_no_turn(tmp_path: Path) -> None:
    """Who was cut off is given what is current over a new stream, as in Istio, and keeps nobody waiting meanwhile."""
    more = CHANGE.replace("]\n", ", {name: newer, at: 16100 ms, policy: {files: [small.cedar]}}]\n")
    more += "faults: [{at: 10 s, for: 5 s, kind: link-down, target: side}]\n"
    result = run(tmp_path, more, "mesh.control.concurrent_pushes=1", "network.links.2.bandwidth=500 kbit/s")
    rows = [row for row in result.configs if row.kind == "configuration" and row.event in ("acked", "stale")]
    slow = {row.proxy: row.t_ns for row in rows if row.proxy in AT_FAR and row.version == 2 and row.sent_bytes}
    first = {row.proxy: row.t_ns for row in rows if row.proxy.startswith("front/") and row.version == 3}
    assert len(first) == 2
    assert slow.keys() == set(AT_FAR)
    assert max(first.values()) < min(slow.values())


def test_reports_that_newer_ones_have_overtaken_are_not_pushed(tmp_path: Path) -> None:
    """What an issuer has reported late the control plane knows already, and tells nobody of it."""
    revoked = "".join(f"  - {{at: {4_000 + 300 * one} ms, kind: revoke, target: client/{one}}}\n" for one in range(4))
    loss = "network.links.2.loss=40 %"
    result = run(tmp_path, f"faults:\n{revoked}", "mesh.identity.issuer={node: far}", loss)
    sent = [row.version for row in result.configs if row.kind == "trust" and row.event == "sent"]
    assert sent == sorted(sent)
    assert set(sent) == {3, 5}  # versions 2 and 4 were lost on their way, and came after these


def test_segments_are_as_large_as_links_let_pass(tmp_path: Path) -> None:
    """Where a link on the way takes smaller packets a push has more of them, each with its headers."""
    sizes = {}
    for mtu_bytes in (1_500, 576):
        result = run(tmp_path, CHANGE, f"network.links.0.mtu={mtu_bytes} B")
        acked = [row for row in result.configs if row.kind == "configuration" and row.event == "acked"]
        (sizes[mtu_bytes],) = {row.sent_bytes for row in acked if row.proxy not in AT_FAR}
        (beside,) = {row.sent_bytes for row in acked if row.proxy in AT_FAR}
    assert beside == sizes[1_500]
    message_bytes = sizes[1_500] - -(-sizes[1_500] // 1_500) * HEADER_BYTES
    assert sizes[576] == message_bytes + -(-message_bytes // (576 - HEADER_BYTES)) * HEADER_BYTES


def test_a_cut_loses_what_is_on_a_link_that_slices_share(tmp_path: Path) -> None:
    """What is half way over such a link when it is cut does not arrive either."""
    slicing = "network.links.0.slicing=true"
    (whole,) = {row.t_converged_ns for row in run(tmp_path, CHANGE, slicing, bandwidth="10 Mbit/s").changes}
    cut = CHANGE + "faults: [{at: 10103 ms, for: 1 ms, kind: link-down, target: trunk}]\n"
    result = run(tmp_path, cut, slicing, "network.reroute_after=1 s", bandwidth="10 Mbit/s")
    rows = [row for row in result.configs if row.kind == "configuration" and row.proxy not in AT_FAR]
    assert Counter(row.event for row in rows) == {"sent": 6, "stale": 6, "acked": 6}
    assert min(row.t_ns for row in rows if row.event == "acked") > whole + 900 * MS
    (fault,) = result.faults
    assert fault.configurations == 6


def test_time_outs_grow_only_while_nothing_comes(tmp_path: Path) -> None:
    """Each packet that is lost costs a second, however many were lost before it, for others came between."""
    result = run(tmp_path, CHANGE, "network.links.0.loss=4 %")
    rows = [row for row in result.configs if row.kind == "configuration" and row.event == "acked"]
    (clean,) = {row.sent_bytes for row in rows if row.proxy in AT_FAR}
    repeated = sum(row.sent_bytes - clean for row in rows) // SEGMENT_BYTES
    assert repeated > 2 * HOSTS_AT_EDGE
    # None of them lost one of its repetitions, too.
    assert all(row.t_ns - 10 * S < (1.3 + (row.sent_bytes - clean) // SEGMENT_BYTES) * S for row in rows)


def test_a_control_plane_knows_what_it_has_heard(tmp_path: Path) -> None:
    """A revocation of which no word comes from the issuer for a cut is pushed after it, and the one before in time."""
    faults = """\
faults:
  - {at: 4 s, kind: revoke, target: client/0}
  - {at: 4030 ms, for: 5 s, kind: link-down, target: side}
  - {at: 4050 ms, kind: revoke, target: client/1}
"""
    result = run(tmp_path, faults, "mesh.identity.issuer={node: far}")
    rows = [row for row in result.configs if row.kind == "trust" and row.event == "acked" and row.proxy not in AT_FAR]
    early, late = ([row for row in rows if (row.t_ns < 9 * S) == before] for before in (True, False))
    assert {(row.version, row.reason) for row in early} == {(2, "deny list: 1 certificate")}
    assert {(row.version, row.reason) for row in late} == {(3, "deny list: 2 certificates")}
    assert {row.proxy for row in early} == {row.proxy for row in late}
    assert 44 <= late[0].sent_bytes - early[0].sent_bytes <= 52
