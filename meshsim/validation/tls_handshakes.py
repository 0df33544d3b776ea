"""Flights and computing of TLS handshakes, against real OpenSSL."""

from __future__ import annotations

import statistics
from contextlib import suppress
from itertools import product

from OpenSSL import SSL, crypto
from OpenSSL._util import lib

from meshsim.calibrate_probes.timing import Stopwatch
from meshsim.calibrate_probes.tls import advance
from meshsim.identity.authority import Authority
from meshsim.identity.svid import KEY_TYPES
from meshsim.probe.case import ProbeCase
from meshsim.probe.script import handshake_case, play, probe_authority
from meshsim.scenario.cost_profile import CpuCosts, load_cost_profile
from meshsim.sidecar.tls.openssl import NO_AUTO_CHAIN, NO_CHECK_TIME, set_groups, use_key
from meshsim.sidecar.tls.oracle import Oracle, differences
from meshsim.sidecar.tls.outcome import End
from meshsim.sidecar.tls.prediction import HandshakeCase, predict
from meshsim.sidecar.tls.settings import GROUPS, TlsSide
from meshsim.validation.section import Criterion, Section

REPLAYS = 5
ROUNDS = 20
BURST = 4
ML_DSA_BURST = 16
"""ML-DSA signs in one try or many: its median needs more handshakes to come to rest."""
FULL_TOLERANCE, RESUMED_TOLERANCE, MEDIAN_TOLERANCE = 0.25, 0.3, 0.12
BASE_GROUP = "X25519"
ENDS: tuple[End, End] = ("client", "server")

FLIGHTS_ABOUT = """\
Every combination of group, key type, mutual TLS and resumption is predicted and run by OpenSSL several times, and for
each key type a chain of two certificates, the holder's and an intermediate's. Outcomes must be the same at both ends,
and every flight as long as predicted, within what DER leaves open: a byte or two of an ECDSA signature, a cipher block
of a session ticket. Authorities have keys of the same type. Sizes are nominal, in bytes, TLS records included; the
server's last flight holds the session tickets."""

COMPUTING_ABOUT = """\
CPU time of each end in a handshake with mutual TLS, measured here with OpenSSL and its bindings, against the sum of the
operations that the cost profile charges. Hosts differ in speed, so both are taken relative to a full handshake with
X25519 and P-256 certificates, end by end. The profile was measured on one CPU, and hosts do not speed up every
operation alike: the tolerance allows for that. On a host that is unlike the profile's, `meshsim calibrate` makes a
profile that fits, and `--cost-profile FILE` holds it against the host.

Each case is measured in short bursts whose first handshakes only warm caches, as the profile was; a resumed handshake
follows on one that was resumed itself. Handshakes that take turns with others find less in the caches and cost some 10
to 30 % more: what a busy sidecar pays is between the two. Sessions hold the peer's certificate, so that resumed
handshakes cost 10 % more with those of ML-DSA, which is not charged."""


def tls_cases(mutual: tuple[bool, ...] = (False, True)) -> list[ProbeCase]:
    """Return every case that can be real; the path does not matter here."""
    return [
        ProbeCase(round_trip_ns=1, group=group, key=key, mutual=asked, resumed=resumed)
        for group, key, asked, resumed in product(GROUPS, KEY_TYPES, mutual, (False, True))
    ]


def chain_cases() -> list[ProbeCase]:
    """Return a case with an intermediate for every key type."""
    return [ProbeCase(round_trip_ns=1, group=BASE_GROUP, key=key, chain=2, mutual=True) for key in KEY_TYPES]


def authorities() -> dict[str, Authority]:
    """Return the authorities of all cases, by id."""
    known = [probe_authority(key, intermediates) for key in KEY_TYPES for intermediates in (0, 1)]
    return {authority.id: authority for authority in known}


def tls_flights(seed: int = 1) -> Section:
    """Compare outcomes and sizes of flights; ``seed`` changes nothing, since nothing is drawn."""
    oracle = Oracle(authorities())
    rows, disagreements = [], []
    for case in [*tls_cases(), *chain_cases()]:
        ends = handshake_case(case)
        prediction = predict(ends)
        found = [text for _ in range(REPLAYS) for text in differences(prediction, oracle.replay(ends))]
        disagreements += [f"{_name(case)}: {text}" for text in found]
        up = [flight.size_bytes for end, flight in prediction.flights if end == "client"]
        down = [flight.size_bytes for end, flight in prediction.flights if end == "server"]
        rows.append((*_columns(case), str(case.chain), _sum(up), _sum(down), "no" if found else "yes"))
    return Section(
        title="TLS handshakes: flights",
        about=FLIGHTS_ABOUT,
        columns=(
            "group",
            "key type",
            "mutual",
            "resumed",
            "chain",
            "client's flights",
            "server's flights",
            "OpenSSL agrees",
        ),
        rows=tuple(rows),
        criteria=(
            Criterion(
                "OpenSSL comes to the predicted outcome with flights of the predicted sizes, in every case.",
                disagreements[0] if disagreements else f"{len(rows)} cases agree",
                not disagreements,
            ),
        ),
    )


def tls_computing(seed: int = 1, cost_profile: str = "default") -> Section:
    """Compare CPU times with a cost profile's, relative to the base case; nothing is drawn, whatever the ``seed``."""
    cases = tls_cases(mutual=(True,))
    costs = load_cost_profile(cost_profile).cpu("reference")
    charged = [_charged_ns(handshake_case(case), costs) for case in cases]
    measured = _measure_ns(cases)
    base = next(index for index, case in enumerate(cases) if case.group == BASE_GROUP and not case.resumed)
    rows: list[tuple[str, ...]] = []
    offs: dict[bool, list[tuple[float, str]]] = {False: [], True: []}
    for index, case in enumerate(cases):
        cells: list[str] = []
        for end in ENDS:
            theory = charged[index][end] / charged[base][end]
            real = measured[index][end] / measured[base][end]
            off = theory / real - 1
            offs[case.resumed].append((abs(off), f"{_name(case)}, {end}"))
            cells += [f"{theory:.2f}", f"{real:.2f}", f"{100 * off:+.0f} %"]
        rows.append((*_columns(case), *cells))
    return Section(
        title="TLS handshakes: computing",
        about=COMPUTING_ABOUT,
        columns=(
            *("group", "key type", "mutual", "resumed"),
            *("client charged", "measured", "off", "server charged", "measured", "off"),
        ),
        rows=tuple(rows),
        criteria=(
            *_cpu_criteria("full", offs[False], FULL_TOLERANCE),
            *_cpu_criteria("resumed", offs[True], RESUMED_TOLERANCE),
        ),
        measures_host=True,
    )


def _cpu_criteria(kind: str, offs: list[tuple[float, str]], tolerance: float) -> list[Criterion]:
    worst, where = max(offs)
    middle = statistics.median(off for off, _ in offs)
    text = f"Charged and measured CPU time of {kind} handshakes, relative to the base case, differ by "
    return [
        Criterion(
            f"{text}{100 * tolerance:g} % at most.", f"at most {100 * worst:.0f} % ({where})", worst <= tolerance
        ),
        Criterion(
            f"{text}{100 * MEDIAN_TOLERANCE:g} % at most in half of the cases.",
            f"{100 * middle:.0f} % in half of them",
            middle <= MEDIAN_TOLERANCE,
        ),
    ]


def _columns(case: ProbeCase) -> tuple[str, ...]:
    return case.group, case.key, "yes" if case.mutual else "no", "yes" if case.resumed else "no"


def _name(case: ProbeCase) -> str:
    kinds = [name for name, on in (("mutual", case.mutual), ("resumed", case.resumed)) if on]
    return ", ".join((case.group, case.key, *kinds))


def _sum(sizes: list[int]) -> str:
    return " + ".join(map(str, sizes))


def _charged_ns(case: HandshakeCase, costs: CpuCosts) -> dict[End, int]:
    total: dict[End, int] = {"client": 0, "server": 0}
    for end, step in play(case):
        total[end] += sum(costs.operation_ns(name) * times for name, times in step.operations)
    return total


class _Bare:
    """Handshakes between two OpenSSL connections with nothing around them, as the cost profile was measured."""

    def __init__(self, case: ProbeCase, watch: Stopwatch) -> None:
        ends = handshake_case(case)
        self._resumed = case.resumed
        self._handshakes = ML_DSA_BURST if case.key.startswith("ml-dsa") and not case.resumed else BURST
        self._contexts = {"client": _context(ends.client, case.group), "server": _context(ends.server, case.group)}
        self._watch = watch

    def burst(self) -> list[dict[End, int]]:
        """Return the CPU time of each end in some handshakes in a row, without the first, which finds cold caches."""
        spent, client = self._shake(None)
        found = []
        for _ in range(self._handshakes):
            # The last client is kept until then: OpenSSL spoils the session of a connection that is dropped.
            spent, client = self._shake(client.get_session() if self._resumed else None)
            found.append(spent)
        return found[1:]

    def _shake(self, session: SSL.Session | None) -> tuple[dict[End, int], SSL.Connection]:
        watch = self._watch
        spent: dict[End, int] = {"client": 0, "server": 0}
        watch.start()
        client = SSL.Connection(self._contexts["client"], None)
        client.set_connect_state()
        if session is not None:
            client.set_session(session)
        data = advance(client, b"")
        spent["client"] += watch.lap()
        watch.start()
        server = SSL.Connection(self._contexts["server"], None)
        server.set_accept_state()
        data = advance(server, data)
        spent["server"] += watch.lap()
        for end, connection in (("client", client), ("server", server)):
            watch.start()
            data = advance(connection, data)
            spent["client" if end == "client" else "server"] += watch.lap()
        watch.start()
        client.bio_write(data)
        with suppress(SSL.WantReadError):
            client.recv(1)
        spent["client"] += watch.lap()
        reused = lib.SSL_session_reused(client._ssl) == 1  # pyOpenSSL has no public call for it
        assert reused == (session is not None), "a session was resumed, or not, against the plan"
        return spent, client


def _context(side: TlsSide, group: str) -> SSL.Context:
    assert side.svid is not None
    authority = probe_authority(side.svid.key_type)
    material = authority.material(side.svid)
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(":".join(side.settings.ciphers).encode())
    context.use_certificate(material.certificate)
    use_key(context, material.private_key)
    store = context.get_cert_store()
    assert store is not None, "a fresh context has a store"
    store.add_cert(crypto.X509.from_cryptography(authority.root().certificate))
    # Certificates live in virtual time; their dates are checked elsewhere.
    store.set_flags(NO_CHECK_TIME)
    mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    context.set_verify(mode, lambda _connection, _certificate, _error, _depth, accepted: bool(accepted))
    context.set_mode(NO_AUTO_CHAIN)
    context.set_session_id(b"validation")
    context.set_session_cache_mode(SSL.SESS_CACHE_BOTH)
    set_groups(context, (group,))
    return context


def _measure_ns(cases: list[ProbeCase]) -> list[dict[End, int]]:
    """Return the median CPU time of each end in each case; cases take turns, so that the host's moods hit all alike."""
    watch = Stopwatch()
    bare = [_Bare(case, watch) for case in cases]
    times: list[list[dict[End, int]]] = [[] for _ in cases]
    for _ in range(ROUNDS):
        for each, found in zip(bare, times, strict=True):
            found += each.burst()
    return [{end: round(statistics.median(spent[end] for spent in found)) for end in ENDS} for found in times]
