"""What each host has heard of authorities, of its own trust domain and of others: whom it believes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.identity.bundle import TrustBundle
    from meshsim.world.authorities import Trust
    from meshsim.world.domains import Domains, Foreign
    from meshsim.world.hosts import Host


class Believing:
    """Keeps what hosts know, which may be older than what is true."""

    def __init__(self, domains: Domains) -> None:
        self._domains = domains
        self._trusts: dict[str, Trust] = {}
        """What each host has heard of authorities, by its name."""
        self._foreign: dict[str, Foreign] = {}
        """What it has heard of those of other trust domains; only where there are any."""

    def learn(self, host: Host) -> None:
        """Have a host know of authorities what there is to know."""
        self._trusts[host.name] = self._domains.of(host).trust
        foreign = self._domains.foreign(host)
        if foreign is not None:
            self._foreign[host.name] = foreign

    def hear(self, host: Host, trust: Trust) -> bool:
        """Take note of what a host has heard of its own authorities; say whether it is news."""
        if trust.sequence <= self._trusts[host.name].sequence:
            return False
        self._trusts[host.name] = trust
        return True

    def hear_of_others(self, host: Host, foreign: Foreign) -> bool:
        """Take note of what a host has heard of the authorities of other trust domains; say whether it is news."""
        known = self._foreign.get(host.name)
        if known is not None and foreign.sequence <= known.sequence:
            return False
        self._foreign[host.name] = foreign
        return True

    def sequence(self, host: Host) -> str:
        """Return what is another text as soon as a host has heard anything new of authorities."""
        foreign = self._foreign.get(host.name)
        own = str(self._trusts[host.name].sequence)
        return own if foreign is None else f"{own}.{foreign.sequence}"

    def bundles(self, host: Host) -> Mapping[str, TrustBundle]:
        """Return the bundles that a host goes by, by trust domain."""
        return self._domains.bundles(host, self._trusts[host.name], self._foreign.get(host.name))
