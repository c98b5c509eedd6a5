"""The receipts of what left a premise: one line each, at that premise, each with the hash of the one before it.

A receipt is on the disk before anybody can read what it is of. A process that is killed between the two leaves a
receipt of what never arrived, and never the other way round.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from storymesh.contract.egress_rules import Form
from storymesh.errors import StorymeshError
from storymesh.file_lock import hold_lock

FILE = "receipts.jsonl"


def _require_plain(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it has a character that no name has")
    return text


START = "0" * 64  # what stands for the one before the first
_Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
_Short = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_require_plain)]
_Count = Annotated[int, Field(ge=0, le=2**63 - 1)]


class AppliedThreshold(BaseModel):
    """Of how many different values of `of` a figure was known at least, and by which periods."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subjects: _Count
    of: _Short
    grain: _Short | None = None


class EgressRecord(BaseModel):
    """What left a premise: `columns` -> form, in so many `rows` and `bytes`. `filtered` are columns that rows were
    selected by; `keys_in` are columns of other products whose values were sent in -> form, `keys` how many.

    `statement`, `policy`, `extract` and `request` are digests: of the text that ran, of the rules that let it, of the
    file that came, and of what was asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    narrative: _Short
    role: _Short
    product: _Short
    version: _Short = ""
    from_premise: _Short
    to_premise: _Short
    purpose: _Short | None = None
    columns: Mapping[_Short, Form]
    filtered: tuple[_Short, ...] = ()
    least: AppliedThreshold | None = None
    rows: _Count
    bytes: _Count
    keys: _Count = 0
    keys_in: Mapping[_Short, Literal["raw", "hashed"]] = {}
    request: _Sha256
    statement: _Sha256
    policy: _Sha256
    extract: _Sha256


class Receipt(BaseModel):
    """One leaving, its `number` in the chain of its premise, and the digest of it with the one before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: Annotated[int, Field(ge=1)]
    at: _Short
    leaving: EgressRecord
    previous: _Sha256
    digest: _Sha256

    def describe(self, column: str | None) -> str:
        """Say how a column left its premise, and by which receipt."""
        form = self.leaving.columns.get(column or "")
        return f"left {self.leaving.from_premise}{f' as {form}' if form else ''}, receipt {self.number}"

    @property
    def fault(self) -> str | None:
        """What is wrong with the receipt by itself; None: its digest is that of what it says."""
        return (
            None
            if receipt_digest(self.previous, self.number, self.at, self.leaving) == self.digest
            else (f"receipt {self.number} of {self.leaving.from_premise} does not say what it said when it was written")
        )


def receipt_digest(previous: str, number: int, at: str, leaving: EgressRecord) -> str:
    """Return the SHA-256 of a receipt with the digest of the one before it."""
    content = {"previous": previous, "number": number, "at": at, "leaving": leaving.model_dump()}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class ReceiptBook:
    """The receipts of one premise, in its folder. They are added to, and never changed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def add(self, leaving: EgressRecord, at: str) -> Receipt:
        """Write the receipt of a leaving at a moment, wait until it is on the disk, and return it.

        Raises StorymeshError where the last one is damaged: a chain with a broken link is not made longer.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with hold_lock(self.path.with_suffix(".lock")):
            number, previous = self._last()
            digest = receipt_digest(previous, number + 1, at, leaving)
            receipt = Receipt(number=number + 1, at=at, leaving=leaving, previous=previous, digest=digest)
            with self.path.open("ab") as file:
                file.write(receipt.model_dump_json().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        return receipt

    def _last(self) -> tuple[int, str]:
        """Return the number and digest of the last receipt. A line that a killed process wrote in part is taken away:
        nothing was handed out on it."""
        if not self.path.is_file():
            return 0, START
        with self.path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            tail = b""
            while size and tail.count(b"\n") < 2:
                step = min(size, 64 * 1024)
                size -= step
                file.seek(size)
                tail = file.read(step) + tail
            whole, _, torn = tail.rpartition(b"\n")
            if torn:
                file.truncate(file.seek(0, os.SEEK_END) - len(torn))
            if not whole:
                return 0, START
            last = self._parse_line(whole.rpartition(b"\n")[2])
        if fault := last.fault:
            raise StorymeshError(f"{self.path}: {fault}", "bring the file back from a copy of the store")
        return last.number, last.digest

    def _parse_line(self, line: bytes) -> Receipt:
        try:
            return Receipt.model_validate_json(line)
        except ValidationError:
            words = f"{self.path} has a line that is no receipt"
            raise StorymeshError(words, "bring the file back from a copy of the store") from None

    def read(self) -> Iterator[Receipt]:
        """Yield the receipts in their order. Raises StorymeshError at the first line that is none."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield self._parse_line(line[:-1])

    def faults(self) -> Iterator[str]:
        """Yield, in words, where the chain is broken; nothing: every receipt is as it was written."""
        number, previous = 0, START
        try:
            for receipt in self.read():
                if fault := receipt.fault:
                    yield f"{self.path.name}: {fault}"
                if (receipt.number, receipt.previous) != (number + 1, previous):
                    yield f"{self.path.name}: receipt {receipt.number} does not follow the one before it"
                number, previous = receipt.number, receipt.digest
        except StorymeshError as error:
            yield error.message

    def find(self, **fields: Any) -> Receipt | None:
        """Return the latest receipt whose leaving has these fields; None where there is none."""
        found = (receipt for receipt in self.read() if all(getattr(receipt.leaving, k) == v for k, v in fields.items()))
        return max(found, key=lambda receipt: receipt.number, default=None)
