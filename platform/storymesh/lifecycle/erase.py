"""A row that somebody has a right to have forgotten, followed through every release: the records that used it, and
releases without them.

First it is shown what would happen (`find`), then it is done (`forget`): the mesh keeps a digest of the key, so that
later cuts leave out the cases of the row for as long as it is there, and the last release of each version that told
them gets a successor from the same snapshots and definition. The row itself goes where it came from: its domain
removes it.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.case.link import key_text
from storymesh.contract.types import arrow_schema
from storymesh.dataset.cases import erased_case_keys, has_any_row
from storymesh.dataset.erasure_list import ErasureList, new_erasure_list, read_erasure_list, write_erasure_list
from storymesh.dataset.stages import write_cases
from storymesh.dataset.tables import product_rows
from storymesh.engine.engine import Engine
from storymesh.engine.open import open_engine
from storymesh.errors import StorymeshError, WrongUsage, suggest_name
from storymesh.lifecycle.rebuild import pinned
from storymesh.product.store import ProductStore, Snapshot
from storymesh.product.warehouse import Warehouse
from storymesh.provenance.trace import Tracer
from storymesh.release.manifest import Release, list_releases, read_lock, readable, record_files
from storymesh.release.rewritten_records import prune_answers, write_all
from storymesh.release.write import STAGED, cut

if TYPE_CHECKING:
    from storymesh.contract.definition import Contract
    from storymesh.dataset.build import Build

_AFFECTED = "affected"


@dataclass(frozen=True)
class Used:
    """One release that was told from the row. `records`: config -> how many of its records have the row among their
    sources; `quotes`: config -> how many others quote a case of the row; `some`: a few ids, of either; `cases`: how
    many cases the row belongs to, also such as it is not printed in. `succeeded`: it is the last of its version, so
    that it is the one that gets a successor."""

    release: Release
    records: dict[str, int]
    quotes: dict[str, int]
    some: tuple[str, ...]
    cases: int
    succeeded: bool


@dataclass(frozen=True)
class Found:
    """What forgetting one row means. `versions`: versions of the product that hold it; `current`: the one that readers
    see now is among them. `unknown`: releases that cannot be told again, with the reason."""

    product: str
    key: str
    versions: tuple[str, ...]
    current: bool
    used: tuple[Used, ...]
    unknown: tuple[tuple[Release, str], ...]


@dataclass(frozen=True)
class Succeeded:
    """`new` stands for `old` from now on."""

    old: Release
    new: Release


def find(product: str, key: str, contract: "Contract", warehouse: Warehouse, releases: Path, most: int = 10) -> Found:
    """Every record of every release that used the row of `product` with this key, as `sources` write it. Nothing is
    changed. Raises WrongUsage when no version of the product has such a row."""
    versions = ProductStore(warehouse, product.partition(".")[0]).list_snapshots(product)
    with open_engine() as engine:
        having = [one for one in versions if _holds(engine, one, contract, key)]
        if not having:
            words = f"no version of '{product}' in {warehouse.folder} has a row with the key {key}"
            raise WrongUsage(words, _some_keys(engine, versions, contract, key))
        alone = new_erasure_list().with_key(product, key)
        used: list[Used] = []
        unknown: list[tuple[Release, str]] = []
        every = [
            one
            for one in list_releases(releases)
            if any(member["product"] == product for member in read_lock(one.path)["cast"].values())
        ]
        for release in every:
            try:
                build = pinned(release, warehouse)
            except StorymeshError as error:
                unknown.append((release, error.message))
                keys, cases = [key], 0
                engine.connection.raw_sql(f"CREATE OR REPLACE TEMP TABLE {_AFFECTED} (case_id VARCHAR)")
            else:
                keys, cases = _affected(engine, build, alone)
            with readable(release):
                printed, quotes, some = _printed(engine, release, product, keys, most) if keys else ({}, {}, ())
            if printed or cases:
                later = [other.version for other in every if _same_version(other, release)]
                used.append(Used(release, printed, quotes, some, cases, release.version == later[-1]))
    latest = versions[-1].version if versions else None
    told = tuple(one.version for one in having)
    return Found(product, key, told, latest in told, tuple(used), tuple(unknown))


def forget(found: Found, warehouse: Warehouse) -> Iterator[Succeeded]:
    """Remember to leave the row out, then cut the successors, one after the other.

    Raises StorymeshError when a release that used the row cannot be made again, before anything is changed.
    """
    lost = {release.path: words for release, words in found.unknown}
    last = [used.release for used in found.used if used.succeeded]
    for old in last:
        if old.path in lost:
            words = f"{lost[old.path]}; so it gets no successor, and nothing was changed"
            raise StorymeshError(words, "bring the snapshot back, or remove the release's folder and forget again")
    listed = (read_erasure_list(warehouse.folder) or new_erasure_list()).with_key(found.product, found.key)
    write_erasure_list(warehouse.folder, listed)
    for old in last:
        build = pinned(old, warehouse)
        # What was forgotten before stays so, also where the release is older than that.
        build = replace(build, erased=listed.of_products({one.product for one in build.snapshots.values()}))
        write_all(build)
        yield Succeeded(old, cut(build, tracer=partial(Tracer, build)))


def remove(found: Found, store: Path, releases: Path) -> list[Release]:
    """Remove every release that used the row, and what narrators answered for them alone; to be called when their
    successors stand."""
    for used in found.used:
        folder = used.release.path
        # It vanishes at once; what a killed removal leaves is swept by the next cut.
        hidden = folder.with_name(f"{STAGED}removed-{folder.name}")
        folder.rename(hidden)
        shutil.rmtree(hidden)
    prune_answers(store, releases, {found.product})
    return [used.release for used in found.used]


def _same_version(one: Release, other: Release) -> bool:
    return (one.narrative, one.version.rpartition("-r")[0]) == (other.narrative, other.version.rpartition("-r")[0])


def _holds(engine: Engine, snapshot: Snapshot, contract: "Contract", key: str) -> bool:
    table = engine.read_parquet(snapshot.files, arrow_schema(contract))
    there = table.filter(key_text([table[column] for column in contract.key]) == key)
    return bool(there.count().to_pyarrow().as_py())


def _some_keys(engine: Engine, versions: Sequence[Snapshot], contract: "Contract", key: str) -> str:
    if not versions:
        return "nothing is published: storymesh run"
    if any(contract.properties[column].classification == "restricted" for column in contract.key):
        return "write it as the product has it"
    table = engine.read_parquet(versions[-1].files, arrow_schema(contract))
    some = table.select(key=key_text([table[column] for column in contract.key])).limit(2_000)
    return suggest_name(key, engine.fetch_table(some)["key"].to_pylist())


def _affected(engine: Engine, build: "Build", known: ErasureList) -> tuple[list[str], int]:
    """The keys of the known row as the cases of a release have it, and how many cases it belongs to: these are the
    table `affected` (case_id) of the engine from now on."""
    keys = erased_case_keys(build, engine, product_rows(build, engine, build.typed.cast.roles), known)
    if not keys:
        return [], 0
    write_cases(build)
    cases = engine.read_parquet(build.files.cases)
    affected = cases.filter(has_any_row(build, cases, keys)).select("case_id")
    engine.connection.raw_sql(f"CREATE OR REPLACE TEMP TABLE {_AFFECTED} AS {engine.compile_sql(affected)}")
    count = int(engine.connection.table(_AFFECTED).count().to_pyarrow().as_py())
    return sorted({key for some in keys.values() for key in some}), count


def _printed(
    engine: Engine, release: Release, product: str, keys: Sequence[str], most: int
) -> tuple[dict[str, int], dict[str, int], tuple[str, ...]]:
    """Config -> count of the records whose sources name one of the keys; the same of those that quote an affected case;
    and some ids."""
    anchor = next(iter(read_lock(release.path)["cast"].values()))["product"]
    connection = engine.connection.con
    printed: dict[str, int] = {}
    quotes: dict[str, int] = {}
    some: list[str] = []
    for config in release.configs:
        paths = [str(path) for paths in record_files(release.path, config).values() for path in paths]
        if not paths:
            continue
        given = {"paths": paths, "product": product, "keys": list(keys), "anchor": anchor}
        query = f"""
            SELECT DISTINCT ON (id) id, kind FROM (
                SELECT id, CASE WHEN source.product = $product AND list_contains($keys, source.key) THEN 0
                                WHEN source.product = $anchor AND case_id NOT IN (SELECT case_id FROM {_AFFECTED})
                                     AND source.key IN (SELECT case_id FROM {_AFFECTED}) THEN 1 END AS kind
                FROM (SELECT id, case_id, unnest(sources) AS source FROM read_parquet($paths)))
            WHERE kind IS NOT NULL ORDER BY id, kind"""
        found = dict(connection.execute(f"SELECT kind, count(*) FROM ({query}) GROUP BY kind", given).fetchall())
        printed |= {config: found[0]} if 0 in found else {}
        quotes |= {config: found[1]} if 1 in found else {}
        if found and len(some) < most:
            first = connection.execute(f"SELECT id FROM ({query}) ORDER BY kind, id LIMIT {most - len(some)}", given)
            some += [id_ for (id_,) in first.fetchall()]
    return printed, quotes, tuple(some)
