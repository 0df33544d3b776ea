"""The handshake probe: what it says must follow from the TLS model, the cost profile and the network."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from meshsim.analysis.numbers import show_duration
from meshsim.commands.handshaking import probe_handshakes
from meshsim.probe.case import QUANTILES, ProbeCase, ProbeResult, Times
from meshsim.probe.present import draw_picture, draw_probe, probe_document, write_picture
from meshsim.probe.run import run_probe
from meshsim.scenario.cost_profile import load_cost_profile
from meshsim.scenario.errors import InfrastructureError, UsageError
from meshsim.sidecar.tls.settings import GROUPS

MS = 1_000_000


def one(**fields: object) -> ProbeResult:
    """Carry out one case, by default without loss over 30 ms."""
    given_fields = {"round_trip_ns": 30 * MS, "samples": 50} | fields
    (result,) = run_probe([ProbeCase(**given_fields)])  # type: ignore[arg-type]  # fields of several types
    return result


def test_the_table_of_cpus_is_what_the_shipped_profile_says() -> None:
    """docs/cost-profile.md names every CPU, and what a handshake and a sidecar cost on it."""
    rows = []
    for name, cpu in load_cost_profile("default").cpus.items():
        result = one(cpu=name, group="X25519", mutual=True, samples=1)
        costs_ns = (result.cpu_client_ns, result.cpu_server_ns, cpu.proxy_request_ns + cpu.proxy_response_ns)
        what = cpu.description.removesuffix("; no AES instructions")
        told = (f"`{name}`", what, "yes" if cpu.aes_instructions else "no", *map(show_duration, costs_ns))
        rows.append(f"| {' | '.join(told)} |")
    document = (Path(__file__).parent.parent / "docs" / "cost-profile.md").read_text(encoding="utf-8")
    head = "| Name | CPU | AES instructions | Client | Server | Sidecar |"
    assert "\n".join([head, "|---|---|---|---|---|---|", *rows, ""]) in document


def test_loss_free_handshake_is_two_round_trips_and_computing() -> None:
    """Without loss every sample takes TCP's and TLS's round trip and both ends' computing; the response one more."""
    result = one()
    assert result.round_trips == 2
    assert len(set(result.established.sorted_ns)) == 1
    expected_ns = 60 * MS + result.critical_client_ns + result.critical_server_ns
    assert 0 <= result.established.sorted_ns[0] - expected_ns < MS / 10
    assert result.loss_recovery_ns == 0
    assert 30 * MS < result.first_byte.sorted_ns[0] - result.established.sorted_ns[0] < 33 * MS


def test_parts_sum_to_the_mean() -> None:
    """Network, loss recovery and computing of both ends are the mean time to established."""
    result = one(loss=0.05, samples=2_000)
    parts_ns = result.network_ns + result.loss_recovery_ns + result.critical_client_ns + result.critical_server_ns
    mean_ns = result.established.mean_ns
    assert mean_ns is not None
    assert abs(parts_ns - mean_ns) <= 1
    assert result.loss_recovery_ns > 10 * MS


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("mutual", [False, True])
@pytest.mark.parametrize("resumed", [False, True])
def test_flights_are_the_models(group: str, mutual: bool, resumed: bool) -> None:
    """Bytes are the flights' sum, a resumed handshake has no certificates, and a mutual one two."""
    result = one(group=group, mutual=mutual, resumed=resumed, samples=1)
    contents = [flight.content for flight in result.flights]
    assert contents == ["ClientHello", "ServerFlight", "ClientFinish", "SessionTickets"]
    sizes = [flight.size_bytes for flight in result.flights]
    assert (result.bytes_sent, result.bytes_received) == (sizes[0] + sizes[2], sizes[1] + sizes[3])
    assert (sizes[2] > 500) == (mutual and not resumed)
    full = one(group=group, mutual=mutual, samples=1)
    if resumed:
        assert result.cpu_client_ns < full.cpu_client_ns
        assert sizes[1] < full.flights[1].size_bytes


def test_slower_cpus_take_longer() -> None:
    """Each end is charged by its own CPU."""
    both, server_alone = one(cpu="cortex-a53"), one(server_cpu="cortex-a53")
    fast = one()
    assert server_alone.server_cpu == "cortex-a53"
    assert server_alone.cpu_client_ns == fast.cpu_client_ns
    assert both.cpu_server_ns == server_alone.cpu_server_ns > 5 * fast.cpu_server_ns
    assert both.cpu_client_ns > 5 * fast.cpu_client_ns


def test_same_seed_same_result() -> None:
    """A result depends on its case alone; another seed meets other losses."""
    assert one(loss=0.03, samples=500) == one(loss=0.03, samples=500)
    assert one(loss=0.03, samples=500).established != one(loss=0.03, samples=500, seed=2).established


def test_same_bytes_in_every_process() -> None:
    """The document is the same whatever the order of hashes."""
    code = (
        "import json\n"
        "from meshsim.probe.case import ProbeCase\n"
        "from meshsim.probe.present import probe_document\n"
        "from meshsim.probe.run import run_probe\n"
        "print(json.dumps(probe_document(run_probe([ProbeCase(30_000_000, 0.05, samples=300)]))))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": str(number)}
        ).stdout
        for number in range(2)
    }
    assert len(outputs) == 1


@settings(max_examples=15)
@given(
    round_trip_ns=st.integers(1, 500 * MS),
    loss=st.floats(0, 0.6),
    group=st.sampled_from(GROUPS),
    seed=st.integers(0, 99),
)
def test_every_case_comes_to_an_end(round_trip_ns: int, loss: float, group: str, seed: int) -> None:
    """Whatever the path, samples are established after two round trips at least, or counted as failed."""
    result = one(round_trip_ns=round_trip_ns, loss=loss, group=group, seed=seed, samples=20)
    assert len(result.established.sorted_ns) + result.established.failed == 20
    assert all(time_ns > 1.9 * round_trip_ns for time_ns in result.established.sorted_ns)
    json.dumps(probe_document([result]), allow_nan=False)


def test_quantiles_are_nearest_rank() -> None:
    """A quantile is a sample; where more samples failed than it leaves out, there is none."""
    times = Times(tuple(range(1, 101)), 0)
    assert [times.quantile_ns(percent) for percent in QUANTILES.values()] == [25, 50, 75, 85, 95, 99]
    failing = Times((1, 2, 3), 1)
    assert (failing.quantile_ns(75), failing.quantile_ns(85)) == (3, None)
    assert Times((), 5).quantile_ns(1) is None
    assert Times((), 5).mean_ns is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"round_trip_ns": 0}, "round trip"),
        ({"loss": 1.0}, "loss"),
        ({"samples": 0}, "samples"),
        ({"group": "X25518"}, "did you mean X25519"),
        ({"key": "ecdsa-p265"}, "did you mean ecdsa-p256"),
        ({"cpu": "cortex-a27"}, "did you mean cortex-a72"),
        ({"server_cpu": "z80"}, "expected one of"),
        ({"bandwidth_bps": 0}, "bandwidth"),
    ],
)
def test_mistakes_are_told(fields: dict[str, object], words: str) -> None:
    """A case that cannot be carried out is a usage error that says what would be right."""
    with pytest.raises(UsageError, match=words):
        one(**fields)


def options(**changes: object) -> dict[str, object]:
    """Return what the command passes on, with changes."""
    usual: dict[str, object] = {
        "rtt": "30 ms",
        "loss": "1 %",
        "groups": ["X25519", "X25519MLKEM768"],
        "keys": ["ecdsa-p256"],
        "chains": [1],
        "cpu": "reference",
        "server_cpu": None,
        "mutual": True,
        "resumed": False,
        "bandwidth": "1 Gbit/s",
        "linear_syn_timeouts": 0,
        "samples": 200,
        "seed": 1,
        "cost_profile": "default",
        "plot": None,
        "quiet": True,
    }
    return usual | changes


def test_command_answers_side_by_side(tmp_path: Path) -> None:
    """Several groups are probed, drawn side by side, written as a picture and told in the contract's keys."""
    picture = tmp_path / "probe.png"
    answer = probe_handshakes(**options(plot=picture))  # type: ignore[arg-type]  # options of several types
    first, second = answer.document["results"]
    assert (first["group"], second["group"]) == ("X25519", "X25519MLKEM768")
    assert (first["rtt_ms"], first["loss_percent"], first["mutual"]) == (30.0, 1.0, True)
    for times in (first["established_ms"], first["first_byte_ms"]):
        assert list(times) == ["p25", "p50", "p75", "p85", "p95", "p99"]
        assert list(times.values()) == sorted(times.values())
    assert picture.read_bytes().startswith(b"\x89PNG")
    text = StringIO()
    answer.draw(Console(file=text, width=100))
    assert "X25519MLKEM768" in text.getvalue()
    assert "probe.png" in text.getvalue()


def test_what_is_named_twice_is_probed_once() -> None:
    """Each group, key type and chain counts once, in the order in which it was named first."""
    twice = {"groups": ["X25519", "P-256", "X25519"], "keys": ["ed25519", "ed25519"], "chains": [1, 1]}
    answer = probe_handshakes(**options(**twice))  # type: ignore[arg-type]  # options of several types
    assert [result["group"] for result in answer.document["results"]] == ["X25519", "P-256"]


def test_what_is_assumed_is_told() -> None:
    """The table says who is authenticated, the bandwidth, and how long request and response are."""
    text = StringIO()
    result = one(samples=3)
    draw_probe(Console(file=text, width=80), [result])
    shown = text.getvalue()
    assert "1 Gbit/s" in shown
    assert "the server" in shown
    assert f"{result.request_bytes} B" in shown
    # A head of HTTP/2 and TLS records around a body of 1 KiB.
    assert 1_024 < result.response_bytes < 1_024 + 250


@pytest.mark.parametrize(
    "changes", [{"rtt": "fast"}, {"loss": "1"}, {"bandwidth": "-1 bit/s"}, {"plot": Path("x.txt")}, {"cpu": "6502"}]
)
def test_command_tells_mistakes(changes: dict[str, object]) -> None:
    """An option that makes no sense is a usage error, before anything is carried out."""
    with pytest.raises(UsageError, match="expected"):
        probe_handshakes(**options(**changes))  # type: ignore[arg-type]  # options of several types


def test_all_mistakes_are_told_at_once() -> None:
    """Whatever is wrong with the options is said in one error, each thing once."""
    wrong = {"rtt": "30", "groups": ["foo", "bar"], "cpu": "z80", "samples": 0, "plot": Path("x.txt")}
    with pytest.raises(UsageError) as error:
        probe_handshakes(**options(**wrong))  # type: ignore[arg-type]  # options of several types
    told = str(error.value).split("; ")
    for words in ("--rtt: '30'", "x.txt is no name", "group 'foo'", "group 'bar'", "CPU 'z80'", "0 samples"):
        assert sum(words in each for each in told) == 1, words
    assert "round trip of" not in str(error.value)


def test_the_key_of_a_picture_lies_beside_its_curves() -> None:
    """However many cases there are, no curve runs through the names of the cases, and none is cut off."""
    one_result = one(samples=3)
    figure = draw_picture([one_result] * 16)
    figure.draw_without_rendering()
    above, _ = figure.axes
    key = above.get_legend().get_window_extent()
    assert key.x0 >= above.get_window_extent().x1
    assert key.x1 <= figure.bbox.x1
    assert key.y0 >= above.get_window_extent().y0


def test_unwritable_picture_is_the_machines_fault(tmp_path: Path) -> None:
    """A picture that cannot be written is an infrastructure failure."""
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(InfrastructureError, match="cannot be written"):
        write_picture([one(samples=3)], tmp_path / "taken.png")


def test_cases_that_differ_in_their_chain_alone_have_bars_of_their_own() -> None:
    """A picture has a bar for each case, named by its chain where cases differ in that."""
    results = [one(samples=3, chain=chain) for chain in (1, 2)]
    above, below = draw_picture(results).axes
    assert [label.get_text().split(", ")[-1] for label in below.get_yticklabels()] == ["chain of 1", "chain of 2"]
    assert {round(bar.get_y() + bar.get_height() / 2) for bar in below.patches} == {0, 1}
    assert len({text.get_text() for text in above.get_legend().get_texts()}) == 2


def test_table_fits_narrow_terminals() -> None:
    """On 80 columns more cases than fit come in several tables, and failed samples are told."""
    results = [one(group=group, samples=3) for group in GROUPS]
    hopeless = msgspec.structs.replace(results[0], established=Times((), 3), first_byte=Times((), 3))
    text = StringIO()
    draw_probe(Console(file=text, width=80), [*results, hopeless])
    assert max(map(len, text.getvalue().splitlines())) <= 80
    assert "3 of 3" in text.getvalue()
