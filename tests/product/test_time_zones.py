"""A time with an offset, or in a zone, is the moment that it names: rows hold UTC, whatever zone this machine is in."""

import time
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.product.conftest import Desk, a_row

BERLIN = ZoneInfo("Europe/Berlin")
# Two hours in which Berlin's clocks change: from 2:00 to 3:00 on 31 March, from 3:00 to 2:00 on 27 October.
WRITTEN = {
    "before the gap": ("2024-03-31T01:59:59+01:00", datetime(2024, 3, 31, 0, 59, 59)),
    "behind the gap": ("2024-03-31T03:00:00+02:00", datetime(2024, 3, 31, 1)),
    "first of two": ("2024-10-27T02:30:00+02:00", datetime(2024, 10, 27, 0, 30)),
    "second of two": ("2024-10-27T02:30:00+01:00", datetime(2024, 10, 27, 1, 30)),
    "half an hour": ("2024-05-01T05:45:00+05:45", datetime(2024, 5, 1)),
    "z": ("2024-05-01T00:00:00Z", datetime(2024, 5, 1)),
    "without": ("2024-05-01T00:00:00", datetime(2024, 5, 1)),
}
EXPECTED = {name: utc for name, (_, utc) in WRITTEN.items()}


@pytest.fixture(params=["UTC", "America/New_York"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def published(desk: Desk, source: str) -> dict[str, datetime]:
    done = desk.publish_source(source)
    assert not done.quarantined
    return {row["id"]: row["at"] for row in desk.published()}


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_text_with_an_offset_is_converted_to_utc(kind: str, desk: Desk) -> None:
    folder = desk.root / "domains/shipping"
    folder.mkdir(parents=True)
    lines = {
        "csv": ["id,at,code,hours,cost", *(f"{name},{text},W,0,1" for name, (text, _) in WRITTEN.items())],
        "jsonl": [
            f'{{"id": "{name}", "at": "{text}", "code": "W", "hours": 0, "cost": 1}}'
            for name, (text, _) in WRITTEN.items()
        ],
    }
    (folder / f"x.{kind}").write_text("\n".join(lines[kind]) + "\n", encoding="utf-8")
    assert published(desk, f"x.{kind}") == EXPECTED


@pytest.mark.usefixtures("machine")
def test_a_column_with_a_time_zone_is_converted_to_utc(desk: Desk) -> None:
    folder = desk.root / "domains/shipping"
    folder.mkdir(parents=True)
    rows = [a_row(0) | {"id": name} for name in EXPECTED]
    table = pa.Table.from_pylist(rows).drop_columns("at")
    moments = [utc.replace(tzinfo=ZoneInfo("UTC")).astimezone(BERLIN) for utc in EXPECTED.values()]
    pq.write_table(
        table.append_column("at", pa.array(moments, pa.timestamp("us", "Europe/Berlin"))), folder / "x.parquet"
    )
    assert published(desk, "x.parquet") == EXPECTED
