"""The row of a push of configuration."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from meshsim.telemetry.later import LATER


class ConfigRow(msgspec.Struct, frozen=True, gc=False):
    """One step of one configuration push to one proxy."""

    t_ns: Annotated[int, Meta(description="When.")]
    version: Annotated[int, Meta(description="Configuration version, counts from 1.")]
    proxy: Annotated[str, Meta(description="Sidecar that it went to.")]
    event: Annotated[str, Meta(description="sent, acked, rejected, stale or rolled_back.")]
    reason: Annotated[str, Meta(description="What changed.")]
    source: Annotated[
        str,
        Meta(description="Node that pushed it; empty of what came with a start, or was fetched.", extra=LATER),
    ] = ""
    kind: Annotated[
        str,
        Meta(
            description="What was pushed: configuration (of a change), endpoints, trust (bundles and deny lists) or "
            "federation (those of other trust domains).",
            extra=LATER,
        ),
    ] = ""
    sent_bytes: Annotated[
        int,
        Meta(
            description="Bytes that left the node for it in this try, headers and repetitions included: of acked, "
            "rejected, rolled_back and stale. 0 where both are on one node.",
            extra=LATER,
        ),
    ] = 0
