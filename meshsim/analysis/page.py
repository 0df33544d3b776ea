"""The style of the report's page: light and dark, from a phone's width up."""

from __future__ import annotations

from meshsim.analysis.palette import VARIABLES

# On dark paper the dark ones of the eight colours are lightened, so that each keeps its contrast and its place.
_DARK = {
    "ink": "#eceef2",
    "faint": "#a9afbb",
    "grid": "#3a404c",
    "paper": "#14171d",
    "sky": "#9ad6fa",
    "blue": "#2e86cf",
    "vermillion": "#f07a2e",
    "green": "#1fbf92",
    "grey": "#7d8492",
}


def _properties(colours: dict[str, str]) -> str:
    return ";".join(f"--{name}:{colour}" for name, colour in colours.items())


PAGE_STYLE = f"""
:root{{{_properties({name: colour for colour, name in VARIABLES.items()})};
--font:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;--good:#00704f;--bad:#b34700;--unsure:#6b5a00}}
@media(prefers-color-scheme:dark){{:root{{{_properties(_DARK)};--good:#3ddba6;--bad:#ff9b5c;--unsure:#f0e442}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 var(--font);-webkit-text-size-adjust:100%}}
header,main{{max-width:76rem;margin:0 auto;padding:0 1rem}}
header{{padding-top:1.6rem}}
h1{{font-size:1.9rem;line-height:1.15;margin:.5rem 0 .3rem;overflow-wrap:anywhere}}
h2{{font-size:1.1rem;margin:0 0 .5rem}}
p{{margin:.3rem 0}}
.lead{{max-width:46rem}}
.budgets{{margin:.4rem 0;padding-left:1.1rem;max-width:46rem}}
td.over{{color:var(--bad);font-weight:600}}
.facts{{color:var(--faint);max-width:46rem}}
.badge{{display:inline-block;margin:0;padding:.3rem .85rem;border-radius:1rem;border:2px solid;font-weight:600}}
.pass .badge,.pass .mark,.pass .word{{color:var(--good)}}
.fail .badge,.fail .mark,.fail .word{{color:var(--bad)}}
.inconclusive .badge,.inconclusive .mark,.inconclusive .word{{color:var(--unsure)}}
.none .badge{{color:var(--faint)}}
section{{margin:1.9rem 0}}
.expectations{{list-style:none;margin:0;padding:0;display:grid;gap:.35rem}}
.expectations li{{display:grid;grid-template-columns:1.3rem 7.4rem 1fr;gap:.2rem .4rem;align-items:baseline}}
.mark,.word{{font-weight:700}}
.reason{{color:var(--faint)}}
.pictures{{columns:2 30rem;column-gap:2.4rem}}
figure{{break-inside:avoid;padding-bottom:1.9rem}}
figure{{margin:0}}
figure svg{{display:block;width:100%;height:auto}}
figcaption{{color:var(--faint);font-size:.92rem;margin-top:.4rem}}
.wide{{overflow-x:auto}}
table{{border-collapse:collapse;font-variant-numeric:tabular-nums}}
th,td{{padding:.28rem .75rem .28rem 0;text-align:right;white-space:nowrap;border-bottom:1px solid var(--grid)}}
thead th{{color:var(--faint);font-weight:500;font-size:.92rem;vertical-align:bottom}}
tbody th{{text-align:left;font-weight:600;position:sticky;left:0;background:var(--paper)}}
thead th:first-child,.text{{text-align:left}}
dl{{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;margin:0}}
dt{{color:var(--faint)}}
dd{{margin:0;min-width:0;overflow-wrap:anywhere}}
code{{font-family:ui-monospace,"Cascadia Mono",Menlo,Consolas,monospace;font-size:.9em}}
@media(max-width:34rem){{
body{{font-size:15px}}
.expectations li{{grid-template-columns:1.3rem 1fr;}}
.expectations .word{{position:absolute;clip-path:inset(50%)}}
dl{{grid-template-columns:1fr;gap:0}}dd{{margin-bottom:.5rem}}
td.text{{white-space:normal}}
}}
summary{{cursor:pointer;color:var(--faint)}}
details{{margin-top:.8rem}}
"""
"""The page's style sheet."""
