"""The texts of records, as what looks at wording takes them."""

from typing import TYPE_CHECKING

from storymesh.engine import dialect
from storymesh.narrative.formats import format_of_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ibis.expr.types import StringValue, Table


def texts_of(records: "Table") -> "Mapping[str, StringValue]":
    """Return the texts of the format's columns, those of a conversation as one."""
    format_ = format_of_columns(records.columns)
    return format_.column_texts(records) if format_ is not None else {}


def whole_of(records: "Table") -> "StringValue":
    """All that a record says, as one text."""
    return dialect.concat_texts([text.concat("\n") for text in texts_of(records).values()])
