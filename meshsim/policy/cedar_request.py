"""A question in Cedar's terms: the request, and the entities that it and the policies speak of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from meshsim.policy.cedar_vocabulary import QUESTION_ATTRIBUTES, Claims, Vocabulary
from meshsim.policy.engine import Directory, trust_domain_of
from meshsim.policy.question import Question, by_name

NO_ADDRESS: Final = "0.0.0.0"
"""The address of a peer whose address is not known."""

_PYTHON_TYPES: Final[Mapping[str, type]] = MappingProxyType({"String": str, "Long": int, "Bool": bool})


def request(question: Question, words: Vocabulary) -> dict[str, Any]:
    """The request to Cedar; its context has what is always there and what the policies read."""
    context: dict[str, Any] = {
        "method": question.method,
        "path": question.path,
        "slice": _entity("Slice", question.slice),
        "site": _entity("Site", question.site),
        "mutual": question.mutual,
    }
    for name, attribute in QUESTION_ATTRIBUTES.items():
        if attribute in words.reads:
            value = _CONTEXT[name](question, words)
            if value is not None:
                context[name] = value
    principal = {"type": "Workload", "id": question.principal}
    return {
        "principal": principal if question.principal else {"type": "Unauthenticated", "id": ""},
        "action": {"type": "Action", "id": question.method},
        "resource": {"type": "Service", "id": question.destination},
        "context": context,
    }


def _entity(kind: str, name: str) -> dict[str, Any]:
    return {"__entity": {"type": kind, "id": name}}


def _extension(function: str, argument: str) -> dict[str, Any]:
    return {"__extn": {"fn": function, "arg": argument}}


def _instant(time_s: int) -> dict[str, Any]:
    return _extension("datetime", datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


_CONTEXT: Final[Mapping[str, Callable[[Question, Vocabulary], Any]]] = MappingProxyType(
    {
        "port": lambda question, _: question.port,
        "host": lambda question, _: question.host,
        "query": lambda question, _: question.query,
        "headers": lambda question, words: by_name([one for one in question.headers if one[0] in words.headers]),
        "claims": lambda question, words: _claims(
            msgspec.json.decode(question.claims) if question.claims else {}, words.claims
        ),
        "node": lambda question, _: _entity("Node", question.node),
        "source_node": lambda question, _: _entity("Node", question.source_node),
        "source_ip": lambda question, _: _extension("ip", question.source_ip or NO_ADDRESS),
        "destination_ip": lambda question, _: _extension("ip", question.destination_ip or NO_ADDRESS),
        "sni": lambda question, _: question.sni,
        "tls_version": lambda question, _: question.tls_version,
        "cipher": lambda question, _: question.cipher,
        "group": lambda question, _: question.group,
        "certificate_age": lambda question, _: (
            _extension("duration", f"{question.certificate_age_s}s") if question.certificate_age_s >= 0 else None
        ),
        "time": lambda question, _: _instant(question.time_s),
    }
)


def _claims(found: Any, declared: Claims) -> dict[str, Any]:
    """The declared claims that a token has, as far as they are of the declared type."""
    if not isinstance(found, dict):
        return {}
    claims: dict[str, Any] = {}
    for name, kind in declared.items():
        value = found.get(name)
        if isinstance(kind, dict):
            if isinstance(value, dict):
                claims[name] = _claims(value, kind)
        elif kind == "Set<String>":
            values = [value] if isinstance(value, str) else value
            if isinstance(values, list) and all(isinstance(one, str) for one in values):
                claims[name] = values
        elif type(value) is _PYTHON_TYPES[kind] and (type(value) is not int or abs(value) < 2**63):
            claims[name] = value
    return claims


def service_entities(directory: Directory, words: Vocabulary) -> list[dict[str, Any]]:
    """The services, each in its namespace."""
    return [_service(name, directory, words) for name in sorted(directory.services)]


def workload_entities(spiffe_ids: Iterable[str], directory: Directory, words: Vocabulary) -> list[dict[str, Any]]:
    """Workloads, each in its service or fleet, namespace and trust domain."""
    return [_workload(spiffe_id, directory, words) for spiffe_id in sorted(spiffe_ids)]


def _labels(name: str, directory: Directory, words: Vocabulary) -> dict[str, str]:
    return {label: value for label, value in directory.labels.get(name, {}).items() if label in words.labels}


def _service(name: str, directory: Directory, words: Vocabulary) -> dict[str, Any]:
    namespace = directory.namespaces.get(name, "")
    return {
        "uid": {"type": "Service", "id": name},
        "attrs": {"name": name, "namespace": namespace, "labels": _labels(name, directory, words)},
        "parents": [{"type": "Namespace", "id": namespace}] if namespace else [],
    }


def _workload(spiffe_id: str, directory: Directory, words: Vocabulary) -> dict[str, Any]:
    name = directory.workloads.get(spiffe_id, "")
    trust_domain = trust_domain_of(spiffe_id)
    found = re.fullmatch(r"spiffe://[^/]+/ns/([^/]+)/sa/([^/]+)", spiffe_id)
    namespace, service_account = found.groups() if found else ("", "")
    parents = [{"type": "TrustDomain", "id": trust_domain}]
    if name in directory.services:
        parents.append({"type": "Service", "id": name})
    if name in directory.fleets:
        parents.append({"type": "Fleet", "id": name})
    if namespace:
        parents.append({"type": "Namespace", "id": namespace})
    return {
        "uid": {"type": "Workload", "id": spiffe_id},
        "attrs": {
            "spiffe_id": spiffe_id,
            "trust_domain": trust_domain,
            "name": name,
            "namespace": namespace,
            "service_account": service_account,
            "labels": _labels(name, directory, words),
        },
        "parents": parents,
    }
