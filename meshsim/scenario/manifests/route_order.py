"""Routes and matches of a VirtualService that no call can reach, as those before them take all.

Istio accepts these and its analysis warns (IST0130, IST0131). So they are left out here, and a note says so.
"""

from __future__ import annotations

import json
from typing import Any

from meshsim.scenario.manifest_reader import Value
from meshsim.scenario.manifests.draft import Draft
from meshsim.scenario.manifests.http_route import OF_SIDECARS
from meshsim.scenario.positions import Path, Place


def of_sidecars(route: Draft) -> Draft:
    """A route as sidecars have it, with all of its matches."""
    made = Draft()
    made.take(route, ("route",), ("route",))
    for index in range(len(route.data["route"].get("match", []))):
        made.remove(("route", "match", index, OF_SIDECARS))
    return made


def of_gateways(route: Draft) -> Draft | None:
    """A route with the matches that hold at gateways, too; None if it has others alone."""
    matches = route.data["route"].get("match", [])
    held: list[Path] = [("route", "match", index) for index, one in enumerate(matches) if OF_SIDECARS not in one]
    if len(held) == len(matches):
        return route
    return _with(route, held) if held else None


def reachable(entries: list[Value], routes: list[Draft | None]) -> tuple[list[Draft], list[str]]:
    """The routes that a call can take, with the matches that can be the first to hold; and notes on the others.

    None in place of a route: it is not for these calls.
    """
    kept: list[Draft] = []
    notes: list[str] = []
    known: dict[str, Place] = {}
    catches_all: Place | None = None
    for entry, route in zip(entries, routes, strict=True):
        if route is None:
            continue
        if catches_all is not None:
            message = f"no call takes this route: the one at {_short(catches_all)} before it takes all"
            notes.append(str(entry.place.diagnostic(f"{message} (IST0130 of Istio)")))
            continue
        matches = route.data["route"].get("match", [])
        fresh = _fresh(route, matches, known, notes)
        if matches and not fresh:
            message = "no call takes this route: each of its matches stands before it already"
            notes.append(str(entry.place.diagnostic(f"{message} (IST0130 of Istio)")))
            continue
        kept.append(route if len(fresh) == len(matches) else _with(route, fresh))
        if not matches and isinstance(entry.data, dict) and "match" not in entry.data:
            catches_all = entry.place
    return kept, notes


def _fresh(route: Draft, matches: list[Any], known: dict[str, Place], notes: list[str]) -> list[Path]:
    found: list[Path] = []
    for index, match in enumerate(matches):
        at: Path = ("route", "match", index)
        text, place = json.dumps(match, sort_keys=True), route.place(at)
        before = known.setdefault(text, place)
        if before is place:
            found.append(at)
        else:
            message = f"this match never comes into play: the same stands at {_short(before)} (IST0131 of Istio)"
            notes.append(str(place.diagnostic(message)))
    return found


def _with(route: Draft, matches: list[Path]) -> Draft:
    made = Draft()
    made.take(route, ("route",), ("route",))
    made.remove(("route", "match"))
    for index, at in enumerate(matches):
        made.take(route, at, ("route", "match", index))
    return made


def _short(place: Place) -> str:
    return f"{place.file}:{place.line}"
