"""The command line as a process of its own: signals, pipes, terminals, what it imports."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, "-m", "meshsim")
LIMIT_S = 120
"""After which a process that hangs is given up."""
INTERRUPTED = "interrupted; nothing unfinished was kept"
"""What a run says that a signal ends."""


def environment(**variables: str) -> dict[str, str]:
    """The environment of these tests, without what decides about colours, and with these variables."""
    ignored = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM", "MESHSIM_TRACEBACK")
    kept = {name: value for name, value in os.environ.items() if name not in ignored}
    path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, **variables}


def meshsim(arguments: Sequence[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one command line in ``folder`` to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run below results/."""
    folder = tmp_path_factory.mktemp("lab")
    said = meshsim(["run", str(ROOT / "scenarios" / "hello-mesh.yaml"), "--quiet"], folder)
    assert said.returncode in (0, 1), said
    assert (folder / said.stdout.strip() / "manifest.json").is_file()
    return folder


def test_help_needs_nothing_heavy(tmp_path: Path) -> None:
    """Help imports no scientific library, no model and no drawing: it must come at once."""
    said = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "meshsim", "--help"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in said.stderr.splitlines()}
    assert "typer" in imported
    heavy = {
        "numpy",
        "pandas",
        "pyarrow",
        "matplotlib",
        "pydantic",
        "rich",
        "simpy",
        "cryptography",
        "cedarpy",
        "networkx",
    }
    assert not imported & heavy


def hear_signals() -> None:
    """For a process that is to be interrupted: let it hear what a shell ignores in what it starts in the background."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def interrupted(results: Path, fidelity: str, sign: str, name: str, variables: Mapping[str, str]) -> str:
    """Begin a run, send a signal of that name once the sign of it is there; return what it printed until it ended."""
    scenario = str(ROOT / "scenarios" / "hello-mesh.yaml")
    command = [*COMMAND, "run", scenario, "--set", "duration=10000 s", "--fidelity", fidelity, "--json"]
    with subprocess.Popen(
        [*command, "--out", str(results / "run")],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_signals,
    ) as process:
        try:
            deadline_s = time.monotonic() + LIMIT_S
            while not list(results.glob(sign)):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline_s, "no run began"
                time.sleep(0.05)
            time.sleep(0.2)
            process.send_signal(getattr(signal, name))
            out, err = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
    assert (process.returncode, err) == (130, f"meshsim: {INTERRUPTED}\n")
    assert not list(results.iterdir())
    return out


@pytest.mark.parametrize(
    ("name", "fidelity", "sign"),
    [
        ("SIGINT", "sampled", ".*/*.parquet"),  # a batch of rows is written
        ("SIGTERM", "sampled", ".*/*.parquet"),
        ("SIGHUP", "sampled", ".*"),  # the run has just begun
        ("SIGINT", "real", ".*"),
    ],
)
def test_interrupted_runs_leave_nothing(name: str, fidelity: str, sign: str, tmp_path: Path) -> None:
    """A signal in the middle of a run ends it with exit code 130 and one line, and no folder stays behind."""
    out = interrupted(tmp_path / "results", fidelity, sign, name, environment())
    document = json.loads(out)
    assert (document["exit_code"], document["errors"][0]["message"]) == (130, INTERRUPTED)


@pytest.mark.parametrize("arguments", [["--help"], ["runs"], ["runs", "--json"], ["check", "--help"]])
def test_a_reader_that_leaves_early(arguments: list[str], lab: Path) -> None:
    """A closed pipe is no error, and nothing is said about it."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        said = subprocess.run(
            [*COMMAND, *arguments],
            cwd=lab,
            env=environment(),
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=LIMIT_S,
            check=False,
        )
    finally:
        os.close(writing)
    assert (said.returncode, said.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
@pytest.mark.parametrize("arguments", [["--help"], ["runs"], ["runs", "--json"]])
def test_output_to_a_full_disk(arguments: list[str], lab: Path) -> None:
    """Output that cannot be written is exit code 5 with one line."""
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        said = subprocess.run(
            [*COMMAND, *arguments],
            cwd=lab,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    assert said.returncode == 5
    assert said.stderr == "meshsim: cannot write to standard output: No space left on device\n"


def test_closed_streams(lab: Path) -> None:
    """Without standard output and standard error, the exit code still tells."""
    for arguments, exit_code in ((["runs"], 0), (["report", "missing"], 2)):
        said = subprocess.run(
            ["/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh", *COMMAND, *arguments],
            cwd=lab,
            env=environment(),
            timeout=LIMIT_S,
            check=False,
        )
        assert said.returncode == exit_code


def test_output_in_another_encoding(lab: Path) -> None:
    """A terminal that knows ASCII alone gets escapes in place of marks, and no error."""
    said = meshsim(["runs"], lab, PYTHONIOENCODING="ascii")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.isascii()
    assert "hello-mesh" in said.stdout


def on_a_terminal(arguments: Sequence[str], folder: Path, **variables: str) -> str:
    """What one command line prints on a terminal."""
    inside, outside = pty.openpty()
    try:
        with subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=folder,
            env=environment(**variables),
            stdin=outside,
            stdout=outside,
            stderr=outside,
        ) as process:
            assert process.wait(timeout=LIMIT_S) in (0, 1)
        return os.read(inside, 65_536).decode()
    finally:
        os.close(inside)
        os.close(outside)


def test_colour_only_where_it_is_wanted(lab: Path) -> None:
    """Colours come on a terminal, and not with NO_COLOR, on a dumb terminal or into a pipe; the words are the same."""
    coloured = re.compile(r"\x1b\[[\d;]*\b3\d[\d;]*m")
    terminal = on_a_terminal(["runs"], lab, TERM="xterm-256color")
    assert coloured.search(terminal)
    plain = meshsim(["runs"], lab, TERM="xterm-256color").stdout
    assert "\x1b" not in plain
    for variables in ({"NO_COLOR": "1", "TERM": "xterm-256color"}, {"TERM": "dumb"}):
        shown = on_a_terminal(["runs"], lab, **variables)
        assert not coloured.search(shown)
    assert re.sub(r"\x1b\[[\d;]*m", "", terminal).split() == plain.split()


def test_both_names_are_the_same_command(tmp_path: Path) -> None:
    """`python -m meshsim` is `meshsim`: the script calls the same function, and usage names it meshsim."""
    import tomllib

    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts == {"meshsim": "meshsim.cli:main"}
    assert meshsim(["--help"], tmp_path).stdout.startswith("Usage: meshsim [OPTIONS]")
