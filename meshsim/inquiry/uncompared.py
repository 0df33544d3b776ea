"""What differs between two scenarios and no decision on a request rests on: runs tell what it does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from meshsim.scenario.differences import Change, differences
from meshsim.scenario.resolve import resolved_text
from meshsim.scenario.yaml_text import parse_yaml

if TYPE_CHECKING:
    from meshsim.scenario.model import Scenario

_TLS: Final = r"tls(\.(mode|min_version|max_version|groups|ciphers|signature_schemes|key))?"
_PLACES: Final = r"(replicas|count|placement)(\..+)?"
_SEEN: Final = (
    r"epoch",
    r"network\.(nodes|slices)\.[^.]+",
    r"network\.nodes\..+\.site",
    rf"services\.[^.]+(\.versions\.[^.]+)?\.({_TLS}|{_PLACES}|labels\b.*|service_account)",
    r"services\.[^.]+(\.versions\.[^.]+)?",
    r"services\.[^.]+\.(namespace|dataplane|waypoint|waypoint_for_gateways|gateways|request_authentication\b.*)",
    r"services\.[^.]+\.versions(\.[^.]+\.tls\.ports\b.*)?",
    rf"services\.[^.]+\.ports(\.[^.]+(\.(protocol|target|{_TLS}))?)?",
    r"services\.[^.]+\.(versions\.[^.]+\.)?calls\.(.+\.)?authority",
    rf"fleets\.[^.]+(\.(size|node|radio|dataplane|path\b.*|{_TLS}))?",
    r"traffic\.\d+\.(from|to|slice|authority)",
    rf"mesh\.(ambient|manifests|trust_domain|waypoints|waypoints\.[^.]+|waypoints\..+\.replicas\b.*|{_TLS})",
    r"mesh\.policy(\.(engine|files|default|rego\b.*))?",
    r"mesh\.policy\.istio(\.(?!extension_providers).+)?",
    r"mesh\.policy\.istio\.extension_providers(\.[^.]+(\.(verdict|engine|files|protocol))?)?",
    r"mesh\.http\.(identity_headers|client_cert\b.*)",
    r"mesh\.tokens(\.issuers(\.[^.]+(\.(issuer|trust_domain|algorithm|key_in_jwks))?)?)?",
    r"mesh\.destinations(\..+\.(tls|labels\b.*))?",
    rf"mesh\.federation(\.(trusts|domains|domains\..+\.(services|fleets|trusts|{_TLS})))?",
)
"""Fields that questions, or what becomes of them, follow from."""
_COMPARED: Final = re.compile("|".join(f"(?:{one})" for one in _SEEN))
_SAID: Final = re.compile(r"(scenario|description|fidelity|sample_every|expect|phases)\b.*")
"""What does nothing to requests."""
_BY_FIELD: Final = (("mesh", "destinations"), ("mesh", "policy", "istio", "extension_providers"))
"""Mappings of which something is compared and something is not."""
_ORDER: Final = ("changes", "mesh", "faults", "services", "fleets", "network", "traffic")
"""Of these by their importance, then of all others."""


def uncompared(before: Scenario | None, after: Scenario | None) -> tuple[Change, ...]:
    """What differs and is not compared; nothing where both are one scenario, with other policies."""
    if before is None or after is None or before is after:
        return ()
    each = (_plain(before), _plain(after))
    for path in _BY_FIELD:
        mappings = [_mapping(one, path) for one in each]
        for name in {**mappings[0], **mappings[1]}:
            for one in mappings:
                one.setdefault(name, {})  # what one side says of it is told field by field
    found = differences(*each)
    left = [one for one in found if not (_COMPARED.fullmatch(one.path) or _SAID.fullmatch(one.path))]
    return tuple(sorted(left, key=lambda one: _rank(one.path)))


def _mapping(plain: dict[str, Any], path: Sequence[str]) -> dict[str, Any]:
    """The mapping at a path, which is there from now on."""
    for name in path:
        if not isinstance(plain.get(name), dict):
            plain[name] = {}
        plain = plain[name]
    return plain


def _rank(path: str) -> int:
    first = path.partition(".")[0]
    return _ORDER.index(first) if first in _ORDER else len(_ORDER)


def _plain(scenario: Scenario) -> dict[str, Any]:
    plain, _ = parse_yaml(resolved_text(scenario), "scenario")
    assert isinstance(plain, dict), "a scenario is a mapping"
    return dict(_without_nothing(plain))


def _without_nothing(plain: Any) -> Any:
    """The same without empty mappings, which say as little as what is not there."""
    if not isinstance(plain, dict):
        return plain
    kept = {key: _without_nothing(value) for key, value in plain.items()}
    return {key: value for key, value in kept.items() if value not in (None, {})}
