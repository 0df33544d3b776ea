"""Radio access of a device that asks for a bit rate."""

from __future__ import annotations

from collections.abc import Callable

from meshsim.network.access import RadioAccess
from meshsim.network.medium import SharedMedium
from meshsim.network.promise import AirPromise
from meshsim.network.radio import RadioModel
from meshsim.network.rated_medium import RatedMedium
from meshsim.network.train import NO_LIMIT, Train


class RatedAccess(RadioAccess):
    """A radio link whose trains wait in a flow of their own, admitted with a bit rate or not."""

    __slots__ = ("_flow", "_rated")

    def __init__(
        self,
        direction: int,
        model: RadioModel,
        medium: RatedMedium,
        slice_name: str,
        promise: AirPromise,
        buffer_bytes: int = NO_LIMIT,
    ) -> None:
        super().__init__(direction, model, medium, slice_name, promise, buffer_bytes)
        self._rated = medium
        self._flow = medium.new_flow(slice_name, promise.window_ns)

    def guarantee(self, rate_bps: int, now_ns: int) -> None:
        """Guarantee the device this bit rate in the slice from now on; 0 for none."""
        super().guarantee(rate_bps, now_ns)
        self._flow.guarantee(rate_bps, now_ns)

    def _offer(self, train: Train, now_ns: int) -> int:
        """Have a train wait in the flow, if it has to; return what the medium says."""
        return self._rated.offer_of(self._flow, train, now_ns)

    def change(self, medium: SharedMedium, leaves: Callable[[Train], bool], now_ns: int) -> list[Train]:
        """Go over to another cell's air, where nothing is guaranteed yet; return the trains that waited."""
        assert isinstance(medium, RatedMedium), "the cells of a radio are alike"
        trains = self._rated.withdraw_flow(self._flow, now_ns)
        self.medium = self._rated = medium
        self._flow = medium.new_flow(self._slice, self.promise.window_ns)
        return self._take_along(trains)
