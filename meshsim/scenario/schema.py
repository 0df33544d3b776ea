"""The JSON Schema of scenario files, for editors: generated from the models, never written by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import TypeAdapter

from meshsim.scenario.fields import Model
from meshsim.scenario.fiveqi import FIVE_QI
from meshsim.scenario.metric_expectations import METRIC_NAMES
from meshsim.scenario.model import Scenario
from meshsim.scenario.qos import OPERATOR_SPECIFIC
from meshsim.scenario.shape import fields_of, models_below

SCHEMA_FILE = "scenario.schema.json"
"""Name of the schema's file in docs/ and beside a starter scenario."""
_EXACTLY_ONE = {
    "Radio": ("trace", "quantiles", "nr", "fixed"),
    "ExtraDelay": ("uniform", "normal", "lognormal", "empirical"),
    "Work": ("constant", "exponential", "uniform", "lognormal"),
    "Arrivals": ("poisson", "constant", "trace"),
    "Fleet": ("radio", "node"),
}
_AT_LEAST_ONE = {
    "MetricExpectation": METRIC_NAMES,
    "Failure": ("first", "total"),
    **dict.fromkeys(("DurationBound", "ShareBound", "RateBound", "CountBound"), ("at_most", "at_least")),
}


def scenario_schema() -> dict[str, Any]:
    """The schema (JSON Schema 2020-12) with meanings, examples and defaults of all keys.

    It accepts every scenario that can be loaded; what needs more than one value to see (names, sums, reach) it leaves
    to the loader.
    """
    schema = Scenario.model_json_schema(by_alias=True)
    for model in models_below(Scenario):
        part = schema if model is Scenario else schema["$defs"][model.__name__]
        for key, field in fields_of(model).items():
            _tidy_property(part["properties"][key])
            if not field.is_required():
                _set_default(part["properties"][key], model, key)
    for name, keys in _EXACTLY_ONE.items():
        schema["$defs"][name]["oneOf"] = [{"required": [key]} for key in keys]
    for name, keys in _AT_LEAST_ONE.items():
        schema["$defs"][name]["anyOf"] = [{"required": [key]} for key in keys]
    own = {"type": "integer", "minimum": OPERATOR_SPECIFIC[0], "maximum": OPERATOR_SPECIFIC[-1]}
    schema["$defs"]["Slice"]["properties"]["five_qi"]["anyOf"] = [{"enum": list(FIVE_QI)}, own]
    for part in _parts(schema):
        _mend_part(part)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "meshsim scenario"}


def schema_text() -> str:
    """The schema as the bytes of docs/scenario.schema.json."""
    return json.dumps(scenario_schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy_property(part: dict[str, Any]) -> None:
    part.pop("title", None)  # made from the key: says nothing
    part.pop("default", None)


def _set_default(part: dict[str, Any], model: type[Model], key: str) -> None:
    """Write a default as a scenario file would; defaults of whole sections are those of their keys."""
    field = fields_of(model)[key]
    if field.default is None or isinstance(field.default, Model):
        return
    kind: Any = field.annotation
    if field.metadata:
        kind = Annotated[(kind, *field.metadata)]
    part["default"] = TypeAdapter(kind).dump_python(field.default, mode="json", by_alias=True)


def _parts(part: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a schema, itself included."""
    if isinstance(part, dict):
        yield part
        for value in part.values():
            yield from _parts(value)
    elif isinstance(part, list):
        for value in part:
            yield from _parts(value)


def _mend_part(part: dict[str, Any]) -> None:
    if part.get("type") == "array" and "minLength" in part:
        part["minItems"] = part.pop("minLength")  # pydantic cannot see through the conversion from lists
    if "patternProperties" in part:
        part["additionalProperties"] = False  # a name is the only kind of key there
