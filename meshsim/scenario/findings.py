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

    rivals: tuple[Path, ...] = ()
    """Values that the one at ``path`` does not go together with, any of which may be the wrong one."""

    def placed(self, positions: Positions) -> Diagnostic:
        """The diagnostic at the place of this finding.

        Of values that do not go together, the one that was set on the command line is meant, or else the first that was
        written at all.
        """
        written = [path for path in (self.path, *self.rivals) if path in positions.values]
        path = next((path for path in written if not positions.values[path].line), (*written, self.path)[0])
        place = positions.key(path) if self.at_key else positions.value(path)
        return place.diagnostic(self.message)
