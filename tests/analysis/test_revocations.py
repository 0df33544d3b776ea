"""Revocations in summaries, on the terminal and in verdicts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

import meshsim
from meshsim.analysis.data import RunData
from meshsim.analysis.reasons import explained
from meshsim.analysis.revocation_figures import explained_revocations
from meshsim.analysis.verdict import evaluate
from meshsim.scenario.expectations import Expectation

STUDIES = Path(__file__).parents[2] / "scenarios" / "studies"
EXPECTATION: TypeAdapter[Any] = TypeAdapter(Expectation)


def data_of(run: meshsim.Run) -> RunData:
    """Return the tables of a run."""
    return RunData(run.path, run.scenario, run.manifest)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, meshsim.Run]:
    """A run in which every peer obeys in time, and one in which nobody ever does."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: meshsim.run(
            STUDIES / f"revocation-{name}.yaml", out=folder / name, overrides=["fidelity=modelled", "duration=40 s"]
        )
        for name in ("crl", "ocsp-client")
    }


@pytest.mark.parametrize(
    ("name", "expected", "words"),
    [
        ("crl", {"obeyed": {"at_most": "20 s"}}, ["pass"]),
        ("crl", {"obeyed": {"at_most": "1 s"}}, ["fail"]),
        ("crl", {"obeyed": {"at_least": "15 s"}, "served": {"at_most": 0}}, ["fail", "fail"]),
        ("crl", {"last_served": {"at_most": "15 s"}, "accepted": {"at_least": 10}}, ["pass", "pass"]),
        ("ocsp-client", {"obeyed": {"at_most": "1 h"}}, ["fail"]),
        ("ocsp-client", {"obeyed": {"at_least": "15 s"}}, ["pass"]),
        ("ocsp-client", {"obeyed": {"at_least": "20 s"}}, ["fail"]),
    ],
)
def test_verdicts(runs: dict[str, meshsim.Run], name: str, expected: dict[str, Any], words: list[str]) -> None:
    """Each bound is held against what was measured; that a peer never obeyed is no pass for an upper one."""
    expectation = EXPECTATION.validate_python({"revokes": {"after": "revoke", **expected}})
    assert [verdict.word for verdict in evaluate(data_of(runs[name]), [expectation])] == words


def test_nothing_served(runs: dict[str, meshsim.Run], tmp_path: Path) -> None:
    """Where nothing was served there is no last call: soon enough for any upper bound, and too soon for a lower one."""
    run = meshsim.run(STUDIES / "revocation-deny-list.yaml", out=tmp_path / "run", overrides=["fidelity=modelled"])
    for bound, word in (("at_most", "pass"), ("at_least", "fail")):
        wanted = {"revokes": {"after": "revoke", "last_served": {bound: "1 s"}}}
        (verdict,) = evaluate(data_of(run), [EXPECTATION.validate_python(wanted)])
        assert (verdict.word, verdict.reason) == (word, "no call was served")


def test_never(runs: dict[str, meshsim.Run]) -> None:
    """A handshake that rests on a revoked certificate fails the expectation that there be none."""
    (verdict,) = evaluate(
        data_of(runs["crl"]), [EXPECTATION.validate_python({"never": "revoked-certificate-accepted"})]
    )
    assert verdict.word == "fail"
    assert verdict.value == runs["crl"].handshakes.revoked_certificate.sum() > 0


def test_for_people(runs: dict[str, meshsim.Run]) -> None:
    """Summary and terminal tell when the last peer obeyed, and what was served until then."""
    (told,) = runs["crl"].summary["revocations"]
    (row,) = runs["crl"].revocations.to_dict("records")
    assert told["obeyed_after_ns"] == row["t_obeyed_ns"] - row["t_ns"]
    assert told["calls_to"] == row["calls_to"] > 0
    (part,) = [each for each in explained(runs["crl"].summary) if each.title == "Revocations"]
    assert part.rows[0][2].startswith("by the last of 10 after ")
    assert f"{row['calls_to']} calls, the last after" in part.rows[0][3]
    ((name, words),) = part.sentences
    assert name == "revoke"
    assert re.fullmatch(
        rf"\S+/\d was revoked at 24 s; the last of 10 peers obeyed after [\d.]+ s; "
        rf"{row['calls_to']} calls served in spite of it, the last after [\d.]+ s; "
        rf"\d+ handshakes? accepted; \d+ connections? cut",
        words,
    ), words
    (never,) = explained_revocations(runs["ocsp-client"].summary)
    assert never[2][0][2] == "by 0 of 2 peers"
    assert "; 0 of 2 peers obeyed; " in never[4][0][1]
    assert "Revocations" in (runs["crl"].path / "report.html").read_text(encoding="utf-8")


def test_what_was_refused_at_once_is_told_apart(runs: dict[str, meshsim.Run]) -> None:
    """New connections that were refused are told beside the live ones that were cut, where there are any."""
    (told,) = runs["crl"].summary["revocations"]
    (none,) = explained_revocations({"revocations": [told]})
    assert told["connections_refused"] == 0
    assert "refused" not in none[3] + none[4][0][1]
    (some,) = explained_revocations({"revocations": [told | {"connections_refused": 3}]})
    assert some[2][0][-2:] == (none[2][0][-2], "3")
    assert some[4][0][1] == f"{none[4][0][1]}; 3 new connections refused after the handshake"
    assert "refused are new ones" in some[3]
