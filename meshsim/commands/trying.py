"""``meshsim policy test``: cases tried, rules covered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshsim.commands.answer import EXIT_FAILED, EXIT_PASSED, Answer
from meshsim.commands.asking import draw_warnings, subject_of
from meshsim.inquiry.cases import CaseFile, read_cases
from meshsim.inquiry.junit import explanation, write_junit
from meshsim.inquiry.trial import Covered, Trial, try_cases
from meshsim.scenario.errors import Diagnostic, ScenarioError, UsageError
from meshsim.scenario.units import PPM, parse_share_ppm

if TYPE_CHECKING:
    from rich.console import Console

    from meshsim.inquiry.subject import Subject


def try_files(
    files: Sequence[Path],
    scenario: Path | None,
    manifests: Path | None,
    settings: Sequence[str],
    min_coverage: str | None,
    junit: Path | None,
    *,
    quiet: bool,
) -> Answer:
    """Try every case of every file; exit code 1 if one fails, or if too few rules decided any."""
    wanted = None if min_coverage is None else _share(min_coverage)
    case_files, mistakes = _read(files)
    trials: list[tuple[Path, Trial]] = []
    subjects: dict[tuple[Path | None, Path | None], Subject] = {}
    for case_file in case_files:
        try:
            key = _key(case_file, scenario, manifests)
            if key not in subjects:
                subjects[key] = subject_of(*key, settings)
            trials.append((case_file.path, try_cases(subjects[key], case_file.cases)))
        except ScenarioError as error:
            mistakes += error.diagnostics
    if mistakes:
        raise ScenarioError(mistakes)
    coverage = _together([trial for _, trial in trials])
    warnings = list(dict.fromkeys(warning for _, trial in trials for warning in trial.subject.warnings))
    share = sum(one.covered for one in coverage) / len(coverage) if coverage else 1.0
    enough = wanted is None or share >= wanted
    failed = sum(not one.passed for _, trial in trials for one in trial.tried)
    if junit is not None:
        write_junit(trials, junit)

    def draw(console: Console) -> None:
        _draw(console, trials, coverage, None if enough else wanted, quiet=quiet)
        draw_warnings(console, [] if quiet else warnings)

    document = {**_document(trials, coverage, share, enough=enough), "warnings": warnings}
    return Answer(document, draw, EXIT_PASSED if enough and not failed else EXIT_FAILED)


def _share(text: str) -> float:
    try:
        return parse_share_ppm(text) / PPM
    except ValueError as error:
        raise UsageError(f"--min-coverage: {error}") from None


def _read(files: Sequence[Path]) -> tuple[list[CaseFile], list[Diagnostic]]:
    found: list[CaseFile] = []
    mistakes: list[Diagnostic] = []
    for file in files:
        try:
            found.append(read_cases(file))
        except ScenarioError as error:
            mistakes += error.diagnostics
    return found, mistakes


def _key(case_file: CaseFile, scenario: Path | None, manifests: Path | None) -> tuple[Path | None, Path | None]:
    if scenario is None and manifests is None:
        if case_file.scenario is None and case_file.manifests is None:
            message = (
                "nothing says which policies are tried; expected the key scenario or manifests here, or the option "
                "--scenario or --manifests"
            )
            raise ScenarioError([Diagnostic(str(case_file.path), 0, 0, message)])
        return case_file.scenario, case_file.manifests
    return scenario, manifests


def _together(trials: Sequence[Trial]) -> list[Covered]:
    """Coverage over all files; rules of one name and place are one rule."""
    found: dict[tuple[str, str], Covered] = {}
    for trial in trials:
        for one in trial.coverage:
            key = (one.rule, one.place)
            before = found.get(key, Covered(one.rule, one.place, 0, 0))
            counts = (before.matched + one.matched, before.decided + one.decided)
            found[key] = Covered(one.rule, one.place, *counts, one.decides)
    return list(found.values())


def _document(
    trials: Sequence[tuple[Path, Trial]], coverage: Sequence[Covered], share: float, *, enough: bool
) -> dict[str, Any]:
    import msgspec

    cases = [
        {
            "file": one.case.place.file,
            "line": one.case.place.line,
            "column": one.case.place.column,
            "name": one.case.name,
            "passed": one.passed,
            "expected": {"allowed": one.case.allowed, "rule": one.case.rule},
            "allowed": one.verdict.decision.allowed,
            "rule": one.verdict.decision.rule,
            "refused_by": one.verdict.decision.refused_by or None,
            "explanation": [] if one.passed else explanation(one),
        }
        for _, trial in trials
        for one in trial.tried
    ]
    return {
        "command": "policy test",
        "cases": cases,
        "passed": sum(one["passed"] is True for one in cases),
        "failed": sum(one["passed"] is False for one in cases),
        "coverage": [msgspec.to_builtins(one) for one in coverage],
        "coverage_share": share,
        "coverage_sufficient": enough,
    }


def _draw(
    console: Console,
    trials: Sequence[tuple[Path, Trial]],
    coverage: Sequence[Covered],
    missed: float | None,
    *,
    quiet: bool,
) -> None:
    from rich.padding import Padding
    from rich.text import Text

    tried = [one for _, trial in trials for one in trial.tried]
    for one in tried:
        if one.passed:
            if not quiet:
                console.print(
                    Text.assemble(("\N{HEAVY CHECK MARK} ", "bold cyan"), one.case.name, (f"  {one.found}", "dim"))
                )
            continue
        place = one.case.place
        console.print(Text.assemble(("\N{HEAVY MULTIPLICATION X} ", "bold red"), one.case.name))
        console.print(f"    {place.file}:{place.line}:{place.column}", soft_wrap=True)
        console.print(Padding(f"expected {one.wanted}, found {one.found}", (0, 0, 0, 4), expand=False))
        for line in explanation(one):
            console.print(Padding(line, (0, 0, 0, 6), expand=False))
    failed = sum(not one.passed for one in tried)
    console.print(f"\n{len(tried) - failed} passed, {failed} failed")
    deciding = [rule for rule in coverage if rule.decides]
    others = [rule for rule in coverage if not rule.decides]
    console.print(f"{sum(one.covered for one in deciding)} of {len(deciding)} rules decided a case")
    if others:
        matched = f"{sum(one.covered for one in others)} of {len(others)}"
        console.print(f"{matched} rules that decide nothing (audit, on trial) matched a case")
    for rule in [one for one in coverage if not one.covered]:
        state = "never decided" if rule.matched else "never matched"
        console.print(Padding(f"{state}: {rule.rule}  {rule.place}", (0, 0, 0, 2), expand=False))
    if missed is not None:
        less = ", or matched one where they decide nothing" if others else ""
        console.print(Text(f"fewer than {100 * missed:g} % of the rules decided a case{less}", style="bold red"))
