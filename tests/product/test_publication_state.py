"""Publishing again: no row is read where nothing that shapes a publication has changed, and only there."""

import csv
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from storymesh.contract.audit import depends_on_moment
from storymesh.contract.checks import checks_of
from storymesh.engine.open import open_engine
from storymesh.product.definition import Product
from storymesh.product.publication_state import PublicationState
from storymesh.product.publish import Publication, PublicationRefused, publish
from storymesh.product.software import software_digest
from storymesh.product.sources.open import open_product_rows, source_digest
from tests.product.conftest import Desk, Row, a_row, good_rows

SOURCE = "sources/delays.csv"


def write_source(desk: Desk, rows: list[Row], source: str = SOURCE) -> Path:
    path = desk.root / "domains/shipping" / source
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def publish_again(desk: Desk, source: str = SOURCE) -> tuple[Publication, bool]:
    """Publish as a run of the mesh does. Return what came of it, and True if the rows were read."""
    product, contract, folder = desk.product(source), desk.contract(), desk.root / "domains/shipping"
    store = desk.store
    state = PublicationState(store, product, contract, partial(source_digest, product, contract, folder, Path("none")))
    if (before := state.find_unchanged(open_engine)) is not None:
        return before, False
    state.forget()
    desk.runs.append(f"run{len(desk.runs) + 1}")
    with open_engine() as engine, open_product_rows(product, contract, folder, Path("none"), engine) as rows:
        done = publish(product, contract, rows, store, engine, desk.runs[-1])
    state.record(done)
    return done, True


RULES = """[
    {metric: rowCount, mustBeGreaterThan: 2},
    {type: custom, engine: greatExpectations,
     implementation: {type: expect_column_mean_to_be_between, kwargs: {column: hours, min_value: 0}}}]"""


@pytest.fixture(scope="module")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    desk = Desk(tmp_path_factory.mktemp("published"), quality=RULES)
    write_source(desk, [*good_rows(3), a_row(9, code="X")])
    assert publish_again(desk)[1]
    return desk.root


@pytest.fixture
def published(published_once: Path, tmp_path: Path) -> Desk:
    """A desk that has published three good rows and one that is quarantined, under rules of every kind."""
    return Desk(shutil.copytree(published_once, tmp_path / "desk"), quality=RULES, runs=["run1"])


def test_nothing_is_read_where_nothing_has_changed_and_all_results_are_told_again(published: Desk) -> None:
    write_source(published, [*good_rows(3), a_row(9, code="X")])  # a new file of the same bytes
    published_before = published.publish_source(SOURCE)
    done, read = publish_again(published)
    assert not read
    assert done.unchanged
    assert (done.snapshot, done.rows_in, done.rows_out) == (published_before.snapshot, 4, 3)
    assert dict(done.quarantined) == {"enum: code": 1}
    assert done.quarantine_path is not None
    assert done.quarantine_path.is_file()
    told = [(check.name, check.passed, check.failed_rows, check.words, check.location) for check in done.checks]
    assert told == [
        (check.name, check.passed, check.failed_rows, check.words, check.location) for check in published_before.checks
    ]
    assert [str(check.observed) for check in done.checks] == [str(check.observed) for check in published_before.checks]


def change_one_byte(desk: Desk) -> None:
    """Change the source so that neither its size nor its times say so."""
    path = desk.root / "domains/shipping" / SOURCE
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"d1", b"e1"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def change_rule(desk: Desk) -> None:
    desk.quality = "[{metric: rowCount, mustBeGreaterThan: 1}]"


def change_limit(desk: Desk) -> None:
    desk.limit = 0.4


def change_version(desk: Desk) -> None:
    desk.version = "1.0.1"


def publish_others(desk: Desk) -> None:
    """Publish other rows by another way."""
    desk.publish(good_rows(5))


def latest_file(desk: Desk) -> Path:
    latest = desk.store.latest_snapshot("delays")
    assert latest is not None
    return Path(latest.files[0])


def remove_data(desk: Desk) -> None:
    latest_file(desk).unlink()


def flip_data(desk: Desk) -> None:
    path = latest_file(desk)
    content = bytearray(path.read_bytes())
    content[20] ^= 0xFF
    path.write_bytes(content)


def remove_quarantine(desk: Desk) -> None:
    for path in (desk.store.folder / "quarantine").rglob("*.parquet"):
        path.unlink()


def spoil_note(desk: Desk) -> None:
    (note,) = (desk.store.folder / "publications").iterdir()
    note.write_text(note.read_text().replace('"rows_in":', '"rows_in":1'))


def lose_catalog(desk: Desk) -> None:
    for path in desk.store.folder.glob("catalog.db*"):
        path.unlink()
    for path in (desk.store.folder / "warehouse").rglob("*.json"):
        path.unlink()


CHANGES: tuple[Callable[[Desk], object], ...] = (
    *(change_one_byte, change_rule, change_limit, change_version, publish_others, remove_data, flip_data),
    *(remove_quarantine, spoil_note, lose_catalog),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_shapes_a_publication_or_damages_it_is_noticed(change: Callable[[Desk], object], published: Desk) -> None:
    change(published)
    done, read = publish_again(published)
    assert read
    assert done.rows_out == 3
    assert list(done.snapshot.files if done.snapshot else ()), "readers have its files"
    assert done.quarantine_path is not None
    assert done.quarantine_path.is_file()
    assert not publish_again(published)[1], "what was made again is noted again"


def test_other_software_is_noticed(published: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storymesh.product.publication_state.software_digest", lambda: "another")
    assert publish_again(published)[1]


def test_another_file_of_the_same_rows_is_read(published: Desk) -> None:
    write_source(published, [*good_rows(3), a_row(9, code="X")], "sources/others.csv")
    done, read = publish_again(published, "sources/others.csv")
    assert read
    assert done.unchanged


def test_a_source_that_changes_while_it_is_read_is_read_again(published: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    original = publish

    def publish_and_change(*arguments: Any) -> Publication:
        done = original(*arguments)
        write_source(published, good_rows(8))
        return done

    write_source(published, good_rows(7))
    with monkeypatch.context() as patched:
        patched.setitem(globals(), "publish", publish_and_change)
        publish_again(published)
    write_source(published, good_rows(7))
    assert publish_again(published)[1]


def test_a_refused_publication_is_tried_again(published: Desk) -> None:
    write_source(published, [a_row(1, code="X"), a_row(2, code="Y"), a_row(3)])
    for _ in range(2):
        with pytest.raises(PublicationRefused):
            publish_again(published)
    write_source(published, [*good_rows(3), a_row(9, code="X")])
    assert publish_again(published)[1], "what the refused one left behind is swept by who publishes"


def test_a_killed_publication_leaves_no_note(published: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> Publication:
        raise Killed

    write_source(published, good_rows(7))
    with monkeypatch.context() as patched:
        patched.setitem(globals(), "publish", killed)
        with pytest.raises(Killed):
            publish_again(published)
    write_source(published, [*good_rows(3), a_row(9, code="X")])
    assert publish_again(published)[1]


AGE = """{name: age, type: sql, MUST,
  query: 'select max(date_diff(''day'', "at", current_date::timestamp)) from {object}'}"""


def test_what_depends_on_the_moment_is_measured_again(desk: Desk) -> None:
    desk.quality = f"[{AGE.replace('MUST', 'mustBeGreaterThan: 1, severity: warning')}]"
    write_source(desk, good_rows(3))
    publish_again(desk)
    done, read = publish_again(desk)
    assert not read
    (age,) = [check for check in done.checks if check.name == "age"]
    assert isinstance(age.observed, int), "it was asked now: a note has texts"


def test_a_rule_that_no_longer_holds_by_the_clock_holds_the_product_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.quality = f"[{AGE.replace('MUST', 'mustBeLessThan: 100000')}]"
    write_source(desk, good_rows(3))
    publish_again(desk)
    monkeypatch.setattr("storymesh.contract.quality_rules.Comparison.holds", lambda *_: False)
    with pytest.raises(PublicationRefused, match="is held back"):
        publish_again(desk)


def test_a_source_that_cannot_be_read_is_for_the_reader_to_explain(published: Desk) -> None:
    folder = published.root / "domains/shipping"
    product: Product = published.product("sources/nowhere.csv")
    assert source_digest(product, published.contract(), folder, Path("none")) is None


def test_another_version_of_a_library_is_other_software(monkeypatch: pytest.MonkeyPatch) -> None:
    before = software_digest.__wrapped__()
    assert software_digest.__wrapped__() == before
    monkeypatch.setattr("importlib.metadata.version", lambda _: "99")
    assert software_digest.__wrapped__() != before


@pytest.mark.parametrize(
    ("query", "passed", "again"),
    [
        ("select count(*) from {object} where hours < 0", True, False),
        ("select count(*) from {object} where hours < 0", False, True),
        ("select count(*) from {object} where hours < epoch(now())", True, True),
        ("select count(*) from {object} /* of all */", True, True),
        ('select count("hours") from {object}', True, True),
    ],
)
def test_sql_that_reads_nothing_but_the_rows_is_not_run_again(
    tmp_path: Path, query: str, passed: bool, again: bool
) -> None:
    desk = Desk(tmp_path, quality=f"[{{name: rule, type: sql, mustBe: 0, query: '{query}'}}]")
    (rule,) = (check for check in checks_of(desk.contract()) if check.kind == "table")
    assert depends_on_moment(rule, passed=passed) is again
