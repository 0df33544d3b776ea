"""What manifests say in a scenario's own words, each value with its place; and the scenario file laid over it."""

from __future__ import annotations

from typing import Any

from meshsim.scenario.positions import Path, Place, Positions


class Draft:
    """Plain data of a scenario that grows value by value."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.places: dict[Path, Place] = {}

    def put(self, path: Path, data: Any, place: Place) -> None:
        """Set the value at ``path``; mappings and lists on the way are made, and take its place if they are new."""
        holder: Any = self.data
        for length, key in enumerate(path[:-1], 1):
            inner = self._child(holder, key)
            if inner is None:
                inner = [] if isinstance(path[length], int) else {}
                self._set(holder, key, inner)
                self.places[path[:length]] = place
            holder = inner
        self._set(holder, path[-1], data)
        self.places[path] = place

    def at(self, path: Path) -> Any:
        """The value at ``path``; None if there is none."""
        found: Any = self.data
        for key in path:
            found = self._child(found, key)
        return found

    def place(self, path: Path) -> Place:
        """Where the value at ``path`` was written, or the nearest one around it."""
        return next(self.places[path[:length]] for length in range(len(path), 0, -1) if path[:length] in self.places)

    def take(self, source: Draft, at: Path, to: Path) -> None:
        """Put a value of another draft here, with its places; mappings grow together, lists do not."""
        value, place = source.at(at), source.place(at)
        if not isinstance(value, dict | list):
            self.put(to, value, place)
            return
        if not isinstance(self.at(to), dict) or not isinstance(value, dict):
            self.put(to, type(value)(), place)
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            self.take(source, (*at, key), (*to, key))

    def remove(self, path: Path) -> None:
        """Take out a key of a mapping, and all below it."""
        holder = self.at(path[:-1])
        if isinstance(holder, dict) and path[-1] in holder:
            del holder[path[-1]]
            for known in [known for known in self.places if known[: len(path)] == path]:
                del self.places[known]

    @staticmethod
    def _child(holder: Any, key: str | int) -> Any:
        if isinstance(holder, dict):
            return holder.get(key)
        if isinstance(holder, list) and isinstance(key, int) and key < len(holder):
            return holder[key]
        return None

    @staticmethod
    def _set(holder: Any, key: str | int, data: Any) -> None:
        if isinstance(holder, list):
            assert key == len(holder), "lists grow at their end"
            holder.append(data)
        else:
            holder[key] = data


def lay_over(draft: Draft, data: dict[str, Any], positions: Positions) -> None:
    """Fill in ``data``, of a scenario file, what it leaves open and the draft says; what it says itself holds.

    Lists are taken as wholes.
    """
    _fill(draft, data, (), positions)


def _fill(draft: Draft, holder: dict[str, Any], path: Path, positions: Positions) -> None:
    for key, value in draft.at(path).items() if path else draft.data.items():
        below = (*path, key)
        if key not in holder or holder[key] is None:
            holder[key] = value
            _place(draft, value, below, below, positions)
        elif isinstance(holder[key], dict) and isinstance(value, dict):
            _fill(draft, holder[key], below, positions)
            if below[-1] == "versions":  # replicas are numbered in this order, whatever the scenario says of some
                own = holder[key]
                holder[key] = {name: own[name] for name in dict.fromkeys((*value, *own))}


def _place(draft: Draft, value: Any, at: Path, to: Path, positions: Positions) -> None:
    """Note the places of a value of the draft, which stands at ``to`` now."""
    if at in draft.places:
        positions.keys[to] = positions.values[to] = draft.places[at]
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        _place(draft, inner, (*at, key), (*to, key), positions)


def append(draft: Draft, at: Path, holder: list[Any], to: Path, positions: Positions) -> None:
    """Append a value of the draft to a list of the scenario file that stands at ``to``."""
    holder.append(draft.at(at))
    _place(draft, draft.at(at), at, (*to, len(holder) - 1), positions)
