"""Metrics of certificates: how many there were, how long they took to get, and how busy the issuer was.

They belong to workloads: a service stands for its replicas, and neither a slice nor a flow has any. A phase or fault
holds what ended in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from meshsim.analysis.reading import Flags, Ints
from meshsim.analysis.selection import PPM, Kind, Metric, Selected, quantile
from meshsim.analysis.tallies import count
from meshsim.scenario.variants import spiffe_ids
from meshsim.telemetry.issuance_row import ISSUANCE_PARTS

IDENTITIES = "identities"
ISSUANCES = "issuances"
CONFIGS = "configs"
TOKEN = "token"
"""The purpose of attempts that are about tokens."""
TABLES = frozenset((IDENTITIES, ISSUANCES, CONFIGS))
"""The tables that these metrics are computed from."""

TRUST_BUNDLE = "trust bundle: "
"""What the reason of a push begins with that is about authorities."""
AFTER_ISSUE = ("configuration_ns", "announcement_ns")
"""What comes after a certificate is there."""
_QUANTILES_PPM = {"p50": 500_000, "p99": 990_000, "max": PPM}


class Gained(NamedTuple):
    """Certificates that were had in the end, one after the other: what they took, all attempts together."""

    purposes: list[str]
    parts_ns: dict[str, Ints]
    """Nanoseconds of each part, by its column."""

    def total_ns(self, *less: str) -> Ints:
        """The whole time of each, but for some parts."""
        columns = [values for name, values in self.parts_ns.items() if name not in less]
        total_ns: Ints = np.sum(columns, axis=0, dtype=np.int64)
        return total_ns

    def of(self, *purposes: str) -> Gained:
        """Those with one of these purposes."""
        chosen = np.array([purpose in purposes for purpose in self.purposes], dtype=np.bool_)
        names = [purpose for purpose in self.purposes if purpose in purposes]
        return Gained(names, {name: values[chosen] for name, values in self.parts_ns.items()})


def attempts(rows: Selected) -> Flags:
    """Which rows of ``issuances`` are selected that are about certificates."""
    return _selected(rows, ISSUANCES, "t_end_ns") & _of_service(rows) & ~_about_tokens(rows)


def token_attempts(rows: Selected) -> Flags:
    """Those that are about tokens."""
    return _selected(rows, ISSUANCES, "t_end_ns") & _of_service(rows) & _about_tokens(rows)


def _about_tokens(rows: Selected) -> Flags:
    return rows.run.names(ISSUANCES, "purpose").is_in((TOKEN,))


def gained(rows: Selected, chosen: Callable[[Selected], Flags] = attempts) -> Gained:
    """What the selected certificates took that were had in the end; or tokens, with their attempts."""
    run = rows.run
    ids, outcomes = run.ints(ISSUANCES, "issuance_id"), run.names(ISSUANCES, "outcome")
    done = np.flatnonzero(chosen(rows) & (outcomes.codes == outcomes.code("done")))
    size = int(ids.max(initial=0)) + 1
    parts_ns = {}
    for name in ISSUANCE_PARTS:
        sums = np.zeros(size, dtype=np.int64)
        np.add.at(sums, ids, run.ints(ISSUANCES, name))
        parts_ns[name] = sums[ids[done]]
    purposes = run.names(ISSUANCES, "purpose")
    return Gained([purposes.values[code] for code in purposes.codes[done].tolist()], parts_ns)


def events(rows: Selected, *names: str) -> Flags:
    """Which rows of ``identities`` are selected and one of these events."""
    run = rows.run
    chosen = _selected(rows, IDENTITIES, "t_ns") & run.names(IDENTITIES, "event").is_in(names)
    service = rows.selection.service
    if service is not None:
        ids = spiffe_ids(service, run.scenario.services[service], run.scenario.mesh.trust_domain_of(service))
        chosen &= run.names(IDENTITIES, "spiffe_id").is_in(tuple(ids))
    return chosen


def failed_attempts(rows: Selected) -> int:
    """How many selected attempts failed."""
    return count(attempts(rows) & rows.run.names(ISSUANCES, "outcome").is_in(("failed",)))


def _selected(rows: Selected, table: str, time_column: str) -> Flags:
    if rows.selection.during is None:
        return np.ones(rows.run.rows(table), dtype=np.bool_)
    return rows.window.holds(rows.run.ints(table, time_column))


def _of_service(rows: Selected) -> Flags:
    hosts = rows.run.names(ISSUANCES, "host")
    service = rows.selection.service
    if service is None:
        return np.ones(len(hosts.codes), dtype=np.bool_)
    return hosts.is_in(tuple(host for host in hosts.values if host.startswith(f"{service}/")))


def _largest(column: str) -> Callable[[Selected], int | None]:
    def compute(rows: Selected) -> int | None:
        values = rows.run.ints(ISSUANCES, column)[attempts(rows)]
        return int(values.max()) if values.size else None

    return compute


def _time(share_ppm: int, purposes: tuple[str, ...], less: tuple[str, ...]) -> Callable[[Selected], int | None]:
    return lambda rows: quantile(gained(rows).of(*purposes).total_ns(*less), share_ppm)


def _tokens(outcome: str) -> Callable[[Selected], int | None]:
    return lambda rows: count(token_attempts(rows) & rows.run.names(ISSUANCES, "outcome").is_in((outcome,)))


def _token_time(share_ppm: int) -> Callable[[Selected], int | None]:
    return lambda rows: quantile(gained(rows, token_attempts).total_ns(), share_ppm)


def _bundle_delay(rows: Selected) -> int | None:
    """The longest time from sending a trust bundle to the first proxy to its arrival at the last one that got it."""
    run = rows.run
    reasons, what = run.names(CONFIGS, "reason"), run.names(CONFIGS, "event")
    of_bundles = reasons.is_in(tuple(text for text in reasons.values if text.startswith(TRUST_BUNDLE)))
    of_bundles &= _selected(rows, CONFIGS, "t_ns")
    versions, times_ns = run.ints(CONFIGS, "version"), run.ints(CONFIGS, "t_ns")
    sent, acked = (of_bundles & what.is_in((event,)) for event in ("sent", "acked"))
    # Several trust domains count from 1 each, and their news differ.
    pushes = set(zip(versions[sent].tolist(), reasons.codes[sent].tolist(), strict=True))
    delays_ns = []
    for version, code in sorted(pushes):
        same = (versions == version) & (reasons.codes == code)
        if (acked & same).any():
            delays_ns.append(int(times_ns[acked & same].max() - times_ns[sent & same].min()))
    return max(delays_ns, default=None)


def certificate_metrics() -> list[Metric]:
    """The metrics of certificates."""

    def of(name: str, kind: Kind, table: str, text: str, compute: Callable[[Selected], int | None]) -> Metric:
        return Metric(name, kind, table, text, compute)

    metrics = [
        of(
            "certificates_issued",
            "count",
            IDENTITIES,
            "Certificates put in place, first ones and those that replaced others.",
            lambda rows: count(events(rows, "issued", "rotated")),
        ),
        of(
            "certificates_rotated",
            "count",
            IDENTITIES,
            "Certificates put in place of others.",
            lambda rows: count(events(rows, "rotated")),
        ),
        of(
            "certificates_expired",
            "count",
            IDENTITIES,
            "Certificates that ended while they were in use.",
            lambda rows: count(events(rows, "expired")),
        ),
        of("issuing_failures", "count", ISSUANCES, "Attempts to get a certificate that failed.", failed_attempts),
        of("issuer_queue_max", "count", ISSUANCES, "Most requests that waited when another came.", _largest("ahead")),
        of("issuer_wait_max", "duration", ISSUANCES, "Longest wait for the issuer's turn.", _largest("queue_ns")),
    ]
    metrics += [
        of("tokens_fetched", "count", ISSUANCES, "Tokens that their issuers' endpoints gave.", _tokens("done")),
        of("token_failures", "count", ISSUANCES, "Attempts to get a token that failed.", _tokens("failed")),
    ]
    text = "Longest time from sending a trust bundle until the last proxy had it that got it."
    metrics.append(of("bundle_delay_max", "duration", CONFIGS, text, _bundle_delay))
    for name, share_ppm in _QUANTILES_PPM.items():
        what = "Longest time" if name == "max" else f"Time that {share_ppm // 10_000} % do not exceed"
        text = f"{what} from the need for a certificate to having it, all attempts together."
        purposes = ("onboarding", "rotation", "renewal")
        metrics.append(of(f"issue_time_{name}", "duration", ISSUANCES, text, _time(share_ppm, purposes, AFTER_ISSUE)))
        text = f"{what} from a workload's start to its place in the mesh, all attempts together."
        what_of = f"{what} from the need for a token to having it, all attempts together."
        metrics.append(of(f"token_time_{name}", "duration", ISSUANCES, what_of, _token_time(share_ppm)))
        metrics.append(of(f"onboarding_{name}", "duration", ISSUANCES, text, _time(share_ppm, ("onboarding",), ())))
    return metrics
