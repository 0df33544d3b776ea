"""The Rego engine in a process of its own, since what authors write can run for ever there, eat memory, or crash it.

Loops and backtracking regular expressions run in native code, where no signal is heard and no limit holds. A process
can be ended from outside. It is the same engine with the same answers; nothing here reads a clock: the limit of
computing time is the kernel's, and can only end a run, never change a result.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from typing import Any, Final

from meshsim.policy.rego_native import Answer
from meshsim.policy.rego_worker import OUT_OF_MEMORY, TOO_DEEP
from meshsim.scenario.errors import InfrastructureError

MOST_SECONDS = 5
"""Most computing time for one decision; usual ones take less than a millisecond."""
MOST_BUILDING_SECONDS = 60
"""Most computing time for reading the files of one engine."""
MOST_BYTES = 2 * 1024**3
"""Most memory of the process."""

_START: Final = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from meshsim.policy.rego_worker import serve; serve(int(sys.argv[2]))"
)


class Exceeded(Exception):  # noqa: N818 - not an error of the program
    """The engine came to no answer within its limits."""


class _Process:
    """The one process of this one: started when something is asked, and again when it has ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.turn = threading.RLock()
        """Held by whoever asks, from making sure that it runs until the answer is there."""
        self._dropped: list[int] = []
        self.generation = 0
        """How often it was started: what was built in an earlier one is gone."""

    def exchange(self, seconds: float, **request: Any) -> Any:
        """Ask what is running for something, and wait for the answer.

        Raises :class:`Exceeded`, and ValueError for what is refused.
        """
        process = self._process
        assert process is not None
        dropped, self._dropped = self._dropped, []
        text = json.dumps({**request, "seconds": seconds, "dropped": dropped})
        try:
            answer = _exchanged(process, text.encode() + b"\n")
        except BaseException:  # interrupted: nobody would know what the next answer belongs to
            self.end()
            raise
        if not answer:
            raise _why(self._leave(process), seconds)
        said = json.loads(answer)
        if "refused" in said:
            raise ValueError(said["refused"])
        if "broken" in said:
            raise AssertionError(said["broken"])
        return said["answer"]

    def running(self) -> subprocess.Popen[bytes]:
        """The process, which is started if it does not run."""
        if self._process is not None and self._process.poll() is not None:
            self._leave(self._process)
        if self._process is None:
            paths = [path for path in sys.path if isinstance(path, str)]  # others are nothing to Python
            command = [sys.executable, "-I", "-c", _START, json.dumps(paths), str(MOST_BYTES)]
            pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
            try:
                self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere)
            except OSError as error:
                raise InfrastructureError(f"the Rego engine cannot be started: {error}") from error
            self.generation += 1
        return self._process

    def drop(self, number: int) -> None:
        """Forget a bundle, with the next request."""
        self._dropped.append(number)

    def end(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._leave(self._process)

    def _leave(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the process, which ends; returns its exit code."""
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = None
        with suppress(OSError):  # of what it was not told any more
            process.stdin.close()
        process.stdout.close()
        return process.wait()

    def forget(self) -> None:
        """In a copy of this process: the engine belongs to the original."""
        self._process = None
        self.turn = threading.RLock()


def _exchanged(process: subprocess.Popen[bytes], line: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(line)
        process.stdin.flush()
    except BrokenPipeError:
        return b""
    return process.stdout.readline()


def _why(code: int, seconds: float) -> Exception:
    if code == -signal.SIGPROF:
        return Exceeded(f"takes more than {seconds:g} s of computing")
    if code in (OUT_OF_MEMORY, -signal.SIGKILL):
        return Exceeded(f"takes more than {round(MOST_BYTES / 1024**3, 1):g} GiB of memory")
    if code == TOO_DEEP:
        return Exceeded("comes to an answer that nests too deep")
    if code < 0:
        return Exceeded("crashes the engine, as a regular expression on a very long text or very deep nesting does")
    return InfrastructureError(f"the Rego engine ended with exit code {code}, whatever it was asked")


_PROCESS = _Process()
_NUMBERS = count()
os.register_at_fork(after_in_child=_PROCESS.forget)


class Bundle:
    """Modules compiled for one query; raises ValueError if the engine refuses them, Exceeded if it comes to no end."""

    def __init__(self, modules: Mapping[str, str], documents: Mapping[str, Any], query: str) -> None:
        self._number = next(_NUMBERS)
        self._definition = {"modules": dict(modules), "documents": dict(documents), "query": query}
        self._generation = 0
        weakref.finalize(self, _PROCESS.drop, self._number).atexit = False
        self._build()

    def ask(self, document: Any) -> Answer:
        """Evaluate the query with an input document."""
        with _PROCESS.turn:
            _PROCESS.running()
            if self._generation != _PROCESS.generation:
                self._build()
            return Answer(*_PROCESS.exchange(MOST_SECONDS, ask=self._number, document=document))

    def _build(self) -> None:
        with _PROCESS.turn:
            _PROCESS.running()
            _PROCESS.exchange(MOST_BUILDING_SECONDS, build=self._number, **self._definition)
            self._generation = _PROCESS.generation


def refusals(name: str, text: str) -> list[tuple[int, str]]:
    """What the engine's own parser says of a module: offsets and messages; empty if it accepts it."""
    with _PROCESS.turn:
        _PROCESS.running()
        found = _PROCESS.exchange(MOST_BUILDING_SECONDS, refusals=name, text=text)
    return [(offset, message) for offset, message in found]
