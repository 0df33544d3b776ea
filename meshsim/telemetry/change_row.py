"""The row type of the table of changes."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class ChangeRow(msgspec.Struct, frozen=True, gc=False):
    """One change of configuration, and how it spread."""

    change: Annotated[str, Meta(description="Its name in the scenario.")]
    t_ns: Annotated[int, Meta(description="When the control plane had it.")]
    version: Annotated[int, Meta(description="Configuration version that it made, counts from 1 (the start).")]
    t_converged_ns: Annotated[
        int,
        Meta(
            description="When the last proxy that was up had it, or a later change, which contains it; -1 if that "
            "never came."
        ),
    ]
    proxies: Annotated[int, Meta(description="Proxies that it was to reach.")]
    acked: Annotated[int, Meta(description="Those that took it, or a later one in its place.")]
    rejected: Annotated[int, Meta(description="Those that rejected it.")]
    rolled_back: Annotated[bool, Meta(description="Whether it was taken back for that.")]
    wrongly_allowed: Annotated[
        int,
        Meta(
            description="Decisions until the next change that it would have denied; after it was taken back, those "
            "that what holds again would have denied."
        ),
    ]
    wrongly_denied: Annotated[int, Meta(description="Likewise, that were denied and would have been allowed.")]
