"""Draws docs/tls-states.md from the tables that the TLS machines work from: ``python docs/tls_states.py``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from meshsim.sidecar.tls.states import CLIENT_TRANSITIONS, SERVER_TRANSITIONS, Event, State

DOCUMENT = Path(__file__).with_name("tls-states.md")

OPENING = """# The states of a TLS 1.3 handshake

<!-- Written by `python docs/tls_states.py`; edit meshsim/sidecar/tls/states.py instead. -->

Each sidecar has one machine for each connection: a client's or a server's (`meshsim/sidecar/tls/machine.py`). The
tables below are all that they can do; a step that is not in them is a mistake of meshsim's own and fails at once. What
is decided in a step (which version, group and cipher, whether a certificate or ticket is accepted, which alert) comes
from pure functions, and OpenSSL is run to prove them right.

RFC 8446 draws more states, because its ends take messages one by one. Here a flight is sent and received as a whole, as
it travels: in one train of TCP segments.
"""

CLOSING = """
## What a refusal means

An end refuses when its own check fails, and sends an alert with its RFC 8446 name; the other end is refused when the
alert arrives. A client is established as soon as it has sent its Finished: when the server then refuses the client's
certificate, the alert reaches a client that thought the connection stood, perhaps with a request already on its way.
That is why `established` leads to `refused`. Nothing leads out of `refused`.
"""


def drawing(title: str, start: State, table: Mapping[tuple[State, Event], State]) -> str:
    """Return one end as a Mermaid diagram with its table."""
    lines = [f"\n## {title}\n", "```mermaid", "stateDiagram-v2", "    direction TB"]
    states = list(dict.fromkeys(state for (origin, _), to in table.items() for state in (origin, to)))
    lines += [f"    {state.name}: {state.value}" for state in states]
    lines.append(f"    [*] --> {start.name}")
    lines += [f"    {origin.name} --> {to.name}: {event.value}" for (origin, event), to in table.items()]
    lines += ["    REFUSED --> [*]", "```", "", "| State | Step | Next state |", "|---|---|---|"]
    lines += [f"| {origin.value} | {event.value} | {to.value} |" for (origin, event), to in table.items()]
    return "\n".join(lines) + "\n"


def document() -> str:
    """Return the whole page."""
    return "".join(
        [
            OPENING,
            drawing("The client", State.IDLE, CLIENT_TRANSITIONS),
            drawing("The server", State.WAIT_CLIENT_HELLO, SERVER_TRANSITIONS),
            CLOSING,
        ]
    )


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
