"""Certificate revocation lists in time: published every so often, fetched by proxies, and perhaps too old."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.identity.revocation import Crl
from meshsim.identity.sizes import crl_size_bytes
from meshsim.telemetry.config_row import ConfigRow
from meshsim.world.fetching import Errand, Fetching

if TYPE_CHECKING:
    from meshsim.scenario.revocation import RevocationLists as Settings
    from meshsim.world.hosts import Host
    from meshsim.world.revoking import Revoking
    from meshsim.world.state import State

Lists = frozenset[Crl]


class RevocationLists:
    """Publishes the lists of every authority, and knows which ones each host has."""

    def __init__(self, state: State, revoking: Revoking, settings: Settings, node: str) -> None:
        self._state = state
        self._clock = state.clock
        self._revoking = revoking
        self._settings = settings
        key_type = state.scenario.mesh.identity.ca_key
        errand = Errand("crl-fetch", node, settings.fetch_ns, "", f"{key_type}.verify")
        self.fetching = Fetching(state, errand, self._answer, self._size_bytes, self._take, self._missed)
        self._machine = state.machines[node]
        self._signature_ns = self._machine.costs.operations[f"{key_type}.sign"]
        self._number = 0
        self._published: dict[str, Crl] = {}
        """The newest list of each authority, by ``Authority.id``."""
        self._held: dict[str, Lists] = {}
        """What each host goes by, by its name."""
        self._record = state.recorder.appender("configs")

    def begin(self) -> None:
        """Publish the first lists, and have every host begin with them."""
        self._publish(None)
        lists = self._newest()
        for host in self._state.hosts():
            self._held[host.name] = lists
        self.fetching.begin(self._revoking.all_hosts())

    def give(self, host: Host) -> None:
        """Give a host that starts the newest lists: they come with its configuration."""
        if self._number:
            self._held[host.name] = self._newest()

    def of(self, host: Host) -> Lists:
        """Return the lists that a host goes by."""
        return self._held.get(host.name, frozenset())

    # At the authority

    def _publish(self, _: None) -> None:
        due_ns = self._clock.now_ns + self._settings.every_ns
        if due_ns < self._state.scenario.duration_ns and not (self._number and self._state.over):
            self._clock.at(due_ns, self._publish)
        signing = [name for name in self._revoking.authorities() if self._revoking.signs(name)]
        if not signing:
            return
        self._number += 1
        for name in signing:
            self._published.pop(name, None)
        self._newest()

    def _newest(self) -> Lists:
        """Return the newest list of each authority; one that is new has its first at once."""
        for name in self._revoking.authorities():
            if name not in self._published:
                self._published[name] = self._list(name)
                self._machine.cores.submit(self._clock.now_ns, self._signature_ns)
        return frozenset(self._published.values())

    def _list(self, authority: str) -> Crl:
        begin_ns, end_ns = self._revoking.window_ns(authority, self._settings.valid_ns)
        return Crl(authority, self._number, begin_ns, end_ns, self._revoking.serials_of(authority))

    # At hosts

    def _answer(self, host: Host) -> Lists:
        return self._newest()

    def _size_bytes(self, lists: Lists) -> int:
        return sum(crl_size_bytes(crl, self._revoking.key_type_of(crl.issuer)) for crl in lists)

    def _take(self, host: Host, lists: Lists) -> None:
        held = self.of(host)
        if lists == held:
            return
        self._held[host.name] = lists
        listed, before = (sum(len(crl.serials) for crl in each) for each in (lists, held))
        if listed != before:
            self._write(host, "acked", f"revocation list: {listed} certificate{'' if listed == 1 else 's'}")
        self._revoking.told(host)

    def _missed(self, host: Host) -> None:
        self._write(host, "stale", "revocation list not to be had")

    def _write(self, host: Host, event: str, reason: str) -> None:
        self._record(ConfigRow(self._clock.now_ns, self._number, host.name, event, reason))
