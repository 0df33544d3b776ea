"""``meshsim compare``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from meshsim.analysis.numbers import show
from meshsim.commands.answer import EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_PASSED, Answer
from meshsim.commands.comparison import PPM, Comparison, Difference, Figure, compare_summaries
from meshsim.results.folder import MANIFEST, SUMMARY
from meshsim.results.stored import StoredRun, open_run_folder
from meshsim.scenario.errors import UsageError
from meshsim.scenario.units import parse_share_ppm

if TYPE_CHECKING:
    from rich.console import Console

SUMMARY_KEYS = ("totals", "slices", "services", "expectations")
EXIT_BY_VERDICT = {"regression": EXIT_FAILED, "inconclusive": EXIT_INCONCLUSIVE}
TELLING = ("worse", "gone")
"""Judgements that decide the exit code."""
MARKS = {
    "worse": "\N{HEAVY MULTIPLICATION X} worse",
    "gone": "? gone",
    "better": "\N{HEAVY CHECK MARK} better",
    "within": "\N{ALMOST EQUAL TO} within",
    "changed": "\N{MIDDLE DOT} changed",
    "new": "+ new",
}
STYLES = {"worse": "bold red", "gone": "bold yellow", "better": "cyan", "within": "dim", "changed": "", "new": ""}


class _Side(NamedTuple):
    """One of the two."""

    path: Path
    summary: dict[str, Any]
    run: StoredRun | None
    """None for a baseline: a summary alone."""


def compare_runs(a: Path, b: Path, tolerance: str, *, quiet: bool) -> Answer:
    """Compare two runs, or summaries of runs; the exit code is the verdict on B."""
    try:
        tolerance_ppm = parse_share_ppm(tolerance)
    except ValueError as error:
        raise UsageError(f"--tolerance: {error}") from None
    before, after = _side(a), _side(b)
    try:
        comparison = compare_summaries(before.summary, after.summary, tolerance_ppm)
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"one of {a} and {b} is no summary of this version: {error!r}") from error
    runs = (before.run, after.run)
    identical = None if None in runs else len({run.manifest.digest for run in runs if run is not None}) == 1
    same = None if before.run is None or after.run is None else _same_scenario(before.run, after.run)
    document = {
        "a": _plain(before),
        "b": _plain(after),
        "tolerance": tolerance_ppm / PPM,
        "identical": identical,
        "same_scenario": same,
        "compared": comparison.compared,
        "differences": msgspec.to_builtins(comparison.differences),
        "verdict": comparison.verdict,
    }
    remarks = _remarks(identical, same, before.run, after.run)
    exit_code = EXIT_BY_VERDICT.get(comparison.verdict, EXIT_PASSED)
    return Answer(document, lambda console: _draw(console, comparison, remarks, quiet=quiet), exit_code)


def _side(path: Path) -> _Side:
    if path.name == SUMMARY and (path.parent / MANIFEST).is_file():
        path = path.parent
    if path.is_dir():
        run = open_run_folder(path)
        if problems := run.verify():
            raise UsageError(f"{path} is damaged: {'; '.join(problems)}")
        return _Side(path, run.summary(), run)
    try:
        summary = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        raise UsageError(f"there is no {path}; expected a run folder or a summary.json") from None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no summary of a run: {error}") from error
    missing = [key for key in SUMMARY_KEYS if key not in summary]
    if missing:
        raise UsageError(f"{path} is no summary of a run: it has no {', '.join(missing)}")
    return _Side(path, summary, None)


def _plain(side: _Side) -> dict[str, Any]:
    facts = dict.fromkeys(("scenario", "seed", "fidelity", "digest"))
    if side.run is not None:
        facts = {name: getattr(side.run.manifest, name) for name in facts}
    return {"path": str(side.path), **facts}


def _same_scenario(a: StoredRun, b: StoredRun) -> bool:
    """Whether scenario, seed, cost profile and every named file are the same. Fidelity never changes a result."""

    def asked(run: StoredRun) -> tuple[list[str], str, dict[str, str]]:
        lines = run.scenario_text().splitlines()
        manifest = run.manifest
        return (
            [line for line in lines if not line.startswith("fidelity:")],
            manifest.cost_profile_sha256,
            manifest.inputs,
        )

    return asked(a) == asked(b)


def _remarks(identical: bool | None, same: bool | None, a: StoredRun | None, b: StoredRun | None) -> list[str]:
    if a is None or b is None:
        return ["a summary alone has no digest: figures are compared, not every byte"]
    if identical:
        return [f"identical results: both have the digest {a.manifest.digest}"]
    if not same:
        return ["the scenario, a file that it names, the seed or the cost profile is another one"]
    old, new = a.manifest.versions, b.manifest.versions
    moved = [
        f"{name} {old.get(name)} to {new.get(name)}" for name in sorted({*old, *new}) if old.get(name) != new.get(name)
    ]
    why = f"versions: {', '.join(moved)}" if moved else "the code has changed"
    return ["other results from the same scenario, files, seed and cost profile", why]


def _draw(console: Console, comparison: Comparison, remarks: list[str], *, quiet: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("what", overflow="fold")
    for name in ("A", "B", "change"):
        table.add_column(name, justify="right", no_wrap=True)
    for judgement, *cells in _rows([one for one in comparison.differences if not quiet or one.verdict in TELLING]):
        table.add_row(Text(MARKS[judgement], STYLES[judgement]), *map(Text, cells))
    if table.row_count:
        console.print(table)
        console.print()
    number = len(comparison.differences)
    differ = f"{number} difference{'' if number == 1 else 's'}"
    console.print(f"{comparison.verdict}: {comparison.compared} figures compared, {differ}")
    for remark in [] if quiet else remarks:
        console.print(remark, soft_wrap=True)


def _rows(differences: Sequence[Difference]) -> Iterator[tuple[str, str, str, str, str]]:
    """Judgement, what, A, B and change; a slice or service that only one side has takes one row."""
    one_sided: Counter[tuple[str, str, str]] = Counter(
        (one.scope, one.name, one.verdict) for one in differences if one.verdict in ("gone", "new")
    )
    told = set()
    for one in differences:
        group = (one.scope, one.name, one.verdict)
        if one_sided[group] > 1:
            if group not in told:
                told.add(group)
                yield one.verdict, f"{one.scope} {one.name}: {one_sided[group]} figures", "", "", ""
            continue
        metric = "" if one.scope == "expectation" else one.metric.removesuffix("_ns")
        what = " ".join(part for part in (one.name or one.scope, metric) if part)
        change = "" if one.change is None else f"{one.change * 100:+.1f} %"
        yield one.verdict, what, _shown(one, one.a), _shown(one, one.b), change


def _shown(one: Difference, value: Figure) -> str:
    """A figure for people, by the unit that its key ends in."""
    if value is None or isinstance(value, str):
        return value or show(None, "count")
    exact = Fraction(str(value))
    if one.metric.endswith("_ns"):
        return show(exact, "duration")
    if one.metric in ("success_rate", "within_budget"):
        return show(exact, "share")
    if one.metric.endswith("_per_s"):
        return show(exact, "rate")
    return show(exact, "size" if one.metric.endswith("bytes") else "count")
