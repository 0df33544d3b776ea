"""OCSP responses in time: a server fetches one about its own certificate every so often, and sends it along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshsim.identity.authority import whole_seconds
from meshsim.identity.revocation import OcspStaple, OcspStatus, staple_for
from meshsim.telemetry.rows import ConfigRow
from meshsim.world.fetching import Errand, Fetching

if TYPE_CHECKING:
    from meshsim.identity.svid import Svid
    from meshsim.scenario.revocation import Ocsp
    from meshsim.sidecar.tls.settings import TlsSide
    from meshsim.world.hosts import Host
    from meshsim.world.revoking import Revoking
    from meshsim.world.state import State


class Stapling:
    """Keeps the staple of each server."""

    def __init__(self, state: State, revoking: Revoking, settings: Ocsp, node: str) -> None:
        self._state = state
        self._clock = state.clock
        self._revoking = revoking
        self._settings = settings
        key_type = state.scenario.mesh.identity.ca_key
        errand = Errand("ocsp-fetch", node, settings.fetch_ns, f"{key_type}.sign", f"{key_type}.verify")
        self.fetching = Fetching(state, errand, self._answer, self._take, self._missed)
        self._certificates: dict[str, Svid] = {}
        """The certificate that each server has, by its name."""
        self._staples: dict[str, OcspStaple] = {}
        self._record = state.recorder.appender("configs")

    def begin(self) -> None:
        """Have servers fetch from now on."""
        self.fetching.begin(self._state.replicas)

    def issued(self, host: Host, svid: Svid) -> None:
        """Take note of a certificate that is put in place: it comes with its first staple."""
        self._certificates[host.name] = svid
        self._keep(host, self._about(svid))

    def equip(self, host: Host, side: TlsSide) -> TlsSide:
        """Return what a host brings to handshakes, its staple with it if that is in date by its own clock."""
        staple, svid = self._staples.get(host.name), side.svid
        if svid is None or staple is None:
            return side
        clock_ns = self._state.scenario.epoch_ns + self._clock.now_ns + host.machine.skew_ns
        if staple.is_about(svid) and clock_ns <= staple.next_update_ns:
            return msgspec.structs.replace(side, ocsp_staple=staple)
        return msgspec.structs.replace(side, serves=self._settings.staple == "lenient")

    # At the responder

    def _about(self, svid: Svid) -> OcspStaple:
        now_ns = self._revoking.epoch_ns()
        status: OcspStatus = "revoked" if self._revoking.is_revoked(svid) else "good"
        return staple_for(svid, status, self._revoking.begin_ns(), whole_seconds(now_ns) + self._settings.valid_ns)

    def _answer(self, host: Host) -> OcspStaple | None:
        svid = self._certificates.get(host.name)
        return self._about(svid) if svid is not None and self._revoking.signs() else None

    # At servers

    def _take(self, host: Host, staple: OcspStaple) -> None:
        if not staple.is_about(self._certificates[host.name]):
            return
        before = self._staples.get(host.name)
        if before is not None and before.status != staple.status:
            self._write(host, "acked", f"OCSP response: {staple.status}")
        self._keep(host, staple)
        self._revoking.told(host)

    def _keep(self, host: Host, staple: OcspStaple) -> None:
        self._staples[host.name] = staple
        due_ns = staple.next_update_ns + 1 - self._state.scenario.epoch_ns - host.machine.skew_ns
        if self._clock.now_ns < due_ns < self._state.scenario.duration_ns:
            self._clock.at(due_ns, self._ended, (host, staple))

    def _ended(self, job: tuple[Host, OcspStaple]) -> None:
        host, staple = job
        if self._staples.get(host.name) is staple and host.up and not self._state.over:
            self._revoking.told(host)

    def _missed(self, host: Host) -> None:
        self._write(host, "stale", "OCSP response not to be had")

    def _write(self, host: Host, event: str, reason: str) -> None:
        self._record(ConfigRow(self._clock.now_ns, 0, host.name, event, reason))
