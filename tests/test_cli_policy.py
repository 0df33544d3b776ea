"""``meshsim policy``, called in this process."""

from __future__ import annotations

import io
import json
import shlex
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from meshsim.cli import run_command
from meshsim.commands.docs import COMMON, KEYS

ROOT = Path(__file__).parent.parent
CORRIDOR = ROOT / "scenarios" / "v2x-corridor.yaml"
ASK = ("policy", "ask", "--scenario", CORRIDOR)


class Said(NamedTuple):
    """What one command line came to."""

    exit_code: int
    out: str
    err: str


def meshsim(*arguments: str | Path) -> Said:
    """Run one command line here."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        exit_code = run_command([str(argument) for argument in arguments])
    return Said(exit_code, out.getvalue(), err.getvalue())


def document(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    """Exit code and document of one command line."""
    said = meshsim(*arguments, "--json")
    return said.exit_code, json.loads(said.out)


def test_ask_answers_with_the_rule() -> None:
    """The document has what DESIGN's contract names, and exactly the documented keys."""
    code, said = document(*ASK, "--source", "cars", "--destination", "haz", "--method", "POST", "--path", "/hazards")
    assert (code, said["allowed"], said["rule"]) == (0, True, "cars-report-hazards")
    assert said.keys() == {*COMMON, *KEYS["policy ask"]}
    assert said["command"] == "policy ask"
    assert len(said["reasons"]) == 10


def test_ask_prints_why_not() -> None:
    """People read the verdict first, then what was assumed, then why the other rules had no say."""
    said = meshsim(*ASK, "--source", "cars", "--destination", "storage", "--method", "PUT")
    assert said.exit_code == 0
    assert "denied by devices-stay-at-the-edge" in said.out
    assert "assumed: slice v2x, site west" in said.out
    assert "writers-of-storage (allow) did not match" in said.out


def test_ask_counts_the_policies_of_other_namespaces(tmp_path: Path) -> None:
    """What is for other namespaces is one line for people, and stands whole in the document."""
    service = (
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {0}, namespace: {0}}}\n"
        "spec: {{selector: {{app: {0}}}, ports: [{{port: 80, name: http}}]}}\n---\n"
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {0}, namespace: {0}}}\n"
        "spec: {{selector: {{matchLabels: {{app: {0}}}}}, template: {{metadata: {{labels: {{app: {0}}}}}, "
        "spec: {{containers: [{{name: a, image: a, ports: [{{containerPort: 80}}]}}]}}}}}}\n---\n"
    )
    policy = (
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {1}, namespace: {0}}}\n"
        "spec: {{action: DENY, rules: [{{to: [{{operation: {{paths: [/{1}]}}}}]}}, "
        "{{to: [{{operation: {{methods: [PUT]}}}}]}}]}}\n---\n"
    )
    text = service.format("pay") + service.format("shop") + policy.format("shop", "a")
    text += policy.format("pay", "b") + policy.format("pay", "c")
    (tmp_path / "all.yaml").write_text(text, encoding="utf-8")
    command = ("policy", "ask", "--manifests", tmp_path, "--source", "pay", "--destination", "shop")
    said = meshsim(*command)
    assert (said.exit_code, said.err) == (0, "")
    assert said.out.count("did not match") == 2
    assert said.out.rstrip().endswith("\n  2 policies are for other namespaces")
    whys = [one["why"] for one in document(*command)[1]["reasons"]]
    assert whys.count("it is for the namespace pay; shop is in shop") == 4


def test_ask_can_be_held_to_an_answer() -> None:
    """With --expect, another answer is exit code 1 in both formats."""
    question = (*ASK, "--source", "cars", "--destination", "storage", "--expect")
    assert meshsim(*question, "deny").exit_code == 0
    assert meshsim(*question, "allow").exit_code == 1
    assert document(*question, "allow")[0] == 1


def test_ask_tells_what_cannot_be_asked() -> None:
    """Unknown names, half pairs and missing subjects are one line and exit code 2."""
    for arguments, message in (
        ((*ASK, "--source", "car", "--destination", "nowhere"), "--destination: nothing here is called 'nowhere'"),
        ((*ASK, "--source", "cars", "--destination", "storage", "--header", "x"), "--header: 'x' is no pair"),
        (("policy", "ask", "--source", "a", "--destination", "b"), "expected exactly one of --scenario FILE"),
        ((*ASK, "--source", "cars", "--destination", "storage", "--time", "noon"), "--time: 'noon' is no instant"),
    ):
        said = meshsim(*arguments)
        assert (said.exit_code, said.out) == (2, "")
        assert message in said.err


def test_ask_tells_all_that_is_wrong_at_once(tmp_path: Path) -> None:
    """Mistakes in any of the options stand in lines of their own, in the order of the question's making."""
    options = {
        "--source": "carz",
        "--destination": "storrage",
        "--header": "x",
        "--claim": "y",
        "--time": "noon",
        "--certificate-age": "3",
        "--method": "get",
        "--path": "plans",
        "--source-ip": "1.2",
        "--group": "X2551",
        "--slice": "vx",
        "--node": "edge-8",
    }
    command = (*ASK, *(word for pair in options.items() for word in pair))
    said = meshsim(*command)
    assert (said.exit_code, said.out) == (2, "")
    lines = said.err.splitlines()
    assert sorted(line.split(": ")[1] for line in lines) == sorted(options)
    assert all(line.startswith("meshsim: --") and ("expected" in line or "did you mean" in line) for line in lines)
    errors = document(*command)[1]["errors"]
    assert [f"meshsim: {error['message']}" for error in errors] == lines
    lost = meshsim(*ASK, "--source", "cars", "--destination", "storage", "--token", tmp_path, "--token-at", "header=x")
    assert [line.split(": ")[1] for line in lost.err.splitlines()] == ["--token"]


def test_matrix_tells_who_may_call_whom(tmp_path: Path) -> None:
    """The matrix is drawn for people, told in a document, and painted."""
    picture = tmp_path / "matrix.png"
    said = meshsim("policy", "matrix", "--scenario", CORRIDOR, "--source", "cars", "--plot", picture)
    assert said.exit_code == 0
    assert "cars \N{RIGHTWARDS ARROW} hazard-detection\n    POST /hazards when slice is v2x\n" in said.out
    assert picture.read_bytes().startswith(b"\x89PNG")
    code, told = document("policy", "matrix", "--scenario", CORRIDOR, "--source", "cars", "--destination", "frame")
    assert (code, told["exact"], [cell["allowed"] for cell in told["cells"]]) == (0, True, ["some"])
    assert told["cells"][0]["regions"] == [{"method": ["POST"], "path": ["/frames"], "slice": ["video"]}]


def test_diff_tells_every_flip(tmp_path: Path) -> None:
    """What a changed policy newly allows stands first, and can fail a build."""
    policy = (ROOT / "scenarios" / "policies" / "v2x-corridor.cedar").read_text(encoding="utf-8")
    other = tmp_path / "other.cedar"
    other.write_text(policy.replace('Action::"PUT"', 'Action::"POST"'), encoding="utf-8")
    command = ("policy", "matrix", "--scenario", CORRIDOR, "--destination", "storage", "--diff", other)
    code, told = document(*command)
    assert (code, told["newly_allowed"], told["newly_denied"], told["exact"]) == (0, 2, 2, True)
    assert [flip["change"] for flip in told["flips"]] == ["newly allowed"] * 2 + ["newly denied"] * 2
    assert told["flips"][0]["witness"]["method"] == "POST"
    assert meshsim(*command, "--fail-on", "newly-allowed").exit_code == 1
    said = meshsim(*command)
    assert said.out.index("newly allowed  model-serving") < said.out.index("newly denied  model-serving")
    pasted = [line for line in said.out.splitlines() if line.startswith("    meshsim policy ask ")]
    answers = [meshsim(*shlex.split(line)[1:]) for line in pasted]
    assert {answer.exit_code for answer in answers} == {0}
    allowed = [answer.out.startswith("\N{HEAVY CHECK MARK} allowed") for answer in answers]
    assert allowed == [False, True] * 2 + [True, False] * 2  # before and after, flip by flip


def test_both_sides_of_a_flip_can_be_asked(tmp_path: Path) -> None:
    """A document has the options that ask either side, whatever names it: a scenario, a folder, files of policies."""
    hello = ROOT / "scenarios" / "hello-mesh.yaml"
    other, edited = tmp_path / "other.yaml", tmp_path / "policies" / "hello-mesh.cedar"
    edited.parent.mkdir()
    other.write_text(hello.read_text(encoding="utf-8"), encoding="utf-8")
    edited.write_text("permit (principal, action, resource);", encoding="utf-8")
    folder = ROOT / "scenarios" / "manifests" / "canary-sorting"
    copied = shutil.copytree(folder, tmp_path / "folder")
    (copied / "denied.yaml").write_text(DENIED, encoding="utf-8")
    setting = ("--set", "mesh.trust_domain=hello.example")
    for before, change, after in (
        (("--scenario", hello, *setting), edited, ("--scenario", hello, *setting, "--policies", edited)),
        (("--scenario", hello, *setting), other, ("--scenario", other, *setting)),
        (("--manifests", folder), copied, ("--manifests", copied)),
    ):
        flips = document("policy", "matrix", *before, "--diff", change)[1]["flips"]
        assert flips
        flip = flips[-1]
        assert flip["ask_before"] == [*map(str, before), *flip["ask"]]
        assert flip["ask_after"] == [*map(str, after), *flip["ask"]]
        asked = [document("policy", "ask", *flip[key])[1] for key in ("ask_before", "ask_after")]
        assert [one["allowed"] for one in asked] == [
            flip["change"] == f"newly {word}" for word in ("denied", "allowed")
        ]
    for wrong in (tmp_path / "none.cedar", other):
        said = meshsim(*ASK, "--source", "cars", "--destination", "storage", "--policies", wrong)
        assert (said.exit_code, said.out, str(wrong) in said.err) == (2, "", True)


DENIED = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: denied, namespace: sorting}
spec: {action: DENY, rules: [{to: [{operation: {methods: [PUT]}}]}]}
"""


def test_diff_reads_only_sound_policies(tmp_path: Path) -> None:
    """Mistakes in the other policies are told where they are, and senseless options too."""
    other = tmp_path / "other.cedar"
    other.write_text('permit (principal, action, resource == Service::"nowhere");', encoding="utf-8")
    said = meshsim("policy", "matrix", "--scenario", CORRIDOR, "--diff", other)
    assert (said.exit_code, said.out) == (2, "")
    assert f"{other}:1:49: unknown service 'nowhere'" in said.err
    for arguments, message in (
        (("--fail-on", "newly-allowed"), "expected --diff OTHER beside it"),
        (("--diff", other, "--fail-on", "x"), "--fail-on: 'x' is not known"),
        (("--plot", "a.txt"), "is no name for a picture"),
        (("--diff", tmp_path / "none.cedar"), "none.cedar: "),
    ):
        said = meshsim("policy", "matrix", "--scenario", CORRIDOR, *arguments)
        assert said.exit_code == 2
        assert message in said.err


def test_cases_fail_with_what_was_found(tmp_path: Path) -> None:
    """A failed case is exit code 1, in every format, and says where it stands, what was wanted and what was found."""
    cases = tmp_path / "cases.yaml"
    cases.write_text("cases: [{source: cars, destination: storage, method: PUT, expect: allow}]", encoding="utf-8")
    report = tmp_path / "report.xml"
    command = ("policy", "test", cases, "--scenario", CORRIDOR)
    said = meshsim(*command, "--junit", report)
    assert said.exit_code == 1
    assert f"    {cases}:1:9\n    expected allowed, found denied by devices-stay-at-the-edge\n" in said.out
    assert "0 passed, 1 failed\n1 of 10 rules decided a case\n" in said.out
    assert 'failures="1"' in report.read_text(encoding="utf-8")
    code, told = document(*command)
    assert (code, told["failed"], told.keys()) == (1, 1, {*COMMON, *KEYS["policy test"], "failed"})


def test_cases_can_be_held_to_a_coverage() -> None:
    """Too few rules that decide a case are exit code 1."""
    cases = ROOT / "scenarios" / "policies" / "v2x-corridor.test.yaml"
    assert meshsim("policy", "test", cases, "--min-coverage", "100 %").exit_code == 0
    few = ("policy", "test", cases, "--set", "fleets.cars.size=2", "--min-coverage")
    assert meshsim(*few, "half").exit_code == 2


def test_odd_values_are_warnings(tmp_path: Path) -> None:
    """A method in lower case is told by check, by a run and by the policy commands, beside exit code 0."""
    text = (ROOT / "scenarios" / "hello-mesh.yaml").read_text(encoding="utf-8")
    policy = (ROOT / "scenarios" / "policies" / "hello-mesh.cedar").read_text(encoding="utf-8")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "hello-mesh.cedar").write_text(
        f'{policy}\npermit (principal, action, resource) when {{ context.method == "get" }};\n', encoding="utf-8"
    )
    (tmp_path / "hello.yaml").write_text(text, encoding="utf-8")
    scenario = tmp_path / "hello.yaml"
    said = meshsim("check", scenario)
    assert said.exit_code == 0
    assert "warning:" in said.out
    code, checked = document("check", scenario)
    code_ask, asked = document(
        "policy", "ask", "--scenario", scenario, "--source", "phones", "--destination", "greeter"
    )
    assert (code, code_ask) == (0, 0)
    short = ("--set", "duration=1 s", "--set", "expect=[]", "--fidelity", "modelled", "--out", tmp_path / "run")
    code_run, ran = document("run", scenario, *short)
    assert code_run == 0
    assert checked["scenarios"][0]["warnings"] == asked["warnings"] == ran["warnings"]
    assert "methods are in upper case, so none is ever 'get'; expected 'GET'" in asked["warnings"][0]
