"""Discovery: announcements follow the health of nodes."""

from __future__ import annotations

from meshsim.control.discovery import Discovery
from meshsim.sidecar.endpoint import Endpoint


def endpoint(number: int, service: str, node: str) -> Endpoint:
    """A replica of a service on a node."""
    return Endpoint(number, service, node, node, f"spiffe://plant.example/ns/default/sa/{service}")


PLACEMENT = {
    "vision": (endpoint(1, "vision", "a"), endpoint(2, "vision", "b")),
    "store": (endpoint(3, "store", "b"),),
}


def test_first_announcement_is_the_placement() -> None:
    """At the start every replica is announced, as version 1."""
    current = Discovery(PLACEMENT).current
    assert (current.version, current.endpoints, current.reason) == (1, PLACEMENT, "start")


def test_unhealthy_node_takes_its_replicas_away() -> None:
    """Replicas on an unhealthy node are not announced; a service without any stays there, empty."""
    discovery = Discovery(PLACEMENT)
    announcement = discovery.update(frozenset({"b"}))
    assert announcement is discovery.current is not None
    assert announcement.version == 2
    assert announcement.endpoints == {"vision": (endpoint(1, "vision", "a"),), "store": ()}
    assert announcement.reason == "b is unhealthy"
    assert announcement.changed == {"vision", "store"}
    again = discovery.update(frozenset({"a", "b"}))
    assert again is not None
    assert again.changed == {"vision"}


def test_nothing_new_is_not_announced() -> None:
    """Without a change of any endpoint there is no new version."""
    discovery = Discovery(PLACEMENT)
    assert discovery.update(frozenset()) is None
    assert discovery.update(frozenset({"elsewhere"})) is None
    discovery.update(frozenset({"a"}))
    assert discovery.update(frozenset({"a"})) is None
    assert discovery.current.version == 2


def test_recovery_and_failure_at_once() -> None:
    """One announcement can tell of both; replicas come back in their old order."""
    discovery = Discovery(PLACEMENT)
    discovery.update(frozenset({"a", "c"}))
    announcement = discovery.update(frozenset({"b"}))
    assert announcement is not None
    assert announcement.reason == "b is unhealthy; a is healthy again; c is healthy again"
    back = discovery.update(frozenset())
    assert back is not None
    assert (back.version, back.endpoints) == (4, PLACEMENT)


def test_absent_endpoints_wait_to_be_admitted() -> None:
    """An endpoint that is not ready is announced once it is, and left out again when it starts anew."""
    first, second = PLACEMENT["vision"]
    discovery = Discovery(PLACEMENT, frozenset({1, 3}))
    assert discovery.current.endpoints == {"vision": (second,), "store": ()}
    discovery.admit(first)
    announcement = discovery.update(frozenset())
    assert announcement is not None
    assert announcement.endpoints == {"vision": (first, second), "store": ()}
    assert announcement.reason == "vision on a is ready"
    discovery.withhold(second)
    announcement = discovery.update(frozenset())
    assert announcement is not None
    assert announcement.endpoints["vision"] == (first,)
    assert announcement.reason == "vision on b starts"
