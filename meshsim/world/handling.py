"""A replica's work on one request: its own CPU time, then its calls, group by group, then the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.sidecar.messages import Carried, RequestMessage
    from meshsim.traffic.plan import Group
    from meshsim.world.accounts import Account
    from meshsim.world.hosts import Replica


class Handling:
    """One request in the hands of one replica.

    ``account`` is that of the call which brought it. If the caller has given that attempt up meanwhile, the work goes
    on (nobody tells the replica), but its time no longer counts on the call.
    """

    __slots__ = (
        "account",
        "attempt",
        "carried",
        "connection_id",
        "epoch",
        "failed",
        "groups",
        "job_start_ns",
        "message",
        "next_group",
        "pending",
        "replica",
        "sent_on",
        "status",
    )

    def __init__(
        self,
        replica: Replica,
        account: Account,
        message: RequestMessage,
        connection_id: int,
        groups: tuple[Group, ...],
        job_start_ns: int,
    ) -> None:
        self.replica = replica
        self.account = account
        self.message = message
        self.attempt = message.attempt
        self.connection_id = connection_id
        self.epoch = replica.epoch
        self.groups = groups
        self.carried: Carried | None = None
        """What tokens brought or removed of what it hands on."""
        self.next_group = 0
        self.pending = 0
        self.failed = False
        self.status = 502
        """What is answered once it has failed."""
        self.sent_on = False
        """Whether a waypoint has it, which answers as it was answered."""
        self.job_start_ns = job_start_ns

    @property
    def counts(self) -> bool:
        """Whether its time still counts on the call that brought it."""
        return self.account.attempt == self.attempt
