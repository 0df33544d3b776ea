"""``meshsim init``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from meshsim.commands.answer import Answer
from meshsim.scenario.init import write_starter

if TYPE_CHECKING:
    from rich.console import Console


def write_files(directory: Path, *, quiet: bool) -> Answer:
    """Write the starter scenario into ``directory``."""
    files = write_starter(directory)

    def draw(console: Console) -> None:
        if quiet:
            console.print(str(files[0]), soft_wrap=True)
            return
        for file in files:
            console.print(f"wrote {file}", soft_wrap=True)
        console.print(f"next  meshsim run {files[0]}", soft_wrap=True)

    return Answer({"files": [str(file) for file in files]}, draw)
