"""The issuers of all trust domains, and each one's way of getting certificates to its workloads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from meshsim.world.enrolling import Enrolling
from meshsim.world.issuing import IssuerProcess

if TYPE_CHECKING:
    from meshsim.world.announcing import Announcing
    from meshsim.world.blaming import Blaming
    from meshsim.world.contents import Content
    from meshsim.world.domains import Domains
    from meshsim.world.hosts import Host
    from meshsim.world.identities import Identities
    from meshsim.world.rollout import Rollout
    from meshsim.world.state import State


class Issuers:
    """Who signs in each trust domain that has an issuer; in the others certificates are there at once."""

    def __init__(self, state: State, domains: Domains, identities: Identities, announcing: Announcing) -> None:
        self._domains = domains
        self.processes: dict[str, IssuerProcess] = {}
        """By trust domain."""
        self._ways: dict[str, Enrolling] = {}
        for name, authorities in domains.all.items():
            identity = authorities.identity
            if identity.issuer is None:
                continue
            process = IssuerProcess(state, identity.issuer, domains.issuer_nodes[name], identity.ca_key)
            process.refusal = identities.refusal
            authorities.issuer = self.processes[name] = process
            enrolling = Enrolling(state, identities, identity, process, domains.nodes[name], state.issuance_ids)
            enrolling.announcing = enrolling.configuring.announcing = announcing
            self._ways[name] = enrolling

    def of(self, host: Host) -> Enrolling | None:
        """Return who gets certificates for a host; None where they are there at once."""
        return self._ways.get(self._domains.of(host).trust_domain)

    def configure_by(self, first: Content, rollout: Rollout | None) -> None:
        """Have hosts fetch the configuration of the start, or that of now where there are others."""
        for enrolling in self._ways.values():
            enrolling.configured = None if rollout is None else rollout.catch_up
            enrolling.configuring.content = (lambda _: first) if rollout is None else rollout.announced

    def tell_whom_to_blame(self, blaming: Blaming) -> None:
        """Have requests that fail on their way count for faults."""
        for name, enrolling in self._ways.items():
            enrolling.blame = partial(blaming.blame, name)
        blaming.issuer_nodes = {name: process.node for name, process in self.processes.items()}

    def killed(self, host: Host) -> None:
        """Take note that a host is about to lose its memory."""
        enrolling = self.of(host)
        if enrolling is not None:
            enrolling.killed(host)

    def crashed(self, node: str) -> None:
        """Take note that a node lost power."""
        for process in self.processes.values():
            if process.node == node:
                process.crashed()

    def forget(self, node: str) -> None:
        """Take note that a node has to be attested again."""
        for enrolling in self._ways.values():
            enrolling.crashed(node)

    def finish(self) -> None:
        """Write rows of what is still going on when the run ends."""
        for enrolling in self._ways.values():
            enrolling.finish()
