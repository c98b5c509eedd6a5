"""Records that repeat an evaluation set: a run of words in common means training on what a model is tested on.

The evaluation set is cut into runs of words and hashed once; the engine cuts and hashes records as they stream by and
joins them with the hashes, so memory grows with the evaluation set and never with the records. A release keeps the
hashes, which reveal no text: with them it can be rebuilt where the evaluation set is not available.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis

from storymesh.engine import dialect
from storymesh.errors import StorymeshError
from storymesh.input_file import open_input
from storymesh.product.sources.bounds import most_bytes
from storymesh.product.sources.parquet_pages import PagesRefused, require_bounded_file
from storymesh.release.curation.texts import text_columns
from storymesh.release.manifest import EvaluationSummary

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.expr.types import IntegerValue, StringValue, Table

    from storymesh.engine.engine import Engine

IN_EVALUATION = "in evaluation set"
MAX_LINE = 64 * 2**20  # characters
_TEXTS = 10_000  # of an evaluation set, in memory at once
_RECORDS = 20_000  # checked against it at once


@dataclass(frozen=True)
class EvaluationSet:
    """An evaluation set as records are checked against it.

    `runs` is a table of the engine: run (64 bits of the MD5 of `length` words), file and item, each run once.
    """

    runs: "Table"
    length: int
    summary: EvaluationSummary

    def find_contaminated(self, engine: "Engine", records: "Table") -> "pa.Table":
        """Return id, dropped and same_as, `<file>:<item>`, of the records that have a run in common with the set.

        Of several items the first in the order of files is named. Records are checked some thousand at a time, so that
        many take no more memory, whichever side of the join the engine keeps.
        """
        import pyarrow as pa

        parts = 1 + int(engine.fetch_value(records.count())) // _RECORDS
        return pa.concat_tables(
            engine.fetch_table(
                self._matches(
                    records.filter(dialect.hash_bucket(records["id"], parts) == part) if parts > 1 else records
                )
            )
            for part in range(parts)
        )

    def _matches(self, records: "Table") -> "Table":
        texts = [records.select("id", text=text) for text in text_columns(records).values()]
        runs = word_runs(ibis.union(*texts), self.length)
        common = runs.inner_join(self.runs, "run").distinct()
        first = common.mutate(place=ibis.row_number().over(group_by="id", order_by=["file", "item"]))
        first = first.filter(first["place"] == 0)
        item = first["file"].concat(":", first["item"].cast("string"))
        return first.select("id", dropped=ibis.literal(IN_EVALUATION), same_as=item)


def read_evaluation_set(engine: "Engine", files: Mapping[str, Path], length: int) -> EvaluationSet:
    """Return the evaluation set in `files` (name -> text, JSON lines or Parquet).

    An item is a paragraph of a text, named by its line, a line of JSON, or a row; of the last two every text in them
    counts. What is shorter than a run cannot be recognised, which the summary counts. Raises StorymeshError for a file
    that is not what its suffix says.
    """
    import pyarrow as pa

    schema = pa.schema([("file", pa.string()), ("item", pa.int64()), ("text", pa.string())])
    texts = engine.materialize(_batches(files, schema), schema)
    all_runs = word_runs(texts, length)
    placed = all_runs.mutate(place=ibis.row_number().over(group_by="run", order_by=["file", "item"]))
    runs = engine.materialize(placed.filter(placed["place"] == 0).drop("place"))
    items, recognisable = (
        int(engine.fetch_value(table.select("file", "item").distinct().count())) for table in (texts, all_runs)
    )
    summary = EvaluationSummary(
        files={name: _file_digest(path) for name, path in files.items()},
        items=items,
        too_short=items - recognisable,
        runs=engine.fetch_value(runs.count()),
        digest=engine.content_digest(runs),
    )
    return EvaluationSet(runs, length, summary)


def load_evaluation_hashes(engine: "Engine", path: Path, length: int, summary: EvaluationSummary) -> EvaluationSet:
    """Return the evaluation set of a release, from the hashes that it keeps and the summary of its manifest."""
    runs = engine.read_parquet(path)
    counted = {"runs": engine.fetch_value(runs.count()), "digest": engine.content_digest(runs)}
    return EvaluationSet(runs, length, summary.model_copy(update=counted))


def write_evaluation_hashes(engine: "Engine", evaluation: EvaluationSet, path: Path) -> None:
    """Write the hashes of an evaluation set into a release."""
    engine.write_parquet(evaluation.runs.order_by("run"), path)


def word_runs(
    texts: "Table", length: int, hashed: "Callable[[StringValue], IntegerValue]" = dialect.hash_text
) -> "Table":
    """Return the rows with `run`, the hash of every `length` words in `text`, in place of the text."""
    others = [name for name in texts.columns if name != "text"]
    words = dialect.materialization_barrier(texts.select(*others, words=dialect.split_words(texts["text"])))
    long_enough = dialect.materialization_barrier(words.filter(words["words"].length() >= length))
    runs = dialect.map_items(dialect.word_ngrams(long_enough["words"], length), hashed)
    return long_enough.select(*others, run=runs.unnest())


def _batches(files: Mapping[str, Path], schema: "pa.Schema") -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    for name, path in files.items():
        for item, text in _read_items(name, path):
            rows.append({"file": name, "item": item, "text": text})
            if len(rows) >= _TEXTS:
                yield pa.RecordBatch.from_pylist(rows, schema)
                rows = []
    yield pa.RecordBatch.from_pylist(rows, schema)


def _read_items(name: str, path: Path) -> Iterator[tuple[int, str]]:
    """Yield (item, text) of every text in the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    match path.suffix.lower():
        case ".parquet":
            try:
                number = 0
                with _open_file(path) as file:
                    require_bounded_file(file, most_bytes(path))
                    for batch in pq.ParquetFile(file, pre_buffer=False).iter_batches(_TEXTS):
                        for row in batch.to_pylist():
                            number += 1
                            yield from ((number, text) for text in _texts(row))
            except PagesRefused as refused:
                message = f"{name} of the evaluation set {refused}"
                raise StorymeshError(message, "mend the file, or leave it out of `dataset.decontaminate`") from None
            except (OSError, pa.ArrowException) as error:
                raise _unreadable(name, "Parquet", error) from None
        case ".jsonl":
            for number, line in _lines(name, path):
                if not line.strip():
                    continue
                try:
                    yield from ((number, text) for text in _texts(json.loads(line)))
                except (ValueError, RecursionError) as error:
                    raise _unreadable(f"{name}:{number}", "JSON", error) from None
        case _:
            begin, paragraph = 1, list[str]()
            for number, line in _lines(name, path):
                if line.strip():
                    begin = begin if paragraph else number
                    paragraph.append(line)
                elif paragraph:
                    yield begin, "".join(paragraph)
                    paragraph = []
            if paragraph:
                yield begin, "".join(paragraph)


def _lines(name: str, path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text with their numbers. A sparse file is one line of any length: it is not read whole."""
    try:
        with io.TextIOWrapper(_open_file(path), encoding="utf-8-sig") as file:
            for number in count(1):
                line = file.readline(MAX_LINE + 1)
                if len(line) > MAX_LINE:
                    message = f"{name}:{number} of the evaluation set is longer than {MAX_LINE // 2**20} MiB"
                    raise StorymeshError(message, "divide it into items of a line each")
                if not line:
                    return
                yield number, line
    except UnicodeDecodeError as error:
        raise _unreadable(name, "UTF-8 text", error) from None


def _open_file(path: Path) -> BufferedReader:
    """Return a file of an evaluation set, opened. Raises InputFileRefused for what became something else meanwhile."""
    target = path.resolve()
    return open_input(target, target.parent)


def _file_digest(path: Path) -> str:
    with _open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unreadable(place: str, what: str, error: Exception) -> StorymeshError:
    words = f"{place} of the evaluation set is no {what}: {' '.join(str(error).split())[:120]}"
    return StorymeshError(words, "mend the file, or leave it out of `dataset.decontaminate`")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)
