"""The texts alone by datatrove and Jinja2: `PEER_PYTHON -m benchmarks.stories.by_datatrove INPUTS OUT`.

datatrove is no dependency of storymesh: it comes from an environment of its own, with Jinja2 and PyArrow beside it.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.stories.inputs import CONFIGS, ROW_GROUP, TEXTS, Stages
from benchmarks.stories.words import Teller
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter


class Tell(PipelineStep):  # type: ignore[misc]
    name = "tell"
    type = "template"

    def __init__(self, config: str, given: dict[str, Any]) -> None:
        super().__init__()
        self.config, self.given = config, given

    def run(self, data: Iterator[Document], rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        teller = Teller(Path(self.given["templates"]), self.given["labels"])
        for document in data:
            record = teller.record(document.metadata["row"], self.config)
            if record is not None:
                yield Document(
                    text="",
                    id=f"{self.config}/{document.id}",
                    metadata={name: record[name] for name in TEXTS[self.config]},
                )


def as_document(_reader: ParquetReader, row: dict[str, Any], _path: str, _place: int | str) -> dict[str, Any]:
    return {"text": row["case_id"], "id": row["case_id"], "metadata": {"row": row}}


def as_row(_writer: ParquetWriter, document: Document) -> dict[str, Any]:
    return {"id": document.id, **document.metadata}


def main(inputs: Path, out: Path) -> None:
    given = json.loads(inputs.read_text(encoding="utf-8"))
    stages = Stages(out)
    folder = str(Path(given["rows"][0]).parent)
    for config in CONFIGS:
        pipeline = [
            ParquetReader(folder, glob_pattern="*.parquet", adapter=as_document, batch_size=2_000),
            Tell(config, given),
            ParquetWriter(str(out / config), adapter=as_row, compression="zstd", batch_size=ROW_GROUP),
        ]
        with stages.measured(config):
            workers = given["threads"]
            LocalPipelineExecutor(
                pipeline, tasks=workers, workers=workers, logging_dir=str(out / f"{config}.log"), start_method="fork"
            ).run()
    stages.write()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
