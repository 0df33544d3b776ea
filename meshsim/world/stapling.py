"""OCSP responses in time: a server fetches one about its own certificate every so often, and sends it along."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from meshsim.identity.revocation import OcspStaple, OcspStatus, staple_for
from meshsim.identity.sizes import staple_size_bytes
from meshsim.identity.svid import SECOND_NS
from meshsim.telemetry.config_row import ConfigRow
from meshsim.world.fetching import Errand, Fetching

if TYPE_CHECKING:
    from meshsim.identity.svid import Svid
    from meshsim.scenario.revocation import Ocsp
    from meshsim.sidecar.tls.settings import TlsSide
    from meshsim.world.blaming import Effects
    from meshsim.world.hosts import Host
    from meshsim.world.revoking import Revoking
    from meshsim.world.state import State

Says = Literal["nothing", "good", "older", "unknown"]


class Stapling:
    """Keeps the staple of each server."""

    def __init__(self, state: State, revoking: Revoking, settings: Ocsp, node: str) -> None:
        self._state = state
        self._clock = state.clock
        self._revoking = revoking
        self._settings = settings
        key_type = state.scenario.mesh.identity.ca_key
        errand = Errand("ocsp-fetch", node, settings.fetch_ns, f"{key_type}.sign", f"{key_type}.verify")
        self.fetching = Fetching(state, errand, self._answer, staple_size_bytes, self._take, self._missed)
        self._certificates: dict[str, Svid] = {}
        """The certificate that each server has, by its name."""
        self._staples: dict[str, OcspStaple] = {}
        self._faults: list[tuple[Says, Effects]] = []
        """What faults have the responder say."""
        self._record = state.recorder.appender("configs")

    def begin(self) -> None:
        """Have servers fetch from now on."""
        self.fetching.begin(self._state.replicas)

    def issued(self, host: Host, svid: Svid) -> None:
        """Take note of a certificate that is put in place: it comes with its first staple."""
        self._certificates[host.name] = svid
        staple = self._say(self._about(svid))
        if staple is None:
            self._staples.pop(host.name, None)
            self._missed(host)
        else:
            self._keep(host, staple)

    def equip(self, host: Host, side: TlsSide) -> TlsSide:
        """Return what a host brings to handshakes, its staple with it if that is in date by its own clock."""
        staple, svid = self._staples.get(host.name), side.svid
        if svid is None or host.name not in self._certificates:
            return side
        clock_ns = self._state.scenario.epoch_ns + self._clock.now_ns + host.machine.skew_ns
        if staple is not None and staple.is_about(svid) and clock_ns <= staple.next_update_ns:
            return msgspec.structs.replace(side, ocsp_staple=staple)
        serves = self._settings.staple == "lenient" or self._revoking.holds_back(host)
        return msgspec.structs.replace(side, serves=serves)

    # At the responder

    def _about(self, svid: Svid) -> OcspStaple:
        status: OcspStatus = "revoked" if self._revoking.is_revoked(svid) else "good"
        return staple_for(svid, status, *self._revoking.window_ns(svid.issuer, self._settings.valid_ns))

    def _say(self, truth: OcspStaple) -> OcspStaple | None:
        """Return what the responder says instead of the truth; None if it says nothing."""
        if not self._faults:
            return truth
        serves, effects = self._faults[-1]
        said: OcspStaple | None = None
        if serves == "older":
            late_ns = truth.next_update_ns - truth.this_update_ns + SECOND_NS
            begin_ns, end_ns = truth.this_update_ns - late_ns, truth.this_update_ns - SECOND_NS
            said = msgspec.structs.replace(truth, status="good", this_update_ns=begin_ns, next_update_ns=end_ns)
        elif serves != "nothing":
            said = msgspec.structs.replace(truth, status=serves)
        effects.configurations += said != truth
        return said

    def _answer(self, host: Host) -> OcspStaple | None:
        svid = self._certificates.get(host.name)
        if svid is None or not self._revoking.signs(svid.issuer):
            return None
        return self._say(self._about(svid))

    def disturb(self, serves: Says, effects: Effects) -> None:
        """Have the responder say something else than the truth, for a fault; the last one counts."""
        self._faults.append((serves, effects))

    def restore(self, effects: Effects) -> None:
        """Have it say what it said before."""
        self._faults = [fault for fault in self._faults if fault[1] is not effects]

    # At servers

    def _take(self, host: Host, staple: OcspStaple) -> None:
        if not staple.is_about(self._certificates[host.name]):
            return
        if staple.status == "revoked" and self._revoking.holds_back(host):
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
