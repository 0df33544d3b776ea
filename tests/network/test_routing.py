"""Routes: the quickest way that is up, the same in every process."""

from __future__ import annotations

from random import Random

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.network.link import LinkDirection
from meshsim.network.routing import Topology


def topology(*links: tuple[str, str, int], nodes: str = "abcde", leaves: str = "") -> Topology:
    """Nodes named by letters, and links between them with their latencies."""
    directions = [
        LinkDirection(f"{one}--{other}", *ends, latency_ns, 1_000_000_000, 0, 1_000_000, Random(1))
        for one, other, latency_ns in links
        for ends in ((one, other), (other, one))
    ]
    return Topology(tuple(nodes), tuple(directions), frozenset(leaves))


def hops(found: Topology, source: str, destination: str) -> str | None:
    """A route as the letters of its nodes."""
    route = found.route(source, destination)
    if route is None:
        return None
    return source + "".join(direction.destination for direction in route)


def test_quickest_route() -> None:
    """A route has the lowest latency, however many hops that takes, and is the same both ways."""
    found = topology(("a", "b", 10), ("b", "c", 10), ("a", "c", 50))
    assert hops(found, "a", "c") == "abc"
    assert hops(found, "c", "a") == "cba"
    assert found.latency_ns("a", "c") == 20


def test_route_on_one_node() -> None:
    """From a node to itself there is nothing to cross."""
    found = topology(("a", "b", 10))
    assert found.route("a", "a") == ()
    assert found.latency_ns("a", "a") == 0


def test_no_way() -> None:
    """Without a way there is no route and no latency."""
    found = topology(("a", "b", 10))
    assert found.route("a", "c") is None
    assert found.latency_ns("a", "c") is None


def test_tie_goes_to_fewer_hops_then_to_the_earlier_link() -> None:
    """Of two ways of equal latency the one with fewer hops is taken, then the one whose links were added first."""
    assert hops(topology(("a", "b", 10), ("b", "c", 10), ("a", "c", 20)), "a", "c") == "ac"
    first = topology(("a", "b", 10), ("a", "c", 10), ("b", "d", 10), ("c", "d", 10))
    other = topology(("a", "c", 10), ("a", "b", 10), ("b", "d", 10), ("c", "d", 10))
    assert (hops(first, "a", "d"), hops(other, "a", "d")) == ("abd", "acd")


def test_link_down_and_up_again() -> None:
    """Routes go round a link that is down, and back to it, the tie broken as before; each change has a version."""
    found = topology(("a", "b", 10), ("a", "c", 10), ("b", "d", 10), ("c", "d", 10))
    assert found.version == 1
    found.set_link("a--b", up=False)
    assert (hops(found, "a", "d"), hops(found, "d", "a"), found.version) == ("acd", "dca", 2)
    found.set_link("a--c", up=False)
    assert hops(found, "a", "d") is None
    found.set_link("a--b", up=True)
    found.set_link("a--c", up=True)
    assert (hops(found, "a", "d"), found.version) == ("abd", 5)


def test_node_down_and_up_again() -> None:
    """A node that is down is no way for others and cannot be reached, not even from itself."""
    found = topology(("a", "b", 10), ("b", "c", 10), ("a", "c", 50))
    found.set_node("b", up=False)
    assert hops(found, "a", "c") == "ac"
    assert found.route("a", "b") is found.route("b", "b") is found.route("b", "a") is None
    found.set_node("b", up=True)
    assert hops(found, "a", "c") == "abc"
    assert found.route("b", "b") == ()


def test_link_and_node_down_at_once() -> None:
    """A link that is down stays so when the node at its end comes back."""
    found = topology(("a", "b", 10), ("a", "c", 30), ("c", "b", 30))
    found.set_link("a--b", up=False)
    found.set_node("b", up=False)
    found.set_node("b", up=True)
    assert hops(found, "a", "b") == "acb"


_links = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde"), st.integers(0, 9)).filter(
        lambda link: link[0] < link[1]
    ),
    unique_by=lambda link: link[:2],
    max_size=9,
)


@settings(max_examples=60)
@given(links=_links, down=st.sets(st.sampled_from("abcde"), max_size=2))
def test_latency_is_that_of_the_shortest_path(links: list[tuple[str, str, int]], down: set[str]) -> None:
    """Each latency is that of the shortest path through what is up, found by an algorithm of another kind."""
    found = topology(*links)
    for node in sorted(down):
        found.set_node(node, up=False)
    graph = nx.Graph()
    graph.add_nodes_from(set("abcde") - down)
    graph.add_weighted_edges_from(link for link in links if not {link[0], link[1]} & down)
    expected = nx.floyd_warshall(graph)
    for source in "abcde":
        for destination in "abcde":
            latency_ns = found.latency_ns(source, destination)
            reachable = source not in down and destination not in down and expected[source][destination] < 100
            assert latency_ns == (expected[source][destination] if reachable else None)


def test_base_stations_forward_nothing_for_others() -> None:
    """A route begins or ends at a base station, and never passes through one, however short that would be."""
    found = topology(("g", "a", 1), ("g", "b", 1), ("a", "b", 50), nodes="abg", leaves="g")
    assert (hops(found, "a", "b"), hops(found, "g", "b"), hops(found, "a", "g")) == ("ab", "gb", "ag")
    found.set_link("a--b", up=False)
    assert hops(found, "a", "b") is None
    assert hops(found, "g", "b") == "gb"
