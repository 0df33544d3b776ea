"""Outlier detection: endpoints to which calls keep failing are left out for a while.

As Envoy does it (Outlier detection, in its architecture overview): an endpoint is ejected with the failure that fills
the count, and comes back at the first look after its time is over. Nothing happens in between, so that looks that
find nothing need not take place: when they would have is arithmetic.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from meshsim.sidecar.routing import PPM, OutlierSettings

GATEWAY_ERRORS = frozenset({502, 503, 504})


class _Record(msgspec.Struct):
    """What is known of one endpoint."""

    failures: int = 0
    gateway_errors: int = 0
    local_failures: int = 0
    times: int = 0
    """Ejections that count for the length of the next."""
    back_ns: int = 0
    """When it comes back, or came back; before that it is left out."""


class Outliers:
    """The endpoints of one destination as one sidecar sees them; looks are at whole intervals of simulated time."""

    def __init__(self, settings: OutlierSettings) -> None:
        self._settings = settings
        self._records: dict[int, _Record] = {}

    def succeeded(self, endpoint_id: int) -> None:
        """Take note of an answer that is no error."""
        record = self._records.get(endpoint_id)
        if record is not None:
            record.failures = record.gateway_errors = record.local_failures = 0

    def failed(self, endpoint_id: int, status: int, *, answered: bool, known: Collection[int], now_ns: int) -> None:
        """Take note of a failure: an answer with an error status, or none at all (``status`` is what stands for it).

        ``known`` are all endpoints of the destination, of which only a part may be ejected.
        """
        settings = self._settings
        record = self._records.setdefault(endpoint_id, _Record())
        if not answered and settings.split_local_origin:
            record.local_failures += 1
            full = record.local_failures == settings.consecutive_local_origin
        else:
            if answered:
                record.local_failures = 0
            record.failures += 1
            full = record.failures == settings.consecutive_5xx
            if status in GATEWAY_ERRORS:
                record.gateway_errors += 1
                full = full or record.gateway_errors == settings.consecutive_gateway_errors
            else:
                record.gateway_errors = 0
        if full and record.back_ns <= now_ns:
            self._eject(record, known, now_ns)

    def _eject(self, record: _Record, known: Collection[int], now_ns: int) -> None:
        record.failures = record.gateway_errors = record.local_failures = 0
        ejected = sum(1 for one in known if self.is_ejected(one, now_ns))
        if (ejected + 1) * PPM > self._settings.max_ejected_ppm * len(known):
            return
        interval_ns = self._settings.interval_ns
        # Each look that finds it well makes the next ejection one step shorter.
        looks = now_ns // interval_ns - record.back_ns // interval_ns
        record.times = max(record.times - looks, 0) + 1
        length_ns = min(self._settings.base_ejection_ns * record.times, self._settings.max_ejection_ns)
        record.back_ns = -(-(now_ns + length_ns) // interval_ns) * interval_ns

    def is_ejected(self, endpoint_id: int, now_ns: int) -> bool:
        """Say whether an endpoint is left out now."""
        record = self._records.get(endpoint_id)
        return record is not None and record.back_ns > now_ns

    def usable(self, endpoint_ids: Collection[int], now_ns: int) -> frozenset[int] | None:
        """Return the endpoints that are not left out; None if all are used, because none is, or too few are left."""
        left = frozenset(one for one in endpoint_ids if not self.is_ejected(one, now_ns))
        if len(left) == len(endpoint_ids) or len(left) * PPM < self._settings.min_healthy_ppm * len(endpoint_ids):
            return None
        return left
