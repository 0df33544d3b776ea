"""What holds for a question that an authorizer did not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshsim.policy.istio_waypoints import closing

if TYPE_CHECKING:
    from meshsim.policy.engine import Delegating
    from meshsim.policy.question import Decision, Question


def unanswered(delegating: Delegating | None, question: Question, failure: Decision) -> Decision:
    """Return ``failure``, if no rule of an engine that decides the rest itself denies what it lets in."""
    if delegating is None:
        return failure
    if not failure.allowed:
        return closing(failure) if delegating.closes(question) else failure
    rest = delegating.decide_unasked(question)
    if not rest.allowed:
        return rest
    return msgspec.structs.replace(failure, audited=rest.audited, dry_run=rest.dry_run)


def differs(one: Decision, other: Decision) -> str:
    """Say whether one decision is not as another: ``allowed`` or ``denied`` is what the first says; else nothing."""
    return "" if one.allowed == other.allowed else "allowed" if one.allowed else "denied"
