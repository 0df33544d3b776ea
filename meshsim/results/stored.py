"""Reading run folders back: opening, listing, verifying."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from meshsim import __version__
from meshsim.results.content import run_digest
from meshsim.results.folder import MANIFEST, REPORT, RESULTS_ROOT, SCENARIO, SUMMARY
from meshsim.results.manifest import SCHEMA_VERSION, Manifest
from meshsim.results.partial import PREFIX
from meshsim.results.tables import OtherColumnsError, check_columns, hash_table, table_file
from meshsim.scenario.errors import UsageError
from meshsim.telemetry.rows import TABLES


class StoredRun(msgspec.Struct, frozen=True):
    """A complete run on disk."""

    path: Path
    manifest: Manifest

    def summary(self) -> dict[str, Any]:
        """The content of ``summary.json``. Raises UsageError if it is damaged."""
        try:
            summary: dict[str, Any] = msgspec.json.decode((self.path / SUMMARY).read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError) as error:
            raise UsageError(f"{self.path / SUMMARY} cannot be read ({error}); the run is damaged") from error
        return summary

    def scenario_text(self) -> str:
        """The resolved scenario as YAML."""
        return (self.path / SCENARIO).read_text(encoding="utf-8")

    @property
    def report_path(self) -> Path:
        """The run's report."""
        return self.path / REPORT

    @property
    def versions(self) -> str:
        """Which meshsim wrote it and which one reads it, in words."""
        return (
            f"written by meshsim {self.manifest.versions.get('meshsim', 'of no known version')}, read by {__version__}"
        )

    def check_columns(self) -> None:
        """Raise UsageError, which names both versions, if a table has columns that this version does not know.

        Columns that came later than the others may be missing: they then hold nothing. A damaged file is left to
        whoever reads it.
        """
        other = []
        for table in TABLES:
            try:
                check_columns(self.path, table)
            except OtherColumnsError:
                other.append(table)
            except (OSError, pa.ArrowException):
                continue
        if other:
            raise UsageError(
                f"{self.path} has other columns in {', '.join(other)} ({self.versions}); expected a run of this "
                f"version, as `meshsim run {self.path / SCENARIO}` makes one"
            )

    def verify(self) -> list[str]:
        """Hash scenario and tables again; return a line for each difference from the manifest, none if all is well."""
        found: dict[str, tuple[int, str]] = {}
        problems: list[str] = []
        for table in TABLES:
            stated = self.manifest.tables[table]
            try:
                found[table] = hash_table(self.path, table)
            except (OSError, ValueError, pa.ArrowException) as error:
                problems.append(f"{table} cannot be read: {(str(error).splitlines() or [type(error).__name__])[0]}")
                continue
            if found[table] != (stated.rows, stated.sha256):
                problems.append(f"{table} has {found[table][0]} rows, and not the content that the manifest states")
        if not problems and run_digest(found) != self.manifest.digest:
            problems.append("the digest is not the one of these tables")
        try:
            scenario_sha256 = hashlib.sha256((self.path / SCENARIO).read_bytes()).hexdigest()
        except OSError as error:
            problems.append(f"{SCENARIO} cannot be read: {error.strerror}")
        else:
            if scenario_sha256 != self.manifest.scenario_sha256:
                problems.append(f"{SCENARIO} has not the content that the manifest states")
        return problems


def open_run_folder(path: Path) -> StoredRun:
    """Open the run in ``path``. Raises UsageError, saying what is missing, if it is no complete run."""
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder; expected a run folder, with a {MANIFEST}")
    if path.name.startswith(PREFIX):
        raise UsageError(f"{path} is an unfinished run; expected a complete one")
    try:
        manifest = msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise UsageError(f"{path} is not a run folder: it has no {MANIFEST}") from None
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{path / MANIFEST} is not a manifest of a run: {error}") from error
    if manifest.schema_version != SCHEMA_VERSION:
        raise UsageError(
            f"{path} has schema version {manifest.schema_version}; this version of meshsim reads {SCHEMA_VERSION}"
        )
    files = [path / SCENARIO, path / SUMMARY, path / REPORT, *(table_file(path, table) for table in TABLES)]
    missing = [file.name for file in files if not file.is_file()]
    missing += [f"{table} (in the manifest)" for table in TABLES if table not in manifest.tables]
    stored = StoredRun(path, manifest)
    if missing:
        raise UsageError(f"{path} is not complete ({stored.versions}): {', '.join(missing)} missing")
    return stored


def list_runs(results_root: Path = RESULTS_ROOT) -> list[StoredRun]:
    """The complete runs under ``results_root``, as ``<scenario>/<run id>`` or under a name of their own, by path."""
    runs = []
    for path in sorted([*results_root.glob(f"*/{MANIFEST}"), *results_root.glob(f"*/*/{MANIFEST}")]):
        try:
            runs.append(open_run_folder(path.parent))
        except UsageError:
            continue  # an unfinished or foreign folder is no run
    return runs
