"""One scenario file, and the files it names, read into frozen types; or every mistake in them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from meshsim.collector import rare_collections
from meshsim.scenario.check_identity import note_skew
from meshsim.scenario.check_mobility import note_interruptions
from meshsim.scenario.check_odd import note_odd
from meshsim.scenario.check_reach import note_control
from meshsim.scenario.check_revocation import note_revocation
from meshsim.scenario.check_routes import note_destinations
from meshsim.scenario.check_signing import note_signing
from meshsim.scenario.check_tls import note_tls
from meshsim.scenario.check_waypoints import note_waypoints, note_ztunnels
from meshsim.scenario.checks import check_values, check_whole
from meshsim.scenario.cost_profile import CostProfile
from meshsim.scenario.data_files import ArrivalTrace, DelayQuantiles, DelaySamples, RadioQuantiles, RadioTrace
from meshsim.scenario.diagnostics import MOST_KEPT
from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.findings import Finding
from meshsim.scenario.manifests.expand import expand
from meshsim.scenario.model import Scenario
from meshsim.scenario.named_files import Named, read_named
from meshsim.scenario.overrides import apply_overrides, before_manifests
from meshsim.scenario.policy_sources import RefusedScenario, policy_sources
from meshsim.scenario.positions import Positions
from meshsim.scenario.preset_use import apply_preset
from meshsim.scenario.reading import Folder, bad_byte_message, decode, read_bounded
from meshsim.scenario.references import check_references, check_unused, names_in
from meshsim.scenario.repair import Reading, read_models
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
    cost_profile: CostProfile
    """The cost profile that the scenario asks for."""
    files: Mapping[str, bytes]
    """Bytes of each file that the scenario names, by the name it uses, in order of name."""
    radio_traces: Mapping[str, RadioTrace]
    """Trace of each radio that replays one, by the radio's name."""
    radio_quantiles: Mapping[str, RadioQuantiles]
    """Delays of each radio that draws them, by the radio's name."""
    arrival_traces: Mapping[str, ArrivalTrace]
    """Arrivals of each flow that replays them, by the flow's key."""
    link_delays: Mapping[str, DelaySamples | DelayQuantiles]
    """Measured delays of each link that draws from them, by the link's key."""
    policies: tuple[tuple[str, str], ...]
    """(name, text) of each policy file, in the scenario's order."""
    changed_policies: Mapping[int, tuple[tuple[str, str], ...]]
    """The same of each change that has policies, by its index; those on trial at -1."""
    notes: tuple[str, ...] = ()
    """What is worth knowing of it and of the manifests that it names, though no mistake."""
    aside: tuple[str, ...] = ()
    """Those of the notes that tell what was not read in the manifests."""


def load_scenario(path: Path | str, overrides: Sequence[str] = ()) -> LoadedScenario:
    """Read and check a scenario file, the ``path=value`` overrides applied in their order.

    What the file names is looked up in its own folder and below, nowhere else. Raises ScenarioError with every mistake
    found, and nothing else.
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


@rare_collections()
def load_text(text: str, path: Path, overrides: Sequence[str] = ()) -> LoadedScenario:
    """Check the text of a scenario as if it stood in ``path``. Raises ScenarioError with every mistake found."""
    data, positions = parse_yaml(text, str(path))
    if data is None:
        message = "the file is empty; expected a scenario ('meshsim init' writes one to begin with)"
        raise ScenarioError([Diagnostic(str(path), 0, 0, message)])
    if not isinstance(data, dict):
        message = "the file is not a mapping; expected keys such as scenario, duration, network, services, traffic"
        raise ScenarioError([positions.value(()).diagnostic(message)])
    folder = Folder(path.parent)
    first, others = before_manifests(overrides)
    diagnostics = apply_overrides(data, positions, first)
    wrong_manifests, told = expand(data, positions, folder)
    diagnostics += wrong_manifests
    diagnostics += apply_overrides(data, positions, others)
    apply_preset(data)
    reading = read_models(data, positions)
    diagnostics += reading.diagnostics
    refused = {(one.file, one.line, one.column) for one in diagnostics}
    names = names_in(data)
    dangling = [finding.placed(positions) for finding in islice(check_references(data, names), MOST_KEPT)]
    diagnostics += [one for one in dangling if (one.file, one.line, one.column) not in refused]
    if reading.scenario is None:
        raise ScenarioError(diagnostics)
    named, wrong_files = read_named(reading.scenario, folder, positions, reading.in_file)
    diagnostics += wrong_files
    findings = (reading.finding_in_file(one) for one in _checks(reading, named))
    diagnostics += _placed(findings, reading, positions)
    if not diagnostics:  # what is wrong may be why a name is not used
        diagnostics += _placed(check_unused(data, names), reading, positions)
    if diagnostics:
        raise RefusedScenario(diagnostics, policy_sources(data, reading.scenario, named, names_known=told.names_known))
    found = (
        *note_control(reading.scenario),
        *note_waypoints(reading.scenario),
        *note_ztunnels(reading.scenario),
        *note_revocation(reading.scenario),
        *note_signing(reading.scenario),
        *note_tls(reading.scenario),
        *note_destinations(reading.scenario),
        *note_odd(reading.scenario),
        *note_skew(reading.scenario),
        *note_interruptions(reading.scenario, named.radio_traces),
    )
    notes = [str(finding.placed(positions)) for finding in found]
    return _loaded(reading.scenario, named, positions, path, text, (*told.read, *told.aside, *notes), told.aside)


def _checks(reading: Reading, named: Named) -> Iterator[Finding]:
    assert reading.scenario is not None
    all_faults = ("faults",) not in reading.left
    yield from check_values(reading.scenario, named, timed=reading.sound(("duration",)), all_faults=all_faults)
    if not reading.removed:
        yield from check_whole(reading.scenario)


def _placed(findings: Iterator[Finding], reading: Reading, positions: Positions) -> list[Diagnostic]:
    """The diagnostics of those findings that rest on nothing that was repaired."""
    sound = (one for one in findings if one.alone or reading.sound(one.path, *one.involved, *one.rivals))
    return [finding.placed(positions) for finding in islice(sound, MOST_KEPT)]


def _loaded(
    scenario: Scenario,
    named: Named,
    positions: Positions,
    path: Path,
    text: str,
    notes: tuple[str, ...],
    aside: tuple[str, ...],
) -> LoadedScenario:
    resolved = resolved_text(scenario)
    assert named.cost_profile is not None, "a cost profile that cannot be read is a diagnostic"
    content: dict[str, Any] = msgspec.structs.asdict(named)
    return LoadedScenario(
        scenario=scenario,
        path=path,
        base_dir=path.parent,
        text=text,
        resolved=resolved,
        sha256=hashlib.sha256(resolved.encode()).hexdigest(),
        positions=positions,
        notes=notes,
        aside=aside,
        **content,
    )
