"""The compiled hot path: the same results as the sources, never in the place of other sources, as well-behaved.

Needs a build of these sources, which `make fast` makes; what notices builds of other sources needs none.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from meshsim import compiled, compiling
from tests.test_cli_process import hear_signals, interrupted
from tests.test_fidelity import BASELINES

ROOT = Path(__file__).parent.parent
SCENARIOS = ROOT / "scenarios"
LIMIT_S = 300
DIGEST = """
import sys, tempfile
from pathlib import Path
from meshsim import compiled, compiling
from meshsim.experiment import load
from meshsim.results.content import run_digest
from meshsim.results.tables import ParquetSink
from meshsim.telemetry.recorder import Recorder
from meshsim.world.world import World

with tempfile.TemporaryDirectory() as folder:
    sink = ParquetSink(Path(folder))
    World(load(sys.argv[1], None, sys.argv[2], sys.argv[3:]), Recorder(sink)).run()
    print(compiled.in_use(), run_digest(sink.close()))
"""


@pytest.fixture(scope="module")
def build() -> None:
    """A build of these sources. MESHSIM_EXPECT_COMPILED says that there has to be one."""
    if not compiled.fits():
        assert not os.environ.get("MESHSIM_EXPECT_COMPILED"), "no build of these sources, though one was made"
        pytest.skip("no compiled build of these sources: `make fast` makes one, with a C compiler")


def variables(*, pure: bool, package: Path = ROOT) -> dict[str, str]:
    """The environment in which Python takes the compiled modules, or does not, of the package in a folder."""
    others = {name: value for name, value in os.environ.items() if name != compiled.PURE_VARIABLE}
    return others | ({compiled.PURE_VARIABLE: "1"} if pure else {}) | {"PYTHONPATH": str(package)}


def python(
    *arguments: str | Path, pure: bool = False, folder: Path = ROOT, package: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run Python with or without the compiled modules."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=variables(pure=pure, package=package),
        timeout=LIMIT_S,
        preexec_fn=hear_signals,
    )


def digest(*arguments: str) -> str:
    """Run a scenario compiled; return its digest."""
    done = python("-c", DIGEST, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    in_use, text = done.stdout.split()
    assert in_use == "True"
    return text


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize(
    ("scenario", "fidelities"),
    [
        ("hello-mesh", ("modelled", "sampled", "real")),
        ("plant-control", ("sampled",)),
        ("what-answers-tell", ("modelled", "real")),
        ("v2x-corridor", ("sampled",)),
        ("slice-isolation", ("modelled",)),
    ],
)
def test_same_digest_as_the_sources(scenario: str, fidelities: tuple[str, ...]) -> None:
    """Compiled, each fidelity comes to the digest of the baseline, to which the sources come (test_fidelity.py)."""
    path = str(SCENARIOS / f"{scenario}.yaml")
    expected = json.loads((BASELINES / f"{scenario}.json").read_text(encoding="utf-8"))["digest"]
    assert {fidelity: digest(path, fidelity) for fidelity in fidelities} == dict.fromkeys(fidelities, expected)


@pytest.mark.usefixtures("build")
def test_every_module_is_compiled_or_none() -> None:
    """All modules of the list come from the build, and with the variable that asks for it from the sources."""
    names = json.dumps([f"meshsim.{name}" for name in compiled.MODULES])
    program = f"import importlib, json; print(*[importlib.import_module(n).__file__ for n in json.loads('{names}')])"
    assert all(Path(file).is_relative_to(compiled.HOME) for file in python("-c", program).stdout.split())
    sources = python("-c", program, pure=True).stdout.split()
    assert len(sources) == len(compiled.MODULES)
    assert all(Path(file).suffix == ".py" for file in sources)


RAISING = """
import traceback
from types import SimpleNamespace
from meshsim.scenario.errors import InvariantViolation
from meshsim.world.accounts import Account, Request
from meshsim.world.compute import Cores
from meshsim.world.hosts import Host, Machine, Records

costs = SimpleNamespace(proxy_request_ns=1, proxy_response_ns=1, tcp_message_ns=1)
caller = Host("h", "w", Machine("n", "s", 1, costs, 0, Records(costs)), "spiffe://a.example/h")
account = Account(7, SimpleNamespace(destination="shop"), Request(3, "s", "c", "web", 0), caller, None, 0)
account.end_ns = 5
account.spend(0, 9)
try:
    account.check()
except InvariantViolation:
    traceback.print_exc()
try:
    Cores(1).submit("now", 5)
except TypeError:
    traceback.print_exc()
"""


@pytest.mark.usefixtures("build")
def test_errors_name_their_lines() -> None:
    """What compiled code raises can be caught as its own kind, and its traceback names the line of the source."""
    told = python("-c", RAISING)
    assert (told.returncode, told.stdout) == (0, ""), told.stderr
    violation, wrong = told.stderr.split("Traceback (most recent call last):")[1:]
    line = 1 + next(
        number
        for number, text in enumerate((compiled.PACKAGE / "world" / "accounts.py").read_text().splitlines())
        if "raise InvariantViolation(" in text
    )
    assert f'accounts.py", line {line}, in check' in violation
    assert "the account of call 7" in violation
    assert 'compute.py", line ' in wrong


@pytest.mark.usefixtures("build")
def test_an_interruption_ends_a_run(tmp_path: Path) -> None:
    """Ctrl-C in the midst of a compiled run ends it with exit code 130 and leaves nothing behind."""
    interrupted(tmp_path / "results", "modelled", ".*/*.parquet", "SIGINT", variables(pure=False))


PRODUCTS = """
import random, signal, sys
from meshsim import compiled, compiling
from meshsim.network.medium import SliceQueue

class Stop(Exception):
    pass

def stop(*_):
    raise Stop

def fill(queue):
    for now_ns in range(10**9):
        queue.has_tokens(10**10, 10**7, now_ns)

signal.signal(signal.SIGALRM, stop)
heard, instants = 0, random.Random(1)
for _ in range(int(sys.argv[1])):
    try:
        signal.setitimer(signal.ITIMER_REAL, instants.uniform(0.0002, 0.002))
        fill(SliceQueue("control", 500_000, 1))
    except Stop:
        heard += 1
print(compiled.in_use(), heard)
"""


@pytest.mark.usefixtures("build")
def test_signals_within_large_products_are_heard() -> None:
    """What a handler raises while a compiled medium multiplies comes out of the code around it, each time."""
    done = python("-c", PRODUCTS, "1000")
    assert (done.returncode, done.stdout, done.stderr) == (0, "True 1000\n", "")


INTERRUPTING = """
import os, random, signal, sys, tempfile, threading
import meshsim, meshsim.commands.progress, meshsim.commands.running
from meshsim import compiled, compiling
from meshsim.cli import run_command

instants = random.Random(1)
with tempfile.TemporaryDirectory() as folder:
    # All is imported before: Python leaves halves of modules behind where an import is interrupted.
    meshsim.run(sys.argv[3], overrides=["duration=1 s"], fidelity="modelled", out=f"{folder}/before")
with tempfile.TemporaryDirectory() as folder:
    for number in range(int(sys.argv[1])):
        sent = signal.SIGTERM if number % 2 else signal.SIGINT
        timer = threading.Timer(instants.uniform(0.3, 1.2), os.kill, (os.getpid(), sent))
        timer.start()
        ended = run_command(["run", sys.argv[2], "--fidelity", "modelled", "--out", f"{folder}/run"])
        timer.join()
        print(ended, *os.listdir(folder))
print(compiled.in_use())
"""


@pytest.mark.usefixtures("build")
def test_interruptions_end_every_run() -> None:
    """Whenever a signal comes in a run whose media are busy, the exit code is 130 and nothing stays behind."""
    tries = 16
    scenarios = (SCENARIOS / "slice-isolation.yaml", SCENARIOS / "hello-mesh.yaml")
    done = python("-c", INTERRUPTING, str(tries), *scenarios)
    assert (done.returncode, done.stdout) == (0, "130\n" * tries + "True\n")
    assert done.stderr == "meshsim: interrupted; nothing unfinished was kept\n" * tries


@pytest.mark.usefixtures("build")
def test_runs_in_spawned_processes(tmp_path: Path) -> None:
    """Processes of a pool, which start anew, run compiled too, and what comes back from them can be pickled."""
    program = tmp_path / "pool.py"
    program.write_text(
        "import sys\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "import meshsim\n"
        "def run(seed):\n"
        "    from meshsim.compiled import in_use\n"
        "    overrides = ['duration=1 s']\n"
        "    done = meshsim.run(sys.argv[1], seed=seed, overrides=overrides, fidelity='modelled', out=f'r{seed}')\n"
        "    return in_use(), done.digest\n"
        "if __name__ == '__main__':\n"
        "    with ProcessPoolExecutor(2, get_context('spawn')) as pool:\n"
        "        print(*pool.map(run, [1, 2]))\n",
        encoding="utf-8",
    )
    done = python(program, SCENARIOS / "hello-mesh.yaml", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("True") == 2


@pytest.mark.usefixtures("build")
def test_the_manifest_says_how_it_ran(tmp_path: Path) -> None:
    """Whether a run was compiled stands in the manifest's host facts, outside the digest, and in the benchmark's."""
    manifests = []
    for pure in (False, True):
        out = tmp_path / f"run-{pure}"
        arguments = ("run", SCENARIOS / "hello-mesh.yaml", "--set", "duration=1 s", "--out", out, "--quiet")
        python("-m", "meshsim", *arguments, pure=pure, folder=tmp_path)
        manifests.append(json.loads((out / "manifest.json").read_text(encoding="utf-8")))
    assert [manifest["host"]["compiled"] for manifest in manifests] == [True, False]
    assert manifests[0]["digest"] == manifests[1]["digest"]
    told = python("-m", "meshsim", "bench", "--requests", "200", "--json", folder=tmp_path)
    assert json.loads(told.stdout)["compiled"] is True
    assert python("-m", "meshsim", "--version", folder=tmp_path).stdout.splitlines()[1] == "hot path compiled"


PROBE = """
import sys
sys.prefix = sys.argv[1]
from meshsim.world import accounts
from meshsim.compiled import in_use
print(in_use(), accounts.__file__)
"""
"""Says whether a build in the folder that is named is taken, and where a module of it comes from."""


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize("changed", ["world/accounts.py", "network/loss.py", "products.h", ""])
def test_a_build_is_of_one_text_only(changed: str, tmp_path: Path) -> None:
    """The build fits a copy of its sources, and no longer when one of them, compiled or not, has one more line."""
    shutil.copytree(compiled.PACKAGE, tmp_path / "meshsim", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(compiled.HOME, tmp_path / compiled.HOME.name)
    if changed:
        with (tmp_path / "meshsim" / changed).open("a", encoding="utf-8") as file:
            file.write("\n")
    told = python("-c", PROBE, tmp_path, folder=tmp_path, package=tmp_path)
    assert told.stdout.split()[0] == str(not changed), told.stderr
    assert ("the compiled modules are of other sources" in told.stderr) == bool(changed)


@pytest.mark.parametrize("name", compiled.MODULES)
def test_no_constructor_gets_unpacked_arguments(name: str) -> None:
    """Compiled modules spell out what they give super().__init__: mypyc passes an unpacked tuple on as one argument."""
    tree = ast.parse((compiled.PACKAGE / name.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert not [call.lineno for call in calls if ast.unparse(call.func).startswith("super()") and _unpacks(call)]


def _unpacks(call: ast.Call) -> bool:
    return any(isinstance(argument, ast.Starred) for argument in call.args)


BUILDING = """
import sys, time
from pathlib import Path
from meshsim import compiled, compiling

def make():
    print("compiling")
    time.sleep(0.5)
    compiled.HOME.mkdir()
    (compiled.HOME / compiled.FINGERPRINT).write_text(compiled.fingerprint())

compiled.HOME = Path(sys.argv[1]) / compiled.HOME.name
compiling._look_for_tools, compiling._make = (lambda: None), make
compiling.main()
"""


def test_one_at_a_time_builds(tmp_path: Path) -> None:
    """Of three who want a build at once one makes it, and what one that was killed left is gone."""
    (tmp_path / f"{compiled.HOME.name}-killed").mkdir()
    command = [sys.executable, "-c", BUILDING, str(tmp_path)]
    together = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [process.communicate(timeout=LIMIT_S)[0] for process in together]
    already = f"{len(compiled.MODULES)} modules are compiled already, of these sources\n"
    assert [process.returncode for process in together] == [0, 0, 0]
    assert sorted(one.splitlines()[-1] for one in told) == [already[:-1]] * 2 + ["compiling"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [compiled.HOME.name, f"{compiled.HOME.name}.lock"]


@pytest.mark.parametrize("absent", ["mypyc", "setuptools", "cc"])
def test_a_missing_tool_is_told(
    absent: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without mypyc, setuptools or a C compiler `make fast` ends with exit code 3 and names what is missing."""
    monkeypatch.setattr(compiling, "find_spec", lambda name: None if name == absent else object())
    monkeypatch.setenv("CC", "no-such-compiler" if absent == "cc" else sys.executable)
    with pytest.raises(SystemExit) as ended:
        compiling._look_for_tools()
    assert ended.value.code == compiling.TOOL_MISSING
    (line,) = capsys.readouterr().err.splitlines()
    assert ("no-such-compiler" if absent == "cc" else absent) in line
    assert line.endswith("meshsim works without, only slower")


@pytest.mark.parametrize("fingerprint", ["0" * 64, ""])
def test_a_build_of_other_sources_is_noticed(fingerprint: str, tmp_path: Path) -> None:
    """Beside a build of other sources the sources are taken, and one line says so, unless they were asked for."""
    shutil.copytree(compiled.PACKAGE, tmp_path / "meshsim", ignore=shutil.ignore_patterns("__pycache__"))
    home = tmp_path / compiled.HOME.name
    home.mkdir()
    (home / compiled.FINGERPRINT).write_text(fingerprint, encoding="ascii")
    told = python("-c", PROBE, tmp_path, folder=tmp_path, package=tmp_path)
    assert told.stdout.split() == ["False", str(tmp_path / "meshsim" / "world" / "accounts.py")]
    assert told.stderr == (
        "meshsim: the compiled modules are of other sources, so the slower sources are used; "
        "`make fast` compiles anew\n"
    )
    pure = python("-c", PROBE, tmp_path, folder=tmp_path, package=tmp_path, pure=True)
    assert (pure.returncode, pure.stderr) == (0, "")
