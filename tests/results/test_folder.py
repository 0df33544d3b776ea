"""Run folders: whole or not there."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from meshsim.results import tables
from meshsim.results.buffers import GROUP_ROWS
from meshsim.results.folder import RunFolder
from meshsim.results.manifest import RunFacts, stable_json
from meshsim.results.partial import PREFIX
from meshsim.results.stored import list_runs, open_run_folder
from meshsim.results.tables import table_file
from meshsim.scenario.errors import InfrastructureError, UsageError
from meshsim.telemetry.rows import TABLES

Rows = Callable[..., list[msgspec.Struct]]


def _write_run(folder: RunFolder, facts: RunFacts, rows: dict[str, list[msgspec.Struct]]) -> Path:
    with folder:
        for table, batch in rows.items():
            folder.sink.write(table, batch)
        folder.seal(facts, "scenario: hello-mesh\n")
        return folder.finish({"requests": 3}, "<!doctype html>")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_finished_run_is_filed_under_its_scenario(facts: RunFacts, random_rows: Rows, tmp_path: Path) -> None:
    """Without a folder of its own a run goes to results/<scenario>/<run id>, whole and verifiable."""
    run_dir = _write_run(
        RunFolder.create(None, "hello-mesh", tmp_path), facts, {"requests": random_rows("requests", 9)}
    )
    assert run_dir.parent == tmp_path / "hello-mesh"
    assert _names(run_dir.parent) == [run_dir.name]
    expected = {
        "manifest.json",
        "scenario.yaml",
        "summary.json",
        "report.html",
        *(f"{table}.parquet" for table in TABLES),
    }
    assert set(_names(run_dir)) == expected
    run = open_run_folder(run_dir)
    assert run.verify() == []
    assert run.manifest.tables["requests"].rows == 9
    assert run.manifest.digest.startswith(run_dir.name.split("-")[1])
    assert run.summary() == {"requests": 3}
    assert run.scenario_text() == "scenario: hello-mesh\n"


def test_equal_runs_have_equal_digests_and_places_of_their_own(
    facts: RunFacts, random_rows: Rows, tmp_path: Path
) -> None:
    """Three equal runs within a second get three folders and one digest."""
    rows = {"calls": random_rows("calls", 5)}
    places = [_write_run(RunFolder.create(None, "hello-mesh", tmp_path), facts, rows) for _ in range(3)]
    assert len(set(places)) == 3
    assert len({run.manifest.digest for run in list_runs(tmp_path)}) == 1
    assert len(list_runs(tmp_path)) == 3


def test_manifest_is_stable_json_and_host_facts_are_outside_the_digest(
    facts: RunFacts, random_rows: Rows, tmp_path: Path
) -> None:
    """The manifest has sorted keys, and another host or another wall time leaves the digest alone."""
    first = _write_run(RunFolder.create(tmp_path / "a", "x"), facts, {"nodes": random_rows("nodes", 4)})
    other = msgspec.structs.replace(facts, host={"wall_s": 99.0}, fidelity="real")
    second = _write_run(RunFolder.create(tmp_path / "b", "x"), other, {"nodes": random_rows("nodes", 4)})
    text = (first / "manifest.json").read_text()
    manifest = json.loads(text)
    assert text == stable_json(manifest)
    assert list(manifest) == sorted(manifest)
    assert manifest["digest"] == json.loads((second / "manifest.json").read_text())["digest"]
    assert manifest["host"] == {"wall_s": 1.25}


def test_a_named_folder_is_exactly_that_folder_and_replaces_an_earlier_run(
    facts: RunFacts, random_rows: Rows, tmp_path: Path
) -> None:
    """`--out DIR` puts the run in DIR, with nothing left of an earlier run in it or beside it."""
    target = tmp_path / "deep" / "out"
    assert _write_run(RunFolder.create(target, "x"), facts, {}) == target
    rows = random_rows("links", 3)
    assert _write_run(RunFolder.create(target, "x"), facts, {"links": rows}) == target
    assert open_run_folder(target).manifest.tables["links"].rows == 3
    assert _names(target.parent) == ["out"]


def test_an_earlier_run_stays_when_its_successor_fails(facts: RunFacts, tmp_path: Path) -> None:
    """A run that ends early leaves the folder as it was."""
    target = _write_run(RunFolder.create(tmp_path / "out", "x"), facts, {})
    digest = open_run_folder(target).manifest.digest
    with pytest.raises(KeyboardInterrupt), RunFolder.create(target, "x"):
        raise KeyboardInterrupt
    assert open_run_folder(target).manifest.digest == digest
    assert _names(tmp_path) == ["out"]


@pytest.mark.parametrize("exchange", [True, False])
def test_replacement_works_without_the_system_call_too(
    exchange: bool, facts: RunFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where folders cannot be exchanged in one step, two renames do."""
    if not exchange:
        monkeypatch.setattr("meshsim.results.partial._exchange", lambda first, second: False)
    target = tmp_path / "out"
    for _ in range(2):
        _write_run(RunFolder.create(target, "x"), facts, {})
    assert open_run_folder(target).verify() == []
    assert _names(tmp_path) == ["out"]


def test_a_folder_of_anything_else_is_never_replaced(tmp_path: Path) -> None:
    """A folder with foreign files, or a file, in the place of the run is the user's mistake and stays."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="no run"):
        RunFolder.create(tmp_path / "precious", "x")
    with pytest.raises(UsageError, match="is a file"):
        RunFolder.create(tmp_path / "precious" / "thesis.tex", "x")
    assert _names(tmp_path) == ["precious"]


@pytest.mark.parametrize("foreign", ["notes.txt", "policies/mine.cedar", "empty/"])
def test_what_the_user_put_beside_an_earlier_run_is_never_removed(
    foreign: str, facts: RunFacts, tmp_path: Path
) -> None:
    """A file or folder that is not the run's own keeps the run from being replaced."""
    target = tmp_path / "out"
    named = msgspec.structs.replace(facts, inputs={"policies/x.cedar": ""})

    def write() -> None:
        with RunFolder.create(target, "x") as folder:
            folder.add_input("policies/x.cedar", b"permit")
            folder.seal(named, "scenario: x\n")
            folder.finish({}, "")

    def put() -> None:
        place = target / foreign
        place.parent.mkdir(exist_ok=True)
        place.mkdir() if foreign.endswith("/") else place.write_text("precious")

    write()
    write()
    put()
    with pytest.raises(UsageError, match=f"more than an earlier run: {foreign}"):
        write()
    assert (target / foreign).exists()
    assert open_run_folder(target).verify() == []


def test_a_manifest_of_something_else_is_no_run(tmp_path: Path) -> None:
    """Other tools write a manifest.json too: such a folder is not replaced."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "manifest.json").write_text('{"name": "site"}')
    with pytest.raises(UsageError, match=r"manifest\.json that is not a run's"):
        RunFolder.create(tmp_path / "site", "x")
    assert _names(tmp_path / "site") == ["manifest.json"]


def test_an_unwritable_target_is_one_line(tmp_path: Path) -> None:
    """A file in the place of a parent folder is an infrastructure failure with a one-line reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match=r"cannot write the run to .*: ") as caught:
        RunFolder.create(None, "x", tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_one_line_and_leaves_nothing(
    random_rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC while rows are written is an infrastructure failure, and the partial folder goes."""

    class FullDisk:
        def __init__(self, *args: object, **kwargs: object) -> None:
            pass

        def write_batch(self, batch: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tables.pq, "ParquetWriter", FullDisk)
    with (
        pytest.raises(InfrastructureError, match="No space left on device") as caught,
        RunFolder.create(tmp_path / "out", "x") as folder,
    ):
        folder.sink.write("nodes", random_rows("nodes", GROUP_ROWS))
    assert "\n" not in str(caught.value)
    assert _names(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_parquet_reports_a_full_disk_with_its_number(
    facts: RunFacts, random_rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Parquet writer itself, writing to a device that is always full, ends as an infrastructure failure."""
    monkeypatch.setattr(tables, "table_file", lambda folder, table: Path("/dev/full"))
    with pytest.raises(InfrastructureError, match="No space left on device"):
        _write_run(RunFolder.create(tmp_path / "out", "x"), facts, {"nodes": random_rows("nodes", 1000)})
    assert _names(tmp_path) == []


def test_a_folder_that_vanishes_is_an_infrastructure_failure(facts: RunFacts, tmp_path: Path) -> None:
    """Somebody removes the partial folder in mid-run: one line, no run."""
    folder = RunFolder.create(tmp_path / "out", "x")
    folder.seal(facts, "scenario: x\n")
    folder.path.rename(tmp_path / "elsewhere")
    with pytest.raises(InfrastructureError, match="No such file or directory"), folder:
        folder.finish({}, "")
    assert not (tmp_path / "out").exists()


_CHILD = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from meshsim.results.folder import RunFolder
    from meshsim.results.manifest import RunFacts
    from meshsim.telemetry.rows import FaultRow

    facts = RunFacts(
        scenario="x", seed=1, fidelity="real", cost_profile="d", cost_profile_sha256="", versions={}, inputs={},
        host={},
    )
    row = FaultRow("cut", "link-down", "a--b", 1, 2, 3, 1, 1, 1)
    while True:
        print("begun", flush=True)
        with RunFolder.create(Path(sys.argv[1]), "x") as folder:
            folder.sink.write("faults", [row] * 1000)
            folder.seal(facts, "scenario: x\\n")
            folder.finish({"a": 1}, "<!doctype html>" + "x" * 100000)
    """
)


def test_killed_at_any_instant_it_leaves_nothing_that_looks_complete(facts: RunFacts, tmp_path: Path) -> None:
    """Killed at a dozen instants of writing and replacing: what stands in the target is always whole."""
    target = tmp_path / "out"
    for attempt in range(12):
        with subprocess.Popen([sys.executable, "-c", _CHILD, str(target)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for _ in range(attempt + 1):
                child.stdout.readline()
            time.sleep(0.0017 * attempt)
            child.send_signal(signal.SIGKILL)
        assert attempt == 0 or target.exists()
        if target.exists():
            run = open_run_folder(target)
            assert run.verify() == []
            assert run.summary() == {"a": 1}
            assert run.report_path.stat().st_size == 100015
    assert all(name == "out" or name.startswith(PREFIX) for name in _names(tmp_path))
    _write_run(RunFolder.create(target, "x"), facts, {})
    assert _names(tmp_path) == ["out"], "the next run sweeps what the killed ones left"


def test_partial_folders_of_living_runs_are_not_swept(facts: RunFacts, tmp_path: Path) -> None:
    """Two runs at once beside each other both come to their end."""
    with RunFolder.create(None, "x", tmp_path) as first:
        second = _write_run(RunFolder.create(None, "x", tmp_path), facts, {})
        first.seal(facts, "scenario: x\n")
        third = first.finish({}, "")
    assert {second, third} == {run.path for run in list_runs(tmp_path)}


def test_an_unfinished_run_cannot_be_opened(tmp_path: Path, facts: RunFacts) -> None:
    """A partial folder, a folder without manifest, and one with a missing table are named for what they are."""
    with RunFolder.create(None, "x", tmp_path) as folder, pytest.raises(UsageError, match="unfinished"):
        open_run_folder(folder.path)
    with pytest.raises(UsageError, match="no manifest"):
        open_run_folder(tmp_path)
    with pytest.raises(UsageError, match="not a folder"):
        open_run_folder(tmp_path / "nowhere")
    run_dir = _write_run(RunFolder.create(tmp_path / "out", "x"), facts, {})
    table_file(run_dir, "links").unlink()
    with pytest.raises(UsageError, match=r"links\.parquet missing"):
        open_run_folder(run_dir)
    (run_dir / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match="not a manifest"):
        open_run_folder(run_dir)


def test_a_run_of_another_schema_version_is_refused(facts: RunFacts, tmp_path: Path) -> None:
    """A later layout is not misread."""
    run_dir = _write_run(RunFolder.create(tmp_path / "out", "x"), facts, {})
    manifest = json.loads((run_dir / "manifest.json").read_text())
    (run_dir / "manifest.json").write_text(stable_json({**manifest, "schema_version": 99}))
    with pytest.raises(UsageError, match="schema version 99"):
        open_run_folder(run_dir)


def test_verification_finds_a_swapped_value(facts: RunFacts, random_rows: Rows, tmp_path: Path) -> None:
    """A table that was edited after the run, or damaged, does not verify."""
    rows = random_rows("nodes", 20)
    one = _write_run(RunFolder.create(tmp_path / "one", "x"), facts, {"nodes": rows})
    two = _write_run(RunFolder.create(tmp_path / "two", "x"), facts, {"nodes": rows[::-1]})
    table_file(two, "nodes").replace(table_file(one, "nodes"))
    assert open_run_folder(one).verify() == ["nodes has 20 rows, and not the content that the manifest states"]
    table_file(one, "nodes").write_bytes(b"not parquet")
    assert len(open_run_folder(one).verify()) == 1


def test_numbers_that_are_none_never_reach_json() -> None:
    """NaN is not JSON, and is refused rather than written."""
    with pytest.raises(ValueError, match="JSON"):
        stable_json({"rate": float("nan")})


def test_input_files_stand_beside_the_scenario_and_spare_the_folders_own(tmp_path: Path) -> None:
    """A copy of what the scenario names is kept, unless its name is one of the run folder's own."""
    with RunFolder.create(tmp_path / "run", "demo") as folder:
        folder.add_input("data/trace.csv", b"time_s\n0\n")
        assert (folder.path / "data/trace.csv").read_bytes() == b"time_s\n0\n"
        with pytest.raises(UsageError, match=r"requests\.parquet"):
            folder.add_input("requests.parquet", b"")
