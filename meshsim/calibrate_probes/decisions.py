"""A decision of each policy engine, among more and more policies."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from meshsim.calibrate_probes.timing import Probe, Stopwatch, call
from meshsim.policy.engine import Directory, PolicyFile
from meshsim.policy.engines import build_engine
from meshsim.policy.question import Question
from meshsim.policy.rego import RegoEngine

POLICY_COUNTS = (1, 10, 100, 500)
"""Sizes of policy set that are measured."""

_TRUST_DOMAIN = "calibration.example"


def _cedar(services: Sequence[str]) -> str:
    return "\n".join(
        f'@id("allow-{service}") permit (principal, action, resource == Service::"{service}") '
        'when { context.path like "/item/*" };'
        for service in services
    )


def _istio(services: Sequence[str]) -> str:
    """Policies that all hold for the called workload; those of others cost a sidecar nothing."""
    last = services[-1]
    return "\n---\n".join(
        "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, "
        f"metadata: {{name: {service}}}, spec: {{rules: [{{to: [{{operation: {{methods: [GET], "
        f'paths: ["/{"item" if service == last else service}/*"]}}}}]}}]}}}}'
        for service in services
    )


def _rego(services: Sequence[str]) -> str:
    return "package envoy.authz\n" + "\n".join(
        f'allow if {{\n\tinput.meshsim.destination.service == "{service}"\n'
        '\tstartswith(input.attributes.request.http.path, "/item/")\n}'
        for service in services
    )


PRICED: Mapping[str, Callable[[Sequence[str]], str]] = MappingProxyType(
    {"cedar": _cedar, "istio": _istio, "rego": _rego}
)
"""Engine → policies, one for each of some services, the last of which permits a question about the last service."""


def decision_probes(watch: Stopwatch, engines: Collection[str] = PRICED) -> list[Probe]:
    """A decision of each engine at each of ``POLICY_COUNTS``."""
    return [call(watch, f"{engine}/{count}", _decision(engine, count)) for engine in engines for count in POLICY_COUNTS]


def _decision(name: str, count: int) -> Callable[[], object]:
    services = [f"service-{number}" for number in range(count)]
    workloads = {f"spiffe://{_TRUST_DOMAIN}/ns/default/sa/{service}": service for service in [*services, "caller"]}
    directory = Directory(
        services=frozenset([*services, "caller"]),
        trust_domains=frozenset([_TRUST_DOMAIN]),
        trust_domain=_TRUST_DOMAIN,
        workloads=workloads,
        namespaces=dict.fromkeys([*services, "caller"], "default"),
    )
    engine = build_engine(name, [PolicyFile("calibration", PRICED[name](services))], directory)
    question = Question(
        principal=f"spiffe://{_TRUST_DOMAIN}/ns/default/sa/caller",
        source="caller",
        destination=services[-1],
        method="GET",
        path="/item/1",
        slice="",
        site="",
        mutual=True,
    )
    decision = engine.decide(question)
    assert decision.allowed, f"a policy permits the question, but {decision}"
    # To tell which rule decided, this engine is asked once more; nobody pays for that.
    return partial(engine.judge if isinstance(engine, RegoEngine) else engine.decide, question)
