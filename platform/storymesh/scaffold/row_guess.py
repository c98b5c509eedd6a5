"""Guesses about a table's rows: the key, the eventTime, and which values are known only later, from the values and from
the usual names of such columns."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from storymesh.engine.engine import Engine
from storymesh.errors import WrongUsage, suggest_name
from storymesh.scaffold.column_guess import MOMENT_TYPES, ColumnGuess
from storymesh.scaffold.column_profile import MomentOrder, present_without, unique_pairs
from storymesh.scaffold.names import singular_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

_KEY_TYPES = ("string", "integer", "date", "timestamp")
_MAX_PAIRED = 6  # columns of which every two are tried as a key
_KEY_NAME = re.compile(r"(.*_)?(id|key|uuid|guid|number|no|nr|code|ref|reference)")
_PLANNED = re.compile(r"(.*_)?(due|planned?|expected|eta|scheduled|deadline|promised|requested|expir\w*|until)(_.*)?")
_TECHNICAL = re.compile(r"(.*_)?(updated|modified|changed|loaded|ingested|exported|extracted|synced)(_.*)?")
_LATER = re.compile(
    r"(.*_)?(end|ended|closed|resolved|settled|completed|finished|paid|delivered|cancell?ed|returned)(_.*)?"
)
_PAIRS = (("from", "to"), ("from", "until"), ("start", "end"), ("started", "ended"), ("begin", "end"))


@dataclass(frozen=True)
class RowGuess:
    """What was guessed of the rows as a whole. `event_time` is None where no column says when a row became true.

    `reasons` say why: key, eventTime and endTime -> words; `notes` say what a person should look at.
    """

    key: tuple[str, ...]
    event_time: str | None
    end_time: str | None
    reasons: Mapping[str, str]
    notes: tuple[str, ...]


def guess_key(
    engine: Engine, table: "ir.Table", columns: Sequence[ColumnGuess], name: str
) -> tuple[tuple[str, ...], str]:
    """Return the key of a table of the product `name`, and why: the likeliest unique column, or two that are together.

    Empty, with the reason, where neither is.
    """
    usable = [column for column in columns if column.logical_type in _KEY_TYPES and column.profile.complete]
    single = [column for column in usable if column.profile.unique and column.logical_type not in MOMENT_TYPES]
    if single:
        best = min(single, key=lambda column: _key_rank(column, name))
        return (best.name,), "no two rows share it"
    rows = columns[0].profile.rows if columns else 0
    paired = sorted(usable, key=lambda column: _key_rank(column, name))[:_MAX_PAIRED]
    for pair in unique_pairs(engine, table, [column.name for column in paired], rows):
        return pair, "no two rows share both"
    nearest = max(usable, key=lambda column: column.profile.distinct, default=None)
    words = "no column, and no two of them, tell all rows apart"
    if nearest is None:
        return (), words
    return (), f"{words}; the nearest is {nearest.name}, with {nearest.profile.distinct:,} values in {rows:,} rows"


def _key_rank(column: ColumnGuess, product: str) -> tuple[bool, bool, bool, bool]:
    own = column.name in ("id", f"{singular_of(product)}_id", f"{product}_id")
    return column.restricted, not own, not _KEY_NAME.fullmatch(column.name), column.logical_type == "timestamp"


def require_columns(columns: Sequence[ColumnGuess], named: Sequence[str], what: str) -> tuple[str, ...]:
    """Return the properties that `named` means, by their own names or those of the source. Raises WrongUsage."""
    found: list[str] = []
    for name in named:
        match = next((column for column in columns if name in (column.name, column.profile.name)), None)
        if match is None:
            raise WrongUsage(
                f"{what} names '{name}', which is no column", suggest_name(name, [c.name for c in columns])
            )
        found.append(match.name)
    return tuple(found)


def guess_event_time(columns: Sequence[ColumnGuess], orders: Mapping[tuple[str, str], MomentOrder]) -> str | None:
    """Return the moment at which a row most likely became true: one that every row has, before the other moments."""
    moments = [column for column in columns if column.logical_type in MOMENT_TYPES and not column.restricted]
    complete = [column for column in moments if column.profile.complete]

    def rank(column: ColumnGuess) -> tuple[bool, bool, int]:
        unlikely = bool(_PLANNED.fullmatch(column.name) or _LATER.fullmatch(column.name))
        after = sum(orders[column.name, other.name].earlier > 0 for other in complete if other is not column)
        return bool(_TECHNICAL.fullmatch(column.name)), unlikely, after

    return min(complete, key=rank).name if complete else None


def guess_end_time(columns: Sequence[ColumnGuess], event_time: str) -> str | None:
    """Return the column that ends the interval which the column `event_time` begins, as their names say."""
    words = event_time.split("_")
    names = {column.name for column in columns if column.logical_type in MOMENT_TYPES}
    for begin, end in _PAIRS:
        other = "_".join(end if word == begin else word for word in words)
        if begin in words and other in names:
            return other
    return None


def guess_known_at(
    engine: Engine, table: "ir.Table", columns: Sequence[ColumnGuess], row: RowGuess,
    orders: Mapping[tuple[str, str], MomentOrder],
) -> list[ColumnGuess]:  # fmt: skip
    """Return the columns, each with the moment at which its values became known where that is after `event_time`.

    That is a moment which is never before the event's, for itself, and for each value that no row has without it. The
    end of an interval is known when it comes, whatever a contract says.
    """
    if row.event_time is None:
        return list(columns)
    later = [
        column
        for column in columns
        if column.logical_type in MOMENT_TYPES and column.name not in (row.event_time, row.end_time)
        if _comes_later(column, orders[row.event_time, column.name])
    ]
    known: dict[str, str] = {column.name: column.name for column in later}
    ends = [column for column in columns if column.name == row.end_time]
    partial = [column for column in (*later, *ends) if not column.profile.complete]
    settled = {*known, *row.key, row.end_time}
    candidates = [
        column.name
        for column in columns
        if column.name not in settled and 0 < column.profile.present < column.profile.rows
    ]
    for moment in sorted(partial, key=lambda column: column.profile.present, reverse=True):
        without = present_without(engine, table, candidates, moment.name)
        known |= {column: moment.name for column, count in without.items() if count == 0}
    return [
        replace(column, known_at=known[column.name], reasons=(*column.reasons, _known_words(column.name, known)))
        if column.name in known
        else column
        for column in columns
    ]


def _comes_later(column: ColumnGuess, order: MomentOrder) -> bool:
    if _PLANNED.fullmatch(column.name) or order.earlier:
        return False
    return order.later > 0


def _known_words(name: str, known: Mapping[str, str]) -> str:
    return "known when it comes" if known[name] == name else f"known at {known[name]}: no row has it before"
