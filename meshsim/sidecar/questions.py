"""The questions that a called sidecar puts to its policy engine, filled with what the engine reads and no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from meshsim.policy.question import TIMED, Question, server_name
from meshsim.sidecar.received import Caller, end_to_end, received

if TYPE_CHECKING:
    from meshsim.identity.token_places import Fields
    from meshsim.sidecar.inbound import Downstream
    from meshsim.sidecar.messages import CallTemplate, RequestMessage
    from meshsim.sidecar.settings import SidecarSettings

S = 1_000_000_000


class _Facts(NamedTuple):
    """All that an enforcement point knows when it asks."""

    settings: SidecarSettings
    downstream: Downstream
    message: RequestMessage
    clock_s: int
    """The clock of its node: whole seconds since the Unix epoch."""
    claims: str
    """Claims of the token that was checked, as canonical JSON."""
    left: Fields | None
    """Header fields that tokens leave; None: those of its kind."""
    target: str


def _tls(field: str) -> Callable[[_Facts], str]:
    def read(facts: _Facts) -> str:
        established = facts.downstream.established
        return "" if established is None else str(getattr(established, field))

    return read


def _certificate_age_s(facts: _Facts) -> int:
    established = facts.downstream.established
    if established is None or not established.peer_spiffe_id:
        return -1
    return facts.clock_s - established.peer_not_before_ns // S


def _sni(facts: _Facts) -> str:
    if facts.downstream.established is None:
        return ""
    called = facts.message.template.port or facts.downstream.port
    return server_name(facts.settings.workload, facts.settings.namespace, called)


def _headers(facts: _Facts) -> tuple[tuple[str, str], ...]:
    return seen(facts.settings, facts.downstream, facts.message, facts.left)


def seen(
    settings: SidecarSettings, downstream: Downstream, message: RequestMessage, left: Fields | None = None
) -> Fields:
    """The header fields of a request as policies and the workload see them; ``left``: by its tokens."""
    if left is not None:
        return left
    headers = message.template.headers if settings.token_rules is not None else message.headers
    return fields_of(settings, downstream, message, headers)


def fields_of(settings: SidecarSettings, downstream: Downstream, message: RequestMessage, headers: Fields) -> Fields:
    """The header fields of a request that are taken from its caller."""
    template, rules = message.template, settings.header_rules
    if template.http1:
        headers = end_to_end(headers)
    if rules is None:
        return headers
    svid = None if downstream.tls is None else downstream.tls.peer_svid
    shown = "" if svid is None or settings.certificate_hash is None else settings.certificate_hash(svid)
    caller = Caller(template.outside, svid is not None, downstream.principal, shown)
    return received(headers, rules, caller, settings.spiffe_id)


def called_port(downstream: Downstream, template: CallTemplate) -> int:
    """The port of the service: a waypoint has all requests at one of its own."""
    return (template.target_port or template.port) if template.through else downstream.port


_EXTRA: Mapping[str, Callable[[_Facts], Any]] = MappingProxyType(
    {
        "port": lambda facts: called_port(facts.downstream, facts.message.template),
        "service_port": lambda facts: facts.message.template.port,
        "host": lambda facts: facts.message.template.authority,
        "headers": _headers,
        "claims": lambda facts: facts.claims,
        "node": lambda facts: facts.settings.node,
        "source_node": lambda facts: facts.message.node,
        "source_ip": lambda facts: facts.downstream.source_ip,
        "tls_version": _tls("version"),
        "cipher": _tls("cipher"),
        "group": _tls("group"),
        "certificate_age_s": _certificate_age_s,
        "time_s": lambda facts: facts.clock_s,
        "query": lambda facts: facts.target.partition("?")[2],
        "destination_ip": lambda facts: facts.settings.address,
        "sni": _sni,
        "version": lambda facts: facts.settings.version,
    }
)
"""What fills each attribute that is filled on demand."""


class Questions:
    """Makes the questions of one sidecar; those on one connection that differ in nothing are one object.

    That is cheaper to look up. Where policies read a clock, it holds within one second.
    """

    __slots__ = ("_reads", "_settings", "_timed")

    def __init__(self, settings: SidecarSettings) -> None:
        self._settings = settings
        self._reads = sorted(settings.policy_reads)
        self._timed = not settings.policy_reads.isdisjoint(TIMED)

    def ask(
        self,
        downstream: Downstream,
        message: RequestMessage,
        now_ns: int,
        claims: str = "",
        left: Fields | None = None,
        target: str = "",
    ) -> Question:
        """Return the question about a request with these token ``claims``, at simulated time ``now_ns``.

        ``left`` and ``target``: what its tokens leave of it, where that is not what its kind has without a token.
        """
        template = message.template
        if not self._reads:  # then its kind and the caller's site are all that matters
            known = downstream.questions.get((template.index, message.site))
            if known is not None:
                return known
        if left is None and message.carried is not None:
            left = seen(self._settings, downstream, message)
        if not target:
            in_query = message.token is not None and template.token_place.kind == "param"
            target = message.path if in_query else template.path
        key: tuple[object, ...]
        if not self._reads:
            key = (template.index, message.site)
        else:
            key = (template.index, message.node)  # a node is at one site
            if left is not None or target != template.path:
                key = (*key, claims, left, target)
            elif claims:
                key = (*key, claims)
            elif message.token is not None and self._settings.token_rules is None:
                key = (*key, message.token.text)  # nobody takes it off, so policies see it
            if self._timed:
                clock_s = (self._settings.clock_offset_ns + now_ns) // S
                if clock_s != downstream.asked_s:
                    downstream.asked_s = clock_s
                    downstream.questions.clear()
        question = downstream.questions.get(key)
        if question is None:
            facts = (claims, left, target)
            question = downstream.questions[key] = self._question(downstream, message, now_ns, *facts)
        return question

    def _question(
        self,
        downstream: Downstream,
        message: RequestMessage,
        now_ns: int,
        claims: str,
        left: Fields | None,
        target: str,
    ) -> Question:
        template = message.template
        clock_s = (self._settings.clock_offset_ns + now_ns) // S
        facts = _Facts(self._settings, downstream, message, clock_s, claims, left, target)
        return Question(
            principal=downstream.principal,
            source=message.source,
            destination=template.destination,
            method=template.method,
            path=target.partition("?")[0],
            slice=template.slice,
            site=message.site,
            mutual=downstream.mutual,
            at_waypoint=bool(template.through),
            **{attribute: _EXTRA[attribute](facts) for attribute in self._reads},
        )
