"""``meshsim handshake``: probe what a handshake costs, without a scenario."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meshsim.commands.answer import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console


Rtt = Annotated[str, typer.Option("--rtt", metavar="TIME", help="Round trip of the path.")]
Loss = Annotated[str, typer.Option("--loss", metavar="SHARE", help="Packets lost each way, independently.")]
Groups = Annotated[list[str], typer.Option("--group", metavar="NAME", help="Key exchange group. Repeat to compare.")]
Keys = Annotated[
    list[str], typer.Option("--key", metavar="TYPE", help="Key type of the certificates. Repeat to compare.")
]
Chains = Annotated[
    list[int],
    typer.Option(
        "--chain",
        metavar="N",
        help="Certificates that an end sends: 2 is its own and one intermediate's. Repeat to compare.",
    ),
]
Cpu = Annotated[str, typer.Option("--cpu", metavar="NAME", help="CPU of both ends.")]
ServerCpu = Annotated[str | None, typer.Option("--server-cpu", metavar="NAME", help="CPU of the server, if another.")]
Mutual = Annotated[bool, typer.Option("--mutual", help="The client shows a certificate too.")]
Resumed = Annotated[bool, typer.Option("--resumed", help="Resume a session.")]
Bandwidth = Annotated[str, typer.Option("--bandwidth", metavar="RATE", help="Bandwidth of the path each way.")]
LinearSynTimeouts = Annotated[
    int,
    typer.Option(
        "--linear-syn-timeouts",
        metavar="N",
        min=0,
        max=6,
        help="Repetitions of a SYN before its timeout doubles: 0 before Linux 6.5, 4 since.",
    ),
]
Samples = Annotated[int, typer.Option("--samples", metavar="N", help="Connections of each case.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Seed of the losses.")]
CostProfile = Annotated[
    str, typer.Option("--cost-profile", metavar="FILE", help="Cost profile in place of the shipped one.")
]
Plot = Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Write a picture (.png, .svg or .pdf).")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def probe_handshakes(
    *,
    rtt: str,
    loss: str,
    groups: Sequence[str],
    keys: Sequence[str],
    chains: Sequence[int],
    cpu: str,
    server_cpu: str | None,
    mutual: bool,
    resumed: bool,
    bandwidth: str,
    linear_syn_timeouts: int,
    samples: int,
    seed: int,
    cost_profile: str,
    plot: Path | None,
    quiet: bool,
) -> Answer:
    """Probe every combination of ``groups``, ``keys`` and ``chains``, each once; write the picture to ``plot``."""
    from meshsim.commands.progress import Bar
    from meshsim.probe.case import ProbeCase
    from meshsim.probe.present import draw_probe, picture_mistakes, probe_document, write_picture
    from meshsim.probe.run import mistakes, run_probe
    from meshsim.scenario.errors import UsageError

    path, wrong = _path_of(rtt, loss, bandwidth)
    if plot is not None:
        wrong += picture_mistakes(plot)
    cases = [
        ProbeCase(
            group=group,
            key=key,
            chain=chain,
            cpu=cpu,
            server_cpu=server_cpu or "",
            mutual=mutual,
            resumed=resumed,
            samples=samples,
            seed=seed,
            linear_syn_timeouts=linear_syn_timeouts,
            cost_profile=cost_profile,
            **path,
        )
        for group, key, chain in product(dict.fromkeys(groups), dict.fromkeys(keys), dict.fromkeys(chains))
    ]
    if wrong:
        raise UsageError(*wrong, *mistakes(cases))  # else ``run_probe`` tells the latter
    with Bar("Shaking hands", "Drawing", quiet=quiet) as bar:
        results = run_probe(cases, bar)
        if plot is not None:
            write_picture(results, plot)

    def draw(console: Console) -> None:
        draw_probe(console, results)
        if plot is not None:
            console.print(f"\nwrote {plot}", soft_wrap=True)

    return Answer(probe_document(results), draw)


def _path_of(rtt: str, loss: str, bandwidth: str) -> tuple[dict[str, Any], list[str]]:
    """What texts say of the path, as a case has it; and what is wrong with them, in whose place something right is."""
    from meshsim.scenario.units import PPM, parse_bandwidth_bps, parse_duration_ns, parse_share_ppm

    said: dict[str, Any] = {"round_trip_ns": 1, "loss": 0, "bandwidth_bps": 10**9}
    wrong: list[str] = []
    for option, name, parse, text in (
        ("--rtt", "round_trip_ns", parse_duration_ns, rtt),
        ("--loss", "loss", lambda text: parse_share_ppm(text) / PPM, loss),
        ("--bandwidth", "bandwidth_bps", parse_bandwidth_bps, bandwidth),
    ):
        try:
            said[name] = parse(text)
        except ValueError as error:
            wrong.append(f"{option}: {error}")
    return said, wrong


def handshake(
    rtt: Rtt = "30 ms",
    loss: Loss = "0 %",
    group: Groups = ["X25519MLKEM768"],  # noqa: B006 - typer reads the default, nobody changes it
    key: Keys = ["ecdsa-p256"],  # noqa: B006 - typer reads the default, nobody changes it
    chain: Chains = [1],  # noqa: B006 - typer reads the default, nobody changes it
    cpu: Cpu = "reference",
    server_cpu: ServerCpu = None,
    mutual: Mutual = False,
    resumed: Resumed = False,
    bandwidth: Bandwidth = "1 Gbit/s",
    linear_syn_timeouts: LinearSynTimeouts = 0,
    samples: Samples = 5000,
    seed: Seed = 1,
    cost_profile: CostProfile = "default",
    plot: Plot = None,
    quiet: Quiet = False,
    _json: Json = False,
) -> Answer:
    """Probe a TLS handshake over a path: how long it takes, and where the time goes."""
    return probe_handshakes(
        rtt=rtt,
        loss=loss,
        groups=group,
        keys=key,
        chains=chain,
        cpu=cpu,
        server_cpu=server_cpu,
        mutual=mutual,
        resumed=resumed,
        bandwidth=bandwidth,
        linear_syn_timeouts=linear_syn_timeouts,
        samples=samples,
        seed=seed,
        cost_profile=cost_profile,
        plot=plot,
        quiet=quiet,
    )


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(handshake)
