"""A question as a person puts it, made into one that an engine understands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from meshsim.identity.token_places import Place
from meshsim.inquiry.admission import admission
from meshsim.inquiry.checks import check_request
from meshsim.inquiry.names import find_callee, find_caller, find_name
from meshsim.inquiry.subject import Callee, Caller, Subject, versioned
from meshsim.inquiry.usual import usual as usual_of
from meshsim.policy.question import Question, server_name
from meshsim.scenario.errors import Mistakes, UsageError
from meshsim.scenario.units import parse_duration_ns

S = 1_000_000_000


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request; None is what nobody said, and is filled with what is usual."""

    source: str
    destination: str
    method: str = "GET"
    path: str = "/"
    """With the query, if there is one."""
    port: int | None = None
    host: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    claims: Mapping[str, Any] | None = None
    """Claims of a valid token; None without a token."""
    token: str | None = None
    """The text of one that somebody has, to be judged as it is; None: none but what stands in the request."""
    token_at: Place | None = None
    """Where either is; None: at the first place where the rule that accepts it looks."""
    slice: str | None = None
    site: str | None = None
    node: str | None = None
    """Node of the called replica."""
    source_node: str | None = None
    source_ip: str | None = None
    tls_version: str | None = None
    cipher: str | None = None
    group: str | None = None
    certificate_age_s: int | None = None
    time_s: int | None = None
    plaintext: bool = False
    """Whether the caller speaks no TLS, and so proves nothing."""


class Asked(msgspec.Struct, frozen=True):
    """A request with the names in it found."""

    caller: Caller
    callee: Callee
    port: int
    mode: str
    """How the port takes mutual TLS."""
    plaintext: bool
    refused: str
    """Why TLS refuses it before any policy is asked, for people; empty if it does not."""
    question: Question
    assumed: Mapping[str, str]
    """What nobody said and a policy may read, by attribute, for people."""


def resolve(subject: Subject, request: Request) -> Asked:
    """Find the names of a request; raises UsageError for all that are not there or not clear."""
    caller, callee, port, names = _found(subject, request)
    admitted = admission(caller, callee, port, plaintext=request.plaintext)
    plaintext = admitted.plaintext
    if plaintext:
        _check_plaintext(request, f"{caller.name} speaks plaintext to {callee.name}:{port}")
    proves = bool(caller.spiffe_id) and not plaintext
    path, _, query = request.path.partition("?")
    given = _given(request, callee, names)
    usual = usual_of(subject, caller, callee, port, admitted)
    reads = frozenset() if subject.engine is None else subject.engine.reads
    extra: dict[str, Any] = {
        **{key: usual[key] if value is None else value for key, value in given.items()},
        "headers": tuple((name.lower(), value) for name, value in request.headers),
        "claims": "" if request.claims is None else json.dumps(request.claims, sort_keys=True, separators=(",", ":")),
        "query": query,
        "destination_ip": callee.addresses[0],
        "version": callee.version,
        "service_port": port,
        "sni": "" if plaintext else server_name(callee.service, callee.namespace, port),
    }
    base: dict[str, Any] = {key: extra.pop(key) for key in ("slice", "site")}
    return Asked(
        caller=caller,
        callee=callee,
        port=port,
        mode=callee.modes[port],
        plaintext=plaintext,
        refused=admitted.refused,
        question=Question(
            principal=caller.spiffe_id if proves else "",
            source=caller.workload,
            destination=callee.service,
            method=request.method,
            path=path,
            mutual=proves,
            **base,
            **{key: value for key, value in extra.items() if key in reads},
        ),
        assumed={
            key: str(usual[key])
            for key, value in given.items()
            if value is None and usual[key] not in ("", -1) and (key in reads or key in base)
        },
    )


def _check_plaintext(request: Request, how: str) -> None:
    """Raise UsageError for what only a handshake could come to."""
    given = {
        "--tls-version": request.tls_version,
        "--cipher": request.cipher,
        "--group": request.group,
        "--certificate-age": request.certificate_age_s,
    }
    said = [name for name, value in given.items() if value is not None]
    if said:
        raise UsageError(f"{said[0]}: {how}, so there is no TLS to speak of; expected no {', '.join(said)}")


def _found(subject: Subject, request: Request) -> tuple[Caller, Callee, int, dict[str, str | None]]:
    """Caller, callee, its port, and by attribute what else has a name; raises UsageError for all that is wrong."""
    wrong = Mistakes()
    wrong.of(partial(check_request, request))
    caller = wrong.of(partial(find_caller, subject, request.source))
    callee = wrong.of(partial(find_callee, subject, request.destination))
    port = None if callee is None else wrong.of(partial(_port, subject, callee, request.port))
    names = {
        option.removeprefix("--").replace("-", "_"): None
        if text is None
        else wrong.of(partial(find_name, known, text, option))
        for option, known, text in (
            ("--slice", subject.slices, request.slice),
            ("--site", subject.sites, request.site),
            ("--node", subject.nodes, request.node),
            ("--source-node", subject.nodes, request.source_node),
        )
    }
    wrong.tell()
    assert caller is not None
    assert callee is not None
    assert port is not None
    return caller, callee, port, names


def _port(subject: Subject, callee: Callee, port: int | None) -> int:
    """The port that is called; raises UsageError for one that is not there, or a version that has to be said."""
    if not callee.version and callee.service in versioned(subject):
        known = ", ".join(one.name for one in callee.versions)
        said = f"policies tell the versions of {callee.name} apart, or TLS does"
        raise UsageError(f"--destination: {said}; expected one of {known}")
    if port is None:
        return next(iter(callee.ports))
    if port not in callee.ports:
        known = ", ".join(
            f"{one} (which leads to {port})" if target == port else str(one) for one, target in callee.targets.items()
        )
        raise UsageError(f"--port: {callee.name} has no port {port}; expected one of {known}")
    return port


def _given(request: Request, callee: Callee, names: Mapping[str, str | None]) -> dict[str, Any]:
    """What is said of each attribute that has a usual value; None: nothing."""
    return {
        **names,
        "port": None if request.port is None else callee.targets[request.port],
        "host": request.host,
        "source_ip": request.source_ip,
        "tls_version": request.tls_version,
        "cipher": request.cipher,
        "group": request.group,
        "certificate_age_s": request.certificate_age_s,
        "time_s": request.time_s,
    }


def age_s(text: str, what: str) -> int:
    """Whole seconds of a duration such as ``90 s``; raises UsageError."""
    try:
        return parse_duration_ns(text) // S
    except ValueError as error:
        raise UsageError(f"{what}: {error}") from None


def instant_s(text: str, what: str) -> int:
    """Seconds since the Unix epoch of an instant such as ``2026-01-01T08:00:00Z``; raises UsageError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{what}: {text!r} is no instant; expected one such as '2026-01-01T08:00:00Z'") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
