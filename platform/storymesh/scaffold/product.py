"""A product drafted from its rows: a contract and a product definition that `check` passes and that publish at once."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.contract.value_forms import ValueForms
from storymesh.engine.engine import Engine
from storymesh.errors import SourceUnreadable, WrongUsage
from storymesh.product.sources.bounds import COMPRESSED
from storymesh.product.sources.open import raw_files
from storymesh.scaffold.column_guess import MOMENT_TYPES, ColumnGuess, guess_column, is_readable
from storymesh.scaffold.column_profile import order_of_moments, profile_columns
from storymesh.scaffold.foreign_keys import DraftedRelationship
from storymesh.scaffold.names import plain_names, title_of
from storymesh.scaffold.new_files import NewFiles
from storymesh.scaffold.row_guess import (
    RowGuess,
    guess_end_time,
    guess_event_time,
    guess_key,
    guess_known_at,
    require_columns,
)
from storymesh.scaffold.server_table import ServedTable
from storymesh.scaffold.yaml_text import yaml_text

if TYPE_CHECKING:
    import pyarrow as pa

_HAS_LETTER = re.compile(r"[^\W\d_]")
_YEAR = re.compile(r"(19|20)\d\d")
NONE = "none"
"""What a person says instead of a column's name where there is none."""


@dataclass(frozen=True)
class Answers:
    """What a person says instead of a guess; None: guess. `event_time` may be `NONE`; `key_reason` is who says the
    key."""

    key: tuple[str, ...] | None = None
    event_time: str | None = None
    timeless: bool = False
    restricted: tuple[str, ...] = ()
    key_reason: str = "as told"


@dataclass(frozen=True)
class ProductDraft:
    """The rows read for a product to be and the guesses made: `skipped` are columns that no property has.

    `layout` says what their file was taken to look like, `notes_of_source` what a person should know of it.
    """

    name: str
    columns: tuple[ColumnGuess, ...]
    row: RowGuess
    rows: int
    skipped: tuple[str, ...]
    timeless: bool = False
    layout: tuple[str, ...] = ()
    notes_of_source: tuple[str, ...] = ()

    def notes(self) -> Iterator[str]:
        """Yield what a person should look at."""
        yield from self.notes_of_source
        yield from (f"the column {name} is not read" for name in self.skipped)
        yield from self.row.notes
        for column in self.columns:
            yield from (f"{column.name}: {note}" for note in column.notes)

    def reasons_of(self, column: ColumnGuess) -> list[str]:
        """Return why a column is what it was taken for."""
        of_row = []
        if column.name in self.row.key:
            of_row.append(f"key: {self.row.reasons['key']}")
        if column.name == self.row.event_time:
            of_row.append(f"eventTime: {self.row.reasons['eventTime']}")
        if column.name == self.row.end_time:
            of_row.append("endTime: by its name")
        return [*of_row, *column.reasons]


def draft_product(
    engine: Engine, rows: "pa.RecordBatchReader", name: str, answers: Answers, forms: ValueForms
) -> ProductDraft:
    """Return what `rows`, whose texts are written in `forms`, are likely to be as the rows of a product `name`.

    Raises SourceUnreadable for rows that cannot be read, and WrongUsage where they are none, or where an answer names
    no column.
    """
    import pyarrow as pa

    names = rows.schema.names
    _require_names(names)
    schema = pa.schema([pa.field(*item) for item in zip(plain_names(names), rows.schema.types, strict=True)])
    batches = (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in rows)
    table = engine.materialize(batches, schema)
    profiles = profile_columns(engine, table, names, forms)
    count = profiles[0].rows if profiles else 0
    if count == 0:
        raise WrongUsage("there is no row, so nothing can be guessed from it", "begin with a file that has some rows")
    pairs = list(zip(schema.names, profiles, strict=True))
    columns = [guess_column(plain, profile) for plain, profile in pairs if is_readable(profile)]
    _require_names([column.profile.name for column in columns if column.logical_type != "string"])
    columns = _with_restricted(columns, answers.restricted)
    if answers.key is not None:
        key, why = require_columns(columns, answers.key, "the key"), answers.key_reason
    else:
        key, why = guess_key(engine, table, columns, name)
    notes = [] if key else [f"key: {why}"]
    moments = {column.name: column.profile.name for column in columns if column.logical_type in MOMENT_TYPES}
    orders = order_of_moments(engine, table, moments, forms)
    event_time = guess_event_time(columns, orders)
    reason = "every row has it, and no other such moment is before it" if len(moments) > 1 else "the only moment"
    if answers.timeless or answers.event_time == NONE:
        event_time = None
    elif answers.event_time is not None:
        (event_time,), reason = require_columns(columns, [answers.event_time], "eventTime"), "as told"
        _require_moment(columns, event_time)
    end_time = guess_end_time(columns, event_time) if event_time else None
    if event_time is None and not answers.timeless:
        notes.append(
            "no eventTime: only stories told in hindsight may use it; for a list that is always true: --timeless"
        )
    row = RowGuess(key, event_time, end_time, {"key": why, "eventTime": reason}, tuple(notes))
    columns = guess_known_at(engine, table, columns, row, orders)
    skipped = tuple(profile.name for _, profile in pairs if not is_readable(profile))
    return ProductDraft(name, tuple(columns), row, count, skipped, answers.timeless)


def _require_names(names: Sequence[str]) -> None:
    """Raise WrongUsage where all of the names look like values. A year may head a column of numbers."""
    if names and not any(_HAS_LETTER.search(name) or _YEAR.fullmatch(name) for name in names):
        words = f"the names of its columns are {', '.join(names[:3])}: its first line seems to be data"
        raise WrongUsage(words, "name them: --with names=a,b,c")


def _with_restricted(columns: Sequence[ColumnGuess], named: Sequence[str]) -> list[ColumnGuess]:
    restricted = require_columns(columns, named, "restricted")
    return [
        replace(
            column,
            fields={k: v for k, v in column.fields.items() if k != "enum"} | {"classification": "restricted"},
            reasons=(*column.reasons, "restricted as told"),
        )
        if column.name in restricted
        else column
        for column in columns
    ]


def _require_moment(columns: Sequence[ColumnGuess], name: str) -> None:
    column = next(column for column in columns if column.name == name)
    if column.logical_type not in MOMENT_TYPES:
        words = f"eventTime names '{name}', which is of the type {column.logical_type}"
        raise WrongUsage(words, "it has to be a date or a timestamp: 2024-01-31T12:00:00Z, or --with dates=FORMAT")


@dataclass(frozen=True)
class ProductPlace:
    """Where a product belongs: its domain, its owner, and the path of its source below the domain's folder.

    Without a `source` its rows are those of the table `served` by a database, or else of the domain's dbt model of its
    name. `layout` says what the file looks like.
    """

    domain: str
    name: str
    owner: str
    source: str | None
    layout: Mapping[str, Any] = field(default_factory=dict)
    served: ServedTable | None = None
    relationships: tuple[DraftedRelationship, ...] = ()

    @property
    def origin(self) -> str:
        """Where the rows are, for people."""
        if self.served is not None:
            return f"the table {self.served.table} of the server {self.served.server['server']}"
        return self.source or f"the dbt model {self.name}"

    @property
    def id(self) -> str:
        return f"{self.domain}.{self.name}"

    @property
    def paths(self) -> tuple[str, str]:
        """The paths of the contract and of the product definition."""
        return f"contracts/{self.domain}/{self.name}.odcs.yaml", f"domains/{self.domain}/products/{self.name}.odps.yaml"


def product_files(draft: ProductDraft, place: ProductPlace) -> NewFiles:
    """Return the contract and the product definition of a draft."""
    if not draft.row.key:
        hint = "name the columns that tell the rows apart: --key COLUMN[,COLUMN]; rows that share a key are quarantined"
        raise WrongUsage(draft.row.notes[0], hint)
    contract, product = place.paths
    heading = [
        f"Drafted from {place.origin}: {draft.rows:,} rows. What was guessed, and why, for you to look at:",
        *(f"  the file: {reason}" for reason in draft.layout),
        *(f"  {column.name}: {'; '.join(draft.reasons_of(column))}" for column in draft.columns),
        *(f"  Look at: {note}" for note in draft.notes()),
    ]
    return NewFiles({
        contract: yaml_text(_contract(draft, place), heading),
        product: yaml_text(_product(place)),
    })  # fmt: skip


def _contract(draft: ProductDraft, place: ProductPlace) -> dict[str, Any]:
    row = draft.row
    written = {"eventTime": row.event_time, "endTime": row.end_time, "timeless": draft.timeless or None}
    custom = [{"property": name, "value": value} for name, value in written.items() if value is not None]
    fields = {
        "name": place.name,
        "logicalType": "object",
        **({"customProperties": custom} if custom else {}),
        "properties": [_property(column, row.key, place.relationships) for column in draft.columns],
    }
    joint = [item for item in place.relationships if len(item.columns) > 1]
    if joint:
        fields["relationships"] = [
            {"type": "foreignKey", "from": [f"{place.name}.{name}" for name in item.columns], "to": list(item.to)}
            for item in joint
        ]
    return {
        "apiVersion": "v3.2.0",
        "kind": "DataContract",
        "id": place.id,
        "name": title_of(place.name),
        "version": "1.0.0",
        "status": "active",
        "domain": place.domain,
        "description": {"purpose": f"{title_of(place.name)} as they stand in {place.origin}."},
        **({"servers": [dict(place.served.server)]} if place.served else {}),
        "schema": [fields],
        "team": _team(place),
    }


def _property(column: ColumnGuess, key: Sequence[str], relationships: Sequence[DraftedRelationship]) -> dict[str, Any]:
    fields = dict(column.fields)
    if column.name in key:
        fields |= {"primaryKey": True} | ({"primaryKeyPosition": key.index(column.name) + 1} if len(key) > 1 else {})
        fields.pop("enum", None)
    if column.known_at is not None:
        fields["customProperties"] = [{"property": "knownAt", "value": column.known_at}]
    if targets := [item.to[0] for item in relationships if item.columns == (column.name,)]:
        fields["relationships"] = [{"type": "foreignKey", "to": target} for target in targets]
    return fields


def _product(place: ProductPlace) -> dict[str, Any]:
    value: Any = {"file": place.source, **place.layout} if place.layout else place.source
    if place.served is not None:
        value = {**place.served.source, **place.layout}
    source = [{"property": "source", "value": value}] if value else []
    return {
        "apiVersion": "v1.0.0",
        "kind": "DataProduct",
        "id": place.id,
        "name": title_of(place.name),
        "version": "1.0.0",
        "status": "active",
        "domain": place.domain,
        "description": {"purpose": f"{title_of(place.name)} as they stand in {place.origin}."},
        **({"customProperties": source} if source else {}),
        "outputPorts": [{"name": place.name, "version": "1.0.0", "contractId": place.id}],
        "team": _team(place),
    }


def _team(place: ProductPlace) -> dict[str, Any]:
    return {"members": [{"username": place.owner, "role": "owner"}]}


def source_path(name: str, file: Path, folder: Path) -> tuple[str, dict[str, Path]]:
    """Return the path of a product's file, or the pattern of several, below its domain's `folder`, and what is copied
    there: path -> file.

    A file in the folder stays where it is; any other is copied into `sources/`, under the product's name.
    """
    files, folder = raw_files(file), folder.resolve()
    place = file.parent.resolve() / file.name
    if place.is_relative_to(folder):
        return place.relative_to(folder).as_posix(), {}
    ending = "".join(place.suffixes[-2:] if place.suffix.lower() in COMPRESSED else place.suffixes[-1:]).lower()
    several = files != [place.resolve()]
    path = f"sources/{name}/{place.name}" if several else f"sources/{name}{ending}"
    copies = {f"sources/{name}/{each.name}" if several else path: each for each in files}
    there = {path for path, each in copies.items() if (folder / path).is_file() and _same_content(folder / path, each)}
    return path, {path: each for path, each in copies.items() if path not in there}


def _same_content(first: Path, second: Path) -> bool:
    import filecmp

    try:
        return filecmp.cmp(first, second, shallow=False)
    except OSError as error:
        raise SourceUnreadable(f"{second}: the file cannot be read: {error.strerror}") from None
