"""docs/validation.md: what was held against what, and what came out."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.validation.claims import FAMILY, LEAST_CHANCE, REPLICATIONS, SEED, T_99, T_JOINT, chance_of
from meshsim.validation.run import Result
from meshsim.validation.section import Section

_INTRODUCTION = f"""\
# Validation

<!-- Written by `meshsim validate --write`; edit meshsim/validation/ instead. -->

Why you may believe a latency that meshsim prints: its parts are held against closed forms, against what others have
measured, and against OpenSSL. Each section is carried out by the parts that simulations use, not by a copy of them.
`meshsim validate` does it all again, and `make test` checks that it comes to this document, byte for byte.

*x ± d, wanted y* is a measured value, how far from the wanted one it may be, and the wanted one. Where theory speaks of
a random quantity, d is half of the 99 % confidence interval, over {REPLICATIONS} independent replications (Student's t)
or over independent draws.

Of a hundred true claims at 99 % one misses, so that is not what decides. All numbers in which chance has a part are
judged together, by intervals {T_JOINT / T_99:.2f} times as wide: so wide that a model without any error would miss one
of {FAMILY}, anywhere, with a probability of 1 % (Bonferroni's inequality). Nothing is drawn a second time. A joint
interval wider than 3 % of the theory, each way, does not count (15 % for the share of rare events, and as gates are
given). Nor may more numbers lie outside of their own 99 % interval than chance puts there once in a thousand times:
that is where many small errors would show. Everything here is drawn from seed {SEED}.
"""


def render_document(result: Result) -> str:
    """The whole document, Markdown. What differs from machine to machine is left out."""
    lines = [_INTRODUCTION, f"{chance_line(result)}\n", "| Section | Name | Criteria | Result |", "|---|---|---|---|"]
    for name, section in result.sections.items():
        lines.append(summary_line(name, section))
    for name, section in result.sections.items():
        lines.append(render_section(name, section))
    return "\n".join(lines) + "\n"


def chance_line(result: Result) -> str:
    """How many numbers are out of the ordinary, and how many would be by chance."""
    compared, outside = result.compared, result.outside
    told = (
        f"Of {compared} such numbers {outside} lie outside of their own 99 % interval; "
        f"by chance it would be {compared / 100:.1f} in the mean."
    )
    return told if chance_of(outside, compared) >= LEAST_CHANCE else f"{told} **That is no chance.**"


def _anchor(title: str) -> str:
    kept = "".join(character for character in title.lower() if character.isalnum() or character in " -_")
    return kept.replace(" ", "-")


def _word(section: Section, passed: bool) -> str:
    if section.measures_host:
        return "measured where you run it"
    return "pass" if passed else "**FAIL**"


def summary_line(name: str, section: Section) -> str:
    """A section's line in the list of all."""
    link = f"[{section.title}](#{_anchor(section.title)})"
    return f"| {link} | `{name}` | {len(section.criteria)} | {_word(section, section.passed)} |"


def render_section(name: str, section: Section) -> str:
    """One section of the document."""
    return "\n".join(_lines(name, section))


def _lines(name: str, section: Section) -> Iterator[str]:
    yield f"\n## {section.title}\n\n`meshsim validate --only {name}`\n\n{section.about.strip()}\n"
    yield "| What must hold | Found | Result |"
    yield "|---|---|---|"
    for criterion in section.criteria:
        found = "" if section.measures_host else criterion.found
        yield f"| {criterion.text} | {found} | {_word(section, criterion.passed)} |"
    if section.columns and not section.measures_host:
        yield f"\n| {' | '.join(section.columns)} |"
        yield "|---" * len(section.columns) + "|"
        for row in section.rows:
            yield f"| {' | '.join(row)} |"
