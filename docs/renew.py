"""Makes everything anew that runs of the shipped scenarios leave in this repository: ``make renew``.

The baselines in results/baselines/, the picture of the README, the outputs in the documents, the states of a handshake,
the page of the studies (alone, and for one study: ``python docs/studies.py NAME``).
Look at what changed before you commit it: it is what your change did to the results.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import meshsim
from meshsim.results.folder import SUMMARY

ROOT = Path(__file__).resolve().parent.parent
SCENARIOS = ROOT / "scenarios"
CORRIDOR = "v2x-corridor"
DOCUMENTS = (
    "README.md",
    "docs/tutorial.md",
    "docs/findings.md",
    "docs/slices.md",
    "docs/radio.md",
    "docs/policies.md",
    "docs/tokens.md",
    "docs/studies.md",
    "docs/gate.md",
)


def python(*arguments: str | Path) -> int:
    """Run a script of this folder; return its exit code."""
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, check=False).returncode


def main() -> int:
    """Renew all; 1 if a document can't be carried out any more."""
    baselines = ROOT / "results" / "baselines"
    with tempfile.TemporaryDirectory() as folder:
        for scenario in [*sorted(SCENARIOS.glob("*.yaml")), *sorted(SCENARIOS.glob("studies/*.yaml"))]:
            run = meshsim.run(scenario, out=Path(folder) / scenario.stem)
            text = (run.path / SUMMARY).read_text(encoding="utf-8")
            baseline = (baselines / scenario.relative_to(SCENARIOS)).with_suffix(".json")
            baseline.parent.mkdir(parents=True, exist_ok=True)
            baseline.write_text(text, encoding="utf-8")
        status = python("docs/images/draw.py", Path(folder) / CORRIDOR)
    status |= python("docs/tls_states.py")
    status |= python("docs/studies.py")
    status |= python("docs/console.py", "--write", *DOCUMENTS)
    return status


if __name__ == "__main__":
    sys.exit(main())
