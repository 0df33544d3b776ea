"""``meshsim calibrate`` and ``meshsim bench``: what this machine takes, in CPU time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from meshsim import compiled
from meshsim.commands.answer import EXIT_FAILED, EXIT_PASSED, Answer
from meshsim.commands.progress import Bar
from meshsim.scenario.errors import InfrastructureError, UsageError

if TYPE_CHECKING:
    from rich.console import Console


def measure_costs(samples: int, out: Path, *, envoy: bool, quiet: bool) -> Answer:
    """Calibrate, and write the cost profile to ``out``, which must not exist."""
    from meshsim.calibrate import calibration_mistakes, run_calibration
    from meshsim.scenario.cost_profile import parse_cost_profile

    wrong = calibration_mistakes(samples, out.stem, envoy=envoy)
    if out.suffix != ".yaml":
        wrong.append(f"{out} is no name for a cost profile; expected one that ends in .yaml")
    if os.path.lexists(out):
        wrong.append(f"{out} is there already; expected a name that is free")
    if not out.parent.is_dir():
        wrong.append(f"{out.parent} is not a folder; expected one, to write {out.name} into")
    if wrong:
        raise UsageError(*wrong)
    with Bar("Measuring", "Deriving costs", quiet=quiet) as bar:
        text, beside = run_calibration(samples, bar, name=out.stem, envoy=envoy)
    _write_new(out, text)
    profile = parse_cost_profile(text.encode(), str(out))
    operations = profile.cpu("reference").operations

    def draw(console: Console) -> None:
        if quiet:
            console.print(str(out), soft_wrap=True)
            return
        console.print(f"{len(operations)} operations, {samples} samples each", soft_wrap=True)
        if beside:
            console.print(
                f"a request to Envoy without the filter: {beside[0].request_ns / 1000:.1f} µs", soft_wrap=True
            )
        for one in beside:
            console.print(
                f"{one.policies} policies of Istio: Envoy's RBAC filter {one.envoy_ns / 1000:.1f} µs, "
                f"evaluated here {one.own_ns / 1000:.1f} µs; Cedar {one.cedar_ns / 1000:.1f} µs",
                soft_wrap=True,
            )
        console.print(f"wrote {out}", soft_wrap=True)
        console.print(f"next  put it beside a scenario and add to that: cost_profile: {out.name}", soft_wrap=True)

    document = {"path": str(out.absolute()), "cost_profile": profile.name, "samples": samples}
    return Answer({**document, "envoy": msgspec.to_builtins(beside)}, draw)


def _write_new(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            aside.write_text(text, encoding="utf-8")
            os.link(aside, path)  # unlike a rename, never in place of another file
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise InfrastructureError(f"{path} cannot be written: {error.strerror}") from error


ROUGH = (
    "--quick tells whether everything works, not how fast it is: most of so short a run is connections that begin. "
    "Without it, these are figures to quote."
)


def measure_speed(requests: int | None, *, quick: bool, quiet: bool) -> Answer:
    """Run the benchmark; it fails if what it simulates is not what queueing theory says."""
    from meshsim.bench.run import DEFAULT_REQUESTS, QUICK_REQUESTS, run_bench

    if quick and requests is not None:
        raise UsageError("--quick and --requests both say how many; expected one of them")
    wanted = QUICK_REQUESTS if quick else DEFAULT_REQUESTS if requests is None else requests
    with Bar("Measuring", "Summing up", quiet=quiet) as bar:
        result = run_bench(wanted, bar)

    def draw(console: Console) -> None:
        from rich.table import Table

        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        table.add_column("what")
        table.add_column("per CPU second", justify="right", no_wrap=True)
        table.add_column("of the floor", justify="right", no_wrap=True)
        for row in result.rows():
            table.add_row(*row)
        console.print(table)
        for note in [] if quiet else [*result.notes(), compiled.describe()]:
            console.print(note, soft_wrap=True)
        if quick:
            console.print(ROUGH, soft_wrap=True)

    document = {**msgspec.to_builtins(result), "compiled": compiled.in_use()}
    return Answer(document, draw, EXIT_PASSED if result.theory_agrees else EXIT_FAILED)


def measure_scale(requests: int | None, *, quick: bool, quiet: bool) -> Answer:
    """Measure how cost and memory grow; ``requests`` are those of the longest run."""
    from meshsim.bench.scale import FULL, QUICK, measure

    sizes = QUICK if quick else FULL
    if requests is not None:
        if quick:
            raise UsageError("--quick and --requests both say how many; expected one of them")
        sizes = msgspec.structs.replace(sizes, longest_requests=requests)
    with Bar("Measuring", "Summing up", quiet=quiet) as bar:
        result = measure(sizes, bar)

    def draw(console: Console) -> None:
        for what, much in result.rows():
            console.print(f"{what:<44} {much}", soft_wrap=True)
        if not quiet:
            console.print(compiled.describe(), soft_wrap=True)

    return Answer({**msgspec.to_builtins(result), "compiled": compiled.in_use()}, draw)
