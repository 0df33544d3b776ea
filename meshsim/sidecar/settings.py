"""What one sidecar is and how it is configured."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meshsim.identity.token_check import Keys, TokenRules, no_keys
from meshsim.sidecar.answers import AnswerRules
from meshsim.sidecar.pool_settings import PoolSettings
from meshsim.sidecar.received import HeaderRules
from meshsim.sidecar.resilience import ResilienceSettings
from meshsim.sidecar.routing import Route
from meshsim.sidecar.tls.settings import TlsSettings
from meshsim.sidecar.wallet import Thumbprint, Wallet


class Served(msgspec.Struct, frozen=True):
    """What a waypoint goes by at the requests for one service."""

    namespace: str
    token_rules: TokenRules | None
    """Which tokens are accepted of callers; None if it looks at none."""


class SidecarSettings(msgspec.Struct, frozen=True):
    """One sidecar's settings; what can change while it runs (identity, endpoints, place) comes in by events."""

    name: str
    """Unique name: `service/number` or `fleet/number`."""
    workload: str
    """Service or fleet."""
    clock_offset_ns: int
    """What its node's clock shows at the start of the run: nanoseconds since the Unix epoch, skew included."""
    pool: PoolSettings
    resilience: ResilienceSettings
    pool_per_slice: bool
    """Whether connections are kept apart by slice, as a device's sessions are."""
    policy_asked: bool
    """Whether incoming calls are put to a policy engine."""
    policy_reads: frozenset[str] = frozenset()
    """Which of ``meshsim.policy.question.EXTRA_ATTRIBUTES`` questions are filled with."""
    namespace: str = ""
    """Namespace of its workload; empty of a device."""
    version: str = ""
    """Version of its service that it is of; empty if the service has none."""
    node: str = ""
    """Node on which it runs."""
    wallet: Wallet | None = None
    """Tokens that its workload can present; None if it has none."""
    token_rules: TokenRules | None = None
    """Which tokens it accepts of callers; None if it looks at none."""
    token_keys: Keys = no_keys
    """Gives the keys of token issuers that it has in its bundles."""
    hands_on: frozenset[str] = frozenset()
    """Names of header fields that its workload puts on its own calls, where tokens may bring or remove some."""
    header_rules: HeaderRules | None = None
    """What is done with header fields; None if all are taken as they come."""
    answer_rules: AnswerRules | None = None
    """What it adds to answers; None for nothing."""
    certificate_hash: Thumbprint | None = None
    """Gives the hash of a certificate, where that is told in header fields."""
    spiffe_id: str = ""
    """Its own name, where that is told in header fields."""
    thumbprint: Thumbprint | None = None
    """Gives the thumbprint of a certificate, where tokens may be bound to one."""
    address: str = ""
    """Its IP address; empty unless policies read it."""
    ticket_per_service: bool = False
    """Whether it keeps one session ticket of a service, and not one of each of its replicas."""
    port_tls: Mapping[int, TlsSettings] = {}
    """Settings of listeners that are not those of the sidecar's side, by port."""
    routes: Mapping[int, Route] = {}
    """What becomes of calls, by the index of their template; those that are not in it are not routed."""
    serves: Mapping[str, Served] = {}
    """Services that it serves, by name; of a waypoint."""
    decided_by: str = ""
    """SPIFFE ID of the waypoint that has decided about what it sends, so that nobody is asked again; empty if none."""
    cuts_revoked: bool = False
    """Whether a connection is closed as soon as the sidecar is told that its peer's certificate was revoked."""
