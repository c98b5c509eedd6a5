"""Where the files of a release stand inside its folder, and their digests.

`datasets.load_dataset` reads the folder as it is: `data/<config>/<split>-<shard>-of-<shards>.parquet`.
"""

import hashlib
import re
from pathlib import Path

from storymesh.dataset.split import SPLITS

MANIFEST = "release.json"
CARD = "README.md"
CROISSANT = "croissant.json"
REPORT = "report.html"
DROPS_FOLDER = "drops"
ANSWERS_FOLDER = "answers"  # the answers of language models, one file for each rewritten config
DEFINITION_FOLDER = "definition"  # the definition that the release was made from
EVALUATION_HASHES = "evaluation.parquet"  # inside the definition
RELEASE_FOLDER = re.compile(r"(?P<narrative>\d+\.\d+\.\d+)-r(?P<number>[1-9]\d*)")


def record_files(folder: Path, config: str) -> dict[str, list[Path]]:
    """Return the data files of one config: split -> shards, in order. A split without records is absent."""
    files = {split: sorted((folder / "data" / config).glob(f"{split}-*.parquet")) for split in SPLITS}
    return {split: paths for split, paths in files.items() if paths}


def drops_file(folder: Path, config: str) -> Path:
    """Return the file that lists the dropped records of a config, or the dropped cases (`case`)."""
    return folder / DROPS_FOLDER / f"{config}.parquet"


def hash_files(folder: Path) -> dict[str, str]:
    """Return path -> SHA-256 of every file of a release except its manifest; hidden files are not part of it."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name != Path(MANIFEST) and not any(part.startswith(".") for part in name.parts):
            with path.open("rb") as file:
                digests[name.as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests
