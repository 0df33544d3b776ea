"""Carries out what a document tells its reader to type, so that every command and every output in it is real.

    python docs/console.py FILE...            say where a document and the truth differ; exit 1 if they do
    python docs/console.py --write FILE...    put the true outputs in

A document is carried out from top to bottom in an empty folder with a copy of scenarios/ and docs/ in it:

- ```` ```console ```` blocks hold commands after ``$ `` and their output (both streams). A line ``…`` stands for any
  lines. ``exit=N`` after ``console`` is the exit code of the block's last command, 0 if it is not given.
- ```` ```diff file=NAME ```` blocks change a file: the lines without ``+`` must be in it once, one after the other.
- ```` ```yaml file=NAME ```` (or any other language) writes a file.
- ```` ```python ```` blocks are run, and a ```` ```text ```` block right behind holds what they print.

Blocks of other kinds are for reading.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
ELLIPSIS = "…"


class DifferenceError(Exception):
    """A document says something that is not so."""


class Reader:
    """Somebody who does what a document says, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("scenarios", "docs"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        tools = folder / ".tools"
        tools.mkdir()
        for name, command in (("meshsim", "-m meshsim"), ("python", "")):
            (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
            (tools / name).chmod(0o755)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("MESHSIM", "PYTHON", "GIT"))},
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "80",
            "NO_COLOR": "1",
            "LC_ALL": "C.UTF-8",
        }

    def type(self, command: str) -> tuple[list[str], int]:
        """Run a command; return the lines it prints and its exit code."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return [line.rstrip() for line in done.stdout.rstrip().splitlines()], done.returncode

    def edit(self, name: str, diff: str) -> None:
        """Make a change that a document shows."""
        path = self.folder / name
        old = "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] != "+")
        new = "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] != "-")
        text = path.read_text(encoding="utf-8")
        times = f"\n{text}".count(f"\n{old}")
        if times != 1:
            raise DifferenceError(f"{name} holds this {times} times, not once:\n{old}")
        path.write_text(f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:], encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        """Write a file that a document shows."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def matches(shown: list[str], real: list[str]) -> bool:
    """Say whether ``shown``, in which an ellipsis stands for any lines, is what was printed."""
    pattern = "".join("(?:.*\n)*" if line.strip() == ELLIPSIS else re.escape(line) + "\n" for line in shown)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in real)) is not None


def trimmed(shown: list[str], real: list[str]) -> list[str]:
    """Return the lines of ``real`` that stand where ``shown`` has some, and its ellipses.

    Between ellipses as many lines are taken as were there, beginning where a line has the same first words.
    """
    if not any(line.strip() == ELLIPSIS for line in shown):
        return real
    result: list[str] = []
    at = 0
    index = 0
    while index < len(shown):
        if shown[index].strip() == ELLIPSIS:
            result.append(shown[index])
            index += 1
            continue
        first = _words(shown[index])
        at = next((place for place in range(at, len(real)) if _words(real[place]) == first), -1)
        if at < 0:
            raise DifferenceError(f"nothing that was printed begins like {shown[index]!r}:\n" + "\n".join(real))
        while index < len(shown) and shown[index].strip() != ELLIPSIS:
            result += real[at : at + 1]
            at, index = at + 1, index + 1
    return result


def _words(line: str) -> str:
    """The words at the start of a line, without figures."""
    return " ".join(re.sub(r"[0-9.,%]+", "#", line).split()[:3])


def carry_out(text: str, reader: Reader) -> str:
    """Do what a document says; return it with the true outputs. Raises DifferenceError where it cannot be done."""
    pieces: list[str] = []
    end = 0
    printed: list[str] | None = None
    for block in BLOCK.finditer(text):
        between = text[end : block.start()]
        end = block.end()
        kind, _, rest = block["kind"].partition(" ")
        options = dict(option.split("=", 1) for option in rest.split())
        body = block["body"]
        if kind == "console":
            body = _console(body, int(options.get("exit", 0)), reader)
        elif kind == "diff" and "file" in options:
            reader.edit(options["file"], body)
        elif "file" in options:
            reader.write(options["file"], body)
        elif kind == "text" and printed is not None and not between.strip():
            shown = body.splitlines()
            body = "".join(f"{line}\n" for line in (shown if matches(shown, printed) else trimmed(shown, printed)))
        printed = None
        if kind == "python":
            reader.write(".tools/block.py", body)
            printed, code = reader.type("python .tools/block.py")
            if code:
                raise DifferenceError("\n".join(printed))
        pieces += [between, f"```{block['kind']}\n{body}```"]
    return "".join([*pieces, text[end:]])


def _console(body: str, expected: int, reader: Reader) -> str:
    result: list[str] = []
    commands = _commands(body)
    for place, (command, shown) in enumerate(commands):
        real, code = reader.type(command.replace("\n> ", "\n"))
        wanted = expected if place == len(commands) - 1 else 0
        if code != wanted:
            raise DifferenceError(f"$ {command}\nexit code {code}, expected {wanted}\n" + "\n".join(real))
        result += [f"$ {command}", *(shown if matches(shown, real) else trimmed(shown, real))]
    return "".join(f"{line}\n" for line in result)


def _commands(body: str) -> list[tuple[str, list[str]]]:
    """Each command with the output shown behind it; ``> `` continues a command."""
    found: list[tuple[str, list[str]]] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.startswith("> ") and found and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        elif found:
            found[-1][1].append(line)
    return found


def true_text(document: Path) -> str:
    """Return a document as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        return carry_out(document.read_text(encoding="utf-8"), Reader(Path(folder)))


def main() -> int:
    """Check documents, or mend them."""
    parser = argparse.ArgumentParser(description="Carry out what documents tell their readers to type.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true", help="put the true outputs in")
    options = parser.parse_args()
    status = 0
    for document in options.files:
        try:
            text = true_text(document)
        except DifferenceError as difference:
            print(f"{document}: {difference}", file=sys.stderr)
            status = 1
            continue
        if text != document.read_text(encoding="utf-8"):
            print(f"{document}: {'outputs renewed' if options.write else 'outputs differ'}", file=sys.stderr)
            status |= not options.write
            if options.write:
                document.write_text(text, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
