"""``meshsim compare``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from meshsim.analysis.metrics import METRICS
from meshsim.analysis.numbers import show, show_apart
from meshsim.analysis.selection import Kind
from meshsim.commands.answer import EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_PASSED, Answer
from meshsim.commands.changes import changes_between
from meshsim.commands.comparison import PPM, Comparison, Difference, compare_summaries
from meshsim.results.folder import MANIFEST, SUMMARY
from meshsim.results.stored import StoredRun, open_run_folder
from meshsim.scenario.differences import Change, told
from meshsim.scenario.errors import UsageError
from meshsim.scenario.units import parse_share_ppm
from meshsim.scenario.words import show as show_word

if TYPE_CHECKING:
    from rich.console import Console

SUMMARY_KEYS = ("totals", "slices", "services", "expectations")
EXIT_BY_VERDICT = {"regression": EXIT_FAILED, "inconclusive": EXIT_INCONCLUSIVE}
TELLING = ("worse", "gone")
"""Judgements that decide the exit code."""
LEAST_PERCENT = 0.05
"""What is nothing with one digit behind the point."""
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
        told = [f"{side.path}{'' if side.run is None else f' ({side.run.versions})'}" for side in (before, after)]
        raise UsageError(f"one of {' and '.join(told)} is no summary of this version: {error!r}") from error
    runs = (before.run, after.run)
    identical = None if None in runs else len({run.manifest.digest for run in runs if run is not None}) == 1
    changes = None if before.run is None or after.run is None else changes_between(before.run, after.run)
    document = {
        "a": _plain(before),
        "b": _plain(after),
        "tolerance": tolerance_ppm / PPM,
        "identical": identical,
        "same_scenario": None if changes is None else not changes,
        "changes": msgspec.to_builtins(changes),
        "compared": comparison.compared,
        "differences": msgspec.to_builtins(comparison.differences),
        "verdict": comparison.verdict,
    }
    names = [side.summary.get("scenario") for side in (before, after)]
    warning = None
    if names[0] != names[1]:
        warning = f"these are different scenarios: A is {show_word(names[0])}, B is {show_word(names[1])}"
    remarks = _remarks(changes, before.run, after.run)
    exit_code = EXIT_BY_VERDICT.get(comparison.verdict, EXIT_PASSED)
    return Answer(document, lambda console: _draw(console, comparison, warning, remarks, quiet=quiet), exit_code)


def _side(path: Path) -> _Side:
    if path.name == SUMMARY and (path.parent / MANIFEST).is_file():
        path = path.parent
    if path.is_dir():
        run = open_run_folder(path)
        run.check_columns()
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


def _remarks(changes: list[Change] | None, a: StoredRun | None, b: StoredRun | None) -> list[str]:
    if changes is None or a is None or b is None:
        return ["a summary alone has no digest: figures are compared, not every byte"]
    asked = [f"what was asked differs (A / B): {told(changes)}"] if changes else []
    if a.manifest.digest == b.manifest.digest:
        return [f"identical results: both have the digest {a.manifest.digest}", *asked]
    if asked:
        return asked
    old, new = a.manifest.versions, b.manifest.versions
    moved = [
        f"{name} {old.get(name)} to {new.get(name)}" for name in sorted({*old, *new}) if old.get(name) != new.get(name)
    ]
    why = f"versions: {', '.join(moved)}" if moved else "the code has changed"
    return ["other results from the same scenario, files, seed and cost profile", why]


def _draw(console: Console, comparison: Comparison, warning: str | None, remarks: list[str], *, quiet: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    if warning:
        console.print(f"! {warning}", soft_wrap=True)
        console.print()
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
    console.print(f"{comparison.verdict}: {_counted(comparison)}", soft_wrap=True)
    for remark in [] if quiet else remarks:
        console.print(remark, soft_wrap=True)


def _counted(comparison: Comparison) -> str:
    """How many figures both have, how many of these differ, and how many only one has."""
    only_a = sum(one.b is None for one in comparison.differences)
    only_b = sum(one.a is None for one in comparison.differences)
    differ = len(comparison.differences) - only_a - only_b
    parts = [f"{differ or 'none'} of {comparison.compared} figures {'differs' if differ == 1 else 'differ'}"]
    parts += [f"{number} in {side} only" for number, side in ((only_a, "A"), (only_b, "B")) if number]
    return ", ".join(parts)


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
        yield one.verdict, what, *_shown(one), _change(one)


def _change(one: Difference) -> str:
    """The change in percent; one digit behind the point, or as many as it takes to be more than nothing."""
    if one.change is None or not isinstance(one.a, int | float) or not isinstance(one.b, int | float):
        return ""
    old, new = Fraction(str(one.a)), Fraction(str(one.b))
    percent = float(100 * (new - old) / old)
    return f"{percent:+.1f} %" if abs(percent) >= LEAST_PERCENT else f"{percent:+.1g} %"


def _shown(one: Difference) -> tuple[str, str]:
    """Both figures for people, as what the metric is, or by the unit that the key ends in."""
    kind = _kind(one.metric)
    if isinstance(one.a, int | float) and isinstance(one.b, int | float):
        return show_apart(Fraction(str(one.a)), Fraction(str(one.b)), kind)
    a, b = (
        show(Fraction(str(value)), kind) if isinstance(value, int | float) else value or show(None, kind)
        for value in (one.a, one.b)
    )
    return a, b


def _kind(metric: str) -> Kind:
    if metric in METRICS:
        return METRICS[metric].kind
    if metric.endswith("_ns"):
        return "duration"
    return "size" if metric.endswith("bytes") else "count"
