"""The texts alone by distilabel and Jinja2: `PEER_PYTHON -m benchmarks.stories.by_distilabel INPUTS OUT`.

distilabel is no dependency of storymesh: it comes from an environment of its own. A row of the cases is one pickled
text, so that the very rows go to the same Jinja2.
"""

import json
import pickle
import sys
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.stories.inputs import CONFIGS, TEXTS, Stages
from benchmarks.stories.words import Teller
from distilabel.pipeline import Pipeline
from distilabel.steps import GeneratorStep, GeneratorStepOutput, Step, StepInput, StepOutput, StepResources

BATCH = 2_000


class ReadRows(GeneratorStep):  # type: ignore[misc]
    given: str  # the file of what every program is given: a step's own settings may hold no lists

    @property
    def outputs(self) -> list[str]:
        return ["row"]

    def process(self, offset: int = 0) -> GeneratorStepOutput:
        batches = [rows for file in _read(self.given)["rows"] for rows in pq.ParquetFile(file).iter_batches(BATCH)]
        for place, batch in enumerate(batches):
            yield [{"row": _packed(row)} for row in batch.to_pylist()], place == len(batches) - 1


class Tell(Step):  # type: ignore[misc]
    config: str
    given: str

    @property
    def inputs(self) -> list[str]:
        return ["row"]

    @property
    def outputs(self) -> list[str]:
        return ["record"]

    def process(self, inputs: StepInput) -> StepOutput:
        given = _read(self.given)
        teller = Teller(Path(given["templates"]), given["labels"])
        yield [{"record": _packed(self._tell(teller, _unpacked(item["row"])))} for item in inputs]

    def _tell(self, teller: Teller, row: dict[str, Any]) -> dict[str, Any] | None:
        record = teller.record(row, self.config)
        return record and {
            "id": f"{self.config}/{row['case_id']}",
            **{name: record[name] for name in TEXTS[self.config]},
        }


def _packed(value: object) -> str:
    return b64encode(pickle.dumps(value)).decode("ascii")


def _unpacked(text: str) -> Any:
    return pickle.loads(b64decode(text))


def _read(inputs: str) -> dict[str, Any]:
    given: dict[str, Any] = json.loads(Path(inputs).read_text(encoding="utf-8"))
    return given


def main(inputs: Path, out: Path) -> None:
    given = _read(str(inputs))
    stages = Stages(out)
    for config in CONFIGS:
        with stages.measured(config), Pipeline(name=config, cache_dir=str(out / "cache")) as pipeline:
            read = ReadRows(name="read", given=str(inputs), batch_size=BATCH)
            tell = Tell(
                name="tell",
                config=config,
                given=str(inputs),
                input_batch_size=BATCH,
                resources=StepResources(replicas=given["threads"]),
            )
            read >> tell
            told = pipeline.run(use_cache=False)
            records = (_unpacked(record) for record in told["default"]["train"]["record"])
            table = pa.Table.from_pylist([record for record in records if record is not None])
            pq.write_table(table, out / f"{config}.parquet", compression="zstd")
    stages.write()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
