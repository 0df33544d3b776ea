"""Pieces of the report in HTML: tables, sections, pictures, text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:ns|µs|ms|s|min|h|%|/s|B|kB|MB|GB)(?!\w))")
"""The blank between a number and its unit."""
OVER = "\N{HEAVY MULTIPLICATION X} over"
"""Marks a latency over its budget."""
UNDER = f"{OVER[0]} under"
"""Marks a share of packets that is less than the standard asks for."""


def html_figure(picture: Any) -> str:
    """A picture with its title and caption."""
    return (
        f"<figure><h2>{escape(picture.title)}</h2>{picture.to_inline_svg()}"
        f"<figcaption>{html_text(picture.caption)}</figcaption></figure>"
    )


def html_section(title: str, content: str) -> str:
    """A part of the page, with a heading; ``content`` is HTML."""
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def html_table(columns: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> str:
    """A table whose first columns are text and whose other ones are numbers."""

    def cell(index: int, text: str) -> str:
        if index == 0:
            return f"<th scope=row>{escape(text)}</th>"
        kind = " class=text" if index < text_columns else " class=over" if text.endswith((OVER, UNDER)) else ""
        return f"<td{kind}>{escape(text)}</td>"

    head = "".join(
        f"<th scope=col{' class=text' if index < text_columns else ''}>{escape(name)}</th>"
        for index, name in enumerate(columns)
    )
    body = "".join(f"<tr>{''.join(cell(i, text) for i, text in enumerate(row))}</tr>" for row in rows)
    return (
        "<div class=wide tabindex=0 role=group>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def html_text(text: str) -> str:
    """Escaped text in which no line ends between a number and its unit."""
    return BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", escape(text))
