"""Certificates that are revoked: word of it spreads in several ways, and until then peers believe them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.identity.revocation import Crl, OcspStaple
from meshsim.identity.sizes import crl_size_bytes, staple_size_bytes
from meshsim.scenario.loader import load_text
from meshsim.world.revocation_lists import RevocationLists
from tests.world.conftest import Result

SECOND = 10**9
SCENARIO = """\
scenario: revocation
duration: 30 s
network:
  nodes: {edge: {kind: edge}, core: {kind: core}, ca: {kind: regional}}
  links:
    - {between: [edge, core], latency: 5 ms}
    - {name: to-ca, between: [core, ca], latency: 10 ms}
  slices: {web: {sst: 1, five_qi: 9}}
services:
  front: {replicas: {core: 2}, work: {constant: 1 ms}, calls: [{to: store}]}
  store: {replicas: {core: 1}, work: {constant: 1 ms}}
fleets:
  client: {node: edge, size: 3}
  other: {node: edge, size: 1}
mesh:
  pool: {idle_timeout: 50 ms}
  resilience: {retries: 0}
  control: {node: core, debounce: 0 s}
  tls: {resumption: RESUMPTION}
  identity: {backdate: 10 s, revocation: REVOCATION}
traffic:
  - {from: client, to: front, slice: web, arrivals: {constant: 10 /s}}
  - {from: other, to: front, slice: web, arrivals: {constant: 10 /s}}
faults:
  - {at: 10 s, kind: revoke, target: TARGET}
"""
WAYS = {
    "crl": "{crl: {every: 2 s, fetch: 2 s, valid: 20 s}, node: ca}",
    "ocsp": "{ocsp: {fetch: 2 s, valid: 4 s}, node: ca}",
    "deny list": "{deny_list: true}",
}
BOUND, UNBOUND = "{bound_to_certificate: true}", "true"


def run(
    revocation: str, target: str = "other", resumption: str = BOUND, *overrides: str, more: str = "", **changes: str
) -> Result:
    """Run the scenario with these ways to hear of revocations; ``changes`` replace words of it."""
    text = SCENARIO.replace("REVOCATION", revocation).replace("TARGET", target).replace("RESUMPTION", resumption)
    for old, new in changes.items():
        text = text.replace(old, new)
    return Result(load_text(text + more, Path("revocation.yaml"), overrides))


def row(result: Result) -> Any:
    """The row of the one revocation."""
    (found,) = result.revocations
    return found


@pytest.mark.parametrize("fidelity", ["real", "sampled"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("resumption", [BOUND, UNBOUND])
def test_every_fidelity_comes_to_the_same(way: str, resumption: str, fidelity: str) -> None:
    """OpenSSL agrees with each handshake, and the results are those of a run without it."""
    target = "store" if way == "ocsp" else "other"
    shorter = {"duration: 30 s": "duration: 9 s", "at: 10 s": "at: 3 s", "constant: 10 /s": "constant: 2 /s"}
    modelled = run(WAYS[way], target, resumption, "fidelity=modelled", **shorter)
    other = run(WAYS[way], target, resumption, f"fidelity={fidelity}", **shorter)
    assert other.content() == modelled.content()
    assert any(each.outcome == "refused" for each in other.handshakes) == (resumption == BOUND)


@pytest.mark.parametrize("way", ["crl", "deny list"])
def test_a_revoked_client_is_refused_once_word_is_there(way: str) -> None:
    """Servers refuse its certificate from then on; what they served before rests on it, and is counted."""
    result = run(WAYS[way])
    found = row(result)
    assert (found.certificates, found.peers, found.obeyed) == (1, 2, 2)
    assert found.calls_to == 0
    delay_ns = found.t_obeyed_ns - 10 * SECOND
    assert delay_ns == 0 if way == "deny list" else SECOND // 10 < delay_ns < 4 * SECOND + SECOND // 10
    refused = [each for each in result.handshakes if each.reason == "revoked"]
    assert {(each.client.partition("/")[0], each.refused_by, each.alert) for each in refused} == {
        ("other", "server", "certificate_revoked")
    }
    late = [each for each in result.handshakes if each.revoked_certificate]
    assert len(late) == found.handshakes_accepted
    assert (found.handshakes_accepted > 0) == (way == "crl")
    assert all(each.t_start_ns <= found.t_obeyed_ns for each in late)
    assert not any(each.resumed for each in late if each.t_start_ns > found.t_obeyed_ns)


def test_sessions_of_earlier_certificates_are_counted() -> None:
    """A session that rests on an earlier certificate of the revoked is in spite of it all the same."""
    result = run(WAYS["crl"], "store", UNBOUND, "mesh.identity.svid_ttl=8 s", "mesh.identity.backdate=0 s")
    found, end_ns = row(result), 30 * SECOND
    served = [each for each in result.calls if each.destination == "store" and each.outcome == "ok"]
    after = [each for each in served if each.t_start_ns > 10 * SECOND]
    assert found.calls_to == len(after) > 0
    assert found.t_last_served_ns > found.t_obeyed_ns - SECOND > end_ns - 2 * SECOND
    assert {each.revoked_certificate for each in result.handshakes if each.t_start_ns > 10 * SECOND} == {True, False}


def test_a_certificate_is_revoked_once() -> None:
    """Where a workload is let in and revoked anew, sessions of its first certificate are in spite of the first time."""
    first_for = {"{at: 10 s, kind": "{at: 10 s, for: 5 s, kind"}
    again = "  - {at: 20 s, kind: revoke, target: store}\n"
    first, second = run(WAYS["crl"], "store", UNBOUND, more=again, **first_for).revocations
    assert (first.certificates, second.certificates) == (1, 1)
    assert first.t_last_served_ns > 29 * SECOND
    assert (second.calls_to, second.t_last_served_ns) == (0, -1)


@pytest.mark.parametrize("way", WAYS)
def test_a_revoked_server_is_refused(way: str) -> None:
    """Its callers refuse it, told by lists of their own or by its own staple."""
    result = run(WAYS[way], "store")
    found = row(result)
    assert (found.peers, found.obeyed) == (2, 2)
    assert 10 * SECOND <= found.t_obeyed_ns < 15 * SECOND
    reasons = {each.reason for each in result.handshakes if each.outcome == "refused"}
    assert reasons == {"revoked by OCSP staple" if way == "ocsp" else "revoked"}
    assert found.calls_from == 0
    assert found.t_last_served_ns < found.t_obeyed_ns + SECOND


def test_staples_say_nothing_of_clients() -> None:
    """A client that is revoked shows no staple, and is served to the end."""
    found = row(run(WAYS["ocsp"]))
    assert (found.obeyed, found.t_obeyed_ns) == (0, -1)
    assert found.calls_from > 150


@pytest.mark.parametrize("way", WAYS)
def test_a_resumed_session_outlives_revocation(way: str) -> None:
    """Unbound, sessions go on as if nothing had happened, whatever peers have been told; bound, they do not."""
    target = "store" if way == "ocsp" else "other"
    careless = row(run(WAYS[way], target, UNBOUND))
    assert careless.obeyed == careless.peers == 2
    assert careless.t_obeyed_ns > 29 * SECOND
    assert careless.t_last_served_ns > 29 * SECOND
    assert row(run(WAYS[way], target, BOUND)).t_last_served_ns < 15 * SECOND


def test_one_replica() -> None:
    """Of a service's replicas just the named one is revoked; calls to the other go on."""
    result = run(WAYS["deny list"], "front/1")
    found = row(result)
    assert found.certificates == 1
    assert found.peers == 5
    (revoked,) = [each for each in result.identities if each.event == "revoked"]
    assert revoked.reason == "revoke"
    after = [each for each in result.requests if each.t_intended_ns > 11 * SECOND]
    assert {each.outcome for each in after} == {"ok", "tls-refused"}


@pytest.mark.parametrize("live", ["keep", "cut"])
@pytest.mark.parametrize("way", ["crl", "deny list"])
@pytest.mark.parametrize("target", ["other", "store"])
def test_live_connections(way: str, target: str, live: str) -> None:
    """Connections that are open stay open, or whoever hears of it cuts them."""
    revocation = WAYS[way].replace("{", "{live: " + live + ", ", 1)
    result = run(revocation, target, BOUND, "mesh.pool.idle_timeout=1 h")
    found = row(result)
    if live == "keep":
        assert found.connections_cut == 0
        assert found.t_last_served_ns > 29 * SECOND
    else:
        assert found.connections_cut == 2
        assert found.t_last_served_ns <= found.t_obeyed_ns + SECOND // 10
    assert found.handshakes_accepted == 0


def test_a_session_that_is_resumed_is_cut_too() -> None:
    """Who cuts live connections cuts an unbound session as soon as it is resumed, and serves nothing on it."""
    found = row(run("{deny_list: true, live: cut}", "other", UNBOUND))
    assert found.handshakes_accepted == found.connections_refused > 100
    assert found.connections_cut == 0
    assert found.calls_from == 0


@pytest.mark.parametrize("target", ["store", "other"])
def test_what_is_refused_at_once_was_no_live_connection(target: str) -> None:
    """Of connections that are kept open those at the news are cut; of sessions that are resumed later none was live."""
    kept = row(run("{deny_list: true, live: cut}", target, UNBOUND, "mesh.pool.idle_timeout=1 h"))
    assert kept.connections_cut == 2
    result = run("{deny_list: true, live: cut}", target, UNBOUND)
    found = row(result)
    ends = [(one, {one.client.partition("/")[0], one.server.partition("/")[0]}) for one in result.handshakes]
    after = [one for one, names in ends if one.t_start_ns >= found.t_ns and target in names]
    assert found.connections_refused == len(after) > 100
    assert found.connections_cut == 0  # they are closed when they are idle, sooner than the news comes
    bound = row(run("{deny_list: true, live: cut}", target, BOUND))
    assert (bound.handshakes_accepted, bound.connections_refused) == (0, 0)


@pytest.mark.parametrize("issuer", ["", "issuer: {node: ca}, "])
def test_a_revoked_workload_is_issued_nothing(issuer: str) -> None:
    """It asks for its next certificate in vain, so that short lifetimes alone stop it; others rotate as ever."""
    short = "{backdate: 1 s, svid_ttl: 8 s, " + issuer
    text = {"{backdate: 10 s, revocation: {deny_list: true}}": short.rstrip(", ") + "}"}
    result = run("{deny_list: true}", **text)
    found = row(result)
    mine = [each for each in result.identities if each.spiffe_id.endswith("/other/0")]
    after = [each.event for each in mine if each.t_ns >= 10 * SECOND]
    assert {"revoked", "refused", "expired"} == set(after)
    assert {each.reason for each in mine if each.event == "refused"} == {"the workload is revoked"}
    ends_ns = max(each.not_after_ns for each in mine)
    assert found.t_obeyed_ns == ends_ns + 1
    assert found.t_last_served_ns <= ends_ns + SECOND // 10
    rest = Counter(each.event for each in result.identities if each.t_ns > 20 * SECOND)
    assert rest["rotated"] >= 5
    never_told = [each for each in result.handshakes if each.reason == "revoked"]
    assert not never_told


def test_it_is_let_in_again() -> None:
    """After its time it is issued another certificate, which peers accept, as they go on refusing the former one."""
    result = run("{deny_list: true}", more="", **{"kind: revoke": "for: 5 s, kind: revoke"})
    assert row(result).obeyed == 2
    events = [each.event for each in result.identities if each.spiffe_id.endswith("/other/0")]
    assert events == ["issued", "revoked", "rotated"]
    mine = [each for each in result.requests if each.source == "other"]
    assert {each.outcome for each in mine if 10_100_000_000 < each.t_intended_ns < 15 * SECOND} == {"tls-refused"}
    assert {each.outcome for each in mine if each.t_intended_ns > 15_100_000_000} == {"ok"}
    assert not any(each.revoked_certificate for each in result.handshakes)


def test_a_deny_list_that_is_held_up() -> None:
    """Each push of a deny list that a cut link stops counts for the cut, and the list comes when the link is back."""
    cut = "  - {at: 9500 ms, for: 4 s, kind: link-down, target: to-ca}\n"
    result = run("{deny_list: true}", more=cut, **{"control: {node: core": "control: {node: ca"})
    (fault,) = [each for each in result.faults if each.kind == "link-down"]
    stale = [each for each in result.configs if each.event == "stale" and each.reason.startswith("deny list")]
    assert fault.configurations == len(stale) == 4 * len({each.proxy for each in stale})
    # Tried each second from 10 s on, it goes through at 14 s; the peers, two replicas of front, are 10 ms away, and
    # what is pushed to one after the other takes its time at 1 Gbit/s.
    (sent_bytes,) = {each.sent_bytes for each in result.configs if each.event == "acked" and each.kind == "trust"}
    assert row(result).t_obeyed_ns == 14 * SECOND + SECOND // 100 + 2 * sent_bytes * 8


def test_lists_that_end() -> None:
    """Cut off from the source of lists, proxies refuse everybody once theirs has ended; or go on by what it said."""
    cut = "  - {at: 12 s, for: 15 s, kind: link-down, target: to-ca}\n"
    lists = WAYS["crl"].replace("valid: 20 s", "valid: 4 s")
    strict = run(lists, "other", BOUND, more=cut)
    (fault,) = [each for each in strict.faults if each.kind == "link-down"]
    assert fault.configurations > 5
    pushed = {each.event for each in strict.configs if each.reason.startswith("revocation list")}
    assert pushed == {"acked", "stale"}
    reasons = Counter(each.reason for each in strict.handshakes if 18 * SECOND < each.t_start_ns < 26 * SECOND)
    assert set(reasons) == {"revocation list expired"}
    lenient = run(lists.replace("valid", "stale: accept, valid"), "other", BOUND, more=cut)
    reasons = Counter(each.reason for each in lenient.handshakes if 18 * SECOND < each.t_start_ns < 26 * SECOND)
    assert set(reasons) == {"", "revoked"}
    again = [each for each in strict.requests if each.t_intended_ns > 29 * SECOND and each.source == "client"]
    assert {each.outcome for each in again} == {"ok"}


@pytest.mark.parametrize("staple", ["lenient", "strict", "must_staple"])
def test_responses_that_end(staple: str) -> None:
    """Cut off from the responder, a lenient server sends no staple any more, and others refuse handshakes."""
    cut = "  - {at: 2 s, for: 26 s, kind: link-down, target: to-ca}\n"
    ways = WAYS["ocsp"].replace("valid", f"staple: {staple}, valid")
    result = run(ways, "store", "false", more=cut)
    reasons = Counter(each.reason for each in result.handshakes if 12 * SECOND < each.t_start_ns < 26 * SECOND)
    # Nobody hears of the revocation in time; where staples are a must, that does not help the one that is revoked.
    assert set(reasons) == {"" if staple == "lenient" else "no server certificate"}
    found = row(result)
    assert (found.calls_to > 100) == (staple == "lenient")


def test_lists_of_every_authority() -> None:
    """With intermediates there is a list of each authority, from the start on."""
    result = run(WAYS["crl"], "other", BOUND, "mesh.identity.hierarchy=per-site")
    early = [each for each in result.handshakes if each.t_start_ns < 10 * SECOND]
    assert {each.outcome for each in early} == {"established"}
    assert row(result).obeyed == 2


def test_a_peer_that_restarts() -> None:
    """What a proxy was told it has again after a restart: it comes with its configuration."""
    for way in ("crl", "deny list"):
        crash = "  - {at: 16 s, for: 2 s, kind: node-crash, target: core}\n"
        result = run(WAYS[way], "other", UNBOUND, "mesh.control.node=edge", more=crash)
        after = [each for each in result.handshakes if each.t_start_ns > 18 * SECOND and each.client == "other/0"]
        assert {each.reason for each in after if each.outcome != "broken"} == {"revoked"}


@settings(max_examples=12, deadline=None)
@given(
    target=st.sampled_from(["other", "store", "front", "front/0", "client/1"]),
    resumption=st.sampled_from([BOUND, UNBOUND, "false"]),
    idle=st.sampled_from(["1 ms", "50 ms", "1 h"]),
    at_ms=st.integers(1, 2500),
)
def test_cut_and_told_at_once_nothing_is_served(target: str, resumption: str, idle: str, at_ms: int) -> None:
    """Where everybody is told at once and cuts, not one call is served that rests on what was revoked."""
    near = {"edge: {kind: edge}, core: {kind: core}, ca": "core: {kind: core}, ca", "node: edge": "node: core"}
    near["    - {between: [edge, core], latency: 5 ms}\n"] = ""
    near |= {"at: 10 s": f"at: {at_ms} ms", "duration: 30 s": "duration: 3 s"}
    result = run("{deny_list: true, live: cut}", target, resumption, f"mesh.pool.idle_timeout={idle}", **near)
    found = row(result)
    assert found.t_last_served_ns in (-1, found.t_ns)
    assert found.obeyed == found.peers


@settings(max_examples=12, deadline=None)
@given(
    way=st.sampled_from(["crl", "deny list"]),
    target=st.sampled_from(["other", "store", "front/1"]),
    idle=st.sampled_from(["1 ms", "50 ms", "1 h"]),
    at_ms=st.integers(1, 4000),
    seed=st.integers(0, 99),
)
def test_wrong_service_lies_within_the_window(way: str, target: str, idle: str, at_ms: int, seed: int) -> None:
    """What is served on the strength of what was revoked is on its way before the last peer obeys."""
    way = WAYS[way].replace("{", "{live: cut, ", 1)
    changes = {"at: 10 s": f"at: {at_ms} ms", "duration: 30 s": "duration: 9 s"}
    result = run(way, target, BOUND, f"mesh.pool.idle_timeout={idle}", f"seed={seed}", **changes)
    found = row(result)
    assert found.obeyed == found.peers
    way_there_ns = 20_000_000
    assert found.t_last_served_ns <= found.t_obeyed_ns + way_there_ns
    late = [each for each in result.handshakes if each.revoked_certificate]
    assert all(each.t_start_ns <= found.t_obeyed_ns for each in late)


def pushed(result: Result, host: str) -> list[tuple[int, str]]:
    """When the deny list was sent to a proxy, and what came of it, by milliseconds."""
    rows = [each for each in result.configs if each.proxy == host and each.reason.startswith("deny list")]
    return [(each.t_ns // 1_000_000, each.event) for each in rows]


def test_the_deny_list_waits_as_other_pushes_do() -> None:
    """The control plane pushes it after its debounce; a second revocation meanwhile has it wait once more, for both."""
    settings = ("mesh.control.debounce=100 ms", "mesh.control.debounce_max=10 s", "mesh.identity.svid_ttl=1 h")
    second = "  - {at: 10.06 s, kind: revoke, name: again, target: client/0}\n"
    result = run("{deny_list: true}", "other", BOUND, *settings, more=second)
    assert pushed(result, "store/0") == [(10_160, "sent"), (10_160, "acked")]
    assert pushed(result, "client/1") == [(10_160, "sent"), (10_165, "acked")]
    assert {each.t_obeyed_ns // 1_000_000 for each in result.revocations} == {10_160}


def test_a_deny_list_that_is_rejected() -> None:
    """Proxies that reject what is pushed to them go on believing the certificate until they take it."""
    rejected = "  - {at: 9 s, for: 8 s, kind: push-rejected, target: front}\n"
    result = run("{deny_list: true}", "other", BOUND, more=rejected)
    found = row(result)
    assert (found.obeyed, found.t_obeyed_ns) == (2, 17 * SECOND)
    assert found.calls_from > 50
    assert pushed(result, "front/0") == [(10_000, "sent"), (10_000, "rejected"), (17_000, "sent"), (17_000, "acked")]
    (fault,) = [each for each in result.faults if each.kind == "push-rejected"]
    assert fault.configurations == 2


@pytest.mark.parametrize(
    ("serves", "client", "reasons", "obeyed"),
    [
        ("nothing", "lenient", {""}, False),
        ("nothing", "hard_fail", {"", "no OCSP staple"}, True),
        ("good", "hard_fail", {""}, False),
        ("older", "lenient", {""}, False),
        ("older", "hard_fail", {"", "no OCSP staple"}, True),
        ("unknown", "soft_fail", {""}, False),
        ("unknown", "lenient", {"", "unknown by OCSP staple"}, True),
    ],
)
@pytest.mark.parametrize("fidelity", ["modelled", "real"])
def test_responders_that_are_down_lie_or_are_late(
    serves: str, client: str, reasons: set[str], obeyed: bool, fidelity: str
) -> None:
    """What comes of a revoked server depends on what the responder says, and on what clients ask for."""
    fault = f"  - {{at: 8 s, for: 20 s, kind: ocsp-responder, serves: {serves}}}\n"
    ways = WAYS["ocsp"].replace("valid", f"client: {client}, valid")
    shorter = {"constant: 10 /s": "constant: 3 /s", "duration: 30 s": "duration: 28 s"}
    result = run(ways, "store", BOUND, f"fidelity={fidelity}", more=fault, **shorter)
    to_store = [each for each in result.handshakes if each.server.startswith("store")]
    assert {each.reason for each in to_store} == reasons
    found = row(result)
    assert (found.obeyed == found.peers) == obeyed
    # A response is good for 4 s: who minds its absence refuses from then on.
    assert not obeyed or found.t_last_served_ns < 14 * SECOND + SECOND // 2
    (touched,) = [each for each in result.faults if each.kind == "ocsp-responder"]
    assert touched.configurations > 0


@pytest.mark.parametrize(("client", "obeyed"), [("soft_fail", False), ("lenient", False), ("hard_fail", True)])
def test_a_server_in_wrong_hands_holds_back_its_staple(client: str, obeyed: bool) -> None:
    """It sends the last good response while that is in date; after that only clients that insist on one refuse it."""
    ways = WAYS["ocsp"].replace("valid", f"client: {client}, valid")
    result = run(ways, "store", BOUND, **{"kind: revoke": "holds_back: true, kind: revoke"})
    found = row(result)
    assert (found.obeyed == found.peers) == obeyed
    last_s = found.t_last_served_ns / SECOND
    # The last good one is fetched 2 s before the revocation at the earliest, and good for 4 s.
    assert 11.5 < last_s < 14.5 if obeyed else last_s > 29
    assert {each.reason for each in result.handshakes} == ({"", "no OCSP staple"} if obeyed else {""})


def test_a_certificate_that_comes_while_the_responder_is_down() -> None:
    """A new certificate has no staple then, so that a server for which one is a must refuses handshakes."""
    fault = "  - {at: 8 s, for: 10 s, kind: ocsp-responder}\n"
    ways = "{ocsp: {fetch: 2 s, valid: 30 s, staple: must_staple}, node: ca}"
    result = run(ways, "other", BOUND, "mesh.identity.svid_ttl=20 s", more=fault)
    refused = [each for each in result.handshakes if each.reason == "no server certificate"]
    assert refused
    assert all(9 * SECOND < each.t_start_ns < 20 * SECOND + SECOND // 10 for each in refused)


def _fetched(way: str, *overrides: str) -> Result:
    """A run in which devices are revoked and nothing but what proxies fetch goes over the link to the issuer."""
    return run(
        WAYS[way], "other", BOUND, *overrides, **{"other: {node: edge, size: 1}": "other: {node: edge, size: 40}"}
    )


LISTS = [crl_size_bytes(Crl("", 1, 0, 0, frozenset(range(count))), "ecdsa-p256") for count in (0, 40)]
"""Bytes of a list of nobody, and of one of forty certificates."""
HEADER_BYTES = 52


def test_lists_that_are_fetched_take_their_bytes_on_links() -> None:
    """The link from the issuer carries a list for each proxy every two seconds, longer ones after the revocation."""
    sent = {each.t_ns // SECOND: each.sent_bytes for each in _fetched("crl").links if each.link == "ca->core"}
    before, after = (sum(sent[second] for second in span) for span in (range(4, 10), range(18, 24)))
    proxies = 46
    assert before == 3 * proxies * (LISTS[0] + HEADER_BYTES)
    assert after == 3 * proxies * (LISTS[1] + HEADER_BYTES * 2)


def test_responses_that_are_fetched_take_their_bytes_on_links() -> None:
    """The link from the responder carries a response for each server every two seconds, of the size of its DER."""
    sent = {each.t_ns // SECOND: each.sent_bytes for each in _fetched("ocsp").links if each.link == "ca->core"}
    staple = OcspStaple("", "ecdsa-p256", 1, "good", 0, 0)
    assert sum(sent[second] for second in range(4, 10)) == 3 * 3 * (staple_size_bytes(staple) + HEADER_BYTES)


def test_a_long_list_comes_late_over_a_slow_link() -> None:
    """The last peer obeys later by the time that a list of 40 certificates takes over a slow link, and waits."""
    fast, slow = (row(_fetched("crl", f"network.links.1.bandwidth={rate} Mbit/s")) for rate in (1000, 1))
    list_ns = LISTS[1] * 8 * 1000
    late_ns = slow.t_obeyed_ns - fast.t_obeyed_ns
    assert list_ns * 0.99 < late_ns < 10 * list_ns


def test_no_older_list_takes_the_place_of_a_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where most packets are lost, a list that is sent again and again is overtaken by the next, and counts no more."""
    taken: dict[str, list[int]] = {}
    take = RevocationLists._take

    def noting(lists: RevocationLists, host: Any, found: Any) -> None:
        taken.setdefault(host.name, []).extend(crl.number for crl in found)
        take(lists, host, found)

    monkeypatch.setattr(RevocationLists, "_take", noting)
    lists = "{crl: {every: 1 s, fetch: 8 s, valid: 20 s}, node: ca}"
    run(
        lists,
        "other",
        BOUND,
        "network.links.1.loss=60 %",
        "fidelity=modelled",
        **{"other: {node: edge, size: 1}": "other: {node: edge, size: 40}"},
    )
    assert sum(map(len, taken.values())) > 20
    assert all(numbers == sorted(numbers) for numbers in taken.values())


def test_what_does_not_come_in_time_is_given_up() -> None:
    """Over a link that is slower than what is fetched over it, proxies give up, say so, and try again."""
    result = _fetched("crl", "network.links.1.bandwidth=50 kbit/s")
    missed = [each for each in result.configs if each.event == "stale"]
    assert missed
    assert {each.reason for each in missed} == {"revocation list not to be had"}
    assert row(result).t_obeyed_ns == -1
