"""Files made to harm whoever reads them: each ends with its reason within its time, and the next is read as ever."""

import io
import random
import zipfile
import zlib
from dataclasses import replace
from typing import Any

import pytest

from storymesh.files.reading.pool import ReaderPool
from storymesh.files.reading.reading import LASTING, FileLimits, FileReading, Kind, Refused
from tests.support.file_makers import edited, page_with, pdf, saved
from tests.support.public_data import public_files

CORPUS = public_files()
LIMITS = FileLimits(seconds=2, memory=500_000_000)
HEAD = b"From: a@example.com\nTo: b@example.com\nSubject: x\n"


def workbook(rows: bytes) -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active["A1"] = "MARK"
    plain = saved(book)
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml")
    begin, end = sheet.index(b"<sheetData>") + len(b"<sheetData>"), sheet.index(b"</sheetData>")
    return edited(plain, "xl/worksheets/sheet1.xml", sheet[begin:end], rows)


def form_bomb() -> bytes:
    """Return a PDF of forms that each show the next ten times."""
    box = b"<< /Type /XObject /Subtype /Form /BBox [0 0 1 1] /Resources << /XObject << /A %d 0 R >> >> /Length 70 >>"
    forms = [box % (6 + number) + b"\nstream\n" + b"/A Do  " * 10 + b"\nendstream" for number in range(25)]
    return pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /XObject << /A 5 0 R >> >> >>",
        b"<< /Length 5 >>\nstream\n/A Do\nendstream",
        *forms,
    )


def files() -> dict[str, tuple[bytes, Kind]]:
    many = HEAD + b'Content-Type: multipart/mixed; boundary="b"\n\n' + b"--b\n\nx\n" * 100_000 + b"--b--\n"
    cells = b"".join(b'<row r="%d"><c r="XFD%d"><v>1</v></c></row>' % (row, row) for row in range(1, 100_000))
    far = b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1000000000"><c r="XFD1"><v>2</v></c></row>'
    text = b"BT /F 12 Tf " + b"(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa) Tj " * 3_000_000 + b" ET"
    bomb = b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream"
    packed = zlib.compress(text)
    page, empty = page_with(b""), b"<< /Length 0 >>\nstream\n\nendstream"
    return {
        "a mail of 100,000 parts": (many, "mail"),
        "a page of open brackets": (b"<html>" + b"<" * 2_000_000, "html"),
        "a page of comments": (b"<html>" + b"<!--" * 500_000, "html"),
        "elements without end": (b"<html>" + b"<div>" * 500_000, "html"),
        "a workbook of a billion cells": (workbook(cells), "office"),
        "a row far away": (workbook(far), "office"),
        "forms of forms": (form_bomb(), "pdf"),
        "a text that inflates": (
            page.replace(empty, bomb % (len(packed), packed)),
            "pdf",
        ),
        "pages that are counted too high": (page_with(b"BT /F 9 Tf (x) Tj ET", count=2_000_000_000), "pdf"),
    }


def test_hostile_files_end_in_time_and_the_next_are_read() -> None:
    made = files()
    good = (HEAD + b"\nhello\n", "mail")
    work: list[tuple[str, Any, Kind, dict[str, Any]]] = []
    for name, (content, kind) in made.items():
        work += [(name, content, kind, {"ocr": False} if kind == "pdf" else {}), (f"after {name}", *good, {})]  # type: ignore[list-item]
    endless = ("elements without end", *made["elements without end"], {})
    with ReaderPool(LIMITS, workers=2) as pool, ReaderPool(replace(LIMITS, seconds=600), workers=1) as patient:
        results = dict(pool.read_many(work))
        [(_, found)] = patient.read_many([endless])  # whose memory ends, on a busy machine after those two seconds
    assert isinstance(found, Refused) and found.reason == "too large when opened"
    assert all(isinstance(results[f"after {name}"], FileReading) for name in made)
    reasons = {name: found.reason for name in made if isinstance(found := results[name], Refused)}
    read = {name for name in made if isinstance(results[name], FileReading)}
    assert read <= {"a row far away", "pages that are counted too high"}
    assert set(reasons.values()) <= {"too slow", "too large when opened"}


def test_damaged_files_give_a_reading_or_a_lasting_reason() -> None:
    draw = random.Random(7)
    names: dict[str, Kind] = {
        "pdf/notice.pdf": "pdf",
        "mail/attachments.eml": "mail",
        "office/report.docx": "office",
        "office/financials.xlsx": "office",
        "text/page.html": "html",
        "image/label_q5.jpg": "image",
        "image/sku_0_again.jpg": "image",
    }
    damaged: list[tuple[str, bytes, Kind, dict[str, Any]]] = []
    for name, kind in names.items():
        content = (CORPUS / name).read_bytes()
        for number in range(12):
            changed = bytearray(content[: draw.randrange(20, len(content))] if number % 3 == 0 else content)
            for _ in range(draw.choice([1, 5, 50])):
                changed[draw.randrange(len(changed))] = draw.randrange(256)
            options = {"ocr": False} if kind in ("pdf", "image") else {}
            damaged.append((f"{name} {number}", bytes(changed), kind, options))
    with ReaderPool(FileLimits(seconds=600, memory=500_000_000), workers=2) as pool:
        results = dict(pool.read_many(damaged))
    assert len(results) == len(damaged)
    reasons = {found.reason for found in results.values() if isinstance(found, Refused)}
    assert reasons and reasons <= LASTING - {"too slow", "reader crashed"}
