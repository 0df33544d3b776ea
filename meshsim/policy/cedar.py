"""The Cedar policy engine (cedarpolicy.com), through cedarpy."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache, partial
from importlib import resources
from typing import Any

import cedarpy
import msgspec

from meshsim.policy.cedar_check import check
from meshsim.policy.cedar_explain import account
from meshsim.policy.cedar_request import request, service_entities, workload_entities
from meshsim.policy.engine import Default, Directory, PolicyFile
from meshsim.policy.question import DEFAULT_ALLOW, DEFAULT_DENY, Decision, Question, RuleAccount
from meshsim.scenario.errors import ScenarioError


@cache
def schema_text() -> str:
    """The Cedar schema of the mesh: every policy is validated against it."""
    return resources.files("meshsim.policy").joinpath("data/mesh.cedarschema").read_text(encoding="utf-8")


class CedarEngine:
    """Policies, parsed once, and the entities they speak of. Build it with :meth:`from_sources`."""

    name = "cedar"

    def __init__(self, files: Sequence[PolicyFile], directory: Directory, default: Default) -> None:
        checked = check(files, schema_text(), directory)
        if checked.mistakes:
            raise ScenarioError(checked.mistakes)
        self.rules = tuple(checked.rules)
        self._texts = tuple(checked.policies)
        self.size = len(self.rules)
        self.version = _version(files, default)
        self._words = words = checked.vocabulary
        self.reads = words.reads
        # The engine numbers policies policy0, policy1, … in the order of the text.
        self._policies = cedarpy.PolicySet.from_str("\n".join(policy.text for policy in checked.policies))
        assert len(self._policies) == self.size, "each policy text holds one policy"
        self._number = {f"policy{number}": number for number in range(self.size)}
        self._by_default = Decision(True, DEFAULT_ALLOW) if default == "allow" else Decision(False, DEFAULT_DENY)
        self._directory = directory
        self._schema = checked.schema
        services = service_entities(directory, words)
        workloads = workload_entities(directory.workloads, directory, words)
        self._services = cedarpy.Entities.from_json_str(json.dumps(services), self._schema)
        self._entities = cedarpy.Entities.from_json_str(json.dumps(services + workloads), self._schema)
        self._strangers: dict[str, cedarpy.Entities] = {}

    @classmethod
    def from_sources(cls, files: Sequence[PolicyFile], directory: Directory, default: Default = "deny") -> CedarEngine:
        """Parse and check policy files; raises :class:`ScenarioError` with every mistake in them."""
        return cls(files, directory, default)

    def decide(self, question: Question) -> Decision:
        """Answer one question."""
        return self._decision(self._ask(question, self._policies))

    def decide_all(self, questions: Sequence[Question]) -> list[Decision]:
        """Answer each of these questions: in one call for all that need the same entities.

        A question that comes several times is put into Cedar's terms once, and asked as often as it comes.
        """
        requests: dict[Question, dict[str, Any]] = {}
        alike: dict[int, tuple[cedarpy.Entities, list[int]]] = {}
        for at, question in enumerate(questions):
            if question not in requests:
                asked = request(question, self._words)
                requests[question] = asked | {"context": json.dumps(asked["context"])}
            entities = self._entities_for(question.principal)
            alike.setdefault(id(entities), (entities, []))[1].append(at)
        decisions: dict[int, Decision] = {}
        for entities, places in alike.values():
            batch = [requests[questions[at]] for at in places]
            answers = cedarpy.is_authorized_batch(batch, self._policies, entities)
            decisions.update(zip(places, map(self._decision, answers), strict=True))
        return [decisions[at] for at in range(len(questions))]

    def _decision(self, answer: cedarpy.AuthzResult) -> Decision:
        numbers = sorted(self._number[policy] for policy in answer.diagnostics.reasons)
        reasons = tuple(self.rules[number] for number in numbers)
        errors = tuple(sorted(self._error(message) for message in answer.diagnostics.errors))
        if reasons:
            return Decision(answer.allowed, reasons[0], reasons, errors)
        return msgspec.structs.replace(self._by_default, errors=errors) if errors else self._by_default

    def explain(self, question: Question) -> tuple[RuleAccount, ...]:
        """Say of every policy whether it matches the question, and if not, why."""
        ask = partial(self._ask, question)
        return tuple(account(text, rule, question, ask) for text, rule in zip(self._texts, self.rules, strict=True))

    def _ask(self, question: Question, policies: cedarpy.PolicySet) -> cedarpy.AuthzResult:
        return cedarpy.is_authorized(request(question, self._words), policies, self._entities_for(question.principal))

    def _entities_for(self, principal: str) -> cedarpy.Entities:
        """The entities that a decision on this principal needs.

        An identity from outside the directory is added to the services alone: adding copies the whole set, which may
        hold thousands of workloads.
        """
        if not principal or principal in self._directory.workloads:
            return self._entities
        if principal not in self._strangers:
            stranger = json.dumps(workload_entities([principal], self._directory, self._words))
            self._strangers[principal] = self._services.with_added_json_str(stranger, self._schema)
        return self._strangers[principal]

    def _error(self, message: str) -> str:
        """An evaluation error with the rule's name in the place of the engine's number."""
        found = re.match(r"error while evaluating policy `([^`]+)`: ", message)
        assert found, f"the engine words its errors otherwise: {message}"
        return f"{self.rules[self._number[found[1]]]}: {message[found.end() :]}"


def _version(files: Sequence[PolicyFile], default: Default) -> str:
    """Hash of all that the decisions depend on, each part preceded by its length."""
    digest = hashlib.sha256()
    for part in ("cedar", default, *(part for file in files for part in (file.name, file.text))):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]
