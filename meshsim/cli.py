"""The command ``meshsim``: calls a command, prints its answer, and ends with the exit code of the public contract.

Whatever goes wrong is told in lines on standard error, never in a traceback. With ``--json`` standard output holds one
document in every case, with what went wrong under ``errors``.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TextIO

if TYPE_CHECKING:
    from meshsim.commands.answer import Answer
    from meshsim.scenario.errors import Diagnostic

PROGRAM = "meshsim"
TRACEBACK_VARIABLE = "MESHSIM_TRACEBACK"


class _Failure(NamedTuple):
    """What went wrong, for both formats."""

    exit_code: int
    lines: tuple[str, ...]
    """For standard error."""
    errors: tuple[dict[str, Any], ...]
    """For the document."""


def main() -> NoReturn:
    """Run what the command line says, and end the process."""
    exit_code = run_command(sys.argv[1:])
    from meshsim.commands.interruption import ignore_signals

    ignore_signals()
    sys.exit(exit_code)


def run_command(arguments: Sequence[str]) -> int:
    """Run one command line; print its answer; return the exit code."""
    from meshsim.commands.interruption import INTERRUPTION, Interrupted

    _prepare_streams()
    with INTERRUPTION.watched():
        try:
            return _run(arguments)
        except BaseException as error:
            if not isinstance(error, Interrupted) and not INTERRUPTION.came:
                raise
            return _fail(arguments, _plain(130, "interrupted; nothing unfinished was kept"))
        finally:
            _close(sys.stdout)
            _close(sys.stderr)


def _prepare_streams() -> None:
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open as long as the process
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            # A name that is no valid UTF-8, or a mark that the terminal lacks, is no reason to stop.
            stream.reconfigure(errors="backslashreplace")


def _run(arguments: Sequence[str]) -> int:
    from meshsim.commands.interruption import INTERRUPTION

    try:
        printed = io.StringIO()
        with redirect_stdout(printed):  # help and version; a document is never mixed with anything
            answer = _answer(arguments)
        if answer is None:
            return _write(printed.getvalue(), 0)
        return _print(arguments, answer)
    except Exception as error:  # the last resort: every exception ends in a line and an exit code
        INTERRUPTION.check()
        return _fail(arguments, _failure(error))


def _answer(arguments: Sequence[str]) -> Answer | None:
    """What the command answers; None if it was help or the version, which typer prints by itself."""
    from typer.main import get_command

    from meshsim.commands.app import app

    answer = get_command(app).main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    return None if isinstance(answer, int) else answer


def _print(arguments: Sequence[str], answer: Answer) -> int:
    from meshsim.commands.answer import drawn, json_text

    for error in answer.errors:
        print(error, file=sys.stderr)
    if _wants_json(arguments):
        text = json_text(_document(arguments, answer.exit_code, map(_plain_error, answer.errors)) | answer.document)
    else:
        text = drawn(answer.draw)
    return _write(text, answer.exit_code)


def _write(text: str, exit_code: int) -> int:
    """Write to standard output; return the exit code, which is another one if that fails."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        pass  # whoever read our output has seen enough; the verdict stands
    except OSError as error:
        return _fail((), _plain(5, f"cannot write to standard output: {error.strerror}"))
    return exit_code


def _failure(error: Exception) -> _Failure:
    """What an exception means to the user."""
    from typer import TyperException

    from meshsim.scenario.errors import InvariantViolation, MeshsimError, ScenarioError, UsageError

    if isinstance(error, ScenarioError):
        lines = tuple(map(str, error.diagnostics))
        return _Failure(error.exit_code, lines, tuple(map(_plain_error, error.diagnostics)))
    if isinstance(error, InvariantViolation):
        text = f"invariant violated: {error}"
        return _plain(4, text, hint="This is a fault in meshsim; please report it with the scenario and its seed.")
    if isinstance(error, UsageError):
        return _plain(error.exit_code, *error.mistakes)
    if isinstance(error, MeshsimError):
        return _plain(error.exit_code, str(error))
    if isinstance(error, TyperException):
        return _usage(error)
    if isinstance(error, MemoryError):
        return _plain(5, "out of memory")
    return _unexpected(error)


def _usage(error: Any) -> _Failure:
    """A command line that cannot be understood."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    # what refuses a value puts its own name for that before the message
    message = error.format_message().replace(": Value error, ", ": ") or "a command is missing"
    return _plain(2, message, hint=f"Try '{path} --help'.")


def _unexpected(error: Exception) -> _Failure:
    if os.environ.get(TRACEBACK_VARIABLE):
        import traceback

        traceback.print_exception(error)
    said = " ".join(str(error).split())
    text = f"unexpected {type(error).__name__}{f': {said}' if said else ''}"
    hint = f"This is a fault in meshsim; please report it with what {TRACEBACK_VARIABLE}=1 adds to this message."
    return _plain(5, text, hint=hint)


def _plain(exit_code: int, *messages: str, hint: str | None = None) -> _Failure:
    """A failure that lies in no file: one mistake or more, and what to do about it."""
    lines = tuple(f"{PROGRAM}: {message}" for message in messages)
    errors = tuple({"file": None, "line": 0, "column": 0, "message": message} for message in messages)
    return _Failure(exit_code, lines if hint is None else (*lines, hint), errors)


def _plain_error(diagnostic: Diagnostic) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(diagnostic)
    return plain


def _fail(arguments: Sequence[str], failure: _Failure) -> int:
    """Print a failure; return its exit code."""
    from meshsim.commands.answer import json_text

    try:
        for line in failure.lines:
            print(line, file=sys.stderr)
        if _wants_json(arguments):
            sys.stdout.write(json_text(_document(arguments, failure.exit_code, failure.errors)))
            sys.stdout.flush()
    except OSError:
        pass  # nobody is left to tell; the exit code still says it
    return failure.exit_code


def _document(arguments: Sequence[str], exit_code: int, errors: Any) -> dict[str, Any]:
    """The keys of every document."""
    command = next((word for word in arguments if not word.startswith("-")), None)
    return {"command": command, "exit_code": exit_code, "errors": list(errors)}


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether ``--json`` was asked for, even where the rest of the command line cannot be understood."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def _close(stream: TextIO) -> None:
    """Flush; where nobody listens any more, let the rest go to nowhere, lest the interpreter complain at its end."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
