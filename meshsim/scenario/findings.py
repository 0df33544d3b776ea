"""What a check finds."""

from __future__ import annotations

import msgspec

from meshsim.scenario.errors import Diagnostic
from meshsim.scenario.positions import Path, Positions


class Finding(msgspec.Struct, frozen=True):
    """A mistake found by a check."""

    path: Path
    message: str
    at_key: bool = False
    """Whether the key at ``path`` is meant, not its value."""
    involved: tuple[Path, ...] = ()
    """Other entries without which the mistake would not be one."""

    alone: bool = False
    """Whether the value at ``path`` is wrong whatever stands beside it."""

    def placed(self, positions: Positions) -> Diagnostic:
        """The diagnostic at the place of this finding."""
        place = positions.key(self.path) if self.at_key else positions.value(self.path)
        return place.diagnostic(self.message)
