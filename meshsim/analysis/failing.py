"""When requests begin to fail after a fault, and when none succeeds any more."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meshsim.analysis.data import RunData
from meshsim.analysis.selection import Selected, Selection


class Failing(NamedTuple):
    """How requests failed after a fault began; times are since its beginning, None for what did not happen."""

    first_ns: int | None
    """Until the first request was sent that failed; one that was sent after the end of the fault counts too."""
    total_ns: int | None
    """Until the first request was sent of those after which none succeeded, as long as the fault lasted."""
    watched_ns: int
    """How long the run went on after the fault's beginning."""
    requests: int
    """Requests sent while the fault lasted."""


def failing_after(run: RunData, fault: str, selection: Selection) -> Failing:
    """How the selected requests failed after the fault of this name began; KeyError if there is none."""
    window = run.fault_windows[fault]
    rows = Selected(run, selection)
    times_ns = run.ints("requests", "t_intended_ns")
    after = rows.requests & (times_ns >= window.from_ns)
    failed = times_ns[after & ~rows.answered]
    during = after & (times_ns < window.to_ns)
    answered = times_ns[during & rows.answered]
    last_ns = int(answered.max()) if answered.size else window.from_ns - 1
    later = times_ns[during & (times_ns > last_ns)]
    return Failing(
        first_ns=int(failed.min()) - window.from_ns if failed.size else None,
        total_ns=int(later.min()) - window.from_ns if later.size else None,
        watched_ns=run.duration_ns - window.from_ns,
        requests=int(np.count_nonzero(during)),
    )
