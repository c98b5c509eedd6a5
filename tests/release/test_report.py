"""report.html: stories whose values lead to their rows, figures that are right, a page that no value breaks out of."""

import base64
import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from storymesh.dataset.tables import JudgedOutcomes
from storymesh.engine.open import open_engine
from storymesh.location import Location
from storymesh.provenance.origins import ExpressionOrigin, Origin, RowOrigin
from storymesh.provenance.trace import RecordTrace, TracedColumn, TracedSpan
from storymesh.release.diversity import count_characters, sample_texts
from storymesh.release.report import render as report
from storymesh.release.report import stories
from storymesh.release.report.charts import chart_lengths, chart_months, chart_scores, count_actions
from storymesh.release.report.page import STYLE
from storymesh.release.write import write_release
from tests.support.release_builds import HandmadeBuild, Told, make, usual

HOSTILE = (
    '<script>alert(1)</script>{{ 31337*3 }}</style></p>" onclick="alert(2)" \'x\' \u202e\u05d0\u05d1 &amp; {% raw %}'
)
VERSION = "abcdef0123456789" * 4
AT = Location("narratives/canal_exceptions/a.jinja", 1, 4)


def cell(value: Any, key: str = "d1", name: str = "waterway", *, masked: bool = False) -> RowOrigin:
    return RowOrigin(f"delay.{name}", "shipping.delays", VERSION, key, name, None if masked else value, masked)


class Led:
    """A tracer whose every record prints one value first, which comes from the given origins."""

    def __init__(self, *origins: Origin, expression: str = "delay.waterway", mistakes: tuple[str, ...] = ()) -> None:
        self.origins, self.expression, self.mistakes = origins, expression, mistakes
        self.asked: list[str] = []

    @contextmanager
    def __call__(self) -> Iterator["Led"]:
        yield self

    def preload_cases(self, case_ids: Collection[str]) -> None:
        """Nothing is read."""

    def trace_records(self, config: str, records: Sequence[Mapping[str, Any]]) -> Iterator[RecordTrace]:
        for record in records:
            self.asked.append(f"{config}/{record['case_id']}")
            texts = {f"messages.{one['role']}": one["content"] for one in record.get("messages", [])}
            texts |= {name: record[name] for name in ("text", "prompt", "completion") if name in record}
            columns = [TracedColumn(name, text, self.spans(text)) for name, text in texts.items()]
            yield RecordTrace(record["id"], record["case_id"], tuple(columns), self.mistakes)

    def spans(self, text: str) -> tuple[TracedSpan, ...]:
        value = TracedSpan(0, 4, text[:4], AT, self.expression, self.origins)
        return (value, TracedSpan(4, len(text), text[4:], AT))


class Page(HTMLParser):
    """What a browser would make of the page: elements with their attributes, and the text of some."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag in ("br", "li"):
            self.texts.append((tag, " "))

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open, data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join("".join(data for tag, data in self.texts if tag not in ("style", "script")).split())


def page_of(build: HandmadeBuild, tracer: Any = None, outcomes: JudgedOutcomes | None = None) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "judged_outcomes", lambda build, engine: outcomes)
        return (write_release(build, open_tracer=tracer).path / "report.html").read_text(encoding="utf-8")


def outcomes(rows: list[dict[str, Any]]) -> JudgedOutcomes:
    schema = pa.schema([("action", pa.string()), ("score", pa.decimal128(38, 9)), ("worked", pa.bool_())])
    table = pa.Table.from_pylist(rows, schema)
    words = {"action": "delay.action", "score": "delay.hours", "worked": "delay.hours >= 24"}
    return JudgedOutcomes(ibis.memtable(table), words)


def judged(**counts: tuple[int, int]) -> list[dict[str, Any]]:
    """Rows of actions: name -> (tried, worked), with scores from 0 up."""
    return [
        {"action": name, "score": Decimal(number), "worked": number < worked}
        for name, (tried, worked) in counts.items()
        for number in range(tried)
    ]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> str:
    build = make(tmp_path_factory.mktemp("report"), usual())
    fact = ExpressionOrigin("late", "d1", "delay.hours * 2", AT, 8, False, (cell(Decimal("4.5"), name="hours"),))
    return page_of(build, Led(cell("Suez"), fact), outcomes(judged(wait=(10, 2), reroute=(4, 3))))


def test_a_value_shows_the_row_that_it_comes_from(traced: str) -> None:
    page = Page(traced)
    marked = [one for one in page.all("a") if "v" in (one.get("class") or "").split()]
    assert len(marked) == 5 + 4 * 2 + 4 * 2  # report: one text; advice: user and assistant; verdict: two
    assert {"computed"} == {(one.get("class") or "").split()[1] for one in marked}
    for words in (
        f"shipping.delays version {VERSION[:12]} key d1 · waterway = Suez",
        "late = 8 computed by delay.hours * 2 of case d1",
        "key d1 · hours = 4.5",
        "printed by delay.waterway at narratives/canal_exceptions/a.jinja:1:4",
    ):
        assert words in page.text, words
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {(one["href"] or "").lstrip("#") for one in page.all("a")} <= set(ids)


def test_masked_values_are_not_in_the_page(tmp_path: Path) -> None:
    hidden = ExpressionOrigin("late", "d1", "shipment.secret * 2", AT, "S3CRET", True, (cell("S3CRET", masked=True),))
    page = page_of(make(tmp_path, usual()), Led(cell("p-0123456789ab", name="consignee"), hidden))
    assert "S3CRET" not in page
    assert "is restricted and not shown" in page
    assert 'consignee</code> <span class="quiet">=</span> <span class="raw">p-0123456789ab' in page


def test_the_page_needs_no_network_and_lets_nothing_else_run(traced: str) -> None:
    page = Page(traced)
    (policy,) = [one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and policy.startswith("default-src 'none'; ")
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", traced, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert "url(" not in traced and "@import" not in traced
    assert "http" not in "".join(
        str(value) for _, one in page.elements for name, value in one.items() if name != "http-equiv"
    )
    assert not [one for _, one in page.elements if {"src", "style", "srcdoc"} & set(one)]


def test_people_can_find_their_way_by_keyboard_and_by_ear(traced: str) -> None:
    page = Page(traced)
    assert page.all("html") == [{"lang": "en"}]
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))
    assert page.all("a")[0]["href"] == "#stories"
    assert all(one.get("aria-hidden") == "true" for one in page.all("svg"))
    assert len(page.all("table")) >= 6
    assert not [one for _, one in page.elements if "tabindex" in one]


def test_text_of_others_is_escaped(tmp_path: Path) -> None:
    told = [replace(one, question=HOSTILE + one.name, answer=HOSTILE, untold={}) for one in usual()]
    told[-1] = replace(told[-1], dropped=HOSTILE.replace("\u202e", ""))  # a reason has no such character
    quoted = HOSTILE.replace("\\", "\\\\").replace('"', '\\"')
    build = make(tmp_path, told, title=f'"{quoted}"')
    tracer = Led(cell(HOSTILE, key=HOSTILE, name=HOSTILE), expression=HOSTILE, mistakes=(HOSTILE,))
    written = page_of(build, tracer, outcomes(judged(**{HOSTILE: (3, 1)})))
    page, plain = Page(written), Page(page_of(make(tmp_path / "plain", usual())))
    assert [len(page.all(tag)) for tag in ("script", "style")] == [1, 1]
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in plain.elements} | {
        "a",
        "ol",
        "br",
        "g",
        "title",
        "ul",
    }
    assert not [name for _, one in page.elements for name in one if name.startswith("on")]
    assert "31337*3" in written and "94011" not in written
    assert page.text.count("<script>alert(1)</script>{{ 31337*3 }}") > 10


def test_long_values_are_cut_off_and_the_page_stays_small(tmp_path: Path) -> None:
    long = "x" * 10_000
    told = [
        Told(f"d{n}", datetime(2023, 5, 1) + timedelta(days=n), question=f"{n} {long}", answer=long) for n in range(12)
    ]
    rows = tuple(cell(long, key=f"{n}{long}") for n in range(200))
    page = page_of(make(tmp_path, told), Led(*rows))
    assert len(page.encode()) < 2_000_000
    assert re.search(r"4,00\d more characters are not shown", page)
    assert f"and {200 - stories.MAX_ROWS} more" in page
    assert long[:300] in page and long[:7_000] not in page


def test_stories_are_taken_from_every_split_and_are_the_same_each_time(tmp_path: Path) -> None:
    told = [Told(f"d{n}", datetime(2023, 5, 1) + timedelta(days=n)) for n in range(40)]
    told += [Told(f"d4{n}", datetime(2024, 2, 1), "validation") for n in range(2)]
    told += [Told(f"d5{n}", datetime(2024, 8, 1), "test") for n in range(20)]
    tracer = Led(cell("Suez"))
    build = make(tmp_path, told)
    first = write_release(build, open_tracer=tracer)
    assert len(tracer.asked) == 3 * report.STORIES
    stories = [one.removeprefix("report/") for one in tracer.asked if one.startswith("report/")]
    numbers = [int(story.removeprefix("d")) for story in stories]
    assert sum(40 <= number < 50 and number in (40, 41) for number in numbers) == 2
    assert sum(number >= 50 for number in numbers) == 4
    again = write_release(make(tmp_path / "again", told[::-1]), open_tracer=Led(cell("Suez")))
    assert again.digest == first.digest
    pages = [(one.path / "report.html").read_text() for one in (first, again)]
    assert pages[0] == pages[1]


def test_the_page_is_not_in_the_digest_and_an_unchanged_release_is_not_traced_again(tmp_path: Path) -> None:
    bare = write_release(make(tmp_path, usual()))
    assert "were not led back" in (bare.path / "report.html").read_text()
    tracer = Led(cell("Suez"))
    assert write_release(make(tmp_path, usual()), open_tracer=tracer) == replace(bare, unchanged=True)
    assert tracer.asked == []


def test_outcomes_are_counted_by_action(traced: str) -> None:
    with open_engine() as engine:
        rows = judged(reroute=(4, 3), wait=(10, 2), **{f"rare {n:02}": (1, 0) for n in range(30)})
        actions, others = count_actions(engine, outcomes(rows))
    assert [(action.name, action.tried, action.worked) for action in actions[:3]] == [
        ("wait", 10, 2),
        ("reroute", 4, 3),
        ("rare 00", 1, 0),
    ]
    assert (len(actions), others) == (20, 12)
    row = re.search(r'<th scope="row">wait</th>(.*?)<td class="bar">', traced)
    assert row is not None and re.findall(r">([^<]+)</td>", row[1]) == ["10", "2", "20%"]


def test_restricted_outcomes_are_not_shown(tmp_path: Path) -> None:
    rows = [{"action": None, "score": None, "worked": True}] * 5
    page = page_of(make(tmp_path, usual()), outcomes=outcomes(rows))
    assert "There is no action to show" in page
    assert "Scores:" not in page


def test_a_distribution_holds_every_score_once() -> None:
    scores = [*range(100), 10_000, -10_000]
    rows = [{"action": "wait", "score": Decimal(score), "worked": score >= 50} for score in scores]
    with open_engine() as engine:
        chart = chart_scores(engine, outcomes(rows))
    assert chart is not None
    assert chart.parts == ("worked", "did not work")
    assert [sum(bar.parts[part] for bar in chart.bars) for part in (0, 1)] == [51, 51]
    inner = {bar.label: bar.parts for bar in chart.bars}
    assert inner["50 to 55"] == (5, 0) and inner["45 to 50"] == (0, 5)
    assert chart.bars[0].label.startswith("below ") and chart.bars[-1].label.endswith(" and more")
    assert len(chart.bars) <= 40


@pytest.mark.parametrize("scores", [[], [7], [7, 7, 7], [0.25, 0.5]])
def test_a_distribution_of_few_or_equal_scores_is_whole(scores: list[float]) -> None:
    rows = [{"action": "wait", "score": Decimal(str(score)), "worked": True} for score in scores]
    with open_engine() as engine:
        chart = chart_scores(engine, outcomes(rows))
    assert (sum(bar.total for bar in chart.bars) if chart else 0) == len(scores)


def test_lengths_are_those_of_all_texts_of_a_record(tmp_path: Path) -> None:
    release = write_release(make(tmp_path, [Told("d1", datetime(2023, 5, 1), question="four", answer="sixsix")]))
    with open_engine() as engine:
        texts = sample_texts(engine, sorted((release.path / "data" / "advice").glob("*.parquet")))
        chart = chart_lengths(count_characters(texts))
    assert chart is not None and sum(bar.total for bar in chart.bars) == 1
    assert "Half of 1 are at 10 or below" in chart.summary


def test_cases_are_counted_by_month_and_empty_months_are_shown() -> None:
    days = [(datetime(2023, 11, 30, 23, 59), "train"), (datetime(2024, 2, 1), "test"), (datetime(2024, 2, 29), None)]
    with open_engine() as engine:
        table = ibis.memtable({"at": [day for day, _ in days], "split": [split for _, split in days]})
        chart = chart_months(engine, table, ("train", "test"))
        years = chart_months(
            engine, ibis.memtable({"at": [datetime(1990, 1, 1), datetime(2024, 2, 1)], "split": ["a"] * 2}), ("a",)
        )
    assert chart is not None and years is not None
    assert chart.parts == ("train", "test", "left out")
    assert [(bar.label, bar.parts) for bar in chart.bars] == [
        ("November 2023", (1, 0, 0)),
        ("December 2023", (0, 0, 0)),
        ("January 2024", (0, 0, 0)),
        ("February 2024", (0, 1, 1)),
    ]
    assert (years.bars[0].label, years.bars[-1].label, len(years.bars)) == ("1990", "2024", 35)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(scheme: int) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 at least; 1.4.11: 3 for the bars."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE.read_text(encoding="utf-8"), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[scheme]))

    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def contrast(one: str, other: str) -> float:
        low, high = sorted((light(colours[one]), light(colours[other])))
        return (high + 0.05) / (low + 0.05)

    for name in ("ink", "quiet", "link", "good", "bad", *(f"p{number}" for number in range(8))):
        for ground in ("paper", "card"):
            assert contrast(name, ground) >= 4.5, (name, ground, contrast(name, ground))
    for name in ("bar", "bar-3"):
        assert contrast(name, "paper") >= 2.4, name
