"""Erasure of a row on request: the records of every release that used it, and successor releases without them.

First it is planned, then it is done: the mesh keeps a digest of the key, so that later releases leave out the cases of
the row for as long as it exists, and the last release of each version that used it gets a successor from the same
snapshots and definition. The row itself is removed where it came from, by its domain.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.case.link import key_text
from storymesh.contract.definition import Contract, restricted_properties
from storymesh.contract.types import arrow_schema
from storymesh.dataset.cases import erased_case_keys, has_any_row
from storymesh.dataset.erasure_list import ERASED, ErasureList, new_erasure_list, read_erasure_list, write_erasure_list
from storymesh.dataset.pseudonym_key import pseudonym_key
from storymesh.dataset.stages import write_cases
from storymesh.dataset.tables import product_rows
from storymesh.engine.engine import Engine, OpenEngine
from storymesh.errors import StorymeshError, WrongUsage, suggest_name
from storymesh.federation.keyed_hash import HASH_LENGTH, egress_key, hash_in_engine
from storymesh.lifecycle.rebuild import describe_rule_changes, reopen_build
from storymesh.product.extracts import hashed_keys, keys_as_left
from storymesh.product.store import ProductStore, Snapshot
from storymesh.product.warehouse import Warehouse
from storymesh.provenance.trace import Tracer
from storymesh.release.catalog import Release, list_releases, report_damage
from storymesh.release.folder import require_sound_files
from storymesh.release.layout import all_record_files
from storymesh.release.rewritten_records import prune_answers, write_all_records
from storymesh.release.write import STAGING_PREFIX, write_release

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.dataset.build import Build


@dataclass(frozen=True)
class AffectedRelease:
    """One release that used the row.

    `records`: config -> how many of its records have the row among their sources; `quotes`: config -> how many others
    quote a case of the row; `examples`: a few ids, of either; `cases`: how many cases the row belongs to, also where it
    is not printed. `last`: it is the last of its version, which gets a successor.
    """

    release: Release
    records: dict[str, int]
    quotes: dict[str, int]
    examples: tuple[str, ...]
    cases: int
    last: bool


@dataclass(frozen=True)
class ErasurePlan:
    """The effects of erasing one row.

    `versions`: versions of the product that hold it; `current`: the one that readers see now is among them.
    `irreproducible`: releases that cannot be made again, with the reason. `rule_changes`: releases whose successors
    differ from them by more than what is left out, with the rules that have changed since. `hashes` are what the key is
    called where it left its premise hashed.
    """

    product: str
    key: str
    versions: tuple[str, ...]
    current: bool
    affected: tuple[AffectedRelease, ...]
    irreproducible: tuple[tuple[Release, str], ...]
    rule_changes: tuple[tuple[Release, str], ...]
    hashes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Succession:
    """A release `old` and its successor `new`."""

    old: Release
    new: Release


@dataclass(frozen=True)
class Erasure:
    """The store and releases of a mesh from which rows are erased, with the contracts of its products by id."""

    warehouse: Warehouse
    releases: Path
    open_engine: OpenEngine
    contracts: Mapping[str, Contract]

    def plan(self, product: str, key: str, most: int = 10) -> ErasurePlan:
        """Find every record of every release that used the row of `product` with this key, as `sources` write it.

        Nothing is changed. Raises WrongUsage when no version of the product has such a row.
        """
        contract, folder = self.contracts[product], self.warehouse.folder
        if not contract.key:
            raise WrongUsage(f"the contract of '{product}' has no primary key, so none of its rows has a name")
        versions = ProductStore(self.warehouse, product.partition(".")[0]).list_snapshots(product)
        with self.open_engine(only=(folder, folder.resolve(), self.releases)) as engine:
            secret = egress_key(pseudonym_key(folder)) if hashed_keys(contract) else b""
            key = _key_at_home(engine, versions, contract, key, secret)
            holding = [snapshot.version for snapshot in versions if _has_key(engine, snapshot, contract, key)]
            if not holding:
                words = f"no version of '{product}' in {folder} has a row with the key {key}"
                raise WrongUsage(words, _suggest_key(engine, versions, contract, key))
            hashes = keys_as_left(contract, key, secret)
            erased = new_erasure_list().with_keys(product, (key, *hashes))
            affected: list[AffectedRelease] = []
            irreproducible: list[tuple[Release, str]] = []
            every = [release for release in list_releases(self.releases) if product in release.manifest.products]
            for release in every:
                try:
                    build = self._pinned_build(release)
                except StorymeshError as error:
                    irreproducible.append((release, error.message))
                    keys, cases = [key, *hashes], _no_cases(engine)
                else:
                    keys, cases = _cases_of_row(engine, build, erased)
                count = int(engine.fetch_value(cases.count()))
                require_sound_files(release)
                with report_damage(release):
                    usage = _record_usage(engine, release, product, keys, cases, most) if keys else ({}, {}, ())
                engine.drop(cases)
                records, quotes, examples = usage
                if records or count:
                    later = [other.version for other in every if _same_version(other, release)]
                    last = release.version == later[-1]
                    affected.append(AffectedRelease(release, records, quotes, examples, count, last))
        current = bool(versions) and versions[-1].version in holding
        replaced = [used.release for used in affected if used.last]
        changes = tuple((old, newer) for old in replaced if (newer := describe_rule_changes(old)) is not None)
        return ErasurePlan(
            product, key, tuple(holding), current, tuple(affected), tuple(irreproducible), changes, hashes
        )

    def erase(self, plans: Sequence[ErasurePlan]) -> Iterator[Succession]:
        """Put the rows on the erasure list, then write a successor without all of them of each release that used one.

        Raises StorymeshError when a release that used a row cannot be made again, before anything is changed.
        """
        reasons = {release.path: words for plan in plans for release, words in plan.irreproducible}
        last = {used.release.path: used.release for plan in plans for used in plan.affected if used.last}
        for path in last:
            if path in reasons:
                words = f"{reasons[path]}; so it gets no successor, and nothing was changed"
                raise StorymeshError(words, "bring the snapshot back, or remove the release's folder and forget again")
        folder = self.warehouse.folder
        listed = read_erasure_list(folder) or new_erasure_list()
        for plan in plans:
            listed = listed.with_keys(plan.product, (plan.key, *plan.hashes))
        write_erasure_list(folder, listed)
        for old in last.values():
            build = self._pinned_build(old)
            # What was erased before stays so, also where the release is older than that.
            products = {snapshot.product for snapshot in build.snapshots.values()}
            open_here = partial(self.open_engine, only=(folder, folder.resolve(), build.releases))
            build = replace(build, erased=listed.of_products(products), open_engine=open_here)
            write_all_records(build)
            tracer = partial(Tracer, build)
            yield Succession(old, write_release(build, open_tracer=tracer, succeeds=old.manifest.as_predecessor))

    def remove_old(self, plans: Sequence[ErasurePlan]) -> list[Release]:
        """Remove every release that used one of the rows, and the models' answers for them alone.

        To be called when their successors exist.
        """
        used_by = {used.release.path: used.release for plan in plans for used in plan.affected}
        for path in used_by:
            # It vanishes at once; what a killed process leaves is removed by the next release.
            hidden = path.with_name(f"{STAGING_PREFIX}removed-{path.name}")
            path.rename(hidden)
            shutil.rmtree(hidden)
        prune_answers(self.warehouse.folder, self.releases, {plan.product for plan in plans})
        return list(used_by.values())

    def _pinned_build(self, release: Release) -> "Build":
        return reopen_build(release, self.warehouse, self.open_engine, self.contracts)


def _same_version(left: Release, right: Release) -> bool:
    return (left.narrative, left.version.rpartition("-r")[0]) == (right.narrative, right.version.rpartition("-r")[0])


def _key_at_home(engine: Engine, versions: Sequence[Snapshot], contract: Contract, key: str, secret: bytes) -> str:
    """Return the key of the row whose key left as the hash `key`, which is how releases elsewhere call it; `key` itself
    where no row is called so."""
    hash_text = hash_in_engine(secret)
    for names in hashed_keys(contract) if len(key) >= HASH_LENGTH else ():
        for snapshot in reversed(versions):
            table = engine.read_parquet(snapshot.files, arrow_schema(snapshot.contract_held(contract)))
            own = key_text([table[column] for column in contract.key])
            left = key_text([hash_text(table[name]) if name in names else table[name] for name in contract.key])
            found = engine.fetch_table(table.filter(left == key).select(key=own).limit(1))["key"].to_pylist()
            if found:
                return str(found[0])
    return key


def _has_key(engine: Engine, snapshot: Snapshot, contract: Contract, key: str) -> bool:
    table = engine.read_parquet(snapshot.files, arrow_schema(snapshot.contract_held(contract)))
    matching = table.filter(key_text([table[column] for column in contract.key]) == key)
    return bool(engine.fetch_value(matching.count()))


def _suggest_key(engine: Engine, versions: Sequence[Snapshot], contract: Contract, key: str) -> str:
    if not versions:
        return "nothing is published: storymesh run"
    if restricted_properties(contract) & {*contract.key}:
        return "write it as the product has it"
    table = engine.read_parquet(versions[-1].files, arrow_schema(versions[-1].contract_held(contract)))
    known = table.select(key=key_text([table[column] for column in contract.key])).limit(2_000)
    return suggest_name(key, engine.fetch_table(known)["key"].to_pylist())


def _no_cases(engine: Engine) -> "ir.Table":
    import pyarrow as pa

    return engine.materialize(pa.table({"case_id": pa.array([], pa.string())}))


def _cases_of_row(engine: Engine, build: "Build", erased: ErasureList) -> "tuple[list[str], ir.Table]":
    """Return the keys of the erased row as the cases of a release have them, and the ids of its cases (case_id) but for
    those that the release leaves out as forgotten: a successor uses nothing of the row."""
    keys = erased_case_keys(build, engine, product_rows(build, engine, build.typed.cast.roles), erased)
    if not keys:
        return [], _no_cases(engine)
    write_cases(build)
    cases = engine.read_parquet(build.files.cases)
    used = cases.filter(has_any_row(build, cases, keys), cases["dropped"].fill_null("") != ERASED)
    affected = engine.materialize(used.select("case_id"))
    return sorted({key for of_role in keys.values() for key in of_role}), affected


def _record_usage(
    engine: Engine, release: Release, product: str, keys: Sequence[str], cases: "ir.Table", most: int
) -> tuple[dict[str, int], dict[str, int], tuple[str, ...]]:
    """Return config -> records whose sources name one of the keys, config -> others that quote a case, and some ids."""
    import ibis

    anchor = next(iter(release.manifest.cast.values())).product
    printed: dict[str, int] = {}
    quoting: dict[str, int] = {}
    examples: list[str] = []
    for config in release.configs:
        paths = all_record_files(release.path, config)
        if not paths:
            continue
        records = engine.read_parquet(paths)
        sources = records.select("id", "case_id", source=records["sources"].unnest())
        source = sources["source"]
        prints = (source["product"] == product) & source["key"].isin(keys)
        quotes = (
            (source["product"] == anchor)
            & ~sources["case_id"].isin(cases["case_id"])
            & source["key"].isin(cases["case_id"])
        )
        used = sources.select("id", kind=ibis.cases((prints, 0), (quotes, 1)))
        used = used.filter(used["kind"].notnull()).group_by("id").aggregate(kind=lambda rows: rows["kind"].min())
        used = engine.materialize(used)
        counted = used.group_by("kind").aggregate(records=used.count())
        counts = {row["kind"]: row["records"] for row in engine.fetch_rows(counted)}
        printed |= {config: counts[0]} if 0 in counts else {}
        quoting |= {config: counts[1]} if 1 in counts else {}
        first = engine.fetch_rows(used.order_by("kind", "id").limit(most - len(examples)))
        examples += [row["id"] for row in first]
        engine.drop(used)
    return printed, quoting, tuple(examples)
