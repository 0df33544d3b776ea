"""The mean handshake time of a TCP whose server repeats its SYN-ACKs, as Linux's: a walk over all that can be lost.

While a connection is set up the two ends are a Markov chain. Its state is the client's next SYN, which goes at 2^k - 1
seconds; whether the server knows of the request; how often its timer has expired, m, and when it is due. A SYN that
arrives, or the timer, sends a SYN-ACK, and either sets the timer to 2^m seconds from then. A SYN-ACK that arrives ends
it. Each packet is lost with probability p, so every way through the chain has a probability, and they are few: each
further step takes another loss.

The client repeats its SYN in the second in which the server's timer expires. Which comes first matters: the SYN sets
the timer back, and else two SYN-ACKs go at once. It is a parameter, ``timer_first``.

How it was set up decides what a lost flight costs. A repeated SYN-ACK still echoes the first SYN's timestamp, so the
client's first round-trip sample S runs from there, over a second; and a server that has sent more than one takes none,
so that its tail loss probe comes after one second and its timeout after three (RFC 6298, 5.7). With S = R otherwise:

    E[flight] = sum over k of p^k (1-p) (t + RTO (2^(k-1) - 1)),
    RTO = S + max(2 S, 200 ms),  t = min(2 S + 200 ms, RTO)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
from typing import NamedTuple

LEAST = 1e-12
"""Ways less probable than this are left out."""
SECOND_MS = 1000.0
FALLBACK_MS = 3000.0
TICK_MS = 4.0
MOST_LOSSES = 60
"""So many losses of one flight are looked at."""

Lasts = Callable[[float], float]
"""How long a timer takes in the mean that is set to so many milliseconds."""


def exact(timeout_ms: float) -> float:
    """Return what closed forms take for granted."""
    return timeout_ms


def on_the_wheel(timeout_ms: float) -> float:
    """Return how long a timer takes with Linux at 250 ticks a second (kernel/time/timer.c).

    Whole ticks, and then up to the next multiple of a slot, never the one that is just there; a slot is one tick below
    63 ticks, and eight times as long for timers eight times as long. In the mean that is half a slot.
    """
    ticks, slot, span = ceil(timeout_ms / TICK_MS), 1, 63
    while ticks >= span:
        slot, span = slot * 8, span * 8
    return TICK_MS * (ticks + slot / 2)


class Connected(NamedTuple):
    """One way in which a connection is set up."""

    probability: float
    at_ms: float
    """When the SYN-ACK that got through was sent, less the half round trip that the first SYN took to get there."""
    sample_ms: float
    """How long before that the SYN was sent that it echoes."""
    repeated: bool
    """Whether it is not the server's first."""


class _State(NamedTuple):
    probability: float
    syn: int = 0
    """The client's next SYN."""
    first_ms: float | None = None
    """When the SYN was sent that the server knows of."""
    expired: int = 0
    due_ms: float = 0.0


def ways(loss: float, timer_first: float, lasts: Lasts = exact) -> Iterator[Connected]:
    """Yield every way in which a connection comes to be set up, but those that hardly ever happen."""
    syns_ms = [0.0]
    for syn in range(MOST_LOSSES):
        syns_ms.append(syns_ms[-1] + lasts(2.0**syn * SECOND_MS))
    open_states = [_State(1.0)]
    while open_states:
        state = open_states.pop()
        if state.probability < LEAST:
            continue
        syn_ms = syns_ms[state.syn]
        if state.first_ms is None:
            open_states.append(state._replace(probability=state.probability * loss, syn=state.syn + 1))
            come = state.probability * (1 - loss)
            yield Connected(come * (1 - loss), syn_ms, 0.0, False)
            waiting = _State(come * loss, state.syn + 1, syn_ms, 0, syn_ms + lasts(SECOND_MS))
            open_states.append(waiting)
            continue
        tie = timer_first if syn_ms == state.due_ms else float(state.due_ms < syn_ms)
        by_timer, by_syn = state.probability * tie, state.probability * (1 - tie)
        if by_timer:
            yield Connected(by_timer * (1 - loss), state.due_ms, state.due_ms - state.first_ms, True)
            expired = state.expired + 1
            due_ms = state.due_ms + lasts(2.0**expired * SECOND_MS)
            open_states.append(state._replace(probability=by_timer * loss, expired=expired, due_ms=due_ms))
        if by_syn:
            lost = state._replace(probability=by_syn * loss, syn=state.syn + 1)
            open_states.append(lost)
            come = by_syn * (1 - loss)
            yield Connected(come * (1 - loss), syn_ms, syn_ms - state.first_ms, True)
            due_ms = syn_ms + lasts(2.0**state.expired * SECOND_MS)
            open_states.append(state._replace(probability=come * loss, syn=state.syn + 1, due_ms=due_ms))


def flight_ms(loss: float, first_ms: float, rto_ms: float, lasts: Lasts = exact) -> float:
    """Return the mean delay of a flight by its losses, in milliseconds."""
    mean_ms, late_ms = 0.0, lasts(first_ms)
    for losses in range(1, MOST_LOSSES):
        mean_ms += loss**losses * (1 - loss) * late_ms
        late_ms += lasts(rto_ms * 2.0 ** (losses - 1))
    return mean_ms


def sampled_flight_ms(loss: float, sample_ms: float, lasts: Lasts = exact) -> float:
    """Return the same of an end whose one round-trip sample this is."""
    rto_ms = sample_ms + max(2 * sample_ms, 200)
    return flight_ms(loss, min(2 * sample_ms + 200, rto_ms), rto_ms, lasts)


def mean_ms(round_trip_ms: float, loss: float, compute_ms: float, timer_first: float, lasts: Lasts = exact) -> float:
    """Return the mean time from connect to established, in milliseconds."""
    known_ms = sampled_flight_ms(loss, round_trip_ms, lasts)
    unknown_ms = flight_ms(loss, SECOND_MS, FALLBACK_MS, lasts)
    late_ms = 0.0
    for way in ways(loss, timer_first, lasts):
        hello_ms = sampled_flight_ms(loss, way.sample_ms + round_trip_ms, lasts)
        late_ms += way.probability * (way.at_ms + hello_ms + (unknown_ms if way.repeated else known_ms))
    return 2 * round_trip_ms + compute_ms + late_ms
