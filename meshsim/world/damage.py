"""Units that arrive damaged, and the ends that break of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from meshsim.sidecar import events
from meshsim.sidecar.tls.damage import tamper, tamper_records
from meshsim.world.connection import UP

if TYPE_CHECKING:
    from meshsim.sidecar.events import Event
    from meshsim.world.connection import Transfer
    from meshsim.world.handshakes import Handshakes
    from meshsim.world.hosts import Host
    from meshsim.world.state import State


class Damage:
    """Decides what becomes of units on connections on which something was damaged.

    A damaged record breaks the receiving end's TLS: that end takes no message more and sends nothing but its alert.
    Nobody notices damage to plaintext, which is what ``calls.corrupted`` counts.
    """

    def __init__(self, state: State, handshakes: Handshakes, tell: Callable[[Host, Event], None]) -> None:
        self._accounts = state.accounts
        self._handshakes = handshakes
        self._tell = tell

    def readable(self, transfer: Transfer, *, message: bool) -> bool:
        """Say whether a unit can be taken as it is; one that was damaged in a record goes to the receiver as such."""
        connection, direction = transfer.connection, transfer.direction
        receiving_end = 1 - direction
        if not connection.open_ends[receiving_end]:
            return True  # it is answered with a reset
        if connection.broken_end == receiving_end:
            return not message
        if not transfer.damaged:
            return True
        unit: Any = transfer.unit  # told apart by its kind
        receiver = connection.server if direction == UP else connection.client
        if message and not unit.encrypted:
            if direction != UP or receiver.sidecar.inbound.mode_of(connection.port) != "STRICT":
                self._accept(unit.call_id, unit.attempt)
            return True
        connection.broken_end = receiving_end
        if message:
            tampered = tamper_records(unit.size_bytes, unit.wire)
        else:
            self._handshakes.received(connection, direction, unit)
            tampered = tamper(unit)
        self._tell(receiver, events.UnitReceived(connection.connection_id, tampered))
        return False

    def _accept(self, call_id: int, attempt: int) -> None:
        account = self._accounts.get(call_id)
        if account is not None and account.attempt == attempt:
            account.corrupted = True
