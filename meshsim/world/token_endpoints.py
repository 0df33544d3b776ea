"""Token endpoints: the process of a token issuer that is asked over the network, as issuers of certificates are.

A request takes the set-up of a TLS connection, then its bytes, the work of the handshake and of the signature on the
node's cores, and the bytes of the answer with the token in it (RFC 6749, sections 4.4.2 and 5.1).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from meshsim.control.signing import SETUP_ROUND_TRIPS, connection_operations
from meshsim.identity.tokens import KEY_TYPES
from meshsim.scenario.units import NS_PER_S
from meshsim.sidecar.http_sizes import request_size_bytes, response_size_bytes
from meshsim.sidecar.tls.records import sealed_size_bytes
from meshsim.world.issuing import NO_ANSWER, NO_WAY, IssuerProcess, SigningRequest
from meshsim.world.parcels import TIMEOUT_NS, Parcel, Parcels
from meshsim.world.reach import one_way_ns

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.identity.tokens import Grant, Token
    from meshsim.scenario.tokens import TokenEndpoint
    from meshsim.world.hosts import Host
    from meshsim.world.state import State

PATH: Final = "/token"
_FORM: Final = (("content-type", "application/x-www-form-urlencoded"),)
_JSON: Final = (("content-type", "application/json"), ("cache-control", "no-store"))


class TokenRequest(SigningRequest):
    """One request for a token, from its sending to its one answer."""

    __slots__ = ("grant", "issued_s", "thumbprint")

    def __init__(
        self, host: Host, grant: Grant, thumbprint: str, answered: Callable[[SigningRequest, str], None]
    ) -> None:
        super().__init__(host, host.key_type, 1 + SETUP_ROUND_TRIPS, None, answered)
        self.grant = grant
        """What is asked for."""
        self.thumbprint = thumbprint
        """Of the certificate that it will be bound to; empty for none."""
        self.issued_s = 0
        """When it was signed, by the clock of the endpoint's node."""

    @property
    def size_bytes(self) -> int:
        """What the request takes on the wire."""
        fields = [("grant_type", "client_credentials"), *(("audience", each) for each in self.grant.audiences)]
        form = urlencode(fields)
        authority = self.grant.issuer.iss.partition("//")[2]
        return sealed_size_bytes(request_size_bytes("POST", PATH, authority, len(form), _FORM, first=True))


def answer_size_bytes(token: Token, ttl_s: int) -> int:
    """What an answer with a token takes on the wire."""
    body = json.dumps({"access_token": token.text, "token_type": "Bearer", "expires_in": ttl_s})
    return sealed_size_bytes(response_size_bytes(200, len(body), _JSON, first=True))


class TokenProcess(IssuerProcess):
    """The process that signs the tokens of one issuer."""

    def __init__(
        self, state: State, settings: TokenEndpoint, node: str, algorithm: str, sign: Callable[[TokenRequest], Token]
    ) -> None:
        """``sign`` makes what is asked for."""
        super().__init__(state, settings, node, state.scenario.mesh.identity.ca_key)
        self._token_operation = f"{KEY_TYPES[algorithm]}.sign"
        self._sign = sign
        self._parcels = Parcels(state)

    def ask(self, request: SigningRequest) -> None:
        """Send a request; its answer comes later, or the lack of one after the time-out."""
        now_ns = self._clock.now_ns
        if now_ns + self._timeout_ns < self._state.scenario.duration_ns:
            self._clock.at(now_ns + self._timeout_ns, self._timed_out, request)
        self._connect((request, TIMEOUT_NS))

    def _connect(self, job: tuple[SigningRequest, int]) -> None:
        """Set up a connection; a SYN that is lost is sent again (RFC 6298, section 5)."""
        request, timeout_ns = job
        now_ns, node = self._clock.now_ns, request.host.node
        if not request.open or now_ns >= self._state.scenario.duration_ns:
            return
        way_ns = one_way_ns(self._state, node, self.node)
        if way_ns is not None and self._machine.up:
            request.why = NO_ANSWER
            self._clock.at(now_ns + 2 * way_ns * (request.round_trips - 1), self._connected, request)
            return
        request.why = NO_WAY if self._state.topology.route(node, self.node) is None else NO_ANSWER
        self._clock.at(now_ns + timeout_ns, self._connect, (request, 2 * timeout_ns))

    def _connected(self, request: TokenRequest) -> None:
        self._carry(request, request.host.node, self.node, request.size_bytes, lambda: self._arrived(request))

    def _carry(
        self, request: SigningRequest, source: str, goal: str, size_bytes: int, came: Callable[[], None]
    ) -> None:
        duration_ns = self._state.scenario.duration_ns

        def wanted() -> bool:
            return request.open and self._clock.now_ns < duration_ns

        self._parcels.send(Parcel(source, goal, size_bytes, wanted, came))

    def _signature_ns(self, key_type: str) -> int:
        work_ns = self._signatures_ns.get(key_type)
        if work_ns is None:
            costs = self._machine.costs
            operations = (*connection_operations(key_type, self.key_type)[1], (self._token_operation, 1))
            work_ns = 2 * costs.tcp_message_ns + sum(costs.operations[name] * times for name, times in operations)
            self._signatures_ns[key_type] = work_ns
        return work_ns

    def _answer(self, request: SigningRequest, reason: str) -> None:
        if reason:
            super()._answer(request, reason)
            return
        assert isinstance(request, TokenRequest)
        clock_ns = self._state.scenario.epoch_ns + self._machine.skew_ns + request.t_signed_ns
        request.issued_s = clock_ns // NS_PER_S
        size_bytes = answer_size_bytes(self._sign(request), request.grant.ttl_s)
        self._carry(request, self.node, request.host.node, size_bytes, lambda: self._came((request, "")))
