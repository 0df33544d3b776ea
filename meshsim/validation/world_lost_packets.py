"""Single packets lost in a whole world, by cutting its link for a microsecond, reckoned by hand."""

from __future__ import annotations

from typing import NamedTuple

from meshsim.network import tcp
from meshsim.probe.case import ProbeCase
from meshsim.probe.script import Script, write_script
from meshsim.scenario.cost_profile import load_cost_profile
from meshsim.scenario.network import Node
from meshsim.validation.linux_timer import TICK_MS, due_ms
from meshsim.validation.small_world import Data, run_world, small_world

MS = tcp.MS
HALF_MS, BYTE_MS = 25.0, 0.001
BANDWIDTH_BPS = 8_000_000
SYN, ACK, FULL = 60, 52, 1500
RTO_LEAST_MS = 200.0
CUT_NS = 1_000
CONNECTED_MS = 2 * (HALF_MS + SYN * BYTE_MS)
WORLD = "In a world"


class WorldCase(NamedTuple):
    """What a world should come to, and what it does."""

    text: str
    wanted_ms: float
    found_ms: float


def _rto_ms(sample_ms: float) -> float:
    """RTO in whole ticks after one sample that is shorter than 100 ms."""
    return -(-(sample_ms + RTO_LEAST_MS) // TICK_MS) * TICK_MS


def _data(cuts_ms: tuple[float, ...], settings: Data) -> Data:
    data = small_world(round(2 * HALF_MS * MS), 1, 60_000)
    data["network"]["tcp"] = {"remember_destinations": False} | settings
    (link,) = data["network"]["links"]
    link["bandwidth"] = f"{BANDWIDTH_BPS} bit/s"
    data["faults"] = [
        {
            "name": f"cut-{number}",
            "kind": "link-down",
            "target": "--".join(link["between"]),
            "at": f"{round(cut_ms * MS)} ns",
            "for": f"{CUT_NS} ns",
        }
        for number, cut_ms in enumerate(cuts_ms)
    ]
    return data


def _established_ms(cuts_ms: tuple[float, ...], settings: Data) -> float:
    (row,) = run_world(_data(cuts_ms, settings))["handshakes"]
    return float(row.tcp_ns + row.duration_ns) / MS


class _Handshake:
    """A handshake with mutual TLS: what it takes by its sizes and by what CPUs take for it.

    The server's flight holds certificates with the world's names in it: how long it is, one of which nothing is lost
    tells.
    """

    def __init__(self) -> None:
        case = ProbeCase(round(2 * HALF_MS * MS), group="X25519", cpu=Node.model_fields["cpu"].default, mutual=True)
        script: Script = write_script(case, load_cost_profile("default"))
        hello, flight, finish = script.dialogue[:3]
        self.hello_ms, self.flight_ms, self.finish_ms = (turn.compute_ns / MS for turn in (hello, flight, finish))
        self._hello_way_ms = HALF_MS + (hello.size_bytes + ACK) * BYTE_MS
        flight_sent_ms = self.flight_sent_ms(CONNECTED_MS + self.hello_ms)
        self._flight_way_ms = _established_ms((), {}) - flight_sent_ms - self.finish_ms

    def flight_sent_ms(self, hello_ms: float) -> float:
        """When the server's flight leaves if the ClientHello left then."""
        return hello_ms + self._hello_way_ms + self.flight_ms

    def done_ms(self, flight_ms: float) -> float:
        """When the client is established if the server's flight left then."""
        return flight_ms + self._flight_way_ms + self.finish_ms

    def after(self, connected_ms: float) -> float:
        """When the client is established if it is connected then, and nothing more is lost."""
        return self.done_ms(self.flight_sent_ms(connected_ms + self.hello_ms))


def _handshakes() -> list[tuple[str, float, tuple[float, ...], Data]]:
    """Cases: what is lost, when the client should be established, when the link is cut, settings."""
    shake = _Handshake()
    half_ms = HALF_MS / 2
    again_ms = due_ms(0.0, 1000.0)
    third_ms = due_ms(again_ms, 2000.0)
    hello_ms = CONNECTED_MS + shake.hello_ms
    hello_again_ms = due_ms(hello_ms, _rto_ms(CONNECTED_MS))
    hello_third_ms = due_ms(hello_again_ms, _rto_ms(CONNECTED_MS))
    flight_ms = shake.flight_sent_ms(hello_ms)
    # The server's sample ends with the acknowledgement of its SYN-ACK.
    flight_again_ms = due_ms(flight_ms, _rto_ms(2 * HALF_MS + (SYN + ACK) * BYTE_MS))
    # The server's own timer repeats the SYN-ACK where the second SYN is lost too.
    synack_again_ms = due_ms(HALF_MS + SYN * BYTE_MS, 1000.0) + HALF_MS + SYN * BYTE_MS
    settings: Data = {"initial_rto": "700 ms", "minimum_rto": "100 ms"}
    soon_ms = due_ms(0.0, 700.0)
    return [
        ("SYN lost", shake.after(again_ms + CONNECTED_MS), (half_ms,), {}),
        ("SYN lost twice", shake.after(third_ms + CONNECTED_MS), (half_ms, again_ms + half_ms), {}),
        ("SYN-ACK lost", shake.after(again_ms + CONNECTED_MS), (3 * half_ms,), {}),
        ("SYN-ACK and second SYN lost", shake.after(synack_again_ms), (3 * half_ms, again_ms + half_ms), {}),
        ("ClientHello lost", shake.done_ms(shake.flight_sent_ms(hello_again_ms)), (hello_ms + half_ms,), {}),
        (
            "ClientHello lost twice",
            shake.done_ms(shake.flight_sent_ms(hello_third_ms)),
            (hello_ms + half_ms, hello_again_ms + half_ms),
            {},
        ),
        ("server's flight lost", shake.done_ms(flight_again_ms), (flight_ms + half_ms,), {}),
        ("SYN lost, first timeout set to 700 ms", shake.after(soon_ms + CONNECTED_MS), (half_ms,), settings),
    ]


def _request_ms(response_bytes: int) -> tuple[float, float]:
    """Return what TCP and network should take of a request without TLS on a new connection, and what they take."""
    data = _data((), {})
    data["mesh"]["tls"] = {"mode": "DISABLE"}
    data["traffic"][0]["response"] = f"{response_bytes} B"
    tables = run_world(data)
    (request,), (call, *_) = tables["requests"], tables["calls"]
    segments = -(-call.bytes_received // (FULL - ACK))
    on_wire = ACK + call.bytes_sent + segments * ACK + call.bytes_received
    return CONNECTED_MS + 2 * HALF_MS + on_wire * BYTE_MS, (request.tcp_ns + request.network_ns) / MS


def world_cases() -> list[WorldCase]:
    """Run every case."""
    cases = [
        WorldCase(text, wanted_ms, _established_ms(cuts_ms, settings))
        for text, wanted_ms, cuts_ms, settings in _handshakes()
    ]
    for size, response_bytes in (("one segment", 1_000), ("10 segments", 14_000)):
        cases.append(WorldCase(f"request without TLS, response of {size}", *_request_ms(response_bytes)))
    return cases
