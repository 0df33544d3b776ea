"""From YAML to AuthorizationPolicies, with everything that Istio's validation finds wrong or that is not supported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import get_args

from meshsim.policy.engine import PolicyFile
from meshsim.policy.istio_authentication import read_authentication
from meshsim.policy.istio_scope import read_scope
from meshsim.policy.istio_types import KINDS, Action, AuthorizationPolicy, Clause, Policies, RequestAuthentication, Rule
from meshsim.policy.istio_values import MOST_SERVICE_ACCOUNTS, key_problem, value_problem
from meshsim.scenario.errors import Diagnostic
from meshsim.scenario.manifest_reader import Manifest, Value, read_manifests
from meshsim.scenario.words import show

DRY_RUN = "istio.io/dry-run"
"""Annotation that puts a policy on trial."""

_SOURCE = MappingProxyType(
    {
        "principals": "source.principal",
        "requestPrincipals": "request.auth.principal",
        "serviceAccounts": "source.serviceAccount",
        "namespaces": "source.namespace",
        "trustDomains": "source.trustDomain",
        "remoteIpBlocks": "remote.ip",
        "ipBlocks": "source.ip",
    }
)
"""Field of a source → attribute, in the order in which Istio puts them into Envoy's configuration."""
_OPERATION = MappingProxyType(
    {"hosts": ":authority", "methods": ":method", "paths": ":path", "ports": "destination.port"}
)
_NOT_IN_CUSTOM = ("source.principal", "source.namespace", "source.serviceAccount", "source.trustDomain")
"""Attributes that Istio does not support with the action CUSTOM, beside those of tokens (``request.auth.``)."""
_BOOLEANS: Mapping[str, bool] = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
"""What Istio takes for a truth value in an annotation (Go's ParseBool)."""


def read_policies(
    files: Sequence[PolicyFile], others: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> tuple[Policies, list[Diagnostic]]:
    """The objects in policy files, and every mistake.

    Objects of the kinds ``others`` may stand in the same files and are passed over: kind → values of ``apiVersion``.
    """
    manifests: list[Manifest] = []
    noted: list[list[Diagnostic]] = []
    for file in files:
        found, mistakes = read_manifests(file.text, file.place, {**KINDS, **others})
        if not found and not mistakes:
            message = "the file holds no object; expected an AuthorizationPolicy, or the file not to be named"
            mistakes.append(Diagnostic(file.place, 0, 0, message))
        manifests += (manifest for manifest in found if manifest.kind in KINDS)
        noted.append(mistakes)
    policies = policies_of(manifests)
    return policies, [mistake for mistakes in noted for mistake in mistakes]


def policies_of(manifests: Sequence[Manifest]) -> Policies:
    """The policies among manifests of :data:`KINDS`; mistakes are noted where the manifests note theirs."""
    authorization: list[AuthorizationPolicy] = []
    authentication: list[RequestAuthentication] = []
    lines: dict[tuple[str, str, str], str] = {}
    for manifest in manifests:
        key = (manifest.kind, manifest.namespace, manifest.name)
        place = manifest.whole.place
        if key in lines:
            message = f"{manifest.namespace}/{manifest.name} is already the name of the {manifest.kind} at {lines[key]}"
            manifest.whole.wrong(f"{message}; expected another name")
        lines.setdefault(key, f"{place.file}:{place.line}")
        if manifest.kind == "AuthorizationPolicy":
            authorization.append(_policy(manifest))
        else:
            authentication.append(read_authentication(manifest))
    return Policies(tuple(authorization), tuple(authentication))


def _policy(manifest: Manifest) -> AuthorizationPolicy:
    fields = manifest.body("spec", "status")
    spec = manifest.spec.fields("selector", "targetRef", "targetRefs", "rules", "action", "provider")
    action: Action = "ALLOW"
    if "action" in spec:
        chosen = spec["action"].choice(get_args(Action))
        action = next((known for known in get_args(Action) if known == chosen), "ALLOW")
    base = f"ns[{manifest.namespace}]-policy[{manifest.name}]"
    written = spec["rules"].items() if "rules" in spec else []
    rules = tuple(_rule(value, f"{base}-rule[{index}]", action) for index, value in enumerate(written))
    at = spec.get("action", fields.get("spec", manifest.whole))
    if not written and action in ("DENY", "CUSTOM"):
        at.wrong(f"a {action} policy without rules never matches; expected rules, '- {{}}' for every request")
    return AuthorizationPolicy(
        name=base,
        scope=read_scope(manifest, spec),
        action=action,
        provider=_provider(spec.get("provider"), at, action),
        provider_place=spec.get("provider", at).place,
        dry_run=_dry_run(manifest, action),
        rules=rules,
        place=manifest.whole.place,
    )


def _provider(value: Value | None, at: Value, action: Action) -> str:
    name = ""
    if value is not None:
        named = value.fields("name").get("name")
        name = named.text() if named is not None else ""
        if action != "CUSTOM":
            value.wrong_key(f"'provider' stands beside the action {action}; expected it with CUSTOM alone")
    if action == "CUSTOM" and not name:
        (value or at).wrong("a CUSTOM policy names no provider; expected provider: {name: …}")
    return name


def _dry_run(manifest: Manifest, action: Action) -> bool:
    annotation = manifest.annotations.get(DRY_RUN)
    if annotation is None or not isinstance(annotation.data, str):
        return False
    if annotation.data not in _BOOLEANS:
        annotation.wrong(f"{DRY_RUN!r} is {show(annotation.data)}; expected 'true' or 'false'")
    on_trial = _BOOLEANS.get(annotation.data, False)
    if on_trial and action not in ("ALLOW", "DENY"):
        annotation.wrong_key(f"{action} policies cannot be on trial; expected {DRY_RUN!r} with ALLOW or DENY alone")
    return on_trial


def _rule(value: Value, name: str, action: Action) -> Rule:
    if value.data is None:
        value.wrong("a rule is empty; expected from, to or when, or '{}' for a rule that matches every request")
        return Rule(name, value.place, (), (), ())
    fields = value.fields("from", "to", "when")
    sources = _alternatives(fields.get("from"), "source", _SOURCE)
    operations = _alternatives(fields.get("to"), "operation", _OPERATION)
    conditions = tuple(_condition(item) for item in fields["when"].items()) if "when" in fields else ()
    known = tuple(clause for clause in conditions if clause is not None)
    if action == "CUSTOM":
        clauses = [*(clause for source in sources for clause in source), *known]
        for clause in clauses:
            if clause.attribute in _NOT_IN_CUSTOM or clause.attribute.startswith("request.auth."):
                field = clause.field if clause.values or not clause.not_values else clause.not_field
                value.note(
                    clause.place, f"Istio does not support {show(field)} with CUSTOM; expected it in DENY or ALLOW"
                )
    return Rule(name, value.place, sources, operations, known)


def _alternatives(value: Value | None, part: str, attributes: Mapping[str, str]) -> tuple[tuple[Clause, ...], ...]:
    """The sources of ``from`` or the operations of ``to``."""
    if value is None:
        return ()
    items = value.items()
    if not items and value.data == []:
        value.wrong(f"{value.name} is empty; expected at least one {part}, or no {value.name}")
    found = []
    for item in items:
        inner = item.fields(part).get(part)
        if inner is None:
            if isinstance(item.data, dict):
                item.wrong(f"an entry of {value.name} has no {part}; expected '{part}:' with what it has to be")
            continue
        clauses = _clauses(inner, attributes)
        if isinstance(inner.data, dict) and not any(inner.data.values()):
            inner.wrong(f"'{part}' is empty; expected at least one of {', '.join(list(attributes)[:4])} …")
        found.append(clauses)
    return tuple(found)


def _clauses(value: Value, attributes: Mapping[str, str]) -> tuple[Clause, ...]:
    """The fields of one source or operation."""
    forms = {field: f"not{field[0].upper()}{field[1:]}" for field in attributes}
    fields = value.fields(*(name for pair in forms.items() for name in pair))
    clauses = []
    for field, not_field in forms.items():
        attribute = attributes[field]
        values = _values(fields.get(field), attribute)
        not_values = _values(fields.get(not_field), attribute)
        if values or not_values:
            at = fields[field] if values else fields[not_field]
            clauses.append(Clause(attribute, field, not_field, values, not_values, at.place))
    exclusive = [name for name in fields if name.lower().removeprefix("not") in ("principals", "namespaces")]
    if exclusive and (accounts := fields.get("serviceAccounts", fields.get("notServiceAccounts"))):
        accounts.wrong_key(f"{accounts.name} stands beside {exclusive[0]!r}; expected one of them alone")
    return tuple(clauses)


def _condition(value: Value) -> Clause | None:
    """One entry of ``when``; None if it is for nothing that is known."""
    fields = value.fields("key", "values", "notValues")
    key = fields["key"].text() if "key" in fields else ""
    if not key:
        if isinstance(value.data, dict):
            fields.get("key", value).wrong("a condition has no key; expected one such as request.headers[x-token]")
        return None
    if problem := key_problem(key):
        fields["key"].wrong(problem)
        return None
    values, not_values = _values(fields.get("values"), key), _values(fields.get("notValues"), key)
    if not any(fields[name].data for name in ("values", "notValues") if name in fields):
        value.wrong(f"the condition {show(key)} has no values; expected 'values', 'notValues' or both")
    return Clause(key, key, f"not {key}", values, not_values, fields["key"].place)


def _values(value: Value | None, attribute: str) -> tuple[str, ...]:
    if value is None:
        return ()
    found = value.texts()
    for item in found:
        if problem := value_problem(attribute, item.data):
            item.wrong(problem)
    if attribute == "source.serviceAccount" and len(found) > MOST_SERVICE_ACCOUNTS:
        value.wrong(f"{value.name} has {len(found)} entries; expected at most {MOST_SERVICE_ACCOUNTS}")
    return tuple(item.data for item in found)
