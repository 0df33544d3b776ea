"""Calibration: measure this machine and write a cost profile with it as the reference CPU.

What is timed is CPU time of this thread. Probes take turns, so that a slow moment of the machine touches all of them
alike; each turn is a short burst whose first pass only warms caches, because the published rates of other CPUs were
measured warm too. This module reads clocks and so stands outside every simulation: its only product is a file.
"""

from __future__ import annotations

import gc
import platform
import re
import statistics
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import msgspec
from cryptography.hazmat.backends.openssl import backend

from meshsim.calibrate_probes.decisions import POLICY_COUNTS, PRICED, decision_probes
from meshsim.calibrate_probes.messages import message_probes
from meshsim.calibrate_probes.primitives import primitive_probes
from meshsim.calibrate_probes.timing import Round, Stopwatch
from meshsim.calibrate_probes.tls import tls_probes
from meshsim.scenario.cost_profile import SHIPPED_PROFILE, parse_cost_profile
from meshsim.scenario.errors import UsageError

Progress = Callable[[int, int], None]
"""Called with samples taken and samples wanted."""

MARKER = "# --- published figures"
"""The line from which on a new profile copies the shipped one."""

LEAST_SAMPLES = 20
"""Fewer give no quartiles worth the name."""

_BURST = 5


class Figure(msgspec.Struct, frozen=True):
    """One figure of the profile: which raw times make it, and how."""

    name: str
    """The operation."""
    scales_with: str
    """The ratio that carries it to other CPUs."""
    method: str
    """What was timed, and what was taken off, in words."""
    formula: Callable[[Round], float]
    """The same in numbers: raw times (ns) of one round to the figure (ns)."""


def _calls(primitive: str, *operations: str) -> list[Figure]:
    names = [f"{primitive}.{operation}" for operation in operations]
    return [Figure(name, name, "cryptography, one call", partial(_raw, name=name)) for name in names]


def _exchange(curve: str) -> list[Figure]:
    """Both operations of ECDH on a curve as TLS pays them: keys encoded, read and checked on their way."""
    return [
        Figure(
            f"{curve}.{operation}",
            f"{curve}.{operation}",
            f"step of a resumed handshake with {curve}, less the same with X25519, plus x25519.{operation}",
            partial(_in_place_of_x25519, curve=curve, operation=operation, step=step),
        )
        for operation, step in (("keygen", "client_hello"), ("derive", "client_finish"))
    ]


def _in_place_of_x25519(raw: Round, curve: str, operation: str, step: str) -> float:
    return _more(raw, curve, step) + raw[f"x25519.{operation}"]


def _more(raw: Round, exchange: str, step: str) -> float:
    """What a step takes more with a key exchange than with X25519."""
    return raw[f"{exchange}/{step}"] - raw[f"resumed/{step}"]


def _aead(cipher: str) -> list[Figure]:
    method = "cryptography AEAD on 16 000 bytes, less the same on 1 byte"
    names = (f"{cipher}.seal", f"{cipher}.open")
    return [Figure(name, name, method, partial(_block_alone, name=name)) for name in names]


def _work(name: str, method: str, formula: Callable[[Round], float]) -> Figure:
    return Figure(name, "general-code", method, formula)


def _raw(raw: Round, name: str) -> float:
    return raw[name]


def _block_alone(raw: Round, name: str) -> float:
    return raw[f"{name}/block"] - raw[f"{name}/byte"]


def _block_copy(raw: Round) -> float:
    records = _block_alone(raw, "record.seal") + _block_alone(raw, "record.open")
    return (records - _block_alone(raw, "aes-128-gcm.seal") - _block_alone(raw, "aes-128-gcm.open")) / 2


def _binder(raw: Round) -> float:
    return raw["resumed/client_hello"] - raw["full/client_hello"]


def _ticket(raw: Round) -> float:
    return (raw["full/server_finish"] - raw["stateful/server_finish"]) / 2


def _signatures(raw: Round) -> float:
    """One's own, and both on the peer's certificate and on its handshake."""
    return raw["ecdsa-p256.sign"] + 2 * raw["ecdsa-p256.verify"]


def _certificate_work(raw: Round) -> float:
    """What a server does more in a full handshake than in a resumed one, signatures and tickets apart."""
    server = raw["full/server_flight"] + raw["full/server_finish"] - _ticket(raw)
    server -= raw["resumed/server_flight"] + raw["resumed/server_finish"] - _binder(raw)
    return server - _signatures(raw)


def _certificate_messages(raw: Round) -> float:
    """What a client does on top of that."""
    client = raw["full/client_finish"] - raw["resumed/client_finish"]
    return client - _signatures(raw) - _certificate_work(raw)


def _client_side(raw: Round, kind: str) -> float:
    return raw[f"{kind}/client_hello"] + raw[f"{kind}/client_finish"] + raw[f"{kind}/tickets"]


def _server_side(raw: Round, kind: str) -> float:
    return raw[f"{kind}/server_flight"] + raw[f"{kind}/server_finish"]


FIGURES: tuple[Figure, ...] = (
    *_calls("x25519", "keygen", "derive"),
    *_calls("ed25519", "sign", "verify"),
    *_exchange("p256"),
    *_exchange("p384"),
    *_calls("ecdsa-p256", "sign", "verify"),
    *_calls("ecdsa-p384", "sign", "verify"),
    *_calls("ecdsa-p521", "sign", "verify"),
    *_calls("rsa-2048", "sign", "verify"),
    *_calls("rsa-3072", "sign", "verify"),
    Figure(
        "ml-kem-768.keygen",
        "ml-kem-768.keygen",
        "ClientHello step with X25519MLKEM768, less the same with X25519",
        lambda raw: _more(raw, "ml-kem-768", "client_hello"),
    ),
    Figure(
        "ml-kem-768.parse",
        "ml-kem-768.encap",
        "server's flight with X25519MLKEM768, less the same with X25519 and an encapsulation",
        lambda raw: _more(raw, "ml-kem-768", "server_flight") - raw["ml-kem-768.encap"],
    ),
    *_calls("ml-kem-768", "encap", "decap"),
    *_calls("ml-kem-1024", "keygen", "encap", "decap"),
    *_calls("ml-dsa-44", "sign", "verify"),
    *_calls("ml-dsa-65", "sign", "verify"),
    *_calls("ml-dsa-87", "sign", "verify"),
    *_aead("aes-128-gcm"),
    *_aead("aes-256-gcm"),
    *_aead("chacha20-poly1305"),
    _work(
        "tls13.client_hello",
        "ClientHello step of a full handshake, less x25519.keygen",
        lambda raw: raw["full/client_hello"] - raw["x25519.keygen"],
    ),
    _work(
        "tls13.hello_retry_request",
        "server's answer to a ClientHello without the group's key share",
        lambda raw: raw["hello_retry_request"],
    ),
    _work(
        "tls13.server_flight",
        "server's flight of a resumed handshake, less x25519.keygen, x25519.derive and the binder",
        lambda raw: raw["resumed/server_flight"] - raw["x25519.keygen"] - raw["x25519.derive"] - _binder(raw),
    ),
    _work(
        "tls13.client_finish",
        "client's last flight of a resumed handshake, less x25519.derive",
        lambda raw: raw["resumed/client_finish"] - raw["x25519.derive"],
    ),
    _work(
        "tls13.server_finish",
        "server's last step of a resumed handshake, less its one ticket",
        lambda raw: raw["resumed/server_finish"] - _ticket(raw),
    ),
    _work("tls13.psk_binder", "ClientHello step with a ticket, less the same without", _binder),
    _work("tls13.session_ticket", "half of what two sealed tickets take more than two stateful ones", _ticket),
    _work("tls13.session_ticket_store", "half of reading two tickets", lambda raw: raw["full/tickets"] / 2),
    _work("tls13.alert", "client reads a fatal alert in place of a ServerHello", lambda raw: raw["alert"]),
    _work(
        "x509.check",
        "certificate work of a server: full handshake less resumed one, less signatures",
        _certificate_work,
    ),
    _work(
        "tls13.certificate_messages",
        "the same of a client, less that of a server",
        _certificate_messages,
    ),
    _work("record.seal", "pyOpenSSL send and read out, 1 byte", lambda raw: raw["record.seal/byte"]),
    _work("record.open", "pyOpenSSL write in and receive, 1 byte", lambda raw: raw["record.open/byte"]),
    _work("record.copy", "16 000 bytes through a record less 1 byte, less the AEAD; mean of both ways", _block_copy),
    _work("tcp.message", "half of sending and receiving 1 KiB over loopback TCP", lambda raw: raw["tcp.both_ends"] / 2),
    _work("http2.request_response", "h2, a request and a response of 1 KiB, both ends", lambda raw: raw["http2"]),
)
"""Every operation of a profile, in the order of the file."""

CHECKS: tuple[Figure, ...] = (
    _work("full_client", "client side of a full mutual handshake", partial(_client_side, kind="full")),
    _work("full_server", "server side of a full mutual handshake", partial(_server_side, kind="full")),
    _work("resumed_client", "client side of a resumed handshake", partial(_client_side, kind="resumed")),
    _work("resumed_server", "server side of a resumed handshake", partial(_server_side, kind="resumed")),
)
"""Whole handshakes, by which sums of figures are checked."""


def run_calibration(samples: int, progress: Progress, name: str = "calibrated") -> str:
    """Measure this machine, ``samples`` times each, and return the text of a cost profile called ``name``.

    The published part (other CPUs, stand-ins, proxy) is the shipped profile's. Raises UsageError for too few samples.
    """
    if samples < LEAST_SAMPLES:
        raise UsageError(f"{samples} samples are too few for quartiles; ask for {LEAST_SAMPLES} or more")
    raw = _measure(samples, progress)
    text = _measured_part(raw, name) + _published_part()
    parse_cost_profile(text.encode(), "calibrated profile")
    return text


def _measure(samples: int, progress: Progress) -> list[Round]:
    watch = Stopwatch()
    ready = [*primitive_probes(watch), *tls_probes(watch), *message_probes(watch), *decision_probes(watch)]
    rounds: list[Round] = []
    gc.collect()
    gc.disable()
    try:
        while len(rounds) < samples:
            burst: list[Round] = [{} for _ in range(_BURST)]
            for probe in ready:
                for row in burst:
                    row.update(probe())
            # The first pass of a burst finds caches cold, as the published loops do not.
            rounds += burst[1:]
            gc.collect()
            progress(min(len(rounds), samples), samples)
    finally:
        gc.enable()
    return rounds[:samples]


def _quartiles(rounds: list[Round], formula: Callable[[Round], float]) -> str:
    values = [formula(raw) for raw in rounds]
    quartiles = statistics.quantiles(values, n=4, method="inclusive")
    # A difference of two noisy times may come out below zero at its lower quartile; no work takes no time.
    p25, p50, p75 = (max(1, round(value)) for value in quartiles)
    return f"p25_ns: {p25}, p50_ns: {p50}, p75_ns: {p75}, samples: {len(values)}"


def _measured_part(rounds: list[Round], name: str) -> str:
    lines = [
        "# Cost profile: what each operation costs on each CPU, as CPU time of one core. How to read, override and",
        "# regenerate it: docs/cost-profile.md. The first part was measured by the command below on the reference CPU;",
        "# `charge` names the quantile that simulations charge.",
        "",
        f"cost_profile: {_quoted(name)}",
        "schema_version: 1",
        "",
        "reference:",
        "  cpu: reference",
        f"  description: {_quoted(_cpu_description())}",
        f"  aes_instructions: {'true' if _has_aes() else 'false'}",
        f"  command: {_quoted(f'meshsim calibrate --samples {len(rounds)} --out {name}.yaml')}",
        "  measured_with:",
        *(f"    {library}: {_quoted(text)}" for library, text in _versions().items()),
        "",
        "charge: p50",
        "",
        "# An operation scales with a primitive (often itself) whose rates are published per CPU, or with a stand-in.",
        "operations:",
    ]
    for item in FIGURES:
        lines.append(f"  {item.name}:")
        lines.append(f"    {{scales_with: {item.scales_with}, {_quartiles(rounds, item.formula)},")
        lines.append(f"     method: {_quoted(item.method)}}}")
    lines += ["", "# Time of one decision, by the number of policies loaded.", "policy:"]
    for engine in PRICED:
        lines += [f"  {engine}:", "    scales_with: general-code", "    decisions:"]
        for count in POLICY_COUNTS:
            quartiles = _quartiles(rounds, partial(_raw, name=f"{engine}/{count}"))
            lines.append(f"      - {{policies: {count}, {quartiles},")
            lines.append('         method: "one decision through the policy engine, policies parsed before"}')
    lines += [
        "",
        "# Whole handshakes on the reference CPU: not charged, but what the operations of a handshake must add up to.",
    ]
    lines.append("checks:")
    for item in CHECKS:
        lines += [f"  {item.name}:", f"    {{{_quartiles(rounds, item.formula)}, method: {_quoted(item.method)}}}"]
    return "\n".join([*lines, "", ""])


def _published_part() -> str:
    text = SHIPPED_PROFILE.read_text(encoding="utf-8")
    start = text.find(MARKER)
    assert start >= 0, f"the shipped profile has no line {MARKER!r}"
    return text[start:]


def _versions() -> dict[str, str]:
    libraries = {name: version(name) for name in ("cryptography", "pyopenssl", "cedarpy", "h2")}
    return {"python": platform.python_version(), "openssl": backend.openssl_version_text().split(" (")[0], **libraries}


def _cpu_description() -> str:
    """The CPU's model as the system tells it, without anything that names the machine."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(re.findall(r"^([^:\n]+?)\s*: (.+)$", text, re.MULTILINE))
    model = facts.get("model name") or facts.get("Model") or platform.machine()
    numbers = ", ".join(f"{key} {facts[key]}" for key in ("cpu family", "model") if key in facts)
    model = re.sub(r"\((?:R|TM)\)", "", model, flags=re.IGNORECASE)
    return f"{model} ({numbers or platform.machine()})"


def _has_aes() -> bool:
    """Whether the CPU has AES instructions, as the system tells it; taken to be so where it tells nothing."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return flags is None or "aes" in flags[1].split()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
