"""What a YAML parser's complaints mean, in words for someone who edits a file."""

from __future__ import annotations

import re

_PLAIN = (
    (r"found character '\\t'", "a tab stands where only spaces may; expected spaces for indentation"),
    (r"found character '(.)' that cannot start", "a value begins with {0}, which YAML reserves; expected it in quotes"),
    (
        r"mapping values are not allowed here",
        "a colon makes a key here, where none can be; expected a new line with matching indentation, or quotes",
    ),
    (r"could not find expected ':'", "a line is neither a key nor a value; expected 'key: value'"),
    (r"found unexpected end of stream", "a quote is never closed; expected a closing quote"),
    (r"found unexpected document separator", "a quote is not closed before '---' or '...'; expected a closing quote"),
    (
        r"expected ',' or '(.)'",
        "the list or mapping in brackets from line {opened} has an error here; expected ',' or '{0}'",
    ),
    (
        r"expected <block end>",
        "the indentation does not fit the lines before (block from line {opened}); expected it to",
    ),
    (r"expected the node content", "a value is missing here; expected one before this"),
    (
        r"found unknown escape character",
        "an unknown escape stands in double quotes; expected one of YAML's, or single quotes",
    ),
    (r"expected escape sequence", "an escape in double quotes is cut short; expected hexadecimal digits"),
    (r"expected '<document start>'", "something follows the end of the document; expected nothing more"),
    (
        r"sequence entries are not allowed here",
        "a list entry '-' stands where none can be; expected it on a line of its own",
    ),
    (r"expected alphabetic or numeric character", "an anchor (&) or alias (*) has no name; expected one, or quotes"),
)


def begins_before(problem: str) -> bool:
    """Whether a problem is found long after the place that has to be mended, where its context begins."""
    return bool(re.search(r"found unexpected (end of stream|document separator)|could not find expected ':'", problem))


def plain_problem(problem: str, context: str, opened: int) -> str:
    """One line for a parser's ``problem`` found while ``context``, which began at line ``opened``."""
    for pattern, message in _PLAIN:
        match = re.search(pattern, problem)
        if match:
            return message.format(*match.groups(), opened=opened)
    found = re.sub(r"\s+", " ", f"{problem} {context}").strip()[:80]
    return f"this is not well-formed YAML ({found}); expected YAML 1.2"
