"""The laws that a run is held to at its end: every call ended, every byte accounted for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.scenario.errors import InvariantViolation

if TYPE_CHECKING:
    from meshsim.network.link import LinkDirection
    from meshsim.network.medium import SliceQueue
    from meshsim.world.state import State


def close_accounts(state: State) -> None:
    """Raise InvariantViolation when an account does not close."""
    if state.accounts:
        raise InvariantViolation(f"{len(state.accounts)} calls never ended: {sorted(state.accounts)[:10]}")
    links: list[LinkDirection | SliceQueue] = [direction for pair in state.links.values() for direction in pair]
    links += [queue for pair in state.cells.values() for air in pair for queue in air.queues.values()]
    for link in links:
        if link.sent_bytes != link.delivered_bytes + link.lost_bytes:
            account = f"{link.sent_bytes} sent, {link.delivered_bytes} delivered, {link.lost_bytes} lost"
            raise InvariantViolation(f"the bytes of {link.key} do not add up: {account}")
