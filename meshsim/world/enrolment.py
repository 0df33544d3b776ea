"""One host on its way to a certificate: where it stands, and where its time went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.telemetry.issuance_row import ISSUANCE_PARTS, IssuanceRow

if TYPE_CHECKING:
    from meshsim.world.hosts import Host
    from meshsim.world.issuing import SigningRequest

(
    BACKOFF,
    NODE_ATTESTATION,
    WORKLOAD_ATTESTATION,
    KEY,
    NETWORK,
    QUEUE,
    SIGNING,
    CONFIGURATION,
    ANNOUNCEMENT,
    FAILED,
) = range(len(ISSUANCE_PARTS))
"""Where the parts of ``Enrolment.parts`` stand."""


class Enrolment:
    """All attempts of one host for one certificate."""

    __slots__ = (
        "again",
        "ahead",
        "attempt",
        "epoch",
        "failures",
        "host",
        "issuance_id",
        "key_type",
        "mark_ns",
        "parts",
        "purpose",
        "request",
        "step",
        "t_start_ns",
        "waits",
    )

    def __init__(self, issuance_id: int, host: Host, purpose: str, now_ns: int) -> None:
        self.issuance_id = issuance_id
        self.host = host
        self.epoch = host.epoch
        self.purpose = purpose
        self.step = ""
        self.attempt = 0
        self.failures = 0
        """Attempts in a row that failed for want of an answer or an attestation."""
        self.request: SigningRequest | None = None
        """What it waits for at the issuer."""
        self.waits = False
        """Whether it waits to try again."""
        self.again = False
        """Whether it is to begin again if the certificate is by former terms."""
        self.key_type = host.key_type
        """Type of the key that it made last."""
        self.ahead = 0
        self.t_start_ns = self.mark_ns = now_ns
        self.parts = [0] * len(ISSUANCE_PARTS)

    @property
    def alive(self) -> bool:
        """Whether the host that began it still runs."""
        return self.host.epoch == self.epoch

    def spend(self, part: int, until_ns: int) -> None:
        """Put the time since the last account on a part."""
        self.parts[part] += until_ns - self.mark_ns
        self.mark_ns = until_ns

    def row(self, now_ns: int, outcome: str, reason: str) -> IssuanceRow:
        """Return the row of the attempt that ends now, its accounts closed; the next one begins."""
        self.spend(FAILED, now_ns)
        parts, self.parts = self.parts, [0] * len(ISSUANCE_PARTS)
        assert sum(parts) == now_ns - self.t_start_ns, (self.issuance_id, parts)
        row = IssuanceRow(
            self.issuance_id,
            self.attempt,
            self.host.name,
            self.host.spiffe_id,
            self.host.node,
            self.purpose,
            self.t_start_ns,
            now_ns,
            outcome,
            self.step,
            reason,
            self.ahead,
            *parts,
        )
        self.t_start_ns = now_ns
        self.ahead = 0
        return row

    def cut_at_end(self, run_end_ns: int) -> IssuanceRow:
        """Return the row of an attempt that the end of the run cuts: the clock goes on, for timers that are set."""
        return self.row(max(run_end_ns, self.mark_ns), "cut", "")
