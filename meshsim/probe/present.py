"""Results of the probe as a JSON document, as a table for people, and as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshsim.analysis.numbers import NOTHING, show_duration
from meshsim.analysis.palette import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILLION
from meshsim.probe.case import QUANTILES, ProbeResult, Times
from meshsim.scenario.errors import InfrastructureError
from meshsim.scenario.units import format_bandwidth, format_duration

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

PARTS: dict[str, tuple[str, str]] = {
    "network": ("network_ns", BLUE),
    "loss recovery": ("loss_recovery_ns", GREY),
    "client CPU": ("critical_client_ns", ORANGE),
    "server CPU": ("critical_server_ns", PURPLE),
}
"""Where the mean time to established goes: name to field and colour."""

LABEL_COLUMNS, CASE_COLUMNS = 22, 20
PICTURE_SUFFIXES = (".png", ".svg", ".pdf")


def probe_document(results: Sequence[ProbeResult]) -> dict[str, Any]:
    """Return the JSON document: ``results``, one entry for each case, times in milliseconds."""
    return {"results": [_entry(result) for result in results]}


def _entry(result: ProbeResult) -> dict[str, Any]:
    case = result.case
    return {
        "group": case.group,
        "key": case.key,
        "chain": case.chain,
        "mutual": case.mutual,
        "resumed": case.resumed,
        "rtt_ms": _ms(case.round_trip_ns),
        "loss_percent": round(100 * case.loss, 6),
        "bandwidth_bps": case.bandwidth_bps,
        "cpu": case.cpu,
        "server_cpu": result.server_cpu,
        "linear_syn_timeouts": case.linear_syn_timeouts,
        "samples": case.samples,
        "seed": case.seed,
        "failed": result.established.failed,
        "established_ms": _quantiles(result.established),
        "established_mean_ms": _ms(result.established.mean_ns),
        "first_byte_ms": _quantiles(result.first_byte),
        "first_byte_mean_ms": _ms(result.first_byte.mean_ns),
        "bytes_sent": result.bytes_sent,
        "bytes_received": result.bytes_received,
        "flights": [
            {"sender": flight.sender, "content": flight.content, "bytes": flight.size_bytes}
            for flight in result.flights
        ],
        "request_bytes": result.request_bytes,
        "response_bytes": result.response_bytes,
        "round_trips": result.round_trips,
        "cpu_client_ms": _ms(result.cpu_client_ns),
        "cpu_server_ms": _ms(result.cpu_server_ns),
        "where_ms": {name.replace(" ", "_").lower(): _ms(getattr(result, field)) for name, (field, _) in PARTS.items()},
    }


def _ms(value_ns: int | None) -> float | None:
    return None if value_ns is None else round(value_ns / 1_000_000, 6)


def _quantiles(times: Times) -> dict[str, float | None]:
    return {name: _ms(times.quantile_ns(percent)) for name, percent in QUANTILES.items()}


# For people


def draw_probe(console: Console, results: Sequence[ProbeResult]) -> None:
    """Draw the cases side by side, as many as the width holds."""
    first = results[0].case
    loss = f"{100 * first.loss:g} % lost each way" if first.loss else "nothing lost"
    console.print(
        f"round trip {format_duration(first.round_trip_ns)}, {format_bandwidth(first.bandwidth_bps)}, {loss}, "
        f"{first.samples} samples, seed {first.seed}"
    )
    per_table = max(1, (console.width - LABEL_COLUMNS) // CASE_COLUMNS)
    for start in range(0, len(results), per_table):
        console.print()
        console.print(_table(results[start : start + per_table]))


def _table(results: Sequence[ProbeResult]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("", width=LABEL_COLUMNS - 2)
    for result in results:
        table.add_column(result.case.group, width=CASE_COLUMNS - 2, overflow="fold")
    for label, cell in _rows(results):
        if cell is None:
            table.add_row(Text(label, "bold"))
        else:
            table.add_row(label, *(cell(result) for result in results))
    return table


Cell = Callable[[ProbeResult], str]


def _rows(results: Sequence[ProbeResult]) -> list[tuple[str, Cell | None]]:
    chained = any(result.case.chain > 1 for result in results)
    rows: list[tuple[str, Cell | None]] = [
        ("key type", lambda result: result.case.key),
        *([("certificates sent", lambda result: str(result.case.chain))] if chained else []),
        ("handshake", _kind),
        ("authenticated", lambda result: "both ends" if result.case.mutual else "the server"),
        ("client CPU", lambda result: result.case.cpu),
        ("server CPU", lambda result: result.server_cpu),
        ("established after", None),
    ]
    rows += [(f"  {name}", _quantile_cell("established", percent)) for name, percent in QUANTILES.items()]
    rows.append(("first byte after", None))
    rows += [(f"  {name}", _quantile_cell("first_byte", percent)) for name, percent in QUANTILES.items()]
    if any(result.established.failed or result.first_byte.failed for result in results):
        rows.append(("  failed", lambda result: f"{result.first_byte.failed} of {result.case.samples}"))
    rows.append(("where it goes (mean)", None))
    rows += [(f"  {name}", _part_cell(field)) for name, (field, _) in PARTS.items()]
    rows += [
        ("handshake", None),
        ("  round trips", lambda result: str(result.round_trips)),
        ("  sent", lambda result: f"{result.bytes_sent} B"),
        ("  received", lambda result: f"{result.bytes_received} B"),
        ("  flights up", lambda result: _sizes(result, "client")),
        ("  flights down", lambda result: _sizes(result, "server")),
        ("  client computes", lambda result: show_duration(result.cpu_client_ns)),
        ("  server computes", lambda result: show_duration(result.cpu_server_ns)),
        ("after it", None),
        ("  request", lambda result: f"{result.request_bytes} B"),
        ("  response", lambda result: f"{result.response_bytes} B"),
    ]
    return rows


def _kind(result: ProbeResult) -> str:
    return ", ".join(("resumed" if result.case.resumed else "full", *(["mutual"] if result.case.mutual else [])))


def _sizes(result: ProbeResult, sender: str) -> str:
    return " + ".join(str(flight.size_bytes) for flight in result.flights if flight.sender == sender)


def _quantile_cell(field: str, percent: int) -> Cell:
    def cell(result: ProbeResult) -> str:
        value_ns = getattr(result, field).quantile_ns(percent)
        return NOTHING if value_ns is None else show_duration(value_ns)

    return cell


def _part_cell(field: str) -> Cell:
    return lambda result: show_duration(getattr(result, field))


# As a picture


def picture_mistakes(path: Path) -> list[str]:
    """Tell why no picture can be written to a file."""
    if path.suffix not in PICTURE_SUFFIXES:
        return [f"{path} is no name for a picture; expected one that ends in {', '.join(PICTURE_SUFFIXES)}"]
    if not path.parent.is_dir():
        return [f"{path.parent} is not a folder; expected one, to write {path.name} into"]
    return []


def write_picture(results: Sequence[ProbeResult], path: Path) -> None:
    """Write the picture; raises InfrastructureError if the file cannot be written."""
    figure = draw_picture(results)
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise InfrastructureError(f"{path} cannot be written: {error.strerror}") from error


def draw_picture(results: Sequence[ProbeResult]) -> Figure:
    """Draw the distribution of the time to established, and where its mean goes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogFormatter

    chained = any(result.case.chain > 1 for result in results)
    above_in, below_in = max(3.0, 1 + 0.26 * len(results)), 0.6 + 0.42 * len(results)
    figure = Figure(figsize=(12, above_in + below_in), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, height_ratios=(above_in, below_in))
    colours = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
    for index, result in enumerate(results):
        times_ms = [value_ns / 1e6 for value_ns in result.established.sorted_ns]
        longer = [1 - rank / result.case.samples for rank in range(len(times_ms))]
        style = ("-", "--", ":")[index // len(colours) % 3]
        above.plot(
            times_ms,
            longer,
            style,
            color=colours[index % len(colours)],
            label=_name(result, chained),
            drawstyle="steps-pre",
        )
    above.set_xscale("log")
    above.set_yscale("log")
    above.xaxis.set_major_formatter(lambda value, _position: f"{value:g}")
    above.xaxis.set_minor_formatter(LogFormatter())  # speaks up where there is less than a decade
    above.yaxis.set_major_formatter(lambda value, _position: f"{100 * value:g} %")
    above.set_xlabel("from connect to established (ms)")
    above.set_ylabel("share that takes longer")
    above.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))  # beside: curves go everywhere
    places = range(len(results))
    left = [0.0] * len(results)
    for part, (field, colour) in PARTS.items():
        widths = [getattr(result, field) / 1e6 for result in results]
        below.barh(places, widths, left=left, color=colour, label=part, edgecolor=INK, linewidth=0.3)
        left = [before + width for before, width in zip(left, widths, strict=True)]
    below.set_yticks(places, [_name(result, chained).replace(", ", "\n", 1) for result in results])
    below.invert_yaxis()
    below.set_xlabel("mean (ms)")
    below.legend(frameon=False, ncols=len(PARTS), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _name(result: ProbeResult, chained: bool) -> str:
    chain = f", chain of {result.case.chain}" if chained else ""
    return f"{result.case.group}, {result.case.key}, {_kind(result)}{chain}"
