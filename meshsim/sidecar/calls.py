"""A call of the workload, as the calling half of its sidecar keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.sidecar.resilience import CONNECT_FAILURE

if TYPE_CHECKING:
    from meshsim.sidecar.balancer import Balancer
    from meshsim.sidecar.clusters import Cluster
    from meshsim.sidecar.messages import CallTemplate, Carried
    from meshsim.sidecar.pool import Pool, Upstream
    from meshsim.sidecar.resilience import ResilienceSettings
    from meshsim.sidecar.timers import Deadlines


NOWHERE: frozenset[int] = frozenset()


class OutboundCall:
    """One call of the workload, over all its attempts."""

    __slots__ = (
        "attempt",
        "call_id",
        "carried",
        "cluster",
        "connection",
        "deadline_ns",
        "deadlines",
        "endpoint_id",
        "pool",
        "resilience",
        "template",
        "tried",
    )

    def __init__(
        self,
        call_id: int,
        template: CallTemplate,
        deadline_ns: int,
        resilience: ResilienceSettings,
        carried: Carried | None,
    ) -> None:
        self.call_id = call_id
        self.carried = carried
        self.template = template
        self.deadline_ns = deadline_ns
        self.resilience = resilience
        self.attempt = 0
        self.tried = NOWHERE
        self.endpoint_id = 0
        self.connection: Upstream | None = None
        """Connection that it is sent on, or waits for."""
        self.pool: Pool | None = None
        """Pool that it waits in for a free stream."""
        self.deadlines: Deadlines | None = None
        """Where its time limit is kept; None of calls that a route is for."""
        self.cluster: Cluster | None = None
        """Where a route has it go; None of calls that are not routed."""


def may_retry(call: OutboundCall, outcome: str, now_ns: int, *, unsent: bool = False) -> bool:
    """Return whether a call is tried again after an attempt with this outcome.

    ``unsent``: whether the attempt ended for want of a connection to a replica that there was.
    """
    retries_left = call.attempt <= call.resilience.retries and now_ns < call.deadline_ns
    return retries_left and _meets_condition(call, outcome, unsent)


def exhausted(call: OutboundCall, outcome: str, *, unsent: bool = False) -> bool:
    """Return whether a call that ends has been tried again in vain; ``unsent`` as for ``may_retry``."""
    return call.attempt > 1 and _meets_condition(call, outcome, unsent)


def _meets_condition(call: OutboundCall, outcome: str, unsent: bool) -> bool:
    retry_on = call.resilience.retry_on
    return outcome in retry_on or (unsent and CONNECT_FAILURE in retry_on)


def release(call: OutboundCall, balancer: Balancer) -> None:
    """Take a call off whatever it is on or waits for."""
    upstream, pool = call.connection, call.pool
    if upstream is None and pool is None:
        return
    balancer.active[call.endpoint_id] -= 1
    waited = pool is not None
    if upstream is not None:
        upstream.streams.pop(call.call_id, None)
        if upstream.waiting and call.call_id in upstream.waiting:
            upstream.waiting.remove(call.call_id)
            waited = True
    if pool is not None:
        pool.waiting.remove(call.call_id)
    if call.cluster is not None:
        if waited:
            call.cluster.pending -= 1
        else:
            call.cluster.active -= 1
    call.connection = call.pool = None
