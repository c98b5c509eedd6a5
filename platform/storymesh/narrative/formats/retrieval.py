"""The format `retrieval`: a passage with its metadata, a flat row that vector stores filter by.

Stores take texts, numbers and booleans under plain names, no rows inside rows and no dates of their own. So what the
passage prints is laid flat, `delay.waterway` as `delay_waterway`, and moments are ISO 8601 texts, which sort by time.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from storymesh.case.resolve import Cast
from storymesh.case.scopes import TypedCase
from storymesh.narrative.formats import slots
from storymesh.narrative.formats.format import RecordFormat, TextColumn

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

METADATA = "metadata"
OUTCOME_PARTS = ("action", "worked")
MOMENT, DAY = "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"


class PassageFormat(RecordFormat):
    """A format with the column `metadata`: when the case was asked and closed, what was done, whether it worked, and
    each scalar that the passage prints."""

    @property
    def shows_outcome(self) -> bool:
        return True

    def case_values(
        self, cases: "ir.Table", cast: Cast, views: TypedCase, names: "Mapping[str, ir.Value]"
    ) -> "dict[str, ir.Value]":
        """Return the first columns of the metadata. They are null while the case is open, and left out where the
        narrative has none or they read what is restricted."""
        values: dict[str, ir.Value] = {"case_at": cases["at"]}
        if cast.closes is not None:
            values["case_closes"] = cases["closes"]
        for name in OUTCOME_PARTS:
            formula = views.outcome.get(name)
            if formula and (formula.checked.value.classification != "restricted" or formula.checked.value.pseudonym):
                values[name] = names["outcome"][name]
        return values

    def further_columns(self, case_values: "Mapping[str, ir.Value]", facts: "ir.StructValue") -> "dict[str, ir.Value]":
        """Return `metadata`: the values of the case, then every scalar fact in the order of their paths.

        Only letters, digits and `_` are kept of a name; of two facts with one name the later is `name_2`. A decimal
        becomes a double. Lists stay in `facts`.
        """
        import ibis

        flat = {name: _scalar(value) for name, value in case_values.items()}
        for path, value in _leaves(facts, ()):
            if (path[0] == "outcome" and path[-1] in case_values) or f"{path[0]}_{path[-1]}" in (
                "case_at",
                "case_closes",
            ):
                continue
            plain = re.sub(r"\W", "_", "_".join(path), flags=re.ASCII)
            name, number = plain, 1
            while name in flat:
                number += 1
                name = f"{plain}_{number}"
            flat[name] = _scalar(value)
        return {METADATA: ibis.struct(flat)}

    def labels(self, records: "ir.Table") -> "dict[str, ir.Value]":
        metadata = records[METADATA]
        return {name: metadata[name] for name in OUTCOME_PARTS if name in metadata.type().names}

    def outcome_parts(self, schema: "pa.Schema") -> tuple[str, ...]:
        return tuple(part.name for part in schema.field(METADATA).type if part.name in OUTCOME_PARTS)


def _leaves(row: "ir.StructValue", above: tuple[str, ...]) -> "Iterator[tuple[tuple[str, ...], ir.Value]]":
    for name in row.type().names:
        value = row[name]
        if value.type().is_struct():
            yield from _leaves(value, (*above, name))
        elif not value.type().is_nested():
            yield (*above, name), value


def _scalar(value: "ir.Value") -> "ir.Value":
    from storymesh.engine import decimals, dialect

    kind = value.type()
    if kind.is_timestamp() or kind.is_date():
        return dialect.format_moment(value, DAY if kind.is_date() else MOMENT)
    return decimals.to_float(value) if kind.is_decimal() else value


RETRIEVAL = PassageFormat(
    name="retrieval",
    purpose="a passage with its metadata, for retrieval",
    slots=(slots.TEXT,),
    texts=(TextColumn("text", slots.TEXT),),
    columns={
        "text": "the passage",
        METADATA: "what the text prints, when the case was asked and closed, what was done, whether it worked: flat",
    },
    layout="a flat row of what it prints, `case_at`, `case_closes`, `action` and `worked`",
    task="text-retrieval",
    read_by_trl=False,
)
