"""Which VirtualService of a gateway routes a call, where several do for one service: that of the host, as in Envoy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from meshsim.scenario.manifests.draft import Draft
from meshsim.scenario.manifests.gateways import GatewayRoute, not_found
from meshsim.scenario.manifests.kubernetes import KubeService
from meshsim.scenario.positions import Path

ANY = "*"


def routes_by_host(routes: Sequence[GatewayRoute], gateway: KubeService, service: str) -> Iterator[Draft]:
    """Yield the routes of one gateway to a service, each for its hosts if their VirtualServices have different ones.

    Envoy goes by the most exact host (``config.route.v3.VirtualHost``) and by no other, whether or not a route of that
    one matches. A call without an authority of its own has none of them: it goes by all routes in their order.
    """
    if len({frozenset(one.bound) for one in routes}) > 1:
        hosts = {host for one in routes for host in one.bound}
        for host in sorted(hosts - {ANY}, key=lambda host: (host.startswith(ANY), -len(host), host)):
            wanted = _wanted(host)
            for one in routes:
                if host in one.bound:
                    yield from _for_authority(one.draft, wanted, host)
            yield from _for_authority(not_found(gateway), wanted, host)
        if ANY in hosts:
            yield from (one.draft for one in routes if ANY in one.bound)
        else:
            for one in routes:
                yield from _for_authority(one.draft, {"exact": service}, service)
    else:
        yield from (one.draft for one in routes)
    yield not_found(gateway)


def _wanted(host: str) -> dict[str, str]:
    return {"regex": f".+{re.escape(host[1:])}"} if host.startswith(ANY) else {"exact": host}


def _for_authority(draft: Draft, wanted: dict[str, str], host: str) -> Iterator[Draft]:
    """Yield a route for calls with an authority alone; nothing if it has matches for others alone.

    What a match itself says of the authority stays: of texts that are not whole it is taken to be within the host.
    """
    matches: list[Path] = [("route", "match", index) for index in range(len(draft.at(("route", "match"))))]
    held = [at for at in matches if _can_be(draft.at((*at, "authority")), wanted, host)]
    if not held:
        return
    made = Draft()
    made.take(draft, ("route",), ("route",))
    made.remove(("route", "match"))
    for index, at in enumerate(held):
        made.take(draft, at, ("route", "match", index))
        if made.at(("route", "match", index, "authority")) is None:
            made.put(("route", "match", index, "authority"), dict(wanted), draft.place(at))
    yield made


def _can_be(own: dict[str, str] | None, wanted: dict[str, str], host: str) -> bool:
    text = None if own is None else own.get("exact")
    return text is None or (text == host if "exact" in wanted else text.endswith(host[1:]) and text != host[1:])
