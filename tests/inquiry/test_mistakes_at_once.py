"""Mistakes of all kinds in one folder are told at once, in the order of their places, whatever command reads it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from meshsim.commands.asking import both_subjects
from meshsim.commands.checking import check_files
from meshsim.commands.importing import import_folder
from meshsim.experiment import load
from meshsim.inquiry.subject import subject_of_manifests, subject_of_scenario
from meshsim.scenario.errors import Diagnostic, ScenarioError

WORKLOAD = """\
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: shop}
spec: {selector: {app: NAME}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: shop}
spec:
  selector: {matchLabels: {app: NAME}}
  template: {metadata: {labels: {app: NAME}}, spec: {containers: [{name: a, image: b}]}}
---
"""
POLICY = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a, namespace: shop}
spec: {selector: {matchLabels: {app: LABEL}}, rules: [{to: [{operation: {methodz: [GET]}}]}]}
---
"""
PEER = """\
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: b, namespace: shop}
spec: {mtls: {mode: STRIKT}}
---
"""
RULE = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: c, namespace: shop}
spec: {host: back, trafficPolicy: {loadBalancer: {simple: ROUND_ROBINN}}}
---
"""
TOKENS = """\
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: d, namespace: shop}
spec: {jwtRules: [{issuerr: "https://a.example"}]}
"""
SCENARIO = """\
scenario: once
duration: 1 s
network:
  nodes: {edge-1: {kind: edge}}
  slices: {web: {sst: 1, five_qi: 9}}
services:
  back: {work: {constant: 1 ms}, placement: [edge-1]}
fleets: {users: {node: edge-1}}
traffic: [{from: users, to: back, slice: web, arrivals: {constant: 10 /s}}]
mesh: {manifests: [m], policy: {engine: istio, shadow: {files: [trial.yaml]}}}
changes: [{at: 500 ms, policy: {files: [later.yaml]}}]
"""
FOUND = {"back": (16, 21, 26, 31), "bakc": (16, 16, 21, 26, 31)}
"""Lines of the mistakes in the folder, by the label that its policy names."""


def folder(path: Path, label: str = "back", workload: str = WORKLOAD) -> Path:
    """A folder with a mistake in an object of each kind."""
    (path / "m").mkdir(parents=True)
    text = workload.replace("NAME", "back") + POLICY.replace("LABEL", label) + PEER + RULE + TOKENS
    (path / "m" / "a.yaml").write_text(text, encoding="utf-8")
    for name in ("trial", "later"):
        (path / f"{name}.yaml").write_text(POLICY.replace("LABEL", "back"), encoding="utf-8")
    (path / "s.yaml").write_text(SCENARIO, encoding="utf-8")
    return path


def mistakes(action: Callable[[], object]) -> list[Diagnostic]:
    """What an action raises."""
    with pytest.raises(ScenarioError) as error:
        action()
    found = error.value.diagnostics
    assert found == sorted(found)
    return found


def lines(found: list[Diagnostic], file: str) -> list[int]:
    """The lines of those in one file."""
    return [one.line for one in found if one.file.endswith(file)]


@pytest.mark.parametrize("label", FOUND)
def test_every_command_tells_all(tmp_path: Path, label: str) -> None:
    """Policies, modes, rules of destinations and of tokens: by scenario, as a folder, and when it is imported."""
    at = folder(tmp_path, label)
    by_scenario = mistakes(lambda: load(at / "s.yaml"))
    assert mistakes(lambda: subject_of_scenario(at / "s.yaml")) == by_scenario
    assert list(check_files([at / "s.yaml"], None, None, [], quiet=True).errors) == by_scenario
    assert lines(by_scenario, "m/a.yaml") == [*FOUND[label], 31]
    assert lines(by_scenario, "trial.yaml") == lines(by_scenario, "later.yaml") == [4]
    alone = mistakes(lambda: subject_of_manifests(at / "m"))
    imported = mistakes(lambda: import_folder(at / "m", at / "new.yaml", force=False, quiet=True))
    assert lines(alone, "a.yaml") == lines(imported, "a.yaml") == [*FOUND[label], 31]
    assert len(alone) == len(imported) == len(FOUND[label]) + 1


def test_both_sides_of_a_comparison(tmp_path: Path) -> None:
    """Mistakes in what is compared with are told beside those in what is compared."""
    one, other = folder(tmp_path / "one"), folder(tmp_path / "other")
    for second in (other / "m", other / "s.yaml"):
        found = mistakes(partial(both_subjects, None, one / "m", [second], []))
        assert lines(found, "one/m/a.yaml") == lines(found, "other/m/a.yaml") == [*FOUND["back"], 31]


def test_what_rests_on_names_that_are_not_known_is_not_told(tmp_path: Path) -> None:
    """Where a workload could not be read, no policy is told that nobody has the labels it names, but all else is."""
    broken = WORKLOAD.replace("kind: Deployment", "kind: Deploymentt")
    for number, workload in enumerate((broken, WORKLOAD.replace("NAME", "front") + broken)):
        at = folder(tmp_path / str(number), "bakc", workload)
        shift = 12 * number
        expected = [7 + shift, *(line + shift for line in (16, 21, 26, 31, 31))]
        alone = mistakes(partial(subject_of_manifests, at / "m"))
        assert lines(alone, "a.yaml") == expected
        assert not any("has the labels" in one.message for one in alone)


def test_policies_of_changes_and_on_trial_are_told_with_the_others(tmp_path: Path) -> None:
    """In a scenario that is sound the mistakes of all sets of policies come together."""
    at = folder(tmp_path)
    (at / "m" / "a.yaml").write_text(WORKLOAD.replace("NAME", "back") + POLICY.replace("LABEL", "back"), "utf-8")
    found = list(check_files([at / "s.yaml"], None, None, [], quiet=True).errors)
    assert [Path(one.file).name for one in found] == ["later.yaml", "a.yaml", "trial.yaml"]
