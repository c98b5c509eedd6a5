"""The texts alone by DataChain and Jinja2: `PEER_PYTHON -m benchmarks.stories.by_datachain INPUTS OUT`.

DataChain is no dependency of storymesh: it comes from an environment of its own. A row of the cases is one pickled
value, so that the very rows go to the same Jinja2.
"""

import json
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.stories.inputs import CONFIGS, TEXTS, Stages
from benchmarks.stories.words import Teller

BATCH = 2_000


def rows_of(files: list[str]) -> Iterator[bytes]:
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(BATCH):
            yield from map(pickle.dumps, batch.to_pylist())


class Telling:
    """One pickled row in, one pickled record out. Loads its templates once a process."""

    def __init__(self, config: str, given: dict[str, Any]) -> None:
        self.config, self.given = config, given
        self._teller: Teller | None = None

    def __call__(self, row: bytes) -> bytes:
        self._teller = self._teller or Teller(Path(self.given["templates"]), self.given["labels"])
        case = pickle.loads(row)
        record = self._teller.record(case, self.config)
        named = record and {name: record[name] for name in TEXTS[self.config]}
        return pickle.dumps(named and {"id": f"{self.config}/{case['case_id']}", **named})


def main(inputs: Path, out: Path) -> None:
    given = json.loads(inputs.read_text(encoding="utf-8"))
    os.environ |= {"DATACHAIN_ROOT_DIR": str(out / "datachain"), "DATACHAIN_NO_ANALYTICS": "1"}
    import datachain as dc

    stages = Stages(out)
    with stages.measured("read"):
        rows = dc.read_values(row=list(rows_of(given["rows"]))).save("rows")
    for config in CONFIGS:
        with stages.measured(config):
            telling = Telling(config, given)
            # Of a function that it has seen it takes what that gave before: each config has a column of its own.
            mapped = {f"{config}_record": telling}
            told = rows.settings(parallel=given["threads"]).map(**mapped, params=["row"], output=bytes)
            records = map(pickle.loads, told.to_values(f"{config}_record"))
            table = pa.Table.from_pylist([record for record in records if record is not None])
            pq.write_table(table, out / f"{config}.parquet", compression="zstd")
    stages.write()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
