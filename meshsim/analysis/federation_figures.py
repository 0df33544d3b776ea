"""Trust between trust domains: what came of fetches and handshakes, for the summary, and how it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from meshsim.analysis.certificate_figures import Part
from meshsim.analysis.data import RunData
from meshsim.analysis.federation_metrics import BUNDLES, domains, fetches
from meshsim.analysis.numbers import show
from meshsim.analysis.selection import Selected, Selection
from meshsim.analysis.tallies import count

Pair = tuple[str, str]
_EVENTS = ("taken", "unchanged", "refused", "failed", "stale")


def federation(run: RunData) -> list[dict[str, Any]]:
    """For each trust domain and another: what came of fetching its bundle, and of handshakes between the two.

    Left out are two of which the one does not believe the other, and need not.
    """
    mesh = run.scenario.mesh
    if mesh.federation is None:
        return []
    by, of, events = (run.names(BUNDLES, name) for name in ("trust_domain", "of_trust_domain", "event"))
    rows = Selected(run, Selection())
    between, refused = _handshakes(run)
    figures = []
    for name in mesh.trust_domains:
        for other in mesh.trust_domains:
            mine = by.is_in((name,)) & of.is_in((other,))
            trusted = other in mesh.trusted_by(name)
            if name == other or not (trusted or between[name, other]):
                continue
            held = {key: run.ints(BUNDLES, key)[mine] for key in ("sequence", "authorities", "lag_ns")}
            figures.append(
                {
                    "trust_domain": name,
                    "of": other,
                    "trusted": trusted,
                    **{event: count(mine & events.is_in((event,))) for event in _EVENTS},
                    **{key: int(held[key][-1]) if mine.any() else None for key in ("sequence", "authorities")},
                    "lag_max_ns": int(held["lag_ns"].max()) if count(mine & fetches(rows, "taken")) else None,
                    "handshakes": between[name, other],
                    "refused_handshakes": refused[name, other],
                }
            )
    return figures


def _handshakes(run: RunData) -> tuple[Counter[Pair], Counter[Pair]]:
    """How many handshakes there were between each two trust domains, whichever dialled; how many the first refused."""
    between, refused = Counter[Pair](), Counter[Pair]()
    for piece in run.pieces("handshakes"):
        clients, known = domains(piece, "client")
        servers, _ = domains(piece, "server")
        refusers = piece.names("handshakes", "refused_by")
        for one, name in enumerate(known):
            for two, other in enumerate(known):
                dialled, answered = (clients == one) & (servers == two), (clients == two) & (servers == one)
                gave_up = (dialled & refusers.is_in(("client",))) | (answered & refusers.is_in(("server",)))
                between[name, other] += count(dialled | answered)
                refused[name, other] += count(gave_up)
    return between, refused


def explained_federation(summary: Mapping[str, Any]) -> Iterator[Part]:
    """The same for people, if there is more than one trust domain."""
    figures = summary.get("federation")
    if not figures:
        return
    rows = []
    for one in figures:
        fetched = [f"{show(one[event], 'count')} {event}" for event in _EVENTS if one[event]]
        held = f"{show(one['authorities'], 'count')} authorities" if one["authorities"] is not None else "-"
        if one["authorities"] == 1:
            held = "1 authority"
        lag = "" if one["lag_max_ns"] is None else f", new ones after up to {show(one['lag_max_ns'], 'duration')}"
        refusals = f"{show(one['refused_handshakes'], 'count')} of {show(one['handshakes'], 'count')}"
        if not one["trusted"]:
            held, fetched = "-", ["none, for it does not trust it"]
        rows.append((f"{one['trust_domain']} of {one['of']}", ", ".join(fetched) + lag, held, refusals))
    columns = ("bundle that is fetched by", "fetches", "holds at the end", "handshakes it refused")
    yield "Trust between trust domains", columns, rows, ""
