"""What becomes of combinations at one side: TLS, the called sidecar and the engine have their say in this order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from meshsim.inquiry.admission import admission
from meshsim.inquiry.arrival import arrived
from meshsim.inquiry.ask import MUTUAL_TLS
from meshsim.inquiry.dimension import Dimension, Value
from meshsim.inquiry.path_classes import refused_path
from meshsim.inquiry.placing import ANYWHERE
from meshsim.inquiry.space import Combination, Space
from meshsim.inquiry.subject import Subject
from meshsim.inquiry.usual import Pair, own_values
from meshsim.policy.istio import REFUSED_PATH, IstioEngine
from meshsim.policy.question import DEFAULT_ALLOW, Decision

NO_SUCH_PORT = Decision(False, "no-such-port")


class LeftOut(msgspec.Struct, frozen=True):
    """Requests that a comparison does not ask about, though they are decided differently."""

    rule: str
    """By which one side decides them."""
    what: str
    """Why they are left out, for people."""
    pairs: int
    """Callers at ports of which there are some."""


def decisions_of(subject: Subject, space: Space, combinations: Sequence[Combination], pair: Pair) -> list[Decision]:
    """What becomes of each combination: TLS has its say before policy is asked."""
    if pair[2] not in pair[1].ports:
        return [NO_SUCH_PORT] * len(combinations)
    if admission(*pair).refused:
        return [Decision(False, MUTUAL_TLS)] * len(combinations)
    own = own_values(subject, space, pair)
    return [_decide(subject, space, pair, one, own) for one in combinations]


def _decide(subject: Subject, space: Space, pair: Pair, combination: Combination, own: Mapping[str, Any]) -> Decision:
    caller, callee, _ = pair
    question = space.question(*pair, combination, own)
    said = space.claims
    # Where nobody tells requests apart by their tokens, they have one that is in order.
    token = question.claims or (None if said else "{}")
    spot = space.spots.get(space.token_at(combination), ANYWHERE)
    came = arrived(subject, caller, callee, question, token, said, spot=spot)
    if came.refused is not None:
        return came.refused
    return Decision(True, DEFAULT_ALLOW) if subject.engine is None else subject.engine.decide(came.question)


def left_out_of(
    before: Subject, after: Subject, space: Space, pairs: Sequence[tuple[Pair, Pair]]
) -> tuple[LeftOut, ...]:
    """The paths that one side refuses with status 400 and the other one lets in, as it has no policies at all.

    ``pairs``: each caller at a port as both sides know it.
    """
    engine = next(one.engine for one in (before, after) if isinstance(one.engine, IstioEngine))
    path = refused_path(engine.normalization)
    dimensions = [
        Dimension(one.name, (Value("refused", path),)) if one.name == "path" else one for one in space.dimensions
    ]
    refused = msgspec.structs.replace(space, dimensions=tuple(dimensions))

    def differ(one: Pair, other: Pair) -> bool:
        return any(
            decisions_of(before, refused, [each], one)[0].allowed
            is not decisions_of(after, refused, [each], other)[0].allowed
            for each in refused.combinations()
        )

    count = sum(differ(*pair) for pair in pairs)
    what = "without policies no path is refused by status 400; these flips are left out"
    return (LeftOut(REFUSED_PATH, what, count),) if count else ()
