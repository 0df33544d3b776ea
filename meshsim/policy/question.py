"""What an enforcement point asks, and what it is told."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from meshsim.scenario.token_reasons import status_of

DEFAULT_DENY = "default-deny"
"""The rule of a decision that no policy made, when what is not allowed is denied."""

DEFAULT_ALLOW = "default-allow"
"""The rule of a decision that no policy made, when what is not denied is allowed."""


class Question(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """May this principal do this to that service?

    ``source`` is who truly calls. ``principal`` is what the peer *proved*: engines decide on that, never on ``source``,
    which no real enforcement point can see.

    From ``port`` on, an attribute has its value only if the engine's ``reads`` names it, and is empty otherwise: so
    that questions which differ in nothing that matters are equal, and are asked once.
    """

    principal: str
    """SPIFFE ID of the verified peer certificate; empty when the peer proved none."""
    source: str
    """Service or fleet that calls."""
    destination: str
    """Service that is called."""
    method: str
    """Request method as RFC 9110 spells it, in capitals."""
    path: str
    """Path of the request target, without the query."""
    slice: str
    """Network slice that carries the request; empty when it has none."""
    site: str
    """Site of the caller; empty when it has none."""
    mutual: bool
    """Whether both ends of the connection proved an identity (mutual TLS)."""
    port: int = 0
    """Port on which the called replica listens: the container's port, whatever port its service has for it.

    Envoy sees no other, and Istio's policies mean it (istio/api #3075).
    """
    host: str = ""
    """Authority of the request (``Host``, ``:authority``)."""
    headers: tuple[tuple[str, str], ...] = ()
    """Header fields that the calling workload set, in their order, names in lower case.

    Without those that sidecars add themselves (``x-request-id``, ``traceparent``): they differ in each request.
    """
    claims: str = ""
    """Claims of the token that was checked, as canonical JSON; empty without a valid token."""
    node: str = ""
    """Node on which the called replica runs."""
    source_node: str = ""
    """Node from which the caller reaches the network (of a device: its base station)."""
    source_ip: str = ""
    """Address of the peer of the connection."""
    tls_version: str = ""
    """Version of TLS on the connection ("1.3"); empty for plaintext."""
    cipher: str = ""
    """Cipher suite of the connection."""
    group: str = ""
    """Key exchange group of the connection."""
    certificate_age_s: int = -1
    """Whole seconds since the not-before of the peer's certificate, by the clock of the called node; -1 without one."""
    time_s: int = 0
    """The clock of the called node: whole seconds since the Unix epoch."""
    query: str = ""
    """Query of the request target, without the question mark."""
    destination_ip: str = ""
    """Address of the called replica."""
    sni: str = ""
    """Name of the server that the caller asked for in the TLS handshake, as Istio's sidecars do; empty on plaintext."""
    version: str = ""
    """Version of the service that the called replica is of; only where selectors of Istio tell its versions apart."""
    at_waypoint: bool = False
    """Whether a waypoint with a place asks, for itself alone; what it lets through, ztunnel is asked about after it."""
    service_port: int = 0
    """Port of the service that is called, which a waypoint sees in place of ``port``; only where policies read it."""


def by_name(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Header fields by their names, several of one name joined with commas (RFC 9110, section 5.3)."""
    found: dict[str, str] = {}
    for name, value in headers:
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def server_name(service: str, namespace: str, port: int) -> str:
    """The server name that an Istio sidecar asks for when it calls a service (Istio's ``BuildDNSSrvSubsetKey``)."""
    return f"outbound_.{port}_._.{service}.{namespace}.svc.cluster.local"


EXTRA_ATTRIBUTES = frozenset(Question.__struct_fields__[Question.__struct_fields__.index("port") :]) - {
    "version",
    "at_waypoint",
    "service_port",
}
"""The attributes that are filled only for an engine whose ``reads`` names them."""

TIMED = frozenset({"certificate_age_s", "time_s"})
"""Those of them that change while time passes."""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The answer to a question."""

    allowed: bool
    rule: str
    """The first rule, in the order of the files, that made the decision; or ``default-deny`` or ``default-allow``."""
    reasons: tuple[str, ...] = ()
    """Every rule that made the decision, in the order of the files; empty when the default did.

    Of a refused token: the RequestAuthentications that refuse it, while ``rule`` says why.
    """
    errors: tuple[str, ...] = ()
    """Policies that failed while they were evaluated, and so had no say: ``rule: what went wrong``."""
    audited: tuple[str, ...] = ()
    """Rules of policies that only ask for an audit and that matched, in the order of the files; they decide nothing."""
    dry_run: str = ""
    """The rule by which policies on trial (Istio's dry-run) would have denied what was allowed; empty if none."""
    status: int = 403
    """HTTP status of the answer to what is denied."""
    headers: tuple[tuple[str, str], ...] = ()
    """Header fields of that answer, names in lower case."""
    body: str = ""
    """Its body; empty for the sidecar's own words."""
    refused_by: str = ""
    """Names of the RequestAuthentications that refuse the token; empty if none does."""
    closes: bool = False
    """Whether what is denied has its connection closed in place of an answer: by ztunnel, or on a port without HTTP.

    ``status`` is what a caller's proxy that reads HTTP then tells, Envoy with the flag UC; a ztunnel tells nothing.
    """
    behind: bool = False
    """Whether ztunnel refuses it behind a waypoint, which is whose connection is closed."""

    @property
    def words(self) -> str:
        """By what it was decided, for people."""
        return f"{self.rule} ({self.refused_by})" if self.refused_by else self.rule


def token_refusal(reason: str, by: Sequence[str] = ()) -> Decision:
    """The decision on a request that is refused for its token; ``by``: the RequestAuthentications that refuse it."""
    return Decision(False, reason, tuple(by), status=status_of(reason), refused_by=", ".join(by))


class RuleAccount(msgspec.Struct, frozen=True, gc=False):
    """What became of one rule when a question was answered; for people."""

    rule: str
    """Its name, as decisions use it."""
    place: str
    """Where it stands: ``file:line:column``."""
    effect: str
    """What it does when it matches: ``allow``, ``deny``, ``audit`` or ``custom``."""
    matched: bool
    why: str
    """The first condition that did not hold, with what it wants and what was found; empty when the rule matched."""
    on_trial: bool = False
    """Whether its policy is on trial (Istio's dry-run), and it has no say."""

    @property
    def decides(self) -> bool:
        """Whether it has a say where it matches: it does not only ask for an audit, and is not on trial."""
        return self.effect != "audit" and not self.on_trial

    @property
    def words(self) -> str:
        """What it does, for people."""
        return f"{self.effect}, on trial" if self.on_trial else self.effect
