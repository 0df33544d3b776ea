"""When a host's certificate is replaced: at a share of its life, with jitter, by the host's own clock."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from meshsim.identity.spiffe import trust_domain_of

if TYPE_CHECKING:
    from meshsim.identity.svid import Svid
    from meshsim.scenario.identity import Identity
    from meshsim.world.hosts import Host
    from meshsim.world.state import State

PPM = 1_000_000


class Rotating:
    """Draws when certificates are replaced, and how old they are when the run begins."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._clock = state.clock
        self._randoms: dict[str, Random] = {}
        self._agreed: dict[str, Identity] = {}
        """The terms that each host has, by its name; where they can change."""
        self._changes = any(change.identity or change.domains for change in state.scenario.changes)
        self._issued: dict[int, tuple[Identity, int]] = {}
        """The terms by which a certificate was issued, and when, by its serial number; only where they change."""

    def agree(self, host: Host, identity: Identity) -> bool:
        """Have a host go by other terms; say whether it replaces certificates at another part of their life then."""
        before = self._identity(host)
        self._agreed[host.name] = identity
        parts = [(each.rotate_at_ppm, each.rotate_jitter_ppm) for each in (before, identity)]
        return parts[0] != parts[1]

    def issued(self, svid: Svid, terms: Identity, t_issued_ns: int) -> None:
        """Take note of a certificate that is issued: by which terms, and when in simulated time."""
        if self._changes:
            self._issued[svid.serial] = terms, t_issued_ns

    def is_former(self, svid: Svid, terms: Identity) -> bool:
        """Say whether a certificate was issued for another life, or dated back otherwise, than by these terms."""
        by = self._issued[svid.serial][0] if self._changes else terms
        return (by.svid_ttl_ns, by.backdate_ns) != (terms.svid_ttl_ns, terms.backdate_ns)

    def due_ns(self, host: Host, svid: Svid) -> int | None:
        """Return when a certificate that a host has now is to be replaced, in simulated time; None if it is not.

        With an issuer that is when the host's clock says that so much of its life has gone by. One that is due at once
        (its clock is far off, or the authority's end has cut the life short) is left alone for as long as a first
        retry would wait.
        """
        identity = self._identity(host)
        if identity.rotate_at_ppm >= PPM:
            return None
        share_ppm = self._share_ppm(host)
        now_ns = self._clock.now_ns
        terms, t_issued_ns = self._issued.get(svid.serial, (identity, now_ns))
        if identity.issuer is None:
            return max(now_ns, t_issued_ns + int(terms.svid_ttl_ns * share_ppm) // PPM)
        lifetime_ns = svid.not_after_ns - svid.not_before_ns - terms.backdate_ns
        due_epoch_ns = svid.not_after_ns - int(lifetime_ns * (PPM - share_ppm)) // PPM
        due_ns = due_epoch_ns - self._state.scenario.epoch_ns - host.machine.skew_ns
        return max(due_ns, now_ns + identity.issuer.retry.base_ns)

    def draw_age(self, host: Host) -> tuple[int, int | None]:
        """Return how old a host's certificate is at the start, and when it is replaced: it is anywhere on its way."""
        identity = self._identity(host)
        after_ns = int(identity.svid_ttl_ns * self._share_ppm(host)) // PPM
        age_ns = int(self._random("certificate age", host).random() * after_ns)
        return age_ns, after_ns - age_ns if identity.rotate_at_ppm < PPM else None

    def draw_delay_ns(self, host: Host, within_ns: int) -> int:
        """Return how long a host waits that hears of another authority."""
        return int(self._random("renewal", host).random() * within_ns)

    def _share_ppm(self, host: Host) -> float:
        identity = self._identity(host)
        if not identity.rotate_jitter_ppm:
            return identity.rotate_at_ppm
        draw = 2 * self._random("rotation", host).random() - 1
        return identity.rotate_at_ppm + identity.rotate_jitter_ppm * draw

    def _identity(self, host: Host) -> Identity:
        agreed = self._agreed.get(host.name)
        return agreed or self._state.scenario.mesh.identity_of(trust_domain_of(host.spiffe_id))

    def _random(self, purpose: str, host: Host) -> Random:
        key = f"{purpose}/{host.name}"
        random = self._randoms.get(key)
        if random is None:
            random = self._randoms[key] = self._state.streams.stream(purpose, host.name)
        return random
