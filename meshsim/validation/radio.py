"""The three radio models against what they were made from: measured quantiles, measured traces, New Radio's timing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from meshsim.network.nr import NrRadioModel
from meshsim.network.radio import DOWNLINK, UPLINK, QuantileRadioModel, TraceRadioModel
from meshsim.network.radio_theory import (
    mean_and_margin_ns,
    mean_repetition_ns,
    mean_wait_ns,
    ping_ns,
    trace_samples,
    weighted_quantile_ns,
)
from meshsim.scenario.data_files import QUANTILES_PPM, RadioTrace, read_radio_quantiles, read_radio_trace
from meshsim.scenario.errors import Diagnostic
from meshsim.scenario.nr import NrRadio
from meshsim.validation.claims import NORMAL_99, NORMAL_JOINT
from meshsim.validation.radio_by_hand import ROUNDING_MS, radio_cases
from meshsim.validation.section import Criterion, Section

MEASUREMENTS = Path(__file__).parents[2] / "scenarios" / "data"
"""The measurements that the shipped scenarios use."""
QUANTILES_FILE = "radio_delay_quantiles.csv"
NETWORKS = ("SA 3.7 GHz 100 MHz", "URLLC prototype 28 GHz", "SA 26 GHz 800 MHz")
TRACES = ("radio_trace_arterial_n78_50kmh.csv", "radio_trace_rural_n8_10kmh.csv")
MS = 1_000_000
DRAWS = 50_000
WAYS = ((UPLINK, "uplink"), (DOWNLINK, "downlink"))


def radio_quantiles(seed: int, folder: Path = MEASUREMENTS) -> Section:
    """Delays drawn from measured quantiles have these quantiles again."""
    rows: list[tuple[str, ...]] = []
    worst_sigma, compared, outside = 0.0, 0, 0
    for network in NETWORKS:
        points = measured_points(folder, network)
        model = QuantileRadioModel("cell", (points[UPLINK], points[DOWNLINK]), Random(f"{seed}/quantiles/{network}"))
        for direction, way in WAYS:
            draws_ns = sorted(model.delay_ns(direction, 0) for _ in range(DRAWS))
            cells = []
            for ppm, delay_ns in points[direction]:
                share = ppm / 1_000_000
                cells.append(f"{show_ms(delay_ns)} / {show_ms(draws_ns[round(share * (DRAWS - 1))])}")
                if ppm < points[direction][-1][0]:
                    below = sum(draw_ns <= delay_ns for draw_ns in draws_ns) / DRAWS
                    sigma = abs(below - share) / (share * (1 - share) / DRAWS) ** 0.5
                    worst_sigma, compared = max(worst_sigma, sigma), compared + 1
                    outside += sigma > NORMAL_99
            rows.append((f"{network}, {way}", *cells))
    return Section(
        title="Radio: measured quantiles in and out",
        about=f"""\
{DRAWS} delays drawn from each measured distribution, against the points that it was given (DETERMINISTIC6G).
Between the points delays are linear. Outside them nothing is invented: the fastest 5 % are as fast as the lowest point,
the slowest 0.1 % as slow as the highest, so the model has no tail beyond what was published. Delays are drawn each for
itself, where a real radio has good and bad moments; a trace has those. In / out, in milliseconds.""",
        columns=("network", *(column.removesuffix("_ms") for column in QUANTILES_PPM)),
        rows=tuple(rows),
        criteria=(
            Criterion(
                f"At each point but the last, the share below it is within {NORMAL_JOINT:.2f} standard errors.",
                f"at most {worst_sigma:.1f}",
                worst_sigma <= NORMAL_JOINT,
                compared,
                outside,
            ),
        ),
    )


def measured_points(folder: Path, network: str) -> dict[int, tuple[tuple[int, int], ...]]:
    """A network's measured delays, by direction: parts per million, and nanoseconds."""
    content = (folder / QUANTILES_FILE).read_bytes()
    found = read_radio_quantiles(
        content, QUANTILES_FILE, network, lambda message: Diagnostic(QUANTILES_FILE, 0, 0, message)
    )
    return {UPLINK: found.uplink.points, DOWNLINK: found.downlink.points}


class _HalvesModel:
    """What a trace is without care for outages: half of the round trip that holds at the instant, each way."""

    def __init__(self, trace: RadioTrace, period_ns: int) -> None:
        self._trace, self._period_ns = trace, period_ns

    def delay_ns(self, direction: int, now_ns: int) -> int:
        """Half of what was measured at the instant."""
        index = bisect_right(self._trace.times_ns, now_ns % self._period_ns) - 1
        return self._trace.round_trips_ns[index] // 2

    def cell(self, now_ns: int) -> str:
        """Any cell: nobody asks."""
        return ""

    def next_change_ns(self, now_ns: int) -> int | None:
        """Never."""
        return None


def radio_traces(seed: int, folder: Path = MEASUREMENTS) -> Section:
    """Pings through a replayed trace take the times that they took. The seed is not used: nothing is drawn."""
    rows: list[tuple[str, ...]] = []
    worst_sample = worst_quantile = 0.0
    for file in TRACES:
        trace = read_radio_trace((folder / file).read_bytes(), file)
        model = TraceRadioModel(trace.times_ns, trace.round_trips_ns, trace.cells, 0)
        for time_ns, round_trip_ns in zip(trace.times_ns, trace.round_trips_ns, strict=True):
            worst_sample = max(worst_sample, abs(ping_ns(model, time_ns) / round_trip_ns - 1))
        samples = trace_samples(trace.times_ns, trace.round_trips_ns)
        pings, halves = (
            [(ping_ns(one, t), 1) for t in range(0, model.period_ns, model.period_ns // DRAWS)]
            for one in (model, _HalvesModel(trace, model.period_ns))
        )
        for share in (0.05, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0):
            measured_ns, out_ns, half_ns = (weighted_quantile_ns(of, share) for of in (samples, pings, halves))
            if share in (0.05, 0.5, 0.95, 0.99) and abs(out_ns - measured_ns) > MS:
                worst_quantile = max(worst_quantile, abs(out_ns / measured_ns - 1))
            name = "longest" if share == 1 else f"p{100 * share:g}"
            rows.append((file.removesuffix(".csv"), name, *map(show_ms, (measured_ns, out_ns, half_ns))))
    return Section(
        title="Radio: traces in and out",
        about=f"""\
{DRAWS} pings, evenly over a replayed drive (CICV5G measurements), against the round trips of the drive weighted by how
long each held. A ping's answer comes back later than the ping was sent and meets the radio as it is then: *halves* is
what replaying half of each round trip each way would give; it makes outages a quarter shorter than they were.

Where it misses: between 100 and 200 ms, delays of a few samples' spacing (55 ms), where a trace holds a delay until the
next sample while the real one shrank; and it is a guess which way waited. Round trips in milliseconds.""",
        columns=("trace", "", "measured", "replayed", "halves"),
        rows=tuple(rows),
        criteria=(
            Criterion(
                "A ping at the instant of a sample takes what it took, to 1 %.",
                f"at most {100 * worst_sample:.2f} % off",
                worst_sample <= 0.01,
            ),
            Criterion(
                "Pings at any instant: P5, P50, P95 and P99 within 1 ms or 2 %.",
                f"at most {100 * worst_quantile:.1f} % off where it is over 1 ms",
                worst_quantile <= 0.02,
            ),
        ),
    )


BARE: Mapping[str, Any] = {"device_processing": "0 ms", "gnb_processing": "0 ms", "block_error_rate": "0 %"}


def new_radio(seed: int) -> Section:
    """New Radio's mean delays at uniform instants against their closed forms."""
    rows: list[tuple[str, ...]] = []
    outside = compared = 0
    worst = 0.0
    for name, settings, direction, theory_ns in _closed_forms():
        model = NrRadioModel("cell", NrRadio.model_validate(settings), Random(f"{seed}/errors/{name}"))
        random = Random(f"{seed}/instants/{name}")
        draws_ns = [model.delay_ns(direction, random.randrange(10**12)) for _ in range(DRAWS)]
        mean_ns, margin_ns = mean_and_margin_ns(draws_ns)
        outside += abs(mean_ns - theory_ns) > margin_ns
        worst, compared = max(worst, abs(mean_ns - theory_ns) / margin_ns), compared + 1
        rows.append((name, f"{theory_ns / MS:.4f}", f"{mean_ns / MS:.4f} ± {margin_ns / MS:.4f}"))
    wrong = []
    by_hand = radio_cases()
    for name, wanted_ms, took_ms in by_hand:
        if abs(took_ms - wanted_ms) > ROUNDING_MS:
            wrong.append(name)
        rows.append((name, f"{wanted_ms:.4f}", f"{took_ms:.4f}"))
    return Section(
        title="Radio: New Radio's timing in closed form",
        about=f"""\
{DRAWS} packets at uniform instants, mean delay in milliseconds with its 99 % confidence interval.

Waiting for the next of instants with gaps g in a period P takes g^2 summed, over 2 P. A transmission takes its slot, or
ten of fourteen symbols of a special slot. With a request every p slots of length T, FDD's uplink takes p T / 2 for the
occasion, T for the request, none to be granted, K2 T, and T for the data. DDDSU's request is in symbols 12 and 13 of a
special slot, the grant in the next special slot, the data in the uplink slot behind it. Errors e with M transmissions
to a round add (e/(1-e) - q/(1-q)) HARQ round trips and q/(1-q) RLC recoveries, q = e^M. Processing is zero here.

Below that single packets, which are sent at a certain instant and take what the standard's tables give slot by slot,
with processing, settings by default and blocks that fail when they are told to (the arithmetic is in
`meshsim/validation/radio_by_hand.py`). What was [broken on purpose](validation-breaks.md), and noticed.""",
        columns=("case", "theory", "model"),
        rows=tuple(rows),
        criteria=(
            Criterion(
                "Theory lies inside the 99 % interval in every case.",
                f"{outside} outside; at most {worst:.2f} times the interval away",
                outside == 0,
                compared,
                outside,
            ),
            Criterion(
                "A packet at a certain instant takes what slots, grants and repetitions come to by hand, to 10 ns.",
                f"{len(wrong)} of {len(by_hand)} differ: {'; '.join(wrong)}" if wrong else f"all {len(by_hand)} agree",
                not wrong,
            ),
        ),
    )


def _closed_forms() -> list[tuple[str, dict[str, Any], int, float]]:
    cases: list[tuple[str, dict[str, Any], int, float]] = []
    for numerology, pattern in ((0, "FDD"), (1, "DDDSU"), (1, "DDDDDDDSUU"), (3, "DDDSU")):
        slot_ns = MS >> numerology
        letters = "B" if pattern == "FDD" else pattern
        begins_ns = [slot * slot_ns for slot, letter in enumerate(letters) if letter in "DSB"]
        gaps_ns = [slot_ns + begins_ns[0] - begins_ns[-1] + (len(letters) - 1) * slot_ns]
        gaps_ns += [slot_ns] * (len(begins_ns) - 1)
        lengths_ns = [slot_ns * 10 // 14 if letters[begin // slot_ns] == "S" else slot_ns for begin in begins_ns]
        period_ns = len(letters) * slot_ns
        served_ns = sum(gap * length for gap, length in zip(gaps_ns, lengths_ns, strict=True)) / period_ns
        theory_ns = mean_wait_ns(begins_ns, period_ns) + served_ns
        name = f"downlink, {15 << numerology} kHz, {pattern}"
        cases.append((name, {**BARE, "numerology": numerology, "pattern": pattern}, DOWNLINK, theory_ns))
    for period, k2 in ((5, 1), (20, 4)):
        settings = {**BARE, "pattern": "FDD", "scheduling_request_period": period, "grant_delay": k2}
        name = f"uplink on request, 30 kHz, FDD, every {period} slots, K2 = {k2}"
        cases.append((name, settings, UPLINK, (period / 2 + 2 + k2) * MS / 2))
    # Requests every 5 ms, in symbols 12 and 13 of slot 3; a grant in slot 8; data in slot 9, which ends the ten.
    tdd_ns = (10 / 2 + 10 - (3 + 12 / 14)) * MS / 2
    cases.append(("uplink on request, 30 kHz, DDDSU, every 10 slots, K2 = 1", {**BARE}, UPLINK, tdd_ns))
    grant = {**BARE, "pattern": "FDD", "configured_grant_period": 4}
    cases.append(("uplink with a configured grant, 30 kHz, FDD, every 4 slots", grant, UPLINK, (4 / 2 + 1) * MS / 2))
    for percent, repetitions in ((10, 3), (40, 1)):
        settings = {**BARE, "pattern": "FDD", "block_error_rate": f"{percent} %", "harq_retransmissions": repetitions}
        extra_ns = mean_repetition_ns(percent / 100, repetitions, 4 * MS, MS // 2 + 35 * MS)
        name = f"downlink, 30 kHz, FDD, {percent} % errors, {repetitions} repetitions"
        cases.append((name, settings, DOWNLINK, 0.75 * MS + extra_ns))
    return cases


def show_ms(delay_ns: int) -> str:
    """Milliseconds, to four digits."""
    return f"{delay_ns / MS:.4g}"
