"""What an end of a connection reads is held against what the message says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshsim.scenario.errors import InvariantViolation
from meshsim.sidecar.codec import ClientCodec, ServerCodec
from meshsim.sidecar.messages import CallTemplate, RequestMessage, ResponseMessage

TEMPLATE = CallTemplate(0, "vision", "POST", "/detect", 20, 30, "web", 10**9, headers=(("x-tenant", "blue"),))
REQUEST = RequestMessage(7, 1, TEMPLATE, "phones", "plant", "gnb", 0, False)
RESPONSE = ResponseMessage(7, 1, TEMPLATE, 200, 30, 0, False, headers=(("retry-after", "1"),))


def other(message: Any, change: dict[str, Any]) -> Any:
    """The same message, or of a template, with other contents."""
    own = {name: value for name, value in change.items() if name in message.__struct_fields__}
    rest = {name: value for name, value in change.items() if name not in own}
    return msgspec.structs.replace(message, template=msgspec.structs.replace(message.template, **rest), **own)


@pytest.mark.parametrize(
    "change",
    [
        *({"call_id": 8}, {"attempt": 2}, {"method": "PUT"}, {"path": "/"}, {"destination": "back"}),
        *({"request_bytes": 21}, {"headers": ()}, {"headers": (("x-tenant", "red"),)}),
    ],
    ids=str,
)
def test_a_request_must_be_what_its_message_says(change: dict[str, Any]) -> None:
    """A server reads a request as it was given to the client, and no other passes for it."""
    client, server, astray = ClientCodec(None), ServerCodec(None), ServerCodec(None)
    sent = client.encode(REQUEST)
    server.decode(sent)
    with pytest.raises(InvariantViolation, match="was received as"):
        astray.decode(other(sent, change))


@pytest.mark.parametrize(
    "change", [{"attempt": 2}, {"status": 503}, {"body_bytes": 29}, {"headers": (("retry-after", "2"),)}], ids=str
)
def test_a_response_must_be_what_its_message_says(change: dict[str, Any]) -> None:
    """A client reads a response as it was given to the server, for its own request, and no other passes for it."""
    client, server = ClientCodec(None), ServerCodec(None)
    for call_id in (7, 8):
        server.decode(client.encode(msgspec.structs.replace(REQUEST, call_id=call_id)))
    first = server.encode(RESPONSE)
    with pytest.raises(InvariantViolation, match="was received"):
        client.decode(other(first, change))
    second = server.encode(msgspec.structs.replace(RESPONSE, call_id=8))
    client.decode(second)
    with pytest.raises(InvariantViolation, match="is not whole"):
        client.decode(msgspec.structs.replace(second, wire=b""))
