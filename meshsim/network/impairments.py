"""What befalls packets on one direction of a link, beside queueing: loss, extra delay, reordering, copies, damage."""

from __future__ import annotations

from collections.abc import Callable

from meshsim.network.loss import IndependentStrikes, LossModel


class Impairments:
    """The effects of one direction; None where there is no such effect.

    Each draws from a random stream of its own, so that switching one on does not shift what another draws.
    """

    __slots__ = ("corrupt", "delay", "duplicate", "loss", "reorder")

    def __init__(
        self,
        loss: LossModel | None = None,
        delay: Callable[[], int] | None = None,
        reorder: IndependentStrikes | None = None,
        duplicate: IndependentStrikes | None = None,
        corrupt: IndependentStrikes | None = None,
    ) -> None:
        self.loss = loss
        """Which packets are lost."""
        self.delay = delay
        """Draws the extra one-way delay of a train, in nanoseconds."""
        self.reorder = reorder
        """Which trains may overtake."""
        self.duplicate = duplicate
        """Which packets are sent twice."""
        self.corrupt = corrupt
        """Which packets arrive with damage that checksums did not catch."""


NO_IMPAIRMENTS = Impairments()
