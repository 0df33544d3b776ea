"""What a command answers, and how it reaches standard output."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console

    from meshsim.scenario.errors import Diagnostic

EXIT_PASSED, EXIT_FAILED, EXIT_USAGE, EXIT_INCONCLUSIVE, EXIT_INVARIANT, EXIT_INFRASTRUCTURE = range(6)
EXIT_INTERRUPTED = 130
"""Exit codes of the public contract."""

PIPED_COLUMNS = 80
"""Width of what is drawn when no terminal says how wide it is."""


class Answer(NamedTuple):
    """What became of a command."""

    document: dict[str, Any]
    """What ``--json`` prints, beside ``command``, ``exit_code`` and ``errors``."""
    draw: Callable[[Console], None]
    """Draws the same for people."""
    exit_code: int = EXIT_PASSED
    errors: tuple[Diagnostic, ...] = ()
    """Mistakes in the user's files; they are printed on standard error too."""


def json_text(document: dict[str, Any]) -> str:
    """The one form of every document: sorted keys, two spaces, ASCII alone (so that no terminal can garble it)."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n"


def drawn(draw: Callable[[Console], None]) -> str:
    """What ``draw`` draws, as text for standard output: coloured on a terminal only, NO_COLOR and TERM honoured."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((PIPED_COLUMNS, 24)).columns
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=max(20, width),
        # None: rich still honours FORCE_COLOR, which some build servers set for their logs.
        force_terminal=terminal or None,
        markup=False,
        highlight=False,
        emoji=False,
    )
    draw(console)
    return buffer.getvalue()


def shown_path(path: Path) -> str:
    """``path`` as short as it can be typed from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return os.fspath(path)
