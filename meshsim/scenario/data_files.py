"""The measurements that scenarios replay, read from CSV files into frozen columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

import msgspec

from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.reading import bad_byte_message, decode
from meshsim.scenario.words import expected, nearest, show

_NUMBER = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,18})?")
_MOST_MISTAKES = 100
_NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000

QUANTILES_PPM = {"p5_ms": 50_000, "p50_ms": 500_000, "p95_ms": 950_000, "p99_ms": 990_000, "p999_ms": 999_000}
"""The quantile columns of a delay table and the share of packets that are faster, in parts per million."""


class RadioTrace(msgspec.Struct, frozen=True):
    """A drive through a radio network: round trips and the cell that served them. The columns are equally long."""

    times_ns: tuple[int, ...]
    """Instants since the start of the trace, strictly growing, the first one 0."""
    round_trips_ns: tuple[int, ...]
    """Round trip between device and network at each instant."""
    cells: tuple[str, ...]
    """Serving cell at each instant."""


class DelayQuantiles(msgspec.Struct, frozen=True):
    """A distribution of one-way delays by a few of its points."""

    points: tuple[tuple[int, int], ...]
    """(share of packets in parts per million, delay in ns that they do not exceed), both growing."""


class DelaySamples(msgspec.Struct, frozen=True):
    """One-way delays as they were measured, each as likely as the others."""

    delays_ns: tuple[int, ...]
    """At least one, in the file's order."""


class RadioQuantiles(msgspec.Struct, frozen=True):
    """One-way delays of one measured network."""

    uplink: DelayQuantiles
    """From device to network."""
    downlink: DelayQuantiles
    """From network to device."""


class ArrivalTrace(msgspec.Struct, frozen=True):
    """When requests are meant to be sent."""

    times_ns: tuple[int, ...]
    """Instants since the start of the run, never shrinking."""


class _Row(msgspec.Struct, frozen=True):
    line: int
    text: str
    cells: list[str]


class _Table:
    """The rows of one CSV file and the mistakes found in them.

    The first line that is not empty and does not begin with ``#`` names the columns. A cell may be quoted; a quoted
    cell ends on its line.
    """

    def __init__(self, content: bytes, file: str, needed: Sequence[str]) -> None:
        self.file = file
        self.diagnostics: list[Diagnostic] = []
        self.columns: dict[str, int] = {}
        self.rows: list[_Row] = []
        text, bad = decode(content, file)
        if bad is not None:
            raise ScenarioError([bad.diagnostic(bad_byte_message(content))])
        self._read(text, needed)

    def _read(self, text: str, needed: Sequence[str]) -> None:
        width = 0
        for number, line in enumerate(text.split("\n"), 1):
            line = line.removesuffix("\r")
            if not line.strip() or line.startswith("#"):
                continue
            row = _Row(number, line, _split(line))
            if not self.columns:
                width = len(row.cells)
                self._head(row, needed)
            elif len(row.cells) != width:
                self.note(row, 0, f"the row has {len(row.cells)} cells; expected {width}, as the first line names them")
            else:
                self.rows.append(row)
        if not self.columns:
            self.fail(0, 0, f"the file is empty; expected a first line with {', '.join(needed)}")
        if not self.rows:
            self.fail(1, 1, "the table has no rows; expected at least one below the columns' names")

    def _head(self, row: _Row, needed: Sequence[str]) -> None:
        names = [cell.strip() for cell in row.cells]
        self.columns = {name: index for index, name in enumerate(names)}
        for name in needed:
            if name not in self.columns:
                near = nearest(name, names)
                hint = f"it, in place of {near[0]!r}" if near else f"a first line with {', '.join(needed)}"
                self.diagnostics.append(
                    Diagnostic(self.file, row.line, 1, f"the column {name!r} is missing; expected {hint}")
                )
        if len(self.columns) != len(names):
            index = next(index for index, name in enumerate(names) if names.index(name) != index)
            self.note(row, index, f"the column {show(names[index])} stands twice; expected it once")
        self.finish()

    def cell(self, row: _Row, column: str) -> str:
        return row.cells[self.columns[column]].strip()

    def number(self, row: _Row, column: str, unit_ns: int, example: str) -> int:
        """A cell as a number of nanoseconds; a mistake is noted, and 0 returned."""
        text = self.cell(row, column)
        if _NUMBER.fullmatch(text):
            return int((Decimal(text) * unit_ns).to_integral_value())
        what = "is empty" if not text else f"is {show(text)}"
        self.note(row, self.columns[column], f"{column} {what}; expected a number of zero or more, such as {example}")
        return 0

    def note(self, row: _Row, index: int, message: str) -> None:
        self.diagnostics.append(Diagnostic(self.file, row.line, _column(row.text, index), message))
        if len(self.diagnostics) >= _MOST_MISTAKES:
            self.finish()

    def note_at(self, row: _Row, column: str, message: str) -> None:
        self.note(row, self.columns[column], message)

    def fail(self, line: int, column: int, message: str) -> None:
        raise ScenarioError([*self.diagnostics, Diagnostic(self.file, line, column, message)])

    def finish(self) -> None:
        if self.diagnostics:
            raise ScenarioError(self.diagnostics)


def _split(line: str) -> list[str]:
    if '"' not in line:
        return line.split(",")
    return [text for _, text in _quoted_cells(line)]


def _quoted_cells(line: str) -> Iterator[tuple[int, str]]:
    """The offset and the text of each cell of a line with quotes (RFC 4180, section 2)."""
    start = 0
    while start <= len(line):
        match = re.compile(r'\s*"((?:[^"]|"")*)"\s*(?=,|$)').match(line, start)
        if match:
            yield start, match.group(1).replace('""', '"')
            start = match.end() + 1
        else:
            end = line.find(",", start)
            end = len(line) if end < 0 else end
            yield start, line[start:end]
            start = end + 1


def _column(line: str, index: int) -> int:
    """The column, counted from 1, at which a cell begins."""
    if '"' in line:
        starts = [start for start, _ in _quoted_cells(line)]
        return starts[index] + 1 if index < len(starts) else 1
    return sum(len(cell) + 1 for cell in line.split(",")[:index]) + 1


def read_radio_trace(content: bytes, file: str) -> RadioTrace:
    """A radio trace from a CSV file with the columns time_s, round_trip_ms and cell.

    Raises ScenarioError with the CSV file's own lines and columns.
    """
    table = _Table(content, file, ("time_s", "round_trip_ms", "cell"))
    times, round_trips, cells = [], [], []
    for row in table.rows:
        times.append(table.number(row, "time_s", _NS_PER_S, "0.055"))
        round_trips.append(table.number(row, "round_trip_ms", _NS_PER_MS, "17.5"))
        cells.append(table.cell(row, "cell"))
        if not cells[-1]:
            table.note_at(row, "cell", "the cell is empty; expected its name")
    _check_growth(table, times, strictly=True)
    table.finish()
    if len(times) < 2:
        table.fail(table.rows[0].line, 1, "the trace has one row; expected two or more, so that it lasts")
    return RadioTrace(tuple(time - times[0] for time in times), tuple(round_trips), tuple(cells))


def read_arrival_trace(content: bytes, file: str) -> ArrivalTrace:
    """An arrival trace from a CSV file with the column time_s.

    Raises ScenarioError with the CSV file's own lines and columns.
    """
    table = _Table(content, file, ("time_s",))
    times = [table.number(row, "time_s", _NS_PER_S, "0.25") for row in table.rows]
    _check_growth(table, times, strictly=False)
    table.finish()
    return ArrivalTrace(tuple(times))


def read_delays(content: bytes, file: str) -> DelaySamples | DelayQuantiles:
    """One-way delays from a CSV file with the column delay_ms: quantiles if there is a quantile_percent, else samples.

    Raises ScenarioError with the CSV file's own lines and columns.
    """
    table = _Table(content, file, ("delay_ms",))
    delays = [table.number(row, "delay_ms", _NS_PER_MS, "4.3") for row in table.rows]
    if "quantile_percent" not in table.columns:
        table.finish()
        return DelaySamples(tuple(delays))
    shares = [table.number(row, "quantile_percent", 10_000, "99.9") for row in table.rows]
    for index, row in enumerate(table.rows):
        if shares[index] > 1_000_000:
            table.note_at(row, "quantile_percent", "quantile_percent is over 100; expected 0 to 100")
        elif index and not table.diagnostics and shares[index] <= shares[index - 1]:
            table.note_at(
                row, "quantile_percent", "quantile_percent is not above the row before; expected growing ones"
            )
        elif index and not table.diagnostics and delays[index] < delays[index - 1]:
            table.note_at(row, "delay_ms", "delay_ms is less than at the quantile before; expected growing delays")
    table.finish()
    return DelayQuantiles(tuple(zip(shares, delays, strict=True)))


def _check_growth(table: _Table, times_ns: list[int], *, strictly: bool) -> None:
    if table.diagnostics:
        return
    for index in range(1, len(times_ns)):
        if times_ns[index] < times_ns[index - 1] or (strictly and times_ns[index] == times_ns[index - 1]):
            table.note_at(
                table.rows[index],
                "time_s",
                f"time_s is {table.cell(table.rows[index], 'time_s')}, not after the row before; "
                "expected rows in order of time",
            )


def read_radio_quantiles(
    content: bytes, file: str, network: str, unknown: Callable[[str], Diagnostic]
) -> RadioQuantiles:
    """The one-way delays of ``network`` from a CSV file with the columns network, direction and p5_ms to p999_ms.

    Raises ScenarioError with the CSV file's own lines and columns; for a network that the file does not hold, with the
    diagnostic that ``unknown`` makes of a message.
    """
    table = _Table(content, file, ("network", "direction", *QUANTILES_PPM))
    rows = [row for row in table.rows if table.cell(row, "network") == network]
    if not rows:
        names = list(dict.fromkeys(table.cell(row, "network") for row in table.rows))
        raise ScenarioError([unknown(f"the file has no network {show(network)}; {expected(network, names)}")])
    ways = {}
    for way in ("uplink", "downlink"):
        named = [row for row in rows if table.cell(row, "direction") in (way, f"{way} one-way")]
        if len(named) != 1:
            count = f"{len(named)} rows" if named else "no row"
            raise ScenarioError(
                [unknown(f"the file has {count} '{way} one-way' for {show(network)}; expected one, of one-way delays")]
            )
        ways[way] = _quantiles(table, named[0])
    table.finish()
    return RadioQuantiles(uplink=ways["uplink"], downlink=ways["downlink"])


def _quantiles(table: _Table, row: _Row) -> DelayQuantiles:
    points: list[tuple[int, int]] = []
    for column, share_ppm in QUANTILES_PPM.items():
        delay_ns = table.number(row, column, _NS_PER_MS, "4.3")
        if points and delay_ns < points[-1][1] and not table.diagnostics:
            table.note_at(row, column, f"{column} is less than the quantile before; expected growing delays")
        points.append((share_ppm, delay_ns))
    return DelayQuantiles(tuple(points))
