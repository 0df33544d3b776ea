"""The hot path as machine code, where ``make fast`` has built it: the same modules, from the same sources.

The build lies in the environment, beside a fingerprint of the sources that it was made of: all of the package's, since
constants and types of one module go into the code of another. Where the fingerprint is another one now, the sources are
taken, and a line says so: a build never stands for sources that have changed. Either all ``MODULES`` are compiled or
none.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

PURE_VARIABLE = "MESHSIM_PURE"
"""Set to anything, it has the sources taken whatever has been built."""
PACKAGE = Path(__file__).parent
HOME = Path(sys.prefix) / "meshsim-compiled"
FINGERPRINT = "fingerprint"
"""File of the build that holds the fingerprint of its sources."""
GROUP = "meshsim_compiled"
LIBRARY = f"{GROUP}__mypyc"
"""Extension module with the code of all; mypyc makes its name from the group's."""

MODULES = (
    *("network.access", "network.link", "network.medium", "network.promise", "network.rated_access"),
    *("network.rated_flow", "network.rated_medium", "network.sliced_link", "network.train"),
    *("network.tcp_control", "network.tcp_exchange", "network.tcp_loss", "network.tcp_scoreboard"),
    *("network.tcp_launch", "network.tcp_probe", "network.tcp_sender", "network.tcp_timer", "network.tcp_undo"),
    "policy.memo",
    *("sidecar.balancer", "sidecar.calls", "sidecar.inbound", "sidecar.outbound", "sidecar.pool", "sidecar.pools"),
    *("sidecar.proxy", "sidecar.timers", "sidecar.upstreams", "sidecar.waypoint"),
    "telemetry.recorder",
    *("traffic.arrivals", "traffic.plan", "traffic.work"),
    *("world.accounts", "world.alarms", "world.compute", "world.connection", "world.connections", "world.crossing"),
    *("world.deciding", "world.destinations", "world.driver", "world.handling", "world.handshakes", "world.hosts"),
    *("world.sources", "world.state", "world.transport", "world.ways", "world.windows", "world.workload"),
)
"""What is compiled, below ``meshsim``. Structs of msgspec are not: mypyc knows nothing of them."""

FLAGS = ("-ffp-contract=off",)
"""For the C compiler: x * y + z is rounded twice, as Python does, on every processor."""

_FULL_NAMES = frozenset((LIBRARY, *(f"meshsim.{name}" for name in MODULES)))


def fingerprint(package: Path = PACKAGE) -> str:
    """Return what stands for the sources of the package, each by its path and all that it holds."""
    together = hashlib.sha256()
    for path in sorted([*package.rglob("*.py"), *package.glob("*.h")]):
        content = path.read_bytes()
        together.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode())
        together.update(content)
    return together.hexdigest()


def file_of(name: str) -> Path:
    """Return where in a build the extension module of that full name lies."""
    return Path(*name.split(".")).with_suffix(EXTENSION_SUFFIXES[0])


def fits() -> bool:
    """Say whether there is a build, and of just these sources."""
    try:
        return (HOME / FINGERPRINT).read_text(encoding="ascii") == fingerprint()
    except (OSError, ValueError):  # none, or none of ours
        return False


class _Finder(MetaPathFinder):
    """Finds compiled modules in the build; what it makes of that is settled once, when the first is wanted."""

    def __init__(self) -> None:
        self.in_use: bool | None = None
        """None until the first module is wanted."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of the build; None leaves it to the finders of sources."""
        if name not in _FULL_NAMES:
            return None
        if not self.settle():
            return None
        file = str(HOME / file_of(name))
        return spec_from_file_location(name, file, loader=ExtensionFileLoader(name, file))

    def settle(self) -> bool:
        """Say whether the build is taken, which is not asked a second time."""
        if self.in_use is None:
            self.in_use = self._look()
        return self.in_use

    def _look(self) -> bool:
        if not HOME.is_dir() or os.environ.get(PURE_VARIABLE):
            return False
        if not fits():
            _warn("the compiled modules are of other sources")
            return False
        self.in_use = True  # the library is found by this finder
        try:
            import_module(LIBRARY)
        except ImportError as error:
            _warn(f"the compiled modules cannot be loaded ({error})")
            return False
        return True


def _warn(what: str) -> None:
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is None or multiprocessing.parent_process() is None:  # once is enough
        print(f"meshsim: {what}, so the slower sources are used; `make fast` compiles anew", file=sys.stderr)


FINDER = _Finder()


def in_use() -> bool:
    """Say whether this process runs compiled modules: False if the sources, or none was wanted yet."""
    return bool(FINDER.in_use)


def describe() -> str:
    """Say in words which of them it runs, whether or not one was wanted yet."""
    FINDER.settle()
    return "hot path compiled" if in_use() else "pure Python (`make fast` compiles the hot path)"
