"""``meshsim policy matrix``: who may call whom, and what other policies would change."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from meshsim.commands.answer import EXIT_FAILED, EXIT_INCONCLUSIVE, EXIT_PASSED, Answer
from meshsim.commands.asking import draw_warnings
from meshsim.commands.progress import Bar
from meshsim.inquiry.matrix import Comparison, Flip, Matrix, Narrowed, build_matrix, compare
from meshsim.inquiry.names import find_callee, find_caller
from meshsim.inquiry.picture import check_picture, write_picture
from meshsim.inquiry.present import comparison_document, matrix_document
from meshsim.inquiry.region_words import region_words
from meshsim.inquiry.space import Space
from meshsim.inquiry.subject import Subject
from meshsim.scenario.differences import told
from meshsim.scenario.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

MARKS = {"all": "\N{BLACK CIRCLE}", "some": "\N{CIRCLE WITH LEFT HALF BLACK}", "none": "\N{MIDDLE DOT}"}
_CALLERS = "who calls"
_WIDEST_CALLER = 34
REFUSED = "\N{MULTIPLICATION SIGN}"
_SAID = (
    *("slice", "site", "host", "node", "source_node", "source_ip"),
    *("tls_version", "cipher", "group", "certificate_age_s", "time_s"),
)
"""Attributes of a witness that are told where policies look at them."""
Named = tuple[Sequence[str], Sequence[str]]
"""The options that name what is before a change, and what is after it."""
NEWLY_ALLOWED, NEWLY_DENIED = "newly-allowed", "newly-denied"


def check_fail_on(kinds: Sequence[str], *, comparing: bool) -> None:
    """Raise UsageError for a ``--fail-on`` that could never fail."""
    for kind in kinds:
        if kind not in (NEWLY_ALLOWED, NEWLY_DENIED):
            raise UsageError(f"--fail-on: {kind!r} is not known; expected {NEWLY_ALLOWED} or {NEWLY_DENIED}")
    if kinds and not comparing:
        raise UsageError("--fail-on is about a comparison; expected --diff OTHER beside it")


def narrowed(subject: Subject, source: str | None, destination: str | None) -> Narrowed:
    """The part of a matrix that ``--source`` and ``--destination`` name."""
    caller = None if source is None else find_caller(subject, source)
    callee = None if destination is None else find_callee(subject, destination)
    return Narrowed(None if caller is None else caller.spiffe_id, None if callee is None else callee.name, caller)


def answer_matrix(subject: Subject, part: Narrowed, most: int, plot: Path | None, *, quiet: bool) -> Answer:
    """Ask everything that the policies can tell apart."""
    if plot is not None:
        check_picture(plot)
    with Bar("Asking", "Drawing", quiet=quiet) as bar:
        matrix = build_matrix(subject, part, most, bar)
        if plot is not None:
            write_picture(matrix, plot)

    def draw(console: Console) -> None:
        _draw_matrix(console, matrix, quiet=quiet)
        draw_warnings(console, [] if quiet else subject.warnings)
        if plot is not None:
            console.print(f"\nwrote {plot}", soft_wrap=True)

    document = {"command": "policy matrix", **matrix_document(matrix), "warnings": list(subject.warnings)}
    return Answer(document, draw)


def answer_diff(
    before: Subject,
    after: Subject,
    part: Narrowed,
    most: int,
    fail_on: Sequence[str],
    *,
    quiet: bool,
    named: Named = ((), ()),
) -> Answer:
    """Ask both sets of policies everything that either can tell apart; tell every decision that flipped.

    ``named``: the options that name either of them, for commands that can be pasted. Exit code 1 if there is a flip
    of a kind in ``fail_on``; else 3 if there is one to fail on and the classes are not exact, so that one may have been
    missed.
    """
    with Bar("Asking", "Drawing", quiet=quiet) as bar:
        comparison = compare(before, after, part, most, bar)
    warnings = list(dict.fromkeys((*before.warnings, *after.warnings)))
    kinds = {NEWLY_ALLOWED if flip.now_allowed else NEWLY_DENIED for flip in comparison.flips}
    code = EXIT_PASSED
    if kinds.intersection(fail_on):
        code = EXIT_FAILED
    elif fail_on and comparison.space.approximate:
        code = EXIT_INCONCLUSIVE

    def draw(console: Console) -> None:
        _draw_comparison(console, comparison, (before.name, after.name), named, quiet=quiet)
        draw_warnings(console, [] if quiet else warnings)

    document = {"command": "policy matrix", "a": before.name, "b": after.name, **comparison_document(comparison, named)}
    document["warnings"] = warnings
    return Answer(document, draw, code)


def _draw_matrix(console: Console, matrix: Matrix, *, quiet: bool) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    columns = list(dict.fromkeys((cell.callee.name, cell.port) for cell in matrix.cells))
    several = len({name for name, _ in columns}) < len(columns)
    names = [f"{name}:{port}" if several else name for name, port in columns]
    rows: dict[str, dict[tuple[str, int], str]] = {}
    for cell in matrix.cells:
        rows.setdefault(cell.caller.name, {})[cell.callee.name, cell.port] = (
            REFUSED if cell.refused else MARKS[cell.extent]
        )
    first = min(max(map(len, (*rows, _CALLERS))), _WIDEST_CALLER)
    for part in _parts(len(columns), console.width - first):
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column(_CALLERS, style="bold", no_wrap=True, width=first)
        for index in part:
            table.add_column(str(index + 1), justify="right", no_wrap=True)
        for caller, marks in rows.items():
            table.add_row(caller, *(marks.get(columns[index], "") for index in part))
        console.print(table)
        console.print()
    console.print(
        Padding(Text(", ".join(f"{index} {name}" for index, name in enumerate(names, 1))), (0, 0, 0, 0), expand=False)
    )
    refused = f"  {REFUSED} TLS refuses the caller" if any(cell.refused for cell in matrix.cells) else ""
    console.print(f"{MARKS['all']} everything  {MARKS['some']} some, as below  {MARKS['none']} nothing{refused}")
    if not quiet:
        console.print()
        _draw_regions(console, matrix, several=several)
        _draw_refused(console, matrix)
        _draw_basis(console, matrix.questions, matrix.space.approximate, matrix.notes)


def _parts(columns: int, width: int) -> Iterator[range]:
    """The columns that stand beside each other, as many as there is room for; at least one."""
    begin, room = 0, width
    for index in range(columns):
        room -= len(str(index + 1)) + 1
        if room < 0 and index > begin:
            yield range(begin, index)
            begin, room = index, width - len(str(index + 1)) - 1
    yield range(begin, columns)


def _draw_regions(console: Console, matrix: Matrix, *, several: bool) -> None:
    """What is allowed of cells that allow some: service by service, callers with the same region together."""
    from rich.padding import Padding
    from rich.text import Text

    columns = dict.fromkeys((cell.callee.name, cell.port) for cell in matrix.cells)
    order = {column: index for index, column in enumerate(columns)}
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for cell in sorted(matrix.cells, key=lambda cell: order[cell.callee.name, cell.port]):
        if cell.extent == "some":
            name = f"{cell.callee.name}:{cell.port}" if several else cell.callee.name
            words = tuple(region_words(cell.allowed, matrix.space.dimensions))
            alike.setdefault((name, words), []).append(cell.caller.name)
    for (name, words), callers in alike.items():
        heading = Text.assemble((", ".join(callers), "bold"), " \N{RIGHTWARDS ARROW} ", (name, "bold"))
        console.print(Padding(heading, (0, 0, 0, 0), expand=False))
        for line in words:
            console.print(Padding(line, (0, 0, 0, 4), expand=False))


def _draw_refused(console: Console, matrix: Matrix) -> None:
    from rich.padding import Padding
    from rich.text import Text

    callers: dict[str, dict[str, None]] = {}
    for cell in matrix.cells:
        if cell.refused:
            callers.setdefault(cell.refused, {})[cell.caller.name] = None
    for why, names in callers.items():
        console.print(Text.assemble((", ".join(names), "bold"), f" {REFUSED}"))
        console.print(Padding(why, (0, 0, 0, 4), expand=False))


def _draw_basis(
    console: Console, questions: int, approximate: Sequence[str], notes: Sequence[str], but: str = ""
) -> None:
    from rich.text import Text

    exact = f"exact over all requests that the policies can tell apart{but}" if not approximate else "not exact:"
    console.print(f"\n{questions} questions asked; {exact}")
    for reason in approximate:
        console.print(Text(f"  {reason}", style="bold yellow"))
    for note in notes:
        console.print(Text(note, style="bold yellow"))


def _draw_comparison(
    console: Console,
    comparison: Comparison,
    names: tuple[str, str],
    named: tuple[Sequence[str], Sequence[str]],
    *,
    quiet: bool,
) -> None:
    from rich.text import Text

    counts = [sum(flip.now_allowed is wanted for flip in comparison.flips) for wanted in (True, False)]
    pairs = "pair" if counts[0] == 1 else "pairs"
    console.print(f"from {names[0]}\nto   {names[1]}", soft_wrap=True)
    if not comparison.flips:
        console.print("\nno decision flips")
    else:
        console.print(f"\nnewly allowed: {counts[0]} {pairs}; newly denied: {counts[1]}")
    for flip in [] if quiet else comparison.flips:
        _draw_flip(console, flip, comparison.space, named)
    for word, services in (("before", comparison.only_before), ("after", comparison.only_after)):
        if services:
            said = f"only {word}, so asked about as callers and not as called: {', '.join(services)}"
            console.print(Text(said, style="bold yellow"))
    if comparison.uncompared and not quiet:
        said = (
            f"not compared, as no decision rests on it and runs alone tell what it does: {told(comparison.uncompared)}"
        )
        console.print(Text(said, style="bold yellow"))
    but = ", but for what is left out" if comparison.left_out else ""
    _draw_basis(console, comparison.questions, comparison.space.approximate, comparison.notes, but)


def _each_side(values: Sequence[object]) -> list[str]:
    """What is told of an attribute of a witness: of each side, where they have different values."""
    first, second = values
    if first == second or "" in values or -1 in values:
        return [str(value) for value in values if value not in ("", -1)][:1]
    return [f"{first} before and {second} after"]


def _draw_flip(console: Console, flip: Flip, space: Space, named: Named) -> None:
    from rich.padding import Padding
    from rich.text import Text

    dimensions = space.dimensions
    word, style = ("newly allowed", "bold red") if flip.now_allowed else ("newly denied", "bold yellow")
    pair = f"{flip.caller.name} \N{RIGHTWARDS ARROW} {flip.callee.name}:{flip.port}"
    console.print(Text.assemble("\n", (word, style), f"  {pair}"), soft_wrap=True)
    for line in region_words(flip.region, dimensions):
        console.print(Padding(line, (0, 0, 0, 4), expand=False))
    witness = flip.witness
    details = [f"{witness.method} {witness.path}{f'?{witness.query}' if witness.query else ''}"]
    said = [
        (one.name, *(getattr(each, one.name) for each in flip.witnesses)) for one in dimensions if one.name in _SAID
    ]
    for name, *values in said:
        details += [f"{name.replace('_', ' ')} {value}" for value in _each_side(values)]
    details += [f"header {name}={value}" for name, value in witness.headers]
    details += [f"claims {witness.claims}"] if witness.claims else []
    at = space.token_at(flip.combination)
    details += [f"the token in {at}"] if at and witness.claims else []
    console.print(
        Padding(
            f"for instance {', '.join(details)}: {flip.before.words} before, {flip.after.words} after",
            (0, 0, 0, 4),
            expand=False,
        )
    )
    for options, ask in zip(named, flip.asks, strict=True):
        console.print(Text(f"    meshsim policy ask {shlex.join((*options, *ask))}", style="dim"), soft_wrap=True)
