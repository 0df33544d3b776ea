"""The policy engines a scenario can name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence

from meshsim.policy.engine import Default, Directory, PolicyEngine, PolicyFile
from meshsim.scenario.errors import Diagnostic, ScenarioError, UsageError
from meshsim.scenario.policy import IstioPolicy, Policy, RegoPolicy

Builder = Callable[[Sequence[PolicyFile], Directory, Default, Policy | None], PolicyEngine]


def _cedar(
    files: Sequence[PolicyFile], directory: Directory, default: Default, _settings: Policy | None
) -> PolicyEngine:
    from meshsim.policy.cedar import CedarEngine  # loaded on use: the command line must answer before engines load

    return CedarEngine.from_sources(files, directory, default)


def _istio(
    files: Sequence[PolicyFile], directory: Directory, default: Default, settings: Policy | None
) -> PolicyEngine:
    from meshsim.policy.istio import IstioEngine

    options = settings.istio if settings is not None and settings.istio is not None else IstioPolicy()
    mistakes: list[Diagnostic] = []
    providers: dict[str, PolicyEngine] = {}
    provider_files: dict[str, tuple[str, Sequence[PolicyFile]]] = {}
    for name, provider in options.extension_providers.items():
        if provider.engine is not None:
            asked = [file for file in files if file.name in provider.files]
            provider_files[name] = provider.engine, asked
            try:
                providers[name] = build_engine(provider.engine, asked, directory)
            except ScenarioError as error:
                mistakes += error.diagnostics
    others = {file for provider in options.extension_providers.values() for file in provider.files}
    own = [file for file in files if file.name not in others]
    return IstioEngine.from_sources(own, directory, default, options, providers, mistakes, provider_files)


def _rego(files: Sequence[PolicyFile], directory: Directory, default: Default, settings: Policy | None) -> PolicyEngine:
    from meshsim.policy.rego import RegoEngine

    options = settings.rego if settings is not None and settings.rego is not None else RegoPolicy()
    return RegoEngine.from_sources(files, directory, default, options.query)


ENGINES: Mapping[str, Builder] = {"cedar": _cedar, "istio": _istio, "rego": _rego}
"""Name of an engine in a scenario → what builds it."""


def build_engine(
    name: str,
    files: Sequence[PolicyFile],
    directory: Directory,
    default: Default = "deny",
    settings: Policy | None = None,
) -> PolicyEngine:
    """Build the engine called ``name``.

    ``files`` are all that ``settings`` name; without settings, each engine has its own defaults. Raises
    :class:`UsageError` for an unknown engine and :class:`ScenarioError` with every mistake in the files.
    """
    if name not in ENGINES:
        near = difflib.get_close_matches(name, ENGINES, 1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(ENGINES)}"
        raise UsageError(f"unknown policy engine {name!r}; {hint}")
    return ENGINES[name](files, directory, default, settings)
