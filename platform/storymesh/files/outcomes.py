"""The outcome of each file of a product, and what was read in one: for people who look for what is missing."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from storymesh.engine.engine import Engine
from storymesh.errors import WrongUsage, suggest_name
from storymesh.files.collection import FileCollection
from storymesh.files.extraction.answer_store import FileAnswers
from storymesh.files.inventory import SHA256, Inventory, KnownFile
from storymesh.files.reading_columns import PASSAGES, READER
from storymesh.files.typed import ATTACHMENTS

Outcome = Literal["row", "no row", "left out", "kept", "refused"]
MAX_SUGGESTED = 400


@dataclass(frozen=True)
class FileOutcome:
    """The outcome of a file: it gave a `row`; a model took `no row` of it that the file proves; `where` has `left out`
    it; it cannot be read now, and the row of its earlier version is `kept`; or it is `refused`. `lasting`: only another
    version of it or of the reader changes that.
    """

    uri: str
    size: int
    arrived: datetime | None
    sha256: str | None
    outcome: Outcome
    reason: str | None
    detail: str | None
    lasting: bool


@dataclass(frozen=True)
class FileOutcomes:
    """The outcomes of all files by count, refusals by their reasons, and some of the files, refused ones first.

    `attachments`: of what was read of the files inside them, how many were `read`, `not wanted`, or why not.
    """

    product: str
    files: int
    outcomes: Mapping[str, int]
    reasons: Mapping[str, int]
    sample: Sequence[FileOutcome]
    attachments: Mapping[str, int]


@dataclass(frozen=True)
class ReadFile:
    """A file with what was read in it: its text, the values that expressions see, and where each passage stands."""

    file: FileOutcome
    reader: str | None
    text: str | None
    values: Mapping[str, Any]
    passages: Sequence[Mapping[str, Any]]
    refused_rows: Sequence[str] = ()
    """Why rows that a model gave of it are not published."""
    answers: Sequence[str] = ()
    """What a model answered about it, the latest last."""


def file_outcomes(
    product: str, collection: FileCollection, engine: Engine, most: int, *, refused: bool
) -> FileOutcomes:
    """Return what became of the files of a product at its last run, with at most `most` of them one by one.

    With `refused` only those that are refused are among these.
    """
    known = _require_inventory(product, collection)
    rows = _RowsOfFiles.of(collection, engine)
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    first: list[FileOutcome] = []
    others: list[FileOutcome] = []
    with known:
        for file in known.files():
            found = _outcome(file, rows)
            outcomes[found.outcome] += 1
            if found.reason is not None:
                reasons[found.reason] += 1
            kept = first if found.reason is not None else others
            if len(kept) < most:
                kept.append(found)
        attachments = count_attachments(collection, known)
    sample = [*first, *([] if refused else others)][:most]
    return FileOutcomes(product, outcomes.total(), dict(outcomes), dict(reasons.most_common()), sample, attachments)


def count_attachments(collection: FileCollection, inventory: Inventory) -> dict[str, int]:
    """Return how many files inside of contents were `read`, are of kinds that are `not wanted`, or why they were not
    read, the most frequent first. A content that several files have counts once."""
    import pyarrow.compute as pc

    counts: Counter[str] = Counter()
    if not collection.typed.file.origin.attachments:
        return {}
    for batch in inventory.readings():
        found = pc.list_flatten(batch.column(ATTACHMENTS))
        read = pc.is_valid(pc.struct_field(found, "text"))
        verdicts = pc.coalesce(pc.struct_field(found, "refused"), pc.if_else(read, "read", "not wanted"))
        counts.update({str(item["values"]): item["counts"] for item in pc.value_counts(verdicts).to_pylist()})
    return dict(counts.most_common())


def read_file(product: str, collection: FileCollection, engine: Engine, uri: str) -> ReadFile:
    """Return what was read in one file. Raises WrongUsage for a file that the inventory does not have."""
    with _require_inventory(product, collection) as inventory:
        file = inventory.file(uri)
        if file is None:
            near = [known.uri for known, _ in zip(inventory.files(), range(MAX_SUGGESTED), strict=False)]
            raise WrongUsage(f"'{product}' knows no file '{uri}'", suggest_name(uri, near))
        reading = inventory.reading(file.sha256) if file.sha256 is not None else None
    rows = _RowsOfFiles.of(collection, engine) if reading is not None else _RowsOfFiles()
    found = dict(reading or {})
    found.pop(SHA256, None)
    passages, reader, text = found.pop(PASSAGES, None) or [], found.pop(READER, None), found.pop("text", None)
    refused_rows, answers = _answered(collection, file)
    return ReadFile(_outcome(file, rows), reader, text, found, passages, refused_rows, answers)


def _answered(collection: FileCollection, file: KnownFile) -> tuple[list[str], list[str]]:
    """Return why rows of a file were refused at the last run, and what a model answered about it."""
    if not collection.answers_path.exists() or file.sha256 is None:
        return [], []
    with FileAnswers(collection.answers_path) as answers:
        refused = [row.reason for row in answers.refused(file.uri)]
        return refused, [answer.text for answer in answers.answers_about(file.sha256)]


def _require_inventory(product: str, collection: FileCollection) -> Inventory:
    if not collection.inventory_path.exists():
        raise WrongUsage(f"no file of '{product}' has been looked at yet", f"storymesh run {product}")
    return Inventory(collection.inventory_path, writable=False)


@dataclass(frozen=True)
class _RowsOfFiles:
    """The files that `where` lets in, and those of them of which a model's answers gave rows; None: all that were read.
    `refusals` say of a file why rows of it were refused."""

    let_in: Set[str] | None = None
    gave: Set[str] | None = None
    refusals: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, collection: FileCollection, engine: Engine) -> "_RowsOfFiles":
        """Return them as the last run has left them."""
        let_in = collection.open_rows(engine).uris() if collection.typed.where is not None else None
        extraction = collection.typed.extraction
        if extraction is None or not collection.answers_path.exists():
            return cls(let_in)
        with FileAnswers(collection.answers_path) as answers:
            if not answers.has_asked(extraction.fingerprint):
                return cls(let_in)
            return cls(let_in, answers.files_with_rows(), answers.first_refusals())


def _outcome(file: KnownFile, rows: _RowsOfFiles) -> FileOutcome:
    outcome: Outcome = "row"
    reason, lasting = file.refused, not file.passing
    if file.refused is not None:
        outcome = "kept" if file.passing and file.sha256 is not None else "refused"
    elif rows.let_in is not None and file.uri not in rows.let_in:
        outcome = "left out"
    elif rows.gave is not None and file.uri not in rows.gave:
        outcome, reason = "no row", rows.refusals.get(file.uri)
    moment = (
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=file.modified) if file.modified is not None else None
    )
    return FileOutcome(
        uri=file.uri,
        size=file.size,
        arrived=moment.replace(tzinfo=None) if moment is not None else None,
        sha256=file.sha256,
        outcome=outcome,
        reason=reason,
        detail=file.detail or None,
        lasting=lasting,
    )
