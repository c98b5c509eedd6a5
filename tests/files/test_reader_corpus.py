"""Every file of the corpus ends with the content or the reason that `truth.json` says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storymesh.files.reading.pool import ReaderPool
from storymesh.files.reading.reading import KINDS, FileLimits, FileReading, Kind, Refused
from storymesh.language.types import Array, Field, Struct
from tests.support.public_data import public_files

CORPUS = public_files()
TRUTH: dict[str, dict[str, Any]] = json.loads((CORPUS / "truth.json").read_text(encoding="utf-8"))
KIND_OF: dict[str, Kind] = {"docx": "office", "xlsx": "office"}
ENDINGS: dict[str, Kind] = {".pdf": "pdf", ".jpg": "image", ".png": "image", ".zip": "office", ".docx": "office"}
REASONS = {"not an image": "wrong type"}  # what the corpus calls so


def kind_of(name: str) -> Kind | None:
    kind = TRUTH[name]["kind"]
    return ENDINGS.get(Path(name).suffix) if kind == "bad" else KIND_OF.get(kind, kind)


READ = {name: kind for name in TRUTH if (kind := kind_of(name)) not in (None, "audio")}


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, FileReading | Refused]]:
    with ReaderPool(FileLimits(seconds=30, memory=1_000_000_000), workers=2) as pool:
        files = (
            (name, CORPUS / name, kind, {"ocr": False} if kind in ("pdf", "image") else {})
            for name, kind in READ.items()
        )
        yield dict(pool.read_many(files))  # type: ignore[arg-type]


def words(text: str) -> list[str]:
    return text.split()


def test_the_corpus_has_files_of_every_kind_and_reason() -> None:
    assert len(READ) >= 35
    assert {truth["reason"] for truth in TRUTH.values() if "reason" in truth} >= {"encrypted", "damaged", "empty"}


@pytest.mark.parametrize("name", READ)
def test_a_file_ends_as_it_should(name: str, results: dict[str, FileReading | Refused]) -> None:
    truth, found = TRUTH[name], results[name]
    if truth.get("scanned"):
        assert isinstance(found, Refused) and found.reason == "scanned" and "storymesh[ocr]" in found.detail
        return
    if truth["kind"] == "bad":
        assert isinstance(found, Refused), found
        assert found.reason == REASONS.get(truth["reason"], truth["reason"]) and found.lasting
        return
    assert isinstance(found, FileReading), found
    text = truth.get("text")
    if text and found.kind != "image":
        assert words(found.text)[: len(words(text))] == words(text)
    if "quality" in truth:
        assert found.values["image"]["quality"] == truth["quality"]
    if "pages" in truth:
        assert len(found.values["pages"]) == found.values["pdf"]["pages"] == truth["pages"]
    for cell in truth.get("cells", ()):
        assert cell in found.text
    for value in ("container", "contains", "shipment", "imo", "vessel"):
        if value in truth:
            inside = [found.text, *(str(item["text"]) for item in found.values.get("parts", ()))]
            assert any(truth[value] in text.replace(" ", "") or truth[value] in text for text in inside)
    if "attachments" in truth:
        assert len(found.attachments) == truth["attachments"]


def test_every_passage_stands_where_it_says(results: dict[str, FileReading | Refused]) -> None:
    for found in results.values():
        if isinstance(found, FileReading):
            end = 0
            for passage in found.passages:
                assert end <= passage.begin < passage.end <= len(found.text)
                end = passage.end
            left = "".join(
                found.text[one:other]
                for one, other in zip(
                    [0, *(passage.end for passage in found.passages)],
                    [*(passage.begin for passage in found.passages), len(found.text)],
                    strict=True,
                )
            )
            assert not left.strip(), "some text stands nowhere in the file"


def test_a_table_has_its_cells_with_names_and_pages_have_boxes(results: dict[str, FileReading | Refused]) -> None:
    book, notice = results["office/financials.xlsx"], results["pdf/notice.pdf"]
    assert isinstance(book, FileReading) and isinstance(notice, FileReading)
    cells = {cell["cell"]: cell["text"] for cell in book.values["cells"]}
    assert (cells["A1"], cells["C2"]) == ("quarter", "924696")
    [revenue] = [passage for passage in book.passages if passage.cell == "C2"]
    assert book.text[revenue.begin : revenue.end] == "924696"
    [delay] = [passage for passage in notice.passages if "53 hours" in notice.text[passage.begin : passage.end]]
    assert delay.page == 1 and delay.box is not None
    left, top, right, bottom = delay.box
    assert 0 < left < right < 596 and 0 < top < bottom < 300, "in the upper part of the page"


def test_values_are_of_the_types_that_expressions_are_checked_with(results: dict[str, FileReading | Refused]) -> None:
    for found in results.values():
        if isinstance(found, FileReading):
            assert set(found.values) == set(KINDS[found.kind])
            for name, field in KINDS[found.kind].items():
                require_type(found.values[name], field)


def require_type(value: Any, field: Field) -> None:
    if value is None:
        assert field.nullable
    elif isinstance(field.type, Struct):
        assert set(value) == set(field.type.fields)
        for name, inner in field.type.fields.items():
            assert isinstance(inner, Field)
            require_type(value[name], inner)
    elif isinstance(field.type, Array):
        for item in value:
            require_type(item, field.type.item)
    else:
        python = {"Text": str, "Integer": int, "Float": float, "Boolean": bool}.get(type(field.type).__name__)
        assert python is None or isinstance(value, python)
