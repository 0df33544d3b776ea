"""Certificates that are replaced in time: when, and what a live connection notices of it."""

from __future__ import annotations

from typing import Any

S = 1_000_000_000
Data = dict[str, Any]


def test_jitter_spreads_rotations(simulate: Any, line: Data) -> None:
    """Each certificate is replaced at its own instant within the jitter, and the draws of one host shift no other's."""
    line["duration"] = "80 s"
    line["services"]["front"]["replicas"] = {"edge": 20}
    line["mesh"] = {"identity": {"svid_ttl": "100 s", "rotate_jitter": "10 %"}}
    rotated = [row.t_ns for row in simulate(line, fidelity="modelled").identities if row.event == "rotated"]
    assert len(rotated) == len(set(rotated)) == 21
    assert 40 * S <= min(rotated) < 43 * S
    assert 57 * S < max(rotated) <= 60 * S
    line["fleets"]["phone"]["size"] = 2
    assert set(rotated) < {row.t_ns for row in simulate(line, fidelity="modelled").identities if row.event == "rotated"}
