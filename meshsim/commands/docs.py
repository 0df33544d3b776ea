"""The reference of the command line, from its own help: ``python -m meshsim.commands.docs > docs/cli.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from meshsim.commands.app import app

COLUMNS = 88

COMMON = {
    "command": "the command, as typed; null if none could be made out",
    "exit_code": "the exit code of the process",
    "errors": "what went wrong, each with `file` (null if it lies in none), `line` and `column` (from 1; 0 for the "
    "whole), `message`",
}
"""Keys of every document, whatever happened."""

KEYS: dict[str, dict[str, str]] = {
    "init": {"files": "what was written, the scenario first"},
    "import": {
        "file": "the scenario that was written",
        "services": "the services in it",
        "assumed": "what no manifest says, in sentences",
        "notes": "what else to know of the manifests",
    },
    "check": {
        "scenarios": "the files without mistakes, each with `file`, `scenario`, `sha256`, `notes` (no mistakes), "
        "`warnings` (what in policies can hardly be meant as it is taken)",
    },
    "run": {
        "run_dir": "the run folder, absolute",
        "report": "the report in it",
        "scenario": "its name",
        "seed": "the seed",
        "fidelity": "real, sampled or modelled",
        "digest": "hash over all tables: equal digests, equal results",
        "verdict": "pass, fail, inconclusive, or none without expectations",
        "expectations": "each with `expectation`, `verdict`, `passed` (null: inconclusive), `measured` (for people), "
        "`value` (in ns, a share from 0 to 1, a rate per second, or a count), `reason`",
        "slices": "figures by slice, as in summary.json",
        "faults": "each fault with what it touched",
        "totals": "figures of the whole run",
        "notes": "what `check` notes of the scenario and its manifests, no mistakes, such as the preset taken",
        "warnings": "what in policies can hardly be meant as it is taken, or nobody enforces, as `check` tells it",
    },
    "report": {
        "run_dir": "the run folder, absolute",
        "report": "the report in it",
        "digest": "the digest of the tables, which were verified",
    },
    "runs": {
        "runs": "newest first, each with `run_dir` (absolute), `scenario`, `seed`, `fidelity`, `digest`, `verdict` "
        "(as of `run`; or damaged)"
    },
    "compare": {
        "a": "`path`, and of a run folder `scenario`, `seed`, `fidelity`, `digest` (of a baseline: null)",
        "b": "the same of the other",
        "tolerance": "share by which a figure may get worse",
        "identical": "whether the digests are equal; null without two run folders",
        "same_scenario": "whether resolved scenario, the files it names, seed and cost profile are equal (fidelity "
        "apart); null likewise",
        "changes": "which of these are not, each with `path` (a field of the scenario as for `--set`, or a file or the "
        "cost profile in words), and `a` and `b` in short (null where it is not there); null likewise",
        "compared": "how many figures both have",
        "differences": "figures that differ, the worst first, each with `scope` (total, slice, service, expectation), "
        "`name`, `metric`, `a`, `b`, `change` (relative to A; null if A is 0 or nothing) and `verdict`: worse, gone "
        "(in A only), better, within (the tolerance), changed (neither better nor worse), new (in B only)",
        "verdict": "regression, inconclusive, no regression, or no difference",
    },
    "calibrate": {
        "path": "the cost profile that was written, absolute",
        "cost_profile": "its name",
        "samples": "samples of each operation",
        "envoy": "with --envoy (else empty): medians by number of Istio's policies, each with `policies`, `request_ns` "
        "(a request to Envoy without the filter), `envoy_ns` (what its RBAC filter adds), `own_ns` (the evaluation "
        "here) and `cedar_ns`",
    },
    "bench": {
        "floor_per_s": "requests per CPU second of a hand-written loop over a heap",
        "chain_per_s": "the same network on meshsim's clock, links and cores",
        "mesh_modelled_per_s": "with sidecars, mutual TLS, policy and tables, at fidelity modelled",
        "mesh_sampled_per_s": "likewise, sampled",
        "mesh_real_per_s": "likewise, real",
        "handshakes_real_per_s": "full mutual handshakes of OpenSSL, both ends",
        "handshakes_real_openssl_share": "OpenSSL's part of their CPU time",
        "mesh_real_openssl_share": "the same of the mesh at fidelity real",
        "mesh_real_cedar_share": "Cedar's part of that",
        "mesh_real_nghttp2_share": "libnghttp2's part of that; what the three leave is meshsim's own",
        "mesh_real_connections_openssl_share": "OpenSSL's part with a connection for each request",
        "mesh_real_bodies_openssl_share": "OpenSSL's part with bodies of 64 KiB each way",
        "tls_openssl_share": "OpenSSL's part of the sidecars' TLS alone, without network, policy and HTTP: a "
        "handshake, then 20 messages of 1200 bytes each way",
        "tls_bodies_openssl_share": "likewise with messages of 64 KiB",
        "chain_of_floor": "ratio to the floor of the same repetition, median",
        "mesh_modelled_of_floor": "likewise",
        "mesh_sampled_of_floor": "likewise",
        "mesh_real_of_floor": "likewise",
        "sampled_of_modelled": "what comparing with OpenSSL leaves of the speed",
        "peak_rss_mb": "largest resident memory, in 10^6 bytes",
        "chain_mean_ms": "mean simulated latency of the chain",
        "theory_mean_ms": "the same by queueing theory",
        "theory_tolerance_ms": "how far apart chance may bring them",
        "theory_agrees": "whether they are closer than that; if not, exit code 1",
        "requests": "requests of each repetition",
        "repetitions": "repetitions",
        "compiled": "whether the hot path ran compiled (`make fast`)",
    },
    "bench --scale": {
        "load_s": "CPU seconds of reading and checking a scenario and assembling its world, which has `load_nodes` "
        "nodes and `load_services` services",
        "load_nodes": "its nodes",
        "load_services": "its services",
        "request_us_among_fewest": "CPU microseconds of a request, three services long, among `fewest_nodes` nodes",
        "request_us_among_most": "likewise, among `most_nodes`",
        "request_growth": "the second to the first, in one repetition; median; services grow as nodes do",
        "request_us_on_fewest_nodes": "among `fewest_nodes` nodes, with the services of the large scenario",
        "request_growth_by_nodes": "among `most_nodes` to that, in one repetition; median; the nodes alone are more",
        "fewest_nodes": "nodes of the small scenario",
        "most_nodes": "nodes of the large one",
        "shorter_peak_mb": "largest resident memory of a process with a run of `shorter_requests`, in 10^6 bytes",
        "longer_peak_mb": "likewise, of `longer_requests`",
        "peak_growth": "the second to the first",
        "compiled": "whether the hot path ran compiled (`make fast`)",
        "shorter_requests": "a quarter of the longer run's",
        "longer_requests": "as `--requests` says",
    },
    "handshake": {
        "results": "one for each combination of `--group`, `--key` and `--chain`: its parameters; `established_ms` and "
        "`first_byte_ms`, each with p25 to p99, from connect; their means; `failed` connections; `bytes_sent` and "
        "`bytes_received`, `flights`, `round_trips`; `request_bytes` and `response_bytes` of the request after it, "
        "sealed; CPU of both ends; and where the time goes",
    },
    "policy ask": {
        "allowed": "whether the request is allowed",
        "rule": "the rule that decided: of a policy, `default-deny`, `default-allow`, `mutual-tls` (the listener "
        "refuses before any policy is asked), `no-policy`, or why a token is refused (`token-expired`, …)",
        "status": "HTTP status of the answer: 200, 403, what the engine or the token's refusal says, 503 where a "
        "proxy makes that of a connection that is closed; null where there is no answer, as TLS refuses or the caller "
        "sees its connection closed",
        "connection_closed": "whether what is denied has its connection closed in place of an answer, by ztunnel or on "
        "a port that speaks no HTTP; `status` is then 503 where a calling sidecar, gateway or waypoint reads HTTP and "
        "makes that of it",
        "refused_by": "the RequestAuthentications that refuse the token, separated by commas; null if none does",
        "place": "where that rule, or the first of those, stands (`file:line:column`); null for the others",
        "reasons": "every rule in the order of the files, each with `rule`, `place`, `effect`, `matched`, `why` "
        "not, and whether it is `on_trial`",
        "errors_in_rules": "rules that failed, and so had no say",
        "audited": "rules that only ask for an audit and matched",
        "dry_run": "the rule on trial that would have denied it; null if none",
        "why_no_policy": "why no policy was asked; null if one was",
        "notes": "what the called sidecar took off the request, so that policies did not see it: header fields, "
        "claims; and whether ztunnel refuses it behind a waypoint",
        "warnings": "what the answer does not rest on though it was found, and what may be meant otherwise than it is "
        "written, in sentences; it changes no exit code",
        "mode": "how the port takes mutual TLS",
        "port": "the port of the service",
        "target_port": "the port on which its replicas listen: what policies see",
        "question": "the question as the engine was asked it",
        "assumed": "what was assumed because nobody said it, by attribute",
        "expected": "allow or deny, as `--expect` says; else null",
        "passed": "whether the answer is the expected one; if not, exit code 1",
    },
    "policy test": {
        "cases": "each with `file`, `line`, `column`, `name`, `passed`, `expected` (`allowed`, and `rule` or null), "
        "`allowed`, `rule`, `refused_by` (RequestAuthentications, or null), and of a failed one its `explanation`",
        "passed": "how many passed, and `failed` how many did not",
        "coverage": "every rule with `rule`, `place`, how many cases it `matched` and `decided`, and whether it "
        "`decides` at all: rules that only ask for an audit, or are on trial, do not",
        "coverage_share": "share of rules that decided a case, or matched one where they decide nothing",
        "coverage_sufficient": "whether it is at least `--min-coverage`",
        "warnings": "what the answer does not rest on though it was found, and what may be meant otherwise than it is "
        "written, in sentences; it changes no exit code",
    },
    "policy matrix": {
        "cells": "without `--diff`: each caller at each port of each service, with `source`, `source_spiffe_id`, "
        "`destination`, `port`, `allowed` (all, some, none), `regions` (what is allowed: boxes of classes by "
        "dimension; a dimension left out holds all), `rules`, `refused_by_mutual_tls`, `why_refused` (or "
        "null)",
        "a": "with `--diff`: where the policies of the subject came from, and `b` those of the other",
        "flips": "with `--diff`: the newly allowed first, each with `change`, `source`, `source_spiffe_id`, "
        "`destination`, `port`, `regions`, `witness` (a question that is decided differently), `ask` (the options of "
        "`policy ask` that put it), `ask_before` and `ask_after` (with those that name either side), `rule_before`, "
        "`rule_after`, `refused_by_before`, `refused_by_after` (RequestAuthentications, where that rule is why a "
        "token is refused; or null)",
        "newly_allowed": "with `--diff`: how many flips, and `newly_denied` likewise",
        "only_before": "with `--diff`: services of the subject alone, and `only_after` of the other alone",
        "dimensions": "what the policies can tell apart: each with `name` and `values` (`class` and `witness`)",
        "questions": "how many were asked",
        "notes": "what policies compare with and cannot see, in sentences",
        "exact": "whether the classes are exact; `approximate` says why not",
        "not_compared": "with `--diff` of two scenarios or folders: fields that differ and that no decision rests on, "
        "each with `path`, and `a` and `b` in short (null where it is not there)",
        "left_out": "with `--diff`: what flips all the same and is not asked about, each with `rule`, `what` (why) and "
        "`pairs` (of how many callers and ports)",
        "warnings": "what the answer does not rest on though it was found, and what may be meant otherwise than it is "
        "written, in sentences; it changes no exit code",
    },
    "validate": {
        "passed": "whether every criterion of every section holds; if not, exit code 1",
        "sections": "each with `name`, `title`, `about`, `passed`, `criteria` (each with `text`, `found`, `passed`, "
        "`compared`: in how many of its numbers chance has a part, `outside`: how many miss their own 99 % interval; "
        "where it is about one number, `expected`, `measured`, `tolerance`, `unit` and `comparison` too), "
        "`columns`, `rows`, `measures_host` (whether it measures this machine)",
        "path": "the document that was written, absolute; null without `--write`",
    },
}
"""What else the document of each command holds once the command could be carried out."""

_INTRODUCTION = """\
# The command line

<!-- Written by `python -m meshsim.commands.docs`; edit meshsim/commands/ instead. -->

`meshsim COMMAND`, or `python -m meshsim COMMAND`.

**For people.** Results go to standard output, errors to standard error. On a terminal, work that takes over a second
shows a progress bar on standard error. What is drawn fits the terminal (80 columns where there is none); colour only
repeats what a mark or a word says, and `NO_COLOR` turns it off. `--quiet` leaves the essence, of `run` the path of the
run folder.

**For programs.** With `--json`, standard output holds exactly one JSON document, in ASCII, with sorted keys, also when
the command fails. Keys are added, not changed. These are always there:

"""

_EXIT_CODES = """
**Exit codes**, the same with and without `--json`:

| Code | What |
|---|---|
| 0 | passed; or there was nothing to judge |
| 1 | an expectation failed, or `compare` found a regression |
| 2 | the command line, a scenario or a file that it names is wrong; all mistakes are told |
| 3 | inconclusive: something could not be measured or compared. Skipped is not passed |
| 4 | an invariant is violated: a fault in meshsim, told with what reproduces it |
| 5 | the machine failed (a full disk, no memory), or something unexpected happened; `MESHSIM_TRACEBACK=1` tells where |
| 130 | interrupted by Ctrl-C, a termination request (SIGTERM) or a closed terminal (SIGHUP); no half run is left |

A reader that closes the pipe early (`meshsim runs | head -1`) changes neither the exit code nor standard error.
"""


def render_markdown() -> str:
    """The whole of docs/cli.md."""
    return "\n".join([_INTRODUCTION + _keys(COMMON), _EXIT_CODES, *_commands()])


def _commands() -> Iterator[str]:
    group = get_command(app)
    context = group.make_context("meshsim", [], resilient_parsing=True, terminal_width=COLUMNS)
    yield f"## meshsim\n\n{_help(group.get_help(context))}"
    yield from _below("meshsim", group, context)


def _below(path: str, group: Any, context: Any) -> Iterator[str]:
    """The commands of a group, and those of the groups in it."""
    for name, command in group.commands.items():
        inner = command.make_context(name, [], parent=context, resilient_parsing=True)
        whole = f"{path} {name}"
        if hasattr(command, "commands"):
            yield f"## {whole}\n\n{_help(command.get_help(inner))}"
            yield from _below(whole, command, inner)
            continue
        yield f"## {whole}\n\n{_help(command.get_help(inner))}\nIts document has these keys, too:\n"
        known = whole.removeprefix("meshsim ")
        yield f"{_keys(KEYS[known])}"
        for other in KEYS:
            if other.startswith(f"{known} --"):
                yield f"With `{other.removeprefix(known).strip()}` it has these instead:\n\n{_keys(KEYS[other])}"


def _help(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"```text\n{lines}\n```\n"


def _keys(keys: dict[str, str]) -> str:
    rows = "".join(f"| `{key}` | {text} |\n" for key, text in keys.items())
    return f"| Key | What |\n|---|---|\n{rows}"


if __name__ == "__main__":
    sys.stdout.write(render_markdown())
