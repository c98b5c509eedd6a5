"""A small mesh of one product, whose contract has one rule of every kind, and what it takes to publish it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from storymesh.contract.definition import Contract
from storymesh.contract.read import read_contract
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.product.definition import Product, read_product
from storymesh.product.publish import Publication, PublishProgress, publish
from storymesh.product.sources.open import open_product_rows, product_row_places
from storymesh.product.store import ProductStore
from storymesh.product.warehouse import Warehouse

CONTRACT = """\
apiVersion: v3.2.0
kind: DataContract
id: shipping.delays
version: 1.0.0
status: active
schema:
  - name: delays
    customProperties:
      - {property: eventTime, value: at}
      - {property: quarantineLimit, value: LIMIT}
    quality: QUALITY
    properties:
      - {name: id, logicalType: string, primaryKey: true}
      - {name: at, logicalType: timestamp, required: true}
      - {name: code, logicalType: string, enum: [{value: W}, {value: C}]}
      - {name: hours, logicalType: integer, logicalTypeOptions: {minimum: 0, multipleOf: 2}}
      - {name: cost, logicalType: number, physicalType: "decimal(9,2)"}
PROPERTIES"""
PRODUCT = "apiVersion: v1.0.0\nkind: DataProduct\nid: shipping.delays\nstatus: active\n"
Row = dict[str, Any]
Source = str | dict[str, Any] | None


def a_row(number: int, **changes: Any) -> Row:
    row = {"id": f"d{number}", "at": "2024-03-01T12:00:00Z", "code": "W", "hours": 2 * number, "cost": "1.50"}
    return row | changes


def good_rows(count: int) -> list[Row]:
    return [a_row(number) for number in range(count)]


def as_reader(rows: list[Row], schema: pa.Schema | None = None) -> pa.RecordBatchReader:
    """Rows as a source gives them; a value that is not of its column's kind makes the column text."""
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["id", "at", "code", "hours", "cost"]
    arrays = []
    for name in names:
        values = [row.get(name) for row in rows]
        mixed = len({type(value) for value in values if value is not None}) > 1
        arrays.append(pa.array([None if v is None else str(v) for v in values] if mixed else values))
    return (pa.table(arrays, names=names) if schema is None else pa.Table.from_pylist(rows, schema)).to_reader()


@dataclass
class Desk:
    """A domain's desk: writes the contract it is asked for and publishes rows under it."""

    root: Path
    limit: float = 0.5
    quality: str = "[]"
    properties: str = ""
    version: str = "1.0.0"
    runs: list[str] = field(default_factory=list)

    @property
    def store(self) -> ProductStore:
        """A new one each time, as another process would have."""
        return ProductStore(Warehouse(self.root / ".storymesh"), "shipping")

    def contract(self) -> Contract:
        path = self.root / "contracts/shipping/delays.odcs.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = CONTRACT.replace("LIMIT", str(self.limit)).replace("QUALITY", self.quality)
        path.write_text(
            text.replace("PROPERTIES", self.properties).replace("version: 1.0.0", f"version: {self.version}")
        )
        return read_contract(path, self.root)

    def product(self, source: Source = None) -> Product:
        path = self.root / "domains/shipping/products/delays.odps.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        custom = f"customProperties: [{{property: source, value: {json.dumps(source)}}}]\n" if source else ""
        path.write_text(PRODUCT + custom)
        return read_product(path, self.root)

    def publish(
        self, rows: list[Row] | pa.RecordBatchReader, progress: PublishProgress | None = None, wait_s: float = 5.0
    ) -> Publication:
        self.runs.append(f"run{len(self.runs) + 1}")
        reader = as_reader(rows) if isinstance(rows, list) else rows
        product, contract = self.product(), self.contract()
        with open_engine() as engine:
            return publish(product, contract, reader, self.store, engine, self.runs[-1], progress, wait_s)

    def publish_source(self, source: Source, database: Path = Path("none")) -> Publication:
        """Publish the rows of a raw file, a path relative to the domain's folder, or of the dbt model."""
        product, contract = self.product(source), self.contract()
        with open_engine() as engine:
            rows = self._open_source(source, database, engine)
            self.runs.append(f"run{len(self.runs) + 1}")
            places = product_row_places(product, contract, self.root / "domains/shipping")
            return publish(product, contract, rows, self.store, engine, self.runs[-1], wait_s=5.0, places=places)

    def source_rows(self, source: Source, database: Path = Path("none")) -> list[Row]:
        """Return the rows of a raw file, or of the dbt model, as they come."""
        with open_engine() as engine:
            return list(self._open_source(source, database, engine).read_all().to_pylist())

    def _open_source(self, source: Source, database: Path, engine: Engine) -> pa.RecordBatchReader:
        folder = self.root / "domains/shipping"
        allowed = [folder / "sources"]
        return open_product_rows(self.product(source), self.contract(), folder, database, engine, allowed)

    def published(self) -> list[Row]:
        """What a reader of the product sees, in the order of its key."""
        snapshot = self.store.latest_snapshot("delays")
        if snapshot is None:
            return []
        import pyarrow.dataset as ds

        rows: list[Row] = ds.dataset(list(snapshot.files), schema=snapshot.schema).to_table().to_pylist()
        return sorted(rows, key=lambda row: str(row["id"]))


@pytest.fixture
def engine() -> Iterator[Engine]:
    with open_engine() as opened:
        yield opened


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def desks(tmp_path: Path) -> Callable[[str], Desk]:
    return lambda name: Desk(tmp_path / name)
