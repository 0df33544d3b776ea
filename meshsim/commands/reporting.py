"""``meshsim report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from meshsim.analysis.conclude import conclude
from meshsim.analysis.run import open_run
from meshsim.commands.answer import Answer, shown_path
from meshsim.commands.files import replace
from meshsim.scenario.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console


def draw_report(run_dir: Path, *, quiet: bool) -> Answer:
    """Render the report of the run in ``run_dir`` from its tables, in place of the one that is there."""
    run = open_run(run_dir)
    if problems := run.verify():
        raise UsageError(f"{run_dir} is damaged: {'; '.join(problems)}")
    try:
        text = conclude(run.path, run.scenario, run.manifest).report
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"the tables of {run_dir} cannot be read: {error}") from error
    replace(run.report_path, text)

    def draw(console: Console) -> None:
        path = shown_path(run.report_path)
        console.print(path if quiet else f"report  {path}", soft_wrap=True)

    document = {
        "run_dir": str(run.path.absolute()),
        "report": str(run.report_path.absolute()),
        "digest": run.digest,
    }
    return Answer(document, draw)
