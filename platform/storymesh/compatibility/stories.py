"""The records of a release that change with a contract, found by what each config reads and by the released rows."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from storymesh.contract.change import ContractChange
from storymesh.contract.definition import Contract
from storymesh.contract.quality_rules import Expectation, Rule
from storymesh.engine import dialect
from storymesh.engine.engine import Engine, OpenEngine
from storymesh.narrative.typed import TypedNarrative
from storymesh.narrative.used_columns import Columns, linking_columns, record_columns
from storymesh.product.store import Snapshot
from storymesh.release.catalog import Release, report_damage
from storymesh.release.folder import files_of, require_sound_files
from storymesh.release.layout import all_record_files

if TYPE_CHECKING:
    import ibis.expr.types as ir

SHOWN = 3
MAX_KEYS = 5_000  # more refused rows than this are not looked for one by one: every story of the product counts


@dataclass(frozen=True)
class ConfigEffect:
    """The changes of one config: the properties that it reads and that are others now. `stories` of the `released`
    records change, for example those of these ids; None where nothing is released."""

    config: str
    properties: tuple[str, ...]
    released: int | None
    stories: int | None
    examples: tuple[str, ...]


@dataclass(frozen=True)
class RefusedRows:
    """The published rows of a product that its new contract would refuse; `keys` are as records name them."""

    rows: int
    refused: int
    keys: tuple[str, ...]


def affected_configs(
    typed: TypedNarrative, product: str, changes: Sequence[ContractChange], *, rows_go: bool
) -> dict[str, list[str]]:
    """Return the configs that read what has changed of a product, each with the properties; "*" is the whole row.

    `rows_go`: rows would be refused, which reaches every config with the product in its cast.
    """
    roles = [role for role, contract in typed.contracts.items() if contract.id == product]
    linking = linking_columns(typed.cast, typed.together)
    counting = [change for change in changes if change.step != "patch"]
    of_rows = rows_go or any(change.property is None and change.values is None for change in counting)
    changed = [*dict.fromkeys(change.property for change in counting if change.property), *(["*"] if of_rows else [])]
    found: dict[str, list[str]] = {}
    for config, record in typed.records.items():
        columns = record_columns(typed.cast, typed.case, record)
        read = [name for name in changed if name == "*" or _reads(name, roles, columns, linking)]
        if read:
            found[config] = read[:-1] if len(read) > 1 and read[-1] == "*" else read
    return found


def _reads(name: str, roles: Iterable[str], *columns: Columns) -> bool:
    return any(name in of_role.get(role, ()) for of_role in columns for role in roles)


def released_effects(
    typed: TypedNarrative,
    product: str,
    changes: Sequence[ContractChange],
    release: Release | None,
    refused: Collection[str],
    open_engine: OpenEngine,
) -> tuple[ConfigEffect, ...]:
    """Return what changes of each config. `refused` are the keys of rows that the new contract would not let through.

    Raises StorymeshError for a release whose files are damaged.
    """
    configs = affected_configs(typed, product, changes, rows_go=bool(refused))
    if release is None:
        return tuple(ConfigEffect(config, tuple(names), None, None, ()) for config, names in configs.items())
    require_sound_files(release)
    effects: list[ConfigEffect] = []
    with open_engine(only=files_of(release)) as engine, report_damage(release):
        for config, names in configs.items():
            own = [change for change in changes if change.property is None or change.property in names]
            files = all_record_files(release.path, config)
            if not files:
                effects.append(ConfigEffect(config, tuple(names), 0, 0, ()))
                continue
            records = engine.read_parquet(files)
            touched = _touched(typed, product, own, records, refused)
            total = int(engine.fetch_value(records.count()))
            count = int(engine.fetch_value(touched.count()))
            shown = engine.fetch_rows(touched.select("id").order_by("id").limit(SHOWN)) if count else []
            effects.append(ConfigEffect(config, tuple(names), total, count, tuple(row["id"] for row in shown)))
    return tuple(effects)


def _touched(
    typed: TypedNarrative,
    product: str,
    changes: Sequence[ContractChange],
    records: "ir.Table",
    refused: Collection[str],
) -> "ir.Table":
    """Return the records that one of the changes reaches: by a row of the product, by a code that it tells of it, or
    by a row that would be refused."""
    import ibis

    def from_product(*keys: str) -> "ir.BooleanValue":
        rows = dialect.filter_items(
            records["sources"],
            lambda source: (source.product == product) & (source.key.isin(keys) if keys else ibis.literal(True)),
        )
        return rows.length() > 0

    reached: ir.BooleanValue = ibis.literal(False)
    for change in changes:
        if change.values is None:
            reached = reached | from_product()
        elif change.values:
            told = [_fact(records, role, change.property) for role, own in typed.contracts.items() if own.id == product]
            codes = [str(value) for value in change.values]
            # A code that only decides something stands in no fact.
            parts = [value.cast("string").isin(codes) if value is not None else from_product() for value in told]
            for part in parts:
                reached = reached | part
    if refused:
        reached = reached | (from_product(*refused) if len(refused) <= MAX_KEYS else from_product())
    return records.filter(reached.fill_null(False))


def _fact(records: "ir.Table", role: str, name: str | None) -> "ir.Value | None":
    """Return the value of a role's property in the facts of each record; None where they have none of a single row."""
    value: Any = records["facts"]
    for step in (role, name):
        if not value.type().is_struct() or step not in value.type().names:
            return None
        value = value[step]
    return None if value.type().is_nested() else value


def refused_rows(
    engine: Engine, new: Contract, old: Contract, snapshot: Snapshot, changes: Iterable[ContractChange]
) -> RefusedRows | None:
    """Return which rows of the published snapshot the new contract would refuse; None where it refuses no more.

    Rows are judged by what both contracts have: a column that is new or of another type has no values yet.
    """
    import numpy as np
    import pyarrow.parquet as pq

    from storymesh.contract.audit import audit_rows
    from storymesh.contract.audited_files import AuditedFile

    if not any(change.refuses for change in changes):
        return None
    judged = _reduced_contract(new, old, snapshot.schema.names)
    files = [AuditedFile(file, pq.read_metadata(file).num_rows) for file in snapshot.files]
    audit = audit_rows(engine, judged, files, {})
    failed = np.unique(np.concatenate([np.empty(0, np.int64), *audit.failures.values()]))
    return RefusedRows(audit.rows, len(failed), _keys(engine, snapshot, old, failed))


def _reduced_contract(new: Contract, old: Contract, columns: Collection[str]) -> Contract:
    """Return the new contract with the properties whose values are there, and with the rules about them."""
    kept = {
        name: replace(item, quality=_runnable(item.quality))
        for name, item in new.properties.items()
        if name in columns and name in old.properties and old.properties[name].type == item.type
    }
    key = new.key if set(new.key) <= kept.keys() else ()
    return replace(new, properties=MappingProxyType(kept), key=key, quality=(), freshness=())


def _runnable(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if not isinstance(rule.test, Expectation))


def _keys(engine: Engine, snapshot: Snapshot, contract: Contract, failed: Any) -> tuple[str, ...]:
    """Return the keys of rows by their numbers, as `sources` of records have them."""
    import ibis
    import pyarrow.dataset as ds

    from storymesh.case.link import key_text

    if not contract.key or not len(failed):
        return ()
    columns = [name for name in contract.key if name in snapshot.schema.names]
    table = ds.dataset(list(snapshot.files), format="parquet").to_table(columns=columns).take(failed)
    rows = ibis.memtable(table)
    keys = engine.fetch_rows(rows.select(key=key_text([rows[name] for name in columns])))
    return tuple(row["key"] for row in keys)
