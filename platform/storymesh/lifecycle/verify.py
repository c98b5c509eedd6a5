"""Verification of a release: everything that follows from its files is recomputed and compared with its manifest.

It needs the folder alone, so that whoever was given a copy can verify it. What only the cases show (components, quoted
precedents, closings) is computed again by a rebuild.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import ibis

from storymesh.dataset.split import SPLITS, single_component
from storymesh.engine.engine import Engine, OpenEngine
from storymesh.errors import EngineFailed, StorymeshError
from storymesh.product.extracts import ExtractStore, extract_faults, key_faults
from storymesh.release.catalog import Release
from storymesh.release.definition_snapshot import read_definition_snapshot
from storymesh.release.digests import compute_digests
from storymesh.release.egress import egress_differences
from storymesh.release.folder import SHARD, files_of, irregular_entries, listing_differences, unreadable_files
from storymesh.release.layout import MANIFEST, all_record_files, drops_file, hash_files, list_entries, record_files
from storymesh.release.leakage import count_leaks
from storymesh.release.manifest import (
    CASE,
    ReleaseDigests,
    ReleaseManifest,
    parse_manifest,
    printable_value,
    read_manifest_bytes,
)
from storymesh.release.signature import NOTHING_EXPECTED, ReleaseExpectation, find_signers, unmet

if TYPE_CHECKING:
    from storymesh.contract.definition import Contract
    from storymesh.narrative.definition import Narrative

# What a query raises that finds other columns or values than records have.
_OTHER_COLUMNS = (EngineFailed, ibis.IbisError, AttributeError, TypeError, ValueError, LookupError, ArithmeticError)
PROMISES_OF_FILES = ("ids", "questions", "moments", "draws", "evaluation")  # of the certificate


@dataclass(frozen=True)
class Verification:
    """The verification of one release: its `differences` from the manifest, as sentences. Without any, it is intact.

    `lock` is the SHA-256 of its manifest, `signers` are the public keys that signed it.
    """

    release: Release
    records: int
    digest: str | None
    differences: tuple[str, ...]
    lock: str
    signers: tuple[str, ...] = ()

    def require_whole(self, words: str = "", hint: str = "storymesh releases --verify") -> None:
        """Raise StorymeshError where there are differences. `words` say what of the release is at fault."""
        if self.differences:
            more = f", and {len(self.differences) - 1} more" if len(self.differences) > 1 else ""
            raise StorymeshError(f"{words or f'{self.release.name} is not whole'}: {self.differences[0]}{more}", hint)


def verify_release(
    folder: Path,
    open_engine: OpenEngine,
    expected: ReleaseExpectation = NOTHING_EXPECTED,
    extracts: ExtractStore | None = None,
) -> Verification:
    """Recompute all that the release in `folder` promises, and compare it with what is expected of it. `extracts` are
    those of the mesh that it is verified in: what left premises for it is held against their receipts.

    Raises StorymeshError when its manifest cannot be read.

    Nothing is trusted: what is no regular file is not opened, and the engine opens the files of the release alone.
    """
    content = read_manifest_bytes(folder)
    release = Release(folder, parse_manifest(content, folder / MANIFEST))
    lock = hashlib.sha256(content).hexdigest()
    entries = list_entries(folder)
    if irregular := list(irregular_entries(entries)):
        return Verification(release, 0, None, tuple(irregular), lock)
    signers, differences = find_signers(folder, content)
    differences += unmet(expected, content, release.digest, signers)
    if expected != NOTHING_EXPECTED and release.manifest.files is None:
        differences.append(f"{MANIFEST} lists no files: no digest and no signature of it covers them")
    differences += [*_contradictions(release.manifest), *listing_differences(release.manifest, entries)]
    differences += [*_changed_files(release), *_shard_differences(release)]
    unreadable = list(unreadable_files(folder, entries))
    differences += unreadable
    if unreadable:
        return Verification(release, 0, None, tuple(dict.fromkeys(differences)), lock, tuple(signers))
    counts = _count_records(release)
    narrative: Narrative | None = None
    contracts: Mapping[str, Contract] | None = None
    digests: ReleaseDigests | None = None
    try:
        typed = read_definition_snapshot(release)
        narrative, contracts = typed.narrative, typed.contracts
    except StorymeshError as error:
        differences.append(error.message)
    differences += egress_differences(release.manifest, contracts)
    if extracts is not None:
        differences += extract_faults(extracts, release.manifest.egress)
        differences += key_faults(extracts, release.manifest.keys_sent)
    with open_engine(only=files_of(release)) as engine:
        try:
            differences += _count_differences(engine, release, counts)
            if all(drops_file(folder, name).is_file() for name in (CASE, *release.configs)):
                digests = compute_digests(engine, folder, release.configs)
                differences += _digest_differences(release.manifest, digests)
            differences += _leaks(engine, release, narrative)
        except _OTHER_COLUMNS as error:
            reason = printable_value(" ".join(str(error.__cause__ or error).split())[:160])
            differences.append(f"its files cannot be read as records: {reason}")
    records = sum(sum(splits.values()) for splits in counts.values())
    whole = digests.whole if digests else None
    return Verification(release, records, whole, tuple(dict.fromkeys(differences)), lock, tuple(signers))


def _contradictions(manifest: ReleaseManifest) -> Iterator[str]:
    """Yield the contradictions inside the manifest."""
    if not manifest.version.startswith(f"{manifest.narrative_version}-r"):
        yield (
            f"{MANIFEST}: the version {manifest.version} is not one of narrative version {manifest.narrative_version}"
        )
    configs = set(manifest.configs)
    if set(manifest.digests.configs) != configs or set(manifest.drops) != {CASE, *configs}:
        yield f"{MANIFEST}: its digests, drops and configs do not name the same configs"
    elif manifest.digests.whole != manifest.digest:
        yield f"{MANIFEST}: the digest is not that of the digests below it"
    for name, count in manifest.certificate.items():
        if count:
            yield f"{MANIFEST}: its certificate says {count} {name}, which no release may have"
    cases = {
        config: sum(splits.values()) + sum(manifest.drops.get(config, {}).values())
        for config, splits in manifest.configs.items()
    }
    if len(set(cases.values())) > 1:
        each = ", ".join(f"{config} {count:,}" for config, count in cases.items())
        yield f"{MANIFEST}: the configs tell or drop different numbers of cases: {each}"


def _changed_files(release: Release) -> Iterator[str]:
    """Yield files with another digest than the manifest says."""
    listed = release.manifest.files or {}
    for name, digest in hash_files(release.path).items():
        if listed.get(name, digest) != digest:
            yield f"{name} is not the file that was written: its SHA-256 is {digest[:12]}…"


def _shard_differences(release: Release) -> Iterator[str]:
    for config, splits in release.configs.items():
        for split, rows in splits.items():
            matches = [SHARD.fullmatch(path.name) for path in record_files(release.path, config).get(split, [])]
            shards = sorted((int(match["index"]), int(match["of"])) for match in matches if match)
            if shards != [(index, len(shards)) for index in range(len(shards))] or bool(shards) != bool(rows):
                shown = ", ".join(f"{index} of {of}" for index, of in shards[:20]) or "none"
                yield f"data/{config}: the shards of {split} are {shown}"


def _count_records(release: Release) -> dict[str, dict[str, int]]:
    """Return config -> split -> records, from the files."""
    import pyarrow.parquet as pq

    return {
        config: {
            split: sum(pq.read_metadata(path).num_rows for path in paths)
            for split, paths in record_files(release.path, config).items()
        }
        for config in release.configs
    }


def _count_differences(engine: Engine, release: Release, counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    for config, expected in release.configs.items():
        for split in SPLITS:
            if (rows := counts[config].get(split, 0)) != (written := expected.get(split, 0)):
                yield f"{config}/{split}: {rows:,} records are there, {MANIFEST} says {written:,}"
        paths = all_record_files(release.path, config)
        if paths:
            yield from _id_differences(engine, config, paths)
    for name in (CASE, *release.configs):
        path = drops_file(release.path, name)
        if not path.is_file():
            continue
        dropped = engine.read_parquet(path)
        reasons = engine.fetch_rows(dropped.group_by("reason").aggregate(count=dropped.count()))
        found = Counter({row["reason"]: row["count"] for row in reasons})
        listed = Counter(release.drops.get(name, {}))
        for reason in sorted(found.keys() | listed.keys(), key=str):
            if found[reason] != listed[reason]:
                words = f"{found[reason]:,} are there, {MANIFEST} says {listed[reason]:,}"
                yield f"drops of {name}, '{reason}': {words}"


def _id_differences(engine: Engine, config: str, paths: list[Path]) -> Iterator[str]:
    records = engine.read_parquet(paths)
    expected = ibis.literal(f"{config}/").concat(records["case_id"])
    (ids,) = engine.fetch_rows(
        records.aggregate(
            records=records.count(),
            different=records["id"].nunique(),
            misnamed=records.count(where=~records["id"].identical_to(expected)),
        )
    )
    if ids["records"] > ids["different"]:
        yield f"{config}: {ids['records'] - ids['different']:,} records have the id of another"
    if ids["misnamed"]:
        yield f"{config}: {ids['misnamed']:,} records have an id that is not {config}/<case id>"


def _digest_differences(manifest: ReleaseManifest, digests: ReleaseDigests) -> Iterator[str]:
    for config, digest in digests.configs.items():
        if manifest.digests.configs.get(config) != digest:
            yield f"{config}: the digest of its records is {digest[:12]}…, {MANIFEST} says another"
    if manifest.digests.drops != digests.drops:
        yield f"drops: their digest is {digests.drops[:12]}…, {MANIFEST} says another"
    if digests.whole != manifest.digest:
        yield f"the digest of the whole is {digests.whole[:12]}…, {MANIFEST} says {manifest.digest[:12]}…"


def _leaks(engine: Engine, release: Release, narrative: "Narrative | None") -> Iterator[str]:
    """Yield the promises of the certificate that the records themselves break."""
    files = {config: record_files(release.path, config) for config in release.configs}
    records = [engine.read_parquet(shards).select("case_id") for splits in files.values() for shards in splits.values()]
    if narrative is None or not records:
        return
    split = narrative.dataset.split
    cases = ibis.union(*records).distinct()
    certificate = count_leaks(engine, files, split, cases.mutate(component=single_component(cases.case_id)), None)
    # What holds cases together is not in the files, so there the draw of a component cannot be repeated.
    known = [name for name in PROMISES_OF_FILES if name != "draws" or not (split and split.together)]
    for name in known:
        if certificate.get(name):
            yield f"the certificate, from the records: {certificate[name]} {name}, where none may be"
