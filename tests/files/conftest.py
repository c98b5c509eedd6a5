"""A small mesh of one product that is made of files, and what it takes to read them."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.errors import Finding
from storymesh.files.collection import FileCollection
from storymesh.files.gather import Gathered
from storymesh.files.gathered_summary import GatheredSummary
from storymesh.files.outcomes import FileOutcomes, file_outcomes
from storymesh.files.reading.readers import load_reader, reader_version
from storymesh.files.reading.reading import FileReading, FileRefused, Refused
from storymesh.mesh.check import check_files
from storymesh.mesh.file_collections import file_collection
from storymesh.mesh.mesh import Mesh, load_mesh
from storymesh.product.publication import Publication
from storymesh.product.publish_files import publish_files
from storymesh.product.store import ProductStore

PROPERTIES = """\
      - {name: file, logicalType: string, primaryKey: true}
      - {name: subject, logicalType: string}
      - {name: written_at, logicalType: timestamp}
      - {name: body, logicalType: string}
"""
CONTRACT = """\
apiVersion: v3.2.0
kind: DataContract
id: carrier.mails
version: 1.0.0
status: active
schema:
  - name: mails
    customProperties:
      - {property: eventTime, value: written_at}
      - {property: quarantineLimit, value: 0.9}
    properties:
"""
FILES = """\
apiVersion: storymesh/v1
kind: Files
from:
  files: sources/mail/**
  read: mail
take:
  file: file.uri
  subject: mail.subject
  written_at: mail.date
  body: text
"""
PRODUCT = """\
apiVersion: v1.0.0
kind: DataProduct
id: carrier.mails
status: active
customProperties: [{property: source, value: sources/mails.files.yaml}]
"""
MAIL = "From: a@x.example\nTo: b@x.example\nSubject: {subject}\nDate: Tue, 12 Mar 2024 09:00:00 +0000\n\n{body}\n"
LONG_AGO = 1_700_000_000


class InProcessReaders:
    """The readers themselves, without the processes that a bad file cannot harm. They count what they read."""

    def __init__(self, *_: Any) -> None:
        self.read: list[str] = []

    def __enter__(self) -> "InProcessReaders":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read_many(self, items: Iterable[tuple[str, Any, Any, Any]]) -> Iterator[tuple[str, FileReading | Refused]]:
        for key, content, kind, options in items:
            self.read.append(key)
            data = content if isinstance(content, bytes) else content.read_bytes()
            yield key, self._read(data, kind, options)

    def _read(self, data: bytes, kind: Any, options: Any) -> FileReading | Refused:
        if not data:
            return Refused("empty")
        if b"X-Server: down" in data:
            return Refused("server", "it does not answer")
        try:
            found = load_reader(kind, options)(data)
        except FileRefused as error:
            return error.refused
        version = reader_version(kind, options)
        return FileReading(
            kind, version.reader, version.version, found.text, found.values, tuple(found.passages),
            tuple(found.attachments),
        )  # fmt: skip


@dataclass
class FilesDesk:
    """A domain with a folder of mails."""

    root: Path
    engine: Engine
    files: str = FILES
    contract: str = CONTRACT + PROPERTIES
    more: dict[str, str] = field(default_factory=dict)

    def mail(self, name: str, subject: str = "late", body: str = "We expect a delay of 53 hours.", at: int = 0) -> Path:
        return self.write(name, MAIL.format(subject=subject, body=body).encode(), at)

    def write(self, name: str, data: bytes, at: int = 0) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, ns=((LONG_AGO + at) * 10**9 + 1, (LONG_AGO + at) * 10**9 + 1))
        return path

    @property
    def folder(self) -> Path:
        folder = self.root / "domains/carrier/sources/mail"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def store(self) -> Path:
        return self.root / ".storymesh"

    @property
    def inventory(self) -> Path:
        return self.store / "carrier/files/mails.sqlite"

    def mesh(self) -> Mesh:
        self._write_definitions()
        return load_mesh(self.root)

    def findings(self) -> list[Finding]:
        self._write_definitions()
        return check_files(self.root)

    def _write_definitions(self) -> None:
        definitions = "from storymesh.orchestration import definitions\n\ndefs = definitions(__file__)\n"
        texts = {
            "domains/carrier/domain.yaml": "id: carrier\ntitle: Carrier\nowner: desk@example.com\n",
            "domains/carrier/definitions.py": definitions,
            "domains/carrier/products/mails.odps.yaml": PRODUCT,
            "domains/carrier/sources/mails.files.yaml": self.files,
            "contracts/carrier/mails.odcs.yaml": self.contract,
            **self.more,
        }
        (self.root / "narratives").mkdir(exist_ok=True)
        for name, text in texts.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def collection(self, product: str = "carrier.mails") -> FileCollection:
        mesh = self.mesh()
        mesh.prepare_store()
        return file_collection(mesh, mesh.product(product))

    def gather(self) -> Gathered:
        return self.collection().gather(self.engine)

    def rows(self) -> list[dict[str, Any]]:
        return list(self.collection().open_rows(self.engine).reader().read_all().to_pylist())

    def subjects(self) -> dict[str, str]:
        """Return the subject of each file that has a row, by its name below the folder."""
        return {row["file"].removeprefix("sources/mail/"): row["subject"] for row in self.rows()}

    def refused(self) -> dict[str, str]:
        return {file.uri.removeprefix("sources/mail/"): str(file.refused) for file in self.collection().refused()}

    def publish(
        self, product: str = "carrier.mails", observe: Callable[[GatheredSummary], None] = lambda _: None
    ) -> Publication:
        mesh = self.mesh()
        found = mesh.product(product)
        store = ProductStore(mesh.warehouse, found.domain)
        collection = self.collection(product)
        return publish_files(found, mesh.contract(product), collection, store, self.engine, "run", None, observe)

    def outcomes(self, product: str = "carrier.mails") -> FileOutcomes:
        return file_outcomes(product, self.collection(product), self.engine, 0, refused=False)

    def forget_everything(self) -> None:
        shutil.rmtree(self.store, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_engine() -> Iterator[Engine]:
    with open_engine() as engine:
        yield engine


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    """Read in this process, and say what was read: `opened` contents, by the last `gather`."""
    seen: dict[str, Any] = {}

    def pool(*_: Any) -> InProcessReaders:
        seen["pool"] = InProcessReaders()
        return seen["pool"]  # type: ignore[no-any-return]

    monkeypatch.setattr("storymesh.files.collection.ReaderPool", pool)
    return seen


@pytest.fixture
def desk(tmp_path: Path, shared_engine: Engine, readers: Mapping[str, Any]) -> FilesDesk:
    return FilesDesk(tmp_path, shared_engine)


@pytest.fixture
def desks(tmp_path: Path, shared_engine: Engine, readers: Mapping[str, Any]) -> Callable[[str], FilesDesk]:
    def make(name: str) -> FilesDesk:
        (tmp_path / name).mkdir()
        return FilesDesk(tmp_path / name, shared_engine)

    return make
