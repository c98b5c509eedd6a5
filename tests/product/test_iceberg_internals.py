"""The private parts of PyIceberg that are used stand where they stood, and nowhere else in the package."""

import re
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table.update import SetPropertiesUpdate

import storymesh
from storymesh.product.iceberg_internals import apply_updates, opens_files_with, rename_file, schema_without_ids

PRIVATE = re.compile(
    r"from pyiceberg[\w.]* import [^\n]*\b_\w+|\btransaction\._\w+|\bfile\._location\b|\b_load_file_io\b"
)


def test_the_version_is_the_one_whose_private_parts_were_read() -> None:
    assert version("pyiceberg").startswith("0.12."), "read iceberg_internals.py again, then change this line"


def test_updates_that_are_applied_to_a_transaction_are_committed(tmp_path: Path) -> None:
    catalog = SqlCatalog("test", uri="sqlite://", warehouse=str(tmp_path))
    catalog.create_namespace("a")
    table = catalog.create_table("a.b", pa.schema([("x", pa.int64())]))
    transaction = table.transaction()
    apply_updates(transaction, [SetPropertiesUpdate(updates={"seen": "yes"})])
    transaction.commit_transaction()
    assert catalog.load_table("a.b").properties["seen"] == "yes"


def test_an_arrow_schema_becomes_columns_without_ids() -> None:
    schema = schema_without_ids(pa.schema([("x", pa.int64()), ("y", pa.list_(pa.string()))]))
    assert [(field.name, field.field_id) for field in schema.fields] == [("x", -1), ("y", -1)]


def test_a_catalog_opens_files_as_it_is_told_whatever_a_table_says(tmp_path: Path) -> None:
    opened: list[dict[str, str]] = []

    def open_files(properties: dict[str, str]) -> PyArrowFileIO:
        opened.append(properties)
        return PyArrowFileIO(properties)

    @opens_files_with(open_files)
    class OwnCatalog(SqlCatalog): ...

    catalog = OwnCatalog("test", uri="sqlite://", warehouse=str(tmp_path))
    catalog.create_namespace("a")
    catalog.create_table("a.b", pa.schema([("x", pa.int64())]), properties={"py-io-impl": "os.path"})
    assert isinstance(catalog.load_table("a.b").io, PyArrowFileIO)
    assert opened and not any("py-io-impl" in properties for properties in opened)


def test_a_catalog_that_opens_files_in_another_way_is_refused() -> None:
    with pytest.raises(ImportError, match="another way"):
        opens_files_with(PyArrowFileIO)(object)


def test_an_open_file_can_be_renamed(tmp_path: Path) -> None:
    file = rename_file(PyArrowFileIO().new_output(str(tmp_path / "a")), "warehouse/a")
    assert file.location == "warehouse/a"
    with file.create() as stream:
        stream.write(b"x")
    assert (tmp_path / "a").read_bytes() == b"x"


def test_no_other_module_uses_a_private_part_of_pyiceberg() -> None:
    root = Path(storymesh.__file__).parent
    found = [path.name for path in root.rglob("*.py") if PRIVATE.search(path.read_text(encoding="utf-8"))]
    assert found == ["iceberg_internals.py"]
