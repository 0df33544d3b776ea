"""What policies in Rego can do to the engine ends there, with one error at its place."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshsim.policy import rego_process
from meshsim.policy.engine import PolicyFile
from meshsim.policy.rego import RegoEngine
from meshsim.scenario.errors import InfrastructureError, ScenarioError
from tests.policy.test_rego import DIRECTORY, QUESTION

PATIENT = 'regex.match("(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab")'
ENDLESS = "count(numbers.range(1, 9223372036854775807)) > 0"
SQUARE = "count([1 | some i in numbers.range(1, 100000); some j in numbers.range(1, 100000)]) > 0"
LONG = 'regex.match("a*", concat("", ["a" | some i in numbers.range(1, 300000)]))'


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Limits that a test can set; the process that has them ends with the test."""
    rego_process._PROCESS.end()
    yield monkeypatch
    rego_process._PROCESS.end()


def deciding(condition: str) -> RegoEngine:
    """An engine with one rule."""
    text = f"package envoy.authz\n\ndefault allow := false\n\nallow if {condition}\n"
    return RegoEngine.from_sources([PolicyFile("a.rego", text)], DIRECTORY)


@pytest.mark.parametrize("condition", [PATIENT, ENDLESS, SQUARE], ids=["regex", "range", "comprehension"])
def test_endless_decisions_are_ended(condition: str, limits: pytest.MonkeyPatch) -> None:
    """Backtracking, ranges and comprehensions beyond any measure are an error of the policy, at the rule."""
    limits.setattr(rego_process, "MOST_SECONDS", 0.3)
    with pytest.raises(ScenarioError, match=r"^a.rego:5:1: deciding about .* takes more than 0.3 s of computing"):
        deciding(condition).decide(QUESTION)


def test_memory_is_bounded(limits: pytest.MonkeyPatch) -> None:
    """What eats memory is ended before the machine has none left."""
    limits.setattr(rego_process, "MOST_BYTES", 200 * 1024**2)
    with pytest.raises(ScenarioError, match=r"a.rego:5:1: .* takes more than 0.2 GiB of memory"):
        deciding(ENDLESS).decide(QUESTION)


def test_memory_that_python_cannot_have_is_told_as_the_same(limits: pytest.MonkeyPatch) -> None:
    """An answer that the process cannot even write down is no failure of the engine."""
    short = (
        "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from meshsim.policy import rego_worker\n"
        "def full(*_): raise MemoryError\n"
        "rego_worker._answer = full; rego_worker.serve(int(sys.argv[2]))"
    )
    engine = deciding("true")
    rego_process._PROCESS.end()
    limits.setattr(rego_process, "_START", short)
    with pytest.raises(ScenarioError, match="takes more than 2 GiB of memory"):
        engine.decide(QUESTION)


def test_memory_of_who_asks_is_not_counted(limits: pytest.MonkeyPatch) -> None:
    """A large process has small engines."""
    limits.setattr(rego_process, "MOST_BYTES", 200 * 1024**2)
    large = bytearray(b"1") * (300 * 1024**2)
    assert deciding("true").decide(QUESTION).allowed
    assert large


def test_a_crash_is_told() -> None:
    """A regular expression that overflows the engine's stack ends nobody else's process."""
    with pytest.raises(ScenarioError, match=r"a.rego:5:1: .* crashes the engine"):
        deciding(LONG).decide(QUESTION)


def test_answers_that_nest_too_deep_are_told() -> None:
    """An answer that nobody could follow is an error of the policy, and none of the program."""
    many = 'concat("", ["{}" | some i in numbers.range(1, 900)])'
    text = f'allow := json.unmarshal(concat("", [{many.format("[")}, {many.format("]")}]))'
    engine = RegoEngine.from_sources([PolicyFile("a.rego", f"package envoy.authz\n\n{text}\n")], DIRECTORY)
    with pytest.raises(ScenarioError, match=r"a.rego:3:1: .* comes to an answer that nests too deep"):
        engine.decide(QUESTION)


def test_an_engine_that_cannot_work_is_no_mistake_of_the_policy(limits: pytest.MonkeyPatch) -> None:
    """A process that ends by itself, whatever it is asked, is told as what it is."""
    limits.setattr(rego_process, "_START", "raise SystemExit(3)")
    with pytest.raises(InfrastructureError, match="the Rego engine ended with exit code 3"):
        deciding("true")


def test_what_is_no_text_in_the_path_of_modules_is_left_out(limits: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Notebooks put paths there, which Python passes over too."""
    limits.setattr(sys, "path", [*sys.path, tmp_path])
    assert deciding("true").decide(QUESTION).allowed


def test_an_engine_that_has_ended_is_started_again(limits: pytest.MonkeyPatch) -> None:
    """Whoever asks next gets an answer from a new process, which leaves nothing of the old one behind."""
    engine = deciding("true")
    ended = rego_process._PROCESS.running()
    ended.kill()
    ended.wait()
    assert engine.decide(QUESTION).allowed
    assert rego_process._PROCESS.running() is not ended
    assert ended.stdin is not None
    assert ended.stdout is not None
    assert (ended.stdin.closed, ended.stdout.closed) == (True, True)


def test_other_engines_go_on(limits: pytest.MonkeyPatch) -> None:
    """Engines that were built before one came to no end answer as they did."""
    limits.setattr(rego_process, "MOST_SECONDS", 0.3)
    calm = deciding('input.attributes.request.http.method != "POST"')
    before = calm.decide(QUESTION)
    with pytest.raises(ScenarioError):
        deciding(PATIENT).decide(QUESTION)
    assert calm.decide(QUESTION) == before
    assert before.allowed


def test_a_signal_is_heard_while_the_engine_works(limits: pytest.MonkeyPatch) -> None:
    """Who waits for the engine can be interrupted, and the engine ends with that."""

    class StopError(Exception):
        pass

    def stop(*_: object) -> None:
        raise StopError

    before = signal.signal(signal.SIGALRM, stop)
    engine = deciding(PATIENT)
    running = rego_process._PROCESS.running()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(StopError):
            engine.decide(QUESTION)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert running.returncode == -signal.SIGKILL


def test_copies_of_a_process_have_engines_of_their_own() -> None:
    """After a fork the copy does not speak to the engine of the original."""
    engine = deciding('input.attributes.request.http.method != "POST"')
    expected = engine.decide(QUESTION)
    copy = os.fork()
    if copy == 0:
        os._exit(0 if engine.decide(QUESTION) == expected else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 0
    assert engine.decide(QUESTION) == expected
