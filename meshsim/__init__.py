"""meshsim: a wind tunnel for encrypted service meshes on 5G edge networks.

A *scenario* file describes slices, nodes, links, services, mesh settings, traffic and faults. A *run* carries it out in
virtual time and leaves a *run folder* with tables, a summary, a verdict and a report.

``meshsim.run(path)`` runs a scenario and returns a :class:`meshsim.analysis.run.Run`; ``meshsim.open_run(folder)``
opens a finished one. What goes wrong is a :class:`MeshsimError`: a ``UsageError``, ``ScenarioError``,
``InvariantViolation`` or ``InfrastructureError``. All are looked up on first use, so that importing the package costs
nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshsim.analysis.run import Run as Run
    from meshsim.analysis.run import open_run as open_run
    from meshsim.experiment import run as run
    from meshsim.scenario.errors import InfrastructureError as InfrastructureError
    from meshsim.scenario.errors import InvariantViolation as InvariantViolation
    from meshsim.scenario.errors import MeshsimError as MeshsimError
    from meshsim.scenario.errors import ScenarioError as ScenarioError
    from meshsim.scenario.errors import UsageError as UsageError

__version__ = "0.1.0"
__all__ = [
    "InfrastructureError",
    "InvariantViolation",
    "MeshsimError",
    "Run",
    "ScenarioError",
    "UsageError",
    "__version__",
    "open_run",
    "run",
]

_HOMES = {
    "run": "meshsim.experiment",
    "open_run": "meshsim.analysis.run",
    "Run": "meshsim.analysis.run",
    "MeshsimError": "meshsim.scenario.errors",
    "UsageError": "meshsim.scenario.errors",
    "ScenarioError": "meshsim.scenario.errors",
    "InvariantViolation": "meshsim.scenario.errors",
    "InfrastructureError": "meshsim.scenario.errors",
}


class _Compiled:
    """Stands for the finder of compiled modules until one of the package's modules is wanted, and gives way to it."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:
        """Ask the finder, once it is there; its own module is found as others are."""
        if not name.startswith("meshsim.") or name == "meshsim.compiled":
            return None
        from meshsim.compiled import FINDER

        if cls in sys.meta_path:
            sys.meta_path[sys.meta_path.index(cls)] = FINDER
        return FINDER.find_spec(name)


sys.meta_path.insert(0, _Compiled)


def __getattr__(name: str) -> Any:
    """Import the home of a public name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """What is there, with the public names that nobody has used yet."""
    return sorted({*globals(), *__all__})
