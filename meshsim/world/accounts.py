"""Accounts: where the time of each call went, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshsim.scenario.errors import InvariantViolation
from meshsim.telemetry.rows import ATTRIBUTION

if TYPE_CHECKING:
    from meshsim.sidecar.messages import CallTemplate
    from meshsim.world.connection import Connection
    from meshsim.world.handling import Handling
    from meshsim.world.hosts import Host

RADIO: Final = 0
NETWORK: Final = 1
TCP: Final = 2
HANDSHAKE: Final = 3
CRYPTO: Final = 4
PROXY: Final = 5
POLICY: Final = 6
QUEUE: Final = 7
SERVICE: Final = 8
BACKOFF: Final = 9
INJECTED: Final = 10
OTHER: Final = 11
"""Places in an account's ``parts``, in the order of the columns."""
NOTHING = [0] * len(ATTRIBUTION)
"""The parts of an account that begins."""


class Request:
    """One end-user request in progress."""

    __slots__ = ("client", "ended", "over", "request_id", "slice", "source", "t_intended_ns", "t_sent_ns")

    def __init__(self, request_id: int, source: str, client: str, slice_name: str, t_intended_ns: int) -> None:
        self.request_id = request_id
        self.source = source
        self.client = client
        self.slice = slice_name
        self.t_intended_ns = t_intended_ns
        self.t_sent_ns = -1
        self.ended: list[Account] | None = None
        """Calls made for it that have ended: their rows wait until the request's critical path is known."""
        self.over = False
        """Whether it has its outcome, so that it is known."""


class Account:
    """One call: its identity, and its time by cause.

    Everything up to ``mark_ns`` is attributed. Whoever knows what happened since then says so with ``spend``, and what
    nobody explains goes to ``gap`` (``settle``). So the parts of an account always sum to ``mark_ns - start_ns``.
    """

    outcome: str
    status: int
    end_ns: int

    __slots__ = (
        "attempt",
        "bytes_received",
        "bytes_sent",
        "call_id",
        "caller",
        "children",
        "corrupted",
        "critical",
        "encrypted",
        "end_ns",
        "exposed",
        "flags",
        "gap",
        "mark_ns",
        "outcome",
        "parent",
        "parts",
        "request",
        "retries",
        "sent_on",
        "start_ns",
        "status",
        "template",
        "told",
        "waits_for",
    )

    def __init__(
        self, call_id: int, template: CallTemplate, request: Request, caller: Host, parent: Handling | None, now_ns: int
    ) -> None:
        self.call_id = call_id
        self.template = template
        self.request = request
        self.caller = caller
        self.parent = parent
        self.start_ns = self.mark_ns = now_ns
        self.parts = NOTHING.copy()
        self.gap = OTHER
        self.attempt = 1
        """Attempt that is in progress; 0 when the call has ended."""
        self.waits_for = -1
        """Connection that it waits for; 0 while it waits for a free stream, -1 while it does not wait."""
        self.sent_on: Connection | None = None
        """Connection of the last attempt that was sent. Its server is the destination: a route may lead to another
        service than was called."""
        self.bytes_sent = 0
        self.bytes_received = 0
        self.encrypted = True
        self.corrupted = False
        self.exposed = ""
        """Names of the fields of the answer that tell of the mesh."""
        self.flags = ""
        """Response flags as Envoy's, where a mesh has waypoints with a place."""
        self.told: tuple[str, str] | None = None
        """How it ends in spite of what its answer says: as the call by which a waypoint sent it on, with its flags; or
        as denied by a policy that has its connection closed."""
        self.children: tuple[Account, ...] = ()
        """Calls on its critical path, one for each group that was made."""
        self.critical = False
        self.retries = 0

    def spend(self, part: int, until_ns: int) -> None:
        """Attribute the time from the mark until ``until_ns``."""
        self.parts[part] += until_ns - self.mark_ns
        self.mark_ns = until_ns

    def settle(self, now_ns: int) -> None:
        """Attribute the time that nobody explained."""
        self.parts[self.gap] += now_ns - self.mark_ns
        self.mark_ns = now_ns
        self.gap = OTHER

    def absorb(self, child: Account, now_ns: int) -> None:
        """Take over the time of the call that this one waited for since its mark."""
        for part, time_ns in enumerate(child.parts):
            if time_ns:
                self.parts[part] += time_ns
        self.mark_ns = now_ns
        self.children += (child,)

    def check(self) -> None:
        """Raise InvariantViolation unless the parts sum to the time that the call took."""
        if sum(self.parts) != self.end_ns - self.start_ns or min(self.parts) < 0:
            parts = ", ".join(f"{name} {value}" for name, value in zip(ATTRIBUTION, self.parts, strict=True) if value)
            call = f"call {self.call_id} (request {self.request.request_id}, to {self.template.destination})"
            raise InvariantViolation(
                f"the account of {call} does not close: it took {self.end_ns - self.start_ns} ns, its parts are {parts}"
            )
