"""The expressions that make the cases of a build from the rows of its products, and the split of each case."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial, reduce
from operator import or_
from typing import TYPE_CHECKING

from storymesh.case.resolve import Role
from storymesh.case.selection import select_anchor_rows
from storymesh.dataset.anchor_parts import ALL_ROWS, AnchorPart, divide_anchor
from storymesh.dataset.build import Build
from storymesh.dataset.erasure_list import ERASED, ErasureList, read_erasure_list
from storymesh.dataset.split import assign_splits
from storymesh.dataset.tables import product_rows, view_drop_reason
from storymesh.engine.engine import Engine
from storymesh.errors import StorymeshError

if TYPE_CHECKING:
    import ibis.expr.types as ir


def divide_cases(build: Build, engine: Engine, count: int) -> list[AnchorPart]:
    """Return about `count` parts of the anchor's rows whose cases are about as many."""
    anchor = build.typed.cast.anchor
    rows = anchor_rows(build, product_rows(build, engine, [anchor.name]))
    return divide_anchor(engine, rows, anchor.contract.key, build.snapshots[anchor.name].rows, count)


def anchor_rows(build: Build, tables: "Mapping[str, ir.Table]") -> "ir.Table":
    """Return the rows of the anchor that are cases, of those in `tables` (role -> rows)."""
    anchor = build.typed.cast.anchor.name
    if build.typed.selection is None:
        return tables[anchor]
    return select_anchor_rows(tables[anchor], build.typed.selection, anchor)


def linked_cases(build: Build, engine: Engine, part: AnchorPart = ALL_ROWS) -> "ir.Table":
    """Return the cases of a part of the anchor's rows, with their rows, facts and outcome."""
    from storymesh.case.link import link_cases
    from storymesh.case.visibility import add_facts
    from storymesh.federation.keyed_hash import egress_key, hash_in_engine
    from storymesh.language.compile.values import pseudonym

    cast = build.typed.cast
    tables = product_rows(build, engine, cast.roles)
    tables[cast.anchor.name] = part.rows_of(anchor_rows(build, tables))
    replaced = partial(pseudonym, key=build.pseudonym_key)
    pseudonyms = {(path[0], path[1]): replaced for path in build.typed.pseudonymised}
    linked = link_cases(cast, tables, build.typed.columns, pseudonyms, hash_in_engine(egress_key(build.pseudonym_key)))
    if build.erased_keys:
        linked = _drop_erased(build, engine, linked, tables)
    return add_facts(linked, cast, build.typed.case)


def _drop_erased(build: Build, engine: Engine, linked: "ir.Table", tables: "Mapping[str, ir.Table]") -> "ir.Table":
    """Mark every case of an erased row as dropped: it gets no record and is no case's precedent."""
    import ibis

    erasures = read_erasure_list(build.store)
    if erasures is None:
        words = f"'{build.narrative.id}' leaves out what was forgotten, and {build.store} does not say what that is"
        raise StorymeshError(words, "bring back forgotten.json from a copy of the store")
    keys = erased_case_keys(build, engine, tables, replace(erasures, keys=build.erased_keys))
    erased = has_any_row(build, linked, keys)
    return linked.mutate(
        **{name: ibis.ifelse(erased, ERASED, linked[name]) for name in ("dropped", "question_dropped")}
    )


def erased_case_keys(
    build: Build, engine: Engine, tables: "Mapping[str, ir.Table]", erasures: ErasureList
) -> dict[str, list[str]]:
    """Return role -> keys, as the cases have them, of the erased rows in `tables` (role -> rows)."""
    from storymesh.case.link import key_text
    from storymesh.language.compile.values import pseudonym

    keys_by_role: dict[str, list[str]] = {}
    for role, table in tables.items():
        product, columns = build.snapshots[role].product, build.contracts[role].key
        if product not in erasures.keys:
            continue
        key = [table[column] for column in columns]
        case_key = [
            pseudonym(part, build.pseudonym_key) if (role, column) in build.typed.pseudonymised else part
            for column, part in zip(columns, key, strict=True)
        ]
        erased = table.filter(erasures.digest_column(product, key_text(key)).isin(erasures.keys[product]))
        keys = engine.fetch_table(erased.select(key=key_text(case_key)))["key"].to_pylist()
        if keys:
            keys_by_role[role] = keys
    return keys_by_role


def has_any_row(build: Build, cases: "ir.Table", keys: Mapping[str, list[str]]) -> "ir.BooleanValue":
    """Return whether a linked or written case has a row with one of the keys (by role), in either view of time."""
    import ibis

    roles = build.typed.cast.roles
    conditions = [_has_row(cases, roles[name], role_keys) for name, role_keys in keys.items()]
    return reduce(or_, conditions, ibis.literal(False))


def _has_row(cases: "ir.Table", role: Role, keys: Sequence[str]) -> "ir.BooleanValue":
    from storymesh.case.link import KEY
    from storymesh.engine import dialect

    rows = cases[role.column]
    if not role.listed:
        return rows[KEY].isin(keys).coalesce(False)
    matching = dialect.filter_items(rows, lambda row: row[KEY].isin(keys))
    return (matching.length() > 0).coalesce(False)


def case_splits(build: Build, engine: Engine, cases: "ir.Table") -> "ir.Table":
    """Return the split of every written case that some view keeps; where the narrative has precedents, also the period
    of those that no record needs and that happened all the same."""
    from storymesh.case.withholding import has_withheld_value

    reason = view_drop_reason(build, cases)
    kept = reason.isnull()
    values: dict[str, ir.Value] = {}
    if build.typed.together:
        values["together"] = _shared_values(build, cases)
    split, precedents = build.narrative.dataset.split, build.narrative.case.precedents
    if precedents is not None:
        kept |= cases["question_dropped"].isnull()
        values["unrecorded"] = reason
        if split is not None and precedents.withheld.values:
            named = precedents.withheld_columns
            values["held_out"] = has_withheld_value(cases, precedents.withheld, named, held_out=True)
    columns = ["case_id", "at", *(["closes"] if build.typed.cast.closes else [])]
    return assign_splits(engine, cases.filter(kept).select(*columns, **values), split)


def _shared_values(build: Build, cases: "ir.Table") -> "ir.ArrayValue":
    """Return the values that keep cases together, as a list of texts `<role>.<column>=<value>`."""
    from storymesh.engine import dialect

    roles = build.typed.cast.roles
    return dialect.concat_lists([_column_texts(cases, roles[name], column) for name, column in build.typed.together])


def _column_texts(cases: "ir.Table", role: Role, column: str) -> "ir.ArrayValue":
    import ibis

    from storymesh.case.link import rows_in_hindsight
    from storymesh.engine import dialect

    value = cases[role.column]
    prefix = ibis.literal(f"{role.name}.{column}=")
    if role.listed:
        texts = dialect.map_items(rows_in_hindsight(role, value), lambda row: row[column].cast("string"))
    else:
        texts = ibis.array([value[column].cast("string")])
    present = dialect.filter_items(texts, lambda text: text.notnull())
    return dialect.map_items(present, lambda text: prefix.concat(text))
