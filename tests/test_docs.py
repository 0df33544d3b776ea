"""The documents: what they tell to type works, what they show is so, and what they link to is there."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "scenarios").rglob("*.md")])
CARRIED_OUT = (
    "README.md",
    "docs/tutorial.md",
    "docs/findings.md",
    "docs/slices.md",
    "docs/radio.md",
    "docs/policies.md",
    "docs/tokens.md",
    "docs/studies.md",
    "docs/gate.md",
)

FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def load(name: str) -> ModuleType:
    """Import a script of docs/ by its name."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


console = load("console")


def prose(path: Path) -> str:
    """A document without its code blocks."""
    return FENCED.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a document."""
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")
        for heading in HEADING.findall(prose(path))
    }


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    """Every link to a file of the project finds it, and every anchor its heading."""
    for link in (first or second for first, second in LINK.findall(prose(path))):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the project"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("name", CARRIED_OUT)
def test_commands_and_outputs_are_real(name: str) -> None:
    """Every command of the document works and prints what is shown (`make renew` puts the true outputs in)."""
    assert console.true_text(ROOT / name) == (ROOT / name).read_text(encoding="utf-8")


def test_figures_of_the_readme_are_those_of_the_findings() -> None:
    """Each figure in the README's finding was computed from the tables by the commands of docs/findings.md."""
    (finding,) = re.findall(r"^\*(Forty cars.*?)\*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.S | re.M)
    computed = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    figures = re.findall(r"\d+(?:\.\d+)? (?:ms|%)", finding)
    assert len(figures) >= 4
    assert [figure for figure in figures if figure not in computed] == []


def test_states_are_those_of_the_code() -> None:
    """docs/tls-states.md is what its generator draws."""
    assert (ROOT / "docs" / "tls-states.md").read_text(encoding="utf-8") == load("tls_states").document()


def test_decisions_are_listed() -> None:
    """The list of decisions has each of them, in order, by its own title."""
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"^- \[(.*)\]\((.*)\)$", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    files = sorted(folder.glob("0*.md"))
    assert [name for _, name in listed] == [path.name for path in files]
    for number, (path, (title, _)) in enumerate(zip(files, listed, strict=True), start=1):
        assert path.read_text(encoding="utf-8").startswith(f"# {number}. {title}\n")
        assert path.name.startswith(f"{number:04}-")


def test_files_that_prose_names_are_there() -> None:
    """What architecture and decisions say about a file is about one that exists."""
    for path in [ROOT / "docs" / "architecture.md", *(ROOT / "docs" / "decisions").glob("*.md")]:
        for name in re.findall(r"`((?:[a-z_]+/)+[\w.-]*)`", prose(path)):
            assert (ROOT / name).exists() or (ROOT / "meshsim" / name).exists(), f"{path.name} names {name}"


@pytest.fixture
def reader(tmp_path: Path) -> object:
    """Somebody who types."""
    return console.Reader(tmp_path)


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("```console\n$ echo a; echo b\n…\nb\n```\n", None),
        ("```console\n$ echo a\nx\n```\n", "```console\n$ echo a\na\n```\n"),
        ("```console exit=3\n$ echo a\na\n$ exit 3\n```\n", None),
        (
            "```console\n$ printf 'p 1\\nq\\nr 2\\n'\n…\nr 1\n```\n",
            "```console\n$ printf 'p 1\\nq\\nr 2\\n'\n…\nr 2\n```\n",
        ),
        ("```sh\n$ false\n```\n", None),
        (
            "```yaml file=a/b\nk: 1\n```\n\n```diff file=a/b\n-k: 1\n+k: 2\n```\n\n```console\n$ cat a/b\nk: 2\n```\n",
            None,
        ),
        ("```python\nprint(1)\n```\n\n```text\n2\n```\n", "```python\nprint(1)\n```\n\n```text\n1\n```\n"),
    ],
)
def test_documents_are_carried_out(text: str, truth: str | None, reader: object) -> None:
    """Outputs are put right where they differ, and left alone where they do not."""
    assert console.carry_out(text, reader) == (truth or text)


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ exit 1\n```\n",
        "```console exit=1\n$ true\n```\n",
        "```console\n$ echo a\n…\nb\n```\n",
        "```yaml file=a\nk: 1\n```\n\n```diff file=a\n-k: 2\n+k: 3\n```\n",
        "```python\nraise SystemExit(1)\n```\n",
    ],
)
def test_what_cannot_be_carried_out_is_told(text: str, reader: object) -> None:
    """A wrong exit code, an output that is not there and a change that does not fit are differences."""
    with pytest.raises(console.DifferenceError):
        console.carry_out(text, reader)
