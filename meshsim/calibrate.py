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
from operator import itemgetter
from pathlib import Path

import msgspec
from cryptography.hazmat.backends.openssl import backend

from meshsim.calibrate_probes.decisions import POLICY_COUNTS, PRICED, decision_probes
from meshsim.calibrate_probes.envoy import envoy_binary, envoy_version, measure_rbac
from meshsim.calibrate_probes.figures import CHECKS, FIGURES
from meshsim.calibrate_probes.messages import message_probes
from meshsim.calibrate_probes.primitives import primitive_probes
from meshsim.calibrate_probes.timing import Round, Stopwatch
from meshsim.calibrate_probes.tls import tls_probes
from meshsim.scenario.cost_profile import SHIPPED_PROFILE, parse_cost_profile
from meshsim.scenario.cost_profile_file import LONGEST_NAME
from meshsim.scenario.errors import UsageError
from meshsim.scenario.words import shorten

Progress = Callable[[int, int], None]
"""Called with samples taken and samples wanted."""

MARKER = "# --- published figures"
"""The line from which on a new profile copies the shipped one."""

LEAST_SAMPLES = 20
"""Fewer give no quartiles worth the name."""

_BURST = 5

ENVOY_SHARE = 10
"""Of so many samples one is taken of Envoy, each over a burst of requests."""
RBAC_METHOD = "CPU time of Envoy for a request with an RBAC filter of so many policies, less that of one without"


class Beside(msgspec.Struct, frozen=True):
    """What a decision on Istio's policies takes, by two that make it, measured in turns."""

    policies: int
    request_ns: int
    """Median of a request to Envoy without the filter."""
    envoy_ns: int
    """Median of what Envoy's RBAC filter adds to a request."""
    own_ns: int
    """Median of this project's own evaluation, in Python."""
    cedar_ns: int
    """Median of a decision by Cedar with as many policies, to relate machines by."""


def compared(rounds: list[Round]) -> list[Beside]:
    """Return what rounds with Envoy come to, by number of policies."""

    def median_ns(formula: Callable[[Round], float]) -> int:
        return round(statistics.median(formula(raw) for raw in rounds))

    return [
        Beside(
            count,
            median_ns(itemgetter("envoy/0")),
            median_ns(partial(_filter_alone, count=count)),
            median_ns(itemgetter(f"istio/{count}")),
            median_ns(itemgetter(f"cedar/{count}")),
        )
        for count in POLICY_COUNTS
    ]


def _filter_alone(raw: Round, count: int) -> float:
    return raw[f"envoy/{count}"] - raw["envoy/0"]


def calibration_mistakes(samples: int, name: str, *, envoy: bool) -> list[str]:
    """Return why no profile can be measured so: all that is wrong, before anything is measured."""
    wrong = []
    if samples < LEAST_SAMPLES:
        wrong.append(f"{samples} samples are too few for quartiles; expected {LEAST_SAMPLES} or more")
    if not (0 < len(name) <= LONGEST_NAME and name.isprintable()):
        wrong.append(f"{shorten(name, 40)!r} names no profile; expected up to {LONGEST_NAME} printable characters")
    if envoy:
        try:
            envoy_binary()
        except UsageError as error:
            wrong.append(str(error))
    return wrong


def run_calibration(
    samples: int, progress: Progress, name: str = "calibrated", *, envoy: bool = False
) -> tuple[str, list[Beside]]:
    """Measure this machine, ``samples`` times each, and return the text of a cost profile called ``name``.

    The published part (other CPUs, stand-ins, proxy) is the shipped profile's. With ``envoy`` a decision on Istio's
    policies is what the RBAC filter of a real Envoy takes, and what that came to stands beside the text. Raises
    UsageError for what ``calibration_mistakes`` finds.
    """
    if wrong := calibration_mistakes(samples, name, envoy=envoy):
        raise UsageError(*wrong)
    of_envoy: list[Round] = []
    more = max(LEAST_SAMPLES, samples // ENVOY_SHARE) if envoy else 0
    raw = _measure(samples, lambda done, _: progress(done, samples + more))
    if envoy:
        done = iter(range(samples + 1, samples + more + 1))
        beside = decision_probes(Stopwatch(), ("cedar", "istio"))
        of_envoy = measure_rbac(more, beside, lambda: progress(next(done), samples + more))
    text = _measured_part(raw, name, of_envoy) + _published_part()
    parse_cost_profile(text.encode(), "calibrated profile")
    return text, compared(of_envoy) if of_envoy else []


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


def _decisions(rounds: list[Round], of_envoy: list[Round]) -> list[str]:
    """The lines of the policy engines; Istio's as Envoy decides where it was measured."""
    lines = ["", "# Time of one decision, by the number of policies loaded.", "policy:"]
    for engine in PRICED:
        lines += [f"  {engine}:", "    scales_with: general-code", "    decisions:"]
        for count in POLICY_COUNTS:
            if engine == "istio" and of_envoy:
                quartiles, method = _quartiles(of_envoy, partial(_filter_alone, count=count)), RBAC_METHOD
            else:
                quartiles = _quartiles(rounds, itemgetter(f"{engine}/{count}"))
                method = "one decision through the policy engine, policies parsed before"
            lines.append(f"      - {{policies: {count}, {quartiles},")
            lines.append(f'         method: "{method}"}}')
    return lines


def _measured_part(rounds: list[Round], name: str, of_envoy: list[Round]) -> str:
    command = f"meshsim calibrate --samples {len(rounds)}{' --envoy' if of_envoy else ''} --out {name}.yaml"
    versions = _versions() | ({"envoy": envoy_version()} if of_envoy else {})
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
        f"  command: {_quoted(command)}",
        "  measured_with:",
        *(f"    {library}: {_quoted(text)}" for library, text in versions.items()),
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
    lines += _decisions(rounds, of_envoy)
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
    libraries = {name: version(name) for name in ("cryptography", "pyopenssl", "cedarpy", "regopy", "h2")}
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
