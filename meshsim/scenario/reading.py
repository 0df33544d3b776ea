"""Reading files that a user names, without trust: bounded in size, inside one folder, regular files only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from meshsim.scenario.positions import Place
from meshsim.scenario.words import show

MAX_FILE_BYTES = 10 * 1000 * 1000
"""Largest scenario or data file that is read."""


def read_bounded(path: Path) -> bytes:
    """The bytes of a regular file of at most ``MAX_FILE_BYTES``. Raises ValueError that says what is wrong."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise ValueError("there is no such file; expected one that exists") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(f"the file cannot be opened ({reason}); expected a readable file") from None
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(kind) else "a device, pipe or socket"
        raise ValueError(f"this is {what}; expected a regular file")
    with open(descriptor, "rb") as source:
        try:
            content = source.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise ValueError(f"the file cannot be read ({error.strerror}); expected a readable file") from None
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"the file is larger than {MAX_FILE_BYTES // 1_000_000} MB; expected a smaller one")
    return content


def decode(content: bytes, file: str) -> tuple[str, Place | None]:
    """The text of UTF-8 bytes without a byte order mark; or the place of the first byte that is none."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        return content.decode("utf-8"), None
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line_start = before.rfind(b"\n") + 1
        column = len(before[line_start:].decode("utf-8")) + 1
        return "", Place(file, before.count(b"\n") + 1, column)


def bad_byte_message(content: bytes) -> str:
    """What is wrong with bytes that are no UTF-8."""
    found = "UTF-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "a byte that is not UTF-8"
    return f"the file holds {found}; expected text in UTF-8"


class Folder:
    """The folder of a scenario file: what the file names is looked up here and nowhere else.

    A name is relative, and what it leads to, links followed, lies in this folder or below. So a scenario from
    somebody else cannot show, in messages or in results, what else is on the machine.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: dict[str, bytes] = {}

    def read(self, name: str) -> bytes:
        """The bytes of the file called ``name``. Raises ValueError that says what is wrong."""
        if name in self.files:
            return self.files[name]
        if not name or "\0" in name or Path(name).is_absolute() or "\\" in name:
            raise ValueError(
                f"{show(name)} is no file name here; expected one relative to the scenario's folder, with /"
            )
        try:
            target = (self.path / name).resolve()
            inside = target.is_relative_to(self.path.resolve())
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{show(name)} cannot be looked up ({error}); expected a file") from None
        if not inside:
            raise ValueError(f"{show(name)} leads out of the scenario's folder; expected a file in it or below")
        try:
            content = read_bounded(target)
        except ValueError as error:
            raise ValueError(f"{show(name)}: {error}") from None
        self.files[name] = content
        return content

    def shown(self, name: str) -> str:
        """The path that diagnostics show for ``name``."""
        return str(self.path / name)
