"""What in policies is valid and can hardly be meant as it is taken: told beside answers and runs, and by ``check``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from meshsim.identity.key_sets import standing
from meshsim.identity.tokens import Issuer
from meshsim.inquiry.constants import constants_of
from meshsim.policy.engine import PolicyFile
from meshsim.policy.istio_attachment import is_attached
from meshsim.policy.istio_odd import METHODS, clauses_of, odd_values
from meshsim.policy.istio_read import read_policies
from meshsim.policy.istio_trust import LOCAL
from meshsim.policy.istio_unenforced import unenforced_in
from meshsim.scenario.token_reasons import UNKNOWN_ISSUER
from meshsim.scenario.words import expected, show
from meshsim.world.directory import declared
from meshsim.world.token_rules import iss_of

if TYPE_CHECKING:
    from meshsim.scenario.loader import LoadedScenario
    from meshsim.scenario.model import Scenario


def _odd_ports(files: Sequence[PolicyFile], scenario: Scenario) -> Iterator[str]:
    """Ports in Istio's policies of the wrong side: services' where those of replicas count, and the other way round."""
    services = scenario.services
    listened = {port for service in services.values() for port in service.listeners}
    leads: dict[int, str] = {}
    for name, service in services.items():
        for number in service.protocols:
            leads.setdefault(number, f"port {number} of {name} leads to {service.target_port(number)}")
    policies, directory = read_policies(files)[0], declared(scenario)
    for policy in policies.authorization:
        behind = [name for name in services if name in directory.waypoints]
        behind = [name for name in behind if policy.scope.targets and is_attached(policy.scope, name, directory)]
        own = {number: name for name in behind for number in services[name].protocols}
        leading = {services[name].target_port(number): (number, name) for number, name in own.items()}
        for clause in clauses_of(msgspec.structs.replace(policies, authorization=(policy,))):
            if clause.attribute != "destination.port":
                continue
            for value in (*clause.values, *clause.not_values):
                number = int(value[:6]) if value.isdecimal() else 0
                if behind and number in leading and number not in own:
                    port, name = leading[number]
                    message = (
                        f"ports {show(value)} are of no service: a waypoint sees the port of the service, and port "
                    )
                    yield str(clause.place.diagnostic(f"{message}{port} of {name} leads to {number}"))
                elif not behind and number in leads and number not in listened:
                    message = f"ports {show(value)} are on no replica: policies see the port of the container, and "
                    yield str(clause.place.diagnostic(f"{message}{leads[number]}"))


def _unenforced(files: Sequence[PolicyFile], scenario: Scenario) -> Iterator[str]:
    """What stands in the policies of a scenario, and nobody enforces."""
    yield from (str(one) for one in unenforced_in(read_policies(files)[0], declared(scenario)))


def _odd_domains(files: Sequence[PolicyFile], scenario: Scenario) -> Iterator[str]:
    """Principals in Istio's policies of trust domains that nobody here has."""
    policy = scenario.mesh.policy
    aliases = policy.istio.trust_domain_aliases if policy is not None and policy.istio is not None else ()
    known = {*scenario.mesh.trust_domains, *aliases, LOCAL}
    for clause in clauses_of(read_policies(files)[0]):
        if clause.attribute != "source.principal":
            continue
        for value in (*clause.values, *clause.not_values):
            domain, slash, _ = value.partition("/")
            if slash and "*" not in domain and domain not in known:
                message = f"{clause.field} {show(value)} is of the trust domain {domain}, which nobody has here"
                yield str(clause.place.diagnostic(f"{message}, {_NEVER}; {expected(domain, sorted(known))}"))


def _odd_issuers(files: Sequence[PolicyFile], scenario: Scenario) -> Iterator[str]:
    """Issuers that Istio's rules for tokens accept, and none of a scenario's has the name of."""
    tokens = scenario.mesh.tokens
    if tokens is None:
        return  # nobody has a token, which rules are right about
    known = [iss_of(name, one, scenario) for name, one in tokens.issuers.items()]
    for authentication in read_policies(files)[0].authentication:
        for rule in authentication.rules:
            if rule.issuer and rule.issuer not in known:
                message = (
                    f"{authentication.name} accepts tokens of {show(rule.issuer)}, which none of mesh.tokens.issuers "
                    f"says of itself: by this rule every token that it finds is refused ({UNKNOWN_ISSUER}); "
                    f"{expected(rule.issuer, known)}"
                )
                yield str(rule.place.diagnostic(message))


def _odd_keys(files: Sequence[PolicyFile], scenario: Scenario) -> Iterator[str]:
    """Key sets in Istio's rules that refuse what a scenario's issuer signs, and issuers that are said to be in none."""
    tokens = scenario.mesh.tokens
    issuers = {} if tokens is None else tokens.issuers
    found: set[str] = set()
    for authentication in read_policies(files)[0].authentication:
        for rule in authentication.rules:
            for name, issuer in issuers.items() if rule.jwks else ():
                iss = iss_of(name, issuer, scenario)
                if rule.issuer not in ("", iss):
                    continue
                found.add(name)
                signs = Issuer(name, iss, issuer.algorithm, scenario.seed, trust_domain=issuer.trust_domain or "")
                reason = "" if issuer.key_in_jwks else standing(signs, issuer.algorithm, rule.jwks)
                if reason:
                    message = (
                        f"{authentication.name} brings a key set (jwks) in which the key of mesh.tokens.issuers.{name} "
                        f"is not: by this rule every token of it is refused ({reason}); expected its key there, or "
                        "key_in_jwks: true if it stands for one of those that are"
                    )
                    yield str(rule.place.diagnostic(message))
    for name, issuer in issuers.items():
        if issuer.key_in_jwks and name not in found:
            yield (
                f"mesh.tokens.issuers.{name}.key_in_jwks has no effect: no RequestAuthentication for its tokens brings "
                "a key set (jwks)"
            )


_NEVER = "so it never matches"


def odd_in_files(engine: str, files: Sequence[PolicyFile]) -> Iterator[str]:
    """The odd values in the files of one engine, which has accepted them."""
    if engine == "istio":
        yield from (str(one) for one in odd_values(read_policies(files)[0]))
        return
    constants = constants_of(engine, files)
    where = ", ".join(file.place for file in files)
    for name in sorted(constants.names):
        if name != name.upper() and name.upper() in METHODS:
            yield f"{where}: methods are in upper case, so none is ever {show(name)}; expected {show(name.upper())}"


def odd_in(loaded: LoadedScenario) -> tuple[str, ...]:
    """The odd values in all policies of a scenario that is sound: those it starts with, of changes, and on trial."""
    by_engine = _files_by_engine(loaded)
    found = [odd for engine, files in by_engine.items() for odd in odd_in_files(engine, files)]
    found += _unenforced(by_engine.get("istio", []), loaded.scenario)
    found += _odd_ports(by_engine.get("istio", []), loaded.scenario)
    found += _odd_domains(by_engine.get("istio", []), loaded.scenario)
    found += _odd_issuers(by_engine.get("istio", []), loaded.scenario)
    found += _odd_keys(by_engine.get("istio", []), loaded.scenario)
    return tuple(dict.fromkeys(found))


def _files_by_engine(loaded: LoadedScenario) -> dict[str, list[PolicyFile]]:
    policy = loaded.scenario.mesh.policy
    if policy is None:
        return {}
    providers = policy.istio.extension_providers if policy.istio is not None else {}
    engines = {file: one.engine for one in providers.values() if one.engine is not None for file in one.files}
    by_engine: dict[str, dict[str, PolicyFile]] = {}
    for name, text in (*loaded.policies, *(each for some in loaded.changed_policies.values() for each in some)):
        file = PolicyFile(name, text, str(loaded.base_dir / name))
        by_engine.setdefault(engines.get(name, policy.engine), {})[name] = file
    return {engine: list(files.values()) for engine, files in by_engine.items()}
