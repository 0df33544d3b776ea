"""The report: one page of HTML that opens from disk, without a network and without scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from html import escape
from typing import Any

from meshsim.analysis.data import RunData
from meshsim.analysis.markup import OVER, UNDER, html_figure, html_section, html_table, html_text
from meshsim.analysis.numbers import NOTHING, show, show_duration, show_share
from meshsim.analysis.page import PAGE_STYLE
from meshsim.analysis.parts import OTHER_EXPLAINED, part_label
from meshsim.analysis.radio_figures import AIR_COLUMNS, AIR_EXPLAINED, air_rows
from meshsim.analysis.reasons import Explained, explained
from meshsim.analysis.verdict import NEARLY_ALL
from meshsim.results.manifest import Manifest
from meshsim.scenario.placed_waypoints import with_waypoints
from meshsim.telemetry.rows import ATTRIBUTION

SLICE_COLUMNS = (
    "requests",
    "answered",
    "p50",
    "p95",
    "p99",
    "budget",
    "in budget",
    "handshakes full",
    "resumed",
    "refused",
    "denied",
)
"""Columns of the table of slices."""


_MARKS = {
    "pass": "\N{HEAVY CHECK MARK}",
    "fail": "\N{HEAVY MULTIPLICATION X}",
    "inconclusive": "?",
    "none": NOTHING,
}


def render_report(run: RunData, summary: Mapping[str, Any], pictures: Sequence[str] | None = None) -> str:
    """The report on ``run`` as HTML; ``summary`` is the content of its ``summary.json``.

    ``pictures`` names those to show, by default all of ``plots.PLOTS``.
    """
    from meshsim.analysis.plots import PLOTS  # matplotlib takes a third of a second to import

    figures = {name: html_figure(PLOTS[name](run)) for name in (PLOTS if pictures is None else pictures)}
    manifest, scenario = run.manifest, run.scenario
    # In the scenario's order, which JSON with sorted keys does not keep.
    slices = {name: summary["slices"][name] for name in scenario.network.slices}
    services = {name: summary["services"][name] for name in with_waypoints(scenario).services}
    word = overall(summary)
    sentence = verdict_sentence(summary)
    description = f"<p class=lead>{escape(scenario.description)}</p>" if scenario.description else ""
    parts = [
        f"<header class='verdict {word}'><p class=badge><span aria-hidden=true>{_MARKS[word]}</span> "
        f"{escape(sentence)}</p><h1>{escape(manifest.scenario)}</h1>{description}"
        f"<p class=facts>{html_text(_headline(summary))}</p>{_budgets(slices)}</header><main>",
        html_section("Expectations", _expectations(summary["expectations"])),
        html_section("Slices", slice_table(slices) + _attribution(slices)),
        *(html_section("Radio part of the delay budget", air) for air in _air(slices)),
        *(html_section(part.title, _explained(part)) for part in explained(summary)),
        "<div class=pictures>",
        *figures.values(),
        "</div>",
        html_section("Faults", _faults(summary["faults"])),
        html_section("Services", _services(services)),
        html_section("Handshakes", _handshakes(summary["handshakes"])),
        html_section("How to get the same bytes again", _reproduce(manifest)),
        "</main>",
    ]
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<meta name=color-scheme content='light dark'><title>{escape(manifest.scenario)}: {escape(sentence)}</title>"
        f"<style>{PAGE_STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def overall(summary: Mapping[str, Any]) -> str:
    """pass, fail or inconclusive; none without expectations."""
    words = {verdict["verdict"] for verdict in summary["expectations"]}
    return next((word for word in ("fail", "inconclusive", "pass") if word in words), "none")


def verdict_sentence(summary: Mapping[str, Any]) -> str:
    """The verdict in one line."""
    words = [verdict["verdict"] for verdict in summary["expectations"]]
    failed, unsure, number = words.count("fail"), words.count("inconclusive"), len(words)
    if failed:
        return f"{failed} of {number} expectations failed" + (f", {unsure} inconclusive" if unsure else "")
    if unsure:
        return f"Inconclusive: {unsure} of {number} expectations could not be measured"
    if number == 1:
        return "The one expectation holds"
    return f"All {number} expectations hold" if number else "No expectations were set"


def summary_table(run: RunData, summary: Mapping[str, Any]) -> str:
    """A run at one glance, for a notebook: verdict, slices, digest."""
    manifest, word = run.manifest, overall(summary)
    slices = {name: summary["slices"][name] for name in run.scenario.network.slices}
    return (
        f"<div><p><b>{escape(manifest.scenario)}</b>, seed {manifest.seed}: {_MARKS[word]} "
        f"{escape(verdict_sentence(summary))}; digest <code>{manifest.digest[:12]}</code></p>"
        f"{slice_table(slices)}</div>"
    )


def slice_table(slices: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of slices as HTML."""
    return html_table(("slice", *SLICE_COLUMNS), ((name, *slice_cells(figures)) for name, figures in slices.items()))


def slice_cells(figures: Mapping[str, Any]) -> list[str]:
    """What the table of slices says about one slice, in the order of ``SLICE_COLUMNS``, for people."""
    return [
        show(figures["requests"], "count"),
        _share(figures["success_rate"]),
        *(_against_budget(figures, name) for name in ("p50", "p95", "p99")),
        show(figures["budget_ns"], "duration"),
        _share(figures["within_budget"]),
        *(show(figures[f"handshakes_{kind}"], "count") for kind in ("full", "resumed", "refused")),
        show(figures["denied"], "count"),
    ]


def _against_budget(figures: Mapping[str, Any], name: str) -> str:
    """A latency, marked if it is over the slice's budget."""
    return show(figures[f"latency_{name}_ns"], "duration") + (f" {OVER}" if is_over(figures, name) else "")


def is_over(figures: Mapping[str, Any], name: str) -> bool:
    """Whether a latency of a slice, ``p50`` to ``max``, is over the slice's budget."""
    latency_ns, budget_ns = figures[f"latency_{name}_ns"], figures["budget_ns"]
    return latency_ns is not None and budget_ns is not None and latency_ns > budget_ns


def budget_sentence(name: str, figures: Mapping[str, Any]) -> str:
    """One slice against its budget, in one sentence."""
    requests, answered = figures["requests"], figures["success_rate"]
    if not requests:
        return f"{name}: no requests."
    if figures["latency_p99_ns"] is None:
        return f"{name}: none of {show(requests, 'count')} requests was answered."
    within = f"{_share(figures['within_budget'])} of {show(requests, 'count')} requests were answered within it"
    relation = "over" if is_over(figures, "p99") else "within"
    p99, budget = (show(figures[key], "duration") for key in ("latency_p99_ns", "budget_ns"))
    few = f" (of the {_share(answered)} that were answered)" if answered < NEARLY_ALL else ""
    return f"{name}: p99 latency {p99}{few} is {relation} the budget of {budget}; {within}."


def _headline(summary: Mapping[str, Any]) -> str:
    totals = summary["totals"]
    shaken = show(totals["handshakes"], "count")
    kills = totals["oom_kills"]
    killed = f" Memory ran out {show(kills, 'count')} time{'' if kills == 1 else 's'}." if kills else ""
    return (
        f"{show(totals['requests'], 'count')} requests in {show_duration(totals['duration_ns'])}, "
        f"{_share(totals['success_rate'])} answered, {_share(totals['within_budget'])} within budget; "
        f"{shaken} TLS handshakes, {show(totals['decisions'], 'count')} policy decisions.{killed}"
    )


def _budgets(slices: Mapping[str, Mapping[str, Any]]) -> str:
    items = (
        f"<li{' class=over' if is_over(figures, 'p99') else ''}>{html_text(budget_sentence(name, figures))}</li>"
        for name, figures in slices.items()
    )
    return f"<ul class=budgets>{''.join(items)}</ul>"


def _attribution(slices: Mapping[str, Mapping[str, Any]]) -> str:
    """The numbers behind the first picture."""
    parts = [column.removesuffix("_ns") for column in ATTRIBUTION]
    rows = (
        (name, text, *(show(figures[key][part], "duration") for part in parts))
        for name, figures in slices.items()
        for key, text in (("attribution_mean_ns", "all, mean"), ("attribution_slowest_ns", "slowest 1 %"))
    )
    table = html_table(("slice", "answered requests", *map(part_label, parts)), rows, text_columns=2)
    return (
        f"<details><summary>Where the latency goes, in numbers</summary>{table}"
        f"<p class=facts>{escape(OTHER_EXPLAINED)}.</p></details>"
    )


def _air(slices: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """How delay budgets were kept on the air; nothing if nobody came by radio."""
    rows = air_rows(slices, f" {UNDER}", f" {OVER}")
    if rows:
        yield html_table(AIR_COLUMNS, rows, text_columns=2) + f"<p class=facts>{html_text(AIR_EXPLAINED)}</p>"


def _expectations(verdicts: Sequence[Mapping[str, Any]]) -> str:
    if not verdicts:
        return "<p>The scenario sets none.</p>"
    items = []
    for verdict in verdicts:
        word = verdict["verdict"]
        reason = f" <span class=reason>({html_text(verdict['reason'])})</span>" if verdict["reason"] else ""
        items.append(
            f"<li class={word}><span class=mark aria-hidden=true>{_MARKS[word]}</span><span class=word>{word}</span> "
            f"<span>{html_text(verdict['expectation'])}: <b>{html_text(verdict['measured'])}</b>{reason}</span></li>"
        )
    return f"<ul class=expectations>{''.join(items)}</ul>"


_TOUCHED = ("packets", "connections", "requests", "certificates", "tokens", "decisions")


def _faults(faults: Sequence[Mapping[str, Any]]) -> str:
    if not faults:
        return "<p>None.</p>"
    return html_table(
        (
            "fault",
            "kind",
            "target",
            "from",
            "to",
            "packets",
            "connections",
            "calls",
            "certificates",
            "tokens",
            "decisions",
            "first failure",
            "all fail",
        ),
        (
            (
                fault["fault_id"],
                fault["kind"],
                fault["target"],
                show_duration(fault["t_start_ns"]),
                show_duration(fault["t_end_ns"]),
                *(show(fault[name], "count") for name in _TOUCHED),
                *(show(fault[f"{name}_failure_ns"], "duration") for name in ("first", "total")),
            )
            for fault in faults
        ),
        text_columns=3,
    )


def _explained(part: Explained) -> str:
    remark = f"<p>{html_text(part.remark)}</p>" if part.remark else ""
    return remark + html_table(part.columns, part.rows, text_columns=len(part.columns) - 1)


def _services(services: Mapping[str, Mapping[str, Any]]) -> str:
    return html_table(
        ("service", "calls", "answered", "p50", "p99", "retries", "denied", "handshakes"),
        (
            (
                name,
                show(figures["calls"], "count"),
                _share(figures["success_rate"]),
                show(figures["call_p50_ns"], "duration"),
                show(figures["call_p99_ns"], "duration"),
                *(show(figures[column], "count") for column in ("retries", "denied", "handshakes")),
            )
            for name, figures in services.items()
        ),
    )


def _handshakes(handshakes: Mapping[str, Any]) -> str:
    return html_table(
        ("kind", "established", "p50", "p99", "client CPU", "server CPU", "sent", "received"),
        (
            (
                kind,
                show(handshakes[kind]["handshakes"], "count"),
                *(show(handshakes[kind][f"duration_{name}_ns"], "duration") for name in ("p50", "p99")),
                *(show(handshakes[kind][f"cpu_{side}_mean_ns"], "duration") for side in ("client", "server")),
                *(show(handshakes[kind][f"bytes_{way}_mean"], "size") for way in ("sent", "received")),
            )
            for kind in ("full", "resumed")
        ),
    )


def _reproduce(manifest: Manifest) -> str:
    versions = ", ".join(f"{escape(name)} {escape(version)}" for name, version in sorted(manifest.versions.items()))
    rows = {
        "digest": f"<code>{manifest.digest}</code>",
        "command": "<code>meshsim run scenario.yaml</code> in this folder",
        "fidelity": f"{html_text(manifest.fidelity)}; every fidelity gives the same digest",
        "scenario": "as run, seed and all defaults filled in, beside this page with the files that it names; "
        f"sha256 <code>{manifest.scenario_sha256}</code>",
        "cost profile": f"{escape(manifest.cost_profile)}, sha256 <code>{escape(manifest.cost_profile_sha256)}</code>",
        "versions": versions,
    }
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{text}</dd>' for name, text in rows.items())}</dl>"


def _share(value: float | None) -> str:
    """A share as the summary keeps it: a float of six digits."""
    if value is None:
        return NOTHING
    return show_share(Fraction(str(value)))
