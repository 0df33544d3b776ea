"""meshsim: a wind tunnel for encrypted service meshes on 5G edge networks.

A *scenario* file describes slices, nodes, links, services, mesh settings, traffic and faults. A *run* carries it out in
virtual time and leaves a *run folder* with tables, a summary, a verdict and a report.

``meshsim.run(path)`` runs a scenario and returns a :class:`meshsim.analysis.run.Run`; ``meshsim.open_run(folder)``
opens a finished one. Both are looked up on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshsim.analysis.run import Run as Run
    from meshsim.analysis.run import open_run as open_run
    from meshsim.experiment import run as run

__version__ = "0.1.0"
__all__ = ["Run", "__version__", "open_run", "run"]

_HOMES = {"run": "meshsim.experiment", "open_run": "meshsim.analysis.run", "Run": "meshsim.analysis.run"}


def __getattr__(name: str) -> Any:
    """Import the home of a public name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
