"""Products that are made of files: rows typed by the contract, and every file that gives none with its reason."""

import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq
import pytest

from storymesh.files.reading import readers
from storymesh.files.reading.readers import ReaderMissing
from storymesh.product.publication import PublicationRefused
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse
from tests.files.conftest import CONTRACT, FILES, PROPERTIES, FilesDesk
from tests.files.test_definition import LISTINGS, PRODUCT_WITH
from tests.support.command import CommandResult
from tests.support.file_makers import mail, page_with
from tests.support.paths import MESHES
from tests.support.planted import files_with


def published(desk: FilesDesk) -> list[dict[str, Any]]:
    snapshot = ProductStore(Warehouse(desk.store), "carrier").latest_snapshot("mails")
    assert snapshot is not None
    rows = [row for path in snapshot.files for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: str(row["file"]))


def test_rows_refusals_and_versions(desk: FilesDesk) -> None:
    desk.mail("a.eml", "SHP-1 late")
    desk.mail("b.eml", "no shipment")
    desk.write("junk.eml", b"%PDF-1.7")
    desk.write("empty.eml", b"")
    desk.write("no_subject.eml", b"From: a@x\nTo: b@x\nDate: Tue, 12 Mar 2024 09:00:00 +0000\n\nSHP-2")
    desk.contract = desk.contract.replace(
        "name: subject, logicalType: string", "name: subject, logicalType: string, required: true"
    )
    desk.files = FILES.replace("take:", 'where: \'"SHP-" in text or "SHP-" in mail.subject\'\ntake:')
    first = desk.publish()
    assert (first.rows_in, first.rows_out) == (4, 1)
    assert dict(first.quarantined) == {"file: empty": 1, "file: wrong type": 1, "required: subject": 1}
    assert [row["subject"] for row in published(desk)] == ["SHP-1 late"]
    assert first.quarantine_path is not None
    refused = pq.read_table(first.quarantine_path).to_pylist()
    assert {Path(row["storymesh:file"]).name: row["reasons"] for row in refused} == {
        "no_subject.eml": ["required: subject"], "junk.eml": ["file: wrong type"], "empty.eml": ["file: empty"],
    }  # fmt: skip
    assert [row["body"] for row in refused] == ["SHP-2", None, None]
    again = desk.publish()
    assert again.unchanged
    assert first.snapshot is not None
    desk.forget_everything()
    anew = desk.publish()
    assert anew.snapshot is not None
    assert anew.snapshot.version == first.snapshot.version


def test_refused_files_alone_are_quarantined_and_count_for_the_limit(desk: FilesDesk) -> None:
    desk.contract = desk.contract.replace("value: 0.9", "value: 0.5")
    desk.mail("a.eml")
    desk.write("one.eml", b"%PDF-1.7")
    assert desk.publish().rows_out == 1
    desk.write("two.eml", b"%PDF-1.8")
    with pytest.raises(
        PublicationRefused, match=r"2 of 3 rows break the contract, more than 50 %: file: wrong type \(2\)"
    ):
        desk.publish()
    assert len(published(desk)) == 1


def test_attachments_are_read_as_what_they_are(desk: FilesDesk) -> None:
    boundary = (
        b"From: a@x\nTo: b@x\nSubject: s\nDate: Tue, 12 Mar 2024 09:00:00 +0000\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/mixed; boundary="B"\n\n--B\nContent-Type: text/plain\n\nhello\n'
        b'--B\nContent-Type: application/octet-stream\nContent-Disposition: attachment; filename="n.txt"\n\nthe note\n'
        b'--B\nContent-Type: text/plain\nContent-Disposition: attachment; filename="p.txt"\n\n%PDF-1.7 no\n--B--\n'
    )
    desk.write("a.eml", boundary)
    desk.mail("b.eml")
    desk.contract = CONTRACT + (
        "      - {name: file, logicalType: string, primaryKey: true}\n"
        "      - {name: written_at, logicalType: timestamp}\n"
        "      - {name: notes, logicalType: array, items: {logicalType: object, properties: ["
        "{name: name, logicalType: string}, {name: kind, logicalType: string}, {name: text, logicalType: string},"
        " {name: refused, logicalType: string}]}}\n"
    )
    desk.files = FILES.partition("take:")[0] + (
        "  attachments: [text, pdf]\ntake: {file: file.uri, written_at: mail.date, notes: attachments}\n"
    )
    desk.gather()
    assert desk.refused() == {}
    first, second = desk.rows()
    assert second["notes"] == []
    notes = [{name: note[name] for name in ("name", "kind", "text", "refused")} for note in first["notes"]]
    assert notes[0] == {"name": "n.txt", "kind": "text", "text": "the note", "refused": None}
    assert (notes[1]["kind"], notes[1]["text"], notes[1]["refused"]) == ("pdf", None, "damaged")
    assert desk.gather().opened == 0


def test_texts_of_a_product(desk: FilesDesk) -> None:
    ports = "inputPorts: [{name: listings, contractId: carrier.listings, version: 1.0.0}]\n"
    table = "domains/carrier/sources/listings.csv"
    desk.more = {**LISTINGS, "domains/carrier/products/mails.odps.yaml": PRODUCT_WITH.format(ports=ports)}
    desk.more[table] = "id,body,price\n1,first,2\n2,,3\n3,third,4\n"
    desk.files = FILES.replace("files: sources/mail/**\n  read: mail", "product: carrier.listings\n  text: body")
    desk.files = desk.files.replace("mail.subject", "row.id ~ ':' ~ (row.price + 1)").replace("mail.date", "none")
    publish_listings(desk)
    result = desk.publish()
    assert [(row["file"], row["subject"], row["body"]) for row in published(desk)] == [
        ("carrier.listings/1", "1:3", "first"),
        ("carrier.listings/3", "3:5", "third"),
    ]
    assert dict(result.quarantined) == {"file: no text": 1}
    digest = desk.collection().source_digest()
    assert digest is not None
    desk.more[table] = "id,body,price\n1,first,20\n2,second,3\n3,third,4\n"
    publish_listings(desk)
    assert desk.collection().source_digest() != digest
    assert desk.gather().read == 1
    assert [row["subject"] for row in desk.rows()] == ["1:21", "2:4", "3:5"]


class Photos(BaseHTTPRequestHandler):
    """A server of texts that change when their version does; `/gone` is not there."""

    versions: ClassVar[dict[str, str]] = {}
    asked: ClassVar[list[tuple[str, int]]] = []

    def do_GET(self) -> None:
        version = self.versions.get(self.path)
        status = 404 if version is None else 304 if self.headers.get("If-None-Match") == f'"{version}"' else 200
        self.asked.append((self.path, status))
        body = f"{self.path} {version}".encode() if status == 200 else b""
        self.send_response(status)
        self.send_header("ETag", f'"{version}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def photos() -> Iterator[str]:
    Photos.versions, Photos.asked = {"/1": "a", "/3": "c"}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Photos) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_addresses_of_a_product(desk: FilesDesk, photos: str) -> None:
    ports = "inputPorts: [{name: listings, contractId: carrier.listings, version: 1.0.0}]\n"
    table = "domains/carrier/sources/listings.csv"
    desk.more = {**LISTINGS, "domains/carrier/products/mails.odps.yaml": PRODUCT_WITH.format(ports=ports)}
    desk.more[table] = (
        f"id,body,price\n1,{photos}/1,2\n2,,3\n3,{photos}/3,4\n4,{photos}/gone,5\n5,file:///etc/passwd,6\n"
    )
    desk.more["mesh.yaml"] = "files: {networks: [127.0.0.1/32]}\n"
    origin = "product: carrier.listings\n  url: body\n  read: text"
    desk.files = FILES.replace("files: sources/mail/**\n  read: mail", origin)
    desk.files = desk.files.replace("mail.subject", "row.id").replace("mail.date", "none")
    publish_listings(desk)
    assert desk.gather().read == 2
    assert [row["body"] for row in desk.rows()] == ["/1 a", "/3 c"]
    names = {f"carrier.listings/{number}": number for number in range(1, 6)}
    assert {names[uri]: reason for uri, reason in desk.refused().items()} == {
        2: "no address", 4: "http 404", 5: "address not allowed",
    }  # fmt: skip
    Photos.asked.clear()
    Photos.versions = {"/1": "a", "/3": "d"}
    assert desk.gather().read == 1
    assert sorted(Photos.asked) == [("/1", 304), ("/3", 200), ("/gone", 404)]
    assert [row["body"] for row in desk.rows()] == ["/1 a", "/3 d"]
    Photos.versions = {"/1": "a"}
    assert desk.gather().read == 0
    assert [row["body"] for row in desk.rows()] == ["/1 a", "/3 d"], "what cannot be had now keeps its row"
    desk.more[table] = f"id,body,price\n1,{photos}/1,2\n3,{photos}/other,4\n"
    publish_listings(desk)
    desk.files = desk.files.replace("take:", "limits: {gone: 1}\ntake:")
    assert desk.gather().read == 0
    assert [row["body"] for row in desk.rows()] == ["/1 a"], "what was read at another address is not kept"
    desk.more["mesh.yaml"] = "store: .storymesh\n"
    desk.forget_everything()
    publish_listings(desk)
    desk.gather()
    assert set(desk.refused().values()) == {"address not allowed"}


def publish_listings(desk: FilesDesk) -> None:
    from storymesh.product.publish import publish
    from storymesh.product.sources.open import open_product_rows

    mesh = desk.mesh()
    product, contract = mesh.product("carrier.listings"), mesh.contract("carrier.listings")
    rows = open_product_rows(product, contract, mesh.domain_folder("carrier"), Path("none"), desk.engine)
    publish(product, contract, rows, ProductStore(mesh.warehouse, "carrier"), desk.engine, "listings")


def test_the_commands_and_the_assets(desk: FilesDesk, storymesh: Callable[..., CommandResult]) -> None:
    desk.mail("a.eml", "late", "Wir erwarten 53 Stunden.")
    desk.write("junk.eml", b"%PDF-1.7")
    desk.mesh()
    assert "2 files (" in (plan := storymesh(desk.root, "run", "--plan")).out
    assert "2 files to open" in plan.out
    ran = storymesh(desk.root, "run")
    assert ran.code == 0, ran
    assert "file: wrong type (1)" in ran.out
    listed = storymesh(desk.root, "files", "carrier.mails")
    assert "carrier.mails: 2 files: row 1, refused 1" in listed.out
    assert "wrong type" in listed.out
    one = storymesh(desk.root, "files", "carrier.mails", "--file", "sources/mail/a.eml")
    assert "mail.subject: late" in one.out
    assert "Wir erwarten 53 Stunden." in one.out
    unknown = storymesh(desk.root, "files", "carrier.mails", "--file", "sources/mail/b.eml")
    assert unknown.code == 2
    assert "did you mean 'sources/mail/a.eml'" in unknown.err
    assert "nothing has changed since the last run" in storymesh(desk.root, "run").out
    assert "0 files to open" in storymesh(desk.root, "run", "--plan").out
    refused = storymesh(desk.root, "show", "carrier.mails", "--quarantined")
    assert "sources/mail/junk.eml: file = null" in refused.out
    desk.mail("a.eml", "late", "Nun sind es 54.", at=9)
    assert storymesh(desk.root, "run").code == 0
    assert storymesh(desk.root, "expire", "--yes").code == 0
    left = [path for path in desk.store.rglob("*") if path.is_file() and b"Stunden" in path.read_bytes()]
    assert left == [], "no word of what is gone"


def test_a_deleted_mail_is_forgotten_everywhere(
    tmp_path: Path, readers: Any, storymesh: Callable[..., CommandResult]
) -> None:
    root = Path(shutil.copytree(MESHES / "mailroom", tmp_path / "mesh"))
    mails = root / "domains/desk/sources/mail"
    for name in ("march/zanzibar.eml", "march/other.eml"):
        text = (mails / "march/notice.eml").read_text(encoding="utf-8").replace("53 hours", f"53 xylophones of {name}")
        (mails / name).write_text(text.replace("SHP-004579", "SHP-1"), encoding="utf-8")
    refused = (
        (mails / "march/notice.eml").read_text(encoding="utf-8").replace("Subject: SHP-004579 is late", "X: xylophone")
    )
    (mails / "march/refused.eml").write_text(refused, encoding="utf-8")
    assert storymesh(root, "run").code == 0
    for name in ("zanzibar", "other", "refused"):
        (mails / f"march/{name}.eml").unlink()
    assert ", 3 gone since the last run, 0 files to open" in storymesh(root, "run", "--plan").out
    definition = root / "domains/desk/sources/mails.files.yaml"
    definition.write_text(
        definition.read_text(encoding="utf-8").replace("take:", "limits: {gone: 0.5}\ntake:"), encoding="utf-8"
    )
    assert storymesh(root, "run", "desk").code == 0
    shown = storymesh(root, "forget", "--gone", "desk.mails")
    assert "that no release used" not in shown.out
    assert "mails 1.0.0-r1: sources/mail/march/zanzibar.eml: report 1" in shown.out
    assert "nothing was changed" in shown.err
    done = storymesh(root, "forget", "--gone", "desk.mails", "--yes", "--remove-old")
    assert done.code == 0, done
    assert done.out.count("succeeds") == 1
    assert [path.name for path in (root / "releases/mails").glob("1*")] == ["1.0.0-r2"]
    assert storymesh(root, "expire", "--yes", "--pinned").code == 0
    assert [*files_with(root / ".storymesh", "xylophone"), *files_with(root / "releases", "xylophone")] == []
    assert storymesh(root, "forget", "--gone", "desk.mails", "--key", "x").code == 2
    assert "nothing is to be forgotten" in storymesh(root, "forget", "--gone", "desk.mails").out


def test_new_files_are_noticed(desk: FilesDesk) -> None:
    import dagster as dg

    from storymesh.orchestration.assets.keys import source_key
    from storymesh.orchestration.assets.sources import raw_file_updates

    desk.mail("a.eml")
    source = "sources/mails.files.yaml"
    key, mesh = source_key("carrier", source), desk.mesh()
    mesh.prepare_store()
    with dg.DagsterInstance.ephemeral() as instance:

        def observed() -> list[dict[str, Any]]:
            found = list(raw_file_updates(mesh, "carrier", {key: source}, instance))
            for update in found:
                instance.report_runless_asset_event(update)
            return [{name: value.value for name, value in item.metadata.items()} for item in found]

        assert [item["files"] for item in observed()] == [1]
        assert observed() == []
        desk.mail("b.eml")
        assert [item["files"] for item in observed()] == [2]


def without_pdf_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a machine without the packages that read PDF."""
    known = readers._installed
    monkeypatch.setattr(readers, "_installed", lambda package: None if package == "pypdfium2" else known(package))


def test_attachments_that_nothing_hangs_on_may_go_unread(desk: FilesDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    message = mail("See the notice.")
    message.add_attachment(page_with(b"BT /F 12 Tf 10 50 Td (53 hours) Tj ET"), "application", "pdf", filename="n.pdf")
    message.add_attachment("more", filename="n.txt")
    desk.write("a.eml", message.as_bytes())
    desk.write("b.eml", b"%PDF-1.7")
    desk.files = FILES.replace("read: mail", "read: mail\n  attachments: [pdf]").replace(
        "mail.subject", 'attachments | map(attribute="name") | join(" ")'
    )
    with monkeypatch.context() as bare:
        without_pdf_reader(bare)
        assert desk.publish().rows_out == 1
        assert desk.outcomes().attachments == {"no reader": 1, "not wanted": 1}
        assert desk.gather().opened == 0
    version = desk.publish().snapshot
    assert desk.outcomes().attachments == {"read": 1, "not wanted": 1}, "it is read when there is a reader"
    assert version == desk.publish().snapshot

    whole = "subject, logicalType: object, properties: [{name: name, logicalType: string}]"
    for read, subject in (
        ('text ~ (attachments | map(attribute="text") | join(" "))', "subject, logicalType: string"),
        ("attachments | first", whole),
    ):
        desk.files = FILES.replace("read: mail", "read: mail\n  attachments: [pdf]").replace("mail.subject", read)
        desk.contract = CONTRACT + PROPERTIES.replace("subject, logicalType: string", subject)
        assert desk.publish().rows_out == 1
        with monkeypatch.context() as bare:
            without_pdf_reader(bare)
            with pytest.raises(ReaderMissing, match=r"mails\.files\.yaml:9:12: .*pypdfium2 is needed") as missing:
                desk.publish()
            assert missing.value.hint == "pip install 'storymesh[files]'"
