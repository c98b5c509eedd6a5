"""The texts alone by Data Designer and Jinja2: `PEER_PYTHON -m benchmarks.stories.by_data_designer INPUTS OUT`.

Data Designer is no dependency of storymesh: it comes from an environment of its own. A row of the cases is one pickled
text of its seed dataset, so that the very rows go to the same Jinja2. No model is asked.
"""

import json
import os
import pickle
import sys
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.stories.inputs import CONFIGS, TEXTS, Stages
from benchmarks.stories.words import Teller

BATCH = 2_000


def main(inputs: Path, out: Path) -> None:
    given = json.loads(inputs.read_text(encoding="utf-8"))
    os.environ |= {"NEMO_TELEMETRY_ENABLED": "false", "DATA_DESIGNER_HOME": str(out / "home")}
    stages = Stages(out)
    with stages.measured("read"):
        seed, count = out / "seed.parquet", 0
        batches = (batch for file in given["rows"] for batch in pq.ParquetFile(file).iter_batches(BATCH))
        with pq.ParquetWriter(seed, pa.schema([("row", pa.string())])) as writer:
            for batch in batches:
                rows = [b64encode(pickle.dumps(row)).decode("ascii") for row in batch.to_pylist()]
                writer.write_table(pa.table({"row": rows}))
                count += len(rows)
    for config in CONFIGS:
        with stages.measured(config):
            records = _tell(config, given, seed, count, out)
            table = pa.Table.from_pylist([record for record in records if record is not None])
            pq.write_table(table, out / f"{config}.parquet", compression="zstd")
    stages.write()


def _tell(config: str, given: dict[str, Any], seed: Path, count: int, out: Path) -> list[dict[str, Any] | None]:
    import data_designer.config as dd
    import pandas as pd
    from data_designer.interface import DataDesigner

    teller = Teller(Path(given["templates"]), given["labels"])

    def told(text: str) -> str:
        row = pickle.loads(b64decode(text))
        record = teller.record(row, config)
        named = record and {name: record[name] for name in TEXTS[config]}
        return b64encode(pickle.dumps(named and {"id": f"{config}/{row['case_id']}", **named})).decode("ascii")

    @dd.custom_column_generator(required_columns=["row"])
    def tell(df: pd.DataFrame) -> pd.DataFrame:  # the name is asked for
        return df.assign(record=df["row"].map(told))

    builder = dd.DataDesignerConfigBuilder(model_configs=[])
    builder.with_seed_dataset(dd.LocalFileSeedSource(path=str(seed)))
    builder.add_column(dd.CustomColumnConfig(name="record", generator_function=tell, generation_strategy="full_column"))
    designer = DataDesigner(artifact_path=out / "artifacts")
    made = designer.create(builder, num_records=count, dataset_name=config).load_dataset()
    return [pickle.loads(b64decode(record)) for record in made["record"]]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
