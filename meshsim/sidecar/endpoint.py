"""An endpoint: one replica of a service, as the control plane announces it."""

from __future__ import annotations

import msgspec


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """One replica of a service, as the control plane announces it."""

    endpoint_id: int
    service: str
    node: str
    site: str
    spiffe_id: str
    version: str = ""
    """Version of the service that it runs; empty if there are none."""
