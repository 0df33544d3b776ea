"""Tried cases in JUnit's XML, which build servers read (the schema of Jenkins' xunit plug-in)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from meshsim.inquiry.trial import Trial, Tried
from meshsim.scenario.errors import InfrastructureError

_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold (section 2.2)."""


def junit_text(trials: Sequence[tuple[Path, Trial]]) -> str:
    """The document: a suite for each file of cases, a case for each case."""
    root = ElementTree.Element("testsuites", name="meshsim policy test")
    for path, trial in trials:
        failed = sum(not one.passed for one in trial.tried)
        counts = {"tests": str(len(trial.tried)), "failures": str(failed), "errors": "0", "skipped": "0"}
        suite = ElementTree.SubElement(root, "testsuite", {"name": _plain(str(path)), **counts})
        for one in trial.tried:
            place = one.case.place
            case = ElementTree.SubElement(
                suite,
                "testcase",
                name=_plain(one.case.name),
                classname=_plain(path.stem),
                file=_plain(place.file),
                line=str(place.line),
            )
            if not one.passed:
                message = f"expected {one.wanted}, found {one.found}"
                failure = ElementTree.SubElement(case, "failure", message=_plain(message), type="policy")
                failure.text = _plain("\n".join(explanation(one)))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def explanation(one: Tried) -> list[str]:
    """Why a case came out as it did, line by line."""
    lines = [one.verdict.why] if one.verdict.why else []
    lines += one.verdict.notes
    for account in one.verdict.accounts:
        state = "matched" if account.matched else f"did not match: {account.why}"
        lines.append(f"{account.rule} ({account.words}, {account.place}) {state}")
    return lines


def write_junit(trials: Sequence[tuple[Path, Trial]], path: Path) -> None:
    """Write the document; raises InfrastructureError if the file cannot be written."""
    try:
        path.write_text(junit_text(trials), encoding="utf-8")
    except OSError as error:
        raise InfrastructureError(f"{path} cannot be written: {error.strerror}") from error


def _plain(text: str) -> str:
    return _UNPRINTABLE.sub("?", text)
