"""The row of an attempt to get a certificate."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

ISSUANCE_PARTS = (
    "backoff_ns",
    "node_attestation_ns",
    "workload_attestation_ns",
    "key_ns",
    "network_ns",
    "queue_ns",
    "signing_ns",
    "configuration_ns",
    "announcement_ns",
    "failed_ns",
)
"""Where the time of an attempt to get a certificate goes; they sum to ``t_end_ns - t_start_ns`` exactly."""


class IssuanceRow(msgspec.Struct, frozen=True, gc=False):
    """An attempt of a workload to get a token, or a certificate and, at its start, a place in the mesh with it."""

    issuance_id: Annotated[int, Meta(description="Counts from 1; all attempts for one certificate or token share it.")]
    attempt: Annotated[int, Meta(description="Counts from 1.")]
    host: Annotated[str, Meta(description="Replica or device.")]
    spiffe_id: Annotated[str, Meta(description="SPIFFE ID that it asks for.")]
    node: Annotated[str, Meta(description="Node at which it was when the attempt ended.")]
    purpose: Annotated[
        str,
        Meta(
            description="onboarding (a start), rotation (in time) or renewal (because the authority was replaced); or "
            "token: it asks the endpoint of its token issuer, which is the issuer of such a row."
        ),
    ]
    t_start_ns: Annotated[int, Meta(description="When the need arose; of further attempts, when the last one ended.")]
    t_end_ns: Annotated[int, Meta(description="When it came to its outcome.")]
    outcome: Annotated[
        str,
        Meta(description="done, failed (there will be another attempt), or cut: it died or the run ended meanwhile."),
    ]
    step: Annotated[
        str,
        Meta(
            description="Step at which it ended: node-attestation, workload-attestation, key, signing, configuration, "
            "announcement, or rotation for a certificate put in place of another."
        ),
    ]
    reason: Annotated[str, Meta(description="Why it failed; else empty.")]
    ahead: Annotated[int, Meta(description="Requests that waited at the issuer when this one came; 0 if it did not.")]
    backoff_ns: Annotated[int, Meta(description="Waiting before the attempt.")]
    node_attestation_ns: Annotated[int, Meta(description="Until its node was attested.")]
    workload_attestation_ns: Annotated[int, Meta(description="Until the workload was attested.")]
    key_ns: Annotated[
        int,
        Meta(
            description="Making a key and a signing request, waits for a core included; of a token, the own end of TLS."
        ),
    ]
    network_ns: Annotated[int, Meta(description="The signing request and its answer on their way.")]
    queue_ns: Annotated[int, Meta(description="Waiting at the issuer for its limits and for its turn.")]
    signing_ns: Annotated[int, Meta(description="Being signed, waits for a core of the issuer's node included.")]
    configuration_ns: Annotated[int, Meta(description="Until it had policy and discovery from the control plane.")]
    announcement_ns: Annotated[int, Meta(description="Until the control plane announced it as healthy.")]
    failed_ns: Annotated[int, Meta(description="The step in which the attempt failed or was cut.")]
