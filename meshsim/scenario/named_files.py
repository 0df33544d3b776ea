"""What a scenario names beside its file: measurements, policies, a cost profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import msgspec

from meshsim.scenario.cost_profile import (
    DEFAULT_PROFILE,
    SHIPPED_PROFILE,
    CostProfile,
    load_cost_profile,
    parse_cost_profile,
)
from meshsim.scenario.data_files import (
    ArrivalTrace,
    DelayQuantiles,
    DelaySamples,
    RadioQuantiles,
    RadioTrace,
    read_arrival_trace,
    read_delays,
    read_radio_quantiles,
    read_radio_trace,
)
from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.model import Scenario
from meshsim.scenario.positions import Path, Positions
from meshsim.scenario.radios import QuantileRadio, TraceRadio
from meshsim.scenario.reading import Folder, bad_byte_message, decode

SHADOW = -1
"""Index of the policies on trial among those of changes."""

Texts = tuple[tuple[str, str], ...]
"""(name, text) of each file."""


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """The content of every file that a scenario names, as far as it could be read."""

    files: Mapping[str, bytes]
    """Bytes of each file, by the name that the scenario uses, in order of name."""
    radio_traces: Mapping[str, RadioTrace]
    """By the radio's name."""
    radio_quantiles: Mapping[str, RadioQuantiles]
    """By the radio's name."""
    arrival_traces: Mapping[str, ArrivalTrace]
    """By the flow's key."""
    link_delays: Mapping[str, DelaySamples | DelayQuantiles]
    """Of each link with empirical delays, by the link's key."""
    policies: tuple[tuple[str, str], ...]
    """(name, text) in the scenario's order."""
    changed_policies: Mapping[int, tuple[tuple[str, str], ...]]
    """The same of each change that has policies, by its index; those on trial at -1."""
    cost_profile: CostProfile | None
    """None if it could not be read."""


def read_named(
    scenario: Scenario, folder: Folder, positions: Positions, in_file: Callable[[Path], Path] = lambda path: path
) -> tuple[Named, list[Diagnostic]]:
    """Read all files that ``scenario`` names, and collect the mistakes in them.

    ``in_file`` says where the scenario file has what stands at a path of ``scenario``.
    """
    reader = _Reader(folder, positions)
    for name, radio in scenario.network.radios.items():
        at: Path = ("network", "radios", name)
        if radio.trace is not None:
            reader.trace(name, radio.trace, at)
        if radio.quantiles is not None:
            reader.quantiles(name, radio.quantiles, at)
    for index, link in enumerate(scenario.network.links):
        if link.delay is not None and link.delay.empirical is not None:
            place: Path = ("network", "links", index, "delay", "empirical", "file")
            reader.delays(link.key, link.delay.empirical.file, in_file(place))
    for index, flow in enumerate(scenario.traffic):
        if flow.arrivals.trace is not None:
            reader.arrivals(
                flow.key, flow.arrivals.trace.file, in_file(("traffic", index, "arrivals", "trace", "file"))
            )
    for file, place in scenario.mesh.policy.named_files() if scenario.mesh.policy is not None else ():
        reader.policy(file, in_file(("mesh", "policy", *place)), reader.policies)
    changed = dict(reader.changed(scenario, in_file))
    profile = reader.profile(scenario.cost_profile)
    named = Named(
        files=MappingProxyType(dict(sorted(folder.files.items()))),
        radio_traces=MappingProxyType(reader.radio_traces),
        radio_quantiles=MappingProxyType(reader.radio_quantiles),
        arrival_traces=MappingProxyType(reader.arrival_traces),
        link_delays=MappingProxyType(reader.link_delays),
        policies=tuple(reader.policies),
        changed_policies=MappingProxyType(changed),
        cost_profile=profile,
    )
    return named, reader.diagnostics


class _Reader:
    """Reads files one by one; what is wrong is noted, at the scenario's place or at the file's own."""

    def __init__(self, folder: Folder, positions: Positions) -> None:
        self.folder = folder
        self.positions = positions
        self.diagnostics: list[Diagnostic] = []
        self.radio_traces: dict[str, RadioTrace] = {}
        self.radio_quantiles: dict[str, RadioQuantiles] = {}
        self.arrival_traces: dict[str, ArrivalTrace] = {}
        self.link_delays: dict[str, DelaySamples | DelayQuantiles] = {}
        self.policies: list[tuple[str, str]] = []

    def _content(self, file: str, path: Path) -> bytes | None:
        try:
            return self.folder.read(file)
        except ValueError as error:
            self.diagnostics.append(self.positions.value(path).diagnostic(str(error)))
            return None

    def trace(self, radio: str, trace: TraceRadio, at: Path) -> None:
        content = self._content(trace.file, (*at, "trace", "file"))
        if content is not None:
            try:
                self.radio_traces[radio] = read_radio_trace(content, self.folder.shown(trace.file))
            except ScenarioError as error:
                self.diagnostics += error.diagnostics

    def quantiles(self, radio: str, quantiles: QuantileRadio, at: Path) -> None:
        content = self._content(quantiles.file, (*at, "quantiles", "file"))
        if content is not None:
            place = self.positions.value((*at, "quantiles", "network"))
            try:
                self.radio_quantiles[radio] = read_radio_quantiles(
                    content, self.folder.shown(quantiles.file), quantiles.network, place.diagnostic
                )
            except ScenarioError as error:
                self.diagnostics += error.diagnostics

    def arrivals(self, flow: str, file: str, path: Path) -> None:
        content = self._content(file, path)
        if content is not None:
            try:
                self.arrival_traces[flow] = read_arrival_trace(content, self.folder.shown(file))
            except ScenarioError as error:
                self.diagnostics += error.diagnostics

    def delays(self, link: str, file: str, path: Path) -> None:
        content = self._content(file, path)
        if content is not None:
            try:
                self.link_delays[link] = read_delays(content, self.folder.shown(file))
            except ScenarioError as error:
                self.diagnostics += error.diagnostics

    def changed(self, scenario: Scenario, in_file: Callable[[Path], Path]) -> Iterator[tuple[int, Texts]]:
        """The policies on trial, and those of each change."""
        if scenario.mesh.policy is not None and scenario.mesh.policy.shadow is not None:
            yield SHADOW, self._policies(scenario.mesh.policy.shadow.files, in_file, ("mesh", "policy", "shadow"))
        for index, change in enumerate(scenario.changes):
            if change.policy is not None:
                yield index, self._policies(change.policy.files, in_file, ("changes", index, "policy"))

    def _policies(self, files: tuple[str, ...], in_file: Callable[[Path], Path], at: Path) -> Texts:
        texts: list[tuple[str, str]] = []
        for index, file in enumerate(files):
            self.policy(file, in_file((*at, "files", index)), texts)
        return tuple(texts)

    def policy(self, file: str, path: Path, into: list[tuple[str, str]]) -> None:
        content = self._content(file, path)
        if content is not None:
            text, bad = decode(content, self.folder.shown(file))
            if bad is not None:
                self.diagnostics.append(bad.diagnostic(bad_byte_message(content)))
            else:
                into.append((file, text))

    def profile(self, name: str) -> CostProfile | None:
        try:
            if name in (DEFAULT_PROFILE, SHIPPED_PROFILE.stem):
                return load_cost_profile(name)
            content = self._content(name, ("cost_profile",))
            return None if content is None else parse_cost_profile(content, self.folder.shown(name))
        except ScenarioError as error:
            self.diagnostics += error.diagnostics
            return None
