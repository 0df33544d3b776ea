"""docs/manifests.md: how manifests are read, with every key, made from the table that the readers use."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from meshsim.scenario.manifests.fields import TABLE
from meshsim.scenario.manifests.http_route import RETRY_ON
from meshsim.scenario.manifests.kinds import HANDED_ON, READ, REFUSED, WITHOUT_EFFECT

_INTRODUCTION = Path(__file__).parents[1] / "data" / "manifests.md"

_KINDS = """
## Kinds

| Kind | apiVersion | |
|---|---|---|
"""

_FIELDS = """
## Fields

Every key that may stand in an object that is read. *No effect*: it is read, and the model does not depend on it.
*Refused*: it is known, and it would change something that is not simulated, so it is an error.
"""


def render_markdown() -> str:
    """The whole of docs/manifests.md."""
    return "\n".join([*_lines()]) + "\n"


def _lines() -> Iterator[str]:
    yield _INTRODUCTION.read_text(encoding="utf-8").rstrip("\n")
    for word, outcomes in RETRY_ON.items():
        if outcomes:
            yield f"| `{word}` | {', '.join(outcomes)} |"
    yield "| `502` | failed |"
    yield _KINDS.rstrip("\n")
    for kind, versions in READ.items():
        what = "handed on to the policy engine `istio`" if kind in HANDED_ON else "read"
        yield f"| {kind} | {_versions(versions)} | {what} |"
    for kind, versions in WITHOUT_EFFECT.items():
        yield f"| {kind} | {_versions(versions)} | no effect, not looked at |"
    for kind, (versions, why) in REFUSED.items():
        yield f"| {kind} | {_versions(versions)} | refused: {why} |"
    yield _FIELDS.rstrip("\n")
    for name, fields in TABLE.items():
        if fields.all:
            yield f"\n### {name}\n"
            yield "| Key | What |\n|---|---|"
            for key, what in fields.read.items():
                yield f"| `{key}` | {what} |"
            for key, why in fields.refused.items():
                yield f"| `{key}` | *Refused*: {why} |"
            if fields.without_effect:
                yield f"| {', '.join(f'`{key}`' for key in fields.without_effect)} | *No effect* |"


def _versions(versions: tuple[str, ...]) -> str:
    return ", ".join(f"`{version}`" for version in versions)


if __name__ == "__main__":
    sys.stdout.write(render_markdown())
