"""The shape of the scenario models seen from outside: which field a path of keys leads to, and what may stand there."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from pydantic import Discriminator, StringConstraints
from pydantic.fields import FieldInfo

from meshsim.scenario.fields import Model
from meshsim.scenario.model import Scenario
from meshsim.scenario.positions import Path


class Spot(msgspec.Struct, frozen=True):
    """What the models say of one place in a scenario."""

    type: Any
    """The annotation, without Annotated and None."""
    field: FieldInfo | None = None
    """The field that leads here, if the last key was one."""

    @property
    def pattern(self) -> str | None:
        """The pattern that text here has to match, if there is one."""
        return _pattern(self.field.annotation, self.field.metadata) if self.field is not None else None


ROOT = Spot(Scenario)


def key_of(name: str, field: FieldInfo) -> str:
    """The key that scenario files use for a field."""
    return field.alias or name


def fields_of(model: type[Model]) -> dict[str, FieldInfo]:
    """The fields of a model by the key that scenario files use."""
    return {key_of(name, field): field for name, field in model.model_fields.items()}


def _pattern(annotation: Any, metadata: Sequence[Any] = ()) -> str | None:
    for extra in (*metadata, *getattr(annotation, "__metadata__", ())):
        if isinstance(extra, StringConstraints) and isinstance(extra.pattern, str):
            return extra.pattern
    inner = (_pattern(argument) for argument in get_args(annotation))
    return next((pattern for pattern in inner if pattern), None)


def bare(annotation: Any) -> Any:
    """An annotation without its ``Annotated`` metadata and without ``| None``."""
    if isinstance(annotation, types.GenericAlias | type):
        return annotation
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return bare(members[0])
    return annotation


def models(spot: Spot, value: Any = None) -> list[type[Model]]:
    """The models that may stand at a spot; just one if ``value`` tells which."""
    if isinstance(spot.type, type) and issubclass(spot.type, Model):
        return [spot.type]
    if get_origin(spot.type) not in (Union, types.UnionType):
        return []
    chosen = _chosen(spot, value)
    members = list(_members(spot.type))
    return [model for tag, model in members if tag == chosen] or [model for _, model in members]


def _members(union: Any) -> Iterator[tuple[str, type[Model]]]:
    for member in get_args(union):
        model = bare(member)
        if not (isinstance(model, type) and issubclass(model, Model)):
            continue
        tags = [extra.tag for extra in getattr(member, "__metadata__", ()) if hasattr(extra, "tag")]
        if not tags and "kind" in model.model_fields:
            tags = list(get_args(model.model_fields["kind"].annotation))
        for tag in tags:
            yield tag, model


def _chosen(spot: Spot, value: Any) -> Any:
    discriminator = spot.field.discriminator if spot.field else None
    if isinstance(discriminator, Discriminator) and callable(discriminator.discriminator):
        return discriminator.discriminator(value)
    return value.get("kind") if isinstance(value, dict) else None


def models_below(model: type[Model]) -> list[type[Model]]:
    """A model and all models that it is made of, each once, in the order of the fields."""
    found: dict[type[Model], None] = {model: None}
    for field in model.model_fields.values():
        for below in _models_in(field.annotation):
            found.update(dict.fromkeys(models_below(below)))
    return list(found)


def _models_in(annotation: Any) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    else:
        for argument in get_args(annotation):
            yield from _models_in(argument)


def child(spot: Spot, key: str | int, value: Any = None) -> Spot | None:
    """The spot below ``spot`` at ``key``, ``value`` being what stands at ``spot``; None if nothing may stand there."""
    for model in models(spot, value):
        field = fields_of(model).get(str(key))
        if field is not None:
            return Spot(bare(field.annotation), field)
    origin, arguments = get_origin(spot.type), get_args(spot.type)
    if origin is dict and isinstance(key, str):
        return _inner(arguments[1])
    if origin is tuple and isinstance(key, int):
        index = 0 if len(arguments) == 2 and arguments[1] is Ellipsis else key
        return _inner(arguments[index]) if index < len(arguments) else None
    return None


def _inner(annotation: Any) -> Spot:
    """The spot of an entry of a list or map, keeping the discriminator of a union."""
    metadata = getattr(annotation, "__metadata__", ())
    found = next((extra for extra in metadata if isinstance(extra, Discriminator)), None)
    info = FieldInfo(discriminator=found) if found is not None else None
    return Spot(bare(annotation), info)


def spot_at(path: Path, data: Any) -> Spot | None:
    """The spot that ``path`` leads to in ``data``; None if the models know of none."""
    spot: Spot | None = ROOT
    for key in path:
        if spot is None:
            return None
        spot = child(spot, key, data)
        data = step(data, key)
    return spot


def step(data: Any, key: str | int) -> Any:
    """The value at ``key`` of plain data; None if there is none."""
    if isinstance(data, dict):
        return data.get(key)
    if isinstance(data, list) and isinstance(key, int) and 0 <= key < len(data):
        return data[key]
    return None


def has(data: Any, key: str | int) -> bool:
    """Whether plain data has something at ``key``."""
    return (isinstance(data, dict) and key in data) or (
        isinstance(data, list) and isinstance(key, int) and 0 <= key < len(data)
    )


def known_keys(spot: Spot, value: Any = None) -> list[str]:
    """The keys that may stand at a spot; empty if it is no model."""
    keys: dict[str, None] = {}
    for model in models(spot, value):
        keys.update(dict.fromkeys(fields_of(model)))
    return list(keys)


def kinds(spot: Spot) -> list[str]:
    """The kinds by which the members of a union at a spot are told apart."""
    return [tag for tag, _ in _members(spot.type)]


def choices(spot: Spot) -> list[str]:
    """The values that a spot allows, if they can be listed."""
    if get_origin(spot.type) is Literal:
        return [str(choice) for choice in get_args(spot.type)]
    if get_origin(spot.type) in (Union, types.UnionType):
        literals = (member for member in map(bare, get_args(spot.type)) if get_origin(member) is Literal)
        return [str(choice) for member in literals for choice in get_args(member)]
    return []
