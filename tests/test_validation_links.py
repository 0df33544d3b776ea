"""The validation of finite queues, long transfers, admission and handovers: its theory, and what it catches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from meshsim.network import access, link
from meshsim.validation import bulk, drops, promises
from meshsim.world import admission

MS = 1_000_000


def test_lost_share_by_hand() -> None:
    """With one place a packet is lost that finds another; with many at half a load none is; at twice it, half are."""
    assert drops.lost_share(0.8, 1) == pytest.approx(0.8 / 1.8)
    # Two places: what a departure leaves is nothing with exp(-load).
    assert drops.lost_share(1.0, 2) == pytest.approx(1 - 1 / (2.718281828**-1 + 1))
    assert drops.lost_share(0.5, 30) == pytest.approx(0, abs=1e-9)
    assert drops.lost_share(2.0, 30) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("module", [link, access])
def test_a_queue_with_a_place_too_many_is_found_out(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link or a buffer that takes one packet more than it has room for does not pass for M/D/1/K."""
    whole = module.without_room

    def roomier(train: Any, now_ns: int, free_at_ns: int, bandwidth_bps: int, queue_bytes: int) -> Any:
        return whole(train, now_ns, free_at_ns, bandwidth_bps, queue_bytes + 1_500)

    monkeypatch.setattr(module, "without_room", roomier)
    monkeypatch.setattr(drops, "CASES", ((0.8, 4),))
    passed = {claim.text.split()[3].strip(","): claim.passed for claim in drops.dropped(1).criteria}
    assert passed == {"link": module is not link, "radio": module is not access}


def test_use_of_a_bottleneck_by_hand() -> None:
    """Three quarters without a buffer, all with one as long as the path or longer."""
    assert bulk.utilisation(60, 0) == pytest.approx(0.75)
    assert bulk.utilisation(60, 60) == bulk.utilisation(60, 200) == 1
    assert 0.75 < bulk.utilisation(60, 15) < bulk.utilisation(60, 30) < 1


def test_a_window_that_shrinks_too_little_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reno that keeps seven tenths after a loss does not pass for Reno."""
    monkeypatch.setattr(
        "meshsim.network.tcp_control.Reno.reduced", lambda control, segments: max(segments * 7 // 10, 2)
    )
    monkeypatch.setattr(bulk, "LOSSES", (0.01,))
    assert not any(claim.passed for claim in bulk._under_loss(1))
    assert bulk._behind(15, 1) > 100 * bulk.utilisation(bulk.PATH_PACKETS, 15) + bulk.BUFFER_TOLERANCE


def test_delays_of_an_interruption_by_hand() -> None:
    """What gets ready in it waits for its end, up and down; what is through before does not."""
    begun_ns = promises.STAY_NS
    up_and_over_ns = promises.UPLINK_NS + 2 * promises.LINK_NS
    assert promises.late_by_ns(begun_ns) == 40 * MS
    assert promises.late_by_ns(begun_ns + 39 * MS) == MS
    assert promises.late_by_ns(begun_ns + 40 * MS) == 0
    assert promises.late_by_ns(begun_ns - MS) == 40 * MS + MS - up_and_over_ns
    assert promises.late_by_ns(begun_ns - up_and_over_ns - 1) == 0


def test_broken_promises_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells that admit everybody, and interruptions of which the world knows nothing, do not pass."""
    monkeypatch.setattr(admission._Book, "free_bps", lambda book: (10**12, 10**12))
    world: Callable[..., Any] = promises._world

    def hasty(radio: Any, *others: Any) -> Any:
        return world({}, *others)

    monkeypatch.setattr(promises, "_world", hasty)
    monkeypatch.setattr(promises, "CASES", promises.CASES[1:2])
    assert [criterion.passed for criterion in promises.promises(1).criteria] == [False, True, True, False, False, False]
