"""The Rego policy engine (openpolicyagent.org), through regopy, asked with the document of OPA-Envoy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from meshsim.policy.engine import Default, Directory, PolicyFile
from meshsim.policy.question import DEFAULT_ALLOW, DEFAULT_DENY, Decision, Question, RuleAccount
from meshsim.policy.rego_check import Checked, check
from meshsim.policy.rego_explain import accounts, matching
from meshsim.policy.rego_input import document
from meshsim.policy.rego_native import Answer
from meshsim.policy.rego_native import Bundle as Near
from meshsim.policy.rego_process import Bundle, Exceeded, refusals
from meshsim.policy.rego_rewrite import Rewritten
from meshsim.policy.rego_rules import PROBES_PACKAGE, deciding_rules, plain_modules, probing_modules
from meshsim.policy.rego_tokens import diagnose
from meshsim.policy.rego_verdict import verdict
from meshsim.scenario.errors import Diagnostic, ScenarioError

QUERY: Final = "data.envoy.authz.allow"
"""The document that decides, by default: that of OPA-Envoy."""

_T = TypeVar("_T")

_LESS: Final = (
    "expected a policy that is decided at once, without long ranges, deep nesting and regular expressions that go back"
)


class RegoEngine:
    """Modules, compiled once. Build it with :meth:`from_sources`."""

    name = "rego"

    def __init__(self, files: Sequence[PolicyFile], directory: Directory, default: Default, query: str) -> None:
        self._checked = checked = check(files, query, directory)
        self._files = files
        mistakes = checked.mistakes or self._read(lambda: _refused(checked))
        if mistakes:
            raise ScenarioError(mistakes)
        self.version = _version(files, default, query)
        self.reads = checked.reads
        self.size = sum(len(rule.branches) for module in checked.modules for rule in module.rules)
        self._query = query
        self._rules = deciding_rules(checked.modules, checked.siblings, tuple(query.split(".")))
        self.rules = tuple(rule.name for rule in self._rules)
        self._by_default = Decision(True, DEFAULT_ALLOW) if default == "allow" else Decision(False, DEFAULT_DENY)
        self._directory = directory
        self._identities = {name: spiffe_id for spiffe_id, name in sorted(directory.workloads.items(), reverse=True)}
        plain = plain_modules(checked.modules, checked.calls)
        self._bundle = self._read(lambda: Bundle(plain, checked.documents, query))
        self._names = self._read(lambda: self._probing(steps=False))
        self._steps: Bundle | None = None
        self._near: Near | None = None

    @classmethod
    def from_sources(
        cls, files: Sequence[PolicyFile], directory: Directory, default: Default = "deny", query: str = QUERY
    ) -> RegoEngine:
        """Parse and check policy files; raises :class:`ScenarioError` with every mistake in them."""
        return cls(files, directory, default, query)

    def judge(self, question: Question) -> bool:
        """Say whether a question is allowed and no more: the work that an enforcement point has with it.

        To be timed, it is done in this process, without limits: only for policies that are known to end.
        """
        if self._near is None:
            checked = self._checked
            self._near = Near(plain_modules(checked.modules, checked.calls), checked.documents, self._query)
        answer = self._near.ask(document(question, self._directory, self._identities))
        return answer.value is True if answer.defined else self._by_default.allowed and not answer.error

    def decide(self, question: Question) -> Decision:
        """Answer one question; what fails while it is evaluated is denied."""
        asked = document(question, self._directory, self._identities)
        answer = self._ask(self._bundle, asked, question)
        if not answer.defined and not answer.error:
            return self._by_default
        try:
            said = verdict(answer)
        except ValueError as error:
            return Decision(False, DEFAULT_DENY, errors=(f"{self._query}: {error}",))
        found = self._ask(self._names, asked, question).value or {}
        reasons = tuple(rule.name for rule in matching(self._rules, found) if found[str(rule.number)] == [answer.value])
        if not reasons:
            reasons = tuple(rule.name for rule in self._rules if rule.default)[:1] or (self._query[len("data.") :],)
        return msgspec.structs.replace(said, rule=reasons[0], reasons=reasons)

    def explain(self, question: Question) -> tuple[RuleAccount, ...]:
        """Say of every rule that decides whether it matches the question, and if not, why."""
        if self._steps is None:
            self._steps = self._read(lambda: self._probing(steps=True))
        asked = document(question, self._directory, self._identities)
        return accounts(self._rules, self._ask(self._steps, asked, question), asked)

    def _read(self, what: Callable[[], _T]) -> _T:
        try:
            return what()
        except ValueError as error:  # what the engine has against modules together
            message = str(error)
        except Exceeded as exceeded:
            message = f"reading these policies {exceeded}; {_LESS}"
        raise ScenarioError([Diagnostic(self._files[0].place, 0, 0, message)])

    def _ask(self, bundle: Bundle, asked: Any, question: Question) -> Answer:
        try:
            return bundle.ask(asked)
        except Exceeded as exceeded:
            who = f"{question.source or 'anyone'} -> {question.destination}: {question.method} {question.path[:60]}"
            message = f"deciding about {who} {exceeded}; {_LESS}"
            first = min(self._rules, key=lambda rule: rule.default)
            file, line, column = first.place.rsplit(":", 2)
            raise ScenarioError([Diagnostic(file, int(line), int(column), message)]) from exceeded

    def _probing(self, *, steps: bool) -> Bundle:
        checked = self._checked
        modules = probing_modules(checked.modules, checked.calls, self._rules, steps=steps)
        return Bundle(modules, checked.documents, f"data.{PROBES_PACKAGE}.found")


def _refused(checked: Checked) -> list[Diagnostic]:
    """What the engine itself has against the modules."""
    mistakes = []
    for module in checked.modules:
        rewritten = Rewritten(module, checked.calls[module])
        for offset, message in refusals("m", rewritten.whole):
            said = f"the engine does not accept this: {message}"
            mistakes.append(diagnose(module.file, rewritten.origin(offset), said))
    return mistakes


def _version(files: Sequence[PolicyFile], default: Default, query: str) -> str:
    """Hash of all that the decisions depend on, each part preceded by its length."""
    digest = hashlib.sha256()
    for part in ("rego", default, query, *(part for file in files for part in (file.name, file.text))):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]
