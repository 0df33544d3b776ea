"""The called half of a waypoint: one proxy that goes by the rules of whichever service a request is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshsim.sidecar.gate import Gate
from meshsim.sidecar.inbound import Downstream, Inbound
from meshsim.sidecar.questions import Questions
from meshsim.sidecar.settings import Served, SidecarSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshsim.sidecar.commands import AskPolicy
    from meshsim.sidecar.messages import RequestMessage
    from meshsim.sidecar.tls.openssl import Engines
    from meshsim.sidecar.tls.settings import TlsSide


class WaypointInbound(Inbound):
    """State of the called half of a waypoint."""

    __slots__ = ("_own", "_served")

    def __init__(self, settings: SidecarSettings, side: TlsSide, engines: Engines | None) -> None:
        super().__init__(settings, side, engines)
        self._own = settings
        self._served: dict[str, tuple[SidecarSettings, Questions, Gate]] = {}
        self.serve(settings.serves)

    def serve(self, serves: Mapping[str, Served]) -> None:
        """Go by these rules of services from now on; what was asked before has its answer."""
        for service, one in serves.items():
            settings = msgspec.structs.replace(
                self._own, workload=service, namespace=one.namespace, token_rules=one.token_rules
            )
            self._served[service] = (settings, Questions(settings), Gate(settings))
        for downstream in self.downstreams.values():
            downstream.questions.clear()

    def _ask(self, downstream: Downstream, message: RequestMessage, now_ns: int) -> AskPolicy:
        # One request is asked about at a time, so what is looked at can stand where a sidecar's own rules do.
        self._settings, self._questions, self._gate = self._served[message.template.destination]
        return super()._ask(downstream, message, now_ns)
