"""Scenario models of routes: which calls to a service go where, how long they may take, and what is injected."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from meshsim.scenario.fields import Duration, FromList, Model, Name, Share
from meshsim.scenario.headers import Authority, HeaderName
from meshsim.scenario.ports import Labels, PortNumber

RoutePath = Annotated[str, StringConstraints(pattern=r'^/[!"$-~]{0,1023}$')]
RetriableOutcome = Literal["unreachable", "reset", "tls-refused", "timeout", "failed", "connect-failure"]
MatchText = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


def _exactly_one(model: Model, what: str) -> None:
    given = [field.alias or name for name, field in type(model).model_fields.items() if getattr(model, name)]
    if len(given) != 1:
        known = list(type(model).model_fields)
        found = " and ".join(given) or "nothing"
        raise ValueError(f"{what} has {found}; expected exactly one of {', '.join(known[:-1])} or {known[-1]}")


class TextMatch(Model):
    """What a text must be: exactly one of these."""

    exact: MatchText | None = None
    """This very text."""
    prefix: MatchText | None = None
    """A text that begins so."""
    regex: MatchText | None = None
    """A text that this regular expression (RE2) describes as a whole."""

    @model_validator(mode="after")
    def _one_kind(self) -> TextMatch:
        _exactly_one(self, "a match")
        return self


class HeaderMatch(Model):
    """What a header field or parameter must be: exactly one of these."""

    exact: Annotated[str, StringConstraints(max_length=1024)] | None = None
    """This very value."""
    prefix: MatchText | None = None
    """A value that begins so."""
    regex: MatchText | None = None
    """A value that this regular expression (RE2) describes as a whole."""
    present: Literal[True] | None = None
    """Any value, as long as it is there."""

    @model_validator(mode="after")
    def _one_kind(self) -> HeaderMatch:
        given = [name for name in HeaderMatch.model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "nothing"
            raise ValueError(f"a match has {found}; expected exactly one of exact, prefix, regex or present")
        return self


class RouteMatch(Model):
    """Calls that a route is for: those that fulfil all of these."""

    path: TextMatch | None = None
    """Path, without the query. Default: any."""
    ignore_case: bool = False
    """Whether exact and prefix of `path` ignore the case. Default: false."""
    method: TextMatch | None = None
    """HTTP method. Default: any."""
    authority: TextMatch | None = None
    """Authority (`Host`). Default: any."""
    headers: dict[HeaderName, HeaderMatch] = {}
    """Header fields that must be so. Default: none."""
    without_headers: dict[HeaderName, HeaderMatch] = {}
    """Header fields that must not be so. Default: none."""
    query: dict[MatchText, HeaderMatch] = {}
    """Parameters of the query that must be so. Default: none."""
    port: PortNumber | None = None
    """Port of the service that is called. Default: any."""
    source_labels: Labels = {}
    """Labels of the calling replica. Default: any."""
    source_namespace: Name | None = None
    """Namespace of the calling service. Default: any."""


class RouteTarget(Model):
    """One of the places that a route leads to."""

    to: Name | None = None
    """Service. Default: the one that is called."""
    subset: Name | None = None
    """Subset of its replicas, of `mesh.destinations`. Default: all replicas."""
    port: PortNumber | None = None
    """Port of the service. Default: the one that is called, or the only one of another service."""
    weight: int = Field(default=1, ge=0, le=1_000_000)
    """Its part of the calls, relative to the others' weights. Default: 1."""


class InjectedDelay(Model):
    """Calls that are held back on purpose, before anything is sent."""

    share_ppm: Share = Field(alias="share", gt=0)
    """How many of the calls."""
    fixed_ns: Duration = Field(alias="fixed", gt=0)
    """For how long."""


class InjectedAbort(Model):
    """Calls that are answered on purpose instead of being sent."""

    share_ppm: Share = Field(alias="share", gt=0)
    """How many of the calls."""
    status: int = Field(ge=200, le=599)
    """HTTP status that the caller gets."""


class RouteRetries(Model):
    """Retries of calls on a route, instead of the mesh's; what is left out is the mesh's."""

    attempts: int = Field(ge=0, le=100)
    """Attempts after the first."""
    attempt_timeout_ns: Duration | None = Field(default=None, alias="attempt_timeout", gt=0)
    """Time for one attempt. Default: the mesh's."""
    retry_on: Annotated[tuple[RetriableOutcome, ...] | None, FromList] = None
    """Outcomes of an attempt that are tried again, as `mesh.resilience.retry_on`. Default: the mesh's."""


class Rewrite(Model):
    """What is changed in a request before it is sent."""

    path: RoutePath | None = None
    """In place of the path that was matched: of its prefix, where that was matched. Default: nothing."""
    authority: Authority | None = None
    """Authority (`Host`). Default: nothing."""

    @model_validator(mode="after")
    def _something(self) -> Rewrite:
        if self.path is None and self.authority is None:
            raise ValueError("a rewrite changes nothing; expected path or authority")
        return self


class Route(Model):
    """What becomes of calls to a service; of the routes of one service, the first that matches holds."""

    to: Name
    """Service that is called."""
    name: Annotated[str, StringConstraints(min_length=1, max_length=253)] | None = None
    """Name, for people. Default: none."""
    match: Annotated[tuple[RouteMatch, ...], FromList] = ()
    """Which calls: those that one of these describes. Default: all."""
    split: Annotated[tuple[RouteTarget, ...], FromList] = ()
    """Where they go, by weight. Default: to the service itself."""
    delay: InjectedDelay | None = None
    """Delay that is injected. Default: none."""
    abort: InjectedAbort | None = None
    """Abort that is injected. Default: none."""
    timeout_ns: Duration | None = Field(default=None, alias="timeout", gt=0)
    """Time for all attempts together, an injected delay not included. Default: the mesh's request_timeout."""
    retries: RouteRetries | None = None
    """Retries. Default: the mesh's."""
    rewrite: Rewrite | None = None
    """What is changed in requests. Default: nothing."""

    @model_validator(mode="after")
    def _some_weight(self) -> Route:
        if self.split and not sum(target.weight for target in self.split):
            raise ValueError("the weights of the split add up to 0; expected one of them to be more")
        return self
