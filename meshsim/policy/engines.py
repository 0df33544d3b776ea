"""The policy engines a scenario can name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence

from meshsim.policy.engine import Default, Directory, PolicyEngine, PolicyFile
from meshsim.scenario.errors import UsageError

Builder = Callable[[Sequence[PolicyFile], Directory, Default], PolicyEngine]


def _cedar(files: Sequence[PolicyFile], directory: Directory, default: Default) -> PolicyEngine:
    from meshsim.policy.cedar import CedarEngine  # loaded on use: the command line must answer before engines load

    return CedarEngine.from_sources(files, directory, default)


ENGINES: Mapping[str, Builder] = {"cedar": _cedar}
"""Name of an engine in a scenario → what builds it."""


def build_engine(
    name: str, files: Sequence[PolicyFile], directory: Directory, default: Default = "deny"
) -> PolicyEngine:
    """Build the engine called ``name``.

    Raises :class:`UsageError` for an unknown engine and :class:`ScenarioError` with every mistake in the files.
    """
    if name not in ENGINES:
        near = difflib.get_close_matches(name, ENGINES, 1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(ENGINES)}"
        raise UsageError(f"unknown policy engine {name!r}; {hint}")
    return ENGINES[name](files, directory, default)
