"""The steps of a build, each of which writes its files once: a file is complete, or it is written again.

A step ends with a list of the SHA-256 of its files, `<step>.sha256` in the form of `sha256sum`. Files that are not as
listed, because a disk or a person damaged them, are nobody's: the step runs again. One process at a time writes.
"""

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from storymesh.atomic_write import write_atomically
from storymesh.dataset.build import Build
from storymesh.engine.engine import EngineUnreachable
from storymesh.errors import EngineFailed, StorymeshError
from storymesh.file_lock import hold_lock
from storymesh.garbage_collection import raised_gc_threshold
from storymesh.input_file import file_digest
from storymesh.product.content_version import content_version
from storymesh.product.store import StoreDamaged

_LOCK = ".lock"
_STAGED = re.compile(r"\..+\.([0-9a-f]{12}|part-\d+\.\d+)")  # what a killed writer leaves beside its file


class StepSummary(BaseModel):
    """The summary of a step for people: its row count, its drops by reason, and some rows.

    Read back from disk, a value of the sample that JSON does not have is the text of that value.
    """

    model_config = ConfigDict(frozen=True)

    rows: int
    drops: Mapping[str, int]
    sample: tuple[Mapping[str, Any], ...] = ()


class BuildStep:
    """One step that writes files below `folder`. `whole`: they are there already, as they were written."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.list = folder / f"{name}.sha256"
        self.whole = self._is_whole()

    def seal(self, files: Iterable[Path]) -> None:
        """List the files of the step, which are written."""
        lines = [f"{file_digest(path)}  {path.relative_to(self.folder)}\n" for path in sorted(files)]
        write_atomically(self.list, "".join(lines))

    def read_summary(self) -> StepSummary | None:
        """Return what was noted of the files as they are; None where the step is not whole or nothing was noted."""
        if not self.whole:
            return None
        try:
            noted = json.loads(self._summary_path.read_text(encoding="utf-8"))
            return StepSummary.model_validate(noted["summary"]) if noted["of"] == file_digest(self.list) else None
        except (OSError, ValueError, TypeError, LookupError, ValidationError):
            return None

    def note_summary(self, summary: StepSummary) -> None:
        """Store a summary of the sealed files, so that they need not be opened for it again."""
        noted = {"of": file_digest(self.list), "summary": summary.model_dump()}
        write_atomically(self._summary_path, json.dumps(noted, default=str))

    @property
    def _summary_path(self) -> Path:
        return self.list.with_suffix(".summary.json")

    def _is_whole(self) -> bool:
        try:
            listed = _read_list(self.list)
            return bool(listed) and all(file_digest(path) == digest for path, digest in listed.items())
        except (OSError, ValueError):
            return False


def sealed_files(build: Build) -> dict[Path, str]:
    """Return the files of all steps of a build that have ended, each with the SHA-256 that it was written with."""
    lists = sorted(build.files.folder.glob("*.sha256"))
    return {path: digest for sealed in lists for path, digest in _read_list(sealed).items()}


def _read_list(path: Path) -> dict[Path, str]:
    """Return the files that a step lists, with their digests."""
    lines = [line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
    return {path.parent / name: digest for digest, name in lines}


@contextmanager
def build_step(build: Build, name: str, *, after: Sequence[str] = ()) -> Iterator[BuildStep]:
    """Yield the step of this name. Where it is not whole, no other process writes files of the build meanwhile.

    Raises StorymeshError when a step that it comes `after` is not whole, or a file of a product is damaged.
    """
    folder = build.files.folder
    step = BuildStep(folder, name)
    if step.whole:
        yield step
        return
    for earlier in after:
        if not BuildStep(folder, earlier).whole:
            words = f"the {earlier} of '{build.narrative.id}' are not there as they were written"
            raise StorymeshError(words, f"make them again: storymesh run {build.narrative.id}")
    with hold_lock(folder / _LOCK):
        step = BuildStep(folder, name)  # who held the lock may have made it
        if not step.whole:
            step.list.unlink(missing_ok=True)
            for path in list(folder.rglob(".*")):
                if not _STAGED.fullmatch(path.name):
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        try:
            with raised_gc_threshold():
                yield step
        except EngineUnreachable:
            raise
        except EngineFailed as error:
            _require_whole_products(build, error)
            raise


def _require_whole_products(build: Build, failure: EngineFailed) -> None:
    """Raise StoreDamaged when a published file is why the engine failed."""
    for role, snapshot in build.snapshots.items():
        contract = build.contracts[role]
        # Of another contract, or of what left its premise, the digest would be another one.
        if contract.digest != snapshot.contract_digest or snapshot.receipt is not None:
            continue
        try:
            with build.open_engine() as engine:
                damaged = content_version(engine, list(snapshot.files), contract) != snapshot.version
        except EngineFailed:
            damaged = True
        if damaged:
            words = f"a file of {snapshot.product} {snapshot.version[:12]} does not hold what was published"
            raise StoreDamaged(Path(snapshot.files[0]).parent, words) from failure
