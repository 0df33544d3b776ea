"""Rows about certificates and who holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.telemetry.rows import IdentityRow

if TYPE_CHECKING:
    from meshsim.identity.svid import Svid
    from meshsim.world.hosts import Host


def identity_row(
    now_ns: int, epoch_ns: int, host: Host, event: str, svid: Svid | None, issuer: str, reason: str
) -> IdentityRow:
    """Return the row of what came about with a host's certificate; None where it has none."""
    not_before_ns = epoch_ns if svid is None else svid.not_before_ns
    not_after_ns = epoch_ns if svid is None else svid.not_after_ns
    return IdentityRow(
        t_ns=now_ns,
        spiffe_id=host.spiffe_id,
        event=event,
        serial=f"{0 if svid is None else svid.serial:032x}",
        not_before_epoch_ns=not_before_ns,
        not_after_epoch_ns=not_after_ns,
        not_before_ns=not_before_ns - epoch_ns,
        not_after_ns=not_after_ns - epoch_ns,
        issuer=issuer,
        reason=reason,
    )
