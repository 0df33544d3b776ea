"""Scenario models of authorization policy: the engine, its files and what belongs to one engine alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from meshsim.scenario.fields import MS, Duration, FromList, Model, Name
from meshsim.scenario.positions import Path

TrustDomain = Annotated[str, StringConstraints(pattern=r"^[a-z0-9._-]{1,255}$")]
PolicyFiles = Annotated[tuple[str, ...], FromList, Field(min_length=1)]
FilterValue = str | Annotated[tuple[str, ...], FromList]


class Authorizer(Model):
    """An engine outside of the proxies, asked over the network, as Envoy's external authorization (ext_authz) asks."""

    node: Name | None = None
    """Node on which it runs. Default: one beside each proxy, on its node, as the sidecar of OPA-Envoy."""
    cores: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Questions that it answers at a time, each on a core of its node. Default: as many as the node has cores."""
    queue: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Questions that may wait for their turn; one more is turned away at once. Default: no limit."""
    timeout_ns: Duration = Field(default=200 * MS, alias="timeout", gt=0)
    """How long a proxy waits for an answer. Default: 200 ms, as Envoy; in Istio an extension provider has 600 s."""
    on_failure: Literal["deny", "allow"] = "deny"
    """What a proxy does with a request on which it got no answer: deny (fail closed), or allow (fail open, Envoy's
    failure_mode_allow and Istio's failOpen). Default: deny."""
    status_on_failure: Annotated[int, Field(ge=400, le=599)] = 403
    """HTTP status with which it denies such a request (Envoy's status_on_error). Default: 403."""


class ExtensionProvider(Model):
    """Whom CUSTOM policies ask: a fixed verdict, or another policy engine with files of its own."""

    verdict: Literal["deny", "allow"] | None = None
    """What it always answers."""
    engine: Literal["cedar", "rego"] | None = None
    """Policy engine that answers."""
    files: Annotated[tuple[str, ...], FromList] = ()
    """Policy files of that engine, beside the scenario file."""
    protocol: Literal["grpc", "http"] = "grpc"
    """How a sidecar asks it; a provider of HTTP is not asked about TCP connections. Default: grpc."""
    authorizer: Authorizer | None = None
    """Where it runs and what holds while it does not answer. Default: as mesh.policy.authorizer, or in each proxy."""

    @model_validator(mode="after")
    def _one_kind(self) -> ExtensionProvider:
        if (self.verdict is None) == (self.engine is None):
            found = "both verdict and engine" if self.verdict else "neither verdict nor engine"
            raise ValueError(f"an extension provider has {found}; expected exactly one of them")
        if (self.engine is None) != (not self.files):
            found = "files without an engine" if self.files else "an engine without files"
            raise ValueError(f"an extension provider has {found}; expected engine and files together")
        return self


class IstioPolicy(Model):
    """What Istio's installation says about policies."""

    root_namespace: Name = "istio-system"
    """Namespace whose policies hold for the whole mesh. Default: istio-system."""
    trust_domain_aliases: Annotated[tuple[TrustDomain, ...], FromList] = ()
    """Trust domains whose principals count as the mesh's own. Default: none."""
    path_normalization: Literal["NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"] = "BASE"
    """What is done to paths before policies see them. Default: BASE, as Istio."""
    extension_providers: dict[Name, ExtensionProvider] = {}
    """Whom CUSTOM policies may name. Default: none."""

    @model_validator(mode="after")
    def _names_of_providers(self) -> IstioPolicy:
        for name in ("authorizer", "engine"):
            if name in self.extension_providers:
                raise ValueError(f"an extension provider is called {name!r}, as faults call others; expected another")
        return self

    filter_metadata: dict[str, dict[str, FilterValue]] = {}
    """What Envoy filters say of every request, for conditions experimental.envoy.filters.*. Default: nothing."""
    unmatched: Literal["error", "ignore"] = "error"
    """Whether a policy for workloads or a namespace that the scenario has not, or one that names an identity that no
    workload has, is an error; a PeerAuthentication of manifests too. Default: error."""


class RegoPolicy(Model):
    """How Rego policies are asked."""

    query: Annotated[str, StringConstraints(pattern=r"^data(\.[A-Za-z_][A-Za-z0-9_]{0,99}){1,20}$")] = (
        "data.envoy.authz.allow"
    )
    """The rule that decides, by its full path. Default: data.envoy.authz.allow, as OPA-Envoy."""


def root_namespace_of(policy: Policy | None) -> str:
    """The namespace whose policies hold for the whole mesh."""
    return (policy.istio if policy is not None and policy.istio is not None else IstioPolicy()).root_namespace


class ShadowPolicy(Model):
    """Policies on trial, for the same engine."""

    files: PolicyFiles
    """Policy files, beside the scenario file."""
    default: Literal["deny", "allow"] | None = None
    """What would hold when no policy matches. Default: that of the others."""


class Policy(Model):
    """Who may call whom."""

    engine: Literal["cedar", "istio", "rego"] = "cedar"
    """Policy engine. Default: cedar."""
    files: PolicyFiles
    """Policy files, beside the scenario file."""
    default: Literal["deny", "allow"] = "deny"
    """What holds when no policy matches; if not written, allow with the engine istio. Default: deny."""
    cache: bool = False
    """Whether a sidecar remembers decisions on the same question, and so saves their cost. Default: false."""
    authorizer: Authorizer | None = None
    """Where the engine runs if not in the proxies, and what holds while it does not answer; of the engine istio, where
    its extension providers run. Default: in each proxy."""
    shadow: ShadowPolicy | None = None
    """Policies on trial: they are asked beside the others, cost their time, and decide nothing. Default: none."""
    istio: IstioPolicy | None = None
    """Settings of the engine istio. Default: Istio's."""
    rego: RegoPolicy | None = None
    """Settings of the engine rego. Default: OPA-Envoy's."""

    @model_validator(mode="before")
    @classmethod
    def _default_of_istio(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("engine") == "istio" and "default" not in data:
            return {**data, "default": "allow"}
        return data

    @model_validator(mode="after")
    def _own_settings(self) -> Policy:
        for engine in ("istio", "rego"):
            if getattr(self, engine) is not None and self.engine != engine:
                message = f"settings of {engine} stand beside the engine {self.engine}; expected engine: {engine}"
                raise ValueError(message)
        return self

    @property
    def authorizers(self) -> Iterator[tuple[str, Authorizer]]:
        """Those that run outside of the proxies: the mesh's, called ``authorizer``, and extension providers' own."""
        if self.authorizer is not None:
            yield "authorizer", self.authorizer
        for name, provider in self.istio.extension_providers.items() if self.istio is not None else ():
            if provider.authorizer is not None:
                yield name, provider.authorizer

    def named_files(self) -> Iterator[tuple[str, Path]]:
        """Each file that is named, those of extension providers after its own, and where."""
        for index, file in enumerate(self.files):
            yield file, ("files", index)
        for name, provider in self.istio.extension_providers.items() if self.istio is not None else ():
            for index, file in enumerate(provider.files):
                yield file, ("istio", "extension_providers", name, "files", index)
