"""What each operation costs on each CPU: the charged side of the first law, read from one file.

A profile is measured on one reference CPU; published operation rates carry it to the others, each primitive by its own
ratio (``cost_profile_scaling``). A profile gives the same nanoseconds on every machine.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from meshsim.scenario.cost_profile_file import read_profile_file
from meshsim.scenario.cost_profile_scaling import scale, unknown_name
from meshsim.scenario.cpu_costs import BLOCK_BYTES, RECORD_BYTES, CpuCosts
from meshsim.scenario.errors import Diagnostic, ScenarioError
from meshsim.scenario.reading import read_bounded

__all__ = [
    "BLOCK_BYTES",
    "DEFAULT_PROFILE",
    "RECORD_BYTES",
    "SHIPPED_PROFILE",
    "CostProfile",
    "CpuCosts",
    "load_cost_profile",
    "parse_cost_profile",
]

DEFAULT_PROFILE = "default"
"""The name under which a scenario asks for the shipped profile."""
SHIPPED_PROFILE = Path(__file__).parent / "data" / "cost-profile-2026.yaml"
"""The shipped profile's file."""


class CostProfile(msgspec.Struct, frozen=True):
    """A cost profile: a name, a digest, and the costs of every CPU in it."""

    name: str
    """The profile's own name."""
    sha256: str
    """SHA-256 of the file's bytes, in hexadecimal."""
    reference_cpu: str
    """The CPU on which the operations were measured."""
    checks: Mapping[str, int]
    """Whole handshakes measured on the reference CPU (ns), to check sums of operations by; not charged."""
    cpus: Mapping[str, CpuCosts]
    """CPU name to its costs, the reference CPU first, then in the file's order."""
    without_aes: Mapping[str, CpuCosts]
    """The same where AES instructions are not used; empty if the profile does not say."""

    def cpu(self, name: str, *, hardware_crypto: bool | None = None) -> CpuCosts:
        """The costs of the CPU ``name``; raises KeyError, with the nearest names, if the profile does not have it.

        Without ``hardware_crypto`` AES is done in software, as on a CPU that has no instructions for it.
        """
        try:
            return self.without_aes[name] if hardware_crypto is False else self.cpus[name]
        except KeyError:
            raise KeyError(unknown_name("CPU", name, self.cpus)) from None


def load_cost_profile(path_or_name: str | Path = DEFAULT_PROFILE) -> CostProfile:
    """Load the shipped profile (``"default"``, or by its own name) or a profile file.

    Raises ScenarioError with every mistake in the file, or if it cannot be read.
    """
    shipped = str(path_or_name) in (DEFAULT_PROFILE, SHIPPED_PROFILE.stem)
    path = SHIPPED_PROFILE if shipped else Path(path_or_name)
    try:
        data = read_bounded(path)
    except (OSError, ValueError) as error:
        reason = str(error.strerror if isinstance(error, OSError) else error)
        message = reason if ";" in reason else f"the file cannot be read ({reason}); expected a readable file"
        raise ScenarioError([Diagnostic(str(path), 0, 0, f"cost profile: {message}")]) from None
    return parse_cost_profile(data, path.name if shipped else str(path))


@functools.lru_cache(maxsize=8)
def parse_cost_profile(data: bytes, file: str) -> CostProfile:
    """The cost profile in ``data``; ``file`` names it in diagnostics. Raises ScenarioError with every mistake."""
    content, positions = read_profile_file(data, file)
    scaled = scale(content, positions)
    return CostProfile(
        name=content.cost_profile,
        sha256=hashlib.sha256(data).hexdigest(),
        reference_cpu=content.reference.cpu,
        checks=MappingProxyType({name: check.at(content.charge) for name, check in content.checks.items()}),
        cpus=scaled.cpus,
        without_aes=scaled.without_aes,
    )
