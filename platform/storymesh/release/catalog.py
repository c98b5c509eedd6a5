"""The releases below a folder: listed, found by the names that people give them, and read record by record."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storymesh.errors import EngineFailed, StorymeshError, WrongUsage, suggest_name
from storymesh.release.layout import MANIFEST, RELEASE_FOLDER, drops_file, record_files
from storymesh.release.manifest import CASE, Counts, ReleaseManifest, read_manifest


@dataclass(frozen=True)
class Release:
    """A release in its folder `path`. `unchanged`: an equal one existed already when it was to be written."""

    path: Path
    manifest: ReleaseManifest
    unchanged: bool = False

    @property
    def narrative(self) -> str:
        return self.manifest.narrative

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def configs(self) -> Counts:
        return self.manifest.configs

    @property
    def drops(self) -> Counts:
        return self.manifest.drops

    @property
    def name(self) -> str:
        """The release as messages name it."""
        return f"{self.narrative} {self.version}"


def read_release(folder: Path) -> Release:
    """Return the release in `folder`. Raises StorymeshError when its manifest is missing or damaged."""
    return Release(folder, read_manifest(folder))


def list_releases(releases: Path, narrative: str | None = None) -> list[Release]:
    """Return every release below the folder `releases`, ordered by narrative, version and number."""
    folders = [
        folder
        for folder in releases.glob(f"{narrative or '*'}/*/")
        if RELEASE_FOLDER.fullmatch(folder.name) and (folder / MANIFEST).is_file()
    ]
    return [read_release(folder) for folder in sorted(folders, key=_order)]


def find_release(releases: Path, name: str) -> Release:
    """Return the release called `NARRATIVE` (its latest) or `NARRATIVE@X-rN` below the folder `releases`.

    Raises WrongUsage when there is none.
    """
    narrative, _, version = name.partition("@")
    every = list_releases(releases)
    by_version = {release.version: release for release in every if release.narrative == narrative.replace("_", "-")}
    if not by_version:
        known = dict.fromkeys(release.narrative for release in every)
        hint = suggest_name(narrative, known) if known else "storymesh run makes one"
        raise WrongUsage(f"'{narrative}' has no release below {releases}", hint)
    if version in ("", "latest"):
        return list(by_version.values())[-1]
    if version not in by_version:
        raise WrongUsage(f"'{narrative}' has no release {version}", suggest_name(version, by_version))
    return by_version[version]


def find_release_of_record(
    releases: Path, record_id: str, narrative: str | None = None, version: str = "latest"
) -> Release:
    """Return the release of this version, of the given narrative or of the only one that has the record's config.

    Raises WrongUsage when there is none, or when several narratives have such a config.
    """
    config = record_id.partition("/")[0]
    if narrative is None:
        every = list_releases(releases)
        having = list(dict.fromkeys(release.narrative for release in every if config in release.configs))
        if not every:
            raise WrongUsage(f"there is no release below {releases}", "storymesh run makes one")
        if not having:
            known = sorted({name for release in every for name in release.configs})
            raise WrongUsage(f"no narratives have released a config '{config}'", suggest_name(config, known))
        if len(having) > 1:
            raise WrongUsage(
                f"{len(having)} narratives have released a config '{config}'", f"say which: {', '.join(having)}"
            )
        narrative = having[0]
    return find_release(releases, f"{narrative}@{version}")


def read_record(release: Release, record_id: str) -> dict[str, Any]:
    """Return one record of a release, without `facts` and `sources`.

    Raises WrongUsage when there is none with this id, StorymeshError with the reason when its case was dropped.
    """
    import pyarrow.parquet as pq

    config, _, case_id = record_id.partition("/")
    if config not in release.configs or not case_id:
        words = f"'{record_id}' names no record of {release.name}: an id is <config>/<case id>"
        raise WrongUsage(words, suggest_name(config, release.configs))
    known_ids: list[str] = []
    for files in record_files(release.path, config).values():
        for file in files:
            columns = [name for name in pq.read_schema(file).names if name not in ("facts", "sources")]
            rows = pq.read_table(file, columns=columns, filters=[("id", "=", record_id)]).to_pylist()
            if rows:
                return dict(rows[0])
            known_ids += pq.ParquetFile(file).read_row_group(0, columns=["id"])["id"].to_pylist()[:1_000]
    for name in (config, CASE):
        filters = [("case_id", "=", case_id)]
        dropped = pq.read_table(drops_file(release.path, name), columns=["reason"], filters=filters).to_pylist()
        if dropped:
            words = f"{release.name} has no record {record_id}: it was dropped"
            raise StorymeshError(f"{words}, {dropped[0]['reason']}", "see the drops of the release")
    raise WrongUsage(f"{release.name} has no record {record_id}", suggest_name(record_id, known_ids))


@contextmanager
def report_damage(*releases: Release) -> Iterator[None]:
    """Raise StorymeshError where files of these releases are damaged or have other columns than records have."""
    import ibis

    try:
        yield
    except (EngineFailed, ibis.IbisError) as error:
        names = " or ".join(release.name for release in releases)
        words = f"{names} cannot be read: {' '.join(str(error.__cause__ or error).split())[:160]}"
        raise StorymeshError(words, "storymesh releases --verify says what is damaged") from None


def _order(folder: Path) -> tuple[str, tuple[int, ...], int]:
    match = RELEASE_FOLDER.fullmatch(folder.name)
    assert match is not None
    return folder.parent.name, tuple(map(int, match["narrative"].split("."))), int(match["number"])
