"""Certificates in the life of a run: issued at the start, rotated in time, issued anew after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.identity.authority import Authority, whole_seconds
from meshsim.identity.bundle import TrustBundle, by_trust_domain
from meshsim.sidecar import events
from meshsim.sidecar.tls.settings import TlsSettings, TlsSide
from meshsim.telemetry.rows import IdentityRow

if TYPE_CHECKING:
    from random import Random

    from meshsim.identity.svid import Svid
    from meshsim.scenario.mesh import Tls, TlsOverride
    from meshsim.world.driver import Driver
    from meshsim.world.hosts import Host
    from meshsim.world.state import State


def tls_settings(tls: Tls, override: TlsOverride | None) -> TlsSettings:
    """Return the settings of one workload: the mesh's, with what it overrides."""
    given = {} if override is None else override.model_dump(by_alias=False, exclude_none=True)
    return TlsSettings(
        mode=given.get("mode", tls.mode),
        min_version=given.get("min_version", tls.min_version),
        max_version=given.get("max_version", tls.max_version),
        groups=tuple(given.get("groups", tls.groups)),
        ciphers=tuple(given.get("ciphers", tls.ciphers)),
        mutual=True,
        resumption=given.get("resumption", tls.resumption),
        ticket_lifetime_ns=tls.ticket_lifetime_ns,
    )


class Identities:
    """Issues certificates and puts them in place."""

    driver: Driver
    """Set when the world is assembled."""

    def __init__(self, state: State) -> None:
        scenario = state.scenario
        self._state = state
        self._clock = state.clock
        self._identity = scenario.mesh.identity
        self._key_type = scenario.mesh.tls.key
        self._epoch_ns = scenario.epoch_ns
        trust_domain = scenario.mesh.trust_domain
        start_ns = scenario.epoch_ns - self._identity.backdate_ns
        self.authority = Authority(
            trust_domain, "root", scenario.seed, "ecdsa-p256", start_ns, start_ns + self._identity.ca_ttl_ns
        )
        self.authorities = {self.authority.id: self.authority}
        self._bundles = by_trust_domain([TrustBundle(trust_domain, frozenset(self.authorities))])
        self._held: dict[str, Svid] = {}
        """The certificate that each host was issued last, by the host's name."""
        self._randoms: dict[str, Random] = {}
        """Draws of each host for when its certificates are replaced."""
        self._record = state.recorder.appender("identities")

    def side(self, host: Host, settings: TlsSettings, event: str = "issued") -> TlsSide:
        """Issue a certificate to a host, now; return what it brings to handshakes from now on.

        An authority whose own certificate has ended issues nothing: the host keeps what it has, be it expired or none.
        """
        true_ns = self._epoch_ns + self._clock.now_ns
        if true_ns >= self.authority.not_after_ns:
            return self._refuse(host, settings)
        svid = self.authority.issue(
            host.spiffe_id,
            self._key_type,
            true_ns - self._identity.backdate_ns,
            true_ns + self._identity.svid_ttl_ns,
            host.generation,
            host.name,
        )
        self._write(host.spiffe_id, event, svid.serial, svid.not_before_ns, svid.not_after_ns)
        host.generation += 1
        self._held[host.name] = svid
        self._schedule(host, settings, svid.serial, svid.not_before_ns, svid.not_after_ns)
        return self._with(host, settings, svid)

    def _with(self, host: Host, settings: TlsSettings, svid: Svid | None) -> TlsSide:
        return TlsSide(settings=settings, svid=svid, bundles=self._bundles, ticket_key=f"{host.name}#{host.starts}")

    def _refuse(self, host: Host, settings: TlsSettings) -> TlsSide:
        held = self._held.get(host.name)
        serial, not_before_ns, not_after_ns = (
            (0, self._epoch_ns, self._epoch_ns)
            if held is None
            else (held.serial, held.not_before_ns, held.not_after_ns)
        )
        self._write(host.spiffe_id, "refused", serial, not_before_ns, not_after_ns)
        return self._with(host, settings, held)

    def _schedule(self, host: Host, settings: TlsSettings, serial: int, not_before_ns: int, not_after_ns: int) -> None:
        if self._identity.rotate_at_ppm < 1_000_000:
            due_ns = self._clock.now_ns + self._rotates_after_ns(host)
            self._at(due_ns, self._rotate, (host, settings, host.starts))
        # A certificate is still valid at the instant at which it ends (RFC 5280, section 4.1.2.5), and not after that.
        expiry_ns = not_after_ns + 1 - self._epoch_ns
        self._at(expiry_ns, self._expire, (host, host.generation, serial, not_before_ns, not_after_ns))

    def _rotates_after_ns(self, host: Host) -> int:
        """Draw the age at which a certificate of this host is replaced."""
        identity = self._identity
        share_ppm: float = identity.rotate_at_ppm
        if identity.rotate_jitter_ppm:
            random = self._randoms.get(host.name)
            if random is None:
                random = self._randoms[host.name] = self._state.streams.stream("rotation", host.name)
            share_ppm += identity.rotate_jitter_ppm * (2 * random.random() - 1)
        return int(identity.svid_ttl_ns * share_ppm) // 1_000_000

    def _at(self, due_ns: int, action: object, argument: object) -> None:
        if due_ns < self._state.scenario.duration_ns:
            self._clock.at(due_ns, action, argument)  # type: ignore[arg-type] # one of the two methods below

    def _rotate(self, job: tuple[Host, TlsSettings, int]) -> None:
        host, settings, starts = job
        if host.starts == starts and host.up:
            self.driver.tell(host, events.IdentityRotated(self.side(host, settings, "rotated")))

    def _expire(self, job: tuple[Host, int, int, int, int]) -> None:
        host, _, serial, not_before_ns, not_after_ns = job
        self._write(host.spiffe_id, "expired", serial, not_before_ns, not_after_ns)

    def _write(self, spiffe_id: str, event: str, serial: int, not_before_ns: int, not_after_ns: int) -> None:
        self._record(
            IdentityRow(
                t_ns=self._clock.now_ns,
                spiffe_id=spiffe_id,
                event=event,
                serial=f"{serial:032x}",
                not_before_epoch_ns=not_before_ns,
                not_after_epoch_ns=not_after_ns,
                not_before_ns=not_before_ns - self._epoch_ns,
                not_after_ns=not_after_ns - self._epoch_ns,
                issuer=self.authority.id,
            )
        )


__all__ = ["Identities", "tls_settings", "whole_seconds"]
