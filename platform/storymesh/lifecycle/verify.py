"""Whether a release is what its lock says: everything that its files can say is computed again and compared.

It needs the folder alone, so that whoever was given a copy can verify it. What only the cases know (components, quoted
precedents, closings) is told again by `rebuild`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.dataset.split import SPLITS, single_component
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.errors import StorymeshError
from storymesh.release.definition_snapshot import read_kept
from storymesh.release.digests import Digests, digests_of
from storymesh.release.leakage import certify
from storymesh.release.manifest import (
    ANSWERED,
    CASE,
    LOCK,
    Release,
    drops_file,
    files_of,
    read_lock,
    read_release,
    record_files,
)

if TYPE_CHECKING:
    from storymesh.narrative.definition import Narrative

FROM_FILES = ("ids", "questions", "moments", "draws")  # of the certificate

_SAID = {
    "narrative": str,
    "version": str,
    "digest": str,
    "narrative_version": str,
    "fingerprint": str,
    "cast": dict,
    "configs": dict,
    "drops": dict,
    "digests": dict,
    "certificate": dict,
}
_SHARD = re.compile(r"(?P<split>[a-z]+)-(?P<index>\d{5})-of-(?P<of>\d{5})\.parquet")


@dataclass(frozen=True)
class Verified:
    """What was found of one release. `differences` say in words what is not as its lock says; none: it is whole."""

    release: Release
    records: int
    digest: str | None
    differences: tuple[str, ...]


def verify(folder: Path) -> Verified:
    """Recompute all that the release in `folder` promises. Raises StorymeshError when its lock cannot be read."""
    import duckdb

    release, lock = read_release(folder), read_lock(folder)
    wrong = [f"{LOCK} does not say its {name}" for name, kind in _SAID.items() if not isinstance(lock.get(name), kind)]
    if wrong:
        return Verified(release, 0, None, tuple(wrong))
    found = [*_unlike_lock(lock), *_unlike_files(folder, lock)]
    unreadable = list(_unreadable(folder))
    found += unreadable
    if unreadable:
        return Verified(release, 0, None, tuple(found))
    rows = _rows(folder, lock)
    narrative: Narrative | None = None
    digests: Digests | None = None
    try:
        narrative = read_kept(folder, lock).narrative
    except StorymeshError as error:
        found.append(error.message)
    with open_engine() as engine:
        try:
            found += _unlike_counts(engine, folder, lock, rows)
            if all(drops_file(folder, name).is_file() for name in (CASE, *lock["configs"])):
                digests = digests_of(folder, lock["configs"], engine)
                found += _unlike_digests(lock, digests)
            found += _unlike_certificate(engine, folder, lock, narrative)
        except (duckdb.Error, AttributeError) as error:  # a file with other columns than a release has
            found.append(f"its files cannot be read as records: {' '.join(str(error).split())[:160]}")
    records = sum(sum(splits.values()) for splits in rows.values())
    return Verified(release, records, digests.whole if digests else None, tuple(dict.fromkeys(found)))


def _unlike_lock(lock: Mapping[str, Any]) -> Iterator[str]:
    """Where the lock contradicts itself."""
    if not str(lock["version"]).startswith(f"{lock['narrative_version']}-r"):
        yield f"{LOCK}: the version {lock['version']} is not one of narrative version {lock['narrative_version']}"
    said = lock["digests"]
    configs = said.get("configs", {})
    if set(configs) != set(lock["configs"]) or set(lock["drops"]) != {CASE, *lock["configs"]}:
        yield f"{LOCK}: its digests, drops and configs do not name the same configs"
    elif Digests(configs, str(said.get("drops"))).whole != lock["digest"]:
        yield f"{LOCK}: the digest is not that of the digests below it"
    for name, count in lock["certificate"].items():
        if count:
            yield f"{LOCK}: its certificate says {count} {name}, which no release may have"
    told = {
        config: sum(splits.values()) + sum(lock["drops"].get(config, {}).values())
        for config, splits in lock["configs"].items()
    }
    if len(set(told.values())) > 1:
        each = ", ".join(f"{config} {count:,}" for config, count in told.items())
        yield f"{LOCK}: the configs tell or drop different numbers of cases: {each}"


def _unlike_files(folder: Path, lock: Mapping[str, Any]) -> Iterator[str]:
    """Files that are missing, more, or others than those that were written; shards that are not there."""
    found = files_of(folder)
    listed: Mapping[str, str] | None = lock.get("files")
    if listed is not None:
        for name in sorted(listed.keys() - found.keys()):
            if not name.startswith(f"{ANSWERED}/"):  # a push leaves those at home
                yield f"{name} is missing"
        for name in sorted(found.keys() - listed.keys()):
            yield f"{name} is no file of this release"
        for name in sorted(listed.keys() & found.keys()):
            if listed[name] != found[name]:
                yield f"{name} is not the file that was written: its SHA-256 is {found[name][:12]}…"
    else:  # cut before releases listed their files
        wanted = ["README.md", *(f"drops/{name}.parquet" for name in (CASE, *lock["configs"]))]
        yield from (f"{name} is missing" for name in wanted if name not in found)
        for name in found:
            parts = Path(name).parts
            if parts[0] == "data" and (
                len(parts) != 3 or parts[1] not in lock["configs"] or not _SHARD.match(parts[2])
            ):
                yield f"{name} is no file of this release"
    for config, splits in lock["configs"].items():
        for split, rows in splits.items():
            shards = [_SHARD.fullmatch(path.name) for path in record_files(folder, config).get(split, [])]
            there = [(int(one["index"]), int(one["of"])) for one in shards if one]
            if sorted(there) != [(index, len(there)) for index in range(len(there))] or bool(there) != bool(rows):
                shown = ", ".join(f"{index} of {of}" for index, of in sorted(there)) or "none"
                yield f"data/{config}: the shards of {split} are {shown}"


def _unreadable(folder: Path) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in sorted(folder.rglob("*.parquet")):
        try:
            pq.read_metadata(path)
        except (OSError, pa.ArrowException) as error:
            yield f"{path.relative_to(folder)} cannot be read: {' '.join(str(error).split())[:120]}"


def _rows(folder: Path, lock: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    import pyarrow.parquet as pq

    return {
        config: {
            split: sum(pq.read_metadata(path).num_rows for path in paths)
            for split, paths in record_files(folder, config).items()
        }
        for config in lock["configs"]
    }


def _unlike_counts(
    engine: Engine, folder: Path, lock: Mapping[str, Any], rows: Mapping[str, Mapping[str, int]]
) -> Iterator[str]:
    for config, said in lock["configs"].items():
        for split in SPLITS:
            if (met := rows[config].get(split, 0)) != (count := said.get(split, 0)):
                yield f"{config}/{split}: {met:,} records are there, {LOCK} says {count:,}"
        paths = [str(path) for paths in record_files(folder, config).values() for path in paths]
        if paths:
            records = engine.connection.con.read_parquet(paths)
            odd = f"count(*) - count(DISTINCT id), count_if(id IS DISTINCT FROM concat('{config}/', case_id))"
            twice, misnamed = records.aggregate(odd).fetchall()[0]
            if twice:
                yield f"{config}: {twice:,} records have the id of another"
            if misnamed:
                yield f"{config}: {misnamed:,} records have an id that is not {config}/<case id>"
    for name in (CASE, *lock["configs"]):
        path = drops_file(folder, name)
        if not path.is_file():
            continue
        dropped = engine.connection.con.read_parquet(str(path)).aggregate("reason, count(*)", "reason").fetchall()
        met_reasons, said_reasons = Counter(dict(dropped)), Counter(lock["drops"].get(name, {}))
        for reason in sorted(met_reasons.keys() | said_reasons.keys(), key=str):
            if met_reasons[reason] != said_reasons[reason]:
                words = f"{met_reasons[reason]:,} are there, {LOCK} says {said_reasons[reason]:,}"
                yield f"drops of {name}, '{reason}': {words}"


def _unlike_digests(lock: Mapping[str, Any], digests: Digests) -> Iterator[str]:
    said = lock["digests"]
    for config, digest in digests.configs.items():
        if said.get("configs", {}).get(config) != digest:
            yield f"{config}: the digest of its records is {digest[:12]}…, {LOCK} says another"
    if said.get("drops") != digests.drops:
        yield f"drops: their digest is {digests.drops[:12]}…, {LOCK} says another"
    if digests.whole != lock["digest"]:
        yield f"the digest of the whole is {digests.whole[:12]}…, {LOCK} says {lock['digest'][:12]}…"


def _unlike_certificate(
    engine: Engine, folder: Path, lock: Mapping[str, Any], narrative: "Narrative | None"
) -> Iterator[str]:
    """What of the certificate the records themselves show."""
    files = {config: record_files(folder, config) for config in lock["configs"]}
    paths = [str(path) for parts in files.values() for one in parts.values() for path in one]
    if narrative is None or not paths:
        return
    split = narrative.dataset.split
    cases = engine.connection.read_parquet(paths).select("case_id").distinct()
    certificate = certify(engine, files, split, cases.mutate(component=single_component(cases.case_id)), None)
    # What holds cases together is not in the files, so there the draw of a component cannot be made again.
    known = [name for name in FROM_FILES if name != "draws" or not (split and split.together)]
    for name in known:
        if certificate.get(name):
            yield f"the certificate, from the records: {certificate[name]} {name}, where none may be"
