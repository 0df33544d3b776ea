"""The JSON Schema, the key reference and the starter: generated, in step, and usable."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jsonschema
import pytest

from meshsim.scenario.errors import InfrastructureError, UsageError
from meshsim.scenario.field_reference import reference_text, write_reference
from meshsim.scenario.init import starter_files, write_starter
from meshsim.scenario.loader import load_scenario
from meshsim.scenario.model import Scenario
from meshsim.scenario.schema import schema_text
from meshsim.scenario.shape import fields_of, models_below
from meshsim.scenario.yaml_text import parse_yaml

ROOT = Path(__file__).parents[2]
SHIPPED = [*sorted((ROOT / "scenarios").glob("*.yaml")), ROOT / "tests" / "scenario" / "data" / "valid.yaml"]
VALIDATOR = jsonschema.Draft202012Validator(json.loads(schema_text()))
HOW = "run: python -m meshsim.scenario.field_reference docs"


def test_files_in_docs_are_in_step() -> None:
    """The schema and the reference in docs are what the models give now."""
    assert (ROOT / "docs" / "scenario.schema.json").read_text(encoding="utf-8") == schema_text(), HOW
    assert (ROOT / "docs" / "scenario.md").read_text(encoding="utf-8") == reference_text(), HOW


def test_reference_can_be_written(tmp_path: Path) -> None:
    """Both files are written under their names."""
    assert [path.name for path in write_reference(tmp_path)] == ["scenario.schema.json", "scenario.md"]


def test_schema_is_a_schema() -> None:
    """The schema is valid JSON Schema itself."""
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text()))


def test_every_key_has_a_meaning() -> None:
    """Every model and every key has a description, and every default that is not a section's is said."""
    schema = json.loads(schema_text())
    for model in models_below(Scenario):
        part = schema if model is Scenario else schema["$defs"][model.__name__]
        assert part["description"], model
        for key in fields_of(model):
            assert part["properties"][key]["description"], (model, key)
            assert isinstance(part["properties"][key].get("default", ""), str | int | float | bool | list | dict)


def test_described_defaults_are_the_defaults() -> None:
    """Where a description says a plain default and the schema has one, they are the same."""
    schema = json.loads(schema_text())
    compared = 0
    for part in [schema, *schema["$defs"].values()]:
        for key, content in part["properties"].items():
            default = content.get("default")
            _, marker, said = content["description"].partition("Default: ")
            if marker and isinstance(default, str | int) and not isinstance(default, bool):
                first = said.rstrip(".").split(", as ")[0]
                spelt = {"1 h": "3600 s", "2 h": "7200 s", "365 d": "31536000 s", "empty": "", "0 s": "0 ms"}
                assert spelt.get(first, first) == str(default), (key, said, default)
                compared += 1
    assert compared > 30


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_schema_accepts_shipped_scenarios(path: Path) -> None:
    """The schema accepts each shipped scenario, as written and as resolved."""
    loaded = load_scenario(path)
    for text in (loaded.text, loaded.resolved):
        assert list(VALIDATOR.iter_errors(parse_yaml(text, path.name)[0])) == []


@pytest.mark.parametrize("path", SHIPPED[:-1], ids=lambda path: path.name)
def test_shipped_scenarios_name_the_schema(path: Path) -> None:
    """Each shipped scenario names the schema in its first line, so that editors complete."""
    assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=../docs/scenario.schema.json\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed: 7", "sed: 7"),
        ("60 s", "60"),
        ("kind: core", "kind: cloud"),
        ("five_qi: 82", "five_qi: 81"),
        ("{exponential: 2 ms}", "{exponential: 2 ms, constant: 1 ms}"),
        ("{size: 20, radio: drive}", "{size: 20}"),
        ("latency_p99: {at_most: 50 ms}", "latency_p99: {}"),
        ("{to: vision}, {to: store, optional: true}", "{to: vision}"),
        ("  vision: {", "  Vision_2: {"),
        (", latency_p99: {at_most: 50 ms}", ""),
    ],
)
def test_schema_refuses(old: str, new: str) -> None:
    """The schema refuses what an editor should underline."""
    text = SHIPPED[-1].read_text(encoding="utf-8")
    assert text.count(old) >= 1
    assert list(VALIDATOR.iter_errors(parse_yaml(text.replace(old, new, 1), "x")[0]))


def test_starter_loads(tmp_path: Path) -> None:
    """The starter is written whole, names its schema, and has no mistake."""
    paths = write_starter(tmp_path / "new" / "mesh")
    assert [path.name for path in paths] == ["scenario.yaml", "mesh.cedar", "scenario.schema.json"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["mesh"]
    loaded = load_scenario(paths[0])
    assert loaded.text.startswith("# yaml-language-server: $schema=scenario.schema.json\n")
    assert list(VALIDATOR.iter_errors(parse_yaml(loaded.text, "x")[0])) == []
    assert {path.name: path.read_text(encoding="utf-8") for path in paths} == starter_files()


def test_starter_overwrites_nothing(tmp_path: Path) -> None:
    """If one of the files is there, nothing is written; beside other files the starter is added."""
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "mesh.cedar").write_text("mine")
    with pytest.raises(UsageError, match=r"has mesh\.cedar already"):
        write_starter(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mesh.cedar", "notes.txt"]
    assert (tmp_path / "mesh.cedar").read_text() == "mine"
    (tmp_path / "mesh.cedar").unlink()
    assert len(write_starter(tmp_path)) == 3


def test_starter_needs_a_folder(tmp_path: Path) -> None:
    """A file in place of the folder is the caller's mistake, a folder that cannot be made the machine's."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is not a folder"):
        write_starter(tmp_path / "file")
    with pytest.raises(InfrastructureError):
        write_starter(tmp_path / "file" / "below")


@pytest.mark.parametrize("there", [False, True], ids=["new folder", "folder that exists"])
def test_starter_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """If the disk fills up at the second file, the first one is taken back."""
    target = tmp_path / "mesh"
    if there:
        target.mkdir()
    opened = io.open

    def full(path: object, mode: str = "r", *arguments: object, **options: object) -> object:
        if str(path).endswith("mesh.cedar") and mode in ("w", "x"):
            raise OSError(28, "No space left on device")
        return opened(path, mode, *arguments, **options)  # type: ignore[call-overload] # passed on

    monkeypatch.setattr(io, "open", full)  # what pathlib opens files with
    with pytest.raises(InfrastructureError, match="No space left"):
        write_starter(target)
    monkeypatch.undo()
    assert list(target.iterdir() if there else tmp_path.iterdir()) == []
