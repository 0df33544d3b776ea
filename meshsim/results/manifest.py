"""The manifest: what a run was made from, and the digest of what came out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from meshsim.results.content import run_digest

SCHEMA_VERSION = 1
"""Version of the run folder's layout; raised when a reader of the old one would misunderstand the new one."""


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the experiment knows about a run and the tables do not."""

    scenario: str
    """Name of the scenario."""
    seed: int
    """Seed of the run."""
    fidelity: str
    """real, sampled or modelled."""
    cost_profile: str
    """Name of the cost profile."""
    cost_profile_sha256: str
    """Hash of the cost profile's file."""
    versions: Mapping[str, str]
    """Versions of meshsim, Python, OpenSSL, the HTTP/2 and policy engines and SimPy, by name."""
    inputs: Mapping[str, str]
    """SHA-256 of each file that the scenario names, by the name it uses."""
    host: Mapping[str, Any]
    """Facts of this very execution (host, wall time, rates); plain JSON values, outside the digest."""


class TableFacts(msgspec.Struct, frozen=True):
    """One table: how many rows, and the hash of their content."""

    rows: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``manifest.json``."""

    schema_version: int
    scenario: str
    scenario_sha256: str
    """Hash of the resolved scenario as it stands in ``scenario.yaml``."""
    seed: int
    fidelity: str
    cost_profile: str
    cost_profile_sha256: str
    versions: dict[str, str]
    inputs: dict[str, str]
    """SHA-256 of each file that the scenario names: traces, policies, cost profile."""
    tables: dict[str, TableFacts]
    digest: str
    """Hash over all tables: equal digests, equal results."""
    host: dict[str, Any]


def make_manifest(facts: RunFacts, scenario_yaml: str, tables: Mapping[str, tuple[int, str]]) -> Manifest:
    """Put the manifest together; ``tables`` gives rows and content hash of every table of the contract."""
    return Manifest(
        schema_version=SCHEMA_VERSION,
        scenario=facts.scenario,
        scenario_sha256=hashlib.sha256(scenario_yaml.encode()).hexdigest(),
        seed=facts.seed,
        fidelity=facts.fidelity,
        cost_profile=facts.cost_profile,
        cost_profile_sha256=facts.cost_profile_sha256,
        versions=dict(facts.versions),
        inputs=dict(facts.inputs),
        tables={table: TableFacts(rows, sha256) for table, (rows, sha256) in tables.items()},
        digest=run_digest(tables),
        host=dict(facts.host),
    )


def stable_json(value: Any) -> str:
    """The one JSON form of run folders: sorted keys, two spaces, a newline at the end. ValueError for NaN."""
    plain = msgspec.to_builtins(value)
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
