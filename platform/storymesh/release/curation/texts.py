"""The texts of records, for rules that look at their wording."""

from typing import TYPE_CHECKING

from storymesh.engine import dialect
from storymesh.narrative.formats import format_of_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ibis.expr.types import StringValue, Table


def text_columns(records: "Table") -> "Mapping[str, StringValue]":
    """Return the format's text columns; a column of several texts, such as a conversation, as one text."""
    format_ = format_of_columns(records.columns)
    return format_.column_texts(records) if format_ is not None else {}


def full_text(records: "Table") -> "StringValue":
    """Return all texts of a record as one."""
    return dialect.concat_texts([text.concat("\n") for text in text_columns(records).values()])
