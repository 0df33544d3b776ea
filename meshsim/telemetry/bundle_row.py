"""The row of a fetch of another trust domain's bundle."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class BundleRow(msgspec.Struct, frozen=True, gc=False):
    """One time that a trust domain fetched the bundle of another, or gave it up for stale."""

    t_ns: Annotated[int, Meta(description="When it came to its outcome.")]
    t_start_ns: Annotated[int, Meta(description="When it was asked for.")]
    trust_domain: Annotated[str, Meta(description="Trust domain that fetches.")]
    of_trust_domain: Annotated[str, Meta(description="Trust domain whose bundle it is.")]
    event: Annotated[
        str,
        Meta(
            description="taken (it was new), unchanged, refused (it came and was not believed), failed (it did not "
            "come) or stale (too many fetches in a row have brought nothing)."
        ),
    ]
    sequence: Annotated[int, Meta(description="Sequence number that is held from then on; 0 if bundles have none.")]
    authorities: Annotated[int, Meta(description="How many authorities are believed from then on.")]
    lag_ns: Annotated[int, Meta(description="How long what was taken had been there by then; 0 unless it was taken.")]
    reason: Annotated[str, Meta(description="Why it was refused, failed or is stale.")]
    size_bytes: Annotated[int, Meta(description="Size of the document that came; 0 where none did.")] = 0
