"""Pictures and report: whole, self-contained, readable, true."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from meshsim.analysis.conclude import Conclusion, conclude
from meshsim.analysis.data import RunData
from meshsim.analysis.palette import VARIABLES
from meshsim.analysis.plots import PLOTS
from meshsim.analysis.report import budget_sentence, overall, slice_cells, verdict_sentence
from meshsim.scenario.model import Scenario
from meshsim.telemetry.columns import columns
from meshsim.telemetry.rows import HandshakeRow, RequestRow

LEAST_FONT_PX = 10


@pytest.fixture(scope="module")
def run(corridor: Any) -> RunData:
    return RunData(corridor.folder.path, corridor.scenario, corridor.manifest)


@pytest.fixture(scope="module")
def conclusion(corridor: Any) -> Conclusion:
    return conclude(corridor.folder.path, corridor.scenario, corridor.manifest)


@pytest.fixture
def empty(make_run: Callable[..., Any], corridor_scenario: Scenario) -> Any:
    return make_run(corridor_scenario, lambda scenario, record: None)


@pytest.mark.parametrize("name", PLOTS)
def test_pictures_are_the_same_every_time(name: str, run: RunData) -> None:
    """The same run gives the same SVG, without a date, as well-formed XML."""
    first, second = PLOTS[name](run).to_svg(), PLOTS[name](run).to_svg()
    assert first == second
    assert "dc:date" not in first
    ET.fromstring(first)


@pytest.mark.parametrize("name", PLOTS)
def test_pictures_are_readable_on_a_phone(name: str, run: RunData) -> None:
    """No picture is wider than a phone at its own size, and no text in it is smaller than ten pixels."""
    svg = PLOTS[name](run).to_inline_svg()
    width = re.search(r'viewBox="0 0 ([\d.]+) ', svg)
    assert width is not None
    assert float(width[1]) <= 380
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg)]
    assert sizes
    assert min(sizes) >= LEAST_FONT_PX


@pytest.mark.parametrize("name", PLOTS)
def test_inline_pictures_take_every_colour_from_the_page(name: str, run: RunData) -> None:
    """No colour is fixed, so that a dark page has dark pictures; every property is one that the page sets."""
    svg = PLOTS[name](run).to_inline_svg()
    assert re.findall(r"#[0-9a-f]{6}\b", svg) == []
    assert set(re.findall(r"var\(--(\w+)\)", svg)) <= {*VARIABLES.values(), "font"}
    assert 'role="img" aria-label="' in svg
    assert set(re.findall(r"font-family: ([^;]*);", svg)) == {"var(--font)"}


@pytest.mark.parametrize("name", PLOTS)
def test_captions_say_what_is_shown_in_one_sentence(name: str, run: RunData, empty: Any) -> None:
    """Each caption is one sentence, drawn from the data, for a full run and for one in which nothing happened."""
    nothing = RunData(empty.folder.path, empty.scenario, empty.manifest)
    captions = [PLOTS[name](data).caption for data in (run, nothing)]
    for caption in captions:
        assert caption.endswith(".")
        assert not re.search(r"\.\s", caption)
    assert captions[0] != captions[1]


def test_captions_name_the_figures(run: RunData) -> None:
    """What a picture shows best stands in its caption."""
    assert "v2x 98.2 % within 50 ms" in PLOTS["latency"](run).caption
    assert "video spends most on radio" in PLOTS["attribution"](run).caption
    assert "its slowest lose most on network" in PLOTS["attribution"](run).caption
    assert "2 link-down at gnb-north--edge-a" in PLOTS["timeline"](run).caption
    assert "at 45 s" in PLOTS["handshakes"](run).caption


def test_topology_shows_only_links_that_were_used(run: RunData) -> None:
    """Each slice is drawn along the ways of its calls, and no further."""
    from meshsim.analysis.topology import _used_links

    used = _used_links(run)
    assert ("core", "regional") in used["telemetry"]
    assert ("core", "regional") not in used["v2x"]
    assert ("edge-a", "gnb-north") in used["v2x"]


class _Page(HTMLParser):
    """Tags and addresses of a page, and whether its elements close in order."""

    _VOID = frozenset({"meta", "br", "img", "hr", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self._VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _parsed(html: str) -> _Page:
    page = _Page()
    page.feed(html)
    page.close()
    assert page.open == []
    return page


def test_report_needs_no_network_and_no_script(conclusion: Conclusion) -> None:
    """The page refers to nothing but itself and runs nothing."""
    page = _parsed(conclusion.report)
    assert all(address.startswith("#") for address in page.addresses)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    style = conclusion.report[: conclusion.report.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_report_has_everything(conclusion: Conclusion, run: RunData) -> None:
    """Verdict first, then expectations, slices, five pictures, faults, services, and how to repeat it."""
    page = _parsed(conclusion.report)
    assert page.tags.count("figure") == page.tags.count("figcaption") == page.tags.count("svg") == len(PLOTS) == 5
    text = "".join(page.text)
    places = [text.index(word) for word in ("expectations failed", "Expectations", "Slices", "Faults", "Services")]
    assert places == sorted(places)
    assert run.manifest.digest in text
    assert "meshsim run scenario.yaml" in text
    assert conclusion.exit_code == 1


def test_references_within_the_page_are_unambiguous(conclusion: Conclusion) -> None:
    """Every reference of a picture to a part of itself has its target, and no identifier stands for two things."""
    targets = re.findall(r' id="([^"]+)"', conclusion.report)
    references = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', conclusion.report)
    assert {first or second for first, second in references} <= set(targets)
    assert len(targets) == len(set(targets))


def test_hostile_text_stays_text(make_run: Callable[..., Any], corridor_scenario: Scenario, corridor: Any) -> None:
    """What a scenario's author writes cannot become markup."""
    plain = corridor_scenario.model_dump(mode="json", by_alias=True, exclude_none=True)
    plain["description"] = "<script>alert(1)</script><b>&amp;"
    scenario = Scenario.model_validate(plain)
    report = conclude(corridor.folder.path, scenario, corridor.manifest).report
    assert "<script>" not in report
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;b&gt;&amp;amp;" in report


def test_a_run_without_rows_has_a_report(empty: Any) -> None:
    """A run in which nothing happened is reported as inconclusive, pictures and all."""
    conclusion = conclude(empty.folder.path, empty.scenario, empty.manifest)
    assert _parsed(conclusion.report).tags.count("figure") == 5
    assert "Inconclusive: 9 of 9" in conclusion.report
    assert conclusion.exit_code == 3


def test_a_budget_far_away_is_named_at_the_edge(
    corridor: Any, corridor_fill: Callable[..., None], make_run: Any
) -> None:
    """A budget of many times the latency does not squeeze the bars to nothing."""
    plain = corridor.scenario.model_dump(mode="json", by_alias=True, exclude_none=True)
    plain["network"]["slices"]["v2x"]["latency_budget"] = "10 s"
    scenario = Scenario.model_validate(plain)
    partial = make_run(scenario, corridor_fill)
    svg = PLOTS["attribution"](RunData(partial.folder.path, scenario, partial.manifest)).to_svg()
    assert "budget 10000 ms" not in svg
    assert "budget 10 s \N{RIGHTWARDS ARROW}" in svg


@pytest.mark.parametrize(
    ("words", "word", "sentence"),
    [
        ([], "none", "No expectations were set"),
        (["pass", "pass"], "pass", "All 2 expectations hold"),
        (["pass"], "pass", "The one expectation holds"),
        (["pass", "inconclusive"], "inconclusive", "Inconclusive: 1 of 2 expectations could not be measured"),
        (["fail", "inconclusive", "pass"], "fail", "1 of 3 expectations failed, 1 inconclusive"),
    ],
)
def test_the_verdict_in_one_line(words: list[str], word: str, sentence: str) -> None:
    """A failure outweighs what could not be measured, which outweighs what passed."""
    summary = {"expectations": [{"verdict": each} for each in words]}
    assert overall(summary) == word
    assert verdict_sentence(summary) == sentence


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("budget", ["25 ms", "1 s"])
def test_pictures_of_a_run_without_answers_draw_in_silence(
    budget: str, corridor_scenario: Scenario, make_run: Callable[..., Any]
) -> None:
    """A budget alone on a logarithmic axis gives no warning, a power of ten neither."""
    plain = corridor_scenario.model_dump(mode="json", by_alias=True, exclude_none=True)
    plain["network"]["slices"] = {"v2x": {"sst": 4, "five_qi": 79, "latency_budget": budget}}
    plain |= {"traffic": plain["traffic"][:1], "expect": []}
    scenario = Scenario.model_validate(plain)
    blank = {"int64": 0, "string": ""}
    texts = {"slice": "v2x", "client": "cars/0", "service": "hazard", "outcome": "denied"}
    values = {column.name: blank[column.type] for column in columns("requests")} | texts
    budget_ns = scenario.network.slices["v2x"].latency_budget_ns
    row = RequestRow(**values | {"budget_ns": budget_ns})
    partial = make_run(scenario, lambda scenario, record: record["requests"](row))
    for draw in PLOTS.values():
        draw(RunData(partial.folder.path, scenario, partial.manifest)).to_svg()


def test_slices_are_held_against_their_budgets(conclusion: Conclusion) -> None:
    """A latency over its budget is marked in the table, and each slice has a sentence near the top."""
    page = _parsed(conclusion.report)
    text = "".join(page.text).replace("\N{NO-BREAK SPACE}", " ")
    assert text.index("v2x: p99 latency") < text.index("Expectations")
    figures = conclusion.summary["slices"]["v2x"]
    marked = slice_cells({**figures, "latency_p95_ns": 50_000_000, "latency_p99_ns": 50_000_001})
    assert marked[3:5] == ["50 ms", "50 ms \N{HEAVY MULTIPLICATION X} over"]


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        ({"requests": 0, "success_rate": None}, "web: no requests."),
        ({"requests": 1200, "latency_p99_ns": None}, "web: none of 1\u202f200 requests was answered."),
        (
            {},
            "web: p99 latency 20 ms is within the budget of 25 ms; "
            "99.5 % of 1\u202f000 requests were answered within it.",
        ),
        (
            {"latency_p99_ns": 30_000_000, "success_rate": 0.347, "within_budget": 0.3},
            "web: p99 latency 30 ms (of the 34.7 % that were answered) is over the budget of 25 ms; "
            "30 % of 1\u202f000 requests were answered within it.",
        ),
    ],
)
def test_a_slice_against_its_budget_in_one_sentence(figures: dict[str, Any], sentence: str) -> None:
    """A latency that few requests had says so, and one that none had is not made up."""
    usual = {
        "requests": 1000,
        "success_rate": 0.999,
        "within_budget": 0.995,
        "latency_p99_ns": 20_000_000,
        "budget_ns": 25_000_000,
    }
    assert budget_sentence("web", usual | figures) == sentence


def _few_slow(scenario: Scenario, record: dict[str, Callable[[Any], None]]) -> None:
    """A hundred requests, of which the last two take a hundred times as long, for want of an answer."""
    blank = {"int64": 0, "string": ""}
    texts = {"slice": "v2x", "client": "cars/0", "service": "hazard", "outcome": "ok"}
    values = {column.name: blank[column.type] for column in columns("requests")} | texts
    for number in range(100):
        parts = {"service_ns": 1_000_000, "other_ns": 100_000_000 if number >= 98 else 0}
        record["requests"](RequestRow(**values | parts | {"latency_ns": sum(parts.values()), "budget_ns": 10_000_000}))


def test_slow_bars_that_squeeze_the_mean_have_a_scale_of_their_own(
    corridor_scenario: Scenario, make_run: Callable[..., Any]
) -> None:
    """A bar much longer than mean and budget is drawn whole, on a scale that says so, and waiting is explained."""
    partial = make_run(corridor_scenario, _few_slow)
    picture = PLOTS["attribution"](RunData(partial.folder.path, corridor_scenario, partial.manifest))
    mean, slow = picture.axes
    assert "slowest 1 %\n(own scale)" in [label.get_text() for label in slow.get_yticklabels()]
    assert mean.get_xlim()[1] < 101 < slow.get_xlim()[1]
    svg = picture.to_svg()
    assert "waiting (other)" in svg
    assert "waiting (other) is time that no other part explains" in picture.caption


def test_an_empty_attribution_has_no_legend(empty: Any) -> None:
    """Where nothing was answered the picture says so, and names no parts."""
    picture = PLOTS["attribution"](RunData(empty.folder.path, empty.scenario, empty.manifest))
    assert picture.legends == []
    assert "nothing was answered" in picture.to_svg()


def test_handshakes_are_counted_per_second(corridor_scenario: Scenario, make_run: Callable[..., Any]) -> None:
    """Ten handshakes within a second are ten per second, however short the run is."""
    plain = corridor_scenario.model_dump(mode="json", by_alias=True, exclude_none=True)
    scenario = Scenario.model_validate(plain | {"duration": "5 s", "faults": [], "phases": {}, "expect": []})
    blank = {"int64": 0, "bool": False, "string": ""}
    values = {column.name: blank[column.type] for column in columns("handshakes")} | {"outcome": "established"}

    def fill(scenario: Scenario, record: dict[str, Callable[[Any], None]]) -> None:
        for number in range(10):
            record["handshakes"](HandshakeRow(**values | {"t_start_ns": 3_000_000_000 + number}))

    partial = make_run(scenario, fill)
    caption = PLOTS["handshakes"](RunData(partial.folder.path, scenario, partial.manifest)).caption
    assert caption == "TLS handshakes over the run: 10 full; at most 10 per second, at 3 s."
