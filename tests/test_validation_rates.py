"""Bit rates of devices in the validation: the closed form by hand, and breaks of the model that it must notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from meshsim.network.rated_flow import RatedFlow
from meshsim.network.rated_medium import RatedMedium
from meshsim.network.room import BITS_NS
from meshsim.validation import promises
from meshsim.validation.rated_flows import CASES, OWED_KBPS, carried_kbps, found_kbps

Break = Callable[[pytest.MonkeyPatch], None]


def _scaled(owner: type[Any], name: str, place: int, percent: int) -> Break:
    """Have a method be told so many percent of one of its arguments."""
    true = getattr(owner, name)

    def told(*arguments: Any) -> Any:
        changed = [*arguments]
        changed[place] = changed[place] * percent // 100
        return true(*changed)

    return lambda patch: patch.setattr(owner, name, told)


def _first_places(patch: pytest.MonkeyPatch) -> None:
    """Have flows give up their first places and not their last ones."""
    true = RatedFlow.give_up

    def give_up(flow: RatedFlow, size_bytes: int) -> None:
        flow.places.reverse()
        true(flow, size_bytes)
        flow.places.reverse()

    patch.setattr(RatedFlow, "give_up", give_up)


def _excess_counts(patch: pytest.MonkeyPatch) -> None:
    """Have what goes with the rest use up the rate."""
    true = RatedFlow.use_place

    def use_place(flow: RatedFlow, size_bytes: int) -> None:
        true(flow, size_bytes)
        flow._tokens = max(flow._tokens - size_bytes * BITS_NS, -(10**6) * BITS_NS)

    patch.setattr(RatedFlow, "use_place", use_place)


def _newest_first(patch: pytest.MonkeyPatch) -> None:
    """Have flows send the packet that came last."""
    true = RatedFlow.wait

    def wait(flow: RatedFlow, train: Any) -> None:
        true(flow, train)
        flow.waiting.rotate()

    patch.setattr(RatedFlow, "wait", wait)


RATE_BREAKS: dict[str, Break] = {
    "devices are owed 1 % less": _scaled(RatedFlow, "guarantee", 1, 99),
    "cells reserve 1 % less than they admitted": _scaled(RatedMedium, "reserve", 2, 99),
    "devices over their rate get nothing of it": lambda patch: patch.setattr(RatedFlow, "is_owed", lambda *_: False),
    "what is beyond the rate uses it up": _excess_counts,
    "rates are a part of a device's share, not on top": _first_places,
    "the newest packet of a device goes first": _newest_first,
}


def _holds() -> bool:
    """Whether both devices get what they should, in order, in a case in which much of the excess is carried."""
    offered_kbps, rest_kbps = CASES[2]
    one_kbps, other_kbps, overtaken = found_kbps(offered_kbps, rest_kbps)
    wrong = max(abs(one_kbps / carried_kbps(offered_kbps, rest_kbps) - 1), abs(other_kbps / OWED_KBPS["other"] - 1))
    return 100 * wrong <= promises.RATE_TOLERANCE and not overtaken


def test_what_a_device_gets_by_hand() -> None:
    """Within its rate all; beyond it all if there is room, and else its part."""
    assert carried_kbps(1_000, 10**9) == 1_000
    assert carried_kbps(5_000, 2_000) == 5_000
    assert carried_kbps(5_000, 3_000) == 2_000 + 5_000 * 3 / 6


def test_bit_rates_hold() -> None:
    """The case in which the breaks are noticed holds without them."""
    assert _holds()


@pytest.mark.parametrize("name", RATE_BREAKS)
def test_breaks_of_bit_rates_are_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Rates that are kept a little wrong are found out."""
    RATE_BREAKS[name](monkeypatch)
    assert not _holds()
