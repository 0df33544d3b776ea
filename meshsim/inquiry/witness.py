"""A witness as somebody would ask for it: the options of ``meshsim policy ask`` that put it to a side."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

from meshsim.inquiry.dimension import OWN
from meshsim.inquiry.names import NOBODY, find_caller
from meshsim.inquiry.placing import ANYWHERE
from meshsim.inquiry.space import Combination, Space
from meshsim.inquiry.subject import Callee, Caller, Subject
from meshsim.inquiry.usual import Pair, own_values
from meshsim.policy.question import Question
from meshsim.scenario.errors import UsageError

_TEXTS: Final = ("slice", "site", "node", "source_node", "host", "source_ip", "tls_version", "cipher", "group")
"""Dimensions that are options of the same names."""


class Put(msgspec.Struct, frozen=True):
    """A question as somebody puts it to one side."""

    question: Question
    options: tuple[str, ...]
    """Each with its value behind it."""


def put_to(subject: Subject, space: Space, pair: Pair, told: Combination) -> Put | None:
    """Put a combination to a side, by names that it knows; None if it does not have the port."""
    if pair[2] not in pair[1].ports:
        return None
    question = space.question(*pair, told, own_values(subject, space, pair))
    return Put(question, _options(subject, space, pair, question, told))


def _options(subject: Subject, space: Space, pair: Pair, question: Question, told: Combination) -> tuple[str, ...]:
    caller, callee, port = pair
    options = ["--source", _source(subject, caller), "--destination", callee.name, "--port", str(port)]
    options += ["--method", question.method]
    options += ["--path", question.path + (f"?{question.query}" if question.query else "")]
    dimensions = {one.name: value for one, value in zip(space.dimensions, told, strict=True) if value.witness != OWN}
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


def _source(subject: Subject, caller: Caller) -> str:
    """The name of a caller, if the subject knows it by that; else its SPIFFE ID."""
    if not caller.spiffe_id:
        return NOBODY
    try:
        known = find_caller(subject, caller.name) if caller.workload else None
    except UsageError:
        known = None
    same = known is not None and (known.spiffe_id, known.workload) == (caller.spiffe_id, caller.workload)
    return caller.name if same else caller.spiffe_id


def _token(callee: Callee, space: Space, question: Question, told: Combination) -> Iterator[str]:
    claims = json.loads(question.claims) if question.claims else {}
    check = callee.token_check
    if not claims and not space.claims and check is not None:
        # Where nobody tells requests apart by their tokens, they have one that is in order.
        claims = {"iss": check.issuers[0]}
    elif claims and "aud" in space.claims and check is not None:
        claims.setdefault("aud", [])  # what is not said of it is taken to be right
    for name, value in claims.items():
        yield from ("--claim", f"{name}={json.dumps(value)}")
    place = space.spots.get(space.token_at(told), ANYWHERE).place
    if claims and place is not None:
        yield from ("--token-at", f"{place.kind}={place.name}")
