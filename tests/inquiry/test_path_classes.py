"""Classes of paths where sidecars normalise them, each side of a comparison in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations_with_replacement
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meshsim.inquiry.ask import ask
from meshsim.inquiry.constants_istio import _path, read
from meshsim.inquiry.matrix import compare
from meshsim.inquiry.path_classes import RAW, PathClasses
from meshsim.inquiry.patterns import SEGMENT, Pattern, exactly, glob, prefix, suffix, within
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject, subject_of_scenario
from meshsim.policy.engine import Directory, PolicyFile
from meshsim.policy.istio import IstioEngine
from meshsim.policy.istio_path import normalized
from meshsim.policy.question import Question
from meshsim.scenario.policy import IstioPolicy
from tests.inquiry.conftest import SCENARIO
from tests.inquiry.test_patterns import matches

MODES = ("NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES")
POLICIES = """\
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: deny, namespace: shop}}
spec: {{action: DENY, rules: [{{to: [{{operation: {{paths: {deny}}}}}]}}]}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: allow, namespace: shop}}
spec: {{rules: [{{to: [{{operation: {{paths: {allow}}}}}]}}]}}
"""
SPECS = [
    "/", "/*", "/a", "/a/*", "*/a", "*a", "/.*", "/a/.*", "/..*", "*/", "//a", "//*", "*//", "/a//b", "/%*", "/a%2F*",
    "/{*}/a",    "/a/{*}/b", "*/.", "/a;*", "/%6*", "/%2*", "*%", "/a/../b", "/{**}", "/a/b/{*}", "/a%2Fb",
    "/a%2fb", "*%2F..%2Fb", "*%61", "/.;a", "/a%5Cb", "/6*", "*%2561", "/%25*", "/[*", "/{*}",
]  # fmt: skip
PIECES = ["/", "//", "/./", "/../", "%2F", "%2f", "%5C", "\\", "%2e", "%", "%6", "%61", "a", "b", ".", ";", "6",
          "%00", "..;", "/..;a%2Fb", "%%36", "1", "[", "{", "#", " "]  # fmt: skip
PATHS = st.lists(st.sampled_from(PIECES), max_size=8).map(lambda pieces: "/" + "".join(pieces))
SPEC_LISTS = st.lists(st.sampled_from(SPECS), min_size=1, max_size=3, unique=True)
PAIRS = [*combinations_with_replacement((RAW, *MODES), 2)]
WRITTEN = [within("//"), within("/a/"), within("%2F"), glob("/a*b*"), Pattern((*"/a/", SEGMENT)), exactly("/ a")]
"""Patterns of engines that see paths as they are written."""


def engine(deny: list[str], allow: list[str], mode: str) -> IstioEngine:
    """An engine that denies some paths and allows others."""
    file = PolicyFile("p.yaml", POLICIES.format(deny=deny, allow=allow), "p.yaml")
    directory = Directory(services=frozenset({"back"}), namespaces={"back": "shop"}, ports={"back": {8080: "http"}})
    return IstioEngine.from_sources([file], directory, "allow", IstioPolicy(path_normalization=mode))


def allows(one: IstioEngine, path: str) -> bool:
    """Whether an engine allows a path."""
    return one.decide(Question("", "front", "back", "GET", path, "", "", mutual=False, port=8080)).allowed


@settings(max_examples=300, deadline=None)
@given(
    SPEC_LISTS, SPEC_LISTS, st.sampled_from([*combinations_with_replacement(MODES, 2)]), st.lists(PATHS, max_size=30)
)
@example(["/a", "/a/*"], ["/*"], ("BASE", "MERGE_SLASHES"), ["//a", "/b/..//a", "///a/b"])
@example(["/.*"], ["/*"], ("BASE", "BASE"), ["/.a", "/.", "/%2e;x"])
@example(["/a"], ["/*"], ("MERGE_SLASHES", "MERGE_SLASHES"), ["//a", "//", "///"])
@example(["/{*}"], ["/*"], ("BASE", "BASE"), ["/[", "/a"])
@example(["*/", "/%2*"], ["*//", "//*"], ("BASE", "DECODE_AND_MERGE_SLASHES"), ["/%5C"])
def test_no_decision_flips_outside_of_what_is_listed(
    deny: list[str], allow: list[str], modes: tuple[str, str], paths: list[str]
) -> None:
    """Both engines decide every path as the witness of its class."""
    engines = [engine(deny, allow, mode) for mode in modes]
    patterns = read([PolicyFile("p.yaml", POLICIES.format(deny=deny, allow=allow), "p.yaml")]).texts["path"]
    classes = PathClasses(dict.fromkeys(modes, patterns))
    assert classes.exhausted
    decided: Mapping[str, list[bool]] = {
        one.shown: [allows(each, one.witness) for each in engines] for one in classes.classes
    }
    assert len(decided) == len(classes.classes)
    for path in paths:
        if any(normalized(path, mode) is not None for mode in modes):
            assert [allows(each, path) for each in engines] == decided[classes.of(path)]


@settings(max_examples=300, deadline=None)
@given(SPEC_LISTS, SPEC_LISTS, st.lists(st.sampled_from(WRITTEN)), st.sampled_from(PAIRS), st.lists(PATHS, max_size=30))
def test_every_path_is_in_a_class(
    one: list[str], other: list[str], written: list[Pattern], modes: tuple[str, str], paths: list[str]
) -> None:
    """Two sides compare paths with patterns of their own, each by its mode; whatever a path is to them is a class."""
    views = {mode: [_path(value) for value in values] for mode, values in zip(modes, (one, other), strict=True)}
    views |= {RAW: [*views[RAW], *written]} if RAW in views else {}
    classes = PathClasses(views)
    assert classes.exhausted
    known = {one.shown: one.witness for one in classes.classes}
    assert len(known) == len(classes.classes)
    for path in paths:
        if any(mode == RAW or normalized(path, mode) is not None for mode in modes):
            assert _matched(views, known[classes.of(path)]) == _matched(views, path)


def _matched(views: Mapping[str, list[Pattern]], path: str) -> list[list[bool] | None]:
    """Which patterns a path matches by each mode, by Python's regular expressions; None where it is refused."""
    found: list[list[bool] | None] = []
    for mode, patterns in views.items():
        seen = path if mode == RAW else normalized(path, mode)  # type: ignore[arg-type] # one of the modes
        found.append(None if seen is None else [matches(one, seen) for one in patterns])
    return found


@given(st.lists(st.sampled_from(["/", "//", "a", ".", "..", ";", "%", "%6", "1", "%2F", "\\"]), max_size=6))
def test_normalised_paths_are_their_own_classes(pieces: list[str]) -> None:
    """What normalisation makes of a path is left alone by it: the search has to look at no others."""
    for mode in MODES[1:]:
        path = normalized("/" + "".join(pieces), mode)  # type: ignore[arg-type] # one of the modes
        assert path is None or normalized(path, mode) == path  # type: ignore[arg-type] # one of the modes


@pytest.mark.parametrize(
    ("modes", "path"),
    [
        (("BASE", "DECODE_AND_MERGE_SLASHES"), "/b%2F..%2Fadmin"),
        (("MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"), "/b%5C..%5Cadmin"),
        (("NONE", "BASE"), "/b/../admin"),
        (("RAW", "MERGE_SLASHES"), "//admin"),
        (("NONE", "DECODE_AND_MERGE_SLASHES"), "/\\admin"),
    ],
)
def test_every_pair_of_modes_is_exact(modes: tuple[str, str], path: str) -> None:
    """What is one thing by one mode and another by the other is a class, and there is one for each such pair."""
    first, second = modes
    patterns = [exactly("/admin"), prefix("/admin/")]
    classes = PathClasses(dict.fromkeys(modes, patterns))
    assert classes.exhausted
    kinds = {one.shown: one for one in classes.classes}
    hidden = kinds[f"what is any other by {first} and /admin by {second}"]
    assert classes.of(path) == hidden.shown
    assert hidden.matched == (f"/admin by {second}",)
    assert f"what is any other by {first} and /admin/* by {second}" in kinds
    assert f"what is /admin/* by {first} and /admin by {second}" in kinds
    # /admin by the first one: parameters of a dot segment hide from it what the one that decodes sees
    hides = first in ("BASE", "MERGE_SLASHES")
    assert (f"what is /admin by {first} and any other by {second}" in kinds) is hides


def test_escapes_that_one_side_alone_reads() -> None:
    """A comparison of the path as it is written with the one that escapes are taken out of has the escapes of both."""
    views = {"NONE": [prefix("/%61")], "BASE": [exactly("/admin")]}
    found = {one.shown: one.witness for one in PathClasses(views).classes}
    assert found["what is /%61* by NONE and /admin by BASE"] == "/%61dmin"


@pytest.mark.parametrize(
    ("written", "changed"),
    [
        ("/../*", "/a"),  # nothing is taken back where nothing is
        ("/%%*", "/%2561b"),  # what would make an escape of a percent sign has that encoded
        ("/b/.;*", "/b/a"),  # parameters of a dot segment are left out
        ("/b\\..*", "/a"),
        ("/x/y/../../*", "/a/b"),
        ("*/..;x", "/a/"),
    ],
)
def test_detours_that_one_side_alone_sees(written: str, changed: str) -> None:
    """What is taken back, left out or written in another way is a class of both sides, in one certain form alone."""
    views = {"NONE": [_path(written)], "BASE": [exactly(changed)]}
    assert f"what is {written} by NONE and {changed} by BASE" in {one.shown for one in PathClasses(views).classes}


def test_no_side_reads_what_the_other_side_compares() -> None:
    """Patterns of one side are no matter to paths as the other side sees them."""
    views = {"NONE": [prefix("/%61")], "MERGE_SLASHES": [exactly("/b")]}
    assert {one.matched for one in PathClasses(views).classes} == {
        (),
        ("/%61* by NONE",),
        ("/b by MERGE_SLASHES",),
        ("/%61* by NONE", "/b by MERGE_SLASHES"),
        ("refused by MERGE_SLASHES",),
        ("/%61* by NONE", "refused by MERGE_SLASHES"),
    }


def test_classes_that_only_doubled_slashes_reach() -> None:
    """What merging would never show a policy is a class where slashes are not merged, and none where they are."""
    patterns = [within("//"), suffix("/a")]
    both = {one.shown: one.witness for one in PathClasses({"BASE": patterns}).classes}
    assert both == {"*/a": "/a", "*//*": "//", "*//* and */a": "//a", "any other": "/"}
    merged = {one.shown for one in PathClasses({"MERGE_SLASHES": patterns}).classes}
    assert merged == {"*/a", "any other", "*//*"}  # of slashes alone, two are left


def _subject(folder: Path, mode: str) -> Subject:
    text = POLICIES.format(deny='["/admin", "/admin/*"]', allow=[]).replace("shop", "plant")
    (folder / "p.yaml").write_text(text.partition("---")[0], encoding="utf-8")
    policy = f"{{engine: istio, files: [p.yaml], istio: {{path_normalization: {mode}}}}}"
    file = folder / f"{mode}.yaml"
    file.write_text(SCENARIO.replace("{files: [plant.cedar]}", policy), encoding="utf-8")
    return subject_of_scenario(file)


def test_another_normalisation_is_a_difference(tmp_path: Path) -> None:
    """A comparison of BASE with MERGE_SLASHES lists the paths that only the latter takes for what is denied."""
    base, merging, decoding = (_subject(tmp_path, mode) for mode in MODES[1:])
    found = compare(merging, base)
    assert not found.space.approximate
    assert {flip.now_allowed for flip in found.flips} == {True}
    assert {flip.witness.path for flip in found.flips} == {"//admin"}
    listed = {shown for flip in found.flips for box in flip.region.boxes for shown in box["path"]}
    assert listed == {f"what is any other by BASE and {path} by MERGE_SLASHES" for path in ("/admin", "/admin/*")}
    assert not compare(base, base).flips
    assert not compare(base, decoding).space.approximate
    assert {flip.now_allowed for flip in compare(base, decoding).flips} == {False, True}


@pytest.mark.parametrize(
    ("change", "denied"),
    [
        (("  policy: {engine", "  #policy: {engine"), {"/admin", "/admin/*"}),
        (("namespace: plant}", "namespace: plant, ports: {8080: {protocol: tcp}}}"), {"what is refused by BASE"}),
    ],
)
def test_paths_that_one_side_alone_refuses_are_a_difference(
    tmp_path: Path, change: tuple[str, str], denied: set[str]
) -> None:
    """Where no HTTP is spoken nobody refuses a path: whoever begins to is told; a first policy is not blamed."""
    subject = _subject(tmp_path, "BASE")
    if len(denied) == 1:  # connections are denied altogether by a rule about paths
        head = (tmp_path / "p.yaml").read_text(encoding="utf-8").partition("spec")[0]
        rule = 'spec: {rules: [{from: [{source: {principals: ["*"]}}]}]}'
        (tmp_path / "p.yaml").write_text(head + rule, encoding="utf-8")
        subject = subject_of_scenario(tmp_path / "BASE.yaml")
    (tmp_path / "blind.yaml").write_text((tmp_path / "BASE.yaml").read_text().replace(*change), encoding="utf-8")
    blind = subject_of_scenario(tmp_path / "blind.yaml")
    found = compare(blind, subject)
    assert not found.space.approximate
    flips = [flip for flip in found.flips if (flip.caller.name, flip.callee.name) == ("robots", "planner")]
    assert {shown for flip in flips for box in flip.region.boxes for shown in box["path"]} == denied
    assert {flip.now_allowed for flip in flips} == {False}
    for path, allowed in (("/%00", [True, False]), ("/x", [True, True])) if len(denied) == 1 else ():
        request = Request(source="robots/0", destination="planner", path=path)
        assert [ask(one, request).decision.allowed for one in (blind, subject)] == allowed


def test_modes_that_differ_in_nothing_but_what_is_refused() -> None:
    """A path as it is written, beside one that is looked at first and not changed: some paths are refused there."""
    classes = PathClasses({RAW: [prefix("/a")], "NONE": [prefix("/a")]})
    assert "what is any other by RAW and refused by NONE" in {one.shown for one in classes.classes}
