"""One trust domain that believes another: what it holds of it, and how its fetches go."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.world.endpoints import Endpoint, Published

NO_ANSWER = "no answer from the bundle endpoint"


class Relationship:
    """One trust domain that believes another: what it holds of it."""

    def __init__(self, trust_domain: str, of: str, node: str, endpoint: Endpoint, first: Published) -> None:
        self.trust_domain = trust_domain
        self.of = of
        self.node = node
        """Node that fetches."""
        self.endpoint = endpoint
        self.held = first
        """What was fetched last; at the beginning what the operators have exchanged."""
        self.denied: frozenset[int] = frozenset()
        """Serial numbers that are not to be believed, by what its issuer has told."""
        self.missed = 0
        """Fetches in a row that have brought nothing."""
        self.stale = False
        self.fetches = 0
        """Counts fetches; the number of the one that goes on, or went on last."""
        self.open = False
        self.started_ns = 0
        self.size_bytes = 0
        """Size of the document that the last fetch brought."""
        self.why = NO_ANSWER
