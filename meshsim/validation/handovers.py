"""Handovers of requests that have the air to themselves, to the nanosecond, and of what cells had admitted."""

from __future__ import annotations

from meshsim.scenario.cost_profile import load_cost_profile

DEVICE_CPU = "cortex-a72"
"""What devices have if a scenario does not say."""
HEADER_BYTES = 52
"""IPv4, TCP and timestamps."""
AIR_BITS_PER_NS = 1
"""Both ways: 1 Gbit/s."""
PER_SECOND = "18.73 /s"
"""A request every 53.4 ms: more than an interruption and a response, so that no two wait for the same; and none is at
another's instant after a cell change."""
STAYS = 3
"""Cells that devices come to, the first among them again."""
READMITTED = (
    # Guaranteed to the slice, asked for by each device, devices, admitted at each cell.
    ("10 Mbit/s", "2 Mbit/s", 7, 5),
    ("10 Mbit/s", "2 Mbit/s", 4, 4),
)


def message_ns() -> int:
    """Return what a device's sidecar takes for a request before it sends it, and for its response."""
    costs = load_cost_profile("default").cpu(DEVICE_CPU)
    assert costs.proxy_request_ns == costs.proxy_response_ns
    return costs.proxy_request_ns + costs.tcp_message_ns


def exact_delay_ns(
    intended_ns: int, usual_ns: int, response_bytes: int, downlink_ns: int, changes_ns: range, interruption_ns: int
) -> int:
    """Return how late a request is that was meant to be sent then, alone, where one that waits takes ``usual_ns``.

    Its uplink packet is ready when the device's sidecar has sent it; the response's downlink packet before it has
    crossed the air and the device's sidecar. What is ready in an interruption waits for its end.
    """
    up_ns = intended_ns + message_ns()
    air_ns = 8 * (response_bytes + HEADER_BYTES) // AIR_BITS_PER_NS
    down_ns = intended_ns + usual_ns - message_ns() - downlink_ns - air_ns
    for ready_ns in (up_ns, down_ns):
        for change_ns in changes_ns:
            if change_ns <= ready_ns < change_ns + interruption_ns:
                return change_ns + interruption_ns - ready_ns
    return 0
