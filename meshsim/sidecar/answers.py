"""Header fields of answers that tell of the mesh: what the called sidecar adds of its own."""

from __future__ import annotations

from typing import Final

import msgspec

Fields = tuple[tuple[str, str], ...]

SERVER: Final = "server"
SERVICE_TIME: Final = "x-envoy-upstream-service-time"
PEER_METADATA: Final = "x-envoy-peer-metadata"
PEER_METADATA_ID: Final = "x-envoy-peer-metadata-id"
_MS_NS: Final = 1_000_000


class AnswerRules(msgspec.Struct, frozen=True):
    """What a called sidecar says in answers."""

    server: str
    """What it puts into ``server`` in place of what the workload says; empty: it leaves that as it is."""
    own_server: str
    """What the workload says there; empty for nothing."""
    service_time: bool
    """Whether it tells how long the workload took."""
    metadata: Fields
    """What it tells of itself to somebody who sends fields of the same names; none: nothing."""

    def fields(self, asked: Fields, taken_ns: int | None) -> Fields:
        """The fields of an answer to a request with the fields ``asked``.

        ``taken_ns``: how long the workload took; None where the sidecar answers itself, as Envoy then adds ``server``
        alone.
        """
        server = self.server or (self.own_server if taken_ns is not None else "")
        found: list[tuple[str, str]] = [(SERVER, server)] if server else []
        if taken_ns is not None:
            if self.service_time:
                found.append((SERVICE_TIME, str(taken_ns // _MS_NS)))
            names = {name for name, _ in asked}
            found += (field for field in self.metadata if field[0] in names)
        return tuple(found)


def overlaid(own: Fields, said: Fields) -> Fields:
    """What a sidecar adds, and of what somebody else says the fields that it does not write itself."""
    names = {name for name, _ in own}
    return own + tuple(field for field in said if field[0] not in names)


def tells_of_the_mesh(fields: Fields) -> str:
    """The names of the fields that tell who made an answer and how, in one text; empty if none does."""
    return " ".join(name for name, _ in fields if name == SERVER or name.startswith("x-envoy-"))
