"""What readers of a product see is known without PyIceberg, as long as Iceberg's own files are what they were."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from storymesh.errors import StorymeshError
from storymesh.product.store import ProductStore
from storymesh.product.store_location import LocationRefused
from tests.product.conftest import Desk, good_rows


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The products whose tables were opened with PyIceberg, since the test began."""
    opened: list[str] = []
    load_table = ProductStore.load_table

    def load(store: ProductStore, product: str) -> object:
        opened.append(product)
        return load_table(store, product)

    monkeypatch.setattr(ProductStore, "load_table", load)
    return opened


def note_of(desk: Desk) -> Path:
    (note,) = (desk.store.folder / "snapshots").iterdir()
    return note


def test_a_note_says_what_the_table_says(desk: Desk, opened: list[str]) -> None:
    desk.publish(good_rows(3))
    note_of(desk).unlink()
    opened.clear()
    read = desk.store.latest_snapshot("delays")
    noted = desk.store.latest_snapshot("delays")
    assert opened == ["delays"]
    assert read is not None and noted is not None
    assert noted == read
    assert noted.schema.equals(read.schema)
    assert list(noted.files) == list(read.files)
    desk.publish(good_rows(4))
    newer = desk.store.latest_snapshot("delays")
    assert newer is not None and newer.rows == 4


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("pattern", ["warehouse/delays/metadata/*.metadata.json", "warehouse/delays/metadata/*.avro"])
@pytest.mark.parametrize("change", [cut, Path.unlink])
def test_damaged_metadata_is_found_as_without_a_note(
    desk: Desk, opened: list[str], pattern: str, change: Callable[[Path], None]
) -> None:
    desk.publish(good_rows(3))
    desk.store.latest_snapshot("delays")
    opened.clear()
    for file in desk.store.folder.glob(pattern):
        change(file)
    with pytest.raises(StorymeshError):
        desk.store.latest_snapshot("delays")
    assert opened == ["delays"]


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note.update(arrow_schema="bm8gc2NoZW1h"),
        lambda note: note.update(version="another"),
        lambda note: note.update(metadata={}),
        lambda note: note["metadata"].update({"../../secret": "0" * 64}),
        lambda note: note.pop("rows"),
    ],
)
def test_a_note_that_is_none_is_not_believed(
    desk: Desk, opened: list[str], change: Callable[[dict[str, object]], object]
) -> None:
    desk.publish(good_rows(3))
    read = desk.store.latest_snapshot("delays")
    note = json.loads(note_of(desk).read_text(encoding="utf-8"))
    change(note)
    note_of(desk).write_text(json.dumps(note), encoding="utf-8")
    opened.clear()
    assert desk.store.latest_snapshot("delays") == read
    assert opened == ["delays"]


def test_a_planted_note_reaches_no_file_outside_the_store(desk: Desk) -> None:
    desk.publish(good_rows(3))
    desk.store.latest_snapshot("delays")
    note = json.loads(note_of(desk).read_text(encoding="utf-8"))
    note["files"] = [["../../../../etc/passwd", 1]]
    note_of(desk).write_text(json.dumps(note), encoding="utf-8")
    snapshot = desk.store.latest_snapshot("delays")
    assert snapshot is not None
    with pytest.raises(LocationRefused):
        list(snapshot.files)
