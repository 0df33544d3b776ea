"""The row types, one per table of a run folder. Columns, units and documentation are generated from this file.

Instants are nanoseconds of simulated time since the start of the run; ``*_epoch_ns`` are since the Unix epoch.
Identifiers count from 1; 0 means "none". Rows hold integers, booleans and strings only: no float may enter a digest.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from meshsim.telemetry.bundle_row import BundleRow
from meshsim.telemetry.change_row import ChangeRow
from meshsim.telemetry.config_row import ConfigRow
from meshsim.telemetry.decision_row import DecisionRow
from meshsim.telemetry.issuance_row import IssuanceRow
from meshsim.telemetry.later import LATER
from meshsim.telemetry.outcomes import REQUEST_OUTCOMES
from meshsim.telemetry.radio_rows import AdmissionRow, RadioRow
from meshsim.telemetry.revocation_row import RevocationRow

ATTRIBUTION = (
    "radio_ns",
    "network_ns",
    "tcp_ns",
    "handshake_ns",
    "crypto_ns",
    "proxy_ns",
    "policy_ns",
    "queue_ns",
    "service_ns",
    "backoff_ns",
    "injected_ns",
    "other_ns",
)
"""The attribution columns, in order. Along a request's critical path they sum to ``latency_ns`` exactly."""
_STATUS = (
    "HTTP status that the caller saw; 0 where there was no answer and no proxy of its own that reads HTTP: of what "
    "ztunnels carry, and on ports without HTTP."
)


class RequestRow(msgspec.Struct, frozen=True, gc=False):
    """One end-user request, from the instant it was meant to be sent to its one outcome."""

    request_id: Annotated[int, Meta(description="Counts from 1 in the order of intended sending.")]
    slice: Annotated[str, Meta(description="Slice that carried it.")]
    source: Annotated[str, Meta(description="Traffic source: the fleet's or client's name.")]
    client: Annotated[str, Meta(description="The very device of the fleet, `fleet/number`, or the source's name.")]
    service: Annotated[str, Meta(description="Service that was called.")]
    t_intended_ns: Annotated[
        int, Meta(description="When the arrival process meant it to be sent; latency counts from here.")
    ]
    t_sent_ns: Annotated[
        int, Meta(description="When the first byte of its first attempt left the client's sidecar; -1 if none did.")
    ]
    t_done_ns: Annotated[int, Meta(description="When its outcome was known to the client.")]
    latency_ns: Annotated[int, Meta(description="t_done_ns - t_intended_ns.")]
    outcome: Annotated[str, Meta(description=", ".join(REQUEST_OUTCOMES[:-1]) + f" or {REQUEST_OUTCOMES[-1]}.")]
    status: Annotated[int, Meta(description=_STATUS)]
    attempts: Annotated[int, Meta(description="Attempts by the client's sidecar, 1 without retries.")]
    budget_ns: Annotated[int, Meta(description="Latency budget of the slice.")]
    radio_ns: Annotated[
        int,
        Meta(
            description="On the radio link: access delay, serialisation, queueing in the cell, handover interruption."
        ),
    ]
    network_ns: Annotated[int, Meta(description="On wired links: queueing, serialisation, propagation.")]
    tcp_ns: Annotated[
        int,
        Meta(
            description="Connection set-up, waits for a window's acknowledgements (`network_ns` is its data's way), "
            "for retransmission and for order."
        ),
    ]
    handshake_ns: Annotated[
        int, Meta(description="Waiting for a TLS handshake, its flights' travel and its CPU time included.")
    ]
    crypto_ns: Annotated[int, Meta(description="Sealing and opening records.")]
    proxy_ns: Annotated[int, Meta(description="Sidecar work on HTTP messages.")]
    policy_ns: Annotated[
        int,
        Meta(
            description="Deciding whether the call is allowed; of an authorizer (mesh.policy.authorizer) the way "
            "there, the wait for its turn and the way back, too."
        ),
    ]
    queue_ns: Annotated[int, Meta(description="Waiting for a free core of a node.")]
    service_ns: Annotated[int, Meta(description="The services' own work.")]
    backoff_ns: Annotated[int, Meta(description="Waiting before a retry.")]
    injected_ns: Annotated[int, Meta(description="Held back by a delay that a route injects.", extra=LATER)]
    other_ns: Annotated[
        int, Meta(description="Anything else, such as the wait for a timeout after the peer fell silent.")
    ]
    exposed: Annotated[
        str,
        Meta(
            description="Names of the header fields of the answer that tell of the mesh (mesh.http.proxy_headers): "
            "server, x-envoy-*; empty if none does.",
            extra=LATER,
        ),
    ] = ""
    flags: Annotated[str, Meta(description="As in `calls`.", extra=LATER)] = ""


class CallRow(msgspec.Struct, frozen=True, gc=False):
    """One call from a sidecar to a service: the root call of each request and every call between services."""

    call_id: Annotated[int, Meta(description="Counts from 1 in the order of starting.")]
    request_id: Annotated[int, Meta(description="The end-user request it belongs to.")]
    parent_id: Annotated[int, Meta(description="The call whose handling made this one; 0 for a request's root call.")]
    source: Annotated[str, Meta(description="Calling service, fleet or client.")]
    destination: Annotated[str, Meta(description="Called service.")]
    source_node: Annotated[str, Meta(description="Node of the caller.")]
    destination_node: Annotated[
        str, Meta(description="Node of the replica that the last attempt went to; empty if none.")
    ]
    connection_id: Annotated[int, Meta(description="Connection of the last attempt; 0 if it got none.")]
    method: Annotated[str, Meta(description="HTTP method.")]
    path: Annotated[str, Meta(description="HTTP path.")]
    outcome: Annotated[str, Meta(description="As in `requests`.")]
    status: Annotated[int, Meta(description=_STATUS)]
    t_start_ns: Annotated[int, Meta(description="When the caller asked its sidecar.")]
    t_end_ns: Annotated[int, Meta(description="When the caller had its answer.")]
    bytes_sent: Annotated[
        int, Meta(description="Request bytes on the wire, TLS and HTTP framing included, all attempts.")
    ]
    bytes_received: Annotated[int, Meta(description="Response bytes on the wire.")]
    retries: Annotated[int, Meta(description="Attempts after the first.")]
    encrypted: Annotated[bool, Meta(description="False when the last attempt crossed the network in plaintext.")]
    critical: Annotated[bool, Meta(description="Whether it lies on its request's critical path.")]
    corrupted: Annotated[
        bool,
        Meta(description="A message of it was damaged on its way and taken as it came, in plaintext."),
    ]
    destination_version: Annotated[
        str,
        Meta(
            description="Version of the called service that the last attempt went to; empty if it has none.",
            extra=LATER,
        ),
    ] = ""
    flags: Annotated[
        str,
        Meta(
            description="Response flags with which the waypoint that sent it, or answered it, logs its failure, as "
            "Envoy: UH (no endpoint), UF (no connection), UC (connection lost), UT (timeout), UO (overflow), NR "
            "(unrouted), FI (aborted), URX in front where it was tried again in vain; empty where none has a place "
            "(mesh.waypoints).",
            extra=LATER,
        ),
    ] = ""


class HandshakeRow(msgspec.Struct, frozen=True, gc=False):
    """One TLS handshake, as seen by the side that ended it."""

    handshake_id: Annotated[int, Meta(description="Counts from 1 in the order of ending.")]
    connection_id: Annotated[int, Meta(description="The TCP connection it ran on.")]
    client: Annotated[str, Meta(description="Calling service or device of a fleet.")]
    server: Annotated[str, Meta(description="Called service.")]
    client_node: Annotated[str, Meta(description="Node of the client.")]
    server_node: Annotated[str, Meta(description="Node of the server.")]
    slice: Annotated[str, Meta(description="Slice of the request that opened the connection.")]
    t_start_ns: Annotated[int, Meta(description="When the ClientHello was begun (TCP established).")]
    duration_ns: Annotated[int, Meta(description="Until the client could send its request, or the refusal was known.")]
    tcp_ns: Annotated[int, Meta(description="TCP connection set-up before it.")]
    resumed: Annotated[bool, Meta(description="Whether a session ticket was accepted.")]
    mutual: Annotated[bool, Meta(description="Whether the client proved its identity.")]
    version: Annotated[str, Meta(description="Negotiated version, `1.3`; empty if none.")]
    cipher: Annotated[str, Meta(description="Negotiated cipher suite.")]
    group: Annotated[str, Meta(description="Negotiated key exchange group.")]
    key_type: Annotated[str, Meta(description="Key type of the server's certificate.")]
    bytes_sent: Annotated[int, Meta(description="Handshake bytes from client to server (nominal).")]
    bytes_received: Annotated[int, Meta(description="Handshake bytes from server to client (nominal).")]
    round_trips: Annotated[
        int, Meta(description="Round trips from ClientHello to established, slow start rounds not counted.")
    ]
    cpu_client_ns: Annotated[int, Meta(description="CPU time charged to the client's node.")]
    cpu_server_ns: Annotated[int, Meta(description="CPU time charged to the server's node.")]
    outcome: Annotated[
        str, Meta(description="established, refused (by the peer's or own check) or broken (the connection was lost).")
    ]
    alert: Annotated[str, Meta(description="TLS alert by its RFC 8446 name; empty if none.")]
    refused_by: Annotated[str, Meta(description="client, server or empty.")]
    reason: Annotated[str, Meta(description="Why it was refused or broken.")]
    outlived_certificate: Annotated[
        bool, Meta(description="A resumed session was accepted after a certificate it rests on had expired.")
    ]
    revoked_certificate: Annotated[
        bool, Meta(description="It was established after a certificate it rests on had been revoked.", extra=LATER)
    ] = False


class IdentityRow(msgspec.Struct, frozen=True, gc=False):
    """One event in the life of a certificate, of a workload or of an authority."""

    t_ns: Annotated[int, Meta(description="When.")]
    spiffe_id: Annotated[str, Meta(description="SPIFFE ID that it certifies; an authority's has no path.")]
    event: Annotated[
        str,
        Meta(
            description="attested (before its first one), issued, rotated, failed (it asked in vain), refused (the "
            "authority has ended, or the workload is revoked), expired (while in use) or revoked; of an authority: "
            "prepared, activated or retired."
        ),
    ]
    serial: Annotated[str, Meta(description="Serial number, hexadecimal.")]
    not_before_epoch_ns: Annotated[int, Meta(description="Start of validity.")]
    not_after_epoch_ns: Annotated[int, Meta(description="End of validity.")]
    not_before_ns: Annotated[int, Meta(description="Start of validity in simulated time; negative if before the run.")]
    not_after_ns: Annotated[int, Meta(description="End of validity in simulated time.")]
    issuer: Annotated[str, Meta(description="Certificate authority.")]
    reason: Annotated[str, Meta(description="Why it failed.", extra=LATER)] = ""


class FaultRow(msgspec.Struct, frozen=True, gc=False):
    """One fault and what it did."""

    fault_id: Annotated[str, Meta(description="Its name in the scenario.")]
    kind: Annotated[str, Meta(description="Its kind, such as link-down.")]
    target: Annotated[
        str,
        Meta(
            description="Link, node, issuer, authority, service, fleet, replica, device, authorizer, engine, responder "
            "or trust domain."
        ),
    ]
    t_start_ns: Annotated[int, Meta(description="When it began.")]
    t_end_ns: Annotated[int, Meta(description="When it ended.")]
    effects: Annotated[int, Meta(description="How much it touched, the sum of the columns behind.")]
    packets: Annotated[int, Meta(description="Packets dropped, delayed or sent another way by it.")]
    connections: Annotated[int, Meta(description="Connections it broke.")]
    requests: Annotated[int, Meta(description="Calls in progress that it killed.")]
    certificates: Annotated[
        int,
        Meta(
            description="Requests for certificates that failed for it; of a ca-rotation, certificates in use "
            "that the former authority had signed; of a revoke, certificates that were revoked.",
            extra=LATER,
        ),
    ] = 0
    configurations: Annotated[
        int,
        Meta(
            description="Pushes and fetches of configuration, bundles, lists and OCSP responses that did not arrive, "
            "were rejected, or brought something wrong, for it.",
            extra=LATER,
        ),
    ] = 0
    decisions: Annotated[
        int,
        Meta(
            description="Decisions that a policy-slow slowed down, and those that no policy made because the "
            "authorizer did not answer for it.",
            extra=LATER,
        ),
    ] = 0
    tokens: Annotated[int, Meta(description="Requests for tokens that failed for it.", extra=LATER)] = 0


class NodeRow(msgspec.Struct, frozen=True, gc=False):
    """One node over one sampling interval."""

    t_ns: Annotated[int, Meta(description="End of the interval.")]
    node: Annotated[str, Meta(description="Node.")]
    up: Annotated[bool, Meta(description="Whether it was up at the end.")]
    utilisation_ppm: Annotated[int, Meta(description="CPU time used over CPU time available, parts per million.")]
    queue: Annotated[int, Meta(description="Jobs that waited for a core at the end.")]
    memory_bytes: Annotated[
        int, Meta(description="Memory of its services and sidecars at the end, requests and connections included.")
    ]
    oom_kills: Annotated[int, Meta(description="Replicas killed in the interval because memory ran out.")]


class LinkRow(msgspec.Struct, frozen=True, gc=False):
    """One direction of one link, or one slice's share of a cell, over one sampling interval."""

    t_ns: Annotated[int, Meta(description="End of the interval.")]
    link: Annotated[
        str,
        Meta(
            description="`a->b`, or `cell/slice up` and `cell/slice down` for radio; `cell/slice guaranteed up` is "
            "what devices sent under their guaranteed bit rates."
        ),
    ]
    up: Annotated[bool, Meta(description="Whether it was up at the end.")]
    utilisation_ppm: Annotated[int, Meta(description="Time spent sending over the interval, parts per million.")]
    queue_bytes: Annotated[int, Meta(description="Bytes waiting at the end.")]
    sent_bytes: Annotated[
        int,
        Meta(
            description="Bytes offered to it in the interval; of devices that ask for a bit rate, bytes whose sending "
            "ended in it."
        ),
    ]
    delivered_bytes: Annotated[
        int,
        Meta(
            description="Bytes that came through in the interval, whenever they were offered, or that a handover took "
            "to another cell."
        ),
    ]
    lost_bytes: Annotated[int, Meta(description="Bytes lost in the interval to errors, a full queue or a fault.")]
    drops: Annotated[int, Meta(description="Packets lost.")]


Row = (
    RequestRow
    | CallRow
    | HandshakeRow
    | DecisionRow
    | IdentityRow
    | IssuanceRow
    | BundleRow
    | FaultRow
    | ConfigRow
    | ChangeRow
    | RevocationRow
    | NodeRow
    | LinkRow
    | RadioRow
    | AdmissionRow
)

TABLES: dict[str, type[msgspec.Struct]] = {
    "requests": RequestRow,
    "calls": CallRow,
    "handshakes": HandshakeRow,
    "decisions": DecisionRow,
    "identities": IdentityRow,
    "issuances": IssuanceRow,
    "bundles": BundleRow,
    "faults": FaultRow,
    "configs": ConfigRow,
    "changes": ChangeRow,
    "revocations": RevocationRow,
    "nodes": NodeRow,
    "links": LinkRow,
    "radio": RadioRow,
    "admissions": AdmissionRow,
}
"""Every table of a run folder, in the order of the manifest."""

LATER_TABLES = frozenset({"issuances", "bundles", "radio", "admissions", "changes", "revocations"})
"""Tables that came later than the others: a digest leaves them out where they are empty."""
