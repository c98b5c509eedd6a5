"""The texts alone by `datasets.map` and Jinja2, on cases as files: `python -m benchmarks.stories.by_map INPUTS OUT`."""

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

from benchmarks.stories.inputs import CONFIGS, TEXTS, Stages
from benchmarks.stories.words import Teller


class Telling:
    """Batch in, batch out: JSON-like columns of one config. Loads its templates once a process."""

    def __init__(self, config: str, given: dict[str, Any]) -> None:
        self.config, self.given = config, given
        self._teller: Teller | None = None

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        self._teller = self._teller or Teller(Path(self.given["templates"]), self.given["labels"])
        told: dict[str, list[Any]] = {name: [] for name in ("id", *TEXTS[self.config])}
        for values in zip(*batch.values(), strict=True):
            row = dict(zip(batch, values, strict=True))
            record = self._teller.record(row, self.config)
            if record is not None:
                told["id"].append(f"{self.config}/{row['case_id']}")
                for name in TEXTS[self.config]:
                    told[name].append(record[name])
        return told

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.config, "given": self.given, "_teller": None}


def main(inputs: Path, out: Path) -> None:
    given = json.loads(inputs.read_text(encoding="utf-8"))
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    stages = Stages(out)
    with stages.measured("read"):
        rows = Dataset.from_parquet(given["rows"], cache_dir=str(out / "cache"))
    for config in CONFIGS:
        with stages.measured(config):
            telling = Telling(config, given)
            told = rows.map(telling, batched=True, num_proc=given["threads"], remove_columns=rows.column_names)
            told.to_parquet(str(out / f"{config}.parquet"))
    stages.write()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
