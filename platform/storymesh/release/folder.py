"""Whether the folder of a release holds what its manifest lists: regular files of these sizes, and nothing else.

A release may come from strangers, so whatever reads its files asks here first. That costs a look at the folder; only
`lifecycle.verify` reads the files and compares their digests.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from storymesh.errors import StorymeshError
from storymesh.input_file import InputFileRefused, open_input
from storymesh.release.catalog import Release
from storymesh.release.layout import ANSWERS_FOLDER, CARD, MANIFEST, SIGNATURES, drops_file, list_entries
from storymesh.release.manifest import CASE, ReleaseManifest, printable_value
from storymesh.release.parquet_file import parquet_faults

SHARD = re.compile(r"(?P<split>[a-z]+)-(?P<index>[0-9]{5})-of-(?P<of>[0-9]{5})\.parquet")
_OWN = (MANIFEST, SIGNATURES)


def irregular_entries(entries: Mapping[str, os.stat_result]) -> Iterator[str]:
    """Yield the entries of a folder that are not regular files."""
    for name, status in entries.items():
        if stat.S_ISLNK(status.st_mode):
            hint = "copy the files themselves; `hf download` does with --local-dir"
            yield f"{printable_value(name)} is a link, and no link is followed: {hint}"
        elif not stat.S_ISREG(status.st_mode):
            yield f"{printable_value(name)} is no regular file"


def listing_differences(manifest: ReleaseManifest, entries: Mapping[str, os.stat_result]) -> Iterator[str]:
    """Yield files that are missing, added, or of another size than the manifest says."""
    there = {name: status.st_size for name, status in entries.items() if name not in _OWN}
    if manifest.files is None:
        yield from _unlisted_differences(manifest, there)
        return
    for name in sorted(manifest.files.keys() - there.keys()):
        if not name.startswith(f"{ANSWERS_FOLDER}/"):  # a push leaves those at home
            yield f"{name} is missing"
    for name in sorted(there.keys() - manifest.files.keys()):
        yield f"{printable_value(name)} is no file of this release"
    for name, size in (manifest.sizes or {}).items():
        if (found := there.get(name, size)) != size:
            yield f"{name} is not the file that was written: it has {found:,} bytes, {MANIFEST} says {size:,}"


def _unlisted_differences(manifest: ReleaseManifest, there: Mapping[str, int]) -> Iterator[str]:
    """Yield missing and added files of a release from before manifests listed their files."""
    expected = [CARD, *(drops_file(Path(), name).as_posix() for name in (CASE, *manifest.configs))]
    yield from (f"{name} is missing" for name in expected if name not in there)
    for name in there:
        parts = Path(name).parts
        if parts[0] == "data" and (len(parts) != 3 or parts[1] not in manifest.configs or not SHARD.match(parts[2])):
            yield f"{printable_value(name)} is no file of this release"


def unreadable_files(folder: Path, entries: Mapping[str, os.stat_result]) -> Iterator[str]:
    """Yield what is wrong with the Parquet files of a release, before any engine opens them."""
    for name in entries:
        if name.endswith(".parquet"):
            try:
                with open_input(folder / name, folder, links=False) as file:
                    yield from (f"{printable_value(name)} {fault}" for fault in parquet_faults(file))
            except InputFileRefused as refused:
                yield f"{printable_value(name)} {refused.reason}"


def sound_answers(release: Release) -> list[Path]:
    """Return the files with a release's answers of language models, but those that are not as its lock says."""
    prefix = f"{ANSWERS_FOLDER}/"
    entries = {name: status for name, status in list_entries(release.path).items() if name.startswith(prefix)}
    listed = {name: status for name, status in entries.items() if name in (release.manifest.files or entries)}
    return [
        release.path / name
        for name, status in listed.items()
        if name.endswith(".parquet")
        and stat.S_ISREG(status.st_mode)
        and (release.manifest.sizes or {}).get(name, status.st_size) == status.st_size
        and not list(unreadable_files(release.path, {name: status}))
    ]


def require_sound_files(*releases: Release) -> None:
    """Raise StorymeshError unless these folders hold what their manifests list, as files that can be read."""
    for release in releases:
        entries = list_entries(release.path)
        faults = list(irregular_entries(entries))
        faults = faults or [*listing_differences(release.manifest, entries), *unreadable_files(release.path, entries)]
        if faults:
            more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
            words = f"{release.name} is not as its lock says: {faults[0]}{more}"
            raise StorymeshError(words, f"storymesh releases {release.path} --verify says what is wrong")


def files_of(*releases: Release) -> list[Path]:
    """Return every Parquet file of these releases, which a confined engine may then open."""
    return [
        release.path / name for release in releases for name in list_entries(release.path) if name.endswith(".parquet")
    ]
