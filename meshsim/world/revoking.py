"""Revocation in time: whose certificates are not to be believed any more, and who is told of it in which ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshsim.identity.authority import whole_seconds
from meshsim.world.obeying import Obeying
from meshsim.world.revocation_lists import RevocationLists
from meshsim.world.stapling import Stapling

if TYPE_CHECKING:
    from meshsim.identity.svid import Svid
    from meshsim.sidecar.tls.settings import TlsSide
    from meshsim.world.authorities import Authorities
    from meshsim.world.domains import Domains
    from meshsim.world.foreign_denials import ForeignDenials
    from meshsim.world.hosts import Host
    from meshsim.world.identities import Identities
    from meshsim.world.state import State

REVOKED = "the workload is revoked"
"""Why it is issued nothing."""


class Revoking:
    """The issuer's register of certificates and of what was revoked."""

    def __init__(self, state: State, domains: Domains, identities: Identities, node: str) -> None:
        """``node``: where lists and responses come from, unless the scenario says another."""
        self._state = state
        self._clock = state.clock
        self._domains = domains
        self.denials: ForeignDenials | None = None
        """Tells other trust domains; None where there are none."""
        self._identities = identities
        settings = state.scenario.mesh.identity.revocation
        source = node if settings is None else settings.node or node
        self._machine = state.machines[source]
        self._pushes = settings is not None and settings.deny_list
        self.lists = self.stapling = None
        if settings is not None and settings.crl is not None:
            self.lists = RevocationLists(state, self, settings.crl, source)
        if settings is not None and settings.ocsp is not None:
            self.stapling = Stapling(state, self, settings.ocsp, source)
        self.obeying = Obeying(state)
        self._barred: list[str] = []
        """Targets that are issued nothing now."""
        self._holding_back: set[str] = set()
        """Those that keep it to themselves."""
        self._issued: dict[str, dict[int, Svid]] = {}
        """Every certificate that a host was issued, by the host's name and the certificate's serial number."""
        self._revoked: dict[int, Svid] = {}

    def begin(self) -> None:
        """Begin to publish; every host has got its certificate."""
        if self.lists is not None:
            self.lists.begin()
        if self.stapling is not None:
            self.stapling.begin()
        if self.lists is not None:
            for host in self._state.hosts():
                self.told(host)

    def all_hosts(self) -> list[Host]:
        """Return every replica and device, those that do not run yet included."""
        return [*self._state.replicas, *(device for fleet in self._state.devices.values() for device in fleet)]

    # Told by identities

    def bars(self, host: Host) -> bool:
        """Say whether a host is issued nothing now."""
        return any(target in (host.name, host.workload) for target in self._barred)

    def holds_back(self, host: Host) -> bool:
        """Say whether a host is in wrong hands, and keeps to itself what is said of its certificate."""
        return any(target in (host.name, host.workload) for target in self._holding_back)

    def signed(self, host: Host, svid: Svid) -> None:
        """Take note of a certificate that was made for a host."""
        self._issued.setdefault(host.name, {})[svid.serial] = svid

    def installed(self, host: Host, svid: Svid) -> None:
        """Take note of a certificate that a host puts in place."""
        if self.stapling is not None and host in self._state.replicas:
            self.stapling.issued(host, svid)

    def starts(self, host: Host) -> None:
        """Take note of a host that starts with empty memory."""
        if self.lists is not None:
            self.lists.give(host)

    def equip(self, host: Host, side: TlsSide) -> TlsSide:
        """Return what a host brings to handshakes with all that it has been told."""
        if self.lists is not None:
            side = msgspec.structs.replace(side, crls=self.lists.of(host))
        return side if self.stapling is None else self.stapling.equip(host, side)

    def told(self, host: Host) -> None:
        """Have a host go by what it has just been told."""
        if host.up:
            self._identities.refresh(host)

    # Faults

    def revoke(self, fault_id: str, target: str, *, holds_back: bool = False) -> int:
        """Revoke the certificates of a workload, and issue it no others; return how many there were."""
        self._barred.append(target)
        if holds_back:
            self._holding_back.add(target)
        holders = [host for host in self.all_hosts() if target in (host.name, host.workload)]
        authorities = self._domains.of(holders[0])
        now_ns = authorities.epoch_ns
        found: dict[int, Svid] = {}
        for host in holders:
            for serial, svid in self._issued.get(host.name, {}).items():
                if svid.not_after_ns >= now_ns and serial not in self._revoked:
                    found[serial] = svid
                    self._identities.write(host, "revoked", svid, fault_id)
        self._revoked |= found
        shown = [(host, held) for host in holders if (held := self._identities.held(host)) is not None]
        known = [serial for host in holders for serial in self._issued.get(host.name, {})]
        self.obeying.begin(fault_id, target, found, shown, known)
        if self._pushes and found:
            news = f"deny list: {len(self._revoked)} certificate{'' if len(self._revoked) == 1 else 's'}"
            authorities.deny(frozenset(found), news)
            if self.denials is not None:
                self.denials.deny(authorities.trust_domain, frozenset(found), news)
        return len(found)

    def reinstate(self, target: str) -> None:
        """Issue a workload certificates again; those that run ask for one at once."""
        self._barred.remove(target)
        self._holding_back.discard(target)
        if self._clock.now_ns >= self._state.scenario.duration_ns:
            return
        for host in self._state.hosts():
            if target in (host.name, host.workload) and host.up and not self.bars(host):
                self._identities.renew(host)

    # What authorities say

    def window_ns(self, authority: str, valid_ns: int) -> tuple[int, int]:
        """Return from when to when what an authority signs now is valid, by its issuer's clock, in whole seconds."""
        domain = self._domain(authority)
        now_ns = domain.epoch_ns
        return whole_seconds(now_ns - domain.terms.backdate_ns), whole_seconds(now_ns) + valid_ns

    def signs(self, authority: str) -> bool:
        """Say whether there is anybody to sign lists and responses of an authority."""
        issuer = self._domain(authority).issuer
        return self._machine.up and (issuer is None or issuer.up)

    def _domain(self, authority: str) -> Authorities:
        return self._domains.all[self._domains.by_id[authority].trust_domain]

    def authorities(self) -> tuple[str, ...]:
        """Return the authorities that there have been so far, of all trust domains, by their ids."""
        return tuple(self._domains.by_id)

    def key_type_of(self, authority: str) -> str:
        """Return the type of the key with which an authority signs."""
        return self._domains.by_id[authority].key_type

    def serials_of(self, authority: str) -> frozenset[int]:
        """Return the serial numbers of the certificates of one authority that are revoked."""
        return frozenset(serial for serial, svid in self._revoked.items() if svid.issuer == authority)

    def is_revoked(self, svid: Svid) -> bool:
        """Say whether a certificate is revoked."""
        return svid.serial in self._revoked
