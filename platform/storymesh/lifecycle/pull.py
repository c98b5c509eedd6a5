"""Copies of a release outside the mesh: as a folder, or as loaded by `datasets`."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.atomic_write import sync_folder, sync_tree
from storymesh.engine.engine import OpenEngine
from storymesh.errors import StorymeshError, WrongUsage, suggest_name
from storymesh.input_file import open_input
from storymesh.lifecycle.verify import verify_release
from storymesh.release.catalog import Release
from storymesh.release.folder import irregular_entries, listing_differences, require_sound_files
from storymesh.release.layout import MANIFEST, all_record_files, drops_file, list_entries, record_files
from storymesh.release.manifest import read_manifest
from storymesh.release.signature import NOTHING_EXPECTED, ReleaseExpectation
from storymesh.temporary_folder import temporary_folder

_PART = 1 << 20
OF_DROPS = ("reason", "same_as", "split")  # columns that drops have beside those of records

if TYPE_CHECKING:
    from typing import TypeAlias

    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

    LoadedDataset: TypeAlias = Dataset | DatasetDict | IterableDataset | IterableDatasetDict


def pull_release(
    release: Release, into: Path, open_engine: OpenEngine, expected: ReleaseExpectation = NOTHING_EXPECTED
) -> bool:
    """Copy the release to the folder `into`, whole and verified, or not at all. False: it is there already.

    Exactly the files that its manifest lists are copied, as regular files. Raises WrongUsage when something else is
    there, StorymeshError when the copy is not what its manifest says or what is expected.
    """
    into = into.resolve()
    if into.is_dir() and (into / MANIFEST).is_file() and read_manifest(into) == release.manifest:
        words = f"{into} holds this release, but not whole"
        verify_release(into, open_engine, expected).require_whole(words, "remove it and pull again")
        return False
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        words = f"{into} is not empty" if into.is_dir() else f"{into} is a file"
        raise WrongUsage(f"{words}: a release wants a folder of its own", "name another folder")
    into.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder("pull", into.parent) as folder:
        staged = folder / into.name
        staged.mkdir()
        _copy_files(release, staged)
        verify_release(staged, open_engine, expected).require_whole()
        sync_tree(staged)
        staged.rename(into)
        sync_folder(into.parent)
    return True


def _copy_files(release: Release, into: Path) -> None:
    """Copy the listed files, no further than the size that the manifest says or that they have now.

    What is missing is left out, and found when the copy is verified.
    """
    entries = list_entries(release.path)
    if faults := [*irregular_entries(entries), *listing_differences(release.manifest, entries)]:
        raise StorymeshError(f"{release.name} is not whole: {faults[0]}", "storymesh releases --verify")
    free = shutil.disk_usage(into).free
    if (total := sum(status.st_size for status in entries.values())) > free:
        words = f"{release.name} has {total:,} bytes, and {into.parent} room for {free:,}"
        raise StorymeshError(words, "name a folder on another disk")
    for name, status in entries.items():
        copy = into / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with open_input(release.path / name, release.path, links=False) as source, copy.open("xb") as target:
            left = status.st_size
            while left and (part := source.read(min(left, _PART))):
                target.write(part)
                left -= len(part)


def load_config(
    release: Release, config: str | None, split: str | None = None, *, streaming: bool = False, **options: Any
) -> "LoadedDataset":
    """Return what `datasets.load_dataset` gives for one config; the only config of a release needs no name.

    A config or a split in which no record is left is an empty dataset with the columns of its records, which
    `load_dataset` cannot make. `options` go to `load_dataset` as they are. Raises WrongUsage in the words of the
    release.
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
    splits = release.configs[config]
    # What `datasets` writes after a split's name ("train[:10%]", "train+test") is its own.
    if split is not None and split.isidentifier() and split not in (*filled[config], "all"):
        if split not in splits:
            words = f"'{config}' of {release.name} has no split '{split}'"
            raise WrongUsage(words, f"it has {', '.join(splits)}")
        require_sound_files(release)
        return _empty_dataset(release, config, streaming=streaming)
    require_sound_files(release)
    if not filled[config]:
        from datasets import DatasetDict, IterableDatasetDict

        empty = {name: _empty_dataset(release, config, streaming=streaming) for name in splits}
        if split is not None:
            return empty.popitem()[1]
        return (IterableDatasetDict if streaming else DatasetDict)(empty)
    from datasets import load_dataset

    # By the names of its files: the card of a stranger could name others, and addresses.
    files = record_files(release.path.resolve(), config)
    named = {name: [str(path) for path in files[name]] for name in filled[config]}
    loaded: LoadedDataset = load_dataset("parquet", data_files=named, split=split, streaming=streaming, **options)
    return loaded


def _empty_dataset(release: Release, config: str, *, streaming: bool) -> "Dataset | IterableDataset":
    """Return no records, with the columns that the config's records have: its drops are records too."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset, Features, IterableDataset

    shards = all_record_files(release.path, config)
    schema = pq.read_schema(shards[0] if shards else drops_file(release.path, config)).remove_metadata()
    for name in () if shards else OF_DROPS:
        if name in schema.names:
            schema = schema.remove(schema.get_field_index(name))
    if not shards:  # the drops begin with the case and its reason
        first = [name for name in ("id", "case_id") if name in schema.names]
        names = [*first, *(name for name in schema.names if name not in first)]
        schema = pa.schema([schema.field(name) for name in names])
    empty = Dataset(schema.empty_table().cast(Features.from_arrow_schema(schema).arrow_schema))
    if streaming:  # a dataset of no rows has no shard that could be streamed
        return IterableDataset.from_generator(lambda: iter(()), features=empty.features)
    return empty
