"""Names that Rego modules compare the input with, and that the scenario does not have."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping

from meshsim.policy.engine import Directory, trust_domain_of
from meshsim.policy.rego_scope import Use
from meshsim.policy.rego_syntax import Array, Binary, Member, Node, Rule, Scalar, Set, within
from meshsim.policy.rego_tokens import Stop

_PRINCIPAL = ("input", "attributes", "source", "principal")


def unknown_names(rule: Rule, uses: Iterable[Use], directory: Directory) -> Iterator[Stop]:
    """Constants that what they are compared with never is."""
    paths: Mapping[Node, tuple[str, ...]] = {use.node: use.path for use in uses if not use.open}
    homes = _homes(directory)
    for path, constant in _compared(rule, paths):
        name = constant.value
        if not isinstance(name, str):
            continue
        if path == _PRINCIPAL:
            yield from _identity(name, constant, directory)
        elif path in homes:
            noun, known = homes[path]
            if name not in known:
                yield Stop(constant.start, f"unknown {noun} {name!r}; {_near(name, known, noun)}")


def _homes(directory: Directory) -> dict[tuple[str, ...], tuple[str, frozenset[str]]]:
    """Place in the input → what is named there, and which of these there are."""
    namespaces = frozenset(directory.namespaces.values())
    below = {
        ("slice",): ("slice", directory.slices),
        ("source", "site"): ("site", directory.sites),
        ("source", "service"): ("service or fleet", directory.services | directory.fleets),
        ("source", "namespace"): ("namespace", namespaces),
        ("source", "node"): ("node", directory.nodes),
        ("source", "trust_domain"): ("trust domain", directory.trust_domains),
        ("destination", "service"): ("service", directory.services),
        ("destination", "namespace"): ("namespace", namespaces),
        ("destination", "node"): ("node", directory.nodes),
    }
    return {("input", "meshsim", *path): home for path, home in below.items()}


def _compared(rule: Rule, paths: Mapping[Node, tuple[str, ...]]) -> Iterator[tuple[tuple[str, ...], Scalar]]:
    """Each place in the input that is compared with a constant."""
    for node in within(rule):
        if isinstance(node, Binary) and node.operator in ("==", "!=", "="):
            for one, other in ((node.left, node.right), (node.right, node.left)):
                if one in paths and isinstance(other, Scalar):
                    yield paths[one], other
        elif isinstance(node, Member) and node.items[-1] in paths and isinstance(node.collection, Array | Set):
            for item in node.collection.items:
                if isinstance(item, Scalar):
                    yield paths[node.items[-1]], item


def _identity(name: str, constant: Scalar, directory: Directory) -> Iterator[Stop]:
    own_domains = {trust_domain_of(spiffe_id) for spiffe_id in directory.workloads}
    if not re.fullmatch("spiffe://[a-z0-9._-]+/.+", name):
        if name:
            message = f"{name!r} is not the SPIFFE ID of a workload; write spiffe://TRUST-DOMAIN/PATH"
            yield Stop(constant.start, message)
    elif name not in directory.workloads and trust_domain_of(name) in own_domains:
        message = f"unknown identity {name!r}; {_near(name, frozenset(directory.workloads), 'identity')}"
        yield Stop(constant.start, message)


def _near(name: str, known: frozenset[str], noun: str) -> str:
    near = difflib.get_close_matches(name, sorted(known), 1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"the scenario has {', '.join(sorted(known)[:12])}" if known else f"the scenario has no {noun}"
