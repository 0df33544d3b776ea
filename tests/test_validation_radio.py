"""The validation of the radio models: its criteria hold, and they can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshsim.validation import radio, radio_measured

SEED = 1
SECTIONS = {
    "quantiles": radio.radio_quantiles,
    "traces": radio.radio_traces,
    "new radio": radio.new_radio,
    "new radio, measured": radio_measured.new_radio_measured,
}


@pytest.mark.parametrize("name", SECTIONS)
def test_section_passes_and_is_the_same_again(name: str) -> None:
    """Each criterion holds, each row has a cell for each column, and nothing differs the second time."""
    found = SECTIONS[name](SEED)
    assert found.passed, found.criteria
    assert all(len(row) == len(found.columns) for row in found.rows)
    assert found == SECTIONS[name](SEED)


def test_traces_split_in_halves_would_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without care for outages the trace section fails."""
    monkeypatch.setattr(radio, "TraceRadioModel", _Halved)
    assert not radio.radio_traces(SEED).passed


class _Halved(radio.TraceRadioModel):
    def __init__(self, times_ns: tuple[int, ...], round_trips_ns: tuple[int, ...], *rest: object) -> None:
        super().__init__(times_ns, round_trips_ns, *rest)  # type: ignore[arg-type] # passed on as they came
        half = tuple(round_trip_ns // 2 for round_trip_ns in round_trips_ns)
        self._delays_ns = (half, half)


def test_wrong_theory_would_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed form that is off by a slot falls out of the interval."""
    monkeypatch.setattr(radio, "mean_wait_ns", lambda begins_ns, period_ns: period_ns)
    assert not radio.new_radio(SEED).passed


@pytest.mark.parametrize(("factor", "failing"), [(0.1, {0, 1}), (0.9, {0}), (4, {0, 2}), (1.3, {0, 2})])
def test_other_measurements_would_fail(tmp_path: Path, factor: float, failing: set[int]) -> None:
    """Networks much faster or slower than those measured, or a tenth faster, are not what the parameters give."""
    rows = (radio.MEASUREMENTS / radio.QUANTILES_FILE).read_text(encoding="utf-8").splitlines()
    changed = [rows[0]]
    for row in rows[1:]:
        cells = row.split(",")
        cells[3:8] = [f"{float(cell) * factor:.6f}" if cell else "" for cell in cells[3:8]]
        changed.append(",".join(cells))
    (tmp_path / radio.QUANTILES_FILE).write_text("\n".join(changed) + "\n", encoding="utf-8")
    assert radio.radio_quantiles(SEED, tmp_path).passed
    criteria = radio_measured.new_radio_measured(SEED, tmp_path).criteria
    assert {number for number, criterion in enumerate(criteria) if not criterion.passed} == failing


def test_theory_that_is_a_little_off_would_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed form that is off by 1 % falls out of an interval that is narrow enough."""
    true_wait_ns = radio.mean_wait_ns
    monkeypatch.setattr(radio, "mean_wait_ns", lambda *told: true_wait_ns(*told) * 1.01)
    assert not radio.new_radio(SEED).passed
