"""The reference of run folders, written from the row types: ``python -m meshsim.telemetry.docs > docs/results.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from meshsim.telemetry.columns import columns
from meshsim.telemetry.rows import LATER_TABLES, TABLES

_INTRODUCTION = """\
# What a run leaves behind

<!-- Written by `python -m meshsim.telemetry.docs`; edit the row types in meshsim/telemetry/rows.py instead. -->

A run folder, `results/<scenario>/<run id>/` or the folder given with `--out`, is complete or not there: it is written
under a hidden name beside its place and renamed at the end. A folder whose name begins with `.meshsim-partial-` belongs
to a run that is going on or was killed; the next run beside it sweeps the latter.

| File | What |
|---|---|
| `manifest.json` | what the run was made from, rows and sha256 of each table, the digest; apart, in `host`, the \
machine, how long it took, how many handshakes OpenSSL was compared in, and whether the hot path was \
[compiled](performance.md#compiled) |
| `scenario.yaml` | the scenario as it was run, defaults spelled out but those that other fields compute |
| `summary.json` | every figure that people quote, and the verdict on each expectation |
| `report.html` | the report: one page, no network needed |
| `<table>.parquet` | the tables below, always all of them, zstd-compressed |

All JSON has sorted keys. In `summary.json` durations are integers in nanoseconds and end in `_ns`, shares are numbers
from 0 to 1, and null means that there was nothing to measure.

## The digest

Equal digests mean equal results, whatever the machine, the fidelity and the version of the Parquet writer: it is a hash
of values, not of files. Each column's values are hashed with SHA-256 one after the other (int64 as eight bytes, little
endian; bool as one byte; strings as MessagePack). A table's hash is the SHA-256 of one line `name:type:hash` for each
column (of one that is marked as later, only where a value is not zero, false or empty); the digest is that of one line
`table:rows:hash` for each table, in the order below. Tables that came later count only if they have rows:
`{optional}`.

## The tables

Instants are nanoseconds of simulated time since the start of the run; columns that end in `_epoch_ns` count from the
Unix epoch. Identifiers count from 1, and 0 means none. No value is ever missing.
"""

_IN_PYTHON = """\
## In Python

The tables are Parquet: `pandas.read_parquet("runs/hello/requests.parquet")` reads one, and so does whatever else reads
Parquet. `meshsim.open_run("runs/hello")` opens a run folder, and `meshsim.run(FILE)` runs a scenario first. Either
gives a run:

| Of a run | What it is |
|---|---|
| `run.requests`, `run.calls`, … | each table above as a DataFrame, by its name |
| `run.slices`, `run.expectations` | figures of the slices, and what came of each expectation, as DataFrames |
| `run.summary`, `run.manifest`, `run.scenario` | `summary.json` as a dict; the manifest; the scenario as it was run |
| `run.metric(NAME, slice=…, service=…, source=…, during=…)` | one metric of the requests that match all that \
is given, as of an [expectation](scenario.md#metricexpectation); exact, in nanoseconds, bytes, counts, per second, or \
from 0 to 1; None if there was nothing to measure |
| `run.fault_windows` | begin and end of each fault by its name, `from_ns` and `to_ns` |
| `run.picture(NAME)` | a picture of the report: attribution, latency, timeline, handshakes or topology. It shows \
itself in a notebook, and is a figure of matplotlib: `.savefig("latency.png")` |
| `run.verify()` | what in the folder is not as the manifest has it; an empty list if all is well |

Metrics are those of expectations and these: `answered`, `tls_refused`, `unreachable`, `reset`, `failed`, `aborted`,
`overflow`, `unrouted`, `no_token` and `no_waypoint` (requests by their outcome); `mean_radio_ns`, `mean_network_ns`,
`mean_tcp_ns`, `mean_handshake_ns`, `mean_crypto_ns`, `mean_proxy_ns`, `mean_policy_ns`, `mean_queue_ns`,
`mean_service_ns`, `mean_backoff_ns`, `mean_injected_ns` and `mean_other_ns` (over the answered requests);
`handshake_p95`, `handshake_p999`, `handshakes_broken` and `handshake_bytes`; `revocation_delay_max`, `revoked_served`
and `revoked_accepted`.

Quantiles are nearest rank, here as in all that is printed: the smallest value that at least so many do not exceed.
`numpy.quantile(values, 0.99, method="inverted_cdf")` is the same; pandas draws a line between neighbours.
"""

_REMARKS = {
    "calls": """\
Replicas of one service on one node cannot be told apart by their node, and no column names a replica. All calls with
one `connection_id` are between the same two replicas; which two, and what other connections lead to the same one, is
not told. To know it, give each replica a version of its own and change nothing else, such as `versions: {r1:
{replicas: {edge-1: 1}}, r2: {replicas: {edge-1: 1}}}` in place of `replicas: {edge-1: 2}`: `destination_version` then
names the called replica, that of the call `parent_id` the calling one, and the calls with its `connection_id` those of
a handshake that came about. All other columns stay as they are. `configs` and `issuances` name replicas (`greeter/0`).
""",
    "handshakes": """\
Handshakes that were refused and calls that ended as `tls-refused` need not be as many. Calls that wait for one
handshake are refused together, and a call that is tried again after a refusal (`retry_on`) meets one handshake with
each attempt. Where the client refuses, no call was sent, and the calls have no connection (`connection_id` 0). Where
the server refuses, the client took itself for connected and had sent the call, which has the `connection_id` of the
handshake: TLS 1.3 tells the client late.
""",
}
"""What is to be said of a table beside its columns."""


def render_markdown() -> str:
    """The whole of docs/results.md."""
    introduction = _INTRODUCTION.format(optional="`, `".join(sorted(LATER_TABLES)))
    return "\n".join([introduction, *(line for table in TABLES for line in _table(table)), _IN_PYTHON])


def _table(table: str) -> Iterator[str]:
    yield f"### `{table}`\n"
    yield f"{(TABLES[table].__doc__ or '').strip()}\n"
    if table in _REMARKS:
        yield _REMARKS[table]
    yield "| Column | Type | Unit | What |"
    yield "|---|---|---|---|"
    for column in columns(table):
        description = column.description.replace("|", "\\|") + (" *Later.*" if column.later else "")
        yield f"| `{column.name}` | {column.type} | {column.unit} | {description} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(render_markdown())
