"""Extracts of published products for other premises: the columns that may leave, each in its form, with a receipt.

An extract is a snapshot: readers find in it what they would find in the product, as far as it may leave. It is made
once for each request and version; its receipt is on the disk before the extract is where anybody finds it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from storymesh.atomic_write import sync_file, sync_folder
from storymesh.contract.definition import Contract
from storymesh.contract.types import arrow_schema
from storymesh.engine.engine import OpenEngine
from storymesh.errors import StorymeshError
from storymesh.federation.gate import admit, write_receipt
from storymesh.federation.keyed_hash import egress_key, hashed_value
from storymesh.federation.policy import EgressPolicy
from storymesh.federation.receipts import Receipt, ReceiptBook
from storymesh.federation.request import ExtractRequest
from storymesh.file_lock import hold_lock
from storymesh.input_file import file_digest
from storymesh.product.store import Snapshot

_PREMISES, _EXTRACTS = "premises", "extracts"


@dataclass(frozen=True)
class ExtractStore:
    """What has left premises, in the `store` of a mesh: receipts in the folder of the premise that values left, and
    extracts in that of the premise that they came to."""

    store: Path

    def receipts(self, premise: str) -> ReceiptBook:
        """Return the receipts of what left a premise."""
        return ReceiptBook(self.store / _PREMISES / premise)

    def books(self) -> dict[str, ReceiptBook]:
        """Return the receipts of every premise that something left, by its name."""
        found = sorted((self.store / _PREMISES).glob("*/receipts.jsonl"))
        return {path.parent.name: ReceiptBook(path.parent) for path in found}

    def folder(self, premise: str, product: str) -> Path:
        """Return the folder of the extracts of a product that came to a premise."""
        return self.store / _PREMISES / premise / _EXTRACTS / product

    def find(self, receipt: Receipt) -> Path | None:
        """Return the extract of a receipt; None where it is no longer there."""
        left = receipt.leaving
        path = self.folder(left.to_premise, left.product) / _file_name(left.version, left.request, left.policy)
        return path if path.is_file() else None

    def remove(self, product: str, versions: set[str]) -> int:
        """Remove every extract of these versions of a product; return how many. Their receipts stay."""
        removed = 0
        for path in (self.store / _PREMISES).glob(f"*/{_EXTRACTS}/{product}/*.parquet"):
            if any(path.name.startswith(version[:16]) for version in versions):
                path.unlink()
                removed += 1
        return removed


def _file_name(version: str, request: str, policy: str) -> str:
    digest = hashlib.sha256(f"{request}|{policy}".encode()).hexdigest()
    return f"{version[:16]}-{digest[:24]}.parquet"


def take_extract(
    snapshot: Snapshot,
    request: ExtractRequest,
    policy: EgressPolicy,
    extracts: ExtractStore,
    open_engine: OpenEngine,
    mesh_key: bytes,
) -> Snapshot:
    """Return the snapshot as far as a request takes it out of its premise, from an extract that was taken before, or
    else a new one. `mesh_key` is the secret that hashed columns are hashed with.

    Raises EgressRefused for what may not leave, whoever checked before.
    """
    admitted = admit(request, policy)
    folder = extracts.folder(request.to_premise, request.product)
    path = folder / _file_name(snapshot.version, request.digest, policy.digest)
    book = extracts.receipts(request.from_premise)
    with hold_lock(folder / ".lock"):
        if path.is_file():
            return _open_extract(snapshot, path, _receipt_of(book, path, snapshot.version, request, policy))
        staged = path.with_suffix(".part")
        with open_engine() as engine:
            table = engine.read_parquet(snapshot.files, arrow_schema(snapshot.contract_held(policy.contract)))
            left = admitted.expression(table, key=egress_key(mesh_key))
            statement = engine.compile_sql(left)
            rows = engine.write_parquet(left, staged)
        sync_file(staged)
        receipt = write_receipt(
            book,
            admitted.leaving(
                statement=statement,
                extract=file_digest(staged),
                rows=rows,
                size=staged.stat().st_size,
                version=snapshot.version,
            ),
        )
        staged.replace(path)
        sync_folder(folder)
    return _open_extract(snapshot, path, receipt)


def _receipt_of(book: ReceiptBook, path: Path, version: str, request: ExtractRequest, policy: EgressPolicy) -> Receipt:
    receipt = book.find(version=version, request=request.digest, policy=policy.digest, extract=file_digest(path))
    if receipt is None:
        words = f"{path} is not what its receipt says, in {book.path}"
        raise StorymeshError(words, "remove the extract: it is taken again, with a receipt")
    return receipt


def _open_extract(snapshot: Snapshot, path: Path, receipt: Receipt) -> Snapshot:
    import pyarrow.parquet as pq

    return replace(
        snapshot, files=(str(path),), rows=receipt.leaving.rows, schema=pq.read_schema(path), receipt=receipt
    )


def extract_faults(extracts: ExtractStore, receipts: Mapping[str, Receipt]) -> list[str]:
    """Return, in words, where receipts (role -> receipt) are not in the books of this store, where a book is broken,
    and where an extract is not what its receipt says. One that is gone, with the version that it was of, is no fault.
    """
    found: list[str] = []
    books = extracts.books()
    for premise in sorted({receipt.leaving.from_premise for receipt in receipts.values()} & books.keys()):
        found += books[premise].faults()
    for role, receipt in receipts.items():
        book = books.get(receipt.leaving.from_premise)
        if book is not None and not found and all(other.digest != receipt.digest for other in book.read()):
            found.append(f"{role}: receipt {receipt.number} of {receipt.leaving.from_premise} is not in {book.path}")
        path = extracts.find(receipt)
        if path is not None and file_digest(path) != receipt.leaving.extract:
            found.append(f"{role}: the extract {path.name} is not what its receipt says")
    return found


def key_faults(extracts: ExtractStore, sent: Mapping[str, Sequence[Receipt]]) -> list[str]:
    """Return, in words, where receipts of keys that were sent (role that they were sent for -> receipts) are not in the
    books of this store, and where a book is broken."""
    found: dict[str, None] = {}
    books = extracts.books()
    for role, receipt in ((role, receipt) for role, receipts in sent.items() for receipt in receipts):
        premise = receipt.leaving.from_premise
        if (book := books.get(premise)) is None:
            continue
        if faults := list(book.faults()):
            found |= dict.fromkeys(faults)
        elif all(other.digest != receipt.digest for other in book.read()):
            found[f"keys sent for {role}: receipt {receipt.number} of {premise} is not in {book.path}"] = None
    return list(found)


def contracts_as_left(contracts: Mapping[str, Contract], taken: Mapping[str, Snapshot]) -> dict[str, Contract]:
    """Return the contracts of roles (role -> contract) whose snapshots are extracts, as they hold of those."""
    return {
        role: snapshot.contract_held(contracts[role]) for role, snapshot in taken.items() if snapshot.forms is not None
    }


def hashed_keys(contract: Contract) -> tuple[frozenset[str], ...]:
    """Return the sets of columns of the key that leave hashed together; none where the key leaves as it is."""
    return contract.leaves.hashed_together(contract.key) if contract.leaves is not None else ()


def keys_as_left(contract: Contract, key: str, secret: bytes) -> tuple[str, ...]:
    """Return what the key of a row is called where it left its premise hashed."""
    parts = [key] if len(contract.key) == 1 else key.split("/")
    found: dict[str, None] = {}
    for names in hashed_keys(contract) if len(parts) == len(contract.key) else ():
        plain = [part.replace("~1", "/").replace("~0", "~") if len(parts) > 1 else part for part in parts]
        pairs = zip(contract.key, parts, plain, strict=True)
        found["/".join(hashed_value(raw, secret) if name in names else part for name, part, raw in pairs)] = None
    return tuple(found)
