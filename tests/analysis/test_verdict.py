"""Expectations: pass, fail, inconclusive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from pydantic import TypeAdapter

from meshsim.analysis.data import RunData
from meshsim.analysis.verdict import Verdict, evaluate, exit_code
from meshsim.scenario.expectations import Expectation
from meshsim.scenario.model import Scenario
from meshsim.telemetry.columns import columns
from meshsim.telemetry.rows import TABLES, CallRow, HandshakeRow, IdentityRow, RequestRow

S = 1_000_000_000
_EXPECTATION: TypeAdapter[Any] = TypeAdapter(Expectation)


def _row(row_type: Any, **values: Any) -> Any:
    table = next(name for name, kind in TABLES.items() if kind is row_type)
    blank = {"int64": 0, "bool": False, "string": ""}
    return row_type(**{column.name: blank[column.type] for column in columns(table)} | values)


def _request(number: int, at_s: float, outcome: str = "ok", **values: Any) -> RequestRow:
    defaults = {"slice": "v2x", "source": "cars", "client": "cars/0", "service": "hazard", "budget_ns": 50_000_000}
    at = int(at_s * S)
    return _row(  # type: ignore[no-any-return]  # it makes what it is told to
        RequestRow, **defaults | {"request_id": number, "t_intended_ns": at, "outcome": outcome, "attempts": 1} | values
    )


@pytest.fixture
def judge(make_run: Callable[..., Any], corridor_scenario: Scenario) -> Callable[..., Verdict]:
    """``judge(expectation, rows)``: the one verdict on a run of exactly these rows."""

    def judged(expectation: dict[str, Any], rows: dict[str, list[msgspec.Struct]]) -> Verdict:
        def fill(scenario: Scenario, record: dict[str, Callable[[Any], None]]) -> None:
            for table, batch in rows.items():
                for row in batch:
                    record[table](row)

        partial = make_run(corridor_scenario, fill)
        run = RunData(partial.folder.path, corridor_scenario, partial.manifest)
        verdicts = evaluate(run, [_EXPECTATION.validate_python(expectation)])
        assert len(verdicts) == 1
        return verdicts[0]

    return judged


def test_a_bound_is_itself_allowed(judge: Callable[..., Verdict]) -> None:
    """A p99 of exactly the bound passes."""
    rows = [_request(n, n / 100, latency_ns=10_000_000) for n in range(1, 51)]
    verdict = judge({"slice": "v2x", "latency_p99": {"at_most": "10 ms"}}, {"requests": rows})
    assert verdict == Verdict("latency_p99 at most 10 ms (slice v2x)", True, "10 ms", 10_000_000, "")


def test_one_nanosecond_more_fails(judge: Callable[..., Verdict]) -> None:
    """Bounds are compared exactly."""
    rows = [_request(1, 1, latency_ns=10_000_001)]
    assert judge({"latency_max": {"at_most": "10 ms"}}, {"requests": rows}).word == "fail"


def test_shares_are_compared_as_fractions(judge: Callable[..., Verdict]) -> None:
    """2999 of 3000 is less than 99.9667 % and more than 99.9666 %, whatever it would be rounded to."""
    rows = [_request(n, n / 100, "ok" if n else "failed") for n in range(3000)]
    assert judge({"success_rate": {"at_least": "99.9666 %"}}, {"requests": rows}).passed is True


def test_shares_just_below_the_bound_fail(judge: Callable[..., Verdict]) -> None:
    """2999 of 3000 is less than 99.9667 %, though it rounds to it."""
    rows = [_request(n, n / 100, "ok" if n else "failed") for n in range(3000)]
    assert judge({"success_rate": {"at_least": "99.9667 %"}}, {"requests": rows}).passed is False


@pytest.mark.parametrize(
    "expectation",
    [
        {"slice": "video", "latency_p99": {"at_most": "1 s"}},
        {"slice": "video", "denied": {"at_most": 0}},
        {"during": "late", "success_rate": {"at_least": "1 %"}},
        {"handshake_p99": {"at_most": "1 s"}},
        {"service": "vision", "handshakes_refused": {"at_most": 0}},
        {"radio_within_budget": {"at_least": "98 %"}},
        {"node_utilisation_max": {"at_most": "90 %"}},
        {"slice": "v2x", "packet_error_rate": {"at_most": "1 %"}},
        {"never": "plaintext-on-wire"},
        {"never": "expired-certificate-accepted"},
        {"recovers": {"after": "link-down", "within": "2 s", "success_rate": {"at_least": "90 %"}}},
    ],
)
def test_nothing_to_measure_is_inconclusive(expectation: dict[str, Any], judge: Callable[..., Verdict]) -> None:
    """Where there was no request, call or handshake to measure by, an expectation neither passes nor fails."""
    verdict = judge(expectation, {"requests": [_request(1, 1)]})
    assert verdict.word == "inconclusive"
    assert verdict.value is None
    assert verdict.reason.startswith("no ")


def test_no_requests_at_all_is_a_measurement_of_their_number(judge: Callable[..., Verdict]) -> None:
    """An expectation on the number of requests fails when there are none, rather than being inconclusive."""
    assert judge({"slice": "video", "requests": {"at_least": 1}}, {}).word == "fail"


def test_only_a_latency_without_answers_is_inconclusive(judge: Callable[..., Verdict]) -> None:
    """Requests that all failed have a success rate, but no latency."""
    rows = {"requests": [_request(1, 1, "timeout")]}
    assert judge({"success_rate": {"at_least": "1 %"}}, rows).word == "fail"
    verdict = judge({"latency_p99": {"at_most": "1 s"}}, rows)
    assert (verdict.word, verdict.reason) == ("inconclusive", "no answered requests to measure it by")


@pytest.mark.parametrize(("unanswered", "reason"), [(0, ""), (1, ""), (2, "of the 98 % that were answered")])
def test_a_latency_of_few_says_of_how_many(unanswered: int, reason: str, judge: Callable[..., Verdict]) -> None:
    """Percentiles are of answered requests alone: under 99 % of them, a latency's verdict names the share."""
    rows = [_request(n, n / 10, "timeout" if n <= unanswered else "ok", latency_ns=1) for n in range(1, 101)]
    verdict = judge({"latency_p99": {"at_most": "10 ms"}}, {"requests": rows})
    assert (verdict.word, verdict.reason) == ("pass", reason)


def test_each_bounded_metric_has_its_own_verdict(corridor: Any) -> None:
    """One expectation with two metrics gives two verdicts, and both bounds of one are in its text."""
    run = RunData(corridor.folder.path, corridor.scenario, corridor.manifest)
    expectation = {"denied": {"at_least": 1, "at_most": 1000}, "timeouts": {"at_most": 0}}
    first, second = evaluate(run, [_EXPECTATION.validate_python(expectation)])
    assert (first.expectation, first.word) == ("denied at least 1 and at most 1\u202f000", "pass")
    assert (second.expectation, second.word) == ("timeouts at most 0", "fail")


def _after_cut(bad_seconds: set[int]) -> list[RequestRow]:
    """Ten requests a second for the whole run; in bad seconds all of them fail."""
    return [
        _request(second * 10 + tenth + 1, second + tenth / 10, "timeout" if second in bad_seconds else "ok")
        for second in range(60)
        for tenth in range(10)
    ]


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (set(), "pass"),
        (set(range(28, 34)), "pass"),  # the cut lasts from 28 to 32 s, and two seconds are allowed
        (set(range(28, 35)), "fail"),
        ({41}, "fail"),
        ({42}, "pass"),  # from 42 s on it is the next fault's
        ({5}, "pass"),
    ],
)
def test_recovery_is_judged_between_its_deadline_and_the_next_fault(
    bad: set[int], word: str, judge: Callable[..., Verdict]
) -> None:
    """Every second from the deadline on has to be good, until the next fault begins."""
    expectation = {"recovers": {"after": "link-down", "within": "2 s", "success_rate": {"at_least": "99 %"}}}
    assert judge(expectation, {"requests": _after_cut(bad)}).word == word


def test_recovery_from_the_last_fault_is_judged_to_the_end(judge: Callable[..., Verdict]) -> None:
    """After the last fault the whole rest of the run counts, the last second included."""
    expectation = {"recovers": {"after": "node-crash", "within": "1.5 s", "success_rate": {"at_least": "99 %"}}}
    verdict = judge(expectation, {"requests": _after_cut({59})})
    assert verdict.word == "fail"
    assert "of 13 seconds miss it, the worst is the one from 58.5 s" in verdict.reason


def test_recovery_that_cannot_be_seen_is_inconclusive(judge: Callable[..., Verdict]) -> None:
    """If the next fault begins, or the run ends, before the deadline, there is nothing to see."""
    rows = {"requests": _after_cut(set())}
    late = {"recovers": {"after": "link-down", "within": "11 s", "success_rate": {"at_least": "99 %"}}}
    verdict = judge(late, rows)
    assert (verdict.word, verdict.reason) == ("inconclusive", "the next fault begins before it could be seen")


def test_recovery_after_the_end_of_the_run_is_inconclusive(judge: Callable[..., Verdict]) -> None:
    """If the run ends before the deadline, there is nothing to see."""
    late = {"recovers": {"after": "node-crash", "within": "30 s", "success_rate": {"at_least": "99 %"}}}
    verdict = judge(late, {"requests": _after_cut(set())})
    assert (verdict.word, verdict.reason) == ("inconclusive", "the run ends before it could be seen")


def test_plaintext_on_the_wire_is_found(judge: Callable[..., Verdict]) -> None:
    """One call in plaintext among many fails the run, and the first is named."""
    calls = [_row(CallRow, call_id=n, connection_id=n, encrypted=n != 7, t_start_ns=n * S) for n in range(1, 20)]
    verdict = judge({"never": "plaintext-on-wire"}, {"calls": calls})
    assert (verdict.word, verdict.value) == ("fail", 1)
    assert "the first at 7 s" in verdict.reason


def test_a_call_without_a_connection_sent_no_plaintext(judge: Callable[..., Verdict]) -> None:
    """A call that never got a connection put nothing on the wire."""
    calls = [_row(CallRow, call_id=1, connection_id=0, encrypted=False)]
    assert judge({"never": "plaintext-on-wire"}, {"calls": calls}).word == "pass"


def test_a_session_that_outlived_its_certificate_is_found(judge: Callable[..., Verdict]) -> None:
    """A resumption that rests on an expired certificate fails the run."""
    rows = [_row(HandshakeRow, handshake_id=n, outlived_certificate=n == 3, t_start_ns=n * S) for n in range(1, 5)]
    assert judge({"never": "expired-certificate-accepted"}, {"handshakes": rows}).word == "fail"


@pytest.mark.parametrize(
    ("outcome", "word"), [("ok", "pass"), ("denied", "pass"), ("reset", "fail"), ("timeout", "fail")]
)
def test_lost_requests_are_those_without_an_answer(outcome: str, word: str, judge: Callable[..., Verdict]) -> None:
    """A request is lost when its caller never learns what became of it."""
    assert judge({"never": "request-lost"}, {"requests": [_request(1, 1, outcome)]}).word == word


@pytest.mark.parametrize(
    ("passed", "code"),
    [([], 0), ([True], 0), ([True, None], 3), ([None, False, True], 1), ([False], 1), ([None], 3)],
)
def test_exit_codes(passed: list[bool | None], code: int) -> None:
    """A failure outweighs an inconclusive verdict, which outweighs a pass."""
    assert exit_code([Verdict("", value, "", None, "") for value in passed]) == code


@pytest.mark.parametrize(
    ("bounds", "outcomes", "word", "measured"),
    [
        ({"first": {"at_least": "1 s", "at_most": "2 s"}}, ("ok", "ok", "timeout", "ok"), "pass", "2 s"),
        ({"first": {"at_least": "3 s"}}, ("ok", "ok", "timeout", "ok"), "fail", "2 s"),
        ({"first": {"at_most": "2 s"}}, ("ok", "ok", "ok"), "fail", "\N{EN DASH}"),
        ({"first": {"at_least": "3 s"}}, ("ok", "ok", "ok"), "pass", "\N{EN DASH}"),
        ({"first": {"at_least": "1 h"}}, ("ok", "ok", "ok"), "inconclusive", "\N{EN DASH}"),
        ({"total": {"at_most": "2 s"}}, ("ok", "timeout", "ok", "reset"), "fail", "3 s"),
        ({"total": {"at_least": "2 s", "at_most": "3 s"}}, ("ok", "timeout", "ok", "reset", "reset"), "pass", "3 s"),
        ({"total": {"at_most": "0 s"}}, ("reset", "reset"), "pass", "0 ns"),
        ({"total": {"at_most": "5 s"}}, ("ok", "reset", "ok"), "fail", "\N{EN DASH}"),
        ({"total": {"at_least": "1 h"}}, ("ok", "reset", "ok"), "inconclusive", "\N{EN DASH}"),
        ({"first": {"at_most": "1 s"}}, (), "inconclusive", "\N{EN DASH}"),
    ],
)
def test_failure_after_a_fault(
    judge: Callable[..., Verdict],
    corridor_scenario: Scenario,
    bounds: dict[str, Any],
    outcomes: tuple[str, ...],
    word: str,
    measured: str,
) -> None:
    """First and total failure count from the fault's beginning; what never came is late enough only if watched for."""
    began_s = corridor_scenario.faults[0].at_ns // S
    rows = {"requests": [_request(n, began_s + n, outcome) for n, outcome in enumerate(outcomes)]}
    name = corridor_scenario.fault_names()[0]
    verdict = judge({"fails": {"after": name, **bounds}}, rows)
    assert (verdict.word, verdict.measured) == (word, measured)
    assert verdict.expectation.startswith(f"{next(iter(bounds))} failure at ")


def test_certificates_need_no_requests(judge: Callable[..., Verdict]) -> None:
    """A bound on certificates is judged by their own rows; without any there is nothing to measure."""
    rows: dict[str, list[msgspec.Struct]] = {
        "identities": [
            _row(IdentityRow, event=event, t_ns=second * S) for second, event in ((1, "issued"), (2, "expired"))
        ]
    }
    assert judge({"certificates_expired": {"at_most": 0}}, rows).word == "fail"
    assert judge({"certificates_issued": {"at_least": 1}}, rows).measured == "1"
    verdict = judge({"onboarding_p99": {"at_most": "1 s"}}, rows)
    assert (verdict.word, verdict.reason) == ("inconclusive", "no certificates to measure it by")
