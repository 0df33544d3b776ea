"""A scenario with mistakes in it, read as far as it can be, so that all checks can run and tell all mistakes at once.

Refused values are left out (their defaults hold), get a stand-in, or take their entry with them. What was changed is
remembered: nothing that rests on it is reported.
"""

from __future__ import annotations

import copy
from typing import Any, get_origin

import msgspec
from pydantic import ValidationError

from meshsim.scenario.diagnostics import error_path, from_validation
from meshsim.scenario.errors import Diagnostic
from meshsim.scenario.fields import Model
from meshsim.scenario.findings import Finding
from meshsim.scenario.model import Scenario
from meshsim.scenario.network import Link, Node, Slice
from meshsim.scenario.positions import Path, Positions
from meshsim.scenario.services import Service
from meshsim.scenario.shape import child, fields_of, known_keys, models, spot_at, step
from meshsim.scenario.traffic import Traffic
from meshsim.scenario.words import nearest

_ROUNDS = 6
_MOST_REPAIRS = 1000
_STAND_INS: dict[tuple[type[Model], str], Any] = {
    (Scenario, "scenario"): "unnamed",
    (Scenario, "duration"): "1 h",
    (Link, "latency"): "1 ms",
    (Node, "kind"): "core",
    (Slice, "sst"): 1,
    (Slice, "five_qi"): 9,
    (Service, "work"): {"constant": "0 ms"},
    (Traffic, "arrivals"): {"constant": "1 /s"},
}
_LINKS: Path = ("network", "links")
"""Where they may be misspelt, nobody knows who reaches whom."""


class Reading(msgspec.Struct):
    """What a scenario's plain data was read as."""

    scenario: Scenario | None
    """The scenario; repaired if there are diagnostics; None if too little could be understood."""
    diagnostics: list[Diagnostic]
    """What the models refused."""
    changed: set[Path]
    """Entries that are not as the file has them."""
    removed: bool = False
    """Whether entries are missing, so that how things hang together is not known."""
    meant: set[Path] = set()
    """What is not there, and may be what keys that nobody knows were meant for."""
    left: dict[Path, list[int]] = {}
    """Of each list of the file that entries were taken out of: the indices of those that are left."""

    def sound(self, *paths: Path) -> bool:
        """Whether a finding about values at these paths rests on nothing that was changed, or that may be meant."""
        if any(path[:length] in self.changed for path in paths for length in range(1, 4)):
            return False
        return not any(_rests_on(path, one) for path in paths for one in self.meant)

    def in_file(self, path: Path) -> Path:
        """Where the file has what stands at ``path`` after the repairs: entries taken out had moved those behind."""
        found: Path = ()
        for key in path:
            left = self.left.get(found)
            if left is not None and isinstance(key, int) and key < len(left):
                key = left[key]
            found = (*found, key)
        return found

    def repaired(self, path: Path) -> Path | None:
        """Where the repaired data has what the file has at ``path``; None if it was in an entry taken out."""
        found: Path = ()
        for length, key in enumerate(path):
            left = self.left.get(path[:length])
            if left is not None and isinstance(key, int):
                if key not in left:
                    return None
                key = left.index(key)
            found = (*found, key)
        return found

    def finding_in_file(self, finding: Finding) -> Finding:
        """A finding about the repaired scenario, as one about the file."""
        if not self.left:
            return finding
        involved = tuple(self.in_file(path) for path in finding.involved)
        rivals = tuple(self.in_file(path) for path in finding.rivals)
        return msgspec.structs.replace(finding, path=self.in_file(finding.path), involved=involved, rivals=rivals)

    def take_out(self, path: Path, holder: list[Any]) -> None:
        """Take the entry at ``path`` out of the list that holds it."""
        index = path[-1]
        assert isinstance(index, int), "entries of lists have indices"
        left = self.left.setdefault(self.in_file(path[:-1]), list(range(len(holder))))
        del holder[index], left[index]


def entry_of(path: Path) -> Path:
    """The entry (a node, a service, a flow, a group of settings) that a path leads into."""
    return path[:3] if path[:1] == ("network",) else path[:2]


def _rests_on(path: Path, meant: Path) -> bool:
    """Whether a finding at ``path`` is about what is not there, or about what that is a part of within its entry."""
    if len(path) >= len(meant):
        return path[: len(meant)] == meant
    return meant[: len(path)] == path and len(path) >= len(entry_of(meant))


def read_models(data: Any, positions: Positions) -> Reading:
    """Read plain data into the models, with as many repairs as it takes."""
    reading = Reading(None, [], set())
    mended: set[Path] = set()
    for number in range(_ROUNDS):
        try:
            reading.scenario = Scenario.model_validate(data)
            break
        except ValidationError as error:
            details = error.errors(include_url=False)
            if number == 0:
                reading.diagnostics = from_validation(details, data, positions)
                data = copy.deepcopy(data)
            else:
                new = [one for one in details if not _follows(reading.in_file(error_path(one, data)[0]), mended)]
                reading.diagnostics += from_validation(new, data, positions, reading.in_file)
            if len(details) > _MOST_REPAIRS:
                break
            # each repair may take entries out of lists: the others are found by their place in the file
            for path, missing, gone in reversed([_target(one, data, reading) for one in details]):
                mended.add((*path, missing) if missing else path)
                now = reading.repaired(path)
                if now is not None and not _mend(data, now, missing, gone, reading):
                    return reading
    return reading


def _follows(path: Path, mended: set[Path]) -> bool:
    """Whether a mistake at ``path`` may be there only because something in it was repaired."""
    return any(known[: len(path)] == path or path[: len(known)] == known for known in mended)


def _target(detail: Any, data: Any, reading: Reading) -> tuple[Path, str | None, bool]:
    """Path in the file of the refused value, the key that is missing in it, and whether it just has to go."""
    path, at_key = error_path(detail, data)
    return reading.in_file(path), str(detail["loc"][-1]) if detail["type"] == "missing" else None, at_key


def _mend(data: Any, path: Path, missing: str | None, gone: bool, reading: Reading) -> bool:
    """Change ``data`` so that what is wrong at ``path`` is no longer; False if that is beyond repair."""
    owner, key = (path, missing) if missing is not None else (path[:-1], path[-1] if path else None)
    if key is None:
        return False
    holder, spot = _at(data, owner), spot_at(owner, data)
    known = [] if spot is None else known_keys(spot, holder)
    if gone and isinstance(holder, dict) and known:
        # Nobody knows the key. What else stands in its group is as the file has it.
        absent = [name for name in known if name not in holder]
        reading.meant |= {reading.in_file((*owner, name)) for name in nearest(key, absent) or absent}
        reading.removed = reading.removed or _LINKS in reading.meant
        holder.pop(key, None)
        return True
    changed = entry_of(reading.in_file((*owner, key)))
    reading.changed.add(changed)
    reading.removed = reading.removed or changed == _LINKS
    if gone and isinstance(holder, dict):
        holder.pop(key, None)
        return True
    for model in models(spot, holder) if spot is not None else []:
        field = fields_of(model).get(str(key))
        if field is None or not isinstance(holder, dict):
            continue
        if not field.is_required():
            holder.pop(key, None)
            return True
        if (model, str(key)) in _STAND_INS:
            holder[key] = copy.deepcopy(_STAND_INS[model, str(key)])
            return True
    if owner[-1:] == ("replicas",) and isinstance(holder, dict):
        holder[key] = 1
        return True
    return _remove_entry(data, (*owner, key), reading)


def _remove_entry(data: Any, path: Path, reading: Reading) -> bool:
    """Take out the innermost entry of a list or map that ``path`` leads into."""
    for length in range(len(path), 0, -1):
        holder = _at(data, path[: length - 1])
        spot = spot_at(path[: length - 1], data)
        if spot is None or get_origin(spot.type) not in (dict, tuple) or child(spot, path[length - 1], holder) is None:
            continue
        key = path[length - 1]
        reading.changed.add(entry_of(reading.in_file(path[:length])))
        if isinstance(holder, dict):
            holder.pop(key, None)
        elif isinstance(holder, list) and isinstance(key, int) and key < len(holder):
            reading.take_out(path[:length], holder)
        reading.removed = reading.removed or path[0] in ("network", "services", "fleets", "traffic")
        return True
    return False


def _at(data: Any, path: Path) -> Any:
    for key in path:
        data = step(data, key)
    return data
