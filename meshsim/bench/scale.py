"""How cost and memory grow with the size of a scenario and the length of a run: ``python -m meshsim.bench.scale``."""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from meshsim.bench.chain import REQUESTS_PER_S
from meshsim.bench.mesh import SCENARIO
from meshsim.bench.run import peak_rss_bytes

NODES_PER_SITE = 5
"""A base station, three edges and a regional node."""
CHAIN = 3
"""Services that call each other in turn for one request."""
_RATE_PER_S = 1_000
_SITE_NODES = ("gnb", "edge-a", "edge-b", "edge-c", "regional")
_SITE_LINKS = (("gnb", "edge-a", "0.5 ms"), ("edge-a", "edge-b", "0.5 ms"), ("edge-b", "edge-c", "0.5 ms"))
_NODE = "cpu: xeon-max-9460, cores: 4, memory: 64 GiB"


def scenario_text(nodes: int, services: int, requests: int) -> str:
    """Return a scenario with so many nodes (fives of them, ten at least) and services, each used, as YAML.

    Sites stand in a tree. Services call each other in chains of three, each at one site, where two users begin it.
    ``requests`` is how many all users send on average, 1000 a second, whatever the size.
    """
    sites = max(2, nodes // NODES_PER_SITE)
    chains = max(1, services // CHAIN)
    node_lines, link_lines = [], []
    for site in range(sites):
        node_lines += [
            f"    {kind}-{site}: {{kind: {kind.partition('-')[0]}, site: site-{site}, {_NODE}}}" for kind in _SITE_NODES
        ]
        ends = [(f"{one}-{site}", f"{other}-{site}", latency) for one, other, latency in _SITE_LINKS]
        ends.append((f"edge-a-{site}", f"regional-{site}", "2 ms"))
        if site:
            ends.append((f"regional-{site}", f"regional-{(site - 1) // 2}", "3 ms"))
        link_lines += [f"    - {{between: [{a}, {b}], latency: {ms}, bandwidth: 10 Gbit/s}}" for a, b, ms in ends]
    service_lines, fleet_lines, flow_lines = [], [], []
    for number in range(services):
        chain = min(number // CHAIN, chains - 1)
        first = chain * CHAIN
        site = chain * sites // chains
        last = number == services - 1 or ((number + 1) // CHAIN != chain and number + 1 < chains * CHAIN)
        calls = "" if last else f", calls: [{{to: service-{number + 1}}}]"
        edge = "abc"[(number - first) % 3]
        service_lines.append(
            f"  service-{number}: {{replicas: {{edge-{edge}-{site}: 1}}, work: {{exponential: 1 ms}}{calls}}}"
        )
        if number == first:
            fleet_lines.append(f"  users-{chain}: {{size: 2, node: gnb-{site}}}")
            rate = f"{_RATE_PER_S / chains:.6f}"
            flow_lines.append(
                f"  - {{from: users-{chain}, to: service-{number}, slice: all, arrivals: {{poisson: {rate} /s}}}}"
            )
    duration_ms = max(1, requests * 1_000 // _RATE_PER_S)
    return "\n".join(
        [
            f"scenario: scale\nseed: 1\nduration: {duration_ms} ms\nfidelity: modelled\nnetwork:\n  nodes:",
            *node_lines,
            "  links:",
            *link_lines,
            "  slices:\n    all: {sst: 1, five_qi: 9}\nservices:",
            *service_lines,
            "fleets:",
            *fleet_lines,
            "mesh:\n  trust_domain: scale.example\n  tls: {mode: STRICT}\ntraffic:",
            *flow_lines,
            "",
        ]
    )


def time_load(nodes: int, services: int) -> float:
    """Return the CPU time of reading and checking a scenario of that size, and of assembling its world."""
    from meshsim.results.tables import ParquetSink
    from meshsim.scenario.loader import load_scenario
    from meshsim.telemetry.recorder import Recorder
    from meshsim.world.world import World

    with TemporaryDirectory(prefix="meshsim-scale-") as folder:
        path = Path(folder) / "scale.yaml"
        path.write_text(scenario_text(nodes, services, 10_000), encoding="utf-8")
        began_s = time.process_time()
        World(load_scenario(path), Recorder(ParquetSink(Path(folder))))
        return time.process_time() - began_s


def time_requests(nodes: int, requests: int) -> float:
    """Return the CPU time of a request, three services long, among so many nodes; the tables are written."""
    from meshsim.results.tables import ParquetSink
    from meshsim.scenario.loader import load_scenario
    from meshsim.telemetry.recorder import Recorder
    from meshsim.world.world import World

    with TemporaryDirectory(prefix="meshsim-scale-") as folder:
        path = Path(folder) / "scale.yaml"
        path.write_text(scenario_text(nodes, nodes * CHAIN // NODES_PER_SITE, requests), encoding="utf-8")
        sink = ParquetSink(Path(folder))
        world = World(load_scenario(path), Recorder(sink))
        gc.collect()
        began_s = time.process_time()
        world.run()
        sent = sink.close()["requests"][0]
        return (time.process_time() - began_s) / sent


def peak_of_run(requests: int) -> int:
    """Return the largest resident memory, in bytes, of a process that runs the mesh, its report included."""
    command = [sys.executable, "-m", "meshsim.bench.scale", "--one-run", str(requests)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _one_run(requests: int) -> int:
    from meshsim.experiment import load, run_folder

    with TemporaryDirectory(prefix="meshsim-scale-") as folder:
        overrides = [f"duration={requests * 1_000 // REQUESTS_PER_S} ms"]
        run_folder(load(SCENARIO, None, "modelled", overrides), out=Path(folder) / "run")
    return peak_rss_bytes()


def measure(requests: int, memory: list[int]) -> dict[str, Any]:
    """Measure loading, growth and memory; times are medians of three, in seconds of CPU time."""
    sizes = (10, 100, 1_000)
    time_requests(10, 1_000)  # modules are loaded when they are first wanted
    rounds = [[time_requests(nodes, requests) for nodes in sizes] for _ in range(3)]
    return {
        "load_5000_nodes_1000_services_s": median(time_load(5_000, 1_000) for _ in range(3)),
        "request_us": {str(nodes): median(one[place] for one in rounds) * 1e6 for place, nodes in enumerate(sizes)},
        "growth_from_10_to_1000_nodes": median(one[-1] / one[0] for one in rounds),
        "peak_rss_mb": {str(length): peak_of_run(length) / 1e6 for length in memory},
    }


def main() -> None:
    """Measure as the arguments say, and print one JSON document."""
    parser = argparse.ArgumentParser(prog="python -m meshsim.bench.scale", description=__doc__)
    parser.add_argument("--requests", type=int, default=40_000, help="requests of each run among many nodes")
    parser.add_argument(
        "--memory", type=int, nargs="*", default=[], help="lengths, in requests, of runs to see the peak of"
    )
    parser.add_argument("--one-run", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_run is not None:
        print(_one_run(options.one_run))
    else:
        print(json.dumps(measure(options.requests, options.memory), indent=2))


if __name__ == "__main__":
    main()
