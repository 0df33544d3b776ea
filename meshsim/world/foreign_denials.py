"""Deny lists across trust domains: an issuer tells the control planes that believe it, and those their proxies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from meshsim.control.debounce import Debounce
from meshsim.control.resources import denied_size_bytes, sent_size_bytes
from meshsim.world.dispatching import Dispatch
from meshsim.world.reach import again_after_ns

if TYPE_CHECKING:
    from meshsim.world.domains import Domains
    from meshsim.world.relationship import Relationship
    from meshsim.world.state import State

Denial = tuple["Relationship", frozenset[int], str, int]
"""Who is told, of which serial numbers, in which words, and how many tries came before."""


class ForeignDenials:
    """Brings word of revoked certificates to the trust domains that believe their issuer."""

    def __init__(
        self,
        state: State,
        domains: Domains,
        relationships: Sequence[Relationship],
        publish: Callable[[Relationship, str], None],
    ) -> None:
        """``publish`` pushes to the proxies of a trust domain what is new, in these words."""
        self._state = state
        self._clock = state.clock
        self._domains = domains
        self._relationships = relationships
        self._publish = publish
        self._dispatch = Dispatch(state)
        control = state.scenario.mesh.control
        self._waiting = {
            (one.trust_domain, one.of): Debounce(control.debounce_ns, control.debounce_max_ns) for one in relationships
        }

    def deny(self, of: str, serials: frozenset[int], news: str) -> None:
        """Send word of certificates of a trust domain that are not to be believed."""
        for relationship in self._relationships:
            if relationship.of == of:
                self._tell((relationship, serials, news, 0))

    def _tell(self, denial: Denial) -> None:
        relationship, serials, _, _ = denial
        if self._state.over:
            return
        source, goal = self._domains.issuer_nodes[relationship.of], relationship.node
        if self._state.machines[source].up and self._state.machines[goal].up:
            key_type = self._domains.all[relationship.of].identity.ca_key
            size_bytes = sent_size_bytes(denied_size_bytes(serials, key_type))
            heard = (lambda _: self._heard(denial)), (lambda _: self._again(denial))
            self._dispatch.send((source, goal), size_bytes, *heard)
        else:
            self._again(denial)

    def _again(self, denial: Denial) -> None:
        relationship, serials, news, tries = denial
        if not self._state.over:
            again_ns = self._clock.now_ns + again_after_ns(tries)
            self._clock.at(again_ns, self._tell, (relationship, serials, news, tries + 1))

    def _heard(self, denial: Denial) -> None:
        relationship, serials, news, _ = denial
        relationship.denied |= serials
        debounce = self._waiting[relationship.trust_domain, relationship.of]
        if debounce.notice(self._clock.now_ns):
            self._clock.at(debounce.due_ns, self._due, (relationship, news))

    def _due(self, waiting: tuple[Relationship, str]) -> None:
        relationship, news = waiting
        debounce = self._waiting[relationship.trust_domain, relationship.of]
        if self._clock.now_ns < debounce.due_ns:
            self._clock.at(debounce.due_ns, self._due, waiting)  # there was more
            return
        debounce.waiting = False
        self._publish(relationship, news)
