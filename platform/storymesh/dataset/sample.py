"""A build of fewer cases: the same narrative on some rows of its anchor, in a folder of its own."""

from dataclasses import replace
from pathlib import Path

from storymesh.dataset.build import Build
from storymesh.dataset.erasure_list import read_erasure_list, write_erasure_list
from storymesh.dataset.tables import published_rows


def sample_build(build: Build, cases: int | None, folder: Path) -> Build:
    """Return the build on about so many rows of its anchor (None: all), whose files and releases go to `folder`.

    Rows are drawn by a hash of their keys, so the same are drawn each time. The other roles keep all of theirs. It runs
    on the engine of this machine. No release is the same as one of the build, for its cases have other precedents.
    """
    from storymesh.engine import dialect

    if (erasures := read_erasure_list(build.store)) is not None:
        write_erasure_list(folder, erasures)
    anchor = build.typed.cast.anchor
    snapshot = build.snapshots[anchor.name]
    parts = max(round(snapshot.rows / cases), 1) if cases is not None else 1
    snapshots = dict(build.snapshots)
    if parts > 1:
        path = folder / "anchor.parquet"
        with build.open_engine() as engine:
            rows = published_rows(build, engine, anchor.name)
            key = dialect.concat_texts([rows[column].cast("string") for column in anchor.contract.key])
            drawn = engine.write_parquet(rows.filter(dialect.hash_bucket(key, parts) == 0), path)
        snapshots[anchor.name] = replace(snapshot, rows=drawn, files=(str(path),))
    return replace(
        build,
        snapshots=snapshots,
        store=folder,
        releases=folder / "releases",
        own_key=build.pseudonym_key,
        open_cluster=None,
    )
