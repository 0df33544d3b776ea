"""New Radio by its parameters, beside networks that were measured: what such measurements can tell, and what not."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from random import Random
from typing import Any

from meshsim.network.nr import NrRadioModel
from meshsim.network.radio import DOWNLINK, UPLINK
from meshsim.network.radio_theory import weighted_quantile_ns
from meshsim.scenario.data_files import QUANTILES_PPM
from meshsim.scenario.nr import PREPARATION_SYMBOLS, SYMBOLS_PER_SLOT, NrRadio
from meshsim.validation.radio import DRAWS, MEASUREMENTS, WAYS, measured_points, show_ms
from meshsim.validation.section import Criterion, Section

URLLC = {
    "numerology": 3,
    "pattern": "DDSU",
    "configured_grant_period": 4,
    "device_processing": "0.16 ms",
    "block_error_rate": "0.001 %",
}
LIKE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("SA 26 GHz 800 MHz", {"numerology": 3, "scheduling_request_period": 5, "block_error_rate": "1 %"}),
    ("URLLC prototype 28 GHz", URLLC),
    ("SA 3.7 GHz 100 MHz", {}),
)
"""Networks that were measured, and settings such as such networks have."""
PATTERNS = ("DSUU", "DDSU", "DDDSU", "DDSUU", "DDDDDDDSUU")
"""Of 4, 5 and 10 slots: periods of 0.5, 0.625 and 1.25 ms at 120 kHz, 2, 2.5 and 5 ms at 30 kHz, as in TS 38.331."""
ERRORS = ("0.001 %", "10 %")
"""What the CQI tables aim at (TS 38.214, 5.2.2.1)."""
CAPABILITIES = (1.0, 0.5)
"""Processing, as a part of capability 1's; capability 2's is about half (TS 38.214, 6.4)."""
REQUEST_PERIODS, GRANT_DELAYS, GRANT_PERIODS = (1, 20), (None, 4), (1, 4)
"""In slots; without a grant's delay it is the least by numerology and processing."""
GRID_DRAWS = 2_000
JUDGED = 4
"""Quantiles: P5, P50, P95 and P99."""
TOLERANCE = 0.05
MEDIAN = 1
"""Place of the median among the judged quantiles."""
LEAST_RATIO, MOST_RATIO = 0.25, 1.15

ABOUT = """\
How far general knowledge of a network gets; nobody published these networks' settings. The carrier gives the
numerology: 120 kHz above 24 GHz, 30 kHz below 6 GHz. Each cell is: measured / model with settings such as these
networks have [fastest to slowest of what such a network may be set to], one way, in milliseconds.

*Such settings.* URLLC has a configured grant, a short pattern, almost no errors (CQI for 1e-5, TS 38.214 table
5.2.2.1-4) and processing twice as fast as capability 1 (as capability 2 is, table 6.4-2). At 26 GHz there is a request
occasion in every pattern and 1 % of errors. In mid band all is default, 10 % of errors included.

*Fastest and slowest* at each quantile: of all combinations of patterns of 4, 5 and 10 slots, 0.001 % and 10 % of
errors, the processing of capabilities 1 and 2, requests in every slot or every twentieth and a grant for 4 slots later
or as soon as the device can, or a configured grant in every slot or every fourth (URLLC). The standard allows slower
ones still.

What these measurements can tell: that air which waits for slots, requests and grants as the model has it is neither
too slow for what was measured nor, uplink, too fast. What they cannot tell: which of the settings it was, so an
agreement of a median says little beyond that; how often blocks failed, which makes the tails; and, downlink, how much
of the delay is air at all. Measured delays reach into hosts and the core: in mid band the slowest air is some 2 ms
where 5 ms were measured. What is missing belongs into links and processing times."""


def _quantiles_ns(settings: dict[str, Any], direction: int, draws: int, name: str) -> list[int]:
    """Return the judged quantiles of a model with these settings, at uniform instants."""
    model = NrRadioModel("cell", NrRadio.model_validate(settings), Random(f"{name}/errors"))
    random = Random(f"{name}/instants")
    delays = [(model.delay_ns(direction, random.randrange(10**12)), 1) for _ in range(draws)]
    return [weighted_quantile_ns(delays, ppm / 1_000_000) for ppm in list(QUANTILES_PPM.values())[:JUDGED]]


def allowed(settings: dict[str, Any], direction: int) -> list[dict[str, Any]]:
    """Return what a network like this may be set to."""
    numerology = settings.get("numerology", 1)
    whole_ms = PREPARATION_SYMBOLS[numerology] / SYMBOLS_PER_SLOT / (1 << numerology)
    if direction == DOWNLINK:
        grants: list[dict[str, Any]] = [{}]
    elif "configured_grant_period" in settings:
        grants = [{"configured_grant_period": period} for period in GRANT_PERIODS]
    else:
        grants = [
            {"scheduling_request_period": period} | ({"grant_delay": delay} if delay else {})
            for period, delay in product(REQUEST_PERIODS, GRANT_DELAYS)
        ]
    return [
        {
            "numerology": numerology,
            "pattern": pattern,
            "block_error_rate": errors,
            "device_processing": f"{whole_ms * capability:.6f} ms",
            **grant,
        }
        for pattern, errors, capability, grant in product(PATTERNS, ERRORS, CAPABILITIES, grants)
    ]


def new_radio_measured(seed: int, folder: Path = MEASUREMENTS) -> Section:
    """New Radio's delays against networks of the kind that its settings describe."""
    rows: list[tuple[str, ...]] = []
    ratios: list[float] = []
    too_slow = too_fast = 0.0
    for network, settings in LIKE:
        points = measured_points(folder, network)
        for direction, way in WAYS:
            name = f"{seed}/{network}/{way}"
            like_ns = _quantiles_ns(settings, direction, DRAWS, name)
            grid_ns = [_quantiles_ns(one, direction, GRID_DRAWS, name) for one in allowed(settings, direction)]
            grid_ns.append(like_ns)
            ratios.append(like_ns[MEDIAN] / points[direction][MEDIAN][1])
            cells = []
            for place, (_, measured_ns) in enumerate(points[direction][:JUDGED]):
                fastest_ns, slowest_ns = (pick(each[place] for each in grid_ns) for pick in (min, max))
                too_slow = max(too_slow, fastest_ns / measured_ns - 1)
                if direction == UPLINK:
                    too_fast = max(too_fast, measured_ns / slowest_ns - 1)
                shown = [show_ms(one) for one in (measured_ns, like_ns[place], fastest_ns, slowest_ns)]
                cells.append("{} / {} [{} to {}]".format(*shown))
            rows.append((f"{network}, {way}", *cells))
    return Section(
        title="Radio: New Radio's parameters beside measured networks",
        about=ABOUT,
        columns=("network", *(column.removesuffix("_ms") for column in list(QUANTILES_PPM)[:JUDGED])),
        rows=tuple(rows),
        criteria=(
            Criterion(
                "With such settings the air alone is hardly slower than the whole way: medians are "
                f"{LEAST_RATIO} to {MOST_RATIO} of those measured.",
                f"{min(ratios):.2f} to {max(ratios):.2f}",
                min(ratios) >= LEAST_RATIO and max(ratios) <= MOST_RATIO,
            ),
            _criterion("No quantile was measured shorter than the fastest air", too_slow),
            _criterion("No quantile of an uplink was measured longer than the slowest air", too_fast),
        ),
    )


def _criterion(text: str, most: float) -> Criterion:
    found = f"at most {100 * most:.1f} %" if most > 0 else "none"
    return Criterion(f"{text}, by more than {100 * TOLERANCE:g} %.", found, most <= TOLERANCE)
