"""When requests begin to fail after a fault, and when none succeeds any more."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from meshsim.analysis.data import RunData
from meshsim.analysis.selection import Selected, Selection

NEVER_NS = np.iinfo(np.int64).max
"""Later than any instant."""


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
    first_ns, last_ns, requests = NEVER_NS, window.from_ns - 1, 0
    for piece in rows.pieces("requests"):
        times_ns = piece.run.ints("requests", "t_intended_ns")
        after = piece.requests & (times_ns >= window.from_ns)
        during = after & (times_ns < window.to_ns)
        first_ns = int(times_ns[after & ~piece.answered].min(initial=first_ns))
        last_ns = int(times_ns[during & piece.answered].max(initial=last_ns))
        requests += int(np.count_nonzero(during))
    total_ns = NEVER_NS
    for piece in rows.pieces("requests"):
        times_ns = piece.run.ints("requests", "t_intended_ns")
        later = piece.requests & (times_ns > last_ns) & window.holds(times_ns)
        total_ns = int(times_ns[later].min(initial=total_ns))
    return Failing(
        first_ns=first_ns - window.from_ns if first_ns != NEVER_NS else None,
        total_ns=total_ns - window.from_ns if total_ns != NEVER_NS else None,
        watched_ns=run.duration_ns - window.from_ns,
        requests=requests,
    )
