"""All checks of a scenario that look at more than one value."""

from __future__ import annotations

from collections.abc import Iterator

from meshsim.scenario.check_calls import check_calls
from meshsim.scenario.check_changes import check_changes
from meshsim.scenario.check_federation import check_federation, check_joined
from meshsim.scenario.check_flows import check_guarantees
from meshsim.scenario.check_identity import check_identity
from meshsim.scenario.check_mesh import (
    check_all_headers,
    check_cpus,
    check_names,
    check_ports,
    check_resilience,
    check_service_accounts,
)
from meshsim.scenario.check_mobility import check_paths
from meshsim.scenario.check_network import (
    check_follow,
    check_links,
    check_memory,
    check_radios,
    check_routers,
    check_slices,
)
from meshsim.scenario.check_policy import check_authorizer
from meshsim.scenario.check_radio import check_five_qis, check_new_radios
from meshsim.scenario.check_reach import check_reach
from meshsim.scenario.check_revocation import check_revocation
from meshsim.scenario.check_routes import check_destinations, check_routes
from meshsim.scenario.check_time import (
    check_expectations,
    check_faults,
    check_filters,
    check_phases,
    check_recoveries,
    check_run,
    check_traffic,
)
from meshsim.scenario.check_tls import check_tls
from meshsim.scenario.check_tokens import check_tokens
from meshsim.scenario.check_waypoints import check_waypoints
from meshsim.scenario.findings import Finding
from meshsim.scenario.model import Scenario
from meshsim.scenario.named_files import Named


def check_values(scenario: Scenario, named: Named, *, timed: bool, all_faults: bool) -> Iterator[Finding]:
    """Values that do not go together; the names in the scenario may still lead nowhere.

    ``timed`` says that the duration of the run is known, ``all_faults`` that none is missing: the name that a fault has
    by itself depends on those before it.
    """
    yield from check_names(scenario)
    yield from check_links(scenario)
    yield from check_slices(scenario)
    yield from check_radios(scenario, named.radio_traces)
    yield from check_new_radios(scenario)
    yield from check_five_qis(scenario)
    yield from check_paths(scenario)
    yield from check_memory(scenario)
    yield from check_routers(scenario)
    yield from check_follow(scenario)
    if named.cost_profile is not None:
        yield from check_cpus(scenario, named.cost_profile)
    yield from check_calls(scenario)
    yield from check_ports(scenario)
    yield from check_service_accounts(scenario)
    yield from check_all_headers(scenario)
    yield from check_tls(scenario)
    yield from check_tokens(scenario)
    yield from check_identity(scenario)
    yield from check_federation(scenario)
    yield from check_resilience(scenario)
    yield from check_routes(scenario)
    yield from check_destinations(scenario)
    yield from check_expectations(scenario)
    if timed:
        yield from check_run(scenario)
        yield from check_traffic(scenario, named.arrival_traces)
        yield from check_guarantees(scenario)
        yield from check_faults(scenario)
        yield from check_phases(scenario)
        yield from check_changes(scenario)
        yield from check_authorizer(scenario)
        yield from check_waypoints(scenario)
        if all_faults:
            yield from check_recoveries(scenario)
            yield from check_revocation(scenario)


def check_whole(scenario: Scenario) -> Iterator[Finding]:
    """What needs all entries of the scenario to be there; the names in them may still lead nowhere."""
    yield from check_reach(scenario)
    yield from check_joined(scenario)
    yield from check_filters(scenario)
