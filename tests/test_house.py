"""The laws of the house, read off the source. Each law is shown here to catch what it forbids."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import meshsim

ROOT = Path(__file__).parent.parent
MAX_MODULE_LINES = 350
MAX_FUNCTION_LINES = 80

Law = Callable[[str], Iterator[str]]


def only_a_docstring(source: str) -> Iterator[str]:
    """A room's __init__ defines its nouns and holds no code."""
    body = ast.parse(source).body
    if not body or ast.get_docstring(ast.parse(source)) is None:
        yield "has no docstring"
    if len(body) > 1:
        yield f"line {body[1].lineno}: code in a room's __init__"


def short_modules(source: str) -> Iterator[str]:
    """A module can be read at one sitting."""
    lines = source.count("\n")
    if lines > MAX_MODULE_LINES:
        yield f"{lines} lines, more than {MAX_MODULE_LINES}"


def short_functions(source: str) -> Iterator[str]:
    """A function can be seen at one glance."""
    for node in _functions(source):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > MAX_FUNCTION_LINES:
            yield f"line {node.lineno}: {node.name} has {lines} lines, more than {MAX_FUNCTION_LINES}"


def docstrings_say_what_is_shown(source: str) -> Iterator[str]:
    """Every test has a docstring of one sentence."""
    for node in _functions(source):
        if node.name.startswith("test"):
            docstring = ast.get_docstring(node)
            if not docstring:
                yield f"line {node.lineno}: {node.name} has no docstring"
            elif not docstring.endswith(".") or "\n\n" in docstring or re.search(r"[.!?]\s+[A-Z]\w* ", docstring):
                yield f"line {node.lineno}: the docstring of {node.name} is not one sentence"


def ignores_give_a_reason(source: str) -> Iterator[str]:
    """A check is silenced by its name and with a reason beside it."""
    for number, line in enumerate(source.splitlines(), 1):
        if silenced := re.search(r"# (noqa|type: ignore|pragma: no cover)(.*)", line):
            named = silenced[1].startswith("pragma") or re.match(r"\[[a-z, -]+\]|: [A-Z]+[0-9]+", silenced[2])
            if not named or not re.search(r"(#| -) \w+ \w+", silenced[2]):
                yield f"line {number}: {silenced[0]!r} names no check or no reason"


def nothing_unfinished(source: str) -> Iterator[str]:
    """No stub and no promise is left in the code."""
    for number, line in enumerate(source.splitlines(), 1):
        if found := re.search(r"NotImplementedError|\b(TODO|FIXME|XXX)\b", line):
            yield f"line {number}: {found[0]}"


def no_shared_randomness(source: str) -> Iterator[str]:
    """Randomness comes from a named stream; never from a global generator or from the order of hashing."""
    tree = ast.parse(source)
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, name = ast.unparse(node.func.value), node.func.attr
            global_generator = owner == "random" and owner in imported and name != "Random"
            if global_generator or owner in ("np.random", "numpy.random", "secrets", "uuid"):
                yield f"line {node.lineno}: {owner}.{name} is not drawn from a stream of the scenario's seed"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hash":
            yield f"line {node.lineno}: hash() depends on the process; use a digest"


def no_places_of_one_machine(source: str) -> Iterator[str]:
    """Nothing names a folder that only one machine has."""
    for number, line in enumerate(source.splitlines(), 1):
        if found := re.search(r"(?<![\w.:/>])/(?:home|root|Users|tmp|work)/\w+", line):
            yield f"line {number}: {found[0]}"


def _functions(source: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _files(pattern: str) -> list[Path]:
    """Files of the project, without what tools leave behind."""
    return sorted(
        path
        for path in ROOT.glob(pattern)
        if path.is_file()
        and not any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(ROOT).parts)
    )


def _initializers() -> list[Path]:
    return _files("meshsim/*/**/__init__.py")


def _modules() -> list[Path]:
    return _files("meshsim/**/*.py")


def _deciding_modules() -> list[Path]:
    """The modules that decide what a result is; those that name temporary files or measure the host are others."""
    others = {"results", "emulation", "calibrate.py", "calibrate_probes.py", "bench.py"}
    return [path for path in _modules() if path.relative_to(ROOT / "meshsim").parts[0] not in others]


def _tests() -> list[Path]:
    return _files("tests/**/*.py")


def _prose_and_code() -> list[Path]:
    kinds = {".py", ".md", ".yaml", ".yml", ".toml", ".cedar", ".cedarschema", ".csv", ".json", ".ipynb"}
    places = ("*", "meshsim/**/*", "docs/**/*", "scenarios/**/*", "notebooks/**/*", "tests/**/*")
    here = Path(__file__).resolve()
    found = [path for place in places for path in _files(place) if path.suffix in kinds or path.name == "Makefile"]
    return [path for path in found if path.resolve() != here]


LAWS: list[tuple[Law, Callable[[], list[Path]]]] = [
    (only_a_docstring, _initializers),
    (short_modules, _modules),
    (short_functions, _modules),
    (docstrings_say_what_is_shown, _tests),
    (ignores_give_a_reason, lambda: _modules() + _tests()),
    (nothing_unfinished, _modules),
    (no_shared_randomness, _deciding_modules),
    (no_places_of_one_machine, _prose_and_code),
]


@pytest.mark.parametrize(("law", "files"), LAWS, ids=[law.__name__ for law, _ in LAWS])
def test_law(law: Law, files: Callable[[], list[Path]]) -> None:
    """No file breaks the law."""
    paths = files()
    assert paths, "the law finds no file to read"
    broken = [f"{path.relative_to(ROOT)}: {what}" for path in paths for what in law(path.read_text(encoding="utf-8"))]
    assert not broken, "\n".join([law.__doc__ or "", *broken])


@pytest.mark.parametrize(
    ("law", "source"),
    [
        (only_a_docstring, "x = 1\n"),
        (only_a_docstring, '"""Nouns."""\nimport os\n'),
        (short_modules, "\n" * (MAX_MODULE_LINES + 1)),
        (short_functions, "def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES),
        (docstrings_say_what_is_shown, "def test_x():\n    pass\n"),
        (docstrings_say_what_is_shown, 'def test_x():\n    """One. Two more."""\n'),
        (docstrings_say_what_is_shown, 'def test_x():\n    """No stop"""\n'),
        (ignores_give_a_reason, "x = 1  # no" + "qa\n"),
        (ignores_give_a_reason, "x = 1  # no" + "qa: E501\n"),
        (ignores_give_a_reason, "x = 1  # type" + ": ignore[arg-type]\n"),
        (nothing_unfinished, "raise NotImplementedError\n"),
        (nothing_unfinished, "x = 1  # TODO\n"),
        (no_shared_randomness, "import random\nrandom.random()\n"),
        (no_shared_randomness, "np.random.default_rng()\n"),
        (no_shared_randomness, "hash('a')\n"),
        (no_places_of_one_machine, "open('/home/me')\n"),
    ],
)
def test_law_catches(law: Law, source: str) -> None:
    """Each law fails on an example of what it forbids."""
    assert list(law(source))


@pytest.mark.parametrize(
    ("law", "source"),
    [
        (docstrings_say_what_is_shown, 'def test_x():\n    """An address, e.g. 10.0.0.1, is kept (RFC 791)."""\n'),
        (ignores_give_a_reason, "x = 1  # no" + "qa: E501 - a table reads better\n"),
        (ignores_give_a_reason, "x = 1  # type" + ": ignore[arg-type]  # a wrong type on purpose\n"),
        (no_shared_randomness, "import random\nstream = random.Random(1)\nstream.random()\n"),
        (no_places_of_one_machine, "see https://example.org/home/page and ./work/x\n"),
    ],
)
def test_law_lets_pass(law: Law, source: str) -> None:
    """A law leaves alone what it does not forbid."""
    assert not list(law(source))


def _lock() -> dict[str, str]:
    """Name → the lines of its entry in the lock."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return {entry.partition("==")[0]: entry for entry in re.split(r"\n(?=\S)", text)}


def _pyproject() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_lock_holds_names_versions_and_hashes_only() -> None:
    """Every entry of the lock is exact and hashed, and none names where it comes from."""
    for name, entry in _lock().items():
        assert re.match(r"[a-z0-9][a-z0-9-]*==[^\s;]+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\s*$", entry), (
            name
        )


def test_lock_covers_what_the_package_asks_for() -> None:
    """Each dependency, of the package, its build and its development, is in the lock."""
    pyproject = _pyproject()
    wanted = [
        *pyproject["project"]["dependencies"],  # type: ignore[index]  # a table of the file
        *(name for group in pyproject["dependency-groups"].values() for name in group),  # type: ignore[attr-defined]  # likewise a table
    ]
    names = {re.split(r"[^\w.-]", requirement)[0].replace(".", "-").lower() for requirement in wanted}
    assert len(names) > 20
    assert names <= set(_lock())


def test_version_is_told_once() -> None:
    """The package and its metadata have the same version, and the changelog has a place for what comes next."""
    assert _pyproject()["project"]["version"] == meshsim.__version__  # type: ignore[index]  # a table of the file
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_notebooks_import_the_analysis_alone() -> None:
    """Of meshsim, notebooks use the public package and its analysis."""
    for notebook in _files("notebooks/**/*.ipynb"):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        imported = set(re.findall(r"(?:from|import) (meshsim[\w.]*)", source))
        assert all(re.fullmatch(r"meshsim(\.analysis(\..*)?)?", name) for name in imported), (notebook.name, imported)


def test_nothing_generated_is_kept() -> None:
    """What a run, a build or a tool makes is not under version control."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    command = ["git", "-C", str(ROOT), "ls-files"]
    kept = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert "pyproject.toml" in kept
    unwanted = re.compile(
        r"(^|/)(\.venv|__pycache__|build|dist|[^/]*\.egg-info|\.[a-z_]+_cache)/|^results/(?!baselines/|\.git)"
    )
    assert not [path for path in kept if unwanted.search(path)]
