"""Where the files of a release stand inside its folder, and their digests.

`datasets.load_dataset` reads the folder as it is: `data/<config>/<split>-<shard>-of-<shards>.parquet`.
"""

import hashlib
import os
import re
from pathlib import Path

from storymesh.dataset.split import SPLITS
from storymesh.errors import TooLarge
from storymesh.input_file import open_input

MANIFEST = "release.json"
SIGNATURES = "release.json.sig"  # of the manifest, beside it
PUBLIC_KEY = re.compile(r"ed25519:[A-Za-z0-9+/]{43}=")  # of a signer
CARD = "README.md"
CROISSANT = "croissant.json"
REPORT = "report.html"
DROPS_FOLDER = "drops"
ANSWERS_FOLDER = "answers"  # the answers of language models, one file for each rewritten config
DEFINITION_FOLDER = "definition"  # the definition that the release was made from
EVALUATION_HASHES = "evaluation.parquet"  # inside the definition
RELEASE_FOLDER = re.compile(r"(?P<narrative>[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9})-r(?P<number>[1-9][0-9]{0,8})")
MAX_ENTRIES = 100_000
MAX_FOLDER_DEPTH = 16


def record_files(folder: Path, config: str) -> dict[str, list[Path]]:
    """Return the data files of one config: split -> shards, in order. A split without records is absent."""
    shards = {split: (folder / "data" / config).glob(f"{split}-*.parquet") for split in SPLITS}
    files = {split: sorted(path for path in paths if path.is_file()) for split, paths in shards.items()}
    return {split: paths for split, paths in files.items() if paths}


def all_record_files(folder: Path, config: str) -> list[Path]:
    """Return the data files of one config, of every split."""
    return [path for paths in record_files(folder, config).values() for path in paths]


def drops_file(folder: Path, config: str) -> Path:
    """Return the file that lists the dropped records of a config, or the dropped cases (`case`)."""
    return folder / DROPS_FOLDER / f"{config}.parquet"


def list_entries(folder: Path) -> dict[str, os.stat_result]:
    """Return path -> status of everything in a release but its folders: files, and what should be none.

    No link is followed. Hidden entries are not part of a release (a repository adds some), save in its definition,
    whose readers would find them. Raises TooLarge for a folder that no release is.
    """
    entries: dict[str, os.stat_result] = {}
    pending = [("", folder)]
    while pending:
        prefix, parent = pending.pop()
        with os.scandir(parent) as found:
            for entry in found:
                name = f"{prefix}{entry.name}"
                if entry.name.startswith(".") and not prefix.startswith(f"{DEFINITION_FOLDER}/"):
                    continue
                if len(entries) + len(pending) > MAX_ENTRIES or name.count("/") > MAX_FOLDER_DEPTH:
                    words = f"{folder} is no release: it has more than {MAX_ENTRIES:,} files, or folders too deep"
                    raise TooLarge(words, "name the folder of one release")
                if entry.is_dir(follow_symlinks=False):
                    pending.append((f"{name}/", Path(entry.path)))
                else:
                    entries[name] = entry.stat(follow_symlinks=False)
    return dict(sorted(entries.items()))


def hash_files(folder: Path) -> dict[str, str]:
    """Return path -> SHA-256 of every file of a release but its manifest and its signatures.

    Raises InputFileRefused for what is no regular file.
    """
    digests = {}
    for name in list_entries(folder):
        if name not in (MANIFEST, SIGNATURES):
            with open_input(folder / name, folder, links=False) as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests
