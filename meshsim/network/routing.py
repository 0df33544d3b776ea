"""Routes by latency over the links and nodes that are up."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush
from itertools import count

from meshsim.network.link import LinkDirection

Route = tuple[LinkDirection, ...]
Links = Mapping[str, Mapping[str, LinkDirection]]
"""Link directions by the nodes at which they begin and end."""


class _Search:
    """Dijkstra's algorithm from one source, carried on only as far as somebody asks.

    Most nodes send to a few others that are near: among thousands of nodes a whole search for each source would take
    longer than the run.
    """

    def __init__(self, source: str, links: Links, leaves: frozenset[str]) -> None:
        self._source = source
        self._links = links
        self._leaves = leaves
        self._reached: set[str] = set()
        self._nearest = {source: 0}
        self._last: dict[str, LinkDirection] = {}
        self._fringe = [(0, 0, source)]
        self._order = count(1)  # of two ways of equal length the one that was found first

    def route(self, destination: str) -> Route | None:
        """Return the quickest route, or None if there is none."""
        while destination not in self._reached and self._fringe:
            self._step()
        if destination not in self._reached:
            return None
        hops = []
        node = destination
        while node != self._source:
            hops.append(self._last[node])
            node = self._last[node].source
        return tuple(reversed(hops))

    def _step(self) -> None:
        distance, _, node = heappop(self._fringe)
        if node in self._reached:
            return
        self._reached.add(node)
        if node in self._leaves and node != self._source:
            return
        for neighbour, direction in self._links[node].items():
            # One unit per hop breaks ties between paths of equal latency in favour of fewer hops; a nanosecond
            # outweighs any number of hops.
            through = distance + (direction.latency_ns << 16) + 1
            known = self._nearest.get(neighbour)
            if known is None or through < known:
                self._nearest[neighbour] = through
                self._last[neighbour] = direction
                heappush(self._fringe, (through, next(self._order), neighbour))


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
        self._nodes = nodes
        self._links = links
        self._down_nodes: set[str] = set()
        self._down_links: set[str] = set()
        self._searches: dict[str, _Search] = {}
        self._routes: dict[tuple[str, str], Route | None] = {}
        self._usable = self._find_usable()
        self.version = 1

    def _find_usable(self) -> dict[str, dict[str, LinkDirection]]:
        """Return the link directions that are up, as are both their ends."""
        usable: dict[str, dict[str, LinkDirection]] = {node: {} for node in self._nodes}
        for direction in self._links:
            ends_up = direction.source not in self._down_nodes and direction.destination not in self._down_nodes
            if ends_up and direction.link not in self._down_links:
                usable[direction.source][direction.destination] = direction
        return usable

    def undisturbed(self) -> Topology:
        """Return the same network with everything up."""
        return Topology(self._nodes, self._links, self._leaves)

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
        if source not in self._usable or destination not in self._usable:
            return None
        search = self._searches.get(source)
        if search is None:
            search = self._searches[source] = _Search(source, self._usable, self._leaves)
        return search.route(destination)

    def set_link(self, link: str, *, up: bool) -> None:
        """Take a link (both ways) out of the routes, or back in."""
        (self._down_links.discard if up else self._down_links.add)(link)
        self._rebuild()

    def set_node(self, node: str, *, up: bool) -> None:
        """Take a node with all its links out of the routes, or back in."""
        (self._down_nodes.discard if up else self._down_nodes.add)(node)
        self._rebuild()

    def _rebuild(self) -> None:
        self._usable = self._find_usable()
        self._searches.clear()
        self._routes.clear()
        self.version += 1
