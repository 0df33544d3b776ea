"""Connections of which certain packets are lost: cases that are reckoned by hand."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from meshsim.network.tcp_dialogue import Turn
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_path import DOWN, UP
from meshsim.validation.by_hand import (
    ACK,
    BYTE_MS,
    FULL,
    HALF_MS,
    HELLO,
    NEVER_MS,
    RTO_LEAST_MS,
    S_MS,
    TICK_MS,
    Case,
    alone,
    answered,
    asked,
    connected,
    first_repeat,
    flight_of,
    repeats,
    rto,
    sample,
    whole,
)
from meshsim.validation.linux_timer import due_ms
from meshsim.validation.lost_in_flights import holes, windows


def _set_up() -> list[Case]:
    group, all_syns = "Setting up", tuple(range(1, 20))
    cases = [Case(group, "nothing is lost", answered())]
    for lost in (1, 2, 3, 6):
        times = "SYN" if lost == 1 else f"{lost} SYNs"
        late_ms = (2**lost - 1) * S_MS
        cases.append(Case(group, f"{times} lost", answered() + late_ms, all_syns[:lost]))
    cases.append(Case(group, "7 SYNs lost: no more than 6 repeats", NEVER_MS, all_syns[:7]))
    linear = TcpParameters(tick_ns=0, linear_syn_timeouts=4)
    for lost, late_ms in ((4, 4 * S_MS), (5, 5 * S_MS), (7, 11 * S_MS)):
        text = f"{lost} SYNs lost, as since Linux 6.5"
        cases.append(Case(group, text, answered() + late_ms, all_syns[:lost], parameters=linear))
    for lost in (1, 2, 5):
        # All SYNs but the first are lost, so that the server repeats by its own timer alone.
        text = f"{lost} SYN-ACK{'s' * (lost > 1)} lost, and all repeats of the SYN"
        answered_ms = answered() + (2**lost - 1) * S_MS
        cases.append(Case(group, text, answered_ms, tuple(range(2, 2 + lost)), tuple(range(1, 1 + lost))))
    text = "6 SYN-ACKs lost: no more than 5 repeats, the SYN after 63 s is a new one"
    cases.append(Case(group, text, answered() + 63 * S_MS, (2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6)))
    return cases


def _timeouts() -> list[Case]:
    group = "Timeouts and probes"
    cases = []
    for half_ms in (5.0, HALF_MS, 80.0, 200.0):
        sample_ms = connected(half_ms)
        late_ms = first_repeat(sample_ms)
        text = f"ClientHello lost, {2 * half_ms:g} ms"
        cases.append(Case(group, text, alone(half_ms) + late_ms, (3,), half_ms=half_ms))
    for half_ms in (HALF_MS, 200.0):
        late_ms = first_repeat(sample(half_ms))
        text = f"server's flight lost, {2 * half_ms:g} ms"
        cases.append(Case(group, text, alone(half_ms) + late_ms, (), (3,), half_ms=half_ms))
    rto_ms = rto(connected())
    for lost in (2, 3, 12, 16):
        late_ms = repeats(first_repeat(connected()), rto_ms, lost)
        text = f"ClientHello lost {lost} times"
        cases.append(Case(group, text, alone() + late_ms, tuple(range(3, 3 + lost))))
    text = "ClientHello lost 17 times: a probe and no more than 15 timeouts"
    cases.append(Case(group, text, NEVER_MS, tuple(range(3, 20))))
    # The second SYN-ACK echoes the first SYN: the client's sample is a second longer, and the server takes none.
    sample_ms = S_MS + connected()
    again_ms = S_MS + alone()
    cases += [
        Case(group, "after a repeated SYN-ACK: ClientHello lost", again_ms + 2 * sample_ms + 200, (2, 4), (1,)),
        Case(group, "after a repeated SYN-ACK: flight lost", again_ms + S_MS, (2,), (1, 4)),
        Case(group, "after a repeated SYN-ACK: flight lost twice", again_ms + 4 * S_MS, (2,), (1, 4, 5)),
    ]
    # Remembered: 1 s, then an eighth of the way down to 0.2 s.
    first_ms = 2 * connected() + RTO_LEAST_MS
    for remembered_ms, known_ms in (((S_MS,), S_MS), ((S_MS, 200.0), 900.0)):
        late_ms = repeats(first_ms, 3 * known_ms, 2)
        text = f"ClientHello lost twice, {known_ms / S_MS:g} s remembered"
        cases.append(Case(group, text, alone() + late_ms, (3, 4), remembered_ms=remembered_ms))
    for start_ms, late_ms in ((3_599 * S_MS, first_ms), (3_601 * S_MS, rto_ms)):
        text = f"ClientHello lost, 1 s remembered {start_ms / S_MS:g} s ago"
        cases.append(Case(group, text, alone() + late_ms, (3,), remembered_ms=(S_MS,), start_ms=start_ms))
    return cases


def _estimates() -> list[Case]:
    """A message that is lost twice after so many exchanges, by Linux's rules for the timeout (tcp_rtt_estimator).

    The mean deviation follows by a quarter; the allowance, which it raises at once, goes down a quarter of the way to
    the largest of the last round trip, once a round trip.
    """
    cases = []
    half_ms, message = 200.0, 80 + ACK
    # Between one and four the server's own probe, of its last message, comes before the client's second.
    for exchanges in (1, 4, 6):
        smoothed_ms = now_ms = connected(half_ms)
        deviation_ms = allowance_ms = largest_ms = 2 * smoothed_ms
        for number in range(exchanges):
            # The first two go behind acknowledgements; the first is acknowledged at once, the others by the answer.
            up, down = ACK * (number < 2) + (message if number else HELLO), message if number else ACK
            error_ms = 2 * half_ms + (up + down) * BYTE_MS - smoothed_ms
            smoothed_ms += error_ms / 8
            deviation_ms += abs(error_ms) - deviation_ms / 4
            largest_ms = max(largest_ms, deviation_ms)
            allowance_ms = max(allowance_ms, largest_ms) - max(0.0, allowance_ms - largest_ms) / 4
            largest_ms = RTO_LEAST_MS
            now_ms += 2 * half_ms + (up + message + ACK * (number == 0)) * BYTE_MS
        rto_ms = smoothed_ms + allowance_ms
        late_ms = repeats(min(2 * smoothed_ms + RTO_LEAST_MS, rto_ms), rto_ms, 2)
        exchange = Turn(UP, (message - ACK,)), Turn(DOWN, (message - ACK,))
        dialogue = Turn(UP, (HELLO - ACK,)), *exchange[1:], *exchange * (exchanges - 1), exchange[0]
        wanted_ms = now_ms + late_ms + message * BYTE_MS + half_ms
        lost = exchanges + 4
        text = f"a message lost twice after {exchanges} exchange{'s' * (exchanges > 1)}, {2 * half_ms:g} ms"
        cases.append(Case("Timeouts and probes", text, wanted_ms, (lost, lost + 1), (), dialogue, half_ms))
    return cases


def _ticks() -> list[Case]:
    """With Linux's ticks of 4 ms, at a phase of the clock that is known."""
    group = "Ticks"
    tick = TcpParameters()
    cases = []
    for start_ms in (0.0, 10.0, 23.9, 24.1):
        late_ms = due_ms(start_ms, S_MS) - start_ms
        text = f"SYN lost, {start_ms:g} ms after a tick of 32 ms"
        cases.append(Case(group, text, answered() + late_ms, (1,), parameters=tick, start_ms=start_ms))
        late_ms = due_ms(start_ms + late_ms, 2 * S_MS) - start_ms
        cases.append(Case(group, f"{text}, twice", answered() + late_ms, (1, 2), parameters=tick, start_ms=start_ms))
    for half_ms in (5.0, HALF_MS):
        # Whole ticks of the sample's sum with 200 ms; below 63 of them the wheel is as fine as a tick.
        sent_ms = 10 + connected(half_ms)
        rto_ms = whole(connected(half_ms) + RTO_LEAST_MS)
        late_ms = due_ms(sent_ms, rto_ms) - sent_ms
        text = f"ClientHello lost, {2 * half_ms:g} ms"
        alone_ms = alone(half_ms) + late_ms
        cases.append(Case(group, text, alone_ms, (3,), half_ms=half_ms, parameters=tick, start_ms=10.0))
    # The second SYN is there before the server's timer; its answer echoes the first, so the sample is as long as both.
    connected_ms = due_ms(10, S_MS) - 10 + connected()
    late_ms = due_ms(10 + connected_ms, whole(2 * connected_ms) + RTO_LEAST_MS) - 10 - connected_ms
    text = "SYN-ACK lost, and then the ClientHello"
    alone_ms = connected_ms - connected() + alone() + late_ms
    cases.append(Case(group, text, alone_ms, (4,), (1,), parameters=tick, start_ms=10.0))
    # A probe of a pair takes two ticks more, and so does the wait for what may only be late.
    repair_ms, back_ms = HALF_MS + FULL * BYTE_MS, HALF_MS + ACK * BYTE_MS
    probe_ms = due_ms(10 + asked(), whole(2 * sample()) + 2 * TICK_MS) - 10
    probed_ms = probe_ms + repair_ms + back_ms + repair_ms
    pairs = msgspec.structs.replace(tick, aggregated_segments=2)
    cases.append(Case(group, "a pair, lost", probed_ms, (), (3,), flight_of(2), parameters=pairs, start_ms=10.0))
    told_ms = answered(size=3 * FULL) + back_ms
    late_ms = due_ms(10 + told_ms, whole(sample() / 4) + 2 * TICK_MS) - 10
    text = "3 segments, the first lost"
    cases.append(Case(group, text, late_ms + repair_ms, (), (3,), flight_of(3), parameters=tick, start_ms=10.0))
    return cases


GROUPS: tuple[Callable[[], list[Case]], ...] = (_set_up, _timeouts, _estimates, holes, windows, _ticks)


def all_cases() -> list[Case]:
    """Return every case, group by group."""
    return [case for cases in GROUPS for case in cases()]
