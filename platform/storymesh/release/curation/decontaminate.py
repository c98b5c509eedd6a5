"""Records that repeat an evaluation set: a run of words that both have says that a model would be tested on what it
was trained on.

The evaluation set is cut into runs of words and hashed once; records are cut and hashed by the engine as they stream by
and meet the hashes in a join, so that memory grows with the evaluation set and never with the records. A release keeps
the hashes, which give no text away: with them it can be made again, also where the evaluation set is not at hand.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis

from storymesh.engine import dialect
from storymesh.errors import StorymeshError
from storymesh.release.curation.texts import texts_of

if TYPE_CHECKING:
    import pyarrow as pa
    from ibis.expr.types import Table

    from storymesh.engine.engine import Engine

IN_EVALUATION = "in evaluation set"
RUNS = "evaluation.parquet"  # in a release's definition
_TEXTS = 10_000  # of an evaluation set, in memory at once
_RECORDS = 20_000  # held against it at once


@dataclass(frozen=True)
class Evaluation:
    """An evaluation set as records are held against it. `runs` is a table of the engine: run (64 bits of the MD5 of
    `length` words), file and item, each run once; `said` is what the lock says of it."""

    runs: "Table"
    length: int
    said: Mapping[str, Any]

    def contaminated(self, records: "Table") -> "pa.Table":
        """id, dropped and same_as, `<file>:<item>`, of the records that have a run in common with it: the first item,
        in the order of files, where there are several. Some thousand records at a time, so that it takes no more memory
        for many, whichever side of the join the engine keeps."""
        import pyarrow as pa

        parts = 1 + _count(records) // _RECORDS
        return pa.concat_tables(
            self._met(
                records.filter(dialect.hash_bucket(records["id"], parts) == part) if parts > 1 else records
            ).to_pyarrow()
            for part in range(parts)
        )

    def _met(self, records: "Table") -> "Table":
        texts = [records.select("id", text=text) for text in texts_of(records).values()]
        cut = _cut(ibis.union(*texts) if len(texts) > 1 else texts[0], self.length)
        met = cut.inner_join(self.runs, "run").distinct()
        first = met.mutate(place=ibis.row_number().over(group_by="id", order_by=["file", "item"]))
        first = first.filter(first["place"] == 0)
        item = first["file"].concat(":", first["item"].cast("string"))
        return first.select("id", dropped=ibis.literal(IN_EVALUATION), same_as=item)


def read_evaluation(engine: "Engine", files: Mapping[str, Path], length: int) -> Evaluation:
    """The evaluation set in `files` (name -> text, JSON lines or Parquet). An item is a paragraph of a text, known by
    its line, a line of JSON, or a row; of the last two every text in them counts. What is shorter than a run is not
    found again, which `said` counts. Raises StorymeshError for a file that is not what its ending says."""

    texts = _stored(engine, _batches(files))
    where = _cut(texts, length)
    placed = where.mutate(place=ibis.row_number().over(group_by="run", order_by=["file", "item"]))
    first = placed.filter(placed["place"] == 0).drop("place")
    runs = engine.materialize(first)
    items = texts.select("file", "item").distinct()
    known = where.select("file", "item").distinct()
    said = {
        "files": {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()},
        "items": _count(items),
        "too_short": _count(items) - _count(known),
    }
    return Evaluation(runs, length, {**said, **_said(engine, runs)})


def kept_evaluation(engine: "Engine", path: Path, length: int, said: Mapping[str, Any]) -> Evaluation:
    """The evaluation set of a release, from the hashes that it keeps and what its lock says of them."""
    runs = engine.read_parquet(path)
    return Evaluation(runs, length, {**said, **_said(engine, runs)})


def keep_evaluation(engine: "Engine", evaluation: Evaluation, path: Path) -> None:
    engine.write_parquet(evaluation.runs.order_by("run"), path)


def _said(engine: "Engine", runs: "Table") -> dict[str, Any]:
    return {"runs": _count(runs), "digest": engine.content_digest(runs)}


def _cut(texts: "Table", length: int) -> "Table":
    """The rows with `run`, the hash of every `length` words in `text`, in its place."""
    others = [name for name in texts.columns if name != "text"]
    words = dialect.materialization_barrier(texts.select(*others, words=dialect.split_words(texts["text"])))
    long = dialect.materialization_barrier(words.filter(words["words"].length() >= length))
    return long.select(
        *others, run=dialect.map_items(dialect.word_ngrams(long["words"], length), dialect.hash_text).unnest()
    )


def _batches(files: Mapping[str, Path]) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    schema = pa.schema([("file", pa.string()), ("item", pa.int64()), ("text", pa.string())])
    rows: list[dict[str, Any]] = []
    for name, path in files.items():
        for item, text in _read(name, path):
            rows.append({"file": name, "item": item, "text": text})
            if len(rows) >= _TEXTS:
                yield pa.RecordBatch.from_pylist(rows, schema)
                rows = []
    yield pa.RecordBatch.from_pylist(rows, schema)


def _read(name: str, path: Path) -> Iterator[tuple[int, str]]:
    """Item and text of everything that the file says."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    match path.suffix.lower():
        case ".parquet":
            try:
                number = 0
                for batch in pq.ParquetFile(path).iter_batches(_TEXTS):
                    for row in batch.to_pylist():
                        number += 1
                        yield from ((number, text) for text in _texts(row))
            except (OSError, pa.ArrowException) as error:
                raise _unreadable(name, "Parquet", error) from None
        case ".jsonl":
            for number, line in _lines(name, path):
                if not line.strip():
                    continue
                try:
                    yield from ((number, text) for text in _texts(json.loads(line)))
                except ValueError as error:
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
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from enumerate(file, 1)
    except UnicodeDecodeError as error:
        raise _unreadable(name, "UTF-8 text", error) from None


def _unreadable(place: str, what: str, error: Exception) -> StorymeshError:
    words = f"{place} of the evaluation set is no {what}: {' '.join(str(error).split())[:120]}"
    return StorymeshError(words, "mend the file, or leave it out of `dataset.decontaminate`")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def _stored(engine: "Engine", batches: "Iterator[pa.RecordBatch]") -> "Table":
    """The rows of the batches, one after the other: what goes wrong with one is then said in its own words."""
    from ibis.util import gen_name

    name, connection = gen_name("texts"), engine.connection.con
    connection.execute(f'CREATE TEMP TABLE "{name}" (file VARCHAR, item BIGINT, text VARCHAR)')
    for batch in batches:
        connection.register(f"{name}_given", batch)
        connection.execute(f'INSERT INTO "{name}" FROM "{name}_given"')
        connection.unregister(f"{name}_given")
    return engine.connection.table(name)


def _count(table: "Table") -> int:
    return int(table.count().to_pyarrow().as_py())
