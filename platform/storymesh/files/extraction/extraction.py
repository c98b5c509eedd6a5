"""The rows of files as a model gives them: asked about what is not stored, proven, and handed on in columns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.contract.types import arrow_type
from storymesh.files.extraction.answer_store import FileAnswers, RowRefused
from storymesh.files.extraction.ask import FileAnswer, FileQuestion, ask_about_files
from storymesh.files.extraction.definition import LABELS, LINES, TypedExtraction
from storymesh.files.extraction.verified_rows import ReadContent
from storymesh.files.reading.reading import Passage
from storymesh.llm.budget import Usage

if TYPE_CHECKING:
    import pyarrow as pa

URI, SHA256, TEXT, PASSAGES, READER = "storymesh:uri", "sha256", "text", "passages", "reader"
ORDINAL = "storymesh:ordinal"
_BATCH = 2_000

ExtractProgress = Callable[[int], None]
"""It is given how many files have been asked about."""


@dataclass
class ExtractedRows:
    """The rows that a model gave and the files prove, and what was refused, in no order of files."""

    table: "pa.Table"
    refused: list[RowRefused]
    usage: Usage


def prompt_columns(extraction: TypedExtraction) -> frozenset[str]:
    """Return the names of a reading that questions are made of."""
    printed = extraction.prompt.names - {LABELS, LINES}
    return printed | {TEXT, PASSAGES, READER}


@dataclass
class _Columns:
    """Rows on their way into Arrow."""

    schema: "pa.Schema"
    batches: "list[pa.RecordBatch]" = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if len(self.rows) == _BATCH:
            self.flush()

    def flush(self) -> None:
        import pyarrow as pa

        if self.rows:
            self.batches.append(pa.RecordBatch.from_pylist(self.rows, self.schema))
            self.rows = []

    def table(self) -> "pa.Table":
        import pyarrow as pa

        self.flush()
        return pa.Table.from_batches(self.batches, self.schema)


@dataclass(frozen=True)
class FileExtraction:
    """The extraction of one product: its answers are kept at `answers_path`, and those that `others` have are not paid
    again. `taken` are the properties that need no model."""

    extraction: TypedExtraction
    answers_path: Path
    taken: tuple[str, ...]
    others: tuple[Path, ...] = ()

    def extract(
        self,
        readings: "Iterator[pa.RecordBatch]",
        alive: Callable[[], Iterator[str]],
        progress: ExtractProgress | None = None,
    ) -> ExtractedRows:
        """Return the rows of some readings: batches with `URI`, the SHA-256, and the columns of `prompt_columns`.

        `alive` gives the contents that there are; answers about others are erased. Raises NarratorFailed.
        """
        columns = _Columns(self._schema())
        refused: list[RowRefused] = []
        used: list[tuple[str, str]] = []
        gave: list[str] = []
        usage = Usage()

        def take(answer: FileAnswer) -> None:
            if answer.rows:
                gave.append(answer.question.uri)
            refused.extend(answer.refused)
            used.extend((key, answer.question.content.sha256) for key in answer.keys)
            for ordinal, (values, evidence) in enumerate(answer.rows):
                columns.add(self._row(answer.question, ordinal, values, evidence))
            if progress is not None:
                progress(usage.records)

        with FileAnswers(self.answers_path) as answers:
            for path in self.others:
                answers.merge_from(path, alive())
            ask_about_files(self.extraction, _questions(readings), answers, take, usage)
            answers.finish_run(self.extraction.fingerprint, used, alive(), refused, gave)
        return ExtractedRows(columns.table(), refused, usage)

    def _row(
        self, question: FileQuestion, ordinal: int, values: dict[str, Any], evidence: list[dict[str, Any]]
    ) -> dict[str, Any]:
        row = {URI: question.uri, ORDINAL: ordinal, **values}
        if (column := self.extraction.contract.evidence) is not None:
            content = question.content
            taken = {"how": "taken", "sha256": content.sha256, "reader": content.reader}
            items = [*({"property": name, **taken} for name in self.taken), *evidence]
            row[column] = [item | {"uri": question.uri} for item in items]
        return row

    def _schema(self) -> "pa.Schema":
        import pyarrow as pa

        contract = self.extraction.contract
        own = [pa.field(URI, pa.string()), pa.field(ORDINAL, pa.int64())]
        names = [item.name for item in self.extraction.asked]
        names += [contract.evidence] if contract.evidence is not None else []
        return pa.schema([*own, *(pa.field(name, arrow_type(contract.properties[name].type)) for name in names)])


def _questions(readings: "Iterator[pa.RecordBatch]") -> Iterator[FileQuestion]:
    for batch in readings:
        for row in batch.to_pylist():
            uri, sha256, passages, reader = row.pop(URI), row.pop(SHA256), row.pop(PASSAGES), row.pop(READER)
            mail = row.get("mail")
            sent = mail.get("date") if isinstance(mail, dict) else None
            found = [Passage(**{**item, "box": _pair(item["box"]), "seconds": _pair(item["seconds"])})
                     for item in passages or ()]  # fmt: skip
            content = ReadContent(sha256, row[TEXT] or "", found, reader, sent.date() if sent is not None else None)
            yield FileQuestion(uri, content, row)


def _pair(values: list[float] | None) -> Any:
    return tuple(values) if values is not None else None
