"""report.html of a whole mesh: what its stories show of each value is what `trace` leads it back to, and what the
product's own file says."""

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

from storymesh.engine.open import open_engine
from storymesh.mesh.mesh import Mesh
from storymesh.provenance.origins import Origin
from storymesh.provenance.trace import TracedSpan, Tracer
from storymesh.release.catalog import find_release, read_record
from storymesh.release.definition_snapshot import open_released_build
from storymesh.release.rewritten_records import write_all_records
from storymesh.release.write import write_release_again
from tests.support.release_meshes import MESH

VOID = {"meta", "br", "rect", "link", "circle", "line", "path", "img", "input"}


class Row(NamedTuple):
    product: str
    version: str
    key: str
    property: str
    value: str | None  # None: not shown


class Element:
    """One element of the page: its tag, classes, id and what is in it."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag, self.attributes = tag, attributes
        self.classes = (attributes.get("class") or "").split()
        self.inside: list[Element | str] = []

    @property
    def text(self) -> str:
        return "".join(item if isinstance(item, str) else item.text for item in self.inside)

    def all(self, tag: str, class_: str = "") -> "Iterator[Element]":
        for item in self.inside:
            if isinstance(item, Element):
                if item.tag == tag and (not class_ or class_ in item.classes):
                    yield item
                yield from item.all(tag, class_)

    def own(self, tag: str, class_: str = "") -> "list[Element]":
        """Those that are right inside."""
        return [
            item
            for item in self.inside
            if isinstance(item, Element) and item.tag == tag and (not class_ or class_ in item.classes)
        ]


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open = [Element("", {})]
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        item = Element(tag, dict(attrs))
        self.open[-1].inside.append(item)
        if tag not in VOID:
            self.open.append(item)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].inside.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and any(item.tag == tag for item in self.open):
            while self.open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def rows_of_entry(entry: Element) -> set[Row]:
    """Every row that an entry of the page shows, also behind what was computed."""
    found = set()
    for step in entry.all("li"):
        products = step.own("span", "product")
        codes = [item.text for item in step.own("code")]
        if products and len(codes) == 3:
            raw = step.own("span", "raw")
            found.add(Row(products[0].text, codes[0], codes[1], codes[2], raw[0].text if raw else None))
    return found


def rows_of_span(span: TracedSpan) -> set[Row]:
    found = set()

    def follow(origin: Origin) -> None:
        if origin.kind != "row":
            for inner in origin.origins:
                follow(inner)
        elif origin.property is not None:
            value = None if origin.masked else spelled(origin.value)
            found.add(Row(origin.product, origin.version[:12], origin.key, origin.property, value))

    for origin in (*span.origins, *span.because):
        follow(origin)
    return found


def spelled(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_every_value_of_every_story_has_the_sources_that_a_trace_gives_it(roadside: Mesh, tmp_path: Path) -> None:
    release = find_release(roadside.releases, "roadside@1.0.0-r1")
    opened = open_released_build(release, roadside.warehouse, open_engine)
    build = replace(opened, store=tmp_path / "store", releases=tmp_path, open_engine=open_engine)
    write_all_records(build)
    again = write_release_again(build, tmp_path / "again", release.version, open_tracer=partial(Tracer, build))
    assert again.digest == release.digest
    page = Page((again.path / "report.html").read_text(encoding="utf-8")).open[0]
    stories = {
        next(story.all("details", "sources")).own("summary")[0].own("code")[0].text: story
        for story in page.all("details", "story")
    }
    assert {record.partition("/")[0] for record in stories} == set(release.configs), "of every config"
    shown: set[Row] = set()
    with Tracer(build) as tracer:
        for config in release.configs:
            records = [read_record(release, story) for story in stories if story.startswith(f"{config}/")]
            for trace in tracer.trace_records(config, records):
                assert trace.mistakes == ()
                shown |= compared(stories[trace.record], [span for column in trace.columns for span in column.spans])
        assert tracer.confirm() == {}
    with (MESH / "domains/fleet/sources/trucks.csv").open(encoding="utf-8") as file:
        trucks = {truck["truck_id"]: truck for truck in csv.DictReader(file)}
    of_trucks = [row for row in shown if row.product == "fleet.trucks"]
    assert len({row.key for row in of_trucks}) > 3
    for row in of_trucks:
        assert row.value == (None if row.property == "driver" else trucks[row.key][row.property])


def compared(story: Element, spans: list[TracedSpan]) -> set[Row]:
    """Compare what the page marks in a story with what trace found of it; returns the rows that it shows."""
    entries = {item.attributes["id"]: item for item in story.all("li") if item.attributes.get("id")}
    marked = list(story.all("a", "v"))
    printed = [span for span in spans if span.expression and (span.origins or span.because) and span.text.strip()]
    assert [re.sub(r"^[✓✗] (\w+):.*", r"\1", item.text).lower() for item in marked] == [
        span.text.lower() for span in printed
    ]
    found: set[Row] = set()
    for value, span in zip(marked, printed, strict=True):
        entry = entries[(value.attributes["href"] or "").removeprefix("#")]
        told, wanted = rows_of_entry(entry), rows_of_span(span)
        assert f"{span.at.path}:{span.at.line}:{span.at.column}" in entry.text
        if re.search(r"and \d+ more", entry.text):
            assert told < wanted, "the first of many"
        else:
            assert told == wanted, span
        found |= told
    return found
