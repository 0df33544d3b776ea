"""The document that Rego policies are asked with: that of OPA-Envoy, and ``meshsim`` with what Envoy does not know.

The shape follows the Envoy plug-in of Open Policy Agent (openpolicyagent.org, Envoy, "Input Schema"): the attributes of
Envoy's external authorization, and the path and query taken apart. What a peer has not is left out, as there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, unquote

import msgspec

from meshsim.policy.engine import Directory, trust_domain_of
from meshsim.policy.question import Question, by_name

Tree = dict[str, "frozenset[str] | Tree"]
"""Key → the attributes of the question that everything below it comes from, or the keys below it; ``*`` is any key."""

_ALWAYS: Final[frozenset[str]] = frozenset()


def _from(*attributes: str) -> frozenset[str]:
    return frozenset(attributes)


def _peer(address: str, port: frozenset[str]) -> Tree:
    return {
        "address": {"socketAddress": {"address": _from(address), "portValue": port}},
        **dict.fromkeys(("principal", "service", "labels", "certificate"), _ALWAYS),
    }


def _end(node: str, address: str) -> Tree:
    return {
        **dict.fromkeys(("service", "namespace", "labels"), _ALWAYS),
        "node": _from(node),
        "ip": _from(address),
    }


INPUT: Final[Tree] = {
    "attributes": {
        "source": _peer("source_ip", _ALWAYS),
        "destination": _peer("destination_ip", _from("port")),
        "request": {
            "time": _from("time_s"),
            "http": {
                **dict.fromkeys(("id", "method", "scheme", "query", "fragment", "size", "protocol", "body"), _ALWAYS),
                "headers": {
                    ":method": _ALWAYS,
                    ":path": _from("query"),
                    ":authority": _from("host"),
                    "*": _from("headers"),
                },
                "path": _from("query"),
                "host": _from("host"),
            },
        },
        "tlsSession": {"sni": _from("sni")},
        **dict.fromkeys(("contextExtensions", "metadataContext", "routeMetadataContext"), _ALWAYS),
    },
    "parsed_path": _ALWAYS,
    "parsed_query": _from("query"),
    **dict.fromkeys(("parsed_body", "truncated_body", "version"), _ALWAYS),
    "meshsim": {
        "source": {
            **_end("source_node", "source_ip"),
            **dict.fromkeys(("trust_domain", "service_account", "site"), _ALWAYS),
        },
        "destination": {**_end("node", "destination_ip"), "port": _from("port")},
        "slice": _ALWAYS,
        "mutual": _ALWAYS,
        "tls": {"version": _from("tls_version"), "cipher": _from("cipher"), "group": _from("group")},
        "certificate_age_s": _from("certificate_age_s"),
        "time_ns": _from("time_s"),
        "claims": _from("claims"),
    },
}
"""What policies can speak of below ``input``; some of OPA-Envoy's keys are known, though there is nothing there."""


def everything_in(tree: Tree | frozenset[str]) -> frozenset[str]:
    """All attributes that a part of the document comes from."""
    if isinstance(tree, frozenset):
        return tree
    return frozenset().union(*(everything_in(below) for below in tree.values()))


def document(question: Question, directory: Directory, addresses: Mapping[str, str]) -> dict[str, Any]:
    """The document for one question; ``addresses`` is the SPIFFE ID of each service."""
    target = f"{question.path}?{question.query}" if question.query else question.path
    headers = {":method": question.method, ":path": target, ":authority": question.host, **by_name(question.headers)}
    http = {
        "method": question.method,
        "path": target,
        "host": question.host,
        "headers": {name: value for name, value in headers.items() if value or name[0] != ":"},
        "protocol": "HTTP/2",
        "scheme": "https" if question.tls_version or question.principal else "http",
    }
    time = datetime.fromtimestamp(question.time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    source = {"address": _socket(question.source_ip, 0), "principal": question.principal}
    destination = {
        "address": _socket(question.destination_ip, question.port),
        "principal": addresses.get(question.destination, ""),
    }
    return {
        "attributes": {
            "source": _filled(source),
            "destination": _filled(destination),
            "request": {"time": time, "http": _filled(http)},
            **({"tlsSession": {"sni": question.sni}} if question.sni else {}),
        },
        "parsed_path": unquote(question.path).lstrip("/").split("/"),
        "parsed_query": parse_qs(question.query, keep_blank_values=True),
        "truncated_body": False,
        "version": {"encoding": "protojson", "ext_authz": "v3"},
        "meshsim": _meshsim(question, directory),
    }


def _filled(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entries.items() if value not in ("", None, {})}


def _socket(address: str, port: int) -> dict[str, Any]:
    socket = _filled({"address": address, "portValue": port or None})
    return {"socketAddress": socket} if socket else {}


def _meshsim(question: Question, directory: Directory) -> dict[str, Any]:
    principal = question.principal
    name = directory.workloads.get(principal, "")
    found = re.fullmatch(r"spiffe://[^/]+/ns/([^/]+)/sa/([^/]+)", principal)
    namespace, service_account = found.groups() if found else ("", "")
    called = question.destination
    source = {
        "service": name,
        "trust_domain": trust_domain_of(principal) if principal else "",
        "namespace": namespace,
        "service_account": service_account,
        "labels": dict(directory.labels.get(name, {})),
        "site": question.site,
        "node": question.source_node,
        "ip": question.source_ip,
    }
    destination = {
        "service": called,
        "namespace": directory.namespaces.get(called, ""),
        "labels": dict(directory.labels.get(called, {})),
        "node": question.node,
        "ip": question.destination_ip,
        "port": question.port or None,
    }
    tls = {"version": question.tls_version, "cipher": question.cipher, "group": question.group}
    rest = {
        "slice": question.slice,
        "tls": _filled(tls),
        "certificate_age_s": question.certificate_age_s if question.certificate_age_s >= 0 else None,
        "claims": msgspec.json.decode(question.claims) if question.claims else None,
    }
    return {
        "source": _filled(source),
        "destination": _filled(destination),
        **_filled(rest),
        "mutual": question.mutual,
        "time_ns": question.time_s * 1_000_000_000,
    }
