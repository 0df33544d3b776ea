"""Certificates in the life of a run: in place at the start, rotated in time, had anew after a restart."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from meshsim.sidecar import events
from meshsim.sidecar.tls.settings import TlsSide
from meshsim.world.believing import Believing
from meshsim.world.identity_log import identity_row
from meshsim.world.revoking import REVOKED
from meshsim.world.rotating import Rotating

if TYPE_CHECKING:
    from meshsim.identity.bundle import TrustBundle
    from meshsim.identity.svid import Svid
    from meshsim.scenario.identity import Identity
    from meshsim.sidecar.tls.settings import TlsSettings
    from meshsim.world.authorities import Authorities, Trust
    from meshsim.world.domains import Domains, Foreign
    from meshsim.world.driver import Driver
    from meshsim.world.hosts import Host
    from meshsim.world.issuers import Issuers
    from meshsim.world.revoking import Revoking
    from meshsim.world.state import State


class Identities:
    """Keeps what each host holds, and says when it needs another.

    Without an issuer (``mesh.identity.issuer``, or that of another trust domain) a certificate is there the instant it
    is needed; with one it is asked for.
    """

    driver: Driver
    """Set when the world is assembled."""
    issuers: Issuers
    """Where certificates come from; set when the world is assembled."""
    revoking: Revoking | None = None
    """Knows what is revoked, where anything is or word of it could spread."""
    on_certificate: Callable[[Host, Svid], None] | None = None
    """Told of each certificate that is put in place; set where tokens are fetched with them."""

    def __init__(self, state: State, domains: Domains) -> None:
        scenario = state.scenario
        self._state = state
        self._clock = state.clock
        self._epoch_ns = scenario.epoch_ns
        self._domains = domains
        self._hashes: dict[Svid, str] = {}
        self.rotating = Rotating(state)
        """Says when certificates are to be replaced."""
        self._believing = Believing(domains)
        self._held: dict[str, Svid] = {}
        """The certificate that each host was issued last, by the host's name."""
        self._turns: dict[str, int] = {}
        """How often it was set when a host's certificate is replaced; the last time counts."""
        self._settings: dict[str, TlsSettings] = {}
        """How each host speaks TLS, by its name."""
        self._record = state.recorder.appender("identities")

    # Starting

    def side(self, host: Host, settings: TlsSettings) -> TlsSide:
        """Return what a host that starts now brings to handshakes.

        It has a certificate if the run only begins, or if nobody has to be asked for one; else it gets one in time.
        """
        self._settings[host.name] = settings
        self._believing.learn(host)
        if self.revoking is not None:
            self.revoking.starts(host)
        enrolling = self.issuers.of(host)
        at_start = self._domains.of(host).identity.at_start
        if enrolling is not None and (self._clock.now_ns or at_start == "onboarding"):
            self._held.pop(host.name, None)
            host.configured = False
            enrolling.begin(host, "onboarding")
            return self._side(host)
        age_ns, rotates_ns = 0, None
        if self._clock.now_ns == 0 and at_start == "aged":
            age_ns, rotates_ns = self.rotating.draw_age(host)
        svid = self.sign(host, age_ns)
        if svid is None:
            self._held.pop(host.name, None)
            self.note(host, "refused", self.refusal(host))
        else:
            self._take(host, svid, "issued", rotates_ns)
        return self._side(host)

    def bundles(self, host: Host) -> Mapping[str, TrustBundle]:
        """Return the bundles that a host goes by now, by trust domain."""
        return self._believing.bundles(host)

    def authorities_of(self, trust_domain: str) -> Authorities:
        """Return the authorities of a trust domain."""
        return self._domains.all[trust_domain]

    def held(self, host: Host) -> Svid | None:
        """Return the certificate that a host has now."""
        return self._held.get(host.name)

    def der(self, svid: Svid) -> bytes:
        """Return the DER of a certificate that was issued here."""
        from cryptography.hazmat.primitives.serialization import Encoding

        der: bytes = self._domains.by_id[svid.issuer].material(svid).certificate.public_bytes(Encoding.DER)
        return der

    def certificate_hash(self, svid: Svid | None) -> str:
        """Return the SHA-256 of a certificate in hexadecimal, as X-Forwarded-Client-Cert has it; empty for none."""
        if svid is None:
            return ""
        found = self._hashes.get(svid)
        if found is None:
            found = self._hashes[svid] = hashlib.sha256(self.der(svid)).hexdigest()
        return found

    def _side(self, host: Host) -> TlsSide:
        settings, svid = self._settings[host.name], self._held.get(host.name)
        ticket_key = f"{host.name}#{host.starts}"
        if settings.as_envoy:  # whose TLS contexts are made anew, and what seals tickets with them
            ticket_key += f"/{'' if svid is None else svid.serial}/{self._believing.sequence(host)}"
        side = TlsSide(settings, svid, self._believing.bundles(host), ticket_key)
        return side if self.revoking is None else self.revoking.equip(host, side)

    def refresh(self, host: Host) -> None:
        """Have a running host go by all that it holds and has heard."""
        self.driver.tell(host, events.IdentityRotated(self._side(host)))
        if self.revoking is not None:
            self.revoking.obeying.look(host)

    def configure(self, host: Host, settings: TlsSettings) -> None:
        """Have a running host speak TLS in another way on connections from now on."""
        self._settings[host.name] = settings
        self.refresh(host)

    # Other terms

    def issue_by(self, identities: Mapping[str, Identity]) -> None:
        """Have certificates of each trust domain issued by its terms from now on."""
        for name, identity in identities.items():
            self._domains.all[name].terms = identity

    def agree(self, host: Host, identity: Identity) -> None:
        """Have a running host replace certificates by other terms, the one that it has included."""
        held = self._held.get(host.name)
        if self.rotating.agree(host, identity) and held is not None:
            self._set_rotation(host, self.rotating.due_ns(host, held))

    def insist(self, host: Host) -> None:
        """Have a running host get a certificate by the terms of now, even if it is about to get one by former ones."""
        enrolling = self.issuers.of(host)
        if enrolling is None:
            self._replace(host, "renewal")
        else:
            enrolling.insist(host)

    def outdated(self, host: Host) -> bool:
        """Say whether a host's certificate is for another type of key, or by other terms, than it would get now."""
        held = self._held.get(host.name)
        if held is None:
            return False
        return held.key_type != host.key_type or self.rotating.is_former(held, self._domains.of(host).terms)

    # Issuing

    def sign(self, host: Host, age_ns: int = 0, key_type: str = "") -> Svid | None:
        """Make a certificate for a host by the issuer's clock, ``age_ns`` ago; None if it gets none (``refusal``).

        It is for a key of the host's type, unless another one was made.
        """
        if self.revoking is not None and self.revoking.bars(host):
            return None
        authorities = self._domains.of(host)
        issuer_ns = authorities.epoch_ns - age_ns
        authority = authorities.authority_for(host, age_ns)
        if issuer_ns >= authority.not_after_ns:
            return None
        svid = authority.issue(
            host.spiffe_id,
            key_type or host.key_type,
            issuer_ns - authorities.terms.backdate_ns,
            issuer_ns + authorities.terms.svid_ttl_ns,
            host.generation,
            host.name,
        )
        host.generation += 1
        self.rotating.issued(svid, authorities.terms, self._clock.now_ns - age_ns)
        if self.revoking is not None:
            self.revoking.signed(host, svid)
        return svid

    def refusal(self, host: Host) -> str:
        """Say why a host gets no certificate, where it is not for the end of the authority."""
        return REVOKED if self.revoking is not None and self.revoking.bars(host) else ""

    def install(self, host: Host, svid: Svid, event: str) -> None:
        """Put a certificate that was issued to a host in place, with the trust that came with it."""
        self._believing.learn(host)
        self._take(host, svid, event, None)
        self.refresh(host)

    def _take(self, host: Host, svid: Svid, event: str, rotates_ns: int | None) -> None:
        self._held[host.name] = svid
        if self.revoking is not None:
            self.revoking.installed(host, svid)
        self.write(host, event, svid)
        if rotates_ns is None:
            rotates_ns = self.rotating.due_ns(host, svid)
        self._set_rotation(host, rotates_ns)
        if self.on_certificate is not None:
            self.on_certificate(host, svid)
        # A certificate is still valid at the instant at which it ends (RFC 5280, section 4.1.2.5), and not after that.
        self._at(svid.not_after_ns + 1 - self._epoch_ns, self._expire, (host, host.starts, svid))

    def _set_rotation(self, host: Host, due_ns: int | None) -> None:
        self._turns[host.name] = turn = self._turns.get(host.name, 0) + 1
        if due_ns is not None:
            self._at(due_ns, self._rotate, (host, host.starts, turn))

    def _at(self, due_ns: int, action: object, argument: object) -> None:
        if self._clock.now_ns <= due_ns < self._state.scenario.duration_ns:
            self._clock.at(due_ns, action, argument)  # type: ignore[arg-type] # one of the methods below

    # In time

    def _rotate(self, job: tuple[Host, int, int]) -> None:
        host, starts, turn = job
        if host.starts == starts and host.up and self._turns[host.name] == turn:
            self._replace(host, "rotation")

    def _replace(self, host: Host, purpose: str) -> None:
        enrolling = self.issuers.of(host)
        if enrolling is not None:
            enrolling.begin(host, purpose)
            return
        svid = self.sign(host)
        if svid is None:
            self.note(host, "refused", self.refusal(host))
        else:
            self.install(host, svid, "rotated")

    def _expire(self, job: tuple[Host, int, Svid]) -> None:
        host, starts, svid = job
        if host.starts == starts and self._held.get(host.name) is svid:
            self.write(host, "expired", svid)

    def hear(self, host: Host, trust: Trust) -> bool:
        """Take note of what a host has heard of authorities; say whether it is news."""
        if not self._believing.hear(host, trust):
            return False
        self.refresh(host)
        within_ns = self._domains.of(host).identity.renew_within_ns
        if within_ns is not None and self._superseded(host):
            delay_ns = self.rotating.draw_delay_ns(host, within_ns)
            self._at(self._clock.now_ns + delay_ns, self._renew, (host, host.starts))
        return True

    def _superseded(self, host: Host) -> bool:
        """Say whether a host's certificate goes back to a root that does not sign any more."""
        held = self._held.get(host.name)
        return held is not None and held.root.authority != self._domains.of(host).trust.active

    def hear_of_others(self, host: Host, foreign: Foreign) -> bool:
        """Take note of what a host has heard of the authorities of other trust domains; say whether it is news."""
        news = self._believing.hear_of_others(host, foreign)
        if news:
            self.refresh(host)
        return news

    def superseded(self, authorities: Authorities) -> int:
        """Return how many hosts have a certificate from an authority of theirs that does not sign any more."""
        hosts = (host for host in self._state.hosts() if host.up and self._domains.of(host) is authorities)
        return sum(self._superseded(host) for host in hosts)

    def _renew(self, job: tuple[Host, int]) -> None:
        host, starts = job
        if host.starts == starts and host.up and self._superseded(host):
            self._replace(host, "renewal")

    def renew(self, host: Host) -> None:
        """Have a running host ask for a certificate now; nothing if it is already about to get one."""
        self._replace(host, "renewal")

    def remaining_ns(self, host: Host) -> int:
        """Return how long a host's certificate is still valid by the host's clock; not positive if it has none."""
        held = self._held.get(host.name)
        clock_ns = self._epoch_ns + self._clock.now_ns + host.machine.skew_ns
        return 0 if held is None else held.not_after_ns - clock_ns

    # Rows

    def note(self, host: Host, event: str, reason: str = "") -> None:
        """Write a row about a host that got no new certificate: with the one that it holds, if there is one."""
        self.write(host, event, self._held.get(host.name), reason)

    def write(self, host: Host, event: str, svid: Svid | None, reason: str = "") -> None:
        """Write a row about a host and a certificate, if it has one."""
        issuer = self._domains.of(host).authority_for(host).id if svid is None else svid.issuer
        self._record(identity_row(self._clock.now_ns, self._epoch_ns, host, event, svid, issuer, reason))
