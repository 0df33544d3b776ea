"""Files that commands write."""

from __future__ import annotations

import os
from pathlib import Path

from meshsim.scenario.errors import InfrastructureError


def replace(path: Path, text: str) -> None:
    """Write aside and rename, so that there is a whole file at every instant; raises InfrastructureError."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            aside.write_text(text, encoding="utf-8")
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise InfrastructureError(f"{path} cannot be written: {error.strerror}") from error
