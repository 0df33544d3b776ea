"""How cost and memory grow with the size of a scenario and the length of a run."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import msgspec

from meshsim.bench.chain import REQUESTS_PER_S
from meshsim.bench.mesh import SCENARIO
from meshsim.bench.run import peak_rss_bytes
from meshsim.experiment import load, run_folder
from meshsim.results.tables import ParquetSink
from meshsim.scenario.errors import InfrastructureError, UsageError
from meshsim.scenario.loader import load_scenario
from meshsim.telemetry.recorder import Recorder
from meshsim.world.world import World

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


class Sizes(msgspec.Struct, frozen=True):
    """What is measured: scenarios of these sizes, runs of these lengths."""

    load_nodes: int
    load_services: int
    fewest_nodes: int
    most_nodes: int
    requests: int
    """Of each run among few and among many nodes."""
    longest_requests: int
    """Of the run whose memory is held against one a quarter as long."""
    repetitions: int


FULL = Sizes(5_000, 1_000, 10, 1_000, 40_000, 400_000, 3)
QUICK = Sizes(200, 40, 10, 50, 1_000, 4_000, 1)


class ScaleResult(msgspec.Struct, frozen=True):
    """What ``measure`` finds: times in CPU seconds, medians; memory in 10^6 bytes."""

    load_nodes: int
    load_services: int
    load_s: float
    """Reading and checking a scenario of that size, and assembling its world."""
    fewest_nodes: int
    most_nodes: int
    request_us_among_fewest: float
    """One request, three services long, with its tables."""
    request_us_among_most: float
    request_growth: float
    """The second to the first, of one repetition; median. There are as many more services as nodes."""
    request_us_on_fewest_nodes: float
    """With the services of the scenario of most nodes, crowded on the fewest."""
    request_growth_by_nodes: float
    """Among the most nodes to that, of one repetition; median: the services are the same, the nodes alone are more."""
    shorter_requests: int
    longer_requests: int
    shorter_peak_mb: float
    """Largest resident memory of a process that does a whole run, its report included."""
    longer_peak_mb: float
    peak_growth: float

    def rows(self) -> list[tuple[str, str]]:
        """Return (what, how much) for people to read."""
        loading = f"loading {self.load_nodes:,} nodes and {self.load_services:,} services"
        fewest, most = services_of(self.fewest_nodes), services_of(self.most_nodes)
        many_us = f"{self.request_us_among_most:.0f} us"
        growths = f"{self.request_growth:.2f} times the first, {self.request_growth_by_nodes:.2f} times the second"
        return [
            (loading, f"{self.load_s:.2f} s"),
            (f"a request, {self.fewest_nodes:,} nodes, {fewest:,} services", f"{self.request_us_among_fewest:.0f} us"),
            (f"a request, {self.fewest_nodes:,} nodes, {most:,} services", f"{self.request_us_on_fewest_nodes:.0f} us"),
            (f"a request, {self.most_nodes:,} nodes, {most:,} services", f"{many_us} ({growths})"),
            (f"peak memory of {self.shorter_requests:,} requests", f"{self.shorter_peak_mb:.0f} MB"),
            (
                f"peak memory of {self.longer_requests:,} requests",
                f"{self.longer_peak_mb:.0f} MB ({self.peak_growth:.2f} times)",
            ),
        ]


Progress = Callable[[int, int], None]
FEWEST_REQUESTS = 4_000
"""Shortest run, in requests, whose memory says anything."""


def time_load(nodes: int, services: int) -> float:
    """Return the CPU time of reading and checking a scenario of that size, and of assembling its world."""
    with TemporaryDirectory(prefix="meshsim-scale-") as folder:
        path = Path(folder) / "scale.yaml"
        path.write_text(scenario_text(nodes, services, 10_000), encoding="utf-8")
        gc.collect()
        began_s = time.process_time()
        World(load_scenario(path), Recorder(ParquetSink(Path(folder))))
        return time.process_time() - began_s


def services_of(nodes: int) -> int:
    """Return how many services a scenario of so many nodes has: a chain at each site."""
    return nodes * CHAIN // NODES_PER_SITE


def time_requests(nodes: int, requests: int, services: int | None = None) -> float:
    """Return the CPU time of a request, three services long, among so many nodes; the tables are written.

    There is a chain of services at each site unless ``services`` says how many there are.
    """
    with TemporaryDirectory(prefix="meshsim-scale-") as folder:
        path = Path(folder) / "scale.yaml"
        path.write_text(scenario_text(nodes, services or services_of(nodes), requests), encoding="utf-8")
        sink = ParquetSink(Path(folder))
        world = World(load_scenario(path), Recorder(sink))
        gc.collect()
        began_s = time.process_time()
        world.run()
        sent = sink.close()["requests"][0]
        return (time.process_time() - began_s) / sent


def peak_of_run(requests: int) -> int:
    """Return the largest resident memory, in bytes, of a process of its own that does a run, its report included.

    Raises InfrastructureError when that process fails.
    """
    command = [sys.executable, "-m", "meshsim.bench.scale", str(requests)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip() or "no reason told").splitlines()[-1]
        raise InfrastructureError(f"the run of {requests} requests failed: {reason}")
    return int(done.stdout)


def one_run(requests: int) -> int:
    """Do the benchmark's run of the mesh with a report, and return the memory that this process needed, in bytes."""
    with TemporaryDirectory(prefix="meshsim-scale-") as folder:
        overrides = [f"duration={requests * 1_000 // REQUESTS_PER_S} ms"]
        run_folder(load(SCENARIO, None, "modelled", overrides), out=Path(folder) / "run")
    return peak_rss_bytes()


def measure(sizes: Sizes, progress: Progress | None = None) -> ScaleResult:
    """Measure loading, growth and memory; ``progress`` is called with the steps done and all steps.

    Raises UsageError for a longest run under ``FEWEST_REQUESTS``.
    """
    longest = sizes.longest_requests
    if longest < FEWEST_REQUESTS:
        raise UsageError(f"{longest} requests are too few to see memory grow; expected at least {FEWEST_REQUESTS}")
    steps, done = 2 * sizes.repetitions + 2, 0

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, steps)

    time_requests(sizes.fewest_nodes, 100)  # modules are loaded when they are first wanted
    loads, few, crowded, many = [], [], [], []
    for _ in range(sizes.repetitions):
        loads.append(time_load(sizes.load_nodes, sizes.load_services))
        step()
        few.append(time_requests(sizes.fewest_nodes, sizes.requests))
        crowded.append(time_requests(sizes.fewest_nodes, sizes.requests, services_of(sizes.most_nodes)))
        many.append(time_requests(sizes.most_nodes, sizes.requests))
        step()
    peaks_bytes = []
    for requests in (longest // 4, longest):
        peaks_bytes.append(peak_of_run(requests))
        step()
    return ScaleResult(
        load_nodes=sizes.load_nodes,
        load_services=sizes.load_services,
        load_s=median(loads),
        fewest_nodes=sizes.fewest_nodes,
        most_nodes=sizes.most_nodes,
        request_us_among_fewest=median(few) * 1e6,
        request_us_among_most=median(many) * 1e6,
        request_growth=median(more / fewer for fewer, more in zip(few, many, strict=True)),
        request_us_on_fewest_nodes=median(crowded) * 1e6,
        request_growth_by_nodes=median(more / fewer for fewer, more in zip(crowded, many, strict=True)),
        shorter_requests=longest // 4,
        longer_requests=longest,
        shorter_peak_mb=peaks_bytes[0] / 1_000_000,
        longer_peak_mb=peaks_bytes[1] / 1_000_000,
        peak_growth=peaks_bytes[1] / peaks_bytes[0],
    )


if __name__ == "__main__":
    print(one_run(int(sys.argv[1])))
