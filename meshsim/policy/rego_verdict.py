"""What a decision of Rego modules says: true or false, or an object as OPA-Envoy has it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from meshsim.policy.question import Decision
from meshsim.policy.rego_check import DECISION_KEYS
from meshsim.policy.rego_native import Answer
from meshsim.scenario.headers import FIELDS_OF_THE_MESH, MOST_BYTES, NAME, VALUE, on_the_wire


def verdict(answer: Answer) -> Decision:
    """A decision without its rule; raises ValueError when the answer is none.

    What an object says of the response counts for a refusal: what it says of a request that is allowed reaches the
    workload, beyond the network.
    """
    if answer.error:
        raise ValueError(answer.error)
    value: Any = answer.value
    if isinstance(value, bool):
        return Decision(value, "")
    if not isinstance(value, Mapping) or not isinstance(value.get("allowed"), bool):
        raise ValueError(f"the decision is {_shown(value)}; expected true, false or an object with 'allowed'")
    if unknown := sorted(set(value) - set(DECISION_KEYS)):
        raise ValueError(f"the decision says {unknown[0]!r}, which is not simulated")
    headers, status, body = value.get("headers", {}), value.get("http_status", 403), value.get("body", "")
    if value["allowed"]:
        return Decision(True, "")
    if not isinstance(headers, Mapping) or not _are_fields(headers):
        raise ValueError(f"the decision's headers are {_shown(headers)}; expected names and texts of HTTP")
    if type(status) is not int or not 300 <= status <= 599 or status == 304:
        raise ValueError(f"the decision's http_status is {_shown(status)}; expected one that refuses, 300 to 599")
    if not isinstance(body, str):
        raise ValueError(f"the decision's body is {_shown(body)}; expected text")
    fields = on_the_wire(dict(sorted((name.lower(), text) for name, text in headers.items())))
    return Decision(False, "", status=status, headers=fields, body=body)


def _are_fields(headers: Mapping[Any, Any]) -> bool:
    """Whether these are header fields that a response can carry."""
    texts = {str(name).lower(): value for name, value in headers.items() if isinstance(value, str)}
    if len(texts) != len(headers) or FIELDS_OF_THE_MESH & texts.keys():
        return False
    fit = sum(len(name) + len(value) for name, value in texts.items()) <= MOST_BYTES
    return fit and all(re.fullmatch(NAME, name) and re.fullmatch(VALUE, value) for name, value in texts.items())


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
