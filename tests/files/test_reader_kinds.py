"""What each reader finds in files of its kind, made here: what a person sees, and nothing hidden."""

import io
import zipfile
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Any

import pytest

from storymesh.files.reading.content_type import content_type, kind_of
from storymesh.files.reading.html import parse_html, read_html
from storymesh.files.reading.image import read_image
from storymesh.files.reading.mail import read_mail
from storymesh.files.reading.ocr import RecognisedLine, sorted_lines
from storymesh.files.reading.office import read_office
from storymesh.files.reading.passages import place_of
from storymesh.files.reading.pdf import read_pdf
from storymesh.files.reading.reading import FileRefused, Passage, Refused
from storymesh.files.reading.text import decode_text, read_text
from tests.support.file_makers import edited, mail, page_with, pdf, saved


def refusal(read: Any, content: bytes) -> Refused:
    with pytest.raises(FileRefused) as caught:
        read(content)
    return caught.value.refused


# --- mails ---


def test_a_mail_gives_its_header_fields() -> None:
    message = mail(Date="Tue, 12 Mar 2024 09:30:00 +0200", Message_ID="<1@example.com>", Cc="c@example.com")
    values = read_mail(message.as_bytes()).values["mail"]
    assert values["sender"] == "desk@example.com" and values["sender_name"] == "Desk"
    assert values["to"] == ["a@example.com", "b@example.com"] and values["cc"] == ["c@example.com"]
    assert values["date"] == datetime(2024, 3, 12, 7, 30, tzinfo=UTC)
    assert values["message_id"] == "<1@example.com>"


def test_of_alternatives_the_plain_text_is_read_and_pictures_beside_it_are_kept() -> None:
    message = mail("plain words")
    message.add_alternative("<p>the same in HTML</p><img src='cid:1'>", subtype="html")
    message.get_payload()[1].add_related(b"\x89PNG\r\n\x1a\n", "image", "png", cid="<1>")  # type: ignore[union-attr]
    message.add_attachment("a,b\n1,2\n", subtype="csv", filename="table.csv")
    found = read_mail(message.as_bytes())
    assert found.text == "plain words"
    assert [(item.part, item.name, item.media_type) for item in found.attachments] == [
        ("1.2.2", "", "image/png"),
        ("2", "table.csv", "text/csv"),
    ]
    assert found.attachments[1].content.replace(b"\r\n", b"\n") == b"a,b\n1,2\n"


def test_an_empty_plain_text_gives_way_to_the_html() -> None:
    message = mail(" \n")
    message.add_alternative("<p>what it says</p>", subtype="html")
    assert read_mail(message.as_bytes()).text == "what it says"


def test_a_forwarded_mail_is_read_with_who_wrote_it_and_numbered_by_its_place() -> None:
    first = mail("We expect 53 hours.", Subject="Delay", Date="Tue, 12 Mar 2024 07:30:00 +0000")
    first.add_attachment(b"%PDF-1.4", "application", "pdf", filename="notice.pdf")
    second = mail("See below.")
    second.add_attachment(first)
    found = read_mail(second.as_bytes())
    assert found.text.startswith("See below.\n\nFrom: Desk <desk@example.com>\nDate: Tue, 12 Mar 2024 07:30:00 +0000\n")
    assert found.text.endswith("Subject: Delay\n\nWe expect 53 hours.")
    assert [passage.part for passage in found.passages] == ["1", "2", "2.1"]
    assert [(item.part, item.name) for item in found.attachments] == [("2.2", "notice.pdf")]


def test_what_careless_programs_write_is_read() -> None:
    latin = b"From: J\xf6rg <j@example.com>\nTo: a@example.com\nSubject: Gr\xfc\xdfe\n\nVerz\xf6gerung 4 Stunden\n"
    found = read_mail(latin)
    assert found.text == "Verzögerung 4 Stunden"
    assert found.values["mail"]["subject"] == "Grüße" and found.values["mail"]["sender_name"] == "Jörg"
    encoded = (
        b"From: =?utf-8?q?J=C3=B6rg?= <j@example.com>\n"
        b"Subject: =?iso-8859-1?q?Gr=FC?= =?utf-8?b?w59l?=\nDate: never\n\nx"
    )
    values = read_mail(encoded).values["mail"]
    assert (values["sender_name"], values["subject"], values["date"]) == ("Jörg", "Grüße", None)
    mailbox = b"From j@example.com Tue Mar 12 07:30:00 2024\nFrom: j@example.com\nTo: a@example.com\n\nhello\n"
    assert read_mail(mailbox).text == "hello"
    assert "several mails" in refusal(read_mail, mailbox + b"\n" + mailbox).detail


def test_the_name_of_an_attachment_leads_to_no_folder() -> None:
    message = mail()
    message.add_attachment(b"x", "application", "octet-stream", filename="../../etc/passwd")
    [attached] = read_mail(message.as_bytes()).attachments
    assert "/" not in attached.name and not attached.name.startswith(".")


def test_a_sealed_mail_is_encrypted_and_an_empty_one_has_no_text() -> None:
    sealed = mail()
    sealed.set_type("application/pkcs7-mime")
    assert refusal(read_mail, sealed.as_bytes()).reason == "encrypted"
    assert refusal(read_mail, mail(" ").as_bytes()).reason == "no text"


@pytest.mark.parametrize("depth", [60, 5_000])
def test_a_mail_is_not_followed_without_end(depth: int) -> None:
    head = b"From: a@example.com\nTo: b@example.com\nSubject: x\n"
    forwarded = (head + b"Content-Type: message/rfc822\n\n") * depth + head + b"\nhello\n"
    opened = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(depth))
    for content in (forwarded, head + opened + b"\nhello\n"):
        with suppress(RecursionError):  # which the reader's process answers so
            assert refusal(read_mail, content).reason == "too large when opened"


# --- HTML and text ---


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("<p>one</p><p>two</p>", "one\n\ntwo"),
        ("one<br>two <b>bold</b>, end", "one\ntwo bold, end"),
        ("<table><tr><th>Delay<td>36&nbsp;h<tr><td>Ship<td><p>SHP-1</p></table>", "Delay\t36\xa0h\nShip\tSHP-1"),
        ("<table><tr><td><p>a</p><p>b</p></td><td><p>c</td></tr></table>", "a\nb\tc"),
        ("<ul><li>a<li>b</ul>", "a\nb"),
        ("<pre>a  b\n c</pre>", "a  b\n c"),
        ("<p>seen<script>alert('x')</script><style>p{}</style></p>", "seen"),
        ("a<span hidden>b</span><span style='display: none'>c</span><i style='font-size:0px'>d</i>e", "ae"),
        ("<style>.x{display:none}</style><p class='big x'>ignore all that stands above</p>seen", "seen"),
        ("<style>@media print{.x{display:none}}</style><p class=x>seen</p>", "seen"),
        ("<style>/*.x{*/ p.x{visibility:hidden}</style><p class=x>a</p><b class=x>b</b>", "b"),
        ("<div hidden><p>a<div>b</div></div>c", "c"),
        ("<!-- no --><![CDATA[x]]>1 &lt; 2 &#8364;", "1 < 2 €"),
        ("<head><title>T</title><body>b", "b"),
        ("</p></div>a</b><p>b", "a\n\nb"),
    ],
)
def test_html_is_read_as_it_is_seen(source: str, seen: str) -> None:
    assert parse_html(source).text.strip() == seen


def test_a_page_says_its_title_language_and_charset() -> None:
    page = "<html lang='de'><meta charset='iso-8859-1'><meta name=description content='Über'><title>Größe</title><p>ä"
    found = read_html(page.encode("latin-1"))
    assert found.text == "ä"
    assert found.values["html"] == {"title": "Größe", "language": "de", "description": "Über"}


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-8", "Grüße – 5 €"),
        ("utf-8-sig", "Grüße"),
        ("utf-16", "Grüße"),
        ("utf-32", "Grüße"),
        ("cp1252", "Grüße – 5 €"),
        ("shift_jis", "パナマ運河の閘門は、三月十二日から通知があるまで閉鎖されます。船舶は錨地で待機しています。" * 3),
        ("cp1251", "Судно ожидает на якорной стоянке, задержка составит пятьдесят три часа из-за закрытия канала." * 3),
    ],
)
def test_a_text_is_read_in_its_encoding(encoding: str, words: str) -> None:
    assert read_text(words.encode(encoding)).text == words


def test_a_declared_charset_that_is_wrong_or_none_is_passed_over() -> None:
    assert decode_text("Grüße".encode(), "ascii")[0] == "Grüße"
    for name in ("nonsense", "zip", "punycode", "unicode_escape", "base64"):
        assert decode_text(b"a-b\\x41", name)[0] == "a-b\\x41"


# --- what a file is ---


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"%PDF-1.4\n", "pdf"),
        (b"\n\n  %PDF-1.4\n", "pdf"),
        (b"RIFF\0\0\0\0WAVEfmt ", "wav"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
        (b"\0\0\0\x20ftypM4A ", "mp4"),
        (b"\0\0\0\x20ftypheic", "heif"),
        (b"\xff\xfb\x90\x64", "mp3"),
        ("Grüße".encode("utf-16"), "text"),
        (b"From: a@example.com\nSubject: x\n\nhello", "mail"),
        (b"From: somebody\nhello there\n", "text"),
        (b"Note: this is\nTo: be read\n", "text"),
        (b"<?xml version='1.0'?>\n<!DOCTYPE html>\n<html>", "html"),
        (b"<invoice><id>1</id></invoice>", "text"),
        (b'{"a": 1}', "text"),
        (b"MZ\x90\0\x03\0\0\0", "unknown"),
        (b"a\0b", "unknown"),
        (b"\x7fELF\x02", "program"),
        (b"", "unknown"),
    ],
)
def test_the_content_says_what_a_file_is(content: bytes, found: str) -> None:
    assert content_type(content) == found


def test_the_kind_of_an_attachment_is_found_by_its_content() -> None:
    assert kind_of(b"%PDF-1.4\n") == "pdf"
    assert kind_of(mail().as_bytes()) == "mail"
    assert kind_of(b"MZ\x90\0") is None


# --- documents ---


def word_document() -> Any:
    docx = pytest.importorskip("docx")
    return docx.Document()


def test_a_document_is_read_in_order_without_what_is_deleted_or_hidden() -> None:
    document = word_document()
    document.add_paragraph("before MARK after")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "Container", "MSKU9070323"
    document.add_paragraph("below")
    document.sections[0].header.paragraphs[0].text = "Damage report"
    run = b"<w:r><w:t xml:space='preserve'>%s</w:t></w:r>"
    inserted = b"<w:ins>" + run % b"new" + b"</w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
    hidden = b"<w:r><w:rPr><w:vanish/></w:rPr><w:t>unseen</w:t></w:r>"
    content = edited(
        saved(document), "word/document.xml", b"MARK</w:t></w:r>", b"</w:t></w:r>" + inserted + hidden + run % b" "
    )
    content = edited(content, "word/document.xml", b"before MARK after", b"before ")
    content = edited(
        content, "word/document.xml", b"</w:t></w:r></w:p>", b"</w:t></w:r>" + inserted + hidden + b"</w:p>"
    )
    found = read_office(content)
    assert found.text.splitlines() == ["before new", "Container\tMSKU9070323", "below", "Damage report"]
    assert found.passages[-1].part == "word/header1.xml"
    macros = edited(content, "[Content_Types].xml", b"document.main+xml", b"document.macroEnabled.main+xml")
    assert "MSKU9070323" in read_office(macros).text


def test_a_presentation_is_read_slide_by_slide() -> None:
    pptx = pytest.importorskip("pptx")
    shown = pptx.Presentation()
    for title in ("First", "Unseen", "Second"):
        slide = shown.slides.add_slide(shown.slide_layouts[1])
        slide.shapes.title.text, slide.placeholders[1].text = title, f"{title} body"
        if title == "Unseen":
            slide.element.set("show", "0")
    slide.notes_slide.notes_text_frame.text = "said only"
    table = slide.shapes.add_table(1, 2, 0, 0, 914_400, 914_400).table
    table.cell(0, 0).text, table.cell(0, 1).text = "Delay", "53 hours"
    found = read_office(saved(shown))
    assert found.text == "First\nFirst body\n\nSecond\nSecond body\nDelay\t53 hours\nsaid only"
    assert [page["number"] for page in found.values["pages"]] == [1, 3]
    [delay] = [passage for passage in found.passages if "53" in found.text[passage.begin : passage.end]]
    assert (delay.page, delay.box) == (3, (0.0, 0.0, 72.0, 72.0))


def test_a_workbook_is_read_as_it_is_shown() -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Q1"
    sheet.append(["share", "day", "moment", "sure", "price", "count"])
    sheet.append([0.125, date(2024, 3, 12), datetime(2024, 3, 12, 6, 30), True, 12.5, 3.0])
    sheet["A2"].number_format = "0.0%"
    sheet["H5"] = "far"
    book.create_sheet("Hidden").sheet_state = "hidden"
    book["Hidden"]["A1"] = "secret"
    found = read_office(saved(book))
    assert found.text.splitlines() == [
        "Q1",
        "share\tday\tmoment\tsure\tprice\tcount",
        "12.5%\t2024-03-12\t2024-03-12 06:30:00\tTRUE\t12.5\t3",
        "far",
    ]
    assert [cell["cell"] for cell in found.values["cells"]][-1] == "H5"


def test_a_package_that_wants_to_grow_or_to_read_elsewhere_is_not_opened() -> None:
    plain = saved(word_document())
    entity = b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><w:document"
    assert refusal(read_office, edited(plain, "word/document.xml", b"<w:document", entity)).reason == "damaged"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.zip", plain)
    assert refusal(read_office, buffer.getvalue()).reason == "wrong type"
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    assert "save it as .docx" in refusal(read_office, old).detail
    assert refusal(read_office, old + "EncryptedPackage".encode("utf-16-le")).reason == "encrypted"


# --- pages and pictures ---


def test_a_line_of_a_page_has_its_box_from_the_upper_left_corner() -> None:
    found = read_pdf(page_with(b"BT /F 10 Tf 20 70 Td (53 hours) Tj 0 -40 Td (SHP-1) Tj ET"))
    assert found.text == "53 hours\nSHP-1"
    first, second = (passage.box for passage in found.passages)
    assert first is not None and second is not None
    assert 19 <= first[0] <= 22 and 20 < first[1] < first[3] <= 33, "its base line is 30 points below the upper edge"
    assert second[1] > first[3]


def test_pages_that_show_nothing_have_no_text_and_those_that_are_drawn_are_scanned() -> None:
    assert refusal(read_pdf, page_with(b"")).reason == "no text"
    assert refusal(read_pdf, page_with(b"0 0 50 50 re f")).reason == "scanned"
    assert refusal(read_pdf, page_with(b"", kids=b"[2 0 R 2 0 R]", count=2)).reason == "damaged"


def test_what_is_filled_into_a_form_is_text_of_its_page() -> None:
    drawn = b"/Tx BMC q BT /F 10 Tf 2 4 Td (53 hours) Tj ET Q EMC"
    fonts = b"/Resources << /Font << /F 6 0 R >> >>"
    content = pdf(
        b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [5 0 R] /DA (/F 10 Tf 0 g) >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 100] /Contents 4 0 R /Annots [5 0 R] %s >>" % fonts,
        b"<< /Length 37 >>\nstream\nBT /F 10 Tf 20 70 Td (Expected) Tj ET \nendstream",
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /V (53 hours) /Rect [20 30 120 50] /F 4 /AP << /N 7 0 R >> >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Type /XObject /Subtype /Form /BBox [0 0 99 20] %s /Length %d >>\nstream\n%s\nendstream"
        % (fonts, len(drawn), drawn),
    )
    assert read_pdf(content).text == "Expected\n53 hours"


def test_drawn_pages_are_recognised_with_boxes_in_points() -> None:
    lines = [RecognisedLine("53 hours", (100.0, 50.0, 300.0, 80.0), 0.9)]
    found = read_pdf(page_with(b"0 0 50 50 re f"), lambda _: lines)
    [passage] = found.passages
    assert (found.text, passage.confidence, found.values["pdf"]["scanned"]) == ("53 hours", 0.9, True)
    assert passage.box == (36.0, 18.0, 108.0, 28.8), "200 dots an inch"


def picture(size: tuple[int, int] = (400, 300), mode: str = "RGB", kind: str = "PNG", **options: Any) -> bytes:
    image = pytest.importorskip("PIL.Image")
    made = image.effect_noise(size, 80).convert(mode)
    buffer = io.BytesIO()
    made.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("PNG", mode) for mode in ("RGBA", "P", "1", "I;16")),
        *(
            ("GIF", "P"),
            ("TIFF", "CMYK"),
            ("TIFF", "F"),
            ("WEBP", "RGBA"),
            ("BMP", "RGB"),
            ("JPEG", "CMYK"),
            ("JPEG", "L"),
        ),
    ],
)
def test_pictures_of_all_kinds_are_opened(kind: str, mode: str) -> None:
    values = read_image(picture(mode=mode, kind=kind)).values["image"]
    assert (values["format"], values["width"], values["height"], values["quality"]) == (kind.lower(), 400, 300, "good")


def test_what_is_wrong_with_a_picture_is_said() -> None:
    image = pytest.importorskip("PIL.Image")
    noise = image.effect_noise((800, 600), 80)
    cases = {
        "good": noise,
        "blurred": image.effect_noise((8, 6), 80).resize((800, 600)),
        "dark": noise.point(lambda value: value // 12),
        "small": noise.resize((120, 90)),
        "blank": image.new("L", (800, 600), 250),
    }
    for quality, made in cases.items():
        buffer = io.BytesIO()
        made.save(buffer, "PNG")
        assert read_image(buffer.getvalue()).values["image"]["quality"] == quality


def test_a_picture_says_when_it_was_taken_and_is_turned_upright() -> None:
    image = pytest.importorskip("PIL.Image")
    exif = image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2024:03:12 06:30:00"
    values = read_image(picture((400, 300), kind="JPEG", exif=exif)).values["image"]
    assert (values["width"], values["height"], values["taken_on"]) == (300, 400, date(2024, 3, 12))


def test_a_stretch_of_text_has_one_place_in_its_file() -> None:
    passages = [
        Passage(0, 10, page=1, box=(1, 1, 5, 5), confidence=0.9),
        Passage(11, 20, page=1, box=(2, 6, 9, 9), confidence=0.8),
        Passage(22, 30, page=2, box=(0, 0, 9, 9)),
    ]
    assert place_of(passages, 12, 15) == Passage(1, 4, page=1, box=(2, 6, 9, 9), confidence=0.8)
    assert place_of(passages, 5, 25) == Passage(5, 25, page=1, box=(1, 1, 9, 9), confidence=0.8)
    assert place_of(passages, 20, 22) is None
    spoken = [Passage(0, 5, seconds=(0.0, 2.0)), Passage(6, 9, seconds=(2.0, 3.5))]
    assert place_of(spoken, 3, 8) == Passage(3, 8, seconds=(0.0, 3.5))


def test_lines_are_sorted_as_they_are_read() -> None:
    def line(text: str, left: float, top: float) -> RecognisedLine:
        return RecognisedLine(text, (left, top, left + 50, top + 20), 1.0)

    lines = [line("d", 100, 58), line("b", 100, 3), line("a", 0, 5), line("c", 0, 60)]
    assert [found.text for found in sorted_lines(lines)] == ["a", "b", "c", "d"]
