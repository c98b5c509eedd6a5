"""A record as a person reads it: its texts under headings, with values marked on a terminal."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from storymesh.cli.output.trace import mark_spans
from storymesh.narrative.formats import format_of_columns
from storymesh.printable import printable

if TYPE_CHECKING:
    from storymesh.provenance.trace import RenderedCase


def format_record(record: Mapping[str, Any]) -> str:
    """Return the record's id and moment, then each of its texts, as they are, under its own name; a label last."""
    texts = "".join(f"[{name}]\n{text.rstrip()}\n\n" for _, name, text in _texts(record))
    return f"{_head(record)}{texts}{_label(record)}"[:-1]


def mark_record(record: Mapping[str, Any], traced: "RenderedCase") -> Text:
    """Return the same for a terminal, with values marked where `traced` knows where they stand."""
    columns = {column.name: column for column in traced.columns}
    page = Text(printable(_head(record)))
    for column, name, text in _texts(record):
        page.append(f"[{name}]\n")
        parts = columns[column].parts if column in columns and columns[column].text == text else ()
        page.append_text(
            mark_spans(text, ((part.begin, part.end, part.expression, bool(part.origins)) for part in parts))
        )
        page.append("\n\n")
    page.append(printable(_label(record)))
    page.right_crop(1)
    return page


def _head(record: Mapping[str, Any]) -> str:
    return f"── {record['id']} · {record['at']}\n"


def _label(record: Mapping[str, Any]) -> str:
    format_ = format_of_columns(record)
    return f"[{format_.label}] {record[format_.label]}\n\n" if format_ is not None and format_.label is not None else ""


def _texts(record: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield for each text the column as a trace calls it, the name for people, and the text."""
    if (format_ := format_of_columns(record)) is not None:
        yield from ((column.path, column.name, text) for column, text in format_.texts_in(record))
