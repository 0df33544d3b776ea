"""A run drawn for people: figures of each slice, where the latency went, faults, expectations, paths.

Slices stand side by side, as many as the terminal's width holds. Colour only repeats what a mark or a word says.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from meshsim.analysis.markup import BEFORE_UNIT, OVER, UNDER
from meshsim.analysis.numbers import NOTHING, show, show_duration
from meshsim.analysis.parts import OTHER, OTHER_EXPLAINED, part_label
from meshsim.analysis.radio_figures import AirLine, air_line
from meshsim.analysis.reasons import Explained, explained
from meshsim.analysis.report import is_over, overall, verdict_sentence
from meshsim.commands.answer import shown_path
from meshsim.telemetry.rows import ATTRIBUTION

if TYPE_CHECKING:
    from rich.console import Console

    from meshsim.analysis.run import Run

Figures = Mapping[str, Any]

MARKS = {
    "pass": "\N{HEAVY CHECK MARK}",
    "fail": "\N{HEAVY MULTIPLICATION X}",
    "inconclusive": "?",
    "none": "\N{EN DASH}",
}
STYLES = {"pass": "bold cyan", "fail": "bold red", "inconclusive": "bold yellow", "none": "dim"}
"""Cyan and red stay apart with any colour vision; the mark and the word say the same without colour."""

LABEL_COLUMNS, VALUE_COLUMNS, BAR_COLUMNS = 22, 9, 7
SLICE_COLUMNS = VALUE_COLUMNS + 1 + BAR_COLUMNS
EIGHTHS = " ▏▎▍▌▋▊▉█"
SLOWEST_PARTS = 3
EXPLAINED_ROWS = 5


def draw_run(console: Console, run: Run) -> None:
    """Everything about a finished run."""
    summary, manifest = run.summary, run.manifest
    slices = {name: summary["slices"][name] for name in run.scenario.network.slices}
    totals = summary["totals"]
    console.print(
        Text.assemble(
            (manifest.scenario, "bold"),
            f"  seed {manifest.seed}, {manifest.fidelity}: {show(totals['requests'], 'count')} requests "
            f"in {show_duration(totals['duration_ns'])} of simulated time",
        )
    )
    per_table = max(1, (console.width - LABEL_COLUMNS) // (SLICE_COLUMNS + 2))
    for names in _batches(list(slices), per_table):
        console.print()
        console.print(_slice_table({name: slices[name] for name in names}, _parts(slices)))
    _draw_slowest(console, slices)
    if OTHER in _parts(slices):
        console.print()
        for line in wrapped(f"{OTHER_EXPLAINED}.", console.width):
            console.print(Text(line, "dim"))
    for part in explained(summary):
        draw_explained(console, part)
    draw_faults(console, summary["faults"])
    _draw_kills(console, run)
    _draw_expectations(console, summary["expectations"])
    word = overall(summary)
    console.print()
    console.print(Text(f"{MARKS[word]} {verdict_sentence(summary)}", STYLES[word]))
    for label, text in (
        ("run", shown_path(run.path)),
        ("report", shown_path(run.report_path)),
        ("digest", manifest.digest),
    ):
        # Never wrapped or cut: paths are there to be copied.
        console.print(Text.assemble((f"{label:<8}", "dim"), text), soft_wrap=True)


def _batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]


def _slice_table(slices: Mapping[str, Figures], parts: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("slice", width=LABEL_COLUMNS - 2)
    for name in slices:
        table.add_column(name, width=SLICE_COLUMNS, overflow="fold")
    for label, cell in _rows(slices):
        table.add_row(label, *(cell(figures) for figures in slices.values()))
    means = [figures["latency_mean_ns"] for figures in slices.values()]
    if not any(means):
        return table  # nothing was answered, so there is nothing to explain
    table.add_row()
    table.add_row(
        Text("mean latency", "bold"),
        *(_value(show(mean, "duration"), "made of" if mean else "", "dim") for mean in means),
    )
    for part in parts:
        table.add_row(
            part_label(part), *(_part_cell(figures["attribution_mean_ns"], part) for figures in slices.values())
        )
    return table


def _rows(slices: Mapping[str, Figures]) -> Iterator[tuple[str, Callable[[Figures], Text]]]:
    """Label and cell of each row; rows about what did not happen anywhere are left out."""
    yield "requests", _counter("requests")
    yield "success rate", lambda figures: _value(_share(figures["success_rate"]))
    for name in ("p50", "p95", "p99"):
        yield f"{name} latency", _latency(name)
    yield "latency budget", lambda figures: _value(show(figures["budget_ns"], "duration"))
    yield "within budget", lambda figures: _value(_share(figures["within_budget"]))
    yield from _air_rows(slices)
    yield "handshakes, full", _counter("handshakes_full")
    yield "handshakes, resumed", _counter("handshakes_resumed")
    yield "requests denied", _counter("denied")
    for key, label in (
        ("handshakes_refused", "handshakes refused"),
        ("handshakes_broken", "handshakes broken"),
        ("timeouts", "timeouts"),
        ("failures", "failures"),
        ("retries", "retries"),
    ):
        if any(figures[key] for figures in slices.values()):
            yield label, _counter(key)


def _air_rows(slices: Mapping[str, Figures]) -> Iterator[tuple[str, Callable[[Figures], Text]]]:
    """How the radio part of delay budgets was kept; no rows if nobody came by radio."""

    def cell(text: Callable[[AirLine], str], mark: Callable[[AirLine], str] = lambda line: "") -> Callable[..., Text]:
        def draw(figures: Figures) -> Text:
            line = air_line(figures["radio"]) if figures["radio"] else None
            return _value(NOTHING) if line is None else _value(text(line) or NOTHING, mark(line), STYLES["fail"])

        return draw

    lines = [air_line(figures["radio"]) for figures in slices.values() if figures["radio"]]
    if lines:
        yield "radio part of budget", cell(lambda line: line.radio)
        yield "packets within it", cell(lambda line: line.within, lambda line: UNDER if line.missed else "")
    if any(line.lost for line in lines):
        yield "late, so lost", cell(lambda line: line.lost, lambda line: OVER if line.over else "")
    if any(line.beyond for line in lines):
        yield "beyond promise", cell(lambda line: line.beyond)


def _counter(key: str) -> Callable[[Figures], Text]:
    return lambda figures: _value(show(figures[key], "count"))


def _latency(name: str) -> Callable[[Figures], Text]:
    def cell(figures: Figures) -> Text:
        over = is_over(figures, name)
        return _value(show(figures[f"latency_{name}_ns"], "duration"), OVER if over else "", STYLES["fail"])

    return cell


def _value(text: str, more: str = "", style: str = "") -> Text:
    return Text.assemble(f"{text:>{VALUE_COLUMNS}} ", (more, style))


def _share(value: float | None) -> str:
    return show(None if value is None else Fraction(str(value)), "share")


def _parts(slices: Mapping[str, Figures]) -> list[str]:
    """The parts of the latency that took time anywhere, the biggest first."""
    parts = [column.removesuffix("_ns") for column in ATTRIBUTION]
    spent = {
        part: sum((figures["attribution_mean_ns"][part] or 0) * figures["requests"] for figures in slices.values())
        for part in parts
    }
    return sorted((part for part in parts if spent[part]), key=lambda part: -spent[part])


def _part_cell(means_ns: Mapping[str, int | None], part: str) -> Text:
    mean_ns, whole_ns = means_ns[part], sum(value or 0 for value in means_ns.values())
    if mean_ns is None or not whole_ns:
        return _value(show(None, "duration"))
    return _value(show_duration(mean_ns), _bar(Fraction(mean_ns, whole_ns)), "cyan")


def _bar(share: Fraction) -> str:
    """A bar for a share from 0 to 1, in eighths of a column; something is never drawn as nothing."""
    eighths = max(1 if share else 0, round(share * BAR_COLUMNS * 8))
    return EIGHTHS[8] * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")


def _draw_slowest(console: Console, slices: Mapping[str, Figures]) -> None:
    """What the slowest answers spent their time on: seldom the same as the mean."""
    rows = []
    for name, figures in slices.items():
        means_ns = {part: value for part, value in figures["attribution_slowest_ns"].items() if value}
        whole_ns = sum(means_ns.values())
        biggest = sorted(means_ns, key=lambda part: (-means_ns[part], part))[:SLOWEST_PARTS]
        parts = [
            f"{part_label(part)} {show_duration(means_ns[part])}, {_percent(means_ns[part], whole_ns)}"
            for part in biggest
        ]
        if parts:
            rows.append((Text(name), "; ".join(parts), None))
    draw_list(console, "slowest 1 %", rows)


def _percent(part: int, whole: int) -> str:
    return f"{round(100 * part / whole)} %"


def draw_explained(console: Console, part: Explained) -> None:
    """The most frequent denials or failures, and how many there are of each; or what is told in words."""
    chosen = [one for index, one in enumerate(part.rows) if index < EXPLAINED_ROWS or index in part.telling]
    rows = [(Text(name), words, None) for name, words in part.sentences[:EXPLAINED_ROWS]] or [
        (Text(f"{times:>{VALUE_COLUMNS - 2}}"), ", ".join(filter(None, more)), None) for *more, times in chosen
    ]
    draw_list(console, part.title.lower(), rows)
    left = len(part.rows) - len(chosen)
    also = f", and of each {part.each} the most frequent" if len(chosen) > EXPLAINED_ROWS else ""
    shown = (
        f"Shown are the {EXPLAINED_ROWS} most frequent kinds{also}; the report shows {left} more." if left > 0 else ""
    )
    remark = " ".join(filter(None, [shown, part.remark]))
    for line in wrapped(remark, console.width - 2):
        console.print(Text(f"  {line}", "dim"))


FAULT_NOUNS = (
    ("packets", "packet"),
    ("connections", "connection"),
    ("requests", "call"),
    ("certificates", "certificate"),
    ("tokens", "token"),
    ("configurations", "configuration"),
    ("decisions", "decision"),
)
"""Columns of what a fault touched, and what one of it is called."""


def draw_faults(console: Console, faults: Sequence[Figures]) -> None:
    """What each fault touched; and where no request succeeded any more while it lasted, from when on."""
    rows = []
    for fault in faults:
        touched = ", ".join(
            f"{show(fault[key], 'count')} {noun}{'' if fault[key] == 1 else 's'}"
            for key, noun in FAULT_NOUNS
            if fault[key]
        )
        kind = "" if fault["fault_id"] == fault["kind"] else f"{fault['kind']} of "
        when = f"{show_duration(fault['t_start_ns'])} to {show_duration(fault['t_end_ns'])}"
        total_ns = fault["total_failure_ns"]
        failed = (
            ""
            if total_ns is None
            else f"; the first request failed {show_duration(fault['first_failure_ns'])} after it began, and from "
            f"{show_duration(total_ns)} on none succeeded"
        )
        rows.append((Text(fault["fault_id"]), f"{kind}{fault['target']}, {when}: {touched}{failed}", None))
    draw_list(console, "faults, and what they touched", rows)


def _draw_kills(console: Console, run: Run) -> None:
    """Nodes on which memory ran out, and how often a replica was killed for it."""
    kills = run.nodes[run.nodes["oom_kills"] > 0].groupby("node", observed=True)["oom_kills"].sum()
    rows = [(Text(str(node)), f"{show(int(count), 'count')} killed", None) for node, count in kills.items()]
    draw_list(console, "replicas killed because memory ran out", rows)


def _draw_expectations(console: Console, verdicts: Sequence[Figures]) -> None:
    draw_list(
        console,
        "expectations",
        [
            (
                Text(f"{MARKS[verdict['verdict']]} {verdict['verdict']}", STYLES[verdict["verdict"]]),
                f"{verdict['expectation']}: {verdict['measured']}",
                verdict["reason"] or None,
            )
            for verdict in verdicts
        ],
    )


def draw_list(console: Console, title: str, rows: Sequence[tuple[Text, str, str | None]]) -> None:
    """A title and, if there are any, rows of label, text and a fainter remark, wrapped to the terminal's width."""
    if not rows:
        return
    console.print()
    console.print(Text(title, "bold"))
    label_columns = max(label.cell_len for label, _, _ in rows) + 2
    below = label_columns > console.width // 2  # no room beside the labels
    indent = 2 if below else label_columns
    for label, text, remark in rows:
        lines = [(line, "") for line in wrapped(text, console.width - indent)]
        lines += [(line, "dim") for line in wrapped(remark or "", console.width - indent)]
        if below:
            console.print(label)
        else:
            first = lines.pop(0)
            console.print(Text.assemble(label, " " * (indent - label.cell_len), first), soft_wrap=True)
        for line in lines:
            console.print(Text.assemble(" " * indent, line), soft_wrap=True)


def wrapped(text: str, columns: int) -> list[str]:
    """Lines of at most ``columns``, unless a word is longer; none ends between a number and its unit."""
    kept = BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", text)
    # textwrap breaks at ASCII spaces alone, where rich would break at those that must not.
    return [
        line.replace("\N{NO-BREAK SPACE}", " ")
        for line in textwrap.wrap(kept, max(10, columns), break_long_words=False, break_on_hyphens=False)
    ]
