"""Tokens at the called half: found in a request, judged, and what that leaves of its header fields and path."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from meshsim.identity.token_check import TokenVerdict, judge
from meshsim.identity.token_places import BEARER, Fields
from meshsim.identity.token_search import Checked, TokenSearch
from meshsim.scenario.headers import FIELDS_OF_THE_MESH
from meshsim.sidecar.messages import CallTemplate, Carried, RequestMessage
from meshsim.sidecar.questions import called_port, fields_of
from meshsim.sidecar.received import CLIENT_CERT, as_read, end_to_end, kept

if TYPE_CHECKING:
    from meshsim.identity.svid import Svid
    from meshsim.sidecar.inbound import Downstream
    from meshsim.sidecar.settings import SidecarSettings

S = 1_000_000_000
search_of = lru_cache(maxsize=4096)(TokenSearch)
"""The search by some rules, one for all who have the same."""


class Passed(msgspec.Struct, frozen=True, gc=False):
    """What came of the tokens of one request."""

    verdict: TokenVerdict | None
    """None where nobody looks at tokens."""
    thumbprint: str = ""
    checked: tuple[Checked, ...] = ()
    headers: Fields | None = None
    """Header fields as policies and the workload see them; None: as those of its kind without the token."""
    target: str = ""
    """Path and query, likewise; empty: as those of its kind."""


UNLOOKED = Passed(None)
EVERY_FIELD = frozenset({"*"})
"""What a waypoint hands on."""


class Gate:
    """Looks at the tokens of the requests that come to one sidecar."""

    def __init__(self, settings: SidecarSettings) -> None:
        self._settings = settings
        self._rules = settings.token_rules
        self._search = None if settings.token_rules is None else search_of(settings.token_rules)
        self.looks = self._search is not None
        """Whether there are rules at all."""
        self._usual: dict[int, bool] = {}
        """By kind of request, whether a token can be at the usual place alone."""
        self._handed_on: dict[int, Fields] = {}
        """What the templates of the workload's own calls have, by kind of request."""

    def look(self, downstream: Downstream, message: RequestMessage, now_ns: int) -> Passed:
        """Judge the tokens of a request."""
        rules, search, settings = self._rules, self._search, self._settings
        if rules is None or search is None or called_port(downstream, message.template) in rules.blind:
            return UNLOOKED
        if downstream.principal in rules.past:  # nobody takes the token off, so it is a header field like others
            return Passed(None, headers=fields_of(settings, downstream, message, message.headers), target=message.path)
        thumbprint = "" if rules.binding == "ignored" else self._thumbprint(downstream)
        clock_s = (settings.clock_offset_ns + now_ns) // S
        template = message.template
        usual = self._usual.get(template.index)
        if usual is None:
            usual = self._usual[template.index] = search.is_usual and _is_usual(template)
        if usual and message.carried is None:
            verdict = judge(message.token, rules, clock_s, thumbprint, settings.token_keys)
            if verdict.reason and search.names:
                verdict = msgspec.structs.replace(verdict, by=search.names)
            return Passed(verdict, thumbprint)
        headers = fields_of(settings, downstream, message, message.headers)
        known = {token.text: token for token in message.tokens}
        found = search.look(headers, message.path, known, clock_s, thumbprint, settings.token_keys)
        return Passed(found.verdict, thumbprint, found.checked, found.headers, found.target)

    def _thumbprint(self, downstream: Downstream) -> str:
        thumbprint = self._settings.thumbprint
        svid: Svid | None = None if downstream.tls is None else downstream.tls.peer_svid
        return "" if thumbprint is None or downstream.tls is None else thumbprint(svid)

    def hands_on(self, message: RequestMessage, seen: Fields) -> Carried | None:
        """Say what the workload puts on its own calls of the fields that it has seen, beside what their templates have.

        X-Forwarded-Client-Cert goes with the templates alone. A sidecar writes claims as they are; the workload reads
        of them what a field can hold, and none into a field that every sender of HTTP/2 writes itself or leaves out.
        """
        names = self._settings.hands_on
        every = names is EVERY_FIELD
        template = message.template
        before = self._handed_on.get(template.index)
        if before is None:
            before = end_to_end(template.headers)
            if self._settings.header_rules is not None:
                before = kept(before, self._settings.header_rules, outside=template.outside, mutual=False)
            before = self._handed_on[template.index] = tuple(field for field in before if every or field[0] in names)
        shown = (field for field in seen if (every or field[0] in names) and field[0] != CLIENT_CERT)
        now = tuple((name, as_read(value)) for name, value in shown)
        fields = tuple(field for field in now if field not in before and field[0] not in FIELDS_OF_THE_MESH)
        without = tuple(field for field in before if field not in now and field[0] != CLIENT_CERT)
        if not fields and not without:
            return None
        tokens = tuple(token for token in message.tokens if any(token.text in value for _, value in fields))
        return Carried(fields, without, tokens)


def _is_usual(template: CallTemplate) -> bool:
    """Whether requests of this kind carry nothing but their own token where tokens are, and that as a bearer token."""
    if template.token_place != BEARER or "access_token" in template.path or "%" in template.path.partition("?")[2]:
        return False
    if any(name == BEARER.name for name, _ in template.headers):
        return False
    return not (template.http1 and any(name == "connection" for name, _ in template.headers))
