"""What a release is: an immutable, numbered folder that `datasets.load_dataset` reads as it is, and its lock."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storymesh.dataset.split import SPLITS
from storymesh.errors import StorymeshError, WrongUsage, suggest_name

LOCK = "release.json"
CASE = "case"
ANSWERED = "answers"  # a folder of what models answered, a file for each retold config
FOLDER = re.compile(r"(?P<narrative>\d+\.\d+\.\d+)-r(?P<number>[1-9]\d*)")

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Release:
    """One release. `configs`: config -> split -> rows; `drops`: config, or `case`, -> reason -> count.

    `unchanged`: it stood there already when it was to be cut.
    """

    narrative: str
    version: str
    path: Path
    digest: str
    configs: Counts
    drops: Counts
    unchanged: bool = False


def list_releases(releases: Path, narrative: str | None = None) -> list[Release]:
    """Every release below the folder `releases`, by narrative, version and number."""
    folders = [
        folder
        for folder in releases.glob(f"{narrative or '*'}/*/")
        if FOLDER.fullmatch(folder.name) and (folder / LOCK).is_file()
    ]
    return [read_release(folder) for folder in sorted(folders, key=_order)]


def find_release(releases: Path, name: str) -> Release:
    """The release that people call `NARRATIVE` (its latest) or `NARRATIVE@X-rN` below the folder `releases`. Raises
    WrongUsage when there is none."""
    narrative, _, version = name.partition("@")
    every = list_releases(releases)
    found = {one.version: one for one in every if one.narrative == narrative.replace("_", "-")}
    if not found:
        known = dict.fromkeys(one.narrative for one in every)
        hint = suggest_name(narrative, known) if known else "storymesh run makes one"
        raise WrongUsage(f"'{narrative}' has no release below {releases}", hint)
    if version in ("", "latest"):
        return list(found.values())[-1]
    if version not in found:
        raise WrongUsage(f"'{narrative}' has no release {version}", suggest_name(version, found))
    return found[version]


def release_of(releases: Path, record_id: str, narrative: str | None = None, version: str = "latest") -> Release:
    """The release of this version, or the latest, of the narrative or else of the only one that has such a config.
    Raises WrongUsage."""
    config = record_id.partition("/")[0]
    if narrative is None:
        having = list(dict.fromkeys(one.narrative for one in list_releases(releases) if config in one.configs))
        if len(having) != 1:
            words = f"{len(having) or 'no'} narratives have released a config '{config}'"
            raise WrongUsage(words, f"say which: {', '.join(having)}" if having else "a record's id is <config>/<case>")
        narrative = having[0]
    return find_release(releases, f"{narrative}@{version}")


def read_release(folder: Path) -> Release:
    """The release in `folder`. Raises StorymeshError when its lock is missing or damaged."""
    lock = read_lock(folder)
    try:
        return Release(lock["narrative"], lock["version"], folder, lock["digest"], lock["configs"], lock["drops"])
    except KeyError as error:
        words = f"{folder / LOCK} does not say its {error}"
        raise StorymeshError(words, "cut the release again, or remove its folder") from None


def read_lock(folder: Path) -> dict[str, Any]:
    """What `release.json` of the release in `folder` says. Raises StorymeshError when it is missing or damaged."""
    try:
        lock: dict[str, Any] = json.loads((folder / LOCK).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        words = f"{folder / LOCK} cannot be read: {error}"
        raise StorymeshError(words, "cut the release again, or remove its folder") from None
    return lock


def read_record(release: Path, lock: Mapping[str, Any], record_id: str) -> dict[str, Any]:
    """One record of the release in the folder `release`, without `facts` and `sources`. Raises WrongUsage when there is
    none of this id, StorymeshError with the reason when its case was dropped."""
    import pyarrow.parquet as pq

    config, _, case_id = record_id.partition("/")
    if config not in lock["configs"] or not case_id:
        words = f"'{record_id}' names no record of {lock['narrative']} {lock['version']}: an id is <config>/<case id>"
        raise WrongUsage(words, suggest_name(config, lock["configs"]))
    some: list[str] = []
    for files in record_files(release, config).values():
        for file in files:
            columns = [name for name in pq.read_schema(file).names if name not in ("facts", "sources")]
            found = pq.read_table(file, columns=columns, filters=[("id", "=", record_id)]).to_pylist()
            if found:
                return dict(found[0])
            some += pq.ParquetFile(file).read_row_group(0, columns=["id"])["id"].to_pylist()[:1_000]
    for name in (config, "case"):
        filters = [("case_id", "=", case_id)]
        dropped = pq.read_table(drops_file(release, name), columns=["reason"], filters=filters).to_pylist()
        if dropped:
            words = f"{lock['narrative']} {lock['version']} has no record {record_id}: it was dropped"
            raise StorymeshError(f"{words}, {dropped[0]['reason']}", "see the drops of the release")
    raise WrongUsage(f"{lock['narrative']} {lock['version']} has no record {record_id}", suggest_name(record_id, some))


def files_of(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of every file of the release in `folder` but its lock; hidden ones are nobody's."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name != Path(LOCK) and not any(part.startswith(".") for part in name.parts):
            with path.open("rb") as file:
                found[name.as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def record_files(folder: Path, config: str) -> dict[str, list[Path]]:
    """The files of one config of a release: split -> shards, in order. A split without rows is not there."""
    files = {split: sorted((folder / "data" / config).glob(f"{split}-*.parquet")) for split in SPLITS}
    return {split: paths for split, paths in files.items() if paths}


def drops_file(folder: Path, config: str) -> Path:
    """Where a release keeps what dropped of a config, or of the cases (`case`); no config's data files reach there."""
    return folder / "drops" / f"{config}.parquet"


@contextmanager
def readable(*releases: Release) -> Iterator[None]:
    """Raises StorymeshError where files of these releases turn out to be damaged."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        said = " ".join(str(error).split())[:160]
        named = " or ".join(f"{release.narrative} {release.version}" for release in releases)
        raise StorymeshError(
            f"{named} cannot be read: {said}", "storymesh releases --verify says what is damaged"
        ) from None


def _order(folder: Path) -> tuple[str, tuple[int, ...], int]:
    match = FOLDER.fullmatch(folder.name)
    assert match is not None
    return folder.parent.name, tuple(map(int, match["narrative"].split("."))), int(match["number"])
