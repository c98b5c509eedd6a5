"""What is wrong with a files definition is said in its file, at its line, before any file is opened."""

from collections.abc import Mapping
from typing import Any

import pytest

from storymesh.files.content import FolderFiles
from storymesh.files.listing import pattern_regex
from tests.files.conftest import FILES, FilesDesk

FILE = "domains/carrier/sources/mails.files.yaml"
MORE = "      - {name: hours, logicalType: number}\n"
LISTINGS: Mapping[str, str] = {
    "domains/carrier/products/listings.odps.yaml": "apiVersion: v1.0.0\nkind: DataProduct\nid: carrier.listings\n"
    "status: active\ncustomProperties: [{property: source, value: sources/listings.csv}]\n",
    "domains/carrier/sources/listings.csv": "id,body,price\n1,text,2\n",
    "contracts/carrier/listings.odcs.yaml": "apiVersion: v3.2.0\nkind: DataContract\nid: carrier.listings\n"
    "version: 1.0.0\nstatus: active\nschema:\n  - name: listings\n"
    "    customProperties: [{property: timeless, value: true}]\n"
    "    properties:\n      - {name: id, logicalType: string, primaryKey: true}\n"
    "      - {name: body, logicalType: string}\n      - {name: price, logicalType: integer}\n",
}


@pytest.fixture(autouse=True)
def no_file_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FolderFiles, "_read", lambda *_: pytest.fail("a file was opened"))


def findings_of(desk: FilesDesk) -> list[str]:
    return [str(finding) for finding in desk.findings()]


def test_a_definition_without_findings(desk: FilesDesk) -> None:
    assert findings_of(desk) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("  subject: mail.subject", "  subjekt: mail.subject",
         ":8:3: error[unknown-name]: 'subjekt' is no property of contracts/carrier/mails.odcs.yaml (did"),
        ("  subject: mail.subject\n", "",
         ":6:1: error[nobody-gives]: nothing gives 'subject', which contracts/carrier/mails.odcs.yaml promises"),
        ("mail.subject", "mail.subjct", "'mail' has no property 'subjct' (did you mean 'subject'?)"),
        ("mail.subject", "pages", ":8:12: error[unknown-name]: unknown name 'pages'"),
        ("mail.subject", "mail.to", ":8:12: error[wrong-type]: 'subject': this is a list, and contracts"),
        ("mail.date", "mail.subject", ":9:15: error[wrong-type]: 'written_at': this is a text, and contracts"),
        ("mail.subject", "mail.subject |", ":8:25: error[syntax]: unexpected end"),
        ("take:", "where: text\ntake:", ":6:8: error[wrong-type]: 'where' is a text, a condition is wanted"),
        ("take:", "where: '\"SHP-\" in txt'\ntake:", ":6:18: error[unknown-name]: unknown name 'txt'"),
        ("read: mail", "read: mails", ":5:9: error[wrong-value]: 'read' is 'mails'"),
        ("  read: mail\n", "", "error[wrong-value]: `read` is missing: mail, text, html, pdf, office, image or audio"),
        ("sources/mail/**", "/etc/*", ":4:10: error[wrong-value]: '/etc/*': a path is relative to the domain's folder"),
        ("sources/mail/**", "a/../../b/*", "a path is relative to the domain's folder, and stays in it"),
        ("sources/mail/**", "ftp://host/x", "is at no place that files are read from: a path, or s3://bucket/…"),
        ("sources/mail/**", "s3://key:secret@bucket/x", "a key stands in this address"),
        ("sources/mail/**", "[s3://a/*, s3://b/*]", "of one place: the domain's folder, or one bucket"),
        ("take:", "limits: {bytes: lots}\ntake:", ":6:17: error[wrong-value]: 'lots' is no size"),
        ("take:", "limits: {gone: 2}\ntake:", ":6:16: error[wrong-value]: 'gone' is 2"),
        ("take:", "limit: {}\ntake:", ":6:1: error[unknown-field]: unknown field 'limit' (did"),
        ("take:", "extract: {model: 'openai:x', prompt: p.jinja}\ntake:",
         "error[given-twice]: 'take' gives every property"),
        ("read: mail", "read: mail\n  reader: {ocr: true}",
         ":6:12: error[wrong-value]: the reader of mail has no option 'ocr'"),
        ("apiVersion: storymesh/v1", "apiVersion: v2", ":1:13: error[wrong-value]"),
        ("  files: sources/mail/**", "  files: sources/mail/**\n  product: carrier.listings",
         "files come from one place"),
    ],
)  # fmt: skip
def test_a_finding(desk: FilesDesk, old: str, new: str, expected: str) -> None:
    assert old in FILES
    desk.files = FILES.replace(old, new, 1)
    desk.more = dict(LISTINGS)
    found = findings_of(desk)
    assert any(line.startswith(FILE) and expected in line for line in found), "\n".join(found)


def test_a_contract_without_event_time_is_a_warning(desk: FilesDesk) -> None:
    desk.contract = desk.contract.replace("      - {property: eventTime, value: written_at}\n", "")
    [found] = findings_of(desk)
    assert f"{FILE}:2:7: warning[no-event-time]" in found


def test_types_that_fit_without_a_loss(desk: FilesDesk) -> None:
    desk.contract += (
        "      - {name: size, logicalType: number}\n      - {name: day, logicalType: date}\n"
        "      - {name: to, logicalType: array, items: {logicalType: string}}\n"
        "      - {name: parts, logicalType: array, items: {logicalType: object, properties: [{name: text,"
        " logicalType: string}]}}\n"
    )
    desk.files += "  size: file.size\n  day: mail.date | date\n  to: mail.to\n  parts: parts\n"
    assert findings_of(desk) == []


def test_a_model_is_asked_for_what_is_not_taken(desk: FilesDesk) -> None:
    desk.contract += MORE
    desk.files += (
        "extract: {model: 'openai:gpt', prompt: notices.md.jinja, rows: many, price: {input: 0.5, output: 2}}\n"
    )
    (finding,) = findings_of(desk)
    assert ":11:40: error[no-file]: the prompt 'notices.md.jinja' cannot be read beside this file" in finding
    desk.more["domains/carrier/sources/notices.md.jinja"] = "{{ body }}"
    (finding,) = findings_of(desk)
    assert "notices.md.jinja:1:4: error[unknown-name]: unknown name 'body'" in finding
    desk.more["domains/carrier/sources/notices.md.jinja"] = "{{ text }}"
    assert findings_of(desk) == []
    extraction = desk.collection().typed.extraction
    assert extraction is not None
    assert [item.name for item in extraction.asked] == ["hours"]


@pytest.mark.parametrize(
    ("origin", "port", "expected"),
    [
        ("product: carrier.listings\n  text: body", True, None),
        ("product: carrier.listings\n  url: body\n  read: image", True, "error[unknown-name]: unknown name 'mail'"),
        ("product: carrier.listings\n  text: body", False, ":4:12: error[no-input-port]"),
        ("product: carrier.listing\n  text: body", True, ":4:12: error[unknown-name]: there is no product 'car"),
        ("product: carrier.listings\n  text: bod", True, ":5:9: error[unknown-name]: 'bod' is no property of con"),
        ("product: carrier.listings\n  text: price", True, ":5:9: error[wrong-type]: 'price' of contracts"),
        ("product: carrier.listings\n  text: body\n  read: image", True, "is read as text or html, not as image"),
        ("product: carrier.listings", True, "of a product one column is read"),
        ("product: carrier.mails\n  text: body", True, ":4:12: error[own-input]"),
    ],
)  # fmt: skip
def test_files_of_a_product(desk: FilesDesk, origin: str, port: bool, expected: str | None) -> None:
    ports = "inputPorts: [{name: listings, contractId: carrier.listings, version: 1.0.0}]\n" if port else ""
    product = "domains/carrier/products/mails.odps.yaml"
    desk.more = {**LISTINGS, product: PRODUCT_WITH.format(ports=ports)}
    desk.files = FILES.replace("files: sources/mail/**\n  read: mail", origin)
    if expected is None or "mail'" not in expected:
        desk.files = desk.files.replace("mail.subject", "row.id").replace("mail.date", "none")
    found = findings_of(desk)
    if expected is None:
        assert found == []
    else:
        assert any(line.startswith(FILE) and expected in line for line in found), "\n".join(found)


PRODUCT_WITH = """\
apiVersion: v1.0.0
kind: DataProduct
id: carrier.mails
status: active
{ports}customProperties: [{{property: source, value: sources/mails.files.yaml}}]
"""


def test_a_definition_that_is_not_there_or_has_a_layout(desk: FilesDesk) -> None:
    product = "domains/carrier/products/mails.odps.yaml"
    desk.more[product] = PRODUCT_WITH.format(ports="").replace("mails.files", "other.files")
    assert any("the file does not exist" in line for line in findings_of(desk))
    layout = "{file: sources/mails.files.yaml, delimiter: ';'}"
    desk.more[product] = PRODUCT_WITH.format(ports="").replace("sources/mails.files.yaml", layout)
    assert any("'delimiter' is of a file with rows" in line for line in findings_of(desk))


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("a/*.eml", ["a/x.eml"], ["a/b/x.eml", "a/.x.eml", "x.eml", "a/x.emlx", "a/x\n"]),
        ("a/**", ["a/x", "a/b/c/x.pdf"], ["a", "b/x", "a/.git/x", "a/b/.x"]),
        ("a/**/*.eml", ["a/x.eml", "a/b/c/x.eml"], ["a/x.pdf", "x.eml"]),
        ("**/m?.eml", ["m1.eml", "a/b/m2.eml"], ["m12.eml"]),
        ("a[12].eml", ["a1.eml", "a2.eml"], ["a3.eml", "a[12].eml"]),
        ("a[!12].eml", ["a3.eml"], ["a1.eml", "a/.eml"]),
        (".mail/*", [".mail/x"], ["mail/x"]),
        ("a+(b).eml", ["a+(b).eml"], ["aab.eml"]),
    ],
)
def test_patterns(pattern: str, matching: list[str], others: list[str]) -> None:
    matches: Any = pattern_regex(pattern).fullmatch
    assert [path for path in matching if not matches(path)] == []
    assert [path for path in others if matches(path)] == []
