"""Istio's policies as they were written, checked and frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from meshsim.scenario.positions import Place

Action = Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"]

API_VERSIONS = ("security.istio.io/v1", "security.istio.io/v1beta1")
KINDS: Mapping[str, tuple[str, ...]] = {"AuthorizationPolicy": API_VERSIONS, "RequestAuthentication": API_VERSIONS}
"""The kinds that the engine reads, and the ``apiVersion`` of each."""


class Clause(msgspec.Struct, frozen=True):
    """One attribute and what its value may be: a field of a source or operation with its ``not`` form, or a condition.

    It holds if any of ``values`` matches (or there are none), and none of ``not_values`` does.
    """

    attribute: str
    """The key by which a condition names it; ``:method``, ``:path`` and ``:authority`` have none and stand for it."""
    field: str
    """How it was written: ``principals``, or the key of a condition."""
    not_field: str
    values: tuple[str, ...]
    not_values: tuple[str, ...]
    place: Place


class Rule(msgspec.Struct, frozen=True):
    """One rule of a policy: any of its sources, any of its operations and all of its conditions."""

    name: str
    """As Istio names it in Envoy: ``ns[foo]-policy[bar]-rule[0]``."""
    place: Place
    sources: tuple[tuple[Clause, ...], ...]
    """Any of these; none of them means any source."""
    operations: tuple[tuple[Clause, ...], ...]
    """Any of these; none of them means any operation."""
    conditions: tuple[Clause, ...]
    """All of these."""


class Target(msgspec.Struct, frozen=True):
    """What an object is attached to."""

    kind: str
    """As :mod:`meshsim.policy.istio_attachment` names it."""
    name: str
    """In the namespace of the object."""
    place: Place


class Scope(msgspec.Struct, frozen=True):
    """Which workloads an object is for."""

    namespace: str
    selector: Mapping[str, str]
    """Labels that a workload has to have; empty for any workload."""
    targets: tuple[Target, ...]
    """What it is attached to by ``targetRefs``; empty for a choice by selector."""
    place: Place
    """Of the selector, of the first reference, or of the whole object."""


class AuthorizationPolicy(msgspec.Struct, frozen=True):
    """A policy: what becomes of requests that match one of its rules."""

    name: str
    scope: Scope
    action: Action
    provider: str
    """Name of the extension provider that is asked (action CUSTOM); else empty."""
    provider_place: Place
    dry_run: bool
    rules: tuple[Rule, ...]
    place: Place


class JwtRule(msgspec.Struct, frozen=True, kw_only=True):
    """One issuer of tokens that are accepted, and what is done with them."""

    issuer: str
    """Empty for any."""
    audiences: tuple[str, ...]
    """One of these has to be in the token; empty for any."""
    jwks_uri: str
    jwks: str
    from_headers: tuple[tuple[str, str], ...]
    """(name, prefix) of the header fields that it is looked for in."""
    from_params: tuple[str, ...]
    from_cookies: tuple[str, ...]
    forward: bool
    """Whether the workload is sent the token too."""
    output_payload_to_header: str
    output_claims_to_headers: tuple[tuple[str, str], ...]
    """(header, claim)."""
    space_delimited_claims: tuple[str, ...]
    """Claims whose text is a list of words."""
    place: Place
    name: str
    """Name of the RequestAuthentication that it stands in."""


class RequestAuthentication(msgspec.Struct, frozen=True):
    """Which tokens workloads accept: bad ones are refused, requests without one are not."""

    name: str
    """As a decision names it: ``ns[foo]-requestauthentication[bar]``."""
    scope: Scope
    rules: tuple[JwtRule, ...]
    place: Place


class Policies(msgspec.Struct, frozen=True):
    """All objects of a set of files, in their order."""

    authorization: tuple[AuthorizationPolicy, ...]
    authentication: tuple[RequestAuthentication, ...]
