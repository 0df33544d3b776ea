"""The validation: it comes to its document, it can fail, and the command says what it found."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from math import gamma, pi, sqrt
from pathlib import Path
from statistics import NormalDist

import pytest

from meshsim.cli import run_command
from meshsim.commands.docs import COMMON, KEYS
from meshsim.scenario.cost_profile import SHIPPED_PROFILE
from meshsim.scenario.errors import UsageError
from meshsim.validation import run as validation
from meshsim.validation.claims import (
    FAMILY,
    LEAST_CHANCE,
    NORMAL_99,
    NORMAL_JOINT,
    REPLICATIONS,
    T_99,
    T_JOINT,
    at_least,
    at_most,
    chance_of,
    in_interval,
    mean_in_interval,
    share_in_interval,
    within,
)
from meshsim.validation.document import chance_line, render_document, render_section, summary_line
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
    assert document.startswith(render_document(validation.Result({})).split("Of 0 such")[0])


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
        (mean_in_interval("", 5, 5.039, 0.01), True),
        (mean_in_interval("", 5, 5.040, 0.01), False),
        (share_in_interval("", 0.5, 5_100, 10_000), True),
        (share_in_interval("", 0.5, 5_200, 10_000), False),
    ],
)
def test_claims_can_fail(claim: Criterion, passed: bool) -> None:
    """A claim holds within its tolerance, and a confidence interval only if it is narrow enough to mean something."""
    assert claim.passed is passed


def test_a_number_outside_says_by_how_much() -> None:
    """Outside of its own interval is told, and apart from that outside of the joint one, or too wide an interval."""
    texts = [mean_in_interval("", 5, mean, 0.01).found for mean in (5.02, 5.03, 5.04)]
    texts.append(in_interval("", 5, [3.0, 7.0] * (REPLICATIONS // 2)).found)
    assert ["outside of its own" in text for text in texts] == [False, True, True, False]
    assert ["jointly within" in text for text in texts] == [False, True, False, False]
    assert ["too wide" in text for text in texts] == [False, False, False, True]


def test_joint_intervals_have_the_error_that_is_said() -> None:
    """The constants leave 1 % of error to one number, and shared among all of the family, of Student's t too."""
    normal, degrees = NormalDist(), REPLICATIONS - 1
    for error, of_normal, of_t in ((0.01, NORMAL_99, T_99), (0.01 / FAMILY, NORMAL_JOINT, T_JOINT)):
        assert 2 * normal.cdf(-of_normal) == pytest.approx(error, rel=1e-3)
        # Student's density, summed by Simpson's rule from 0 to the quantile.
        steps = 2_000
        heights = [(1 + (of_t * step / steps) ** 2 / degrees) ** (-(degrees + 1) / 2) for step in range(steps + 1)]
        area = (heights[0] + heights[-1] + 4 * sum(heights[1::2]) + 2 * sum(heights[2:-1:2])) * of_t / steps / 3
        area *= gamma((degrees + 1) / 2) / sqrt(degrees * pi) / gamma(degrees / 2)
        assert 1 - 2 * area == pytest.approx(error, rel=1e-2)


def test_the_family_is_as_large_as_said() -> None:
    """The document compares no more numbers than the joint intervals are made for, and few are out of the ordinary."""
    found = re.search(r"Of (\d+) such numbers (\d+) lie outside", DOCUMENT.read_text(encoding="utf-8"))
    assert found is not None
    compared, outside = map(int, found.groups())
    assert FAMILY * 3 // 4 < compared <= FAMILY
    assert chance_of(outside, compared) > LEAST_CHANCE


def _drawn(monkeypatch: pytest.MonkeyPatch, hits: Sequence[int]) -> validation.Result:
    criteria = tuple(share_in_interval("Share", 0.5, each, 10_000) for each in hits)
    monkeypatch.setitem(SECTIONS, "drawn", lambda seed: Section("Drawn", "About.", (), (), criteria))
    return validation.run_validation(["drawn"])


def test_what_chance_may_miss_is_judged_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number out of its own interval is told and passes, one out of the joint interval fails, and so do too many."""
    found = _drawn(monkeypatch, [5_000, 5_140])
    assert found.passed
    assert (found.compared, found.outside) == (2, 1)
    assert "outside of its own 99 %" in found.sections["drawn"].criteria[1].found
    assert not _drawn(monkeypatch, [5_000, 5_200]).passed
    many = _drawn(monkeypatch, [5_140] * 3)
    assert many.sections["drawn"].passed
    assert not many.passed
    assert chance_line(many).endswith("**That is no chance.**")


def test_nothing_is_drawn_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A section that misses is not tried with another seed, with which it would hold; nor is one that must be right."""
    seeds: list[int] = []

    def make(seed: int) -> Section:
        seeds.append(seed)
        hits, sure = (5_000, 1) if seed > 1 else (6_000, 2)
        criteria = (share_in_interval("Share", 0.5, hits, 10_000), within("Sure", 1, sure, 0))
        return Section("Drawn", "About.", (), (), criteria)

    monkeypatch.setitem(SECTIONS, "drawn", make)
    found = validation.run_validation(["drawn"])
    assert seeds == [1]
    assert [criterion.passed for criterion in found.sections["drawn"].criteria] == [False, False]
    assert not found.passed
    assert validation.run_validation(["drawn"], seed=2).passed


def test_probability_of_outliers_by_hand() -> None:
    """None or more is certain, and two of two are one in ten thousand."""
    assert chance_of(0, 5) == 1
    assert chance_of(2, 2) == pytest.approx(0.0001)
    assert chance_of(1, 100) == pytest.approx(1 - 0.99**100)


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
    assert "2 of 2 criteria hold" in out
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


def test_another_profile_is_held_against_this_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``--cost-profile`` reaches the section that measures the host, whose mistakes and misplaced uses are told."""
    asked: list[str] = []

    def computing(seed: int, profile: str) -> Section:
        asked.append(profile)
        return Section("Computing", "", (), (), (within("Number", 1, 1, 0.1),))

    monkeypatch.setattr("meshsim.validation.run.tls_computing", computing)
    mine = tmp_path / "mine.yaml"
    mine.write_bytes(SHIPPED_PROFILE.read_bytes())
    assert _said("validate", "--only", "tls-computing", "--cost-profile", str(mine))[0] == 0
    assert asked == [str(mine)]
    assert _said("validate", "--only", "tls-computing", "--cost-profile", str(tmp_path / "none.yaml"))[0] == 2
    assert _said("validate", "--only", "new-radio", "--cost-profile", str(mine))[0] == 2
    assert _said("validate", "--write", "--cost-profile", str(mine))[0] == 2
    assert len(asked) == 1


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
