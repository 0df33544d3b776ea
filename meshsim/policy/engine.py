"""What every policy engine offers, and what it is built from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec

from meshsim.policy.question import Decision, Question, RuleAccount

Default = Literal["deny", "allow"]
"""What holds when no policy has a say."""


class PolicyFile(msgspec.Struct, frozen=True):
    """The text of one policy file."""

    name: str
    """The name as the scenario writes it: part of the policy version and of the names of unnamed rules."""
    text: str
    shown_as: str = ""
    """The name that diagnostics show (a path the user can click on); empty for ``name``."""

    @property
    def place(self) -> str:
        """The file name for diagnostics."""
        return self.shown_as or self.name


class Directory(msgspec.Struct, frozen=True):
    """The names that policies may speak of, and the identities behind them."""

    services: frozenset[str] = frozenset()
    fleets: frozenset[str] = frozenset()
    slices: frozenset[str] = frozenset()
    sites: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()
    trust_domains: frozenset[str] = frozenset()
    """The mesh's own trust domain and those it federates with."""
    trust_domain: str = "cluster.local"
    """The mesh's own."""
    workloads: Mapping[str, str] = {}
    """SPIFFE ID → name of the service or fleet that the identity was issued to."""
    namespaces: Mapping[str, str] = {}
    """Service or fleet → its namespace."""
    labels: Mapping[str, Mapping[str, str]] = {}
    """Service or fleet → the labels of its workloads; those without any are left out."""
    version_labels: Mapping[str, Mapping[str, Mapping[str, str]]] = {}
    """Service → version → its labels beside those of the service; those without versions are left out."""
    ports: Mapping[str, Mapping[int, str]] = {}
    """Service → port that its replicas listen on → protocol spoken there (``http``, ``grpc``, ``tcp``, …)."""
    ambient: bool = False
    """Whether proxies see TCP alone, but for waypoints, gateways and ``sidecars`` (Istio's ambient mode)."""
    sidecars: frozenset[str] = frozenset()
    """Services and fleets that have sidecars though the mesh is in ambient mode."""
    waypoints: Mapping[str, str] = {}
    """Service → namespace/name of the waypoint that serves it; those without one are left out."""
    waypoint_addresses: Mapping[str, str] = {}
    """Namespace/name of a waypoint → address of its first replica; those without a place are left out."""
    waypoint_places: Mapping[str, tuple[str, str]] = {}
    """Site and node of that replica, likewise."""
    open_to_gateways: frozenset[str] = frozenset()
    """Services whose waypoint gateways go through too."""
    gateways: Mapping[str, frozenset[str]] = {}
    """Service → namespace/name of each Gateway of Istio's whose workload it is; those of none are left out."""
    root_namespace: str = "istio-system"
    """The namespace whose policies hold for the whole mesh."""


def trust_domain_of(spiffe_id: str) -> str:
    """The trust domain of a SPIFFE ID: the authority of ``spiffe://trust-domain/path`` (SPIFFE-ID, section 2)."""
    scheme, _, rest = spiffe_id.partition("://")
    assert scheme == "spiffe", f"{spiffe_id!r} is not a SPIFFE ID"
    return rest.partition("/")[0]


class PolicyEngine(Protocol):
    """Answers questions from a fixed set of policies; pure."""

    @property
    def name(self) -> str:
        """Which engine this is: its key in :data:`meshsim.policy.engines.ENGINES`."""

    @property
    def version(self) -> str:
        """The policy version: a hash of the policy texts and the default (16 hexadecimal digits)."""

    @property
    def size(self) -> int:
        """Number of policies."""

    @property
    def reads(self) -> frozenset[str]:
        """Which of :data:`meshsim.policy.question.EXTRA_ATTRIBUTES` its policies depend on."""

    def decide(self, question: Question) -> Decision:
        """Answer one question."""

    def explain(self, question: Question) -> tuple[RuleAccount, ...]:
        """Say of every rule, in the order of the files, whether it matches the question, and if not, why."""


@runtime_checkable
class Batching(Protocol):
    """An engine to which many questions at once come cheaper than one by one."""

    def decide_all(self, questions: Sequence[Question]) -> list[Decision]:
        """Answer each of these questions, in their order, whatever has been asked before."""


class Provider(Protocol):
    """Whom an engine brings a question before."""

    @property
    def reads(self) -> frozenset[str]:
        """Attributes of questions that its answer depends on."""

    def decide(self, question: Question) -> Decision:
        """Answer one question."""


@runtime_checkable
class Delegating(Protocol):
    """An engine that brings some questions before somebody else, and decides the others itself."""

    def provider(self, question: Question) -> tuple[str, Provider] | None:
        """Whom it brings a question before, with its name; None if it decides by itself."""

    def closes(self, question: Question) -> bool:
        """Whether what is denied has its connection closed in place of an answer."""

    def decide_unasked(self, question: Question) -> Decision:
        """Answer one question as if everybody else allowed it."""
