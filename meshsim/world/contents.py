"""Versions of the configuration: what each says, how far it has spread, and how much of it is pushed to a proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.control.resources import (
    EXTENSION,
    response,
    sent_size_bytes,
    settings_size_bytes,
    terms_text,
    texts_size_bytes,
)
from meshsim.identity.spiffe import trust_domain_of
from meshsim.world.authorizer_process import AuthorizerProcess
from meshsim.world.hosts import Host

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meshsim.control.resources import Texts
    from meshsim.scenario.identity import Identity
    from meshsim.sidecar.tls.settings import TlsSettings

Receiver = Host | AuthorizerProcess
"""What configuration is pushed to."""


class Content:
    """One version of the configuration, and how it has spread."""

    def __init__(
        self,
        version: int,
        policy: int,
        settings: Mapping[str, tuple[TlsSettings, str]],
        identities: Mapping[str, Identity],
        renewals: Mapping[str, int],
        news: str,
        domains: frozenset[str],
    ) -> None:
        self.version = version
        """Counts from 1, the start, in the order in which they come."""
        self.policy = policy
        """Number of its policies among all there are."""
        self.settings = settings
        """TLS settings and type of keys, by ``Host.settings_key``."""
        self.identities = identities
        """Terms of certificates by trust domain."""
        self.renewals = renewals
        """How often the certificates of a service or fleet were to be renewed at once up to it, by its name."""
        self.news = news
        """What changed, for people."""
        self.domains = domains
        """Trust domains whose control planes push it: those to which it brings anything."""
        self.texts: Texts = ()
        """Policy files that are pushed to proxies."""
        self.change = ""
        """Name of the change that it is; empty of the start and of what was rolled back to."""
        self.t_ns = 0
        self.outstanding: set[str] = set()
        """Hosts that have yet to take it, by name."""
        self.awaited = set(domains)
        """Trust domains whose control planes have yet to push it."""
        self.converged_ns = -1
        self.proxies = self.acked = self.rejected = 0
        self.rolled_back = False
        self.wrongly = {"allowed": 0, "denied": 0}
        """Decisions by what no longer held, while it was the newest; of a roll back they count for what it undoes."""

    def terms_of(self, host: Host) -> Identity:
        """Return the terms of a host's certificates."""
        return self.identities[trust_domain_of(host.spiffe_id)]

    def without(self, undone: Content, before: Content, domain_of: Callable[[str], str]) -> Content:
        """Return a version that says what this one says, and in the trust domains of ``undone`` what ``before`` says.

        Nothing has come there since ``undone``. ``domain_of`` says where a service or fleet is.
        """
        there = undone.domains
        settings = {
            key: (before if domain_of(key.partition(":")[0]) in there else self).settings[key] for key in self.settings
        }
        identities = {name: (before if name in there else self).identities[name] for name in self.identities}
        renewals = {
            key: (before if domain_of(key.partition(":")[0]) in there else self).renewals[key] for key in self.renewals
        }
        # Policies are everybody's: where they changed, nothing else has come.
        news = f"{undone.change} rolled back"
        content = Content(self.version + 1, before.policy, settings, identities, renewals, news, there)
        content.texts = before.texts
        content.wrongly = undone.wrongly  # who still goes by what was taken back does so because it had come
        return content


def push_size_bytes(content: Content, held: Content | None, receiver: Receiver, services: tuple[str, ...]) -> int:
    """Return the size of what is pushed: what is new to who holds another version, and all of it on a new stream."""
    version, size_bytes = content.version, 0
    if content.texts and (held is None or held.policy != content.policy):
        size_bytes += texts_size_bytes(content.texts, version)
    if isinstance(receiver, Host):
        key = receiver.settings_key
        settings, key_type = content.settings[key]
        if held is None or held.settings[key][0] != settings:
            size_bytes += settings_size_bytes(settings, services, version)
        terms = _terms(content, receiver, key_type)
        if held is None or _terms(held, receiver, held.settings[key][1]) != terms:
            size_bytes += texts_size_bytes(terms_text(terms), version)
    return size_bytes or sent_size_bytes(len(response(EXTENSION, (), version)))


def _terms(content: Content, host: Host, key_type: str) -> dict[str, int | str]:
    identity = content.terms_of(host)
    return {
        "svid_ttl_ns": identity.svid_ttl_ns,
        "rotate_at_ppm": identity.rotate_at_ppm,
        "rotate_jitter_ppm": identity.rotate_jitter_ppm,
        "key": key_type,
        "renewals": content.renewals[host.workload],
    }
