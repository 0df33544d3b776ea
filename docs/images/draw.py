"""Draws the picture of the README from a run of the corridor: ``python docs/images/draw.py RUN_DIR``.

Writes it twice beside this file, for light and for dark pages. The same run gives the same bytes.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import pandas as pd
from matplotlib.patches import Patch

import meshsim
from meshsim.analysis.page import PAGE_STYLE
from meshsim.analysis.palette import INK
from meshsim.analysis.pictures import WIDTH_IN, Picture, axes_at, house_style, write
from meshsim.analysis.plots import PARTS

SLICE = "v2x"
LEAST_MS = 0.4
"""A part that is less than this in every bar goes into `other`."""


def groups(run: meshsim.Run) -> dict[str, pd.DataFrame]:
    """Return the answered requests of the slice by what they found: a connection, or none."""
    table = run.requests[(run.requests["slice"] == SLICE) & (run.requests.outcome == "ok")]
    first_calls = run.calls[run.calls.parent_id == 0].set_index("request_id").connection_id
    resumed = table.request_id.map(first_calls).map(run.handshakes.set_index("connection_id").resumed).eq(True)
    cold = table.tcp_ns + table.handshake_ns > 0
    return {
        "standing": table[~cold],
        "new, full handshake": table[cold & ~resumed],
        "new, resumed": table[cold & resumed],
    }


def draw(run: meshsim.Run) -> Picture:
    """Return mean latency by cause for each group, against the budget. Raises UsageError without answered requests."""
    rows = {name: table for name, table in groups(run).items() if len(table)}
    if not rows:
        raise meshsim.UsageError(f"no answered requests of slice {SLICE} in {run.path}; expected a run of the corridor")
    means_ms = {name: {part: table[f"{part}_ns"].mean() / 1e6 for part in PARTS} for name, table in rows.items()}
    shown = [part for part in PARTS if part != "other" and any(row[part] >= LEAST_MS for row in means_ms.values())]
    budget_ms = run.requests.budget_ns[run.requests["slice"] == SLICE].max() / 1e6
    height_in = 0.85 + 0.36 * len(rows) + 0.5
    with house_style():
        picture = Picture("Mean latency of a hazard report, by the connection it finds", height_in)
        write(picture, 0.02, 0.2, picture.title, fontweight="bold")
        axes = axes_at(picture, 2.05, 0.52, WIDTH_IN - 2.25, 0.36 * len(rows))
        for place, row in enumerate(means_ms.values()):
            left = 0.0
            rest = sum(value for part, value in row.items() if part not in shown)
            for part, value in [*((part, row[part]) for part in shown), ("other", rest)]:
                colour, hatch = PARTS[part]
                axes.barh(place, value, left=left, height=0.7, color=colour, hatch=hatch, linewidth=0)
                left += value
        axes.set_yticks(range(len(rows)), [f"{name} ({f'{len(rows[name]):,}'.replace(',', ' ')})" for name in rows])
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(0, 1.02 * max(budget_ms, *(sum(row.values()) for row in means_ms.values())))
        axes.locator_params(axis="x", nbins=4)
        axes.xaxis.set_major_formatter("{x:g} ms")
        axes.axvline(budget_ms, color=INK, linewidth=1.6, linestyle=(0, (4, 1.5)))
        axes.text(budget_ms, -0.62, f"budget {budget_ms:g} ms", ha="center", va="bottom", color=INK)
        handles = [Patch(facecolor=PARTS[part][0], hatch=PARTS[part][1], label=part) for part in [*shown, "other"]]
        picture.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.01, 0.05 / height_in), ncols=5)
    return picture


def themes(picture: Picture) -> dict[str, str]:
    """Return the picture as SVG for light and for dark pages, with the colours of the report."""
    svg = picture.to_inline_svg().replace("var(--font)", "system-ui, -apple-system, 'Segoe UI', sans-serif")
    light, dark = (
        dict(entry.split(":", 1) for entry in rules.replace("--", "").split(";"))
        for rules in re.findall(r":root\{([^}]*)\}", PAGE_STYLE)
    )
    return {
        theme: re.sub(r"var\(--(\w+)\)", lambda match, chosen=colours: chosen[match[1]], svg) + "\n"
        for theme, colours in (("light", light), ("dark", {**light, **dark}))
    }


def main() -> int:
    """Draw the run that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description="Draws the picture of the README from a run of the corridor.")
    parser.add_argument("run_dir", metavar="RUN_DIR", help="folder of a finished run of scenarios/v2x-corridor.yaml")
    options = parser.parse_args()
    try:
        pictures = themes(draw(meshsim.open_run(options.run_dir)))
    except meshsim.MeshsimError as error:
        print(f"draw.py: {error}", file=sys.stderr)
        return error.exit_code
    for theme, text in pictures.items():
        Path(__file__).with_name(f"corridor-{theme}.svg").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
