"""Everything that policies can tell apart, and what another set of policies flips."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.commands.answer import drawn
from meshsim.commands.matrices import answer_diff, answer_matrix
from meshsim.inquiry.ask import ask
from meshsim.inquiry.matrix import ALL, Comparison, Narrowed, build_matrix, compare
from meshsim.inquiry.picture import draw_picture
from meshsim.inquiry.region_words import region_words
from meshsim.inquiry.request import Request
from meshsim.inquiry.subject import Subject, needs_policy, subject_of_scenario, with_engine
from meshsim.policy.cedar import CedarEngine
from meshsim.policy.engine import Directory, PolicyFile
from meshsim.policy.question import Question
from meshsim.scenario.errors import UsageError
from tests.inquiry.conftest import POLICY, write


def variant(plant: Subject, policy: str) -> Subject:
    """The plant with another policy."""
    file = PolicyFile("other.cedar", policy)
    directory = Directory(
        services=frozenset(callee.name for callee in plant.callees),
        fleets=frozenset({"robots", "rovers"}),
        slices=frozenset(plant.slices),
        sites=frozenset(plant.sites),
        nodes=frozenset(plant.nodes),
        trust_domains=frozenset({plant.trust_domain, "audit.example"}),
        workloads={caller.spiffe_id: caller.workload for caller in plant.callers},
        namespaces={callee.name: callee.namespace for callee in plant.callees},
    )
    return with_engine(plant, "variant", CedarEngine.from_sources([file], directory), [file])


def believing(subject: Subject, trust_domain: str) -> Subject:
    """A mesh whose sidecars have the bundle of another trust domain."""
    replace = msgspec.structs.replace
    callees = [
        replace(one, ends={port: replace(end, trusts=end.trusts | {trust_domain}) for port, end in one.ends.items()})
        for one in subject.callees
    ]
    return replace(subject, callees=tuple(callees))


def told(comparison: Comparison) -> list[tuple[bool, str, str, str]]:
    """Each flip in few words."""
    return [
        (
            flip.now_allowed,
            flip.caller.name,
            flip.callee.name,
            "; ".join(region_words(flip.region, comparison.space.dimensions)),
        )
        for flip in comparison.flips
    ]


def test_the_witness_of_another_host_names_one(plant: Subject) -> None:
    """A flip that only other hosts have is shown by a request for such a host, which flips when it is asked."""
    before = variant(plant, "permit (principal, action, resource);")
    after = variant(plant, 'permit (principal, action, resource) when { context.host like "vi*" };')
    comparison = compare(before, after)
    flip = next(one for one in comparison.flips if (one.caller.name, one.callee.name) == ("planner", "vision"))
    assert (flip.now_allowed, flip.witness.host) == (False, "other.example")
    request = Request(source="planner", destination="vision", host=flip.witness.host)
    assert [ask(each, request).decision.allowed for each in (before, after)] == [True, False]


def test_hosts_that_no_pattern_names_are_a_class(plant: Subject) -> None:
    """A pattern that the host in witnesses matches leaves the others in the matrix, by another host."""
    subject = variant(plant, 'permit (principal, action, resource) when { context.host like "*.example" };')
    matrix = build_matrix(subject)
    cell = next(cell for cell in matrix.cells if (cell.caller.name, cell.callee.name) == ("planner", "vision"))
    assert (cell.extent, matrix.space.approximate) == ("some", ())
    assert region_words(cell.allowed, matrix.space.dimensions) == ["any request when host is *.example"]


def test_matrix_says_who_may_do_what(plant: Subject) -> None:
    """Each cell holds just what the policies allow, in the classes that their own literals make."""
    matrix = build_matrix(plant)
    cells = {
        (cell.caller.name, cell.callee.name): (cell.extent, region_words(cell.allowed, matrix.space.dimensions))
        for cell in matrix.cells
    }
    assert cells["robots", "planner"] == ("some", ["GET /plans/* but not */secret"])
    assert cells["rovers", "viewer"] == ("some", ["any method, any path but */secret when slice is video"])
    assert cells["planner", "vision"][0] == "some"
    assert cells["anyone", "planner"] == ("none", [])
    assert cells["viewer", "planner"] == ("none", [])
    assert not matrix.space.approximate
    assert matrix.questions == sum(cell.questions for cell in matrix.cells)


def test_matrix_can_be_narrowed(plant: Subject) -> None:
    """Of a large matrix one row or column can be asked for, and too large a one says so."""
    cells = build_matrix(plant, Narrowed(source="spiffe://plant.example/fleet/robots/0", destination="planner")).cells
    assert [(cell.caller.name, cell.callee.name) for cell in cells] == [("robots", "planner")]
    with pytest.raises(UsageError, match=r"can tell [0-9]+ questions apart, more than 10"):
        build_matrix(plant, most=10)


def test_a_space_that_is_too_large_is_refused_before_it_is_made(plant: Subject) -> None:
    """A product of many classes is counted, and not written out first."""
    fields = " || ".join(f'(context.headers has "x-{n}" && context.headers["x-{n}"] == "a")' for n in range(40))
    with pytest.raises(UsageError, match="more than 1000000"):
        build_matrix(variant(plant, f"permit (principal, action, resource) when {{ {fields} }};"))


def test_nothing_flips_between_a_policy_and_itself(plant: Subject) -> None:
    """The same policies decide the same."""
    assert compare(plant, plant).flips == ()


def test_newly_allowed_stands_first(plant: Subject) -> None:
    """Each flip has its region, a witness that the engines really decide differently, and both rules."""
    changed = POLICY.replace('"/plans/*"', '"/plans/a*"').replace(
        'when { context.slice == Slice::"video" }', 'when { context.slice == Slice::"control" }'
    )
    after = variant(plant, changed)
    comparison = compare(plant, after)
    assert told(comparison) == [
        (True, "rovers", "viewer", "any method, any path but */secret when slice is control"),
        (False, "robots", "planner", "GET /plans/* but not /plans/a* or */secret"),
        (False, "rovers", "viewer", "any method, any path but */secret when slice is video"),
    ]
    for flip in comparison.flips:
        assert needs_policy(plant).decide(flip.witness).allowed is not flip.now_allowed
        assert needs_policy(after).decide(flip.witness).allowed is flip.now_allowed


def test_identities_that_only_one_policy_names(plant: Subject) -> None:
    """An identity from elsewhere that a policy lets in is asked about, and flips where its bundle is believed."""
    stranger = "spiffe://audit.example/ns/audit/sa/auditor"
    after = variant(plant, POLICY + f'permit (principal == Workload::"{stranger}", action, resource);')
    assert compare(plant, after).flips == ()
    flips = compare(believing(plant, "audit.example"), believing(after, "audit.example")).flips
    assert {flip.caller.spiffe_id for flip in flips} == {stranger}


def test_scenarios_with_other_services(plant: Subject, tmp_path: Path) -> None:
    """Services that only one scenario has are named, and asked about as callers alone, as is said."""
    file = write(tmp_path)
    text = file.read_text(encoding="utf-8").replace("viewer", "screen").replace("Viewer", "Screen")
    file.write_text(text, encoding="utf-8")
    cedar = tmp_path / "plant.cedar"
    cedar.write_text(POLICY.replace("viewer", "screen"), encoding="utf-8")
    comparison = compare(plant, subject_of_scenario(file))
    assert (comparison.only_before, comparison.only_after) == (("viewer",), ("screen",))
    told = drawn(answer_diff(plant, subject_of_scenario(file), ALL, 1_000_000, (), quiet=True).draw)
    assert "only after, so asked about as callers and not as called: screen\n" in told


CONDITIONS = st.sampled_from(
    [
        'context.path like "/a*"',
        'context.path like "*b"',
        'context.path == "/ab"',
        'context.path like "/*c/*"',
        'context.slice == Slice::"video"',
        'context.site == Site::"office"',
        "context.mutual",
    ]
)
RULES = st.builds(
    lambda effect, who, action, to, conditions: (
        f"{effect} ({who}, {action}, {to})"
        + (f" when {{ {' && '.join(f'({one})' for one in conditions)} }};" if conditions else ";")
    ),
    st.sampled_from(["permit", "permit", "forbid"]),
    st.sampled_from(["principal", 'principal in Fleet::"robots"', 'principal in Service::"planner"']),
    st.sampled_from(["action", 'action == Action::"GET"', 'action in Action::"write"']),
    st.sampled_from(["resource", 'resource == Service::"vision"']),
    st.lists(CONDITIONS, max_size=2),
)
PATHS = ["/", "/a", "/ab", "/abb", "/b", "/xb", "/c/", "/xc/b", "/ac/", "/ac/b", "/q"]


@settings(max_examples=25, deadline=None)
@given(st.lists(RULES, min_size=1, max_size=3), st.lists(RULES, min_size=1, max_size=3))
def test_no_flip_is_missed(plant: Subject, one: list[str], other: list[str]) -> None:
    """Whatever a search over many requests finds decided differently, the comparison has told."""
    before, after = variant(plant, "\n".join(one)), variant(plant, "\n".join(other))
    flips = {(flip.caller.name, flip.callee.name, flip.now_allowed) for flip in compare(before, after).flips}
    found = set()
    for caller in (plant.callers[0], plant.callers[1], plant.callers[3]):
        for callee in plant.callees:
            for path in PATHS:
                for method in ("GET", "POST"):
                    for slice_ in plant.slices:
                        question = Question(
                            caller.spiffe_id, caller.workload, callee.name, method, path, slice_, "office", True
                        )
                        first, second = needs_policy(before).decide(question), needs_policy(after).decide(question)
                        if first.allowed != second.allowed:
                            found.add((caller.workload, callee.name, second.allowed))
    assert found <= flips


@pytest.mark.parametrize("condition", ['context.method == "PUT"', 'context.method like "PU*"'])
def test_the_matrix_tells_methods_apart_that_conditions_compare(plant: Subject, condition: str) -> None:
    """A method that stands in a condition, whole or in part, and not as an action is a class by itself."""
    subject = variant(plant, f"permit (principal, action, resource) when {{ {condition} }};")
    matrix = build_matrix(subject)
    cell = next(cell for cell in matrix.cells if (cell.caller.name, cell.callee.name) == ("robots", "planner"))
    assert region_words(cell.allowed, matrix.space.dimensions) == ["PUT any path"]


def test_a_picture_of_many_is_named_on_both_sides(plant: Subject) -> None:
    """Where names would be far away from a cell they stand on both sides, and a line parts workloads from the rest."""
    few = build_matrix(plant)
    axes = draw_picture(few).axes[0]
    assert not axes.yaxis.get_tick_params()["labelright"]
    lines = [line for line in axes.lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 2]
    workloads = {cell.caller.name for cell in few.cells if cell.caller.workload}
    assert [line.get_ydata()[0] for line in lines] == [len(workloads) - 0.5]
    replace = msgspec.structs.replace
    many = replace(
        few,
        cells=tuple(
            replace(cell, caller=replace(cell.caller, name=f"{cell.caller.name}-{n}"))
            for n in range(4)
            for cell in few.cells
        ),
    )
    assert draw_picture(many).axes[0].xaxis.get_tick_params()["labelbottom"]


def test_a_wide_matrix_is_told_in_parts(tmp_path: Path) -> None:
    """A table of more columns than there is room for goes on below, with every column once and none cut."""
    services = "\n".join(f"  s{n}: {{replicas: {{edge-1: 1}}, work: {{constant: 1 ms}}}}" for n in range(40))
    file = write(tmp_path)
    text = file.read_text(encoding="utf-8").replace("fleets:", f"{services}\nfleets:").replace("policy: {", "#{")
    calls = ", ".join(f"{{to: s{n}}}" for n in range(40))
    file.write_text(text.replace("calls: [{to: vision}]", f"calls: [{{to: vision}}, {calls}]"), encoding="utf-8")
    told = drawn(answer_matrix(subject_of_scenario(file), ALL, 1_000_000, None, quiet=True).draw)
    heads = [line.split()[2:] for line in told.splitlines() if line.startswith("who calls")]
    assert len(heads) > 1
    assert [int(number) for head in heads for number in head] == list(range(1, 44))
    assert "\N{HORIZONTAL ELLIPSIS}" not in told
