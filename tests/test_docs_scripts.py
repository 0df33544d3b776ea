"""The scripts of docs/: what their readers may mistype is answered in a line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import meshsim

ROOT = Path(__file__).parent.parent
LATE, DRAW = "docs/late.py", "docs/images/draw.py"


@pytest.fixture(scope="module")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without a slice v2x."""
    folder = tmp_path_factory.mktemp("scripts") / "hello"
    return meshsim.run(ROOT / "scenarios" / "hello-mesh.yaml", fidelity="modelled", out=folder).path


def script(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a script as a reader does."""
    command = [sys.executable, str(ROOT / name), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", [LATE, DRAW])
def test_help_and_mistakes(name: str, tmp_path: Path) -> None:
    """Help is given; a missing argument and a folder that is no run are told without a traceback."""
    told = script(name, "--help")
    assert (told.returncode, told.stderr) == (0, "")
    assert "RUN_DIR" in told.stdout
    assert "the following arguments are required: RUN_DIR" in script(name).stderr
    refused = script(name, tmp_path, *(["web"] if name == LATE else []))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == f"{Path(name).name}: {tmp_path} is not a run folder: it has no manifest.json\n"


def test_late_requests_of_a_slice_that_is_not_there(hello: Path) -> None:
    """An unknown slice is answered with the one that was meant."""
    refused = script(LATE, hello, "wbe")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "late.py: no slice 'wbe'; did you mean 'web'?\n"


def test_a_picture_of_another_run(hello: Path) -> None:
    """A run without the corridor's slice is told, and no picture is drawn."""
    refused = script(DRAW, hello)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "expected a run of the corridor" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_reader_that_stops_early(hello: Path) -> None:
    """A pipe that is closed at once is no mistake."""
    command = f"{{ '{sys.executable}' '{ROOT / LATE}' '{hello}' web; echo $? >&2; }} | true"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == "0\n"
