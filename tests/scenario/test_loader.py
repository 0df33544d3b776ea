"""Loading whole files: what is refused before it is read, and what is handed on."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import pytest

from meshsim.scenario.data_files import ArrivalTrace, DelayQuantiles
from meshsim.scenario.diagnostics import format_diagnostics
from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.loader import LoadedScenario, load_scenario, load_text

DATA = Path(__file__).parent / "data"
VALID = (DATA / "valid.yaml").read_text(encoding="utf-8")


def refusal(path: Path) -> list[str]:
    """What is said of a file, without its folder."""
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert caught.value.exit_code == 2
    return [str(one).replace(f"{path.parent}/", "") for one in caught.value.diagnostics]


def written(folder: Path, content: bytes | str, name: str = "s.yaml") -> Path:
    """A file with this content."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture(scope="module")
def loaded() -> LoadedScenario:
    """The valid scenario."""
    return load_scenario(DATA / "valid.yaml")


def test_quantities_are_integers(loaded: LoadedScenario) -> None:
    """Quantities arrive as integers in base units."""
    scenario = loaded.scenario
    assert scenario.duration_ns == 60_000_000_000
    assert scenario.network.links[2].loss_ppm == 1000
    assert scenario.network.links[2].key == "ring"
    assert scenario.traffic[0].arrivals.poisson_uhz == 50_000_000
    assert scenario.services["store"].work.constant_ns == 200_000


def test_files_are_parsed(loaded: LoadedScenario) -> None:
    """Measurements, policies and the cost profile arrive in the forms the world uses, with their bytes."""
    drive = loaded.radio_traces["drive"]
    assert drive.times_ns == (0, 100_000_000, 200_000_000, 300_000_000)
    assert drive.round_trips_ns == (20_000_000, 22_500_000, 41_000_000, 18_000_000)
    assert drive.cells == ("cell-1", "cell-1", "cell-2", "cell-2")
    points = ((50_000, 500_000), (500_000, 700_000), (950_000, 900_000), (990_000, 920_000), (999_000, 940_000))
    assert loaded.radio_quantiles["plant"].uplink == DelayQuantiles(points)
    assert loaded.radio_quantiles["plant"].downlink.points[-1] == (999_000, 1_700_000)
    assert loaded.arrival_traces == {"audit": ArrivalTrace((10**9, 10**9, 2_500_000_000, 59_999_999_999))}
    assert loaded.policies == (("mesh.cedar", "permit (principal, action, resource);\n"),)
    assert list(loaded.files) == ["audit.csv", "drive.csv", "mesh.cedar", "quantiles.csv"]
    assert loaded.cost_profile.cpu("cortex-a72").operation_ns("x25519.keygen") > 0


def test_resolved_text_is_stable(loaded: LoadedScenario) -> None:
    """The resolved text reads as an equal scenario with the same text, and its digest does not depend on layout."""
    again = load_text(loaded.resolved, DATA / "valid.yaml")
    assert again.scenario == loaded.scenario
    assert again.resolved == loaded.resolved
    assert load_text("# a comment\n" + VALID.replace("60 s", "60000 ms"), DATA / "valid.yaml").sha256 == loaded.sha256
    assert load_text(VALID.replace("seed: 7", "seed: 8"), DATA / "valid.yaml").sha256 != loaded.sha256


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "s.yaml: the file is empty; expected a scenario ('meshsim init' writes one to begin with)"),
        (
            b"# only a comment\n",
            "s.yaml: the file is empty; expected a scenario ('meshsim init' writes one to begin with)",
        ),
        (b"\xff\xfea\x00", "s.yaml:1:1: the file holds UTF-16; expected text in UTF-8"),
        (b"a: 1\nb: \xc3\xa9 \xe9\n", "s.yaml:2:6: the file holds a byte that is not UTF-8; expected text in UTF-8"),
        (
            b"- a\n",
            "s.yaml:1:1: the file is not a mapping; "
            "expected keys such as scenario, duration, network, services, traffic",
        ),
        (b"a: \x00\n", "s.yaml:1:4: the control character U+0000 is not allowed; expected printable text"),
        (b"[" * 500, "s.yaml:1:65: values are nested too deeply; expected at most 64 levels"),
        (b"a: " + b"9" * 5000, "s.yaml:1:4: a number of 5000 digits is too large; expected at most 64 bits"),
        (
            b"- a\n" * 200_001,
            "s.yaml:200000:3: the file is too long; expected at most 200000 keys and values",
        ),
        (b"a: &a [*a]\n", "s.yaml:1:8: the alias *a has no anchor; expected &a before it"),
    ],
)
def test_whole_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """A file that is no scenario at all is one mistake, at its place."""
    assert refusal(written(tmp_path, content)) == [said]


def test_unreadable_files(tmp_path: Path) -> None:
    """A folder, a missing file, a pipe and a name with a null character are told, not tracebacks."""
    os.mkfifo(tmp_path / "pipe.yaml")
    assert refusal(tmp_path / "none.yaml") == ["none.yaml: there is no such file; expected one that exists"]
    assert refusal(tmp_path)[0].endswith(": this is a folder; expected a regular file")
    assert refusal(tmp_path / "pipe.yaml") == ["pipe.yaml: this is a device, pipe or socket; expected a regular file"]
    assert "cannot be opened" in refusal(tmp_path / "a\0b")[0]


def test_large_file(tmp_path: Path) -> None:
    """A file over 10 MB is refused without being parsed."""
    path = written(tmp_path, b"a: 1\n" + b"#" * 10_000_000)
    assert refusal(path) == ["s.yaml: the file is larger than 10 MB; expected a smaller one"]


def test_byte_order_mark_is_allowed() -> None:
    """A byte order mark is not part of the text."""
    path = written(DATA, b"\xef\xbb\xbf" + VALID.encode(), "bom.yaml")
    try:
        assert load_scenario(path).scenario.scenario == "corridor"
    finally:
        path.unlink()


def test_alias_bomb(tmp_path: Path) -> None:
    """Aliases that stand for a billion values are refused after the first 200 000, in under a second of CPU time."""
    names = "abcdefghi"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in itertools.pairwise(names)]
    path = written(tmp_path, "\n".join(lines))
    started = time.process_time()
    said = refusal(path)
    assert time.process_time() - started < 1
    assert [line.split(": ", 1)[1] for line in said] == [
        "the aliases of the file stand for too much; expected at most 200000 values, 64 deep"
    ]


def test_aliases_are_what_they_name() -> None:
    """An alias stands for a copy of the value with its anchor."""
    text = VALID.replace("work: {exponential: 2 ms}", "work: &w {exponential: 2 ms}")
    text = text.replace("work: {uniform: [1 ms, 3 ms]}", "work: *w")
    scenario = load_text(text, DATA / "valid.yaml").scenario
    assert scenario.services["vision"].work == scenario.services["planner"].work


def test_yaml_1_2_scalars(tmp_path: Path) -> None:
    """Scalars follow the core schema of YAML 1.2: no is text, 012 is twelve."""
    text = VALID.replace("corridor\n", "no\n", 1).replace("seed: 7", "seed: 012")
    scenario = load_text(text, DATA / "valid.yaml").scenario
    assert (scenario.scenario, scenario.seed) == ("no", 12)


def test_links_out_of_the_folder(tmp_path: Path) -> None:
    """A symbolic link does not lead out of the scenario's folder, and one inside is followed."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("quantiles.csv", "audit.csv", "mesh.cedar"):
        written(folder, (DATA / name).read_bytes(), name)
    outside = written(tmp_path, (DATA / "drive.csv").read_bytes(), "outside.csv")
    (folder / "drive.csv").symlink_to(outside)
    path = written(folder, VALID)
    said = "s.yaml:22:21: 'drive.csv' leads out of the scenario's folder; expected a file in it or below"
    assert refusal(path) == [said]
    (folder / "data").mkdir()
    written(folder / "data", outside.read_bytes(), "real.csv")
    (folder / "drive.csv").unlink()
    (folder / "drive.csv").symlink_to(folder / "data" / "real.csv")
    assert len(load_scenario(path).radio_traces["drive"].cells) == 4


def test_many_mistakes_are_cut_when_printed(tmp_path: Path) -> None:
    """A thousand mistakes of a kind are kept, a hundred printed, the rest counted."""
    with pytest.raises(ScenarioError) as caught:
        load_text("".join(f"k{index}: 1\n" for index in range(3000)), tmp_path / "s.yaml")
    found = caught.value.diagnostics
    assert 1000 <= len(found) <= 1010
    assert "more mistakes" in found[-1].message
    lines = format_diagnostics(found).splitlines()
    assert len(lines) == 101
    assert lines[-1] == f"and {len(found) - 100} more"
    assert format_diagnostics([Diagnostic("f", 1, 2, "x")]) == "f:1:2: x"
