"""Writing a run folder: aside under a hidden name, then renamed when it is complete."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import pyarrow as pa

from meshsim.results.manifest import Manifest, RunFacts, make_manifest, stable_json
from meshsim.results.partial import PartialFolder
from meshsim.results.tables import ParquetSink
from meshsim.scenario.errors import InfrastructureError, UsageError
from meshsim.telemetry.rows import TABLES

RESULTS_ROOT = Path("results")
"""Where runs go when no folder is asked for, below the working directory."""

MANIFEST, SCENARIO, SUMMARY, REPORT = "manifest.json", "scenario.yaml", "summary.json", "report.html"

_RESERVED = frozenset((MANIFEST, SCENARIO, SUMMARY, REPORT, *(f"{table}.parquet" for table in TABLES)))

_DIGEST_DIGITS = 8

_MOST_LISTED = 3
"""Foreign files that a message names."""


class RunFolder:
    """One run on its way to disk. Use as a context manager: what is not finished by its end is removed.

    >>> with RunFolder.create(None, "hello-mesh") as folder:      # doctest: +SKIP
    ...     recorder = Recorder(folder.sink)
    ...     ...                                                   # run the world
    ...     recorder.flush()
    ...     manifest = folder.seal(facts, scenario_yaml)          # the tables can be read now, in folder.path
    ...     run_dir = folder.finish(summary, report)

    Every method raises InfrastructureError, with one line, when the disk is full or the folder cannot be written.
    """

    def __init__(self, partial: PartialFolder, target: Path, *, named: bool) -> None:
        self._partial = partial
        self._target = target
        self._named = named
        self._sink = ParquetSink(partial.path)
        self._manifest: Manifest | None = None
        self.sink = _GuardedSink(self._sink, target)
        """Where the recorder hands its batches."""

    @classmethod
    def create(cls, out_dir: Path | None, scenario_name: str, results_root: Path = RESULTS_ROOT) -> RunFolder:
        """Begin a run folder: ``out_dir`` itself, or a new ``<results_root>/<scenario_name>/<run id>`` if it is None.

        Remains of runs whose process is gone are swept from beside it. An earlier run in ``out_dir`` is replaced when
        this one is complete. Raises UsageError if ``out_dir`` is a file, or a folder with anything in it that is not
        the earlier run's own.
        """
        named = out_dir is not None
        target = Path(os.path.abspath(out_dir)) if out_dir is not None else results_root.absolute() / scenario_name
        if named:
            _check_replaceable(target)
        parent = target.parent if named else target
        with _infrastructure(target):
            parent.mkdir(parents=True, exist_ok=True)
            return cls(PartialFolder.create(parent), target, named=named)

    @property
    def path(self) -> Path:
        """Where the run's files stand until it is finished."""
        return self._partial.path

    def add_input(self, name: str, content: bytes) -> None:
        """Keep a copy of a file that the scenario names, so that the folder's own scenario.yaml can be run again.

        Raises UsageError for a name that a run folder needs for itself.
        """
        if name in _RESERVED:
            raise UsageError(
                f"the scenario names a file {name!r}, as a run folder's own is called; expected another name"
            )
        with _infrastructure(self._target):
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def seal(self, facts: RunFacts, scenario_yaml: str) -> Manifest:
        """Close the tables and write the resolved scenario; the rows can be read from ``path`` afterwards."""
        with _infrastructure(self._target):
            self._manifest = make_manifest(facts, scenario_yaml, self._sink.close())
            self._write(SCENARIO, scenario_yaml)
        return self._manifest

    def finish(self, summary: Any, report: str) -> Path:
        """Write summary, report and manifest and give the folder its name; return where it stands now."""
        assert self._manifest is not None, "a run folder is sealed before it is finished"
        with _infrastructure(self._target):
            self._write(SUMMARY, stable_json(summary))
            self._write(REPORT, report)
            self._write(MANIFEST, stable_json(self._manifest))
            return self._publish(self._manifest.digest)

    def discard(self) -> None:
        """Remove what was written; nothing happens after ``finish``."""
        self._sink.abandon()
        self._partial.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.discard()

    def _write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text, encoding="utf-8")

    def _publish(self, digest: str) -> Path:
        if self._named:
            _check_replaceable(self._target)
            return self._partial.publish(self._target)
        run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{digest[:_DIGEST_DIGITS]}"
        number = 1
        while True:  # equal runs within one second want the same name
            place = self._target / (run_id if number == 1 else f"{run_id}-{number}")
            try:
                return self._partial.publish_new(place)
            except FileExistsError:
                number += 1


class _GuardedSink:
    """A sink whose disk errors are InfrastructureErrors."""

    def __init__(self, sink: ParquetSink, target: Path) -> None:
        self._sink = sink
        self._target = target

    def write(self, table: str, rows: list[msgspec.Struct]) -> None:
        """Write one batch."""
        with _infrastructure(self._target):
            self._sink.write(table, rows)


@contextmanager
def _infrastructure(target: Path) -> Iterator[None]:
    """Turn what the disk says into one line for the user."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number else (str(error).splitlines() or [type(error).__name__])[0]
        raise InfrastructureError(f"cannot write the run to {target}: {reason}") from error


def _check_replaceable(target: Path) -> None:
    """Only a run with nothing beside it, or an empty folder, may be replaced by a run."""
    try:
        names = os.listdir(target)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise UsageError(f"{target} is a file; expected a folder for the run, or a new name") from None
    except OSError as error:
        raise InfrastructureError(f"cannot read {target}: {os.strerror(error.errno or errno.EIO)}") from error
    if names and MANIFEST not in names:
        raise UsageError(f"{target} holds files that are no run; expected a new or empty folder, or an earlier run")
    foreign = sorted(_files(target) - _own(target)) if names else []
    if foreign:
        listed = ", ".join(foreign[:_MOST_LISTED]) + (" and more" if len(foreign) > _MOST_LISTED else "")
        raise UsageError(
            f"{target} holds more than an earlier run: {listed}; expected a new folder, or these files elsewhere"
        )


def _files(target: Path) -> set[str]:
    """All files below ``target``, and the folders that hold none, by their path in it."""
    found: set[str] = set()
    for folder, below, files in os.walk(target):
        here = Path(folder).relative_to(target)
        # A link to a folder is listed as a folder, and not entered.
        found.update(
            (here / name).as_posix() for name in [*files, *(b for b in below if (Path(folder) / b).is_symlink())]
        )
        if not files and not below and folder != str(target):
            found.add(f"{here.as_posix()}/")
    return found


def _own(target: Path) -> set[str]:
    """What the run in ``target`` wrote: the reserved names, and the files that its scenario names."""
    try:
        manifest = msgspec.json.decode((target / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        raise UsageError(
            f"{target} holds a {MANIFEST} that is not a run's; expected a new or empty folder, or an earlier run"
        ) from None
    return {*_RESERVED, *(Path(os.path.normpath(name)).as_posix() for name in manifest.inputs)}
