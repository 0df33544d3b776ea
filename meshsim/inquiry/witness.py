"""A witness as somebody would ask for it: the options of ``meshsim policy ask`` that put the same question."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from meshsim.inquiry.names import NOBODY, find_caller
from meshsim.inquiry.placing import ANYWHERE
from meshsim.inquiry.space import Combination, Space
from meshsim.inquiry.subject import Callee, Caller, Subject
from meshsim.policy.question import Question
from meshsim.scenario.errors import UsageError

_TEXTS: Final = ("slice", "site", "node", "source_node", "host", "source_ip", "tls_version", "cipher", "group")
"""Dimensions that are options of the same names."""


def ask_options(
    subjects: Sequence[Subject], pair: tuple[Caller, Callee, int], space: Space, question: Question, told: Combination
) -> tuple[str, ...]:
    """The options that ask for a question of a pair, by names that all subjects know; each with its value behind it."""
    caller, callee, port = pair
    options = ["--source", _source(subjects, caller), "--destination", callee.name, "--port", str(port)]
    options += ["--method", question.method]
    options += ["--path", question.path + (f"?{question.query}" if question.query else "")]
    dimensions = {one.name: value for one, value in zip(space.dimensions, told, strict=True)}
    for name in _TEXTS:
        value = getattr(question, name)
        if name in dimensions and value:
            options += [f"--{name.replace('_', '-')}", value]
    if "certificate_age_s" in dimensions and question.certificate_age_s >= 0:
        options += ["--certificate-age", f"{question.certificate_age_s} s"]
    if "time_s" in dimensions:
        options += ["--time", datetime.fromtimestamp(question.time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")]
    for name, text in question.headers:
        options += ["--header", f"{name}={text}"]
    options += _token(callee, space, question, told)
    return tuple(options)


def _source(subjects: Sequence[Subject], caller: Caller) -> str:
    """The name of a caller, if every subject knows the same one by it; else its SPIFFE ID."""
    if not caller.spiffe_id:
        return NOBODY
    try:
        known = [find_caller(subject, caller.name).spiffe_id for subject in subjects] if caller.workload else []
    except UsageError:
        known = []
    return caller.name if known and set(known) == {caller.spiffe_id} else caller.spiffe_id


def _token(callee: Callee, space: Space, question: Question, told: Combination) -> Iterator[str]:
    claims = json.loads(question.claims) if question.claims else {}
    check = callee.token_check
    if not claims and not space.claims and check is not None:
        # Where nobody tells requests apart by their tokens, they have one that is in order.
        claims = {"iss": check.issuers[0]}
    for name, value in claims.items():
        yield from ("--claim", f"{name}={json.dumps(value)}")
    place = space.spots.get(space.token_at(told), ANYWHERE).place
    if claims and place is not None:
        yield from ("--token-at", f"{place.kind}={place.name}")
