"""The row type of the table of revocations."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from meshsim.telemetry.later import LATER


class RevocationRow(msgspec.Struct, frozen=True, gc=False):
    """One revocation of a workload's certificates: how word of it spread, and what was served in spite of it."""

    revocation: Annotated[str, Meta(description="Name of the fault that it is in the scenario.")]
    target: Annotated[str, Meta(description="Service, fleet, replica or device whose certificates they were.")]
    t_ns: Annotated[int, Meta(description="When they were revoked.")]
    certificates: Annotated[int, Meta(description="Certificates that were revoked, those in use and former ones.")]
    peers: Annotated[
        int,
        Meta(description="Proxies that call the target or are called by it; those that were down at the end left out."),
    ]
    obeyed: Annotated[
        int,
        Meta(description="Those that would refuse the certificate in a new handshake: told of it, or it has ended."),
    ]
    t_obeyed_ns: Annotated[
        int,
        Meta(
            description="When the last of them came to that, or accepted a handshake (a resumed one) for the last time "
            "if that was later; -1 if not all came to it."
        ),
    ]
    handshakes_accepted: Annotated[
        int, Meta(description="Handshakes established afterwards that rest on a revoked certificate.")
    ]
    calls_to: Annotated[int, Meta(description="Calls that the target was handed afterwards as such a server.")]
    calls_from: Annotated[int, Meta(description="Calls of the target that others were handed afterwards.")]
    t_last_served_ns: Annotated[int, Meta(description="When the last of these calls was handed over; -1 if none was.")]
    connections_cut: Annotated[
        int,
        Meta(description="Live connections that peers have closed for it: something could be served on them."),
    ]
    connections_refused: Annotated[
        int,
        Meta(
            description="New connections that peers have closed for it as soon as their handshake was over, before "
            "anything was served: resumed sessions, or news that came during the handshake.",
            extra=LATER,
        ),
    ] = 0
