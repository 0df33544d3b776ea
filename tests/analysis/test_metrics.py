"""Metrics against the plainest way to compute them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.analysis import data
from meshsim.analysis.data import RunData
from meshsim.analysis.failing import failing_after
from meshsim.analysis.metrics import METRICS, measure
from meshsim.analysis.never import culprits
from meshsim.analysis.numbers import show, show_share, to_json
from meshsim.analysis.selection import Selected, Selection, mean, quantile
from meshsim.results import buffers
from meshsim.results.tables import read_table
from meshsim.scenario.expectations import Never
from meshsim.scenario.metric_expectations import METRIC_NAMES
from meshsim.scenario.model import Scenario
from meshsim.telemetry.rows import HandshakeRow, RequestRow

S = 1_000_000_000


@pytest.fixture(scope="module")
def run(corridor: Any) -> RunData:
    return RunData(corridor.folder.path, corridor.scenario, corridor.manifest)


@pytest.fixture(scope="module")
def rows(corridor: Any) -> dict[str, list[dict[str, Any]]]:
    return {table: read_table(corridor.folder.path, table).to_pylist() for table in ("requests", "handshakes")}


@given(values=st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=300), share_ppm=st.integers(1, 1_000_000))
def test_quantiles_are_nearest_rank(values: list[int], share_ppm: int) -> None:
    """A quantile is the smallest value that at least the asked share of values do not exceed."""
    expected = sorted(values)[ceil(Fraction(share_ppm * len(values), 1_000_000)) - 1]
    assert quantile(np.array(values), share_ppm) == expected


def test_nothing_has_no_quantile_and_no_mean() -> None:
    """Without values there is no figure, rather than a zero."""
    assert quantile(np.array([], dtype=np.int64), 500_000) is None
    assert mean(np.array([], dtype=np.int64)) is None


def test_every_metric_of_expectations_is_computed() -> None:
    """Whatever an expectation can bound is in the catalogue, of a kind that fits its bound."""
    assert set(METRIC_NAMES) <= set(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_has_a_value_on_a_full_run(name: str, run: RunData) -> None:
    """Each metric gives an exact number on a run that has everything, and says what it is in a sentence."""
    metric = METRICS[name]
    assert isinstance(measure(run, name), int | Fraction)
    assert metric.description.endswith(".")
    assert metric.name == name


_SELECTIONS = [
    Selection(),
    Selection(slice="v2x"),
    Selection(service="vision", during="calm"),
    Selection(source="car-telemetry", during="link-down"),
    Selection(slice="video", source="cameras", during="node-crash"),
]


@pytest.mark.parametrize("selection", _SELECTIONS, ids=str)
def test_request_metrics_match_a_loop_over_rows(
    selection: Selection, run: RunData, rows: dict[str, list[dict[str, Any]]]
) -> None:
    """Counts, shares, rates and quantiles of a selection are those of a plain loop over its rows."""
    window = {None: (0, 60), "calm": (0, 15), "link-down": (28, 32), "node-crash": (42, 45)}[selection.during]
    chosen = [
        row
        for row in rows["requests"]
        if selection.slice in (None, row["slice"])
        and selection.service in (None, row["service"])
        and selection.source in (None, row["source"])
        and window[0] * S <= row["t_intended_ns"] < window[1] * S
    ]
    answered = [row for row in chosen if row["outcome"] == "ok"]
    latencies = sorted(row["latency_ns"] for row in answered)
    assert chosen
    expected = {
        "requests": len(chosen),
        "requests_per_s": Fraction(len(chosen), window[1] - window[0]),
        "success_rate": Fraction(len(answered), len(chosen)),
        "within_budget": Fraction(sum(row["latency_ns"] <= row["budget_ns"] for row in answered), len(chosen)),
        "failures": len(chosen) - len(answered),
        "denied": sum(row["outcome"] == "denied" for row in chosen),
        "timeouts": sum(row["outcome"] == "timeout" for row in chosen),
        "unreachable": sum(row["outcome"] == "unreachable" for row in chosen),
        "retries": sum(row["attempts"] - 1 for row in chosen),
        "latency_mean": Fraction(sum(latencies), len(latencies)),
        "latency_p50": latencies[ceil(len(latencies) / 2) - 1],
        "latency_p99": latencies[ceil(Fraction(99 * len(latencies), 100)) - 1],
        "latency_max": latencies[-1],
        "mean_radio_ns": Fraction(sum(row["radio_ns"] for row in answered), len(answered)),
    }
    assert {name: measure(run, name, selection) for name in expected} == expected


@pytest.mark.parametrize(
    "selection", [*_SELECTIONS[:2], Selection(service="ingest"), Selection(source="car-telemetry")]
)
def test_handshake_metrics_match_a_loop_over_rows(
    selection: Selection, run: RunData, rows: dict[str, list[dict[str, Any]]]
) -> None:
    """Handshakes are chosen by slice, server and the devices of a flow."""
    devices = {row["client"] for row in rows["requests"] if row["source"] == selection.source}
    chosen = [
        row
        for row in rows["handshakes"]
        if selection.slice in (None, row["slice"])
        and selection.service in (None, row["server"])
        and (selection.source is None or row["client"] in devices)
    ]
    established = [row for row in chosen if row["outcome"] == "established"]
    durations = sorted(row["duration_ns"] for row in established)
    expected = {
        "handshakes": len(established),
        "handshakes_full": sum(not row["resumed"] for row in established),
        "handshakes_resumed": sum(row["resumed"] for row in established),
        "handshakes_refused": sum(row["outcome"] == "refused" for row in chosen),
        "handshake_p99": durations[ceil(Fraction(99 * len(durations), 100)) - 1],
        "handshake_bytes": sum(row["bytes_sent"] + row["bytes_received"] for row in chosen),
        "handshake_cpu": sum(row["cpu_client_ns"] + row["cpu_server_ns"] for row in chosen),
    }
    assert {name: measure(run, name, selection) for name in expected} == expected


def test_attribution_means_sum_to_the_mean_latency(run: RunData) -> None:
    """The means of the parts sum to the mean of the whole, exactly."""
    parts = [measure(run, name) for name in METRICS if name.startswith("mean_")]
    assert len(parts) == 12
    assert sum(part for part in parts if part is not None) == measure(run, "latency_mean")


def test_an_empty_selection_has_counts_but_no_shares(run: RunData) -> None:
    """Where nothing was sent there is nothing to take a share or a quantile of."""
    selection = Selection(slice="v2x", source="cameras")
    assert measure(run, "requests", selection) == 0
    for name in ("success_rate", "within_budget", "latency_p99", "latency_mean", "handshake_p50"):
        assert measure(run, name, selection) is None


def test_unknown_names_are_told_apart(run: RunData) -> None:
    """An unknown metric, phase or column is an error and not an empty answer."""
    with pytest.raises(KeyError):
        measure(run, "latency_p42")
    with pytest.raises(KeyError):
        measure(run, "requests", Selection(during="nowhere"))
    with pytest.raises(KeyError):
        run.ints("requests", "slice")


def test_a_phase_beyond_the_end_is_cut_for_rates(corridor: Any) -> None:
    """The rate of a phase that outlasts the run is taken over the part in which requests were sent."""
    plain = corridor.scenario.model_dump(mode="json", by_alias=True, exclude_none=True)
    plain["phases"] = {"tail": {"from": "50 s", "to": "100 s"}}
    run = RunData(corridor.folder.path, Scenario.model_validate(plain), corridor.manifest)
    number = measure(run, "requests", Selection(during="tail"))
    assert number is not None
    assert measure(run, "requests_per_s", Selection(during="tail")) == Fraction(number, 10)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (8_210_000, "duration", "8.21 ms"),
        (10_000_000, "duration", "10 ms"),
        (999, "duration", "999 ns"),
        (61_500_000_000, "duration", "61.5 s"),
        (Fraction(1999, 2000), "share", "99.95 %"),
        (Fraction(1), "share", "100 %"),
        (Fraction(0), "share", "0 %"),
        (Fraction(98, 100), "share", "98 %"),
        (Fraction(999_999, 1_000_000), "share", "99.9999 %"),
        (Fraction(1, 1_000_000), "share", "0.0001 %"),
        (Fraction(301, 2), "rate", "150 /s"),
        (12_068, "count", "12\u202f068"),
        (3_383, "size", "3.38 kB"),
        (None, "share", "\u2013"),
    ],
)
def test_numbers_as_people_read_them(value: Any, kind: Any, text: str) -> None:
    """Three digits, a unit, and no share rounded up to all or down to none."""
    assert show(value, kind) == text


@given(part=st.integers(0, 10**7), whole=st.integers(1, 10**7))
def test_a_share_is_never_rounded_to_all_or_none(part: int, whole: int) -> None:
    """Only everything is shown as 100 %, and only nothing as 0 %."""
    share = Fraction(min(part, whole), whole)
    assert (show_share(share) == "100 %") == (share == 1)
    assert (show_share(share) == "0 %") == (share == 0)


def test_numbers_as_json_keeps_them() -> None:
    """Durations are integers, shares floats of six digits, and nothing is null."""
    assert to_json(Fraction(7, 2), "duration") == 4
    assert to_json(Fraction(1, 3), "share") == 0.333333
    assert to_json(None, "rate") is None


def test_handshakes_of_a_fleets_own_sidecar_belong_to_its_flows(
    run: RunData, make_run: Callable[..., Any], corridor_scenario: Scenario, corridor_fill: Callable[..., None]
) -> None:
    """A fleet whose devices share a sidecar is the client of their handshakes, as each device is elsewhere."""

    def fill(scenario: Scenario, record: dict[str, Callable[[Any], None]]) -> None:
        def of_fleet(row: HandshakeRow) -> None:
            record["handshakes"](msgspec.structs.replace(row, client=row.client.partition("/")[0]))

        corridor_fill(scenario, {**record, "handshakes": of_fleet})

    made = make_run(corridor_scenario, fill)
    shared = RunData(made.folder.path, made.scenario, made.manifest)
    for source in ("cars", "cameras"):
        selection = Selection(source=source)
        assert measure(shared, "handshakes", selection) == measure(run, "handshakes", selection) != 0


@pytest.mark.parametrize("size", [1, 1_000])
def test_the_largest_budget_is_told(
    size: int, make_run: Callable[..., Any], corridor_scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of requests with several budgets the largest counts, wherever it stands; of none there is no budget."""
    budgets_ns = (20, 50, 30)

    def fill(_: Any, record: dict[str, Callable[[Any], None]]) -> None:
        for number, budget_ns in enumerate(budgets_ns, 1):
            ids = (number, "v2x", "cars", "cars/0", "hazard")
            record["requests"](RequestRow(*ids, number, number, number + 9, 9, "ok", 200, 1, budget_ns, *[0] * 11, 9))

    monkeypatch.setattr(buffers, "GROUP_ROWS", size)
    monkeypatch.setattr(data, "PIECE_ROWS", size)
    made = make_run(corridor_scenario, fill)
    run = RunData(made.folder.path, made.scenario, made.manifest)
    assert Selected(run, Selection()).requests.budget_ns == 50
    assert Selected(run, Selection(slice="video")).requests.budget_ns is None


def test_piece_by_piece_everything_is_measured_the_same(
    run: RunData, in_groups: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metrics of any selection, what must never be, and when failing began are those of a run in one piece."""
    monkeypatch.setattr(data, "PIECE_ROWS", 1)
    pieces = RunData(in_groups.folder.path, in_groups.scenario, in_groups.manifest)
    assert len(list(pieces.pieces("requests"))) > 5
    for selection in _SELECTIONS:
        for name in METRICS:
            assert measure(pieces, name, selection) == measure(run, name, selection), (name, selection)
        for fault in run.fault_windows:
            assert failing_after(pieces, fault, selection) == failing_after(run, fault, selection)
    for never in get_args(Never):
        assert culprits(pieces, never) == culprits(run, never)
    assert culprits(run, "request-lost")[1] > 1
