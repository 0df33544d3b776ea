"""Writes docs/studies.md from the studies in scenarios/studies/ and their baselines.

    python docs/studies.py            write the page from the baselines as they are
    python docs/studies.py NAME...    run these studies first, and renew their baselines

A study is a scenario: its description says what it shows, its expectations what must come out. docs/studies.yaml has
what several studies show together: a title, a question and a reading for all whose names begin alike. Studies that it
does not name stand at the end by themselves.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import meshsim
from meshsim.experiment import load
from meshsim.results.folder import SUMMARY
from meshsim.scenario.yaml_text import parse_yaml

ROOT = Path(__file__).resolve().parent.parent
STUDIES = ROOT / "scenarios" / "studies"
BASELINES = ROOT / "results" / "baselines" / "studies"
PAGE = ROOT / "docs" / "studies.md"
TEXTS = ROOT / "docs" / "studies.yaml"
WIDTH = 132


def families() -> list[dict[str, Any]]:
    """What docs/studies.yaml says: ``begins``, ``title``, ``question``, ``reading`` of each family of studies."""
    value, _ = parse_yaml(TEXTS.read_text(encoding="utf-8"), TEXTS.name)
    return [dict(family) for family in value["families"]]


def renew(name: str) -> None:
    """Run a study and write its baseline."""
    with tempfile.TemporaryDirectory() as folder:
        run = meshsim.run(STUDIES / f"{name}.yaml", out=Path(folder) / name)
        text = (run.path / SUMMARY).read_text(encoding="utf-8")
    BASELINES.mkdir(parents=True, exist_ok=True)
    (BASELINES / f"{name}.json").write_text(text, encoding="utf-8")


def wrapped(text: str) -> str:
    """A paragraph in lines of the usual width."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return "\n".join([*lines, line])


def passage(path: Path) -> str:
    """What one study shows: its description, and each expectation with what came of it."""
    scenario = load(path).scenario
    summary = json.loads((BASELINES / f"{path.stem}.json").read_text(encoding="utf-8"))
    rows = [
        f"| {verdict['expectation']} | {verdict['measured'].replace(chr(0x202F), ' ')} |".replace("never ", "never: ")
        for verdict in summary["expectations"]
    ]
    head = wrapped(f"[`{path.stem}`](../scenarios/studies/{path.name}): {scenario.description}")
    return "\n".join([head, "", "| Expected | Measured |", "|---|---|", *rows, ""])


def page() -> str:
    """The whole page."""
    paths = sorted(STUDIES.glob("*.yaml"))
    parts = [OPENING]
    told: set[Path] = set()
    for family in families():
        members = [path for path in paths if path.stem.startswith(tuple(family["begins"])) and path not in told]
        told.update(members)
        parts += [f"## {family['title']}", "", wrapped(f"*{family['question'].strip()}*"), ""]
        parts += [passage(path) for path in members]
        parts += [f"{wrapped(text)}\n" for text in family["reading"]]
    others = [path for path in paths if path not in told]
    if others:
        parts += ["## Others", "", *[passage(path) for path in others]]
    return "\n".join(parts).rstrip("\n") + "\n"


OPENING = """\
# What the studies show

<!-- Written by `python docs/studies.py` from scenarios/studies/, their baselines and docs/studies.yaml. -->

A study is a small scenario that asks one question about certificates, keys or policies. Each says in its file what
it is about, and where the bounds of its expectations come from. The figures are of the seed in the file; the tests
run each study again and compare, and run most of them with something changed that has to make them fail. To see one
for yourself:

```console
$ meshsim run scenarios/studies/initial-window.yaml --out runs/initial-window --quiet
runs/initial-window
```

`runs/initial-window/report.html` has the pictures. [A notebook](../notebooks/02-identities.ipynb) looks into some of
them. How certificates live is told [elsewhere](certificates.md), and so are the [defaults of real meshes](presets.md).
"""


def main() -> int:
    """Write the page; run studies before it if some are named."""
    parser = argparse.ArgumentParser(description="Write docs/studies.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="studies to run anew")
    names = [Path(name).stem for name in parser.parse_args().names]
    unknown = [name for name in names if not (STUDIES / f"{name}.yaml").exists()]
    if unknown:
        print(f"studies.py: no study {unknown[0]!r} in scenarios/studies", file=sys.stderr)
        return 2
    for name in names:
        renew(name)
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
