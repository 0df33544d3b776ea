"""Carrying out cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from meshsim.network import tcp
from meshsim.network.tcp_connection import Carrier
from meshsim.network.tcp_dialogue import Course
from meshsim.network.tcp_parameters import DestinationMemory, TcpParameters
from meshsim.network.tcp_path import UP, LossCountdown, SteadyPath
from meshsim.probe.case import ProbeCase, ProbeResult, Times, unknown
from meshsim.probe.script import Script, write_script
from meshsim.scenario.cost_profile import load_cost_profile
from meshsim.scenario.errors import UsageError
from meshsim.world.streams import Streams

HOST_NOISE_NS = 50_000
"""What hosts add to or take from a packet's delay at most where a path is longer than a millisecond."""
TIMER_PHASES_NS = 1_024 * tcp.MS
"""Connections start at a random point of this span, so that they meet every phase of the kernel's timers."""
BLOCK_SAMPLES = 500
"""Samples between two reports of progress."""

LONG_ROUND_TRIP_NS = 100 * tcp.MS
UNLIMITED_BPS = 10**15


def run_probe(
    cases: Iterable[ProbeCase], progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[ProbeResult, ...]:
    """Carry out ``cases``, each with the samples it asks for; ``progress`` is told (samples done, samples in all).

    The result depends on the cases alone. Raises UsageError for a case that cannot be carried out (before any is), and
    ScenarioError for a cost profile that cannot be read.
    """
    todo = tuple(cases)
    wrong = mistakes(todo)
    if wrong:
        raise UsageError(*wrong)
    scripts = [write_script(case, load_cost_profile(case.cost_profile)) for case in todo]
    total = sum(case.samples for case in todo)
    results: list[ProbeResult] = []
    done = 0
    for case, script in zip(todo, scripts, strict=True):

        def report(samples: int, before: int = done) -> None:
            progress(before + samples, total)

        results.append(_run_case(case, script, report))
        done += case.samples
    return tuple(results)


def mistakes(cases: Iterable[ProbeCase]) -> list[str]:
    """Tell all that is wrong with cases, each mistake once."""
    wrong: list[str] = []
    for case in cases:
        profile = load_cost_profile(case.cost_profile)
        cpus = dict.fromkeys((case.cpu, case.server_cpu or case.cpu))
        wrong += case.mistakes()
        wrong += [unknown("CPU", cpu, tuple(profile.cpus)) for cpu in cpus if cpu not in profile.cpus]
    return list(dict.fromkeys(wrong))


def _run_case(case: ProbeCase, script: Script, report: Callable[[int], None]) -> ProbeResult:
    streams = Streams(case.seed)
    delay_ns = case.round_trip_ns // 2
    path = SteadyPath(
        (delay_ns, case.round_trip_ns - delay_ns),
        case.bandwidth_bps,
        (
            LossCountdown(case.loss, streams.stream("probe", "loss up")),
            LossCountdown(case.loss, streams.stream("probe", "loss down")),
        ),
        streams.stream("probe", "host noise"),
        min(HOST_NOISE_NS, delay_ns // 10),
    )
    parameters = TcpParameters(linear_syn_timeouts=case.linear_syn_timeouts)
    carrier = Carrier(path, parameters, (DestinationMemory(), DestinationMemory()))
    phase = streams.stream("probe", "timer phase")
    established: list[int] = []
    first_byte: list[int] = []
    for sample in range(case.samples):
        course = carrier.carry(script.dialogue, int(phase.random() * TIMER_PHASES_NS))
        time_ns = _established_ns(script, course)
        if time_ns is not None:
            established.append(time_ns)
        if len(course.first_byte_ns) > script.response:
            first_byte.append(course.first_byte_ns[script.response])
        if sample % BLOCK_SAMPLES == BLOCK_SAMPLES - 1:
            report(sample + 1)
    undisturbed_ns = _established_ns(script, carrier.undisturbed(script.dialogue))
    assert undisturbed_ns is not None
    return _result(case, script, undisturbed_ns, established, first_byte)


def _established_ns(script: Script, course: Course) -> int | None:
    """When the client has read the server's flight and computed its last; None if it never did."""
    before = script.finish - 1
    if len(course.delivered_ns) <= before:
        return None
    return course.delivered_ns[before] + script.dialogue[script.finish].compute_ns


def _result(
    case: ProbeCase, script: Script, undisturbed_ns: int, established: list[int], first_byte: list[int]
) -> ProbeResult:
    critical = [0, 0]
    for turn in script.dialogue[: script.finish + 1]:
        critical[turn.direction] += turn.compute_ns
    times = Times(tuple(sorted(established)), case.samples - len(established))
    mean_ns = times.mean_ns
    return ProbeResult(
        case=case,
        server_cpu=case.server_cpu or case.cpu,
        established=times,
        first_byte=Times(tuple(sorted(first_byte)), case.samples - len(first_byte)),
        flights=script.flights,
        bytes_sent=sum(flight.size_bytes for flight in script.flights if flight.sender == "client"),
        bytes_received=sum(flight.size_bytes for flight in script.flights if flight.sender == "server"),
        round_trips=round_trips(script),
        cpu_client_ns=script.cpu_client_ns,
        cpu_server_ns=script.cpu_server_ns,
        network_ns=undisturbed_ns - sum(critical),
        loss_recovery_ns=0 if mean_ns is None else max(mean_ns - undisturbed_ns, 0),
        critical_client_ns=critical[UP],
        critical_server_ns=critical[1 - UP],
        request_bytes=script.request_bytes,
        response_bytes=script.response_bytes,
    )


def round_trips(script: Script) -> int:
    """Count round trips until established: those of a path on which nothing but propagation takes time."""
    never = LossCountdown(0, Random(0))
    half_ns = LONG_ROUND_TRIP_NS // 2
    path = SteadyPath((half_ns, half_ns), UNLIMITED_BPS, (never, never), Random(0))
    instant = tuple(type(turn)(turn.direction, turn.writes_bytes) for turn in script.dialogue)
    course = Carrier(path, TcpParameters()).undisturbed(instant)
    return round(course.delivered_ns[script.finish - 1] / LONG_ROUND_TRIP_NS)
