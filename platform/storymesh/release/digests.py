"""The digest of a release, computed from its files: the same on any engine, folder and machine."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import ibis

from storymesh.engine.engine import Engine
from storymesh.release.layout import drops_file, record_files
from storymesh.release.manifest import CASE, ReleaseDigests


def compute_digests(
    engine: Engine, folder: Path, configs: Iterable[str], known: Mapping[str, str] | None = None
) -> ReleaseDigests:
    """Return the digests of the release in `folder`. A config without records has the digest of no bytes.

    `known` are those of configs that were digested while their files were written.
    """
    names = sorted(configs)
    records = dict(known or {})
    for config in (name for name in names if name not in records):
        splits = [
            engine.read_parquet(files).mutate(split=ibis.literal(split))
            for split, files in record_files(folder, config).items()
        ]
        records[config] = engine.content_digest(ibis.union(*splits)) if splits else hashlib.sha256().hexdigest()
    drops = [
        engine.read_parquet(drops_file(folder, name)).select("case_id", "reason", config=ibis.literal(name))
        for name in (CASE, *names)
    ]
    return ReleaseDigests(configs=records, drops=engine.content_digest(ibis.union(*drops)))
