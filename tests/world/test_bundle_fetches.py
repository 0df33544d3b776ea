"""When bundles of other trust domains are fetched, and what that takes of the network."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.world.test_federation import Data, mesh, partner

__all__ = ["mesh"]
MS, S = 1_000_000, 1_000_000_000


def starts(result: Any) -> list[int]:
    """When the plant has fetched the partner's bundle."""
    return [row.t_start_ns for row in result.bundles if row.trust_domain == "plant.example"]


def test_more_than_one_in_the_time_of_a_hint(simulate: Any, mesh: Data) -> None:
    """With per_hint: 4, as SPIRE, a bundle with a hint of 20 s is fetched every 5 s."""
    partner(mesh)["endpoint"]["refresh_hint"] = "20 s"
    mesh["mesh"]["federation"]["polls"] = {"per_hint": 4}
    assert starts(simulate(mesh, fidelity="modelled")) == [second * S for second in range(0, 60, 5)]


def test_without_a_hint_it_does_not_count(simulate: Any, mesh: Data) -> None:
    """A bundle without a hint is fetched every five minutes, in SPIRE as here."""
    partner(mesh)["endpoint"].pop("refresh_hint")
    mesh["duration"] = "301 s"
    mesh["mesh"]["federation"]["polls"] = {"per_hint": 4}
    mesh["traffic"][0]["arrivals"] = {"constant": "1 /min"}
    assert starts(simulate(mesh, fidelity="modelled")) == [0, 300 * S]


def test_jitter_is_drawn_for_each(simulate: Any, mesh: Data) -> None:
    """Waits lie within the jitter around the hint, differ, and are the same again with the same seed."""
    mesh["mesh"]["federation"]["polls"] = {"jitter": "20 %"}
    mesh["duration"] = "300 s"
    mesh["traffic"][0]["arrivals"] = {"constant": "10 /min"}
    found = starts(simulate(mesh, fidelity="modelled"))
    waits = [later - earlier for earlier, later in pairwise(found)]
    assert all(8 * S <= wait <= 12 * S for wait in waits)
    assert len(set(waits)) == len(waits) > 20
    # Evenly drawn over 4 s: the mean of n has a standard error of 4 s / sqrt(12 n).
    error_s = 4 / (12 * len(waits)) ** 0.5
    assert abs(sum(waits) / len(waits) / S - 10) < 4 * error_s
    assert found == starts(simulate(mesh, fidelity="modelled"))


def took_ns(result: Any) -> int:
    """How long the first fetch of the plant took."""
    row = next(row for row in result.bundles if row.trust_domain == "plant.example")
    return int(row.t_ns - row.t_start_ns)


def test_a_document_takes_its_bytes(simulate: Any, mesh: Data) -> None:
    """A fetch takes as much longer over a slow link as the document's packets take to leave, and they count as sent."""
    (link,) = mesh["network"]["links"]
    fast = simulate(mesh, fidelity="modelled")
    link["bandwidth"] = "1 Mbit/s"
    slow = simulate(mesh, fidelity="modelled")
    (size_bytes,) = {row.size_bytes for row in slow.bundles if row.trust_domain == "plant.example"}
    segments = -(-size_bytes // 1448)
    on_the_wire_bits = 8 * (size_bytes + 52 * segments)
    gigabit_ns = on_the_wire_bits  # at the default of 1 Gbit/s a bit takes a nanosecond
    assert took_ns(slow) - took_ns(fast) == pytest.approx(on_the_wire_bits * 1_000 - gigabit_ns, abs=2_000)


def test_a_long_document_takes_round_trips(simulate: Any, mesh: Data) -> None:
    """Beyond the ten segments of the first window, a document takes another round trip, as TCP's slow start has it."""
    partner(mesh)["identity"] = {"ca_key": "ml-dsa-65"}
    one = simulate(mesh, fidelity="modelled")
    mesh["mesh"]["tokens"] = {
        "issuers": {f"desk-{n}": {"trust_domain": "partner.example", "algorithm": "RS256"} for n in range(15)}
    }
    mesh["services"]["broker"]["request_authentication"] = {"issuers": list(mesh["mesh"]["tokens"]["issuers"])}
    many = simulate(mesh, fidelity="modelled")
    small, large = (
        max(row.size_bytes for row in result.bundles if row.trust_domain == "plant.example") for result in (one, many)
    )
    assert small < 10 * 1448 < large < 30 * 1448
    assert 19 * MS < took_ns(many) - took_ns(one) < 22 * MS


def test_what_is_lost_is_sent_again(simulate: Any, mesh: Data) -> None:
    """A fetch over a link that loses a third of its packets can take seconds, and comes through as often as packets."""
    mesh["network"]["links"][0]["loss"] = "30 %"
    mesh["traffic"][0]["arrivals"] = {"constant": "1 /min"}
    mesh["duration"] = "400 s"
    result = simulate(mesh, fidelity="modelled")
    rows = [row for row in result.bundles if row.trust_domain == "plant.example" and row.event == "unchanged"]
    waits = {(row.t_ns - row.t_start_ns) // S for row in rows}
    assert {0, 1} <= waits
    # One segment comes at once with probability 0.7; the standard error of a share of n is at most 0.5 / sqrt(n).
    assert {row.size_bytes // 1448 for row in rows} == {0}
    at_once = sum((row.t_ns - row.t_start_ns) < S for row in rows) / len(rows)
    assert abs(at_once - 0.7) < 4 * 0.5 / len(rows) ** 0.5
