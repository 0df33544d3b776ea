"""Says why requests of a slice miss its latency budget: ``python docs/late.py RUN_DIR SLICE``.

Every figure is computed from the tables of the run. A late request has one cause, the first that fits: it had to open a
connection; its time on the radio alone exceeds the budget; it was sent while a fault lasted; or several smaller delays.
"""

from __future__ import annotations

import argparse
import os
import sys

import pandas as pd

import meshsim
from meshsim.scenario.words import expected

SETTLING_NS = 3_000_000_000
"""Connections that are opened this long after a node is back are put down to its crash."""


def share(part: int, whole: int) -> str:
    """A count with its share of another."""
    return f"{part} ({100 * part / whole:.1f} %)" if whole else str(part)


def median_ms(values: pd.Series) -> str:
    """The median of nanoseconds, in milliseconds."""
    return f"{values.median() / 1e6:.1f} ms"


def requests_of(run: meshsim.Run, slice_name: str) -> pd.DataFrame:
    """Return a slice's requests with what is asked of them here: late, cold, resumed, in which fault's time."""
    table = run.requests[run.requests["slice"] == slice_name].copy()
    table["late"] = table.latency_ns > table.budget_ns
    table["cold"] = table.handshake_ns > 0  # TCP alone also waits for windows to open and for what was lost
    first_calls = run.calls[run.calls.parent_id == 0].set_index("request_id").connection_id
    handshakes = run.handshakes.set_index("connection_id")[["resumed", "cpu_client_ns", "cpu_server_ns"]]
    table = table.join(table.request_id.map(first_calls).rename("connection").to_frame().join(handshakes, "connection"))
    table["fault"] = ""
    for name, window in run.fault_windows.items():
        table.loc[table.t_intended_ns.between(window.from_ns, window.to_ns, inclusive="left"), "fault"] = name
    return table


def explain(run: meshsim.Run, slice_name: str) -> None:
    """Print the findings. Raises UsageError for a slice that the run does not have, or that had no requests."""
    if slice_name not in run.scenario.network.slices:
        raise meshsim.UsageError(f"no slice {slice_name!r}; {expected(slice_name, list(run.scenario.network.slices))}")
    table = requests_of(run, slice_name)
    if table.empty:
        raise meshsim.UsageError(f"slice {slice_name} had no requests in {run.path}")
    late, budget_ns = table[table.late], int(table.budget_ns.max())
    print(f"{slice_name}: {len(table)} requests, {share(len(late), len(table))} later than {budget_ns / 1e6:g} ms")
    cold, radio = late.cold, late.radio_ns > late.budget_ns
    rest = late[~cold & ~radio]
    print(f"  {share(int(cold.sum()), len(late)):>14}  had to open a connection")
    print(f"  {share(int((~cold & radio).sum()), len(late)):>14}  were on the radio alone for longer")
    for name, group in rest.groupby("fault"):
        why = f"during {name}" if name else "several smaller delays"
        print(f"  {share(len(group), len(late)):>14}  {why}")

    opened, standing = table[table.cold], table[~table.cold]
    for what, group in (("on a standing connection", standing), ("that opened a connection", opened)):
        print(f"{what}: median {median_ms(group.latency_ns)}, {share(int(group.late.sum()), len(group))} late")
    print(f"  of which TCP {median_ms(opened.tcp_ns)}, TLS handshake {median_ms(opened.handshake_ns)}")
    cpu = (median_ms(opened.cpu_client_ns), median_ms(opened.cpu_server_ns))
    print(f"  CPU time of the handshake: {cpu[0]} in the device, {cpu[1]} at the edge")
    in_time = opened.latency_ns - opened.handshake_ns <= opened.budget_ns
    print(f"  without the TLS handshake {share(int(in_time.sum()), len(opened))} would have been in time")
    for resumed, group in opened.groupby("resumed"):
        kind = "resumed" if resumed else "full"
        print(f"  {kind} handshake: {len(group)}, median {median_ms(group.handshake_ns)}")
    start = opened.t_intended_ns < SETTLING_NS
    crash = pd.Series(False, index=opened.index)
    for name, fault in zip(run.fault_windows, run.scenario.faults, strict=True):
        window = run.fault_windows[name]
        if fault.kind == "node-crash":
            crash |= opened.t_intended_ns.between(window.from_ns, window.to_ns + SETTLING_NS)
    print(
        f"  opened at the start {share(int(start.sum()), len(opened))}, by a crash and its end "
        f"{share(int((crash & ~start).sum()), len(opened))}, else {share(int((~crash & ~start).sum()), len(opened))}"
    )


def main() -> int:
    """Explain the slice that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description="Says why requests of a slice miss its latency budget.")
    parser.add_argument("run_dir", metavar="RUN_DIR", help="folder of a finished run")
    parser.add_argument("slice_name", metavar="SLICE", help="one of its slices")
    options = parser.parse_args()
    try:
        explain(meshsim.open_run(options.run_dir), options.slice_name)
        sys.stdout.flush()
    except meshsim.MeshsimError as error:
        print(f"late.py: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
