"""Decisions as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.telemetry.rows import DecisionRow

if TYPE_CHECKING:
    from meshsim.sidecar.commands import AskPolicy
    from meshsim.world.policies import Ruling
    from meshsim.world.rollout import Rollout


def decision_row(now_ns: int, ruling: Ruling, command: AskPolicy, rollout: Rollout | None) -> DecisionRow:
    """Return the row of a decision, held against what ought to hold where that changes."""
    message, decision, engine = command.message, ruling.decision, ruling.engine
    template = message.template
    return DecisionRow(
        now_ns,
        message.call_id,
        engine.name,
        engine.version,
        message.source,
        template.destination,
        template.method,
        template.path,
        decision.allowed,
        decision.rule,
        ruling.cached,
        "" if rollout is None else rollout.judge(command.question, decision),
        ruling.shadow,
        decision.dry_run,
    )
