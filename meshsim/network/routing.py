"""Routes by latency over the links and nodes that are up."""

from __future__ import annotations

import itertools

import networkx as nx

from meshsim.network.link import LinkDirection

Route = tuple[LinkDirection, ...]


class Topology:
    """Nodes and link directions, and the quickest route between two nodes.

    Routes are found per source on first use and kept until something changes; ``version`` counts the changes. Ties are
    broken by the order in which links were added, so that routes are the same in every process.

    ``leaves`` are nodes that forward nothing for others, as base stations: routes begin or end there, and never pass.
    """

    def __init__(
        self, nodes: tuple[str, ...], links: tuple[LinkDirection, ...], leaves: frozenset[str] = frozenset()
    ) -> None:
        self._leaves = leaves
        self._graph: nx.DiGraph[str] = nx.DiGraph()
        self._graph.add_nodes_from(nodes)
        for direction in links:
            self._add(direction)
        self._links = links
        self._down_nodes: set[str] = set()
        self._down_links: set[str] = set()
        self._paths: dict[str, dict[str, list[str]]] = {}
        self._routes: dict[tuple[str, str], Route | None] = {}
        self.version = 1

    def _add(self, direction: LinkDirection) -> None:
        # One unit per hop breaks ties between paths of equal latency in favour of fewer hops; a nanosecond outweighs
        # any number of hops.
        weight = (direction.latency_ns << 16) + 1
        self._graph.add_edge(direction.source, direction.destination, weight=weight, direction=direction)

    def route(self, source: str, destination: str) -> Route | None:
        """Return the link directions from ``source`` to ``destination``; empty on one node, None if there is no way."""
        key = (source, destination)
        if key not in self._routes:
            self._routes[key] = self._find(source, destination)
        return self._routes[key]

    def latency_ns(self, source: str, destination: str) -> int | None:
        """Return the propagation delay of the route, or None if there is none."""
        route = self.route(source, destination)
        return None if route is None else sum(direction.latency_ns for direction in route)

    def _find(self, source: str, destination: str) -> Route | None:
        if source == destination:
            return () if source not in self._down_nodes else None
        if source not in self._graph or destination not in self._graph:
            return None
        if source not in self._paths:
            leaves = self._leaves
            weight = (
                (lambda node, _, edge: None if node in leaves and node != source else edge["weight"])
                if leaves
                else "weight"
            )
            self._paths[source] = nx.single_source_dijkstra_path(self._graph, source, weight=weight)
        path = self._paths[source].get(destination)
        if path is None:
            return None
        return tuple(self._graph.edges[hop]["direction"] for hop in itertools.pairwise(path))

    def set_link(self, link: str, *, up: bool) -> None:
        """Take a link (both ways) out of the routes, or back in."""
        (self._down_links.discard if up else self._down_links.add)(link)
        self._rebuild()

    def set_node(self, node: str, *, up: bool) -> None:
        """Take a node with all its links out of the routes, or back in."""
        (self._down_nodes.discard if up else self._down_nodes.add)(node)
        self._rebuild()

    def _rebuild(self) -> None:
        nodes = [node for node in self._graph if node not in self._down_nodes]
        down = [node for node in self._graph if node in self._down_nodes]
        self._graph = nx.DiGraph()
        self._graph.add_nodes_from(nodes)
        for direction in self._links:
            ends_up = direction.source not in self._down_nodes and direction.destination not in self._down_nodes
            if ends_up and direction.link not in self._down_links:
                self._add(direction)
        self._graph.add_nodes_from(down)
        self._paths.clear()
        self._routes.clear()
        self.version += 1
