"""The called half of a sidecar: accept, authenticate, have calls authorised, hand them to the workload."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshsim.sidecar.answers import overlaid
from meshsim.sidecar.commands import (
    PEER_REVOKED,
    AskPolicy,
    CloseConnection,
    Command,
    Compute,
    Deliver,
    HandshakeEnded,
    Send,
)
from meshsim.sidecar.gate import UNLOOKED, Gate
from meshsim.sidecar.http1_write import response1_size_bytes
from meshsim.sidecar.http_sizes import answer_body_bytes, response_size_bytes
from meshsim.sidecar.malformed import BAD_REQUEST_BODY_BYTES, bad_request, why_unread
from meshsim.sidecar.messages import REFUSAL_BODY_BYTES, CallTemplate, Carried, RequestMessage, ResponseMessage, sent
from meshsim.sidecar.pool_settings import READY, Phase
from meshsim.sidecar.questions import Questions, seen
from meshsim.sidecar.received import Fields, end_to_end, kept, named, removed
from meshsim.sidecar.tls.end import rests_on_revoked
from meshsim.sidecar.tls.flights import Flight, Plaintext
from meshsim.sidecar.tls.machine import TlsServer
from meshsim.sidecar.tls.outcome import Established, TlsStep
from meshsim.sidecar.tls.records import sealed_size_bytes
from meshsim.sidecar.tls.states import State

if TYPE_CHECKING:
    from meshsim.identity.token_check import TokenRules
    from meshsim.policy.question import Decision, Question
    from meshsim.sidecar.codec import ServerCodec
    from meshsim.sidecar.settings import SidecarSettings
    from meshsim.sidecar.tls.openssl import Engines
    from meshsim.sidecar.tls.settings import Mode, TlsSide

NO_FIELDS: Fields = ()


class Downstream:
    """The server's half of one connection."""

    __slots__ = (
        "asked_s",
        "begun",
        "carried",
        "codec",
        "connection_id",
        "established",
        "fresh",
        "held",
        "mutual",
        "phase",
        "port",
        "principal",
        "questions",
        "removed",
        "requests",
        "source_ip",
        "tls",
    )

    def __init__(self, connection_id: int, port: int, source_ip: str = "") -> None:
        self.connection_id = connection_id
        self.port: int = port
        """Port that the peer connected to."""
        self.source_ip: str = source_ip
        self.phase = Phase.CONNECTING
        self.tls: TlsServer | None = None
        self.principal = ""
        """SPIFFE ID that the peer proved; empty if none."""
        self.mutual = False
        self.established: Established | None = None
        """What the handshake came to; None on plaintext."""
        self.held: list[RequestMessage | Flight] = []
        """What arrived before the work of the handshake's last step was done."""
        self.requests: dict[tuple[int, int], CallTemplate] = {}
        """Requests in progress by call and attempt."""
        self.begun: dict[tuple[int, int], int] = {}
        """When the workload was handed each of them; where answers tell how long it took."""
        self.carried: dict[tuple[int, int], Carried] = {}
        """What the workload will hand on of each of them, where tokens brought or removed some of that."""
        self.questions: dict[tuple[object, ...], Question] = {}
        """By kind of call, the caller's site or node, and what tokens make of the request."""
        self.removed: dict[int, str] = {}
        """Names of the header fields that are taken off, by kind of call."""
        self.asked_s = 0
        """The second that they are of, where policies read a clock."""
        self.fresh = True
        """Whether no response was sent on it yet (HPACK's table is empty)."""
        self.codec: ServerCodec | None = None


class Inbound:
    """State of the called half."""

    __slots__ = (
        "_answers",
        "_engines",
        "_gate",
        "_questions",
        "_settings",
        "_sides",
        "_sizes",
        "downstreams",
        "side",
    )

    def __init__(self, settings: SidecarSettings, side: TlsSide, engines: Engines | None) -> None:
        self._settings = settings
        self.side = side
        self._engines = engines
        self.downstreams: dict[int, Downstream] = {}
        self._sizes: dict[tuple[int, int, bool, bool], int] = {}
        self._answers = settings.answer_rules
        self._questions = Questions(settings)
        self._gate = Gate(settings)
        self._sides: dict[int, tuple[TlsSide, TlsSide]] = {}
        """What listeners with settings of their own bring, by port, beside the side that it was made from."""

    def check_tokens_by(self, rules: TokenRules | None) -> None:
        """Accept other tokens from now on; what was asked before has its answer."""
        self._settings = msgspec.structs.replace(self._settings, token_rules=rules)
        self._questions = Questions(self._settings)
        self._gate = Gate(self._settings)
        for downstream in self.downstreams.values():
            downstream.questions.clear()

    def accepted(self, connection_id: int, port: int, source_ip: str = "") -> None:
        """Take note of a new connection to a port; what it speaks is seen when the first unit arrives."""
        self.downstreams[connection_id] = Downstream(connection_id, port, source_ip)

    def side_of(self, port: int) -> TlsSide:
        """Return what the listener of a port brings to handshakes now."""
        settings = self._settings.port_tls.get(port)
        if settings is None:
            return self.side
        whole, own = self._sides.get(port, (None, None))
        if whole is not self.side or own is None:
            own = msgspec.structs.replace(self.side, settings=settings)
            self._sides[port] = (self.side, own)
        return own

    def mode_of(self, port: int) -> Mode:
        """Return whether the listener of a port takes TLS, plaintext, or both."""
        return self._settings.port_tls.get(port, self.side.settings).mode

    # TLS

    def flight(self, downstream: Downstream, flight: Flight, now_ns: int) -> list[Command]:
        """Take a flight of the client's."""
        if self.mode_of(downstream.port) == "DISABLE":
            return self._close(downstream, "this listener speaks plaintext only")
        clock_ns = self._settings.clock_offset_ns + now_ns
        if downstream.phase is Phase.HANDSHAKING and downstream.tls and downstream.tls.state is State.ESTABLISHED:
            downstream.held.append(flight)  # one connection is worked on by one thread
            return []
        if downstream.tls is None:
            side = self.side_of(downstream.port)
            downstream.tls = TlsServer(side, self._engines.server(side) if self._engines else None)
            downstream.phase = Phase.HANDSHAKING
        return [Compute(downstream.connection_id, downstream.tls.receive(flight, clock_ns))]

    def step_done(self, downstream: Downstream, step: TlsStep, now_ns: int) -> list[Command]:
        """Carry on after the CPU work of a TLS step."""
        commands: list[Command] = [Send(downstream.connection_id, flight) for flight in step.flights]
        if step.refused is not None:
            commands.append(HandshakeEnded(downstream.connection_id, "server", None, step.refused))
            commands += self._close(downstream, step.refused.reason)
        elif step.established is not None:
            downstream.phase = READY
            downstream.principal = step.established.peer_spiffe_id
            downstream.mutual = step.established.mutual
            downstream.established = step.established
            commands.append(HandshakeEnded(downstream.connection_id, "server", step.established, None))
            if self._settings.cuts_revoked and rests_on_revoked(downstream.tls, self.side):
                # A session from before, or the news is newer.
                return commands + self._close(downstream, PEER_REVOKED, live=False)
            held, downstream.held = downstream.held, []
            for unit in held:
                if isinstance(unit, RequestMessage):
                    commands.append(self._ask(downstream, unit, now_ns))
                else:
                    commands += self.flight(downstream, unit, now_ns)
        return commands

    def cut_revoked(self) -> list[Command]:
        """Close the connections of clients that are revoked, as far as this sidecar has been told."""
        revoked = [each for each in self.downstreams.values() if rests_on_revoked(each.tls, self.side)]
        return [
            command
            for downstream in revoked
            for command in self._close(downstream, PEER_REVOKED, live=downstream.phase is READY)
        ]

    def _close(self, downstream: Downstream, reason: str, *, live: bool = True) -> list[Command]:
        downstream.phase = Phase.CLOSED
        self.downstreams.pop(downstream.connection_id, None)
        return [CloseConnection(downstream.connection_id, reason, live)]

    # Requests

    def refuses(self, downstream: Downstream, message: RequestMessage) -> bool:
        """Say whether a request will not be read: the handshake failed, or it is plaintext for a strict listener."""
        if message.encrypted:
            return downstream.tls is None or downstream.tls.state is State.REFUSED
        return downstream.tls is not None or self.mode_of(downstream.port) == "STRICT"

    def request(self, downstream: Downstream, message: RequestMessage, now_ns: int) -> list[Command]:
        """Take a request."""
        if not message.encrypted and downstream.tls is None:
            if self.mode_of(downstream.port) == "STRICT":
                return self.flight(downstream, Plaintext(message.size_bytes, message.wire), now_ns)
            if downstream.phase is Phase.CONNECTING:
                downstream.phase = READY
        if downstream.phase is not READY:
            downstream.held.append(message)
            return []
        return [self._ask(downstream, message, now_ns)]

    def _ask(self, downstream: Downstream, message: RequestMessage, now_ns: int) -> AskPolicy:
        template = message.template
        downstream.requests[message.call_id, message.attempt] = template
        if (template.malformed or template.http1) and (reason := why_unread(template)):
            return AskPolicy(downstream.connection_id, message, None, malformed=reason)
        gate, settings = self._gate, self._settings
        passed = gate.look(downstream, message, now_ns) if gate.looks else UNLOOKED
        verdict, left = passed.verdict, passed.headers
        gone = self._removed(downstream, message, left) if template.headers or message.carried is not None else ""
        if settings.hands_on and (verdict is None or not verdict.reason):
            carried = gate.hands_on(message, seen(settings, downstream, message, left))
            if carried is not None:
                downstream.carried[message.call_id, message.attempt] = carried
        question = None  # also where the peer is a waypoint whose decisions are all there are
        asked = settings.policy_asked and not (settings.decided_by and downstream.principal == settings.decided_by)
        if asked and (verdict is None or not verdict.reason):
            claims = "" if verdict is None else verdict.claims
            question = self._questions.ask(downstream, message, now_ns, claims, left, passed.target)
        if passed is UNLOOKED and not gone:
            return AskPolicy(downstream.connection_id, message, question)
        told = (verdict, passed.thumbprint, passed.checked)
        return AskPolicy(downstream.connection_id, message, question, *told, removed=gone)

    def _removed(self, downstream: Downstream, message: RequestMessage, left: Fields | None) -> str:
        """The names of the fields that were taken off; of one kind on one connection always the same without tokens."""
        template = message.template
        if left is not None or message.carried is not None:
            token = message.token if _drops_token(template) else None
            before = sent(template, token, message.carried)[0]
            return removed(before, seen(self._settings, downstream, message, left))
        found = downstream.removed.get(template.index)
        if found is None:
            before = message.headers if _drops_token(template) else template.headers
            found = removed(before, seen(self._settings, downstream, message))
            downstream.removed[template.index] = found
        return found

    def answered(
        self, downstream: Downstream, message: RequestMessage, decision: Decision | None, now_ns: int
    ) -> list[Command]:
        """Act on a decision: hand the request on, or refuse it."""
        if decision is None or decision.allowed:
            if self._answers is not None:
                downstream.begun[message.call_id, message.attempt] = now_ns
            carried = downstream.carried.pop((message.call_id, message.attempt), None) if downstream.carried else None
            return [Deliver(downstream.connection_id, message, carried)]
        template = downstream.requests.pop((message.call_id, message.attempt))
        key = (message.call_id, message.attempt)
        downstream.carried.pop(key, None)
        if (template.malformed or template.http1) and why_unread(template):
            return [self._bad_request(downstream, key, template)]
        headers = overlaid(self._added(downstream, template, None), decision.headers)
        whole_bytes = len(decision.body.encode()) or REFUSAL_BODY_BYTES
        body_bytes = answer_body_bytes(template.method, decision.status, whole_bytes)
        return [self._response(downstream, key, template, decision.status, body_bytes, headers)]

    def _bad_request(self, downstream: Downstream, key: tuple[int, int], template: CallTemplate) -> Send:
        """Refuse a request in HTTP/1.1 that is not well-formed; the connection is of no more use."""
        encrypted = downstream.tls is not None
        headers = self._added(downstream, template, None)
        plain_bytes = len(bad_request(headers))
        size_bytes = sealed_size_bytes(plain_bytes) if encrypted else plain_bytes
        facts = (*key, template, 400, BAD_REQUEST_BODY_BYTES, size_bytes, encrypted)
        return Send(downstream.connection_id, ResponseMessage(*facts, headers=headers))

    def respond(self, downstream: Downstream, call_id: int, attempt: int, status: int, now_ns: int) -> list[Command]:
        """Send a response."""
        template = downstream.requests.pop((call_id, attempt))
        body_bytes = template.response_bytes
        if status != 200:
            body_bytes = answer_body_bytes(template.method, status, REFUSAL_BODY_BYTES)
        if self._answers is not None or template.http1:
            begun_ns = downstream.begun.pop((call_id, attempt), now_ns)
            headers = self._added(downstream, template, now_ns - begun_ns)
            return [self._response(downstream, (call_id, attempt), template, status, body_bytes, headers)]
        encrypted = downstream.tls is not None  # what nearly always happens: nothing is added
        key = (body_bytes, status, downstream.fresh, encrypted)
        size_bytes = self._sizes.get(key)
        if size_bytes is None:
            size_bytes = response_size_bytes(status, body_bytes, first=downstream.fresh)
            if encrypted:
                size_bytes = sealed_size_bytes(size_bytes)
            self._sizes[key] = size_bytes
        downstream.fresh = False
        message = ResponseMessage(call_id, attempt, template, status, body_bytes, size_bytes, encrypted)
        return [Send(downstream.connection_id, message)]

    def _added(self, downstream: Downstream, template: CallTemplate, taken_ns: int | None) -> Fields:
        """What the sidecar adds to an answer."""
        rules = self._answers
        if rules is None:
            return NO_FIELDS
        asked = template.headers if rules.metadata else NO_FIELDS
        if asked and self._settings.header_rules is not None:
            asked = kept(asked, self._settings.header_rules, outside=template.outside, mutual=downstream.mutual)
        return rules.fields(end_to_end(asked), taken_ns)

    def _response(
        self,
        downstream: Downstream,
        call: tuple[int, int],
        template: CallTemplate,
        status: int,
        body_bytes: int,
        headers: Fields,
    ) -> Send:
        encrypted = downstream.tls is not None
        if template.http1:
            size_bytes = response1_size_bytes(status, headers, body_bytes)
        else:
            size_bytes = response_size_bytes(status, body_bytes, headers, first=downstream.fresh)
        if encrypted:
            size_bytes = sealed_size_bytes(size_bytes)
        downstream.fresh = False
        message = ResponseMessage(*call, template, status, body_bytes, size_bytes, encrypted, headers=headers)
        return Send(downstream.connection_id, message)


def _drops_token(template: CallTemplate) -> bool:
    """Say whether Connection names the field in which requests of a kind carry their token."""
    place = template.token_place
    return place.kind != "param" and ("cookie" if place.kind == "cookie" else place.name) in named(template.headers)
