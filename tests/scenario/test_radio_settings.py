"""Parametric radios and 5QIs of an operator's own, in scenario files: what they mean, and mistakes with their words."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from meshsim.scenario.errors import ScenarioError
from meshsim.scenario.loader import load_scenario, load_text
from meshsim.scenario.network import Network
from meshsim.scenario.nr import NrRadio
from meshsim.scenario.schema import schema_text
from meshsim.scenario.yaml_text import parse_yaml

DATA = Path(__file__).parent / "data"
SCENARIOS = Path(__file__).parents[2] / "scenarios"
CONVOY = DATA / "convoy.yaml"
VALID = (DATA / "valid.yaml").read_text(encoding="utf-8")
OWN = """\
  five_qis:
    "200":
      resource_type: Delay-critical GBR
      priority: 15
      packet_delay_budget: 8 ms
      packet_error_rate: 1e-6
      max_burst: 300 B
      core_network_delay: 1 ms
      description: Motion control
"""
SETTINGS = "nr: {pattern: DDDSU}"
RADIO = VALID.replace("quantiles: {file: quantiles.csv, network: prototype 28 GHz}", SETTINGS)
CUSTOM = VALID.replace("five_qi: 82", "five_qi: 200").replace("  slices:\n", OWN + "  slices:\n")


def told(text: str) -> list[str]:
    """What is said of a scenario text in the folder of the valid one, without the folder; nothing if it is accepted."""
    try:
        load_text(text, DATA / "valid.yaml")
    except ScenarioError as error:
        return [str(one).replace(f"{DATA}/", "") for one in error.diagnostics]
    return []


def network(text: str) -> Network:
    """The network of a scenario text."""
    return load_text(text, DATA / "valid.yaml").scenario.network


def test_own_five_qi_stands_beside_the_standardised_ones() -> None:
    """A 5QI of one's own has all characteristics of a standardised one, the budget split into core and radio."""
    row = network(CUSTOM).characteristics(200)
    assert (row.value, row.resource_type, row.priority) == (200, "Delay-critical GBR", 15)
    assert (row.packet_delay_budget_ns, row.access_network_delay_budget_ns) == (8_000_000, 7_000_000)
    assert (row.packet_error_rate, row.max_burst_bytes, row.averaging_window_ns) == (1e-6, 300, 2_000_000_000)
    assert row.example == "Motion control"
    assert network(CUSTOM).characteristics(80).packet_delay_budget_ns == 10_000_000


def _notes(*overrides: str) -> list[str]:
    return [note for note in load_scenario(CONVOY, overrides).notes if "interruption" in note]


def test_interruptions_longer_than_stays_are_noted() -> None:
    """A handover that is not over when the next one begins is told, with the shortest stay and how many there are."""
    road = "network.radios.road.handover_interruption"
    assert not _notes()
    assert not _notes(f"{road}=11 s")
    (note,) = _notes(f"{road}=12 s")
    assert "leaves cell 'middle' 12 s after it came, before the interruption of 12 s is over" in note
    assert "at 1 of 3 stays" in note
    # The ends are passed twice before a device that turns comes back to the middle: 32 s each.
    assert "at 3 of 3 stays" in _notes(f"{road}=32 s")[0]
    assert "at 1 of 1 stays" in _notes(f"{road}=32 s", "fleets.cars.path.at_end=stay")[0]
    assert "at 1 of 3 stays" in _notes(f"{road}=15 s", "fleets.cars.path.at_end=again")[0]
    drive = SCENARIOS / "v2x-corridor.yaml"
    radio = next(iter(load_scenario(drive).scenario.network.radios))
    assert "stays" in load_scenario(drive, [f"network.radios.{radio}.handover_interruption=1 min"]).notes[-1]


def test_defaults_of_an_own_five_qi() -> None:
    """Without more words the core takes 20 ms, and Non-GBR has neither burst nor window."""
    text = CUSTOM.replace("Delay-critical GBR", "Non-GBR").replace("8 ms", "80 ms")
    row = network(text.replace("      max_burst: 300 B\n      core_network_delay: 1 ms\n", "")).characteristics(200)
    assert (row.core_network_delay_ns, row.max_burst_bytes, row.averaging_window_ns) == (20_000_000, None, None)


def test_defaults_by_numerology() -> None:
    """What is not set follows the numerology: slot, K2, and processing of N2 symbols in device and base station."""
    seen = [(nr.slot_ns, nr.k2_slots, nr.processing_ns) for nr in (NrRadio(numerology=mu) for mu in range(4))]
    assert [slot_ns for slot_ns, _, _ in seen] == [1_000_000, 500_000, 250_000, 125_000]
    assert [k2 for _, k2, _ in seen] == [1, 1, 2, 3]
    assert [ns for _, _, (ns, _) in seen] == [10_000_000 // 14, 6_000_000 // 14, 5_750_000 // 14, 4_500_000 // 14]
    assert all(device_ns == gnb_ns for _, _, (device_ns, gnb_ns) in seen)
    slow = [NrRadio.model_validate({"device_processing": f"{us} us"}).k2_slots for us in (0, 500, 501, 1000, 1001)]
    assert slow == [1, 1, 2, 2, 3]


@pytest.mark.parametrize("text", [RADIO, CUSTOM])
def test_both_are_read_resolved_and_in_the_schema(text: str) -> None:
    """Such a scenario loads, its resolved text gives the same network, and the schema accepts both."""
    loaded = load_text(text, DATA / "valid.yaml")
    assert network(loaded.resolved) == loaded.scenario.network
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    for written in (text, loaded.resolved):
        assert list(validator.iter_errors(parse_yaml(written, "x")[0])) == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("pattern: DDXSU", "21: pattern 'DDXSU' has the letter 'X'; expected D, S and U, such as 'DDDSU', or 'FDD'"),
        ("pattern: ''", "21: pattern '' has no downlink slot; expected at least one D, such as 'DDDSU'"),
        ("pattern: DDDS", "21: pattern 'DDDS' has no uplink slot; expected at least one U, such as 'DDDSU'"),
        ("pattern: SUU", "21: pattern 'SUU' has no downlink slot; expected at least one D, such as 'DDDSU'"),
        (
            "pattern: DDU",
            "21: pattern 'DDU' goes from D to U without a guard; expected an S between them, such as 'DDDSU'",
        ),
        (
            "pattern: USDD",
            "21: pattern 'USDD' goes from D to U without a guard; expected an S between them, such as 'DDDSU'",
        ),
        ("pattern: DSU", "21: the pattern lasts 1.5 ms; expected a part of 20 ms (TS 38.213, clause 11.1)"),
        ("numerology: 4", "24: 4 is out of range; expected at most 3"),
        ("numerology: -1", "24: -1 is out of range; expected at least 0"),
        ("block_error_rate: 100 %", "30: '100 %' is out of range; expected at most 90 %"),
        ("block_error_rate: 0.1", "30: 0.1 has no unit; expected a quantity with a unit such as '20 %'"),
        ("harq_round_trip: 0", "29: 0 is out of range; expected at least 1"),
        (
            "scheduling_request_period: 6",
            "39: scheduling_request_period is 6 slots, which TS 38.331 has not; expected one such as [2, 4, 5, 8]",
        ),
        (
            "configured_grant_period: 7",
            "37: configured_grant_period is 7 slots, which TS 38.331 has not; expected one such as [4, 5, 8, 10]",
        ),
        (
            "configured_grant_period: 5, scheduling_request_period: 5",
            "40: a device with a configured grant does not ask; expected no scheduling_request_period, "
            "or no configured grant",
        ),
        (
            "rlc: unacknowledged, rlc_retransmission: 9 ms",
            "33: RLC retransmits nothing in its unacknowledged mode; expected no rlc_retransmission, or another rlc",
        ),
        (
            "configured_grant_period: 5, grant_delay: 3",
            "40: a device with a configured grant does not ask; expected no grant_delay, or no configured grant",
        ),
        (
            "grant_delay: 0",
            "25: the device takes 428.571 us to prepare what it is granted, longer than 0 slots; expected at least 1, "
            "or less device_processing",
        ),
        (
            "device_processing: 1001 us, grant_delay: 2",
            "53: the device takes 1.001 ms to prepare what it is granted, longer than 2 slots; expected at least 3, "
            "or less device_processing",
        ),
        (
            "pattern: FDD, special_uplink_symbols: 3",
            "26: the pattern 'FDD' has no special slot to split; expected no special_uplink_symbols, or an S in it",
        ),
        (
            "special_uplink_symbols: 4",
            "12: a special slot with 10 downlink and 4 uplink symbols has no guard; expected 13 or less",
        ),
        ("slots: DDDSU", "12: unknown key 'slots'; expected one of numerology"),
    ],
)
def test_mistakes_in_a_radio(settings: str, says: str) -> None:
    """A setting that cannot be is told at its place."""
    found = told(RADIO.replace("{pattern: DDDSU}", f"{{{settings}}}"))
    assert len(found) == 1
    assert found[0].startswith(f"valid.yaml:25:{says.partition(':')[0]}:{says.partition(':')[2]}"), found
    assert len(found[0]) < 200


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            '"200":',
            '"82":',
            "18:5: 5QI 82 is standardised (TS 23.501 table 5.7.4-1); expected one of your own, 128 to 254",
        ),
        ('"200":', '"99":', "18:5: 5QI 99 is not an operator's own; expected 128 to 254 (TS 24.501 table 9.11.4.12.1)"),
        ('"200":', "fast:", "18:5: 'fast' is not a 5QI; expected one of your own in quotes, '128' to '254'"),
        ('"200":', "2.5:", "18:5: a key is 2.5, which is not text; expected text, in quotes if need be"),
        (
            "      max_burst: 300 B\n",
            "",
            "18:5: a Delay-critical GBR 5QI has no max_burst; expected one, such as '255 B'",
        ),
        (
            "Delay-critical GBR",
            "GBR",
            "23:7: GBR has no burst volume; expected no max_burst, or Delay-critical GBR",
        ),
        (
            "packet_delay_budget: 8 ms",
            "packet_delay_budget: 1 ms",
            "21:28: the core network takes 1 ms of a budget of 1 ms; "
            "expected core_network_delay to leave the radio a part",
        ),
        ("1e-6", "1 %", "22:26: 1 % is no error rate; expected a number between 0 and 1, such as 1e-5"),
        ("1e-6", "0", "22:26: 0 is no error rate; expected a number between 0 and 1, such as 1e-5"),
        ("1e-6", "true", "22:26: this is no error rate; expected a number between 0 and 1, such as 1e-5"),
        ("priority: 15", "priority: 0", "20:17: 0 is out of range; expected at least 1"),
        (
            "five_qi: 200",
            "five_qi: 201",
            "27:46: 201 is not a standardised 5QI; expected one of 3GPP TS 23.501 table 5.7.4-1, "
            "such as 87, 88, 89, 90; or 200 of network.five_qis",
        ),
        (
            "five_qi: 200",
            "five_qi: 82",
            "18:5: the 5QI '200' is declared but never used; expected a slice with it, or not to be here",
        ),
    ],
)
def test_mistakes_in_an_own_five_qi(old: str, new: str, says: str) -> None:
    """A 5QI that is not the operator's to define, or cannot be, is told at its place."""
    assert CUSTOM.count(old) == 1
    assert f"valid.yaml:{says}" in told(CUSTOM.replace(old, new))
