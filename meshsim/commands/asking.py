"""``meshsim policy ask``: one question, answered by the real engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshsim.commands.answer import EXIT_FAILED, EXIT_PASSED, Answer
from meshsim.inquiry.ask import Verdict, ask
from meshsim.inquiry.other_policies import holds_scenario, subject_of_files
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import (
    Subject,
    subject_of_manifests,
    subject_of_scenario,
)
from meshsim.policy.istio_scope import ELSEWHERE
from meshsim.scenario.errors import Diagnostic, ScenarioError, UsageError
from meshsim.scenario.reading import read_bounded

if TYPE_CHECKING:
    from rich.console import Console

    from meshsim.policy.question import RuleAccount


SCENARIOS = (".yaml", ".yml")
"""What names of scenarios end in."""


def subject_of(
    scenario: Path | None, manifests: Path | None, settings: Sequence[str] = (), policies: Sequence[Path] = ()
) -> Subject:
    """What ``--scenario`` or ``--manifests`` names: exactly one of them; with other policies, if some are given."""
    if (scenario is None) == (manifests is None):
        raise UsageError("expected exactly one of --scenario FILE and --manifests DIR")
    if manifests is not None:
        subject = subject_of_manifests(manifests, settings)
    else:
        assert scenario is not None
        subject = subject_of_scenario(scenario, settings)
    return subject_of_files(subject, policies) if policies else subject


def named_by(scenario: Path | None, manifests: Path | None, settings: Sequence[str]) -> tuple[str, ...]:
    """The options that name a subject once more, for a command that can be pasted."""
    given = [("--scenario", scenario), ("--manifests", manifests)]
    named = [part for option, path in given if path is not None for part in (option, str(path))]
    return (*named, *(part for one in settings for part in ("--set", one)))


def other_named_by(
    scenario: Path | None, manifests: Path | None, paths: Sequence[Path], settings: Sequence[str]
) -> tuple[str, ...]:
    """The options that name what ``--diff`` does, likewise."""
    if any(path.is_dir() for path in paths):
        return named_by(None, paths[0], settings)
    if _is_scenario(paths):
        return named_by(paths[0], None, settings)
    files = (part for path in paths for part in ("--policies", str(path)))
    return (*named_by(scenario, manifests, settings), *files)


def _is_scenario(paths: Sequence[Path]) -> bool:
    return len(paths) == 1 and paths[0].suffix in SCENARIOS and holds_scenario(paths[0])


def other_subject(subject: Subject, paths: Sequence[Path], settings: Sequence[str]) -> Subject:
    """What ``--diff`` names: another scenario, a folder of manifests, or policy files around the names of ``subject``.

    Raises UsageError for a folder beside other names.
    """
    folder = next((path for path in paths if path.is_dir()), None)
    if folder is not None:
        if len(paths) > 1:
            raise UsageError(f"--diff: {folder} is a folder of manifests; expected it alone")
        return subject_of_manifests(folder, settings)
    if _is_scenario(paths):
        return subject_of_scenario(paths[0], settings)
    return subject_of_files(subject, paths)


def both_subjects(
    scenario: Path | None, manifests: Path | None, paths: Sequence[Path], settings: Sequence[str]
) -> tuple[Subject, Subject]:
    """What ``--scenario`` or ``--manifests`` names, and what ``--diff`` does; raises the mistakes in both at once."""
    try:
        subject = subject_of(scenario, manifests, settings)
    except ScenarioError as error:
        raise ScenarioError([*error.diagnostics, *_mistakes_beside(paths, settings)]) from None
    return subject, other_subject(subject, paths, settings)


def _mistakes_beside(paths: Sequence[Path], settings: Sequence[str]) -> list[Diagnostic]:
    """What is wrong with what ``--diff`` names, as far as that is known without the subject's names."""
    try:
        if len(paths) == 1 and paths[0].is_dir():
            subject_of_manifests(paths[0], settings)
        elif _is_scenario(paths):
            subject_of_scenario(paths[0], settings)
    except ScenarioError as error:
        return error.diagnostics
    except UsageError:
        pass  # told when the mistakes in files are mended
    return []


def pairs(texts: Sequence[str], what: str) -> list[tuple[str, str]]:
    """Split ``name=value`` texts; raises UsageError for those that are none."""
    parts = [[part.strip() for part in text.partition("=")] for text in texts]
    wrong = [text for text, (name, equals, _) in zip(texts, parts, strict=True) if not equals or not name]
    if wrong:
        raise UsageError(*(f"{what}: {text!r} is no pair; expected name=value" for text in wrong))
    return [(name, value) for name, _, value in parts]


def token_text(path: Path) -> str:
    """The token in a file, white space around it left out; raises UsageError for a file that cannot be read."""
    try:
        return read_bounded(path).decode("ascii").strip()
    except UnicodeDecodeError:
        raise UsageError(f"--token: {path} holds no token; expected its text alone, in ASCII") from None
    except ValueError as error:
        raise UsageError(f"--token: {path}: {error}") from None


def claims_of(texts: Sequence[str]) -> Mapping[str, Any] | None:
    """Claims from ``name=value`` texts: a value that reads as JSON is that, a name that comes again makes a list."""
    import json

    claims: dict[str, Any] = {}
    for name, text in pairs(texts, "--claim"):
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if name in claims:
            before = claims[name]
            value = [*before, value] if isinstance(before, list) else [before, value]
        claims[name] = value
    return claims or None


def answer_question(subject: Subject, request: Request, expected: str | None, *, quiet: bool) -> Answer:
    """Ask; the exit code is 1 if another answer was ``expected``."""
    verdict = ask(subject, request)
    passed = expected is None or (expected == "allow") == verdict.decision.allowed

    def draw(console: Console) -> None:
        _draw(console, verdict, expected, passed=passed, quiet=quiet)
        draw_warnings(console, [] if quiet else subject.warnings)

    document = {**_document(verdict, expected, passed=passed), "warnings": list(subject.warnings)}
    return Answer(document, draw, EXIT_PASSED if passed else EXIT_FAILED)


def draw_warnings(console: Console, warnings: Sequence[str]) -> None:
    """Tell what an answer does not rest on, and what may be meant otherwise than it is written."""
    from rich.padding import Padding

    if warnings:
        console.print()
    for warning in dict.fromkeys(warnings):
        console.print(Padding(f"warning: {warning}", (0, 0, 0, 0), style="yellow", expand=False))


def _document(verdict: Verdict, expected: str | None, *, passed: bool) -> dict[str, Any]:
    import msgspec

    decision, asked = verdict.decision, verdict.asked
    return {
        "command": "policy ask",
        "allowed": decision.allowed,
        "rule": decision.rule,
        "status": verdict.status,
        "connection_closed": decision.closes,
        "refused_by": decision.refused_by or None,
        "place": verdict.place or None,
        "reasons": [msgspec.to_builtins(one) for one in verdict.accounts],
        "errors_in_rules": list(decision.errors),
        "audited": list(decision.audited),
        "dry_run": decision.dry_run or None,
        "why_no_policy": verdict.why or None,
        "notes": list(verdict.notes),
        "mode": asked.mode,
        "port": asked.port,
        "target_port": asked.callee.targets[asked.port],
        "question": msgspec.to_builtins(asked.question),
        "assumed": dict(asked.assumed),
        "expected": expected,
        "passed": passed,
    }


def _draw(console: Console, verdict: Verdict, expected: str | None, *, passed: bool, quiet: bool) -> None:
    from rich.padding import Padding
    from rich.text import Text

    decision, asked = verdict.decision, verdict.asked
    mark, style = (
        ("\N{HEAVY CHECK MARK}", "bold cyan") if decision.allowed else ("\N{HEAVY MULTIPLICATION X}", "bold red")
    )
    word = "allowed" if decision.allowed else "denied"
    place = f"  {verdict.place}" if verdict.place else ""
    console.print(Text.assemble((f"{mark} {word}", style), f" by {decision.words}{place}"), soft_wrap=True)
    if verdict.why:
        console.print(Padding(verdict.why, (0, 0, 0, 2), expand=False))
    if not passed:
        console.print(Text(f"  expected was {expected}", style="bold red"))
    if quiet:
        return
    question = asked.question
    proof = question.principal or "no identity"
    target = asked.callee.targets[asked.port]
    leads = "" if target == asked.port else f", which leads to {target}"
    console.print(
        f"\n{asked.caller.name} ({proof})\n"
        f"  {question.method} {question.path} of {asked.callee.name}:{asked.port}{leads}"
    )
    if asked.assumed:
        said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in asked.assumed.items())
        console.print(f"  assumed: {said}")
    for note in verdict.notes:
        console.print(Text(f"  {note}", style="bold yellow"))
    for error in decision.errors:
        console.print(Text(f"  a rule failed and had no say: {error}", style="bold yellow"))
    for rule in decision.audited:
        console.print(f"  audited by {rule}")
    if decision.dry_run:
        console.print(f"  a policy on trial would have denied it: {decision.dry_run}")
    _draw_accounts(console, [one for one in verdict.accounts if one.rule != decision.rule])


def _draw_accounts(console: Console, accounts: Sequence[RuleAccount]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    if not accounts:
        return
    console.print("\nThe other rules:")
    elsewhere = [one for one in accounts if one.why.startswith(ELSEWHERE)]
    for one in accounts:
        if one in elsewhere:
            continue
        matched = "matched too" if one.matched else "did not match"
        console.print(
            Text.assemble("  ", (one.rule, "bold"), f" ({one.words}) {matched}  ", (one.place, "dim")), soft_wrap=True
        )
        if one.why:
            console.print(Padding(one.why, (0, 0, 0, 4), expand=False))
    if elsewhere:
        number = len({one.rule.rpartition("-rule[")[0] for one in elsewhere})
        console.print(f"  {number} {'policy is' if number == 1 else 'policies are'} for other namespaces")
