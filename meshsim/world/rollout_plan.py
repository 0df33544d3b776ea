"""What a scenario's changes come to: versions of policies, and of TLS settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.policy.engine import PolicyFile
from meshsim.scenario.changes import identity_after
from meshsim.scenario.check_changes import settings_over_time
from meshsim.scenario.check_identity_changes import change_order
from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.named_files import SHADOW
from meshsim.world.contents import Content
from meshsim.world.directory import engine_of
from meshsim.world.policies import Policies
from meshsim.world.tls_terms import tls_settings

if TYPE_CHECKING:
    from meshsim.policy.engine import PolicyEngine
    from meshsim.scenario.changes import Change
    from meshsim.scenario.loader import LoadedScenario
    from meshsim.scenario.mesh import Mesh
    from meshsim.scenario.policy import Policy
    from meshsim.scenario.revocation import Revocation
    from meshsim.scenario.tls import Tls
    from meshsim.sidecar.tls.settings import TlsSettings
    from meshsim.world.state import State


def policies_of(state: State, loaded: LoadedScenario) -> Policies | None:
    """Return the policies of a scenario, those of its changes and those on trial; None if the mesh has none.

    Raises ScenarioError with every mistake in any of these sets.
    """
    scenario = loaded.scenario
    policy = scenario.mesh.policy
    if policy is None:
        return None
    sets = [(policy, loaded.policies)]
    current = policy
    for index in change_order(scenario):
        change = scenario.changes[index].policy
        if change is not None:
            current = _changed(current, change.files, change.default)
            sets.append((current, loaded.changed_policies[index]))
    if policy.shadow is not None:
        settings = _changed(policy, policy.shadow.files, policy.shadow.default)
        sets.append((settings, loaded.changed_policies[SHADOW]))
    engines: list[PolicyEngine] = []
    mistakes: list[Diagnostic] = []
    for settings, texts in sets:
        try:
            engines.append(_engine(state, loaded, settings, texts))
        except ScenarioError as error:
            mistakes += error.diagnostics
    if mistakes:
        raise ScenarioError(mistakes)
    trial = engines.pop() if policy.shadow is not None else None
    return Policies(engines, trial, cache=policy.cache, real=state.real)


def _changed(policy: Policy, files: tuple[str, ...], default: str | None) -> Policy:
    return policy.model_copy(update={"files": files, "default": default or policy.default})


def _engine(state: State, loaded: LoadedScenario, policy: Policy, texts: tuple[tuple[str, str], ...]) -> PolicyEngine:
    """Return the engine of one set of files, beside those that belong to settings of the engine."""
    own = loaded.scenario.mesh.policy
    assert own is not None
    kept = [] if texts is loaded.policies else [file for file in loaded.policies if file[0] not in own.files]
    files = [PolicyFile(name, text, str(loaded.base_dir / name)) for name, text in (*texts, *kept)]
    return engine_of(state, policy, files)


def _settings(tls: Tls, revocation: Revocation | None) -> tuple[TlsSettings, str]:
    return tls_settings(tls, revocation), tls.key


def contents_of(state: State, loaded: LoadedScenario) -> list[tuple[int, Content]]:
    """Return every version of the configuration with the instant at which it comes, the start first."""
    scenario = state.scenario
    over_time = settings_over_time(scenario)
    revocation = scenario.mesh.identity.revocation
    current = {name: _settings(each[0][1], revocation) for name, each in over_time.items()}
    names = scenario.change_names()
    policy = 0
    mesh = scenario.mesh
    identities = {name: mesh.identity_of(name) for name in mesh.trust_domains}
    renewals = dict.fromkeys(current, 0)
    domains = {name: mesh.trust_domain_of(name.partition(":")[0]) for name in current}
    everywhere = frozenset(mesh.trust_domains)
    texts = loaded.policies
    contents = [(0, Content(1, policy, dict(current), dict(identities), dict(renewals), "start", everywhere))]
    contents[0][1].texts = texts
    for version, index in enumerate(change_order(scenario), 2):
        change = scenario.changes[index]
        before = dict(current)
        current |= {
            name: _settings(tls, revocation) for name, each in over_time.items() for at, tls in each if at == index
        }
        terms = change.identities(mesh.trust_domain)
        identities |= {name: identity_after(identities[name], one) for name, one in terms.items()}
        for name, (_, key_type) in current.items():
            said = terms.get(domains[name])
            renew = None if said is None else said.renew
            renewals[name] += key_type != before[name][1] if renew is None else renew == "at-once"
        told = (
            ("policy", change.policy),
            ("TLS", change.tls or change.workloads),
            ("certificates", change.identity),
            *((f"certificates of {name}", one) for name, one in change.domains.items()),
        )
        news = [word for word, given in told if given]
        policy += change.policy is not None
        text = f"{names[index]}: {_and(news)}"
        concerned = everywhere if change.policy or change.tls else _concerned(mesh, change)
        content = Content(version, policy, dict(current), dict(identities), dict(renewals), text, concerned)
        content.change = names[index]
        texts = loaded.changed_policies.get(index, texts)
        content.texts = texts
        contents.append((change.at_ns, content))
    return contents


def _concerned(mesh: Mesh, change: Change) -> frozenset[str]:
    """Return the trust domains to which a change brings anything that is for single ones."""
    own = {mesh.trust_domain} if change.identity is not None else set()
    return frozenset(own | {*change.domains} | {mesh.trust_domain_of(name) for name in change.workloads})


def _and(words: list[str]) -> str:
    return " and ".join([*([", ".join(words[:-1])] if words[1:] else []), words[-1]])
