"""Flights of several segments with holes in them, windows and acknowledgements: cases that are reckoned by hand."""

from __future__ import annotations

from meshsim.network.tcp_dialogue import Turn
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_path import UP
from meshsim.validation.by_hand import (
    ACK,
    BYTE_MS,
    FULL,
    HALF_MS,
    RTO_LEAST_MS,
    Case,
    answered,
    asked,
    connected,
    flight_of,
    sample,
)


def holes() -> list[Case]:
    """Flights of several segments: ``arrived(n)`` is when the first n of them have arrived."""
    group = "Holes in a flight"

    def arrived(count: int) -> float:
        return answered(size=count * FULL)

    repair_ms = HALF_MS + FULL * BYTE_MS
    back_ms = HALF_MS + ACK * BYTE_MS
    cases = [
        Case(group, "6 segments, the first lost", arrived(4) + back_ms + repair_ms, (), (3,), flight_of(6)),
        Case(group, "6 segments, the third lost", arrived(6) + back_ms + repair_ms, (), (5,), flight_of(6)),
    ]
    # Each further acknowledgement of something beyond lets go the next hole.
    second_ms = arrived(6) + back_ms + repair_ms
    cases.append(Case(group, "6 segments, the first two lost", second_ms, (), (3, 4), flight_of(6)))
    pairs = TcpParameters(tick_ns=0, aggregated_segments=2)
    text = "6 segments in pairs, the first pair lost"
    cases.append(Case(group, text, second_ms, (), (3,), flight_of(6), parameters=pairs))
    fourth_ms = arrived(10) + back_ms + repair_ms
    cases.append(Case(group, "10 segments, the first four lost", fourth_ms, (), (3, 4, 5, 6), flight_of(10)))
    # All of two are lost: the probe, which repeats the second, comes after two round trips, and tells of the first.
    probed_ms = asked() + 2 * sample() + repair_ms + back_ms + repair_ms
    cases.append(Case(group, "a pair, lost", probed_ms, (), (3,), flight_of(2), parameters=pairs))
    # Two beyond the hole are too few: it is lost when it is later than the last by a quarter of a round trip.
    wait_ms = sample() / 4
    late_ms = arrived(3) + back_ms + wait_ms
    cases.append(Case(group, "3 segments, the first lost", late_ms + repair_ms, (), (3,), flight_of(3)))
    # The smoothed round trip follows by an eighth; two are left, so the probe comes after twice that.
    smoothed_ms = sample()
    for count in (1, 2, 3, 4):
        smoothed_ms += (arrived(count) + back_ms - asked() - smoothed_ms) / 8
    probe_ms = arrived(4) + back_ms + 2 * smoothed_ms
    probed_ms = probe_ms + repair_ms + back_ms + repair_ms
    cases.append(Case(group, "6 segments, the last two lost", probed_ms, (), (7, 8), flight_of(6)))
    smoothed_ms += (arrived(5) + back_ms - asked() - smoothed_ms) / 8
    late_ms = arrived(5) + back_ms + smoothed_ms + RTO_LEAST_MS
    cases.append(Case(group, "6 segments, the last lost", late_ms + repair_ms, (), (8,), flight_of(6)))
    return cases


def windows() -> list[Case]:
    """Windows that are in the way, and acknowledgements that wait or do not."""
    group = "Windows and acknowledgements"
    eleventh_ms = answered(size=FULL) + HALF_MS + ACK * BYTE_MS + HALF_MS + FULL * BYTE_MS
    full_ms, split_ms = answered(size=FULL), answered(size=FULL + ACK + 1)
    cases = [
        Case(group, "1448 bytes go in one segment", full_ms, dialogue=flight_of(1)),
        Case(group, "1449 bytes in two", split_ms, dialogue=flight_of(2, ACK + 1)),
        Case(group, "10 segments go at once", answered(size=10 * FULL), dialogue=flight_of(10)),
        Case(group, "the 11th waits for an acknowledgement", eleventh_ms, dialogue=flight_of(11)),
    ]
    # Each of ten acknowledgements lets go two more; the 31st waits for the 11th's.
    text = "the 31st waits for another"
    cases.append(Case(group, text, eleventh_ms + 2 * HALF_MS + (ACK + FULL) * BYTE_MS, dialogue=flight_of(31)))
    # One segment under way at a time: acknowledgements of the first 16 go at once, all others wait for 40 ms.
    turn_ms = 2 * HALF_MS + (FULL + ACK) * BYTE_MS
    one = TcpParameters(tick_ns=0, initial_window=1, maximum_window=1)
    for count in (16, 17, 18, 20):
        arrived_ms = connected() + ACK * BYTE_MS + (count - 1) * turn_ms + FULL * BYTE_MS + HALF_MS
        waits = max(0, count - 17)
        dialogue = (Turn(UP, (count * (FULL - ACK),)),)
        text = f"{count} segments one by one: {waits} acknowledgements wait"
        cases.append(Case(group, text, arrived_ms + 40 * waits, dialogue=dialogue, parameters=one))
    # Two at a time: after 16 acknowledgements of one each the second of two is acknowledged at once, with the first.
    two = TcpParameters(tick_ns=0, initial_window=2, maximum_window=2)
    last_ms = connected() + (ACK + 2 * FULL) * BYTE_MS + HALF_MS + 9 * turn_ms + FULL * BYTE_MS
    dialogue = (Turn(UP, (20 * (FULL - ACK),)),)
    cases.append(Case(group, "20 segments two by two", last_ms, dialogue=dialogue, parameters=two))
    return cases
