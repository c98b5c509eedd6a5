"""A record as a person reads it: its texts under headings, with values marked on a terminal."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from storymesh.cli.output.trace import mark_spans
from storymesh.narrative.formats import format_of_columns

if TYPE_CHECKING:
    from storymesh.provenance.trace import RenderedCase


def format_record(record: Mapping[str, Any]) -> str:
    """Return the record's id and moment, then each of its texts under its own name; a label last."""
    return mark_record(record, None).plain


def mark_record(record: Mapping[str, Any], traced: "RenderedCase | None") -> Text:
    """Return the same with values marked, as far as `traced` knows where they stand."""
    columns = {column.name: column for column in traced.columns} if traced else {}
    page = Text(f"── {record['id']} · {record['at']}\n")
    for column, name, text in _texts(record):
        page.append(f"[{name}]\n")
        parts = columns[column].parts if column in columns and columns[column].text == text else ()
        page.append_text(
            mark_spans(text, ((part.begin, part.end, part.expression, bool(part.origins)) for part in parts))
        )
        page.append("\n\n")
    if (format_ := format_of_columns(record)) is not None and format_.label is not None:
        page.append(f"[{format_.label}] {record[format_.label]}\n\n")
    page.right_crop(1)
    return page


def _texts(record: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield for each text the column as a trace calls it, the name for people, and the text."""
    if (format_ := format_of_columns(record)) is not None:
        yield from ((column.path, column.name, text) for column, text in format_.texts_in(record))
