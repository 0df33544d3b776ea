"""What a sidecar does about failures: which outcomes it tries again, and after how long."""

from __future__ import annotations

from random import Random

import msgspec

STATUS = {
    "ok": 200,
    "denied": 403,
    "timeout": 504,
    "tls-refused": 503,
    "unreachable": 503,
    "reset": 503,
    "failed": 502,
    "overflow": 503,
    "unrouted": 404,
    "no-token": 401,
    "no-waypoint": 503,
}
"""The HTTP status with which a sidecar tells its workload of each outcome; of an abort, the route says it."""


CONNECT_FAILURE = "connect-failure"
"""A condition for retries beside the outcomes of attempts: the attempt ended before its request was sent, for want of a
connection. Envoy's retry condition of this name."""

FLAGS = {
    "unreachable": "UF",
    "tls-refused": "UF",
    "reset": "UC",
    "timeout": "UT",
    "overflow": "UO",
    "unrouted": "NR",
    "aborted": "FI",
}
"""Envoy's response flag of each outcome that has one."""


class ResilienceSettings(msgspec.Struct, frozen=True):
    """Retries and timeouts of one sidecar."""

    retries: int
    """Attempts after the first."""
    retry_on: frozenset[str]
    """Outcomes that are tried again, and `CONNECT_FAILURE`."""
    backoff_ns: int
    """Base of the wait before a retry."""
    attempt_timeout_ns: int | None
    """Time for one attempt; None for no limit but the call's."""
    connect_timeout_ns: int
    """Time for TCP and TLS."""


def carrying(settings: ResilienceSettings) -> ResilienceSettings:
    """Return what is left of settings for who carries connections and knows no requests."""
    return msgspec.structs.replace(settings, retries=0, attempt_timeout_ns=None)


def response_flags(outcome: str, *, waited: bool, retried: bool) -> str:
    """Return the flags with which Envoy logs a request that it had to answer itself; empty for none.

    ``waited``: whether it ended while it waited for a connection. If not, there was no endpoint to connect to, or it
    had been sent: in TLS 1.3 that is done before a server refuses its client. ``retried``: whether all retries were
    used up.
    """
    flag = FLAGS.get(outcome, "")
    if not waited:
        flag = {"unreachable": "UH", "tls-refused": FLAGS["reset"]}.get(outcome, flag)
    return f"URX,{flag}" if flag in ("UF", "UC") and retried else flag


def backoff_ns(settings: ResilienceSettings, retry: int, random: Random) -> int:
    """Return the wait before the ``retry``-th retry (from 1).

    Uniform between 0 and base * (2^retry - 1), at most ten times the base: Envoy's jittered exponential back-off.
    """
    span_ns = settings.backoff_ns * min((1 << retry) - 1, 10)
    return int(random.random() * span_ns)


def outcome_of_status(status: int) -> str:
    """Return the outcome that a response's status stands for."""
    if status == 200:
        return "ok"
    return "denied" if status in (400, 401, 403) else "failed"
