"""Checks of what happens when: flows, faults, phases, expectations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshsim.scenario import units
from meshsim.scenario.data_files import ArrivalTrace
from meshsim.scenario.expectations import FailureExpectation, RecoveryExpectation
from meshsim.scenario.faults import end_ns as end_of_fault
from meshsim.scenario.findings import Finding
from meshsim.scenario.metric_expectations import (
    BUNDLE_METRIC_NAMES,
    ISSUANCE_METRIC_NAMES,
    OF_WORKLOADS,
    RADIO_METRIC_NAMES,
    TOKEN_METRIC_NAMES,
    MetricExpectation,
)
from meshsim.scenario.model import Scenario
from meshsim.scenario.positions import Path
from meshsim.scenario.traffic import Traffic

_STRUCK = {
    **dict.fromkeys(("link-down", "latency-surge"), "link"),
    **dict.fromkeys(("ca-outage", "ca-rotation"), "authority"),
    **dict.fromkeys(("policy-outage", "policy-slow"), "policy"),
    **dict.fromkeys(("push-rejected", "revoke"), "workload"),
}
"""What several kinds of faults strike; each other kind has things of its own, which may be called as others are."""

MOST_REQUESTS = 50_000_000
"""Requests of one run."""
MOST_SAMPLES = 50_000_000
"""Rows of the tables nodes and links in one run."""

_text = units.format_duration


def check_run(scenario: Scenario) -> Iterator[Finding]:
    """Runs that would write samples without end."""
    things = len(scenario.network.nodes) + len(scenario.network.links)
    samples = scenario.duration_ns // scenario.sampling_interval_ns * things
    if samples > MOST_SAMPLES:
        message = f"the run would take {samples} samples of nodes and links; expected sample_every to be longer"
        yield Finding(("sample_every",), message)


def check_traffic(scenario: Scenario, arrivals: Mapping[str, ArrivalTrace]) -> Iterator[Finding]:
    """Flows that never send, and flows that send too much."""
    total = 0
    for index, flow in enumerate(scenario.traffic):
        path = ("traffic", index)
        stop_ns = scenario.duration_ns if flow.stop_ns is None else flow.stop_ns
        if stop_ns > scenario.duration_ns:
            message = f"the flow stops at {_text(stop_ns)}, after the run's {_text(scenario.duration_ns)}"
            yield Finding((*path, "stop"), f"{message}; expected at most the duration")
        elif flow.start_ns >= stop_ns:
            message = (
                f"the flow starts at {_text(flow.start_ns)} and stops at {_text(stop_ns)}; expected it to start before"
            )
            yield Finding((*path, "start"), message)
        else:
            total += _requests(flow, stop_ns, arrivals.get(flow.key))
            trace = arrivals.get(flow.key)
            if trace is not None and not any(flow.start_ns <= time_ns < stop_ns for time_ns in trace.times_ns):
                message = f"the trace has no arrival between {_text(flow.start_ns)} and {_text(stop_ns)}; expected one"
                yield Finding((*path, "arrivals", "trace"), message)
    if total > MOST_REQUESTS:
        message = f"the flows would send some {total} requests; expected at most {MOST_REQUESTS}"
        yield Finding(("traffic",), message, at_key=True)


def _requests(flow: Traffic, stop_ns: int, trace: ArrivalTrace | None) -> int:
    if trace is not None:
        return len(trace.times_ns)
    rate_uhz = flow.arrivals.poisson_uhz or flow.arrivals.constant_uhz or 0
    return rate_uhz * (stop_ns - flow.start_ns) // (units.PPM * units.NS_PER_S)


def check_faults(scenario: Scenario) -> Iterator[Finding]:
    """Faults outside the run, and faults that hit the same thing at the same time."""
    last: dict[tuple[str, str], tuple[int, int]] = {}
    order = sorted(range(len(scenario.faults)), key=lambda index: scenario.faults[index].at_ns)
    for index in order:
        fault = scenario.faults[index]
        path: Path = ("faults", index)
        end_ns = end_of_fault(fault, scenario.duration_ns)
        if fault.at_ns >= scenario.duration_ns:
            message = f"the fault begins at {_text(fault.at_ns)}, the run ends at {_text(scenario.duration_ns)}"
            yield Finding((*path, "at"), f"{message}; expected it to begin before")
        elif end_ns > scenario.duration_ns:
            message = f"the fault ends at {_text(end_ns)}, the run at {_text(scenario.duration_ns)}"
            yield Finding((*path, "for"), f"{message}; expected it to end with the run or before")
        target = (_STRUCK.get(fault.kind, fault.kind), fault.target)
        other = last.get(target)
        if other is not None and fault.at_ns < other[0]:
            message = f"{fault.target!r} has another fault until {_text(other[0])}; expected one fault at a time on it"
            yield Finding((*path, "at"), message, involved=(("faults", other[1]),))
        if other is None or end_ns > other[0]:
            last[target] = (end_ns, index)


def check_phases(scenario: Scenario) -> Iterator[Finding]:
    """Phases that are empty or go on after the run."""
    for name, phase in scenario.phases.items():
        if phase.from_ns >= phase.to_ns:
            message = f"the phase goes from {_text(phase.from_ns)} to {_text(phase.to_ns)}; expected it to end later"
            yield Finding(("phases", name, "to"), message)
        elif phase.to_ns > scenario.duration_ns:
            message = f"the phase ends at {_text(phase.to_ns)}, the run at {_text(scenario.duration_ns)}"
            yield Finding(("phases", name, "to"), f"{message}; expected at most the duration")


def check_expectations(scenario: Scenario) -> Iterator[Finding]:
    """Recoveries that any run would meet."""
    for index, expectation in enumerate(scenario.expect):
        if isinstance(expectation, RecoveryExpectation) and expectation.recovers.success_rate.at_least is None:
            message = "the success rate has no lower bound; expected at_least, such as '99.9 %'"
            yield Finding(("expect", index, "recovers", "success_rate"), message)


def check_recoveries(scenario: Scenario) -> Iterator[Finding]:
    """Recoveries that are due after the end."""
    ends_ns = {
        name: end_of_fault(fault, scenario.duration_ns)
        for name, fault in zip(scenario.fault_names(), scenario.faults, strict=True)
    }
    for index, expectation in enumerate(scenario.expect):
        if not isinstance(expectation, RecoveryExpectation) or expectation.recovers.after not in ends_ns:
            continue
        due_ns = ends_ns[expectation.recovers.after] + expectation.recovers.within_ns
        if due_ns >= scenario.duration_ns:
            message = f"recovery is due at {_text(due_ns)}, the run ends at {_text(scenario.duration_ns)}"
            path: Path = ("expect", index, "recovers", "within")
            fault: Path = ("faults", scenario.fault_names().index(expectation.recovers.after))
            yield Finding(path, f"{message}; expected it before the end", involved=(fault,))


def check_filters(scenario: Scenario) -> Iterator[Finding]:
    """Expectations about requests that no flow sends, each name by itself being declared."""
    known = {
        "slice": scenario.network.slices.keys(),
        "service": scenario.services.keys(),
        "source": {flow.key for flow in scenario.traffic},
    }
    for index, expectation in enumerate(scenario.expect):
        path: Path = ("expect", index)
        if isinstance(expectation, MetricExpectation):
            filters = {"slice": expectation.slice, "service": expectation.service, "source": expectation.source}
        elif isinstance(expectation, RecoveryExpectation):
            path, filters = (*path, "recovers"), {"slice": expectation.recovers.slice}
        elif isinstance(expectation, FailureExpectation):
            path, failure = (*path, "fails"), expectation.fails
            filters = {"slice": failure.slice, "service": failure.service, "source": failure.source}
        else:
            continue
        given = {key: value for key, value in filters.items() if value is not None}
        flows = ({"slice": flow.slice, "service": flow.to, "source": flow.key} for flow in scenario.traffic)
        if any(value not in known[key] for key, value in given.items()):
            continue
        if isinstance(expectation, MetricExpectation) and expectation.metrics().keys() <= OF_WORKLOADS:
            given.pop("service", None)  # other services may call it
        if given and not any(all(flow[key] == value for key, value in given.items()) for flow in flows):
            what = ", ".join(f"{key} {value!r}" for key, value in given.items())
            message = f"no flow has {what}, so nothing would be measured; expected what a flow has"
            yield Finding((*path, next(reversed(given))), message)
        elif isinstance(expectation, MetricExpectation):
            yield from _check_air(scenario, expectation, path)
            yield from _check_measured(scenario, expectation, path)


def _check_measured(scenario: Scenario, expectation: MetricExpectation, path: Path) -> Iterator[Finding]:
    """Expectations about what a scenario has not, so that they would always hold."""
    mesh = scenario.mesh
    authorizers = mesh.policy is not None and any(mesh.policy.authorizers)
    for names, there, said in (
        (
            ISSUANCE_METRIC_NAMES,
            any(mesh.identity_of(name).issuer for name in mesh.trust_domains),
            "the mesh has no issuer, so nothing would be measured; expected mesh.identity.issuer",
        ),
        (
            TOKEN_METRIC_NAMES,
            _any_fetched(scenario, expectation.service),
            "no such token is fetched, so nothing would be measured; expected mesh.tokens.issuers.*.endpoint",
        ),
        (
            (*BUNDLE_METRIC_NAMES, "handshakes_refused_across"),
            mesh.federation is not None,
            "there is one trust domain, so nothing would be measured; expected mesh.federation",
        ),
        (
            ("decisions_failed",),
            authorizers,
            "the mesh has no authorizer that could fail to answer; expected mesh.policy.authorizer",
        ),
        (
            ("requests_exposed",),
            _anything_told(scenario),
            "no sidecar says anything of itself in answers; expected mesh.http.proxy_headers",
        ),
    ):
        bounds = [name for name in names if getattr(expectation, name) is not None]
        if bounds and not there:
            yield Finding((*path, bounds[0]), said, at_key=True)


def _any_fetched(scenario: Scenario, service: str | None) -> bool:
    """Say whether anybody's tokens, or those of one service, come from an endpoint."""
    issuers = {} if scenario.mesh.tokens is None else scenario.mesh.tokens.issuers
    fetched = {name for name, issuer in issuers.items() if issuer.endpoint is not None}
    of_services = [one.token for name, one in scenario.services.items() if service in (None, name)]
    of_fleets = [one.token for one in scenario.fleets.values() if service is None]
    return any(token is not None and token.issuer in fetched for token in (*of_services, *of_fleets))


def _anything_told(scenario: Scenario) -> bool:
    """Say whether an answer can have fields that tell of the mesh; a Rego policy writes those of its refusals."""
    policy, services = scenario.mesh.policy, scenario.services.values()
    engines = [] if policy is None else [policy.engine]
    if policy is not None and policy.istio is not None:
        engines += [one.engine for one in policy.istio.extension_providers.values() if one.engine is not None]
    said = scenario.mesh.http.proxy_headers is not None or "rego" in engines
    return said or any(one.proxy_headers is not None or one.server is not None for one in services)


def _check_air(scenario: Scenario, expectation: MetricExpectation, path: Path) -> Iterator[Finding]:
    """Expectations about packets on the air where nobody sends by radio."""
    bounds = [name for name in RADIO_METRIC_NAMES if getattr(expectation, name) is not None]
    by_radio = (
        flow
        for flow in scenario.traffic
        if expectation.slice in (None, flow.slice)
        and (fleet := scenario.fleets.get(flow.source)) is not None
        and fleet.radio is not None
    )
    if bounds and next(by_radio, None) is None:
        where = "" if expectation.slice is None else f" in slice {expectation.slice!r}"
        message = f"no flow{where} comes by radio, so nothing would be measured; expected a fleet with a radio"
        yield Finding((*path, bounds[0]), message, at_key=True)
