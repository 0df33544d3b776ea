"""From tables to everything that is said about a run, in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from meshsim.analysis.data import RunData
from meshsim.analysis.report import render_report
from meshsim.analysis.summary import summarise
from meshsim.analysis.verdict import Verdict, evaluate, exit_code
from meshsim.results.manifest import Manifest
from meshsim.scenario.model import Scenario


class Conclusion(msgspec.Struct, frozen=True):
    """What a run came to."""

    verdicts: list[Verdict]
    summary: dict[str, Any]
    """The content of ``summary.json``."""
    report: str
    """The content of ``report.html``."""
    exit_code: int
    """0 passed, 1 failed, 3 inconclusive."""


def conclude(tables: Path, scenario: Scenario, manifest: Manifest) -> Conclusion:
    """Judge, sum up and draw the run whose tables stand in ``tables``, a sealed run folder or a finished one."""
    run = RunData(tables, scenario, manifest)
    verdicts = evaluate(run)
    summary = summarise(run, verdicts)
    return Conclusion(verdicts, summary, render_report(run, summary), exit_code(verdicts))
