"""The progress bar: on a terminal's standard error, once work has taken over a second."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from meshsim.commands.interruption import INTERRUPTION

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_S = 1.0
"""Work that is done sooner shows no bar."""


class Bar:
    """A callable ``(done, total)`` for the rooms below. Use as a context manager, so that the bar goes away again."""

    def __init__(self, doing: str, afterwards: str, *, quiet: bool = False) -> None:
        """``doing`` is shown while work goes on, ``afterwards`` once all of it is done."""
        self._doing, self._afterwards = doing, afterwards
        self._silent = quiet or not sys.stderr.isatty()
        self._began_s = time.monotonic()
        self._shown: tuple[Progress, TaskID] | None = None

    def __call__(self, done: int, total: int) -> None:
        """Tell how far the work is."""
        INTERRUPTION.check()
        if self._silent:
            return
        if self._shown is None:
            if time.monotonic() - self._began_s < PATIENCE_S:
                return
            self._shown = self._show(total)
        progress, task = self._shown
        description = self._afterwards if done >= total else self._doing
        progress.update(task, completed=done, description=description, refresh=True)

    def _show(self, total: int) -> tuple[Progress, TaskID]:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            auto_refresh=False,  # a thread that redraws would take its time from the work
            expand=False,
        )
        progress.start()
        return progress, progress.add_task(self._doing, total=total)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._shown is not None:
            self._shown[0].stop()
