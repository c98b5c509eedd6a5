"""pandas, Jinja2 and Arrow, as a careful script has it: `python -m benchmarks.stories.by_pandas INPUTS OUT`.

The joins and the precedents are those of `benchmarks.cases`, without a loop over rows. The texts come from Jinja2, one
case after the other, in as many processes as the other programs have threads.
"""

import json
import multiprocessing
import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.cases import dataframe
from benchmarks.stories.inputs import CONFIGS, ROW_GROUP, Stages
from benchmarks.stories.words import Teller

STRING, MOMENT, COUNT, HOURS = pa.string(), pa.timestamp("us"), pa.int64(), pa.decimal128(8, 2)
SCORE = pa.decimal128(38, 2)


def _fields(**types: pa.DataType) -> pa.StructType:
    return pa.struct(list(types.items()))


_NUMBERS = {"mean_score": pa.float64(), "rate": pa.float64(), "tried": COUNT, "worked": COUNT}
_DELAY = {
    "cause": STRING,
    "delay_code": STRING,
    "detected_at": MOMENT,
    "expected_delay_hours": HOURS,
    "waterway": STRING,
}
_EVENT = {"kind": STRING, "severity": STRING, "started_at": MOMENT, "title": STRING}
_SHIPMENT = dict.fromkeys(("cargo_type", "carrier", "destination", "origin", "vessel_name"), STRING)
_SHIPMENT |= {"container_count": COUNT}
_OPTION = _fields(action=STRING, **_NUMBERS, quoted=pa.list_(_fields(id=STRING, score=SCORE)))
_ASKED = {
    "delay": _fields(**_DELAY),
    "disruption": pa.list_(_fields(**_EVENT)),
    "place": _fields(name=STRING),
    "shipment": _fields(**_SHIPMENT),
}
_ADVISED = _fields(
    best=_fields(action=STRING, quoted=pa.list_(_fields(at=MOMENT, id=STRING, score=SCORE))),
    options=pa.list_(_fields(action=STRING, **_NUMBERS)),
    tried=COUNT,
    worst=_fields(action=STRING),
)
FACTS = {
    "report": _fields(
        delay=_fields(**_DELAY, arrived_at=MOMENT, final_delay_hours=HOURS, shipment_id=STRING),
        disruption=pa.list_(_fields(**_EVENT, citation_publisher=STRING, citation_title=STRING, ended_at=MOMENT)),
        outcome=_fields(action=STRING),
        place=_fields(country_name=STRING, name=STRING),
        recovered_hours=SCORE,
        resolution=pa.list_(_fields(action_code=STRING, cost_usd=pa.decimal128(12, 2), decided_at=MOMENT)),
        shipment=_fields(**_SHIPMENT, vessel_imo=STRING),
    ),
    "advice": _fields(case=_fields(at=MOMENT), outcome=_fields(action=STRING), precedents=_ADVISED, **_ASKED),
    "choice": _fields(**_ASKED, option=_fields(chosen=_OPTION, rejected=_OPTION)),
    "verdict": _fields(**_ASKED, option=_fields(own=_OPTION)),
}
WORDS = {
    "report": {"text": STRING},
    "advice": {"messages": pa.list_(_fields(role=STRING, content=STRING))},
    "choice": {"prompt": STRING, "chosen": STRING, "rejected": STRING},
    "verdict": {"prompt": STRING, "completion": STRING, "label": pa.bool_()},
}
SCHEMAS = {
    config: pa.schema(
        [
            *{"id": STRING, "case_id": STRING, "split": STRING, **WORDS[config], "at": MOMENT}.items(),
            ("facts", FACTS[config]),
            ("sources", pa.list_(_fields(product=STRING, version=STRING, key=STRING))),
        ]
    )
    for config in CONFIGS
}


def main(inputs: Path, out: Path) -> None:
    given = json.loads(inputs.read_text(encoding="utf-8"))
    os.environ |= {"STORYMESH_THREADS": str(given["threads"]), "STORYMESH_PSEUDONYM_KEY": "benchmark"}
    stages = Stages(out)
    with stages.measured("cases"):
        dataframe.cases(Path(given["folder"]), out)
    with stages.measured("precedents"):
        dataframe.precedents(out)
    with stages.measured("records"):
        rows = _joined(out)
        for config in CONFIGS:
            (out / config).mkdir()
        # Forked, so that the table is shared and not sent; each writes a file of its own, as datasets are kept.
        tell = partial(_write, given=given, out=out)
        with multiprocessing.get_context("fork").Pool(given["threads"], _take_over, (rows,)) as pool:
            pool.map(tell, range(0, rows.num_rows, ROW_GROUP), chunksize=1)
    stages.write()


def _joined(out: Path) -> pa.Table:
    """The cases that have a split, with it and with their precedents."""
    cases, splits = pq.read_table(out / "cases.parquet"), pq.read_table(out / "splits.parquet")
    found = pq.read_table(out / "precedents.parquet")
    ids = pd.Index(cases["case_id"].to_pandas())
    split = splits["split"].take(pa.array(pd.Index(splits["case_id"].to_pandas()).get_indexer(ids)))
    kept = pa.array(np.flatnonzero(split.is_valid().to_numpy()))
    place = pd.Index(found["case_id"].to_pandas()).get_indexer(ids[kept.to_numpy()])
    rows = cases.take(kept).append_column("split", split.take(kept))
    return rows.append_column("precedents", found["precedents"].take(pa.array(place)))


_rows: pa.Table


def _take_over(rows: pa.Table) -> None:
    global _rows
    _rows = rows


def _write(start: int, given: dict[str, object], out: Path) -> None:
    versions = {product: one["version"] for product, one in given["products"].items()}  # type: ignore[attr-defined]
    teller = Teller(Path(str(given["templates"])), given["labels"], versions)  # type: ignore[arg-type]
    records: dict[str, list[dict[str, object]]] = {config: [] for config in CONFIGS}
    for batch in _rows.slice(start, ROW_GROUP).to_batches(max_chunksize=2_000):
        for row in batch.to_pylist():
            shared = {name: row[name] for name in ("case_id", "split", "at")}
            for config in CONFIGS:
                record = teller.record(row, config)
                if record is not None:
                    records[config].append({"id": f"{config}/{row['case_id']}", **shared, **record})
    for config, told in records.items():
        table = pa.Table.from_pylist(told, SCHEMAS[config])
        pq.write_table(table, out / config / f"{start // ROW_GROUP:05}.parquet", compression="zstd")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
