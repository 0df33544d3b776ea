"""The colours of pictures and pages."""

from __future__ import annotations

INK, FAINT, GRID, PAPER = "#16181d", "#5b616e", "#d9dce2", "#fefefe"

# Okabe and Ito, "Color Universal Design" (2008): eight colours that stay apart with any colour vision.
ORANGE, SKY, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
BLUE, VERMILLION, PURPLE, GREY = "#0072b2", "#d55e00", "#cc79a7", "#9aa0aa"

VARIABLES = {
    INK: "ink",
    FAINT: "faint",
    GRID: "grid",
    PAPER: "paper",
    ORANGE: "orange",
    SKY: "sky",
    GREEN: "green",
    YELLOW: "yellow",
    BLUE: "blue",
    VERMILLION: "vermillion",
    PURPLE: "purple",
    GREY: "grey",
}
"""Colours by the CSS custom property that an inline SVG names instead, so that a page can be dark."""
