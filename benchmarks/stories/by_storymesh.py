"""storymesh itself, as a run of its assets does it: `python -m benchmarks.stories.by_storymesh INPUTS OUT`."""

import json
import os
import shutil
import sys
from pathlib import Path

from benchmarks.stories.inputs import CONFIGS, Stages


def main(inputs: Path, out: Path) -> None:
    given = json.loads(inputs.read_text(encoding="utf-8"))
    os.environ["STORYMESH_THREADS"], os.environ["STORYMESH_MEMORY"] = str(given["threads"]), given["memory"]
    from benchmarks.reference import YARDSTICK, pinned, precedents_by_case

    from storymesh.dataset.stages import write_cases, write_precedents, write_records
    from storymesh.engine.open import open_engine

    stages = Stages(out)
    build = pinned(Path(given["folder"]), out / "store", YARDSTICK)
    shutil.rmtree(build.files.folder, ignore_errors=True)
    with stages.measured("cases"):
        write_cases(build)
    with stages.measured("precedents"):
        write_precedents(build)
    for config in CONFIGS:
        with stages.measured(config):
            write_records(build, config)
    stages.write()
    with open_engine() as engine:
        engine.write_parquet(precedents_by_case(build, engine), out / "precedents.parquet")
    written = {config: build.files.records(config) for config in CONFIGS}
    written |= {"cases": build.files.cases, "splits": build.files.splits}
    for name, path in written.items():
        path.replace(out / f"{name}.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
