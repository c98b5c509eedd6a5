"""A note of what the published snapshot of a product was made from: to publish the same again, no row is read.

The note is kept beside the product's table. It is believed only where everything that shapes a publication is as it was
then, the product's readers still see that snapshot, and its files are byte for byte what was published.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict

from storymesh.contract.audit import audit_again, depends_on_moment
from storymesh.contract.checks import Check, CheckResult, checks_of
from storymesh.contract.definition import Contract, restricted_properties
from storymesh.engine.engine import OpenEngine
from storymesh.input_file import file_digest
from storymesh.product.definition import Product
from storymesh.product.publication import Publication
from storymesh.product.sealed_note import SealedNote
from storymesh.product.software import software_digest
from storymesh.product.store import ProductStore, Snapshot, StoreDamaged


class _NotedResult(BaseModel):
    """The outcome of a check; which check it is, its place among those of the contract says."""

    model_config = ConfigDict(frozen=True)

    passed: bool
    failed_rows: int | None
    observed: str | None
    words: str


class _Note(SealedNote):
    """The content of the note. `files` are the SHA-256 of the files of the snapshot and of the quarantine, by their
    path in the domain's folder of the store."""

    inputs: str
    snapshot_id: int
    files: Mapping[str, str]
    rows_in: int
    rows_out: int
    quarantined: Mapping[str, int]
    quarantine: str | None
    results: Sequence[_NotedResult]


class PublicationState:
    """A check of whether a publication would give what the last one gave.

    `read_source` returns a digest of the bytes that the rows are read from; None where they do not say which rows they
    give.
    """

    def __init__(
        self, store: ProductStore, product: Product, contract: Contract, read_source: Callable[[], str | None]
    ) -> None:
        self._store = store
        self._product = product
        self._contract = contract
        self._read_source = read_source
        self._path = store.folder / "publications" / f"{product.name}.json"
        self._inputs = self._inputs_digest()

    def find_unchanged(self, open_engine: OpenEngine) -> Publication | None:
        """Return the last publication with the checks as they come out now, if another would give the same."""
        note, checks = _Note.read_from(self._path), checks_of(self._contract)
        if note is None or note.inputs != self._inputs or len(note.results) != len(checks):
            return None
        snapshot = self._store.latest_snapshot(self._product.name)
        if snapshot is None or snapshot.snapshot_id != note.snapshot_id:
            return None
        quarantine = self._store.folder / note.quarantine if note.quarantine is not None else None
        try:
            if self._hash_files(snapshot, quarantine) != note.files:
                return None
        except (OSError, StoreDamaged):
            return None
        results = tuple(map(_as_result, checks, note.results))
        if any(map(_may_turn, checks, results)):
            with open_engine() as engine:
                results = audit_again(engine, self._contract, list(snapshot.files), results)
        if any(result.kind == "table" and result.severity == "error" and not result.passed for result in results):
            return None  # whoever publishes again says that it is held back
        return Publication(
            product=self._product.id,
            snapshot=snapshot,
            unchanged=True,
            rows_in=note.rows_in,
            rows_out=note.rows_out,
            quarantined=MappingProxyType(dict(note.quarantined)),
            quarantine_path=quarantine,
            checks=results,
        )

    def is_noted(self, publication: Publication) -> bool:
        """Return True if each check of a publication has passed or failed when its outcome was last noted, as now."""
        note = _Note.read_from(self._path)
        return note is not None and _verdicts(note.results) == _verdicts(publication.checks)

    def note_results(self, publication: Publication) -> None:
        """Note how the checks of an unchanged publication come out now, where one that depends on the moment comes out
        otherwise than before."""
        note = _Note.read_from(self._path)
        if note is not None and not self.is_noted(publication):
            note.model_copy(update={"results": _as_note(publication)}).write_to(self._path)

    def forget(self) -> None:
        """Begin a publication: what it leaves behind is not known before it has ended."""
        self._path.unlink(missing_ok=True)

    def record(self, publication: Publication) -> None:
        """Note a publication that has ended well, where its source is still what it was when this state was made."""
        snapshot = publication.snapshot
        if snapshot is None or self._inputs is None or self._inputs != self._inputs_digest():
            return
        quarantine = publication.quarantine_path
        note = _Note(
            inputs=self._inputs,
            snapshot_id=snapshot.snapshot_id,
            files=self._hash_files(snapshot, quarantine),
            rows_in=publication.rows_in,
            rows_out=publication.rows_out,
            quarantined=dict(publication.quarantined),
            quarantine=str(quarantine.relative_to(self._store.folder)) if quarantine is not None else None,
            results=_as_note(publication),
        )
        note.write_to(self._path)

    def _inputs_digest(self) -> str | None:
        """Return a digest of all that shapes a publication; None where that cannot be said."""
        source = self._read_source()
        if source is None:
            return None
        shaping = {
            "software": software_digest(),
            "product": [
                self._product.id,
                self._product.source,
                self._product.layout.given,
                *self._product.layout.place,
            ],
            "contract": self._contract.digest,
            "restricted": sorted(restricted_properties(self._contract)),
            "source": source,
        }
        return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()

    def _hash_files(self, snapshot: Snapshot, quarantine: Path | None) -> dict[str, str]:
        """Return the SHA-256 of the files of the snapshot and of the quarantine, by path in the domain's folder."""
        digests: dict[str, str] = {}
        for path in [*map(Path, snapshot.files), *([] if quarantine is None else [quarantine])]:
            digests[str(path.relative_to(self._store.folder))] = file_digest(path)
        return digests


def old_quarantines(folder: Path, product: str) -> tuple[Path, ...]:
    """Return the files of refused rows of a product in a domain's `folder` of the store that neither its last
    publication nor a later attempt has written."""
    files = sorted((folder / "quarantine" / product).glob("*.parquet"), key=lambda path: path.stat().st_mtime)
    path = folder / "publications" / f"{product}.json"
    try:
        written, note = path.stat().st_mtime, _Note.read_from(path)
    except FileNotFoundError:
        note = None
    if note is None:
        return tuple(files[:-1])
    noted = folder / note.quarantine if note.quarantine is not None else None
    return tuple(file for file in files if file != noted and file.stat().st_mtime < written)


def _as_note(publication: Publication) -> list[_NotedResult]:
    return [
        _NotedResult(
            passed=result.passed,
            failed_rows=result.failed_rows,
            observed=None if result.observed is None else str(result.observed),
            words=result.words,
        )
        for result in publication.checks
    ]


def _may_turn(check: Check, result: CheckResult) -> bool:
    return depends_on_moment(check, passed=result.passed)


def _verdicts(results: Sequence[_NotedResult | CheckResult]) -> list[bool]:
    return [result.passed for result in results]


def _as_result(check: Check, noted: _NotedResult) -> CheckResult:
    return CheckResult(
        check.name,
        check.properties,
        check.kind,
        check.severity,
        noted.passed,
        noted.failed_rows,
        noted.observed,
        noted.words,
        check.location,
    )
