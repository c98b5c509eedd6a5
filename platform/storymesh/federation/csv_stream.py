"""CSV as a database writes it, from a pipe: every value as text but for the types that are said, in bounded memory."""

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from storymesh.federation.relation import Relation

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK = 8 * 2**20  # a row has to fit in


def read_csv(
    pipe: io.RawIOBase, schema: "pa.Schema", relation: Relation, raise_failure: Callable[[], None]
) -> "Iterator[pa.RecordBatch]":
    """Yield the rows of a CSV without a header: an empty field is null, an empty text stands in quotes.

    `raise_failure` is called when the pipe has ended, and raises what kept its writer from writing all of it.
    """
    import pyarrow as pa
    import pyarrow.csv as pc

    source = io.BufferedReader(pipe, _BLOCK)
    if not source.peek(1):
        raise_failure()
        return
    options = {
        "read_options": pc.ReadOptions(column_names=schema.names, block_size=_BLOCK),
        "parse_options": pc.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        "convert_options": pc.ConvertOptions(
            column_types=schema,
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    }
    try:
        with pc.open_csv(pa.PythonFile(source, "r"), **options) as reader:
            for batch in reader:
                if batch.num_rows:
                    yield batch
    except pa.ArrowInvalid as error:
        raise_failure()
        words = str(error).splitlines()[0]
        if "straddling" in words or "block" in words:
            words = f"a row takes more than {_BLOCK // 2**20} MiB"
        raise relation.unreadable(words, "leave the column away, or shorten it in a query") from None
    raise_failure()
