"""Handshakes under loss, many of them: in a whole world and as the probe plays them, with a rare stratum made common.

What becomes of a handshake whose first SYN or SYN-ACK is lost scatters most, and few begin so. So there are more of
them than chance would give: the world's link is cut for a microsecond while one of the two is on it, the probe's next
loss is brought to it. Losses have no memory, so the rest is as it would be.
"""

from __future__ import annotations

from random import Random

from meshsim.network import tcp
from meshsim.network.tcp_connection import Carrier
from meshsim.network.tcp_dialogue import Course
from meshsim.network.tcp_parameters import TcpParameters
from meshsim.network.tcp_path import DOWN, UP, LossCountdown, SteadyPath
from meshsim.probe.case import ProbeCase
from meshsim.probe.script import Script, write_script
from meshsim.scenario.cost_profile import load_cost_profile
from meshsim.scenario.network import Node
from meshsim.validation.small_world import BANDWIDTH_BPS, Data, run_world, small_world

REQUESTS = {1: 2_000, 3: 4_000, 10: 9_000}
"""Handshakes in the world by the loss in percent: the more, the more there is to scatter."""
FIRST_LOST = {5: 12_500, 50: 7_000, 200: 2_500}
"""Handshakes in the world whose first SYN or SYN-ACK is lost, by the round trip, at 10 % loss; at less loss fewer."""
PROBES_EACH = 4
"""Of the probe for one in the world."""
GAP_MS = 20_000
"""Between requests, on average: nearly all handshakes are over by then, whatever was lost."""
CUT_NS = 1_000
OTHER_LOSSES = 1_000_000
"""Added to the seed of worlds with cuts: they draw losses of their own."""

Sample = tuple[int, int]
"""From the first SYN to connected, and to established."""


def lossy_world(round_trip_ns: int, loss_percent: float, requests: int, seed: int) -> Data:
    """Return a small world whose link loses packets, and whose hosts remember nothing of earlier connections."""
    data = small_world(round_trip_ns, requests, GAP_MS, seed=seed)
    data["network"]["tcp"] = {"remember_destinations": False}
    data["network"]["links"][0]["loss"] = f"{loss_percent:.9f} %"
    return data


def first_lost(round_trip_ms: int, loss_percent: int) -> int:
    """Return how many handshakes in the world lose their first SYN or SYN-ACK on purpose."""
    return FIRST_LOST[round_trip_ms] * loss_percent // 10


def lost_syns(loss: float) -> float:
    """Return in what part of handshakes that lose their first SYN or SYN-ACK it is the SYN."""
    return loss / (1 - (1 - loss) ** 2)


def cuts_at_syns(loss: float) -> float:
    """Return the part of cuts that are to strike SYNs: of the others ``loss`` finds the SYN lost already."""
    return (lost_syns(loss) - loss) / (1 - loss)


def world_samples(round_trip_ms: int, loss_percent: int, seed: int) -> list[Sample]:
    """Return handshakes of the world as chance has them."""
    return _established(lossy_world(round_trip_ms * tcp.MS, loss_percent, REQUESTS[loss_percent], seed))


def world_first_lost(round_trip_ms: int, loss_percent: int, seed: int) -> list[Sample]:
    """Return handshakes of the world whose first SYN or SYN-ACK is lost."""
    round_trip_ns, requests = round_trip_ms * tcp.MS, first_lost(round_trip_ms, loss_percent)
    rows = run_world(small_world(round_trip_ns, 2, GAP_MS))["handshakes"]
    begin_ns, next_ns = (row.t_start_ns - row.tcp_ns for row in rows)
    data = lossy_world(round_trip_ns, loss_percent, requests, OTHER_LOSSES + seed)
    (link,) = data["network"]["links"]
    which = Random(f"first lost/{seed}/{round_trip_ns}/{loss_percent}")
    at_syns = cuts_at_syns(loss_percent / 100)
    data["faults"] = [
        {
            "name": f"cut-{number}",
            "kind": "link-down",
            "target": "--".join(link["between"]),
            "at": f"{begin_ns + number * (next_ns - begin_ns) + quarters * round_trip_ns // 4} ns",
            "for": f"{CUT_NS} ns",
        }
        for number, quarters in enumerate(1 if which.random() < at_syns else 3 for _ in range(requests))
    ]
    return _established(data)


def _established(data: Data) -> list[Sample]:
    rows = run_world(data)["handshakes"]
    return [(row.tcp_ns, row.tcp_ns + row.duration_ns) for row in rows if row.outcome == "established"]


class Probe:
    """The probe's handshakes over the link of a lossy world."""

    def __init__(self, round_trip_ms: int, loss_percent: int, seed: int) -> None:
        round_trip_ns, loss = round_trip_ms * tcp.MS, loss_percent / 100
        self._cell = (round_trip_ms, loss_percent)
        case = ProbeCase(round_trip_ns, group="X25519", cpu=Node.model_fields["cpu"].default, mutual=True)
        self._script: Script = write_script(case, load_cost_profile("default"))
        name = f"world handshakes/{seed}/{round_trip_ns}/{loss}"
        up, down, noise, self._phase, self._which = (
            Random(f"{name}/{purpose}") for purpose in ("up", "down", "noise", "phase", "which")
        )
        self._losses = (LossCountdown(loss, up), LossCountdown(loss, down))
        path = SteadyPath((round_trip_ns // 2, round_trip_ns // 2), BANDWIDTH_BPS, self._losses, noise)
        self._carrier = Carrier(path, TcpParameters())

    def samples(self) -> list[Sample]:
        """Return handshakes as chance has them."""
        return self._kept([self._play() for _ in range(PROBES_EACH * REQUESTS[self._cell[1]])])

    def first_lost(self) -> list[Sample]:
        """Return handshakes whose first SYN or SYN-ACK is lost."""
        courses = []
        syns = lost_syns(self._cell[1] / 100)
        for _ in range(PROBES_EACH * first_lost(*self._cell)):
            if self._which.random() < syns:
                self._losses[UP].spare = 0
            else:
                self._losses[UP].spare += 1
                self._losses[DOWN].spare = 0
            courses.append(self._play())
        return self._kept(courses)

    def _play(self) -> Course:
        return self._carrier.carry(self._script.dialogue, int(self._phase.random() * 1024 * tcp.MS))

    def _kept(self, courses: list[Course]) -> list[Sample]:
        finish = self._script.finish
        finish_ns = self._script.dialogue[finish].compute_ns
        return [
            (course.connected_ns, course.delivered_ns[finish - 1] + finish_ns)
            for course in courses
            if len(course.delivered_ns) >= finish
        ]
