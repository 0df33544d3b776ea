"""Admission and handover in the world, against what they are defined to be."""

from __future__ import annotations

from meshsim.validation.claims import at_most, within
from meshsim.validation.handovers import PER_SECOND, READMITTED, STAYS, exact_delay_ns
from meshsim.validation.rated_flows import CASES, OWED_KBPS, carried_kbps, found_kbps
from meshsim.validation.section import Criterion, Section
from meshsim.validation.small_world import Data, run_world

MS, S = 1_000_000, 1_000_000_000
ADMISSIONS = (
    # Guaranteed to the slice, asked for by each device, devices.
    ("10 Mbit/s", "2 Mbit/s", 7, 5),
    ("10 Mbit/s", "3 Mbit/s", 7, 3),
    ("10 Mbit/s", "2 Mbit/s", 4, 4),
    ("12.5 Mbit/s", "2.5 Mbit/s", 9, 5),
    ("10 Mbit/s", "1.999 Mbit/s", 7, 5),
    ("10 Mbit/s", "2.001 Mbit/s", 7, 4),
)
UPLINK_NS, DOWNLINK_NS, LINK_NS = 2 * MS, 3 * MS, MS
INTERRUPTION_NS = 40 * MS
STAY_NS = S
CROSSINGS = 30
PATH = {
    "through": [{"cell": "a", "length": "10 m"}, {"cell": "b", "length": "10 m"}],
    "speed": "10 m/s",
    "spread": False,
    "at_end": "again",
}
"""A cell a second, in which all devices are together."""
TOLERANCE_MS = 1.0
"""Requests that have waited together go on together, and sidecars and the air take them one after the other."""
RATE_TOLERANCE = 0.2
"""In percent of what a device should get."""

ABOUT = f"""\
- Cells admit flows that ask for a bit rate as long as their slice's guarantee lasts: of n devices that ask for r of a
  guarantee g at once, the whole part of g / r, or all of them. When all come to another cell they ask there, and give
  back what the one before had reserved for them: so as many are admitted at each cell, the first one again too.
- What was admitted is kept, however much the device sends, and what it sends on top goes with the rest of its slice: of
  an offer o over its rate r a device gets r + f (o - r) / (o - r + s), where f is what is left of the slice's guarantee
  and s what the rest of the slice offers, or all of o if there is room for it. A device that is owed 2 Mbit/s; f is
  5 Mbit/s; another device sends the 3 Mbit/s that it is owed, and a more important slice wants the whole cell.
- Nothing enters the air in the {INTERRUPTION_NS // MS} ms after a cell change. One car goes to and fro between two
  cells, {CROSSINGS} times, and sends a request every 7 ms on a standing connection, without TLS. A request whose uplink
  packet gets ready in an interruption, or whose response's downlink packet does, waits for its end; all others wait for
  nothing. Held against that, request by request: what a request takes longer than most do. Those that waited together
  go on together, which costs the last of them half a millisecond. With {PER_SECOND.split()[0]} requests a second no
  two wait for one end: then a packet is ready when the sidecar has sent it, and nothing is left to be wrong.

[What was broken on purpose, and which check noticed](validation-breaks.md)."""


def _world(radio: Data, fleet: Data, flow: Data, guaranteed: str, duration: str, seed: int) -> Data:
    return {
        "scenario": "promises",
        "seed": seed,
        "duration": duration,
        "fidelity": "modelled",
        "network": {
            "nodes": {"west": {"kind": "gnb"}, "east": {"kind": "gnb"}, "edge": {"kind": "edge", "cores": 8}},
            "links": [
                {"between": [node, "edge"], "latency": f"{LINK_NS} ns", "bandwidth": "10 Gbit/s"}
                for node in ("west", "east")
            ],
            "slices": {"live": {"sst": 1, "five_qi": 4, "guaranteed": guaranteed}},
            "radios": {
                "air": {
                    "fixed": {"uplink": f"{UPLINK_NS} ns", "downlink": f"{DOWNLINK_NS} ns"},
                    "cells": {"a": "west", "b": "east"},
                    "uplink": "1 Gbit/s",
                    "downlink": "1 Gbit/s",
                }
                | radio
            },
        },
        "services": {"front": {"replicas": {"edge": 1}, "work": {"constant": "0 ms"}}},
        "fleets": {"cars": {"radio": "air"} | fleet},
        "mesh": {"tls": {"mode": "DISABLE"}},
        "traffic": [{"name": "feed", "from": "cars", "to": "front", "slice": "live"} | flow],
    }


def _admitted(guaranteed: str, asked: str, devices: int, seed: int, stays: int = 1) -> int:
    """Return how often devices are admitted that come to so many cells, all at the same time."""
    flow = {"arrivals": {"constant": "1 /s"}, "guaranteed": {"uplink": asked}}
    data = _world({}, {"size": devices, "path": PATH}, flow, guaranteed, f"{stays * STAY_NS - STAY_NS // 2} ns", seed)
    return sum(row.admitted for row in run_world(data)["admissions"])


def late_by_ns(sent_ns: int) -> int:
    """Return by how much a request is late that is sent then, by the definition of the interruption."""
    for begun_ns in range(STAY_NS, (CROSSINGS + 1) * STAY_NS, STAY_NS):
        over_ns = begun_ns + INTERRUPTION_NS
        back_ns = sent_ns + UPLINK_NS + 2 * LINK_NS
        if begun_ns <= sent_ns < over_ns:
            return over_ns - sent_ns
        if sent_ns < begun_ns <= back_ns:
            return over_ns - back_ns
    return 0


def _handovers(seed: int) -> tuple[int, int, float]:
    """Return how many requests were late, how many are by definition, and the worst difference in milliseconds."""
    flow = {"arrivals": {"constant": "143 /s"}}
    radio = {"handover_interruption": f"{INTERRUPTION_NS} ns"}
    duration = f"{CROSSINGS * STAY_NS + STAY_NS // 2} ns"
    rows = run_world(_world(radio, {"path": PATH}, flow, "10 Mbit/s", duration, seed))["requests"]
    usual_ns = sorted(row.latency_ns for row in rows)[len(rows) // 2]
    times = [(row.latency_ns - usual_ns, late_by_ns(row.t_intended_ns)) for row in rows[20:]]
    worst_ns = max(abs(late_ns - defined_ns) for late_ns, defined_ns in times)
    return sum(late > MS for late, _ in times), sum(defined > MS for _, defined in times), worst_ns / MS


def _alone(seed: int) -> tuple[int, int]:
    """Return how many requests that have the air to themselves were late, and the worst difference in nanoseconds."""
    radio = {"handover_interruption": f"{INTERRUPTION_NS} ns"}
    duration = f"{CROSSINGS * STAY_NS + STAY_NS // 2} ns"
    flow = {"arrivals": {"constant": PER_SECOND}}
    tables = run_world(_world(radio, {"path": PATH}, flow, "10 Mbit/s", duration, seed))
    rows, response_bytes = tables["requests"][1:], tables["calls"][-1].bytes_received
    usual_ns = min(row.latency_ns for row in rows)
    changes_ns = range(STAY_NS, (CROSSINGS + 1) * STAY_NS, STAY_NS)
    late = worst_ns = 0
    for row in rows:
        told = (row.t_intended_ns, usual_ns, response_bytes, DOWNLINK_NS, changes_ns, INTERRUPTION_NS)
        wanted_ns = exact_delay_ns(*told)
        late += wanted_ns > 0
        worst_ns = max(worst_ns, abs(row.latency_ns - usual_ns - wanted_ns))
    return late, worst_ns


def _rates() -> tuple[list[tuple[str, ...]], float, int]:
    """Return a row for each offer, the worst difference in percent, and how many packets overtook another."""
    rows: list[tuple[str, ...]] = []
    worst, overtaken = 0.0, 0
    for offered_kbps, rest_kbps in CASES:
        theory_kbps = carried_kbps(offered_kbps, rest_kbps)
        one_kbps, other_kbps, out_of_order = found_kbps(offered_kbps, rest_kbps)
        worst = max(worst, abs(one_kbps / theory_kbps - 1), abs(other_kbps / OWED_KBPS["other"] - 1))
        overtaken += out_of_order
        what = f"kbit/s of a device that is owed {OWED_KBPS['one']} and sends {offered_kbps}, beside {rest_kbps}"
        rows.append((what, f"{theory_kbps:.0f}", f"{one_kbps:.0f}"))
    return rows, 100 * worst, overtaken


def promises(seed: int) -> Section:
    """Counts of admissions, bit rates of those admitted, and delays by interruptions."""
    rows: list[tuple[str, ...]] = []
    wrong = 0
    for guaranteed, asked, devices, theory in ADMISSIONS:
        admitted = _admitted(guaranteed, asked, devices, seed)
        wrong += admitted != theory
        rows.append((f"{devices} devices ask for {asked} of {guaranteed}", str(theory), str(admitted)))
    for guaranteed, asked, devices, each in READMITTED:
        admitted, theory = _admitted(guaranteed, asked, devices, seed, STAYS), STAYS * each
        wrong += admitted != theory
        what = f"admissions of {devices} devices that ask for {asked} of {guaranteed} in cells a, b and a again"
        rows.append((what, str(theory), str(admitted)))
    rates, worst, overtaken = _rates()
    rows += rates
    late, defined, worst_ms = _handovers(seed)
    rows.append((f"requests late by {CROSSINGS} interruptions of {INTERRUPTION_NS // MS} ms", str(defined), str(late)))
    alone, apart_ns = _alone(seed)
    criteria: tuple[Criterion, ...] = (
        at_most("Cells that admit another number of flows than their guarantee holds", 0, wrong),
        at_most(
            "Worst difference between a device's bit rate and the closed form", RATE_TOLERANCE, round(worst, 3), "%"
        ),
        at_most("Packets that overtake another of their device", 0, overtaken),
        within("Requests that interruptions make late", defined, late, 0),
        at_most(
            "Worst difference between a request's delay and the definition's", TOLERANCE_MS, round(worst_ms, 4), "ms"
        ),
        at_most(f"The same of requests that have the air to themselves, of which {alone} wait", 0, apart_ns, "ns"),
    )
    return Section(
        "Promises of cells: admission and handover", ABOUT, ("what", "defined", "found"), tuple(rows), criteria
    )
