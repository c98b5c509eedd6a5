"""Taking a release out of the mesh: as a folder of one's own, or as what `datasets` loads."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.engine.engine import OpenEngine
from storymesh.errors import StorymeshError, WrongUsage, suggest_name
from storymesh.lifecycle.verify import verify_release
from storymesh.release.catalog import Release
from storymesh.release.layout import MANIFEST
from storymesh.release.manifest import read_manifest

if TYPE_CHECKING:
    from typing import TypeAlias

    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

    LoadedDataset: TypeAlias = Dataset | DatasetDict | IterableDataset | IterableDatasetDict


def pull_release(release: Release, into: Path, open_engine: OpenEngine) -> bool:
    """Copy the release to the folder `into`, whole and verified, or not at all. False: it is there already.

    Raises WrongUsage when something else is there, StorymeshError when the copy is not what its manifest says.
    """
    into = into.resolve()
    if into.is_dir() and (into / MANIFEST).is_file() and read_manifest(into) == release.manifest:
        _refuse_broken(into, f"{into} holds this release, but not whole", "remove it and pull again", open_engine)
        return False
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        words = f"{into} is not empty" if into.is_dir() else f"{into} is a file"
        raise WrongUsage(f"{words}: a release wants a folder of its own", "name another folder")
    into.parent.mkdir(parents=True, exist_ok=True)
    staged = into.with_name(f".{into.name}.pulling-{os.getpid()}")
    try:
        shutil.copytree(release.path, staged, ignore=shutil.ignore_patterns(".*"))
        _refuse_broken(staged, f"{release.name} is not whole", "storymesh releases --verify", open_engine)
        staged.rename(into)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return True


def _refuse_broken(folder: Path, words: str, hint: str, open_engine: OpenEngine) -> None:
    if differences := verify_release(folder, open_engine).differences:
        more = f", and {len(differences) - 1} more" if len(differences) > 1 else ""
        raise StorymeshError(f"{words}: {differences[0]}{more}", hint)


def load_config(
    release: Release, config: str | None = None, split: str | None = None, *, streaming: bool = False, **options: Any
) -> "LoadedDataset":
    """Return what `datasets.load_dataset` gives for one config; the only config of a release needs no name.

    `options` go to `load_dataset` as they are. Raises WrongUsage in the words of the release.
    """
    filled = {name: [split for split, count in splits.items() if count] for name, splits in release.configs.items()}
    if config is None:
        if len(filled) != 1:
            raise WrongUsage(
                f"{release.name} has {len(filled)} configs", f"name one: config='{next(iter(filled), '')}'"
            )
        (config,) = filled
    if config not in filled:
        raise WrongUsage(f"{release.name} has no config '{config}'", suggest_name(config, filled))
    if not filled[config]:
        raise WrongUsage(f"'{config}' of {release.name} has no records", "release.json says why, under drops")
    # What `datasets` writes behind a split's name ("train[:10%]", "train+test") is its own.
    if split is not None and split.isidentifier() and split not in (*filled[config], "all"):
        empty = split in release.configs[config]
        words = f"'{config}' of {release.name} has {'no records in' if empty else 'no split'} '{split}'"
        raise WrongUsage(words, f"it has {', '.join(filled[config])}")
    from datasets import load_dataset

    loaded: LoadedDataset = load_dataset(
        str(release.path.resolve()), config, split=split, streaming=streaming, **options
    )
    return loaded
