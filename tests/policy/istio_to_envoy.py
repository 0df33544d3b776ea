"""Istio policies as the Envoy configuration that istiod would make of them.

Written from pilot/pkg/security/authz (model, matcher, builder), trustdomain and authn of Istio, without the engine's
own code for matching: only the frozen types of what was read are shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from meshsim.policy.istio_types import AuthorizationPolicy, Clause, JwtRule, Rule

Json = dict[str, Any]
HTTP_ONLY = (":authority", ":method", ":path", "request.headers", "request.auth")
JWT_FILTER = "envoy.filters.http.jwt_authn"
PERMISSIONS = (":authority", ":method", ":path", "destination.", "connection.", "experimental.")
"""Attributes that go into permissions; the others go into principals."""


class HttpOnly(Exception):  # noqa: N818 - says what it is: something of HTTP where only TCP is seen
    """A rule names something of HTTP in a configuration for TCP."""


def string_match(value: str, prefix: str = "") -> Json:
    """StringMatcherWithPrefix."""
    if value == "*":
        return {"safe_regex": {"regex": ".+"}}
    if value.startswith("*"):
        return {"safe_regex": {"regex": f"{prefix}.*{value[1:]}"}} if prefix else {"suffix": value[1:]}
    if value.endswith("*"):
        return {"prefix": prefix + value[:-1]}
    return {"exact": prefix + value}


def header_match(name: str, value: str, *, ignore_case: bool = False) -> Json:
    """HeaderMatcher and HostMatcher."""
    if value == "*":
        return {"header": {"name": name, "present_match": True}}
    matcher = string_match(value) | ({"ignore_case": True} if ignore_case else {})
    return {"header": {"name": name, "string_match": matcher}}


def cidr(value: str) -> Json:
    """AddrStrToCidrRange."""
    address, slash, length = value.partition("/")
    return {"address_prefix": address, "prefix_len": int(length) if slash else 128 if ":" in address else 32}


def authenticated(matcher: Json) -> Json:
    """A principal by its certificate."""
    return {"authenticated": {"principal_name": matcher}}


def metadata(path: Sequence[str], value: Json) -> Json:
    """MetadataMatcher on the claims of a token."""
    return {"metadata": {"filter": JWT_FILTER, "path": [{"key": key} for key in ("payload", *path)], "value": value}}


def claim(path: Sequence[str], values: Sequence[str]) -> Json:
    """MetadataListValueMatcherForJWTClaims: an entry of a list, or the text itself."""
    matchers = [{"string_match": string_match(value)} for value in values]
    either = matchers[0] if len(matchers) == 1 else {"or_match": {"value_matchers": matchers}}
    return metadata(path, {"or_match": {"value_matchers": [{"list_match": {"one_of": either}}, either]}})


def request_principal(value: str) -> Json:
    """Issuer and subject of a token."""
    anything = {"safe_regex": {"regex": ".+"}}
    at = value.rfind("/")
    issuer, subject = (value[:at], value[at + 1 :]) if at >= 0 else (value, "")
    if value == "*":
        pair = anything, anything
    elif value.startswith("*"):
        if at < 0:
            pair = anything, {"suffix": value[1:]}
        else:
            pair = (anything if issuer == "*" else {"suffix": issuer[1:]}), {"exact": subject}
    elif value.endswith("*"):
        if at < 0:
            pair = {"prefix": value[:-1]}, anything
        else:
            pair = {"exact": issuer}, (anything if subject == "*" else {"prefix": subject[:-1]})
    else:
        pair = {"exact": issuer}, {"exact": subject}
    ids = [metadata([name], {"string_match": matcher}) for name, matcher in zip(("iss", "sub"), pair, strict=True)]
    return {"and_ids": {"ids": ids}}


def path_match(value: str) -> Json:
    """PathMatcher, or PathTemplateMatcher."""
    if "{*}" in value or "{**}" in value:
        kind = "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig"
        template = value.replace("{*}", "*").replace("{**}", "**")
        config = {"@type": kind, "path_template": template}
        return {"uri_template": {"name": "envoy.path.match.uri_template.uri_template_matcher", "typed_config": config}}
    return {"url_path": {"path": string_match(value)}}


def with_aliases(value: str, trust_domains: Sequence[str]) -> list[str]:
    """ReplaceTrustDomainAliases, for trust domains without stars."""
    parts = value.split("/")
    if len(parts) != 5 or parts[0] == "*":
        return [value]
    if parts[0].startswith("*"):
        fitting = [name for name in trust_domains if name.endswith(parts[0][1:])]
        rest = ["/".join([name, *parts[1:]]) for name in trust_domains if name not in fitting]
        return [value, *rest] if fitting else [value]
    if parts[0] not in (*trust_domains, "cluster.local"):
        return [value]
    return ["/".join([name, *parts[1:]]) for name in trust_domains]


def one(attribute: str, value: str, namespace: str) -> Json:
    """The matcher of one value."""
    if attribute == "source.principal":
        return authenticated(string_match(value, "spiffe://"))
    if attribute == "source.namespace":
        return authenticated({"safe_regex": {"regex": f".*/ns/{value.replace('*', '.*')}/.*"}})
    if attribute == "source.serviceAccount":
        owner, account = value.split("/") if "/" in value else (namespace, value)
        return authenticated({"safe_regex": {"regex": f"spiffe://.+/ns/{owner}/(.+/|)sa/{account}(/.+)?"}})
    if attribute == "request.auth.principal":
        return request_principal(value)
    if attribute.startswith("request.headers"):
        return header_match(attribute[len("request.headers[") : -1], value)
    kinds = {"source.ip": "direct_remote_ip", "remote.ip": "remote_ip", "destination.ip": "destination_ip"}
    if attribute in kinds:
        return {kinds[attribute]: cidr(value)}
    if attribute == "destination.port":
        return {"destination_port": int(value)}
    if attribute == "connection.sni":
        return {"requested_server_name": string_match(value)}
    if attribute == ":authority":
        return header_match(attribute, value, ignore_case=True)
    return header_match(attribute, value) if attribute == ":method" else path_match(value)


def clause_ids(clause: Clause, namespace: str, trust_domains: Sequence[str], *, tcp: bool) -> list[Json]:
    """What one clause adds to a conjunction of principals or permissions."""
    if tcp and clause.attribute.startswith(HTTP_ONLY):
        raise HttpOnly(clause.attribute)
    permission = clause.attribute.startswith(PERMISSIONS)
    group, negation = ("or_rules", "not_rule") if permission else ("or_ids", "not_id")
    found = []
    for values, negated in ((clause.values, False), (clause.not_values, True)):
        if not values:
            continue
        if clause.attribute.startswith("request.auth.") and clause.attribute != "request.auth.principal":
            names = {"request.auth.audiences": ["aud"], "request.auth.presenter": ["azp"]}
            path = names.get(clause.attribute) or clause.attribute[len("request.auth.claims[") : -1].split("][")
            either = claim(path, values)
        else:
            expanded = [
                name
                for value in values
                for name in (with_aliases(value, trust_domains) if clause.attribute == "source.principal" else [value])
            ]
            matchers = [one(clause.attribute, value, namespace) for value in expanded]
            either = {group: {"rules" if permission else "ids": matchers}}
        found.append({negation: either} if negated else either)
    return found


def policy_rule(rule: Rule, policy: AuthorizationPolicy, trust_domains: Sequence[str], *, tcp: bool) -> Json | None:
    """The RBAC policy of a rule; None if it is left out."""

    def conjunction(clauses: Sequence[Clause], *, permission: bool) -> Json:
        members: list[Json] = []
        for clause in (*clauses, *rule.conditions):
            if clause.attribute.startswith(PERMISSIONS) is not permission:
                continue
            try:
                members += clause_ids(clause, policy.scope.namespace, trust_domains, tcp=tcp)
            except HttpOnly:
                if policy.action == "ALLOW":
                    raise
        group, inner = ("and_rules", "rules") if permission else ("and_ids", "ids")
        return {group: {inner: members or [{"any": True}]}}

    try:
        return {
            "permissions": [conjunction(clauses, permission=True) for clauses in rule.operations or ((),)],
            "principals": [conjunction(clauses, permission=False) for clauses in rule.sources or ((),)],
        }
    except HttpOnly:
        return None


NEVER: Json = {"permissions": [{"not_rule": {"any": True}}], "principals": [{"not_id": {"any": True}}]}


def rbac(
    policies: Sequence[AuthorizationPolicy], action: str, trust_domains: Sequence[str], *, tcp: bool, prefix: str = ""
) -> Json:
    """RBAC rules of policies of one action."""
    rules: Json = {}
    for policy in policies:
        for rule in policy.rules:
            made = policy_rule(rule, policy, trust_domains, tcp=tcp)
            if made is not None:
                rules[prefix + rule.name] = made
        if not policy.rules:
            rules[f"{prefix}{policy.name}-rule[0]"] = NEVER
    return {"action": action, "policies": rules}


def rbac_filter(here: Sequence[AuthorizationPolicy], action: str, trust_domains: Sequence[str], *, tcp: bool) -> Json:
    """The filter for one action, with policies on trial in its shadow; empty without policies."""
    kinds = {"AUDIT": "LOG"}
    chosen = [policy for policy in here if policy.action == action]
    if not chosen:
        return {}
    made: Json = {}
    for key, on_trial in (("rules", False), ("shadow_rules", True)):
        some = [policy for policy in chosen if policy.dry_run is on_trial]
        if some:
            made[key] = rbac(some, kinds.get(action, action), trust_domains, tcp=tcp)
    if "shadow_rules" in made:
        made["shadow_rules_stat_prefix"] = f"istio_dry_run_{action.lower()}_"
    layer = "network" if tcp else "http"
    kind = f"type.googleapis.com/envoy.extensions.filters.{layer}.rbac.v3.RBAC"
    return {
        "name": f"envoy.filters.{layer}.rbac",
        "typed_config": {"@type": kind, **made, **({"stat_prefix": "tcp."} if tcp else {})},
    }


def custom_filters(
    here: Sequence[AuthorizationPolicy], trust_domains: Sequence[str], clusters: Mapping[str, str]
) -> list[Json]:
    """A filter that says which CUSTOM rule matches, and one that asks the provider then."""
    chosen = [policy for policy in here if policy.action == "CUSTOM"]
    if not chosen:
        return []
    prefix = f"istio-ext-authz-{chosen[0].provider}-"
    shadow = rbac(chosen, "DENY", trust_domains, tcp=False, prefix=prefix)
    kind = "type.googleapis.com/envoy.extensions.filters.http."
    enabled = {
        "filter": "envoy.filters.http.rbac",
        "path": [{"key": "istio_ext_authz_shadow_effective_policy_id"}],
        "value": {"string_match": {"prefix": prefix}},
    }
    cluster = clusters[chosen[0].provider]
    service = {"server_uri": {"uri": f"http://{cluster}", "cluster": cluster, "timeout": "1s"}}
    return [
        {
            "name": "envoy.filters.http.rbac",
            "typed_config": {
                "@type": f"{kind}rbac.v3.RBAC",
                "shadow_rules": shadow,
                "shadow_rules_stat_prefix": "istio_ext_authz_",
            },
        },
        {
            "name": "envoy.filters.http.ext_authz",
            "typed_config": {
                "@type": f"{kind}ext_authz.v3.ExtAuthz",
                "transport_api_version": "V3",
                "http_service": service,
                "filter_enabled_metadata": enabled,
            },
        },
    ]


def jwt_filter(rules: Sequence[JwtRule]) -> Json:
    """The filter that checks tokens."""
    providers: Json = {}
    for index, rule in enumerate(rules):
        spaces = ["permission", "scope", *rule.space_delimited_claims]
        providers[f"origins-{index}"] = {
            "issuer": rule.issuer,
            "audiences": list(rule.audiences),
            "local_jwks": {"inline_string": rule.jwks},
            "forward": rule.forward,
            "from_headers": [{"name": name, "value_prefix": prefix} for name, prefix in rule.from_headers],
            "from_params": list(rule.from_params),
            "from_cookies": list(rule.from_cookies),
            "forward_payload_header": rule.output_payload_to_header,
            "claim_to_headers": [
                {"header_name": name, "claim_name": claim} for name, claim in rule.output_claims_to_headers
            ],
            "payload_in_metadata": "payload",
            "normalize_payload_in_metadata": {"space_delimited_claims": spaces},
        }
    named = [{"provider_name": name} for name in providers]
    missing: Json = {"allow_missing": {}}
    if len(named) == 1:
        needed: Json = {"requires_any": {"requirements": [*named, missing]}}
    else:
        each = [{"requires_any": {"requirements": [one_of, missing]}} for one_of in named]
        needed = {"requires_any": {"requirements": [*named, {"requires_all": {"requirements": each}}]}}
    kind = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
    config = {"@type": kind, "providers": providers, "rules": [{"match": {"prefix": "/"}, "requires": needed}]}
    return {"name": JWT_FILTER, "typed_config": config}
