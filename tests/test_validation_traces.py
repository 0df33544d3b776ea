"""The shipped drives beside the quantiles of the whole data set that they were taken from."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from meshsim.network.radio import TraceRadioModel
from meshsim.network.radio_theory import ping_ns, weighted_quantile_ns
from meshsim.scenario.data_files import read_radio_trace

DATA = Path(__file__).parent.parent / "scenarios" / "data"
PINGS = 20_000


@pytest.mark.parametrize(
    ("file", "network", "columns", "tolerance"),
    [
        # Single drives: their tails are a few handovers or outages, and not those of hours of driving.
        ("radio_trace_arterial_n78_50kmh.csv", "urban n78 public", ("p5_ms", "p50_ms", "p95_ms"), 0.10),
        ("radio_trace_rural_n8_10kmh.csv", "rural n8 private", ("p5_ms", "p50_ms"), 0.20),
    ],
)
def test_drive_is_like_its_data_set(file: str, network: str, columns: tuple[str, ...], tolerance: float) -> None:
    """Pings through a replayed drive are like those of all drives in such a network, as far as one drive can tell."""
    with (DATA / "radio_delay_quantiles.csv").open() as table:
        (published,) = [row for row in csv.DictReader(table) if row["network"] == network]
    trace = read_radio_trace((DATA / file).read_bytes(), file)
    model = TraceRadioModel(trace.times_ns, trace.round_trips_ns, trace.cells, 0)
    pings = [(ping_ns(model, t_ns), 1) for t_ns in range(0, model.period_ns, model.period_ns // PINGS)]
    for column in columns:
        measured_ms = weighted_quantile_ns(pings, float(column.strip("p_ms")) / 100) / 1_000_000
        assert measured_ms == pytest.approx(float(published[column]), rel=tolerance), column
