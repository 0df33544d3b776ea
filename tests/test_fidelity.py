"""The shipped scenarios give the same digest in fresh processes, whatever the hash seed, at every fidelity."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCENARIOS = sorted(path.name for path in (ROOT / "scenarios").glob("*.yaml"))
BASELINES = ROOT / "results" / "baselines"
VARIANTS = [("sampled", "1"), ("modelled", "0"), ("real", "random")]
PROGRAM = """
import sys
from meshsim.experiment import load
from meshsim.results.content import TableHash, run_digest
from meshsim.results.tables import ParquetSink
from meshsim.telemetry.recorder import Recorder
from meshsim.world.world import World
from pathlib import Path
import tempfile

loaded = load(sys.argv[1], None if len(sys.argv) < 4 else int(sys.argv[3]), sys.argv[2])
with tempfile.TemporaryDirectory() as folder:
    sink = ParquetSink(Path(folder))
    World(loaded, Recorder(sink)).run()
    print(run_digest(sink.close()))
"""


def digest(scenario: str, fidelity: str, hash_seed: str, seed: str = "") -> str:
    """Run a shipped scenario in a process of its own; return its digest."""
    arguments = [str(ROOT / "scenarios" / scenario), fidelity, *([seed] if seed else [])]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_scenarios_are_shipped() -> None:
    """There is something to check."""
    assert len(SCENARIOS) >= 3


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_same_digest_in_every_process(scenario: str) -> None:
    """Fresh processes with other hash seeds, at any fidelity, come to one digest; another seed comes to another."""
    # It is that of the baseline, to which test_scenarios.py comes too, in the process of the tests.
    reference = json.loads((BASELINES / scenario).with_suffix(".json").read_text(encoding="utf-8"))["digest"]
    assert len(reference) == 64
    for fidelity, hash_seed in VARIANTS:
        assert digest(scenario, fidelity, hash_seed) == reference, (fidelity, hash_seed)
    assert digest(scenario, "modelled", "0", "987654321") != reference
