"""What an enforcement point asks, and what it is told."""

from __future__ import annotations

import msgspec

DEFAULT_DENY = "default-deny"
"""The rule of a decision that no policy made, when what is not allowed is denied."""

DEFAULT_ALLOW = "default-allow"
"""The rule of a decision that no policy made, when what is not denied is allowed."""


class Question(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """May this principal do this to that service?

    ``source`` is who truly calls. ``principal`` is what the peer *proved*: engines decide on that, never on ``source``,
    which no real enforcement point can see.
    """

    principal: str
    """SPIFFE ID of the verified peer certificate; empty when the peer proved none."""
    source: str
    """Service or fleet that calls."""
    destination: str
    """Service that is called."""
    method: str
    """Request method as RFC 9110 spells it, in capitals."""
    path: str
    """Path of the request target, without the query."""
    slice: str
    """Network slice that carries the request; empty when it has none."""
    site: str
    """Site of the caller; empty when it has none."""
    mutual: bool
    """Whether both ends of the connection proved an identity (mutual TLS)."""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The answer to a question."""

    allowed: bool
    rule: str
    """The first rule, in the order of the files, that made the decision; or ``default-deny`` or ``default-allow``."""
    reasons: tuple[str, ...] = ()
    """Every rule that made the decision, in the order of the files; empty when the default did."""
    errors: tuple[str, ...] = ()
    """Policies that failed while they were evaluated, and so had no say: ``rule: what went wrong``."""
