"""A scenario to begin with: written as a whole or not at all, and never over anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from meshsim.scenario.errors import InfrastructureError, UsageError
from meshsim.scenario.schema import SCHEMA_FILE, schema_text

_STARTER = Path(__file__).parent / "data" / "starter"


def starter_files() -> dict[str, str]:
    """Name and text of each file of the starter scenario, the scenario first."""
    names = ("scenario.yaml", "mesh.cedar")
    return {name: (_STARTER / name).read_text(encoding="utf-8") for name in names} | {SCHEMA_FILE: schema_text()}


def write_starter(directory: Path | str) -> list[Path]:
    """Write the commented starter scenario into ``directory``, made if need be; returns the files, the scenario first.

    Raises UsageError if one of the files is there already or ``directory`` is no folder, and InfrastructureError if it
    cannot be written; then nothing is left behind.
    """
    directory = Path(directory)
    files = starter_files()
    try:
        if not os.path.lexists(directory):
            _write_folder(directory, files)
        elif not directory.is_dir():
            raise UsageError(f"{directory} is not a folder; expected a folder, or a name that is free")
        else:
            _write_into(directory, files)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InfrastructureError(f"{directory} cannot be written: {reason}") from None
    return [directory / name for name in files]


def _write_folder(directory: Path, files: Mapping[str, str]) -> None:
    """Make the folder aside and rename it when it is complete, so that it never appears half written."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    aside = directory.with_name(f".{directory.name[:100]}.{os.getpid()}.partial")
    aside.mkdir()
    try:
        for name, text in files.items():
            (aside / name).write_text(text, encoding="utf-8")
        aside.rename(directory)
    except BaseException:
        for name in files:
            (aside / name).unlink(missing_ok=True)
        aside.rmdir()
        raise


def _write_into(directory: Path, files: Mapping[str, str]) -> None:
    """Add the files to a folder that exists; if one cannot be made, take the others back."""
    there = [name for name in files if os.path.lexists(directory / name)]
    if there:
        raise UsageError(
            f"{directory} has {' and '.join(there)} already; expected a folder without, nothing was written"
        )
    made: list[Path] = []
    try:
        for name, text in files.items():
            with (directory / name).open("x", encoding="utf-8") as target:
                made.append(directory / name)
                target.write(text)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise
