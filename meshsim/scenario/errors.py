"""Errors that say whose fault they are: the author's, ours, or the machine's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

Found = TypeVar("Found")


class Diagnostic(msgspec.Struct, frozen=True, order=True):
    """One mistake in a file that a user wrote.

    ``line`` and ``column`` count from 1; 0 means that the file as a whole is meant.
    """

    file: str
    line: int
    column: int
    message: str
    """What is wrong; and after a semicolon, what would be right."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class MeshsimError(Exception):
    """Base of every error that meshsim raises on purpose; ``exit_code`` is the public contract's."""

    exit_code = 5


class UsageError(MeshsimError):
    """The command was called in a way that cannot be carried out: one mistake or more, all of them."""

    exit_code = 2

    def __init__(self, *mistakes: str) -> None:
        self.mistakes = mistakes
        super().__init__("; ".join(mistakes))


class Mistakes:
    """Mistakes in how a command was called, which are found one after the other and told together."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def of(self, find: Callable[[], Found]) -> Found | None:
        """What ``find`` finds; None if that is a mistake, or several, which is taken note of."""
        try:
            return find()
        except UsageError as error:
            self._found += error.mistakes
            return None

    def tell(self) -> None:
        """Raise all that have been found, each once, if any have."""
        if self._found:
            raise UsageError(*dict.fromkeys(self._found))


class ScenarioError(MeshsimError):
    """The author of a scenario, policy or data file made one or more mistakes; all of them are listed."""

    exit_code = 2

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        assert diagnostics, "a ScenarioError without a diagnostic tells nobody anything"
        self.diagnostics = sorted(set(diagnostics))
        super().__init__("\n".join(map(str, self.diagnostics)))


class InvariantViolation(MeshsimError):  # noqa: N818 - the public contract's word for exit code 4
    """Prediction and reality disagree, or an account does not close: our fault, with a reproducer."""

    exit_code = 4


class InfrastructureError(MeshsimError):
    """The machine failed us: a full disk, a folder that cannot be written."""

    exit_code = 5
