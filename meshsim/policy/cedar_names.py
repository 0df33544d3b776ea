"""Names in Cedar policies that the scenario does not have."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from meshsim.policy.cedar_text import PolicyText, Token
from meshsim.policy.cedar_vocabulary import paths
from meshsim.policy.engine import Directory, trust_domain_of
from meshsim.scenario.errors import Diagnostic


def unknown_names(policy: PolicyText, directory: Directory) -> Iterator[Diagnostic]:
    """Names in a policy that the scenario does not have."""
    homes = {
        "Service": ("service", directory.services),
        "Fleet": ("fleet", directory.fleets),
        "Slice": ("slice", directory.slices),
        "Site": ("site", directory.sites),
        "Node": ("node", directory.nodes),
        "Namespace": ("namespace", frozenset(directory.namespaces.values())),
        "TrustDomain": ("trust domain", directory.trust_domains),
    }
    own_domains = {trust_domain_of(spiffe_id) for spiffe_id in directory.workloads}
    for kind, name, token in policy.entities():
        if kind in homes:
            noun, known = homes[kind]
            if name not in known:
                yield policy.at(token, f"unknown {noun} {name!r}; {_near(name, known, noun)}")
        elif kind == "Workload":
            if not re.fullmatch("spiffe://[a-z0-9._-]+/.+", name):
                yield policy.at(token, f"{name!r} is not the SPIFFE ID of a workload; write spiffe://TRUST-DOMAIN/PATH")
            elif name not in directory.workloads and trust_domain_of(name) in own_domains:
                yield policy.at(
                    token, f"unknown identity {name!r}; {_near(name, frozenset(directory.workloads), 'identity')}"
                )
    labels = frozenset(label for of_one in directory.labels.values() for label in of_one)
    for path in paths(policy.tokens):
        token = policy.tokens[path.last]
        if path.names[1:2] == ("labels",) and len(path.names) == 3 and path.names[2] not in labels:
            yield policy.at(token, f"unknown label {path.names[2]!r}; {_near(path.names[2], labels, 'label')}")
        if path.names[:2] == ("context", "headers") and len(path.names) == 3:
            yield from _header(policy, path.names[2], token)


def _header(policy: PolicyText, name: str, token: Token) -> Iterator[Diagnostic]:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):  # a token of RFC 9110, section 5.6.2
        yield policy.at(token, f'no header field has the name {name!r}; write one such as headers["x-tenant"]')
    elif name != name.lower():
        yield policy.at(token, f'header fields come in lower case; write headers["{name.lower()}"]')


def _near(name: str, known: frozenset[str], noun: str) -> str:
    near = difflib.get_close_matches(name, sorted(known), 1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"the scenario has {', '.join(sorted(known)[:12])}" if known else f"the scenario has no {noun}"
