"""The validation: it comes to its document, it can fail, and the command says what it found."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from meshsim.cli import run_command
from meshsim.commands.docs import COMMON, KEYS
from meshsim.scenario.errors import UsageError
from meshsim.validation import run as validation
from meshsim.validation.claims import REPLICATIONS, at_least, at_most, in_interval, share_in_interval, within
from meshsim.validation.document import render_document, render_section, summary_line
from meshsim.validation.queues import single_core, waits_share
from meshsim.validation.section import Criterion, Section
from meshsim.validation.sections import SECTIONS
from meshsim.world.compute import Cores

DOCUMENT = Path(__file__).parent.parent / "docs" / "validation.md"


@pytest.mark.parametrize("name", SECTIONS)
def test_section_comes_to_its_document(name: str) -> None:
    """Every section, carried out anew, is what docs/validation.md says, and holds (`meshsim validate --write`)."""
    section = validation.run_validation([name]).sections[name]
    document = DOCUMENT.read_text(encoding="utf-8")
    assert render_section(name, section) + "\n" in document
    assert summary_line(name, section) + "\n" in document
    assert section.criteria
    assert section.measures_host or section.passed


def test_document_has_every_section_and_no_other() -> None:
    """The document lists the sections in their order, none missing, none left over."""
    document = DOCUMENT.read_text(encoding="utf-8")
    assert re.findall(r"^`meshsim validate --only (.*)`$", document, re.MULTILINE) == list(SECTIONS)
    assert document.startswith(render_document(validation.Result({})).split("| Section")[0])


def test_wrong_cores_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cores that make nobody wait, or a tenth too long, do not pass for a queue."""
    true_submit = Cores.submit
    monkeypatch.setattr(Cores, "submit", lambda self, now_ns, work_ns: now_ns)
    assert not single_core(1).passed
    monkeypatch.setattr(
        Cores, "submit", lambda self, now_ns, work_ns: true_submit(self, now_ns, work_ns) + work_ns // 2
    )
    assert not single_core(1).passed


def test_erlang() -> None:
    """The probability of waiting is the load itself at one core, and Erlang's C of 2/3 Erlang a core at three."""
    assert waits_share(1, 0.8) == pytest.approx(0.8)
    assert waits_share(3, 2 / 3) == pytest.approx(4 / 9)


@pytest.mark.parametrize(
    ("claim", "passed"),
    [
        (within("", 5, 5.2, 0.2000001), True),
        (within("", 5, 5.3, 0.2), False),
        (at_least("", 85, 85), True),
        (at_least("", 85, 84.9), False),
        (at_most("", 3, 3), True),
        (at_most("", 3, 3.1), False),
        (in_interval("", 5, [4.9, 5.1] * (REPLICATIONS // 2)), True),
        (in_interval("", 5, [5.0, 5.2] * (REPLICATIONS // 2)), False),
        (in_interval("", 5, [3.0, 7.0] * (REPLICATIONS // 2)), False),
        (share_in_interval("", 0.5, 5_100, 10_000), True),
        (share_in_interval("", 0.5, 5_200, 10_000), False),
    ],
)
def test_claims_can_fail(claim: Criterion, passed: bool) -> None:
    """A claim holds within its tolerance, and a confidence interval only if it is narrow enough to mean something."""
    assert claim.passed is passed


def _drawn(monkeypatch: pytest.MonkeyPatch, make: Callable[[int], Criterion]) -> Section:
    monkeypatch.setitem(SECTIONS, "drawn", lambda seed: Section("Drawn", "About.", (), (), (make(seed),)))
    return validation.run_validation(["drawn"]).sections["drawn"]


def test_what_chance_missed_is_drawn_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A miss by chance gets a second draw, which decides and says so; a miss for certain gets none."""
    section = _drawn(monkeypatch, lambda seed: share_in_interval("Share", 0.5, 5_000 if seed > 1 else 6_000, 10_000))
    assert section.passed
    assert "second draw (seed 1000001); seed 1 missed: Share: 60.0" in section.about
    assert not _drawn(monkeypatch, lambda seed: share_in_interval("Share", 0.5, 6_000, 10_000)).passed
    assert not _drawn(monkeypatch, lambda seed: within("Sure", 1, 1 if seed > 1 else 2, 0)).passed


def test_missing_measurements_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the project's folder around it, a section that needs measurements says what is missing."""

    def absent(seed: int) -> Section:
        raise FileNotFoundError(2, "No such file", "scenarios/data/trace.csv")

    monkeypatch.setitem(SECTIONS, "absent", absent)
    with pytest.raises(UsageError, match=r"section 'absent' needs scenarios/data/trace\.csv"):
        validation.run_validation(["absent"])


def _said(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run_command(arguments)
    return code, out.getvalue(), err.getvalue()


def test_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command prints each criterion, its document has the keys of the reference, and a failure is exit code 1."""
    code, out, _ = _said("validate", "--only", "new-radio")
    assert code == 0
    assert "1 of 1 criteria hold" in out
    code, out, _ = _said("validate", "--only", "new-radio", "--json")
    document = json.loads(out)
    assert document.keys() == {*COMMON, *KEYS["validate"]}
    assert document["passed"] is True
    assert [section["name"] for section in document["sections"]] == ["new-radio"]
    monkeypatch.setitem(
        SECTIONS, "new-radio", lambda seed: Section("Bad", "", (), (), (within("Number", 1, 2, 0.1, "ms"),))
    )
    code, out, _ = _said("validate", "--only", "new-radio", "--json")
    (criterion,) = json.loads(out)["sections"][0]["criteria"]
    assert code == 1
    assert (criterion["expected"], criterion["measured"], criterion["unit"]) == (1, 2, "ms")
    code, out, _ = _said("validate", "--only", "new-radio", "--quiet")
    assert code == 1
    assert "Number: 2.00 ± 0.10 ms, wanted 1.00 ms" in out


def test_command_writes_the_document(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``--write`` replaces docs/validation.md below the working directory, for all sections at the document's seed."""
    for name in list(SECTIONS):
        if name != "new-radio":
            monkeypatch.delitem(SECTIONS, name)
    monkeypatch.chdir(tmp_path)
    assert _said("validate", "--write")[0] == 2
    (tmp_path / "docs").mkdir()
    assert _said("validate", "--write")[0] == 0
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["validation.md"]
    text = (tmp_path / "docs" / "validation.md").read_text(encoding="utf-8")
    assert text == render_document(validation.run_validation())
    assert _said("validate", "--write", "--only", "new-radio")[0] == 2
    assert _said("validate", "--write", "--seed", "3")[0] == 2
    code, _, err = _said("validate", "--only", "new-raido")
    assert code == 2
    assert "did you mean 'new-radio'?" in err
