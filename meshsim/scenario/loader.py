"""One scenario file, and the files it names, read into frozen types; or every mistake in them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from pydantic import ValidationError

from meshsim.scenario.data_files import (
    ArrivalTrace,
    RadioQuantiles,
    RadioTrace,
    read_arrival_trace,
    read_radio_quantiles,
    read_radio_trace,
)
from meshsim.scenario.diagnostics import from_validation
from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.model import Scenario
from meshsim.scenario.overrides import apply_overrides
from meshsim.scenario.positions import Place, Positions
from meshsim.scenario.reading import Folder, bad_byte_message, decode, read_bounded
from meshsim.scenario.resolve import resolved_text
from meshsim.scenario.yaml_text import parse_yaml


class LoadedScenario(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario with everything that its file names."""

    scenario: Scenario
    path: Path
    """The scenario file, as it was named."""
    base_dir: Path
    """Its folder, in or below which everything lies that it names."""
    text: str
    """The text of the scenario file."""
    resolved: str
    """The scenario as canonical YAML, overrides and defaults included."""
    sha256: str
    """SHA-256 of ``resolved``, in hexadecimal digits."""
    positions: Positions
    """Where each key and value was written."""
    files: Mapping[str, bytes]
    """Content of each file that the scenario names, by the name it uses, in order of name."""
    radio_traces: Mapping[str, RadioTrace]
    """Trace of each radio that replays one, by the radio's name."""
    radio_quantiles: Mapping[str, RadioQuantiles]
    """Delays of each radio that draws them, by the radio's name."""
    arrival_traces: Mapping[str, ArrivalTrace]
    """Arrivals of each flow that replays them, by the flow's key."""
    policies: tuple[tuple[str, str], ...]
    """(name, text) of each policy file, in the scenario's order."""


def load_scenario(path: Path | str, overrides: Sequence[str] = ()) -> LoadedScenario:
    """Read and check a scenario file, the ``path=value`` overrides applied.

    Raises ScenarioError with every mistake found, never anything else.
    """
    file = str(path)
    try:
        content = read_bounded(Path(path))
    except ValueError as error:
        raise ScenarioError([Diagnostic(file, 0, 0, str(error))]) from None
    text, bad = decode(content, file)
    if bad is not None:
        raise ScenarioError([bad.diagnostic(bad_byte_message(content))])
    return load_text(text, Path(path), overrides)


def load_text(text: str, path: Path, overrides: Sequence[str] = ()) -> LoadedScenario:
    """Check the text of a scenario as if it stood in ``path``. Raises ScenarioError with every mistake found."""
    file = str(path)
    data, positions = parse_yaml(text, file)
    if data is None:
        raise ScenarioError(
            [Diagnostic(file, 0, 0, "the file is empty; expected a scenario ('meshsim init' writes one)")]
        )
    if not isinstance(data, dict):
        message = "the file is not a mapping; expected keys such as scenario, duration, network, services, traffic"
        raise ScenarioError([positions.value(()).diagnostic(message)])
    apply_overrides(data, positions, overrides)
    scenario = _validate(data, positions)
    return _with_files(scenario, positions, path, text)


def _validate(data: Any, positions: Positions) -> Scenario:
    try:
        return Scenario.model_validate(data)
    except ValidationError as error:
        raise ScenarioError(from_validation(error, data, positions)) from None


class _Files:
    """Reads what a scenario names and collects the mistakes."""

    def __init__(self, folder: Folder, positions: Positions) -> None:
        self.folder = folder
        self.positions = positions
        self.diagnostics: list[Diagnostic] = []

    def read(self, name: str, *path: str | int) -> bytes | None:
        try:
            return self.folder.read(name)
        except ValueError as error:
            self.diagnostics.append(self.positions.value(path).diagnostic(str(error)))
            return None


def _with_files(scenario: Scenario, positions: Positions, path: Path, text: str) -> LoadedScenario:
    files = _Files(Folder(path.parent), positions)
    traces, quantiles = _radios(scenario, files)
    arrivals = _arrivals(scenario, files)
    policies = _policies(scenario, files)
    if files.diagnostics:
        raise ScenarioError(files.diagnostics)
    resolved = resolved_text(scenario)
    return LoadedScenario(
        scenario=scenario,
        path=path,
        base_dir=path.parent,
        text=text,
        resolved=resolved,
        sha256=hashlib.sha256(resolved.encode()).hexdigest(),
        positions=positions,
        files=MappingProxyType(dict(sorted(files.folder.files.items()))),
        radio_traces=MappingProxyType(traces),
        radio_quantiles=MappingProxyType(quantiles),
        arrival_traces=MappingProxyType(arrivals),
        policies=policies,
    )


def _radios(scenario: Scenario, files: _Files) -> tuple[dict[str, RadioTrace], dict[str, RadioQuantiles]]:
    traces: dict[str, RadioTrace] = {}
    quantiles: dict[str, RadioQuantiles] = {}
    for name, radio in scenario.network.radios.items():
        at = ("network", "radios", name)
        try:
            if radio.trace is not None:
                content = files.read(radio.trace.file, *at, "trace", "file")
                if content is not None:
                    traces[name] = read_radio_trace(content, files.folder.shown(radio.trace.file))
            if radio.quantiles is not None:
                content = files.read(radio.quantiles.file, *at, "quantiles", "file")
                if content is not None:
                    place: Place = files.positions.value((*at, "quantiles", "network"))
                    shown = files.folder.shown(radio.quantiles.file)
                    quantiles[name] = read_radio_quantiles(content, shown, radio.quantiles.network, place.diagnostic)
        except ScenarioError as error:
            files.diagnostics += error.diagnostics
    return traces, quantiles


def _arrivals(scenario: Scenario, files: _Files) -> dict[str, ArrivalTrace]:
    arrivals: dict[str, ArrivalTrace] = {}
    for index, flow in enumerate(scenario.traffic):
        trace = flow.arrivals.trace
        content = files.read(trace.file, "traffic", index, "arrivals", "trace", "file") if trace else None
        if trace is None or content is None:
            continue
        try:
            arrivals[flow.key] = read_arrival_trace(content, files.folder.shown(trace.file))
        except ScenarioError as error:
            files.diagnostics += error.diagnostics
    return arrivals


def _policies(scenario: Scenario, files: _Files) -> tuple[tuple[str, str], ...]:
    policies = []
    names = scenario.mesh.policy.files if scenario.mesh.policy is not None else ()
    for index, name in enumerate(names):
        content = files.read(name, "mesh", "policy", "files", index)
        if content is None:
            continue
        text, bad = decode(content, files.folder.shown(name))
        if bad is not None:
            files.diagnostics.append(bad.diagnostic(bad_byte_message(content)))
        policies.append((name, text))
    return tuple(policies)
