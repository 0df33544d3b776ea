"""Holding the model against OpenSSL at every step of a handshake at real fidelity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from meshsim.scenario.errors import InvariantViolation
from meshsim.sidecar.tls.flights import Flight
from meshsim.sidecar.tls.outcome import End, Established, Refused, TlsStep
from meshsim.sidecar.tls.sizes import tolerance_bytes


class EngineReport(msgspec.Struct, frozen=True, gc=False):
    """What an engine did in one step."""

    output: bytes = b""
    """Bytes for the other end."""
    established: Established | None = None
    """Set in the step in which it got there; ``resumed_after_expiry`` is never set, an engine can't know."""
    refused: Refused | None = None
    session: bytes | None = None
    """A session that came with tickets read in this step (client)."""


class Engine(Protocol):
    """One end of a real TLS connection over memory buffers."""

    def watch(self) -> None:
        """Look at the alerts that it sends from now on: only then can it say which it was."""

    def start(self, clock_ns: int, session: bytes | None) -> EngineReport:
        """Open the handshake, resuming ``session`` if there is one (client)."""

    def receive(self, wire: bytes, clock_ns: int) -> EngineReport:
        """React to bytes from the other end at this node's epoch time."""

    def closed(self, clock_ns: int) -> EngineReport:
        """React to the end of the transport."""


def advance(role: End, step: TlsStep, received: Flight | None, run: Callable[[], EngineReport]) -> TlsStep:
    """Run the engine's part of a step; return the model's step with the real bytes in its flights.

    Raises ``InvariantViolation`` when the engine came to something else.
    """
    report = run()
    differences = list(_differences(step, report))
    if differences:
        raise InvariantViolation(
            "\n".join(
                [
                    f"TLS {role}: the model and OpenSSL disagree: " + "; ".join(differences),
                    f"received: {'nothing' if received is None else describe(received)}",
                    f"model: {step!r}",
                    f"OpenSSL: output {report.output.hex()}, {report.established!r}, {report.refused!r}",
                ]
            )
        )
    flights = tuple(msgspec.structs.replace(flight, wire=report.output) for flight in step.flights)
    ticket = step.ticket
    if ticket is not None:
        ticket = msgspec.structs.replace(ticket, session=report.session)
    return msgspec.structs.replace(step, flights=flights, ticket=ticket)


def describe(flight: Flight) -> str:
    """Return a flight as text, its real bytes in hexadecimal."""
    wire = "" if flight.wire is None else f" wire {flight.wire.hex()}"
    return f"{msgspec.structs.replace(flight, wire=None)!r}{wire}"


def _differences(step: TlsStep, report: EngineReport) -> list[str]:
    found = []
    if not same_established(step.established, report.established):
        found.append(f"established {step.established!r} against {report.established!r}")
    if step.refused != report.refused:
        found.append(f"refused {step.refused!r} against {report.refused!r}")
    if step.ticket is not None and report.session is None:
        found.append("a ticket without a session")
    if len(step.flights) > 1:
        found.append(f"{len(step.flights)} flights in one step")
    nominal = sum(flight.size_bytes for flight in step.flights)
    shorter, longer = tolerance_bytes(step.flights[0]) if step.flights else (0, 0)
    if not nominal - shorter <= len(report.output) <= nominal + longer:
        found.append(f"{nominal} bytes (-{shorter}, +{longer}) against {len(report.output)}")
    return found


def same_established(predicted: Established | None, real: Established | None) -> bool:
    """Compare all that an engine can know of an established connection.

    Whether a resumed session has outlived a certificate it cannot know, nor what it began with: a client not whether it
    presented a certificate then, a server not the type of the key that it had then.
    """
    if predicted is None or real is None:
        return predicted is real
    if predicted == real:
        return True
    mutual = real.mutual if real.resumed else predicted.mutual
    key_type = real.key_type if real.resumed else predicted.key_type
    return msgspec.structs.replace(predicted, resumed_after_expiry=False, mutual=mutual, key_type=key_type) == real
