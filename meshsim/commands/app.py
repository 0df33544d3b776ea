"""The commands and their options. Whatever a command needs is imported when it is called: help must come at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from meshsim import __version__, compiled
from meshsim.commands import handshaking
from meshsim.commands.answer import Answer
from meshsim.commands.policy import policy_app

EXIT_CODES = (
    "Exit codes: 0 pass; 1 an expectation failed, or a regression; 2 usage or scenario error; 3 inconclusive; "
    "4 invariant violated; 5 infrastructure failure; 130 interrupted."
)

app = typer.Typer(
    name="meshsim",
    help="A wind tunnel for encrypted service meshes on 5G edge networks.",
    epilog=EXIT_CODES,
    add_completion=False,
    rich_markup_mode=None,  # plain help: it fits every terminal, and comes in a fifth of the time
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Seed = Annotated[int | None, typer.Option("--seed", metavar="N", help="Seed in place of the scenario's.")]
Fidelity = Annotated[
    Literal["real", "sampled", "modelled"] | None,
    typer.Option("--fidelity", help="How often the real components run, in place of the scenario's; same results."),
]
Set = Annotated[
    list[str],
    typer.Option("--set", metavar="PATH=VALUE", help="Set any field, e.g. mesh.tls.mode=PERMISSIVE. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, and of the results only the essence.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Folder of a finished run.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"meshsim {__version__}\n{compiled.describe()}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version, and whether the hot path is compiled.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """A wind tunnel for encrypted service meshes on 5G edge networks."""


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the scenario, made if need be.")],
    quiet: Quiet = False,
    _json: Json = False,
) -> Answer:
    """Write a commented scenario to begin with.

    Nothing is ever overwritten.
    """
    from meshsim.commands.starting import write_files

    return write_files(directory, quiet=quiet)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with manifests, or one of them.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Scenario to write, in a folder above the manifests.")
    ] = Path("scenario.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the scenario if it is there.")] = False,
    settings: Set = [],  # noqa: B006 - typer reads the default, nobody changes it
    quiet: Quiet = False,
    _json: Json = False,
) -> Answer:
    """Write a scenario around Kubernetes and Istio manifests.

    The scenario names the manifests, which stay as they are. What they cannot say (nodes, work, calls, traffic) is
    assumed, and marked so in the file: it runs at once, and waits for your figures.
    """
    from meshsim.commands.importing import import_folder

    return import_folder(source, out, settings, force=force, quiet=quiet)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Scenario files.")],
    seed: Seed = None,
    fidelity: Fidelity = None,
    settings: Set = [],  # noqa: B006 - typer reads the default, nobody changes it
    resolved: Annotated[
        bool,
        typer.Option(
            "--resolved",
            help="Show sound scenarios with overrides, presets and defaults in place; what is computed from other"
            " fields stays out.",
        ),
    ] = False,
    quiet: Quiet = False,
    _json: Json = False,
) -> Answer:
    """Find every mistake in scenario files.

    Policies and all other files that a scenario names are read too. Nothing is run: that a fault touches nothing, also
    a mistake, is found by run alone.
    """
    from meshsim.commands.checking import check_files

    return check_files(files, seed, fidelity, settings, resolved=resolved, quiet=quiet)


@app.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Scenario file.")],
    seed: Seed = None,
    fidelity: Fidelity = None,
    settings: Set = [],  # noqa: B006 - typer reads the default, nobody changes it
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Run folder; replaces an earlier run in it. Default: results/SCENARIO/RUN."
        ),
    ] = None,
    quiet: Quiet = False,
    _json: Json = False,
) -> Answer:
    """Run a scenario and judge it.

    Prints the figures of each slice, where the latency went, what faults touched, and the verdict on each expectation,
    which also decides the exit code.
    """
    from meshsim.commands.running import run_file

    return run_file(file, seed, fidelity, settings, out, quiet=quiet)


@app.command()
def report(run_dir: RunFolder, quiet: Quiet = False, _json: Json = False) -> Answer:
    """Draw the report of a run anew.

    The tables are verified against the digest first. The exit code says nothing about the expectations.
    """
    from meshsim.commands.reporting import draw_report

    return draw_report(run_dir, quiet=quiet)


@app.command()
def runs(
    scenario: Annotated[str | None, typer.Argument(metavar="SCENARIO", help="Only runs of this scenario.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--in", metavar="DIR", help="Folder with the run folders. Default: results.")
    ] = None,
    quiet: Quiet = False,
    _json: Json = False,
) -> Answer:
    """List finished runs, newest first.

    Those below results/ in the working directory, or below another folder that runs were written to with --out.
    """
    from meshsim.commands.listing import list_finished

    return list_finished(scenario, folder, quiet=quiet)


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="Run folder, or a summary.json kept as a baseline.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Run folder, or summary.json, to hold against A.")],
    tolerance: Annotated[
        str, typer.Option("--tolerance", metavar="SHARE", help="How much worse a figure may get, relative to A.")
    ] = "0 %",
    quiet: Quiet = False,
    _json: Json = False,
) -> Answer:
    """Hold run B against run A, figure by figure.

    Exit 1 if a figure of B is worse than that of A by more than the tolerance, or an expectation fails that did not;
    exit 3 if something of A is missing in B. The tables of both are verified against their digests first.
    """
    from meshsim.commands.comparing import compare_runs

    return compare_runs(a, b, tolerance, quiet=quiet)


@app.command()
def calibrate(
    samples: Annotated[int, typer.Option("--samples", metavar="N", help="Samples of each operation.")] = 2000,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Cost profile to write; must not exist.")] = Path(
        "calibrated.yaml"
    ),
    envoy: Annotated[
        bool,
        typer.Option("--envoy", help="Istio's policies as the RBAC filter of a real Envoy decides."),
    ] = False,
    quiet: Quiet = False,
    _json: Json = False,
) -> Answer:
    """Measure costs here; write a cost profile.

    What cryptography, TLS, HTTP/2 and policy decisions take on this machine, in CPU time.
    """
    from meshsim.commands.measuring import measure_costs

    return measure_costs(samples, out, envoy=envoy, quiet=quiet)


@app.command()
def bench(
    requests: Annotated[
        int | None,
        typer.Option(
            "--requests",
            metavar="N",
            help="Requests of each repetition, default 40000; with --scale of the longest run, default 400000.",
        ),
    ] = None,
    scale: Annotated[
        bool, typer.Option("--scale", help="How cost and memory grow with nodes, services and requests, instead.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Far fewer requests: rougher, for CI.")] = False,
    quiet: Quiet = False,
    _json: Json = False,
) -> Answer:
    """Measure how fast meshsim simulates.

    As ratios to a hand-written loop in the same run, because machines differ.
    """
    from meshsim.commands.measuring import measure_scale, measure_speed

    return (measure_scale if scale else measure_speed)(requests, quick=quick, quiet=quiet)


@app.command()
def validate(
    only: Annotated[
        list[str], typer.Option("--only", metavar="NAME", help="Only this section of the document. Repeatable.")
    ] = [],  # noqa: B006 - typer reads the default, nobody changes it
    write: Annotated[bool, typer.Option("--write", help="Write docs/validation.md anew.")] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Draw other samples than the document's.")
    ] = None,
    cost_profile: Annotated[
        str | None,
        typer.Option("--cost-profile", metavar="FILE", help="Hold this machine's CPU time against another profile."),
    ] = None,
    quiet: Quiet = False,
    _json: Json = False,
) -> Answer:
    """Hold the model against theory and measurements.

    Closed forms, and what others have measured and published: see docs/validation.md. Exit 1 if anything does not hold.
    """
    from meshsim.commands.validating import validate_model

    return validate_model(only, seed, cost_profile, write=write, quiet=quiet)


handshaking.register(app)
app.add_typer(policy_app)
