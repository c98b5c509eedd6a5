"""The files of one product: what there is, what is known of it, and the rows that come of it."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.engine.engine import Engine
from storymesh.errors import StorymeshError, WrongUsage
from storymesh.federation.variables import fill_variables
from storymesh.files.content import FilePlace, FolderFiles, open_bucket
from storymesh.files.extraction.answer_store import FileAnswers
from storymesh.files.extraction.extraction import ExtractedRows, ExtractProgress, FileExtraction
from storymesh.files.gather import NO_READER, FilesGone, Gathered, GatherProgress, gather
from storymesh.files.inventory import Inventory, KnownFile
from storymesh.files.listing import FileEntry, FilesUnreachable, listing_digest
from storymesh.files.reading.pool import ReaderPool
from storymesh.files.reading.readers import READERS, ReaderMissing, reader_version
from storymesh.files.reading.reading import Kind
from storymesh.files.reading_columns import reading_schema
from storymesh.files.rows import RowsOfFiles, rows_of_files
from storymesh.files.shard import Shard, ShardedPlace, shard_inventories
from storymesh.files.typed import TypedFiles
from storymesh.files.upstream import KnownContent, Upstream
from storymesh.llm.budget import cost_of_tokens
from storymesh.llm.model_settings import max_output_tokens

if TYPE_CHECKING:
    import pyarrow as pa

_PASSING = "tried again"
_FRAME = 2_000  # bytes of a prompt that are ours


@dataclass(frozen=True)
class FilesPlan:
    """The plan of a run, before anything is read: how many files there are and how many it would open, some of which
    may be renamed ones. `passing` are tried again, `gone` are known from an earlier run and missing; `calls` of a model
    would cost at most `usd` (None: no price is set)."""

    listed: int
    bytes: int
    opened: int
    opened_bytes: int
    passing: int
    gone: int
    calls: int
    usd: Decimal | None


@dataclass(frozen=True)
class FilesObserved:
    """An observation of files: how many there are, and a `version` that changes with any of them (None: not known
    yet)."""

    version: str | None
    files: int
    bytes: int


@dataclass(frozen=True)
class FileCollection:
    """The files of a product: `folder` is its domain's, `inventory_path` where the inventory is kept.

    `upstream` is the product whose column has them, where they are those of a product. Of a `shard` it is the files
    of that one alone, which are taken over by the `whole`, whose inventory is there.
    """

    typed: TypedFiles
    folder: Path
    inventory_path: Path
    upstream: Upstream | None = None
    shard: Shard | None = None
    whole: Path | None = None

    def of_shard(self, shard: Shard) -> "FileCollection":
        """Return the files of one shard, with what is known of them in an inventory of their own."""
        return replace(self, shard=shard, whole=self.inventory_path, inventory_path=shard.path(self.inventory_path))

    def source_digest(self) -> str | None:
        """Return a digest of the files that the rows come from, without opening any; None if there is none to give."""
        try:
            content = self._content_digest()
            shaping = [self._definition, self.reader_key, content]
        except (StorymeshError, OSError):
            return None
        if content is None:
            return None
        if self.inventory_path.exists():
            with Inventory(self.inventory_path, writable=False) as inventory:
                if inventory.count_passing():
                    return None
        if self.answers_path.exists():
            with FileAnswers(self.answers_path) as answers:
                if answers.count_passing():
                    return None
        return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()

    def observe(self) -> FilesObserved:
        """Observe the files for a sensor. Raises FilesUnreachable.

        Where the files are those of a product, its version stands for them.
        """
        if self.upstream is not None:
            return FilesObserved(self.upstream.version, 0, 0)
        counts: Counter[str] = Counter()

        def counted() -> Iterator[FileEntry]:
            for entry in self._open_place(None, _nothing_known).list_files():
                counts["files"] += 1
                counts["bytes"] += entry.size
                yield entry

        version = listing_digest(counted())
        return FilesObserved(version, counts["files"], counts["bytes"])

    def _content_digest(self) -> str | None:
        if self.upstream is not None:
            return self.upstream.version if self.typed.file.origin.text is not None else None
        return listing_digest(self._open_place(None, _nothing_known).list_files())

    @property
    def _definition(self) -> dict[str, Any]:
        file, extraction = self.typed.file, self.typed.extraction
        told = file.model_dump(mode="json", exclude={"limits": {"gone"}, "shards": True})
        return told if extraction is None else {**told, "extraction": extraction.fingerprint}

    @cached_property
    def reader_key(self) -> str:
        """The identity of the readers (versions, options, columns): equal contents have equal readings under an equal
        key.

        Raises ReaderMissing.
        """
        origin = self.typed.file.origin
        versions = [[origin.kind, *self._version(origin.kind, "read")]]
        for kind in origin.attachments:
            missing = kind in self.missing_readers
            versions.append([kind, NO_READER] if missing else [kind, *self._version(kind, "attachments")])
        columns = reading_schema(self.typed.file).to_string()
        words = json.dumps([versions, columns, sorted(self.options(origin.kind).items())])
        return hashlib.sha256(words.encode()).hexdigest()

    @cached_property
    def missing_readers(self) -> frozenset[Kind]:
        """The kinds of attachments that cannot be read on this machine, where no row depends on their content.

        Raises ReaderMissing where one does: else its rows would be others on a machine that has the reader.
        """
        missing = set()
        for kind in self.typed.file.origin.attachments:
            try:
                reader_version(kind, self.options(kind))
            except ReaderMissing as error:
                if (place := self.typed.reads_attachments) is not None:
                    raise ReaderMissing(f"{place}: this is read of attachments: {error.message}", error.hint) from None
                missing.add(kind)
        return frozenset(missing)

    def _version(self, kind: Kind, field: str) -> tuple[str, str]:
        try:
            found = reader_version(kind, self.options(kind))
        except ReaderMissing as error:
            place = self.typed.source.document.at("from", field)
            raise ReaderMissing(f"{place}: {error.message}", error.hint) from None
        return found.reader, found.version

    def options(self, kind: Kind) -> dict[str, Any]:
        """Return the options of the reader of a kind. Raises WrongUsage for a variable that is not set."""
        given = self.typed.file.origin.reader.model_dump(exclude_none=True)
        if "model" in given:
            given["model"] = self._filled(given["model"])
        return {name: value for name, value in given.items() if name in READERS[kind].options}

    def _open_place(self, engine: Engine | None, known: KnownContent) -> FilePlace:
        place = self._whole_place(engine, known)
        return place if self.shard is None else ShardedPlace(place, self.shard)

    def _whole_place(self, engine: Engine | None, known: KnownContent) -> FilePlace:
        """Return where the files are. Raises FilesUnreachable, and WrongUsage for a variable that is not set."""
        origin = self.typed.file.origin
        if self.upstream is not None:
            assert engine is not None
            return self.upstream.place(engine, origin, known, self.typed.file.limits.of_file)
        assert origin.files is not None
        patterns = [self._filled(pattern) for pattern in origin.files]
        if "://" not in patterns[0]:
            return FolderFiles(self.folder, patterns)
        bucket, _, _ = patterns[0].removeprefix("s3://").partition("/")
        prefix = f"s3://{bucket}/"
        if not bucket or not all(pattern.startswith(prefix) for pattern in patterns):
            words = f"{self.typed.source.document.path} reads files at {', '.join(patterns)}"
            raise FilesUnreachable(words, "write s3://bucket/pattern, of one bucket")
        return open_bucket(bucket, [pattern.removeprefix(prefix) for pattern in patterns])

    def _filled(self, text: str) -> str:
        """Return a text of the definition with its variables. Raises WrongUsage for one that is not set."""

        def unset(name: str) -> WrongUsage:
            words = f"{self.typed.source.document.path} says {text}, and {name} is not set"
            return WrongUsage(words, f"set {name} in the environment, or write ${{{name}:-otherwise}}")

        return fill_variables(text, unset)

    def gather(self, engine: Engine, progress: GatherProgress | None = None) -> Gathered:
        """Read what is new or changed. Raises FilesUnreachable, FilesGone and ReaderMissing."""
        file = self.typed.file
        limits = file.limits.of_file
        with Inventory(self.inventory_path) as inventory:
            place = self._open_place(engine, inventory.known_content)
            known = {"bytes": limits.bytes, "seconds": limits.seconds, "memory": limits.memory}
            inventory.prepare(self.reader_key, known)
            self._merge_from(inventory)
            with ReaderPool(limits, max(1, os.cpu_count() or 1)) as readers:
                try:
                    gathered = gather(inventory, place, file, readers, self.options, progress, self.missing_readers)
                except FilesGone as error:
                    where = self.typed.source.document.at("limits", "gone")
                    raise FilesGone(f"{where}: {error.message}", error.hint) from None
        for path in self._shards:
            with Inventory(path) as inventory:
                inventory.keep_files_of(self.inventory_path)
        return gathered

    @property
    def _shards(self) -> list[Path]:
        """The inventories of the shards, where this is the whole."""
        return shard_inventories(self.inventory_path) if self.shard is None else []

    def _merge_from(self, inventory: Inventory) -> None:
        """Merge what the shards have read; a shard starts from what the whole has read of it."""
        for path in self._shards:
            inventory.merge_from(path)
        if self.shard is not None and self.whole is not None and self.whole.exists():
            inventory.merge_from(self.whole, self.shard.has)

    @property
    def answers_path(self) -> Path:
        """Where the answers of a model are kept, beside the inventory."""
        return answers_beside(self.inventory_path)

    @property
    def _other_answers(self) -> tuple[Path, ...]:
        """Other stores of answers that were paid for already: those of the shards, or that of the whole."""
        inventories = self._shards if self.whole is None else [self.whole]
        return tuple(path for path in map(answers_beside, inventories) if path.exists())

    def extract_rows(self, engine: Engine, progress: ExtractProgress | None = None) -> RowsOfFiles:
        """Return the rows of the files that have been read, with the properties that a model extracts; it is asked only
        what it has not answered before. Raises NarratorFailed."""
        extraction = self.typed.extraction
        if extraction is None:
            return self.open_rows(engine)
        asking = FileExtraction(extraction, self.answers_path, tuple(self.typed.take), self._other_answers)
        upstream = self.upstream.table(engine) if self.upstream is not None else None
        with Inventory(self.inventory_path, writable=False) as inventory:

            def ask(readings: "Iterator[pa.RecordBatch]") -> ExtractedRows:
                return asking.extract(readings, inventory.contents, progress)

            rows = rows_of_files(engine, inventory, self.typed, upstream, ask)
            for path in map(answers_beside, self._shards):
                if path.exists():
                    with FileAnswers(path) as answers:
                        answers.keep_contents(inventory.contents())
        return rows

    def open_rows(self, engine: Engine) -> RowsOfFiles:
        """Return the rows of the files that have been read, without the properties that a model extracts."""
        upstream = self.upstream.table(engine) if self.upstream is not None else None
        with Inventory(self.inventory_path, writable=False) as inventory:
            return rows_of_files(engine, inventory, self.typed, upstream)

    def refused(self) -> list[KnownFile]:
        """Return the files that give no row because they could not be read."""
        with Inventory(self.inventory_path, writable=False) as inventory:
            return [file for file in inventory.files(refused=True) if not (file.passing and file.sha256)]

    @property
    def _known_path(self) -> Path | None:
        return self.inventory_path if self.inventory_path.exists() else None

    def plan(self, engine: Engine) -> FilesPlan:
        """Return what a run would do. Nothing is opened."""
        counts: Counter[str] = Counter()

        def counted() -> Iterator[FileEntry]:
            for entry in self._open_place(engine, _nothing_known).list_files():
                counts["listed"] += 1
                counts["bytes"] += entry.size
                yield entry

        with Inventory(self._known_path, writable=self._known_path is None) as inventory:
            stale = not inventory.is_of(self.reader_key)
            counts["opened"] = inventory.take_listing(counted(), stale=stale)
            counts["opened_bytes"] = sum(entry.size for entry in inventory.pending())
            counts["passing"] = inventory.count_passing()
            _, counts["gone"] = inventory.count_missing()
        fields: Mapping[str, int] = {
            name: counts[name] for name in ("listed", "bytes", "opened", "opened_bytes", "passing", "gone")
        }
        calls, usd = self._plan_calls(counts)
        return FilesPlan(**fields, calls=calls, usd=usd)

    def _plan_calls(self, counts: Mapping[str, int]) -> tuple[int, Decimal | None]:
        """Return about how many files a model would be asked, and the maximum cost over all attempts. No tokenizer
        yields more tokens than bytes."""
        extraction = self.typed.extraction
        if extraction is None:
            return 0, Decimal(0)
        calls, size = counts["listed"], counts["bytes"]
        if self.answers_path.exists():
            with FileAnswers(self.answers_path) as answers:
                if answers.has_asked(extraction.fingerprint):
                    calls, size = counts["opened"] + answers.count_passing(), counts["opened_bytes"]
        definition = extraction.definition
        most = max_output_tokens(definition.parameters)
        if not calls or definition.price is None or most is None:
            return calls, None if calls else Decimal(0)
        own = len(extraction.prompt_text) + len(str(extraction.schema)) + _FRAME
        once = cost_of_tokens(definition.price, size + calls * own, calls * most)
        return calls, None if once is None else once * definition.attempts


def _nothing_known(_: str) -> None:
    """Report no content as known: for listings."""


def answers_beside(inventory: Path) -> Path:
    """Return where the answers about the files of an inventory are kept."""
    return inventory.with_name(f"{inventory.stem}.answers.sqlite")


def reason_of(file: KnownFile) -> str:
    """Return the reason under which a refused file is counted."""
    return f"file: {file.refused}" + (f" ({_PASSING})" if file.passing else "")
