"""Personal data in free text, replaced before any case is made, so that no record, fact, precedent or model sees it.

Numbers, moments and codes are no personal data; free text may hold anything. The distinct values of every text property
that a narrative reads are searched, once each: the engine preselects those that could match, and the finder decides on
these alone. Personal data is replaced in a copy of the product's rows, which takes the product's place in everything
that follows: links, templates, precedents, traces and scenarios see the same texts.

If the narrative says `personal: refuse`, the substitutes are marks, and a record with a mark is dropped.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis

from storymesh.atomic_write import write_atomically
from storymesh.contract.definition import Contract
from storymesh.dataset.personal_data_finder import (
    KINDS,
    PersonalDataFinder,
    PersonalDataKind,
    PersonNames,
    email_addresses,
    folded_word,
)
from storymesh.engine import dialect
from storymesh.engine.engine import Engine
from storymesh.errors import StorymeshError
from storymesh.language.types import Json, Text
from storymesh.narrative.typed import TypedNarrative

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

MASKS: Mapping[PersonalDataKind, str] = {kind: f"[{kind}]" for kind in KINDS}
# A noncharacter for each kind, which no data has and no filter changes.
MARKS: Mapping[PersonalDataKind, str] = {kind: chr(0xFDD1 + index) for index, kind in enumerate(KINDS)}
PERSONAL_DATA = "personal data"  # the reason for which a record is dropped, before `: <kind>`


@dataclass(frozen=True)
class PersonalDataReport:
    """The personal data found in the free text of a build. `values`: `<role>.<property>` -> kind -> number of distinct
    values."""

    mode: str
    values: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def write_masked_rows(engine: Engine, typed: TypedNarrative, tables: "Mapping[str, ir.Table]", folder: Path) -> None:
    """Write into `folder`, for each role of `tables` whose free text holds personal data, its rows without it
    (`<role>.parquet`); and last `found.json`, which `read_personal_data_report` reads.

    Raises StorymeshError if rows are named or joined by an e-mail address, which cannot be replaced.
    """
    dataset = typed.narrative.dataset
    substitutes = MARKS if dataset.personal == "refuse" else MASKS
    finder = _make_finder(engine, typed, tables)
    name_hashes = _name_hashes(engine, finder.names)
    values: dict[str, dict[str, int]] = {}
    columns = {role: _text_columns(typed, role) for role in tables}
    for role in _roles_with_at_signs(engine, tables, {role: fixed for role, (_, fixed) in columns.items()}):
        for column in columns[role][1]:
            _refuse_addresses(engine, typed, role, column, tables[role][column])
    for role, table in tables.items():
        free, _ = columns[role]
        changed: dict[str, ir.Table] = {}
        for column in free:
            replacements, counts = _find_replacements(engine, table[column], finder, name_hashes, substitutes)
            if replacements is not None:
                values[f"{role}.{column}"] = counts
                changed[column] = replacements
        if changed:
            engine.write_parquet(_replace_values(table, changed), folder / f"{role}.parquet")
    report = {"mode": dataset.personal, "values": values}
    write_atomically(folder / "found.json", json.dumps(report, indent=2) + "\n")


def personal_data_finder(
    engine: Engine, typed: TypedNarrative, tables: "Mapping[str, ir.Table]"
) -> PersonalDataFinder | None:
    """Return the finder for the free text of these tables, also for texts outside them; None if nothing is searched."""
    return None if typed.narrative.dataset.personal == "off" else _make_finder(engine, typed, tables)


def _make_finder(engine: Engine, typed: TypedNarrative, tables: "Mapping[str, ir.Table]") -> PersonalDataFinder:
    return PersonalDataFinder(_hidden_names(engine, typed, tables), typed.narrative.dataset.phone_regions)


def read_personal_data_report(folder: Path) -> PersonalDataReport:
    """Return what `write_masked_rows` found; an empty report if nobody looked."""
    path = folder / "found.json"
    if not path.is_file():
        return PersonalDataReport("off")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return PersonalDataReport(content["mode"], content["values"])


def mark_conditions(texts: "Sequence[ir.StringValue]") -> "Iterator[tuple[ir.BooleanValue, str]]":
    """Yield, for each kind, whether a text has its mark, and the reason for which its record drops then."""
    for kind, mark in MARKS.items():
        marked = [text.contains(mark) for text in texts]
        yield ibis.or_(*marked), f"{PERSONAL_DATA}: {kind}"


def mark_reason(*values: Any) -> str | None:
    """Return the reason for which a record with these values (searched recursively) drops, or None."""
    texts = list(_texts_in(values))
    return next(
        (f"{PERSONAL_DATA}: {kind}" for kind, mark in MARKS.items() if any(mark in text for text in texts)), None
    )


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts_in(inner)


def _text_columns(typed: TypedNarrative, role: str) -> tuple[list[str], list[str]]:
    """Return the text properties of a role that the narrative reads: free ones, and those that name or join rows.

    A property that is restricted, replaced by pseudonyms or one of a list of codes is neither.
    """
    contract = typed.contracts[role]
    texts = [
        name
        for name, item in contract.properties.items()
        if isinstance(item.type, Text | Json)
        and not item.enum
        and item.classification != "restricted"
        and (role, name) not in typed.pseudonymised
    ]
    fixed = _fixed_columns(typed, role, contract)
    free = [name for name in texts if name in typed.columns.get(role, ()) and name not in fixed]
    return free, [name for name in texts if name in fixed]


def _fixed_columns(typed: TypedNarrative, role: str, contract: Contract) -> set[str]:
    """Return the columns that name or join rows: a change would separate what belongs together."""
    own = {join.column for join in typed.cast.roles[role].joins}
    others = {join.other_column for other in typed.cast.roles.values() for join in other.joins if join.other == role}
    return {*contract.key, *own, *others, *(path[1] for path in typed.together if path[0] == role)}


def _roles_with_at_signs(
    engine: Engine, tables: "Mapping[str, ir.Table]", columns: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return the roles that have an `@` in one of these columns."""
    found = [
        table.aggregate(found=ibis.or_(*(table[name].contains("@") for name in names)).any()).mutate(
            role=ibis.literal(role)
        )
        for role, names in columns.items()
        for table in (tables[role],)
        if names
    ]
    rows = engine.fetch_rows(ibis.union(*found)) if found else []
    return [row["role"] for row in rows if row["found"]]


def _refuse_addresses(engine: Engine, typed: TypedNarrative, role: str, column: str, value: "ir.StringValue") -> None:
    table = value.as_table()
    candidates = table.filter(table[column].contains("@")).distinct().limit(1_000)
    for text in engine.fetch_table(candidates)[column].to_pylist():
        if next(email_addresses(text), None):
            words = f"'{role}.{column}' of '{typed.narrative.id}' holds e-mail addresses, and rows are known by it"
            hint = f"add `{role}.{column}` to `dataset.pseudonymise`, or say `personal: off` if they are nobody's"
            raise StorymeshError(words, hint)


def _hidden_names(engine: Engine, typed: TypedNarrative, tables: "Mapping[str, ir.Table]") -> PersonNames:
    """Return the names among the values of the cast that are restricted or replaced by pseudonyms."""
    values: set[str] = set()
    for role, table in tables.items():
        for name, item in typed.contracts[role].properties.items():
            hidden = item.classification == "restricted" or (role, name) in typed.pseudonymised
            if hidden and isinstance(item.type, Text) and not item.enum:
                distinct = table.select(value=table[name]).distinct()
                values.update(filter(None, engine.fetch_table(distinct)["value"].to_pylist()))
    return PersonNames.from_values(values)


@dataclass(frozen=True)
class _NameHashes:
    """The hashes of names as a table of the engine, and the names' lengths in words."""

    table: "ir.Table"
    lengths: Sequence[int]


def _name_hashes(engine: Engine, names: PersonNames) -> _NameHashes | None:
    import pyarrow as pa

    if not names:
        return None
    texts = {*(" ".join(words) for words in names.folded), *map(folded_word, names.single)}
    table = engine.materialize(pa.table({"name": pa.array(sorted(texts), pa.string())}))
    return _NameHashes(table.select(run=dialect.hash_text(table["name"])), names.lengths)


def _find_replacements(
    engine: Engine,
    value: "ir.StringValue",
    finder: PersonalDataFinder,
    name_hashes: _NameHashes | None,
    substitutes: Mapping[PersonalDataKind, str],
) -> "tuple[ir.Table | None, dict[str, int]]":
    """Return the distinct values that hold personal data, with their replacements, and how many hold each kind; no
    table where none does."""
    import pyarrow as pa

    counts: Counter[str] = Counter()
    texts: list[str] = []
    replacements: list[str] = []
    for batch in engine.stream_batches(_preselect(engine, value, finder, name_hashes)):
        for text in batch.column(0).to_pylist():
            replacement, kinds = finder.replace(text, substitutes)
            if kinds:
                counts.update(set(kinds))
                texts.append(text)
                replacements.append(replacement)
    if not texts:
        return None, {}
    table = pa.table({"value": pa.array(texts, pa.string()), "replacement": pa.array(replacements, pa.string())})
    return engine.materialize(table), dict(sorted(counts.items()))


def _preselect(
    engine: Engine, value: "ir.StringValue", finder: PersonalDataFinder, name_hashes: _NameHashes | None
) -> "ir.Table":
    """Return the distinct values that may hold personal data, as a column `value`."""
    # Materialised, because both searches below would compute the distinct values again.
    distinct = engine.materialize(value.name("value").as_table().distinct().drop_null())
    possible = distinct.filter(distinct["value"].re_search(finder.preselection))
    if name_hashes is None:
        return possible
    # A name stands inside a text: a value of one word is a code.
    several = distinct.filter(distinct["value"].re_search(r"[\s\p{Z}]|\p{L}[._,]\p{L}"))
    plain = dialect.strip_accents(dialect.normalize_nfc(several["value"]))
    several = dialect.materialization_barrier(several.mutate(words=dialect.split_words(plain)))
    ngrams = dialect.concat_lists([dialect.word_ngrams(several["words"], length) for length in name_hashes.lengths])
    runs = several.select("value", run=dialect.map_items(ngrams, dialect.hash_text).unnest())
    named = runs.semi_join(name_hashes.table, "run").select("value")
    return possible.union(named, distinct=True)


def _replace_values(table: "ir.Table", changed: "Mapping[str, ir.Table]") -> "ir.Table":
    """Return the rows with the replacements (column -> value and replacement) in place of the values."""
    names = table.columns
    for column, replacements in changed.items():
        renamed = replacements.rename({f"was_{column}": "value", f"is_{column}": "replacement"})
        table = table.left_join(renamed, table[column] == renamed[f"was_{column}"])
        table = table.mutate(**{column: table[f"is_{column}"].coalesce(table[column])}).select(names)
    return table


def find_personal_texts(engine: Engine, texts: "ir.Table", finder: PersonalDataFinder) -> "pa.Table":
    """Return id and `dropped`, the reason, of each row of `texts` (id, text) that holds personal data.

    For texts that no product held before, such as those that a language model made up.
    """
    import pyarrow as pa

    ids: list[str] = []
    reasons: list[str] = []
    possible = texts.filter(texts["text"].re_search(finder.preselection))
    for batch in engine.stream_batches(possible.select("id", "text")):
        for row in batch.to_pylist():
            kinds = {kind for _, _, kind in finder.find(unicodedata.normalize("NFC", row["text"]))}
            if kinds:
                ids.append(row["id"])
                reasons.append(f"{PERSONAL_DATA}: {next(kind for kind in KINDS if kind in kinds)}")
    return pa.table({"id": pa.array(ids, pa.string()), "dropped": pa.array(reasons, pa.string())})
