"""A release made once more from its lock: the definition that it keeps, on the snapshots that the lock names. The same
digest must come out, also when products and narrative have gone on since.

Everything is computed anew, in a folder of its own: what earlier cuts left in the store is not looked at.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.engine.open import open_engine
from storymesh.errors import NotPublished, WrongUsage
from storymesh.file_lock import hold_lock
from storymesh.lifecycle.diff import SAMPLES, Diff, diff
from storymesh.llm.response_cache import Answers
from storymesh.product.warehouse import Warehouse
from storymesh.provenance.trace import Tracer
from storymesh.release.definition_snapshot import build_of
from storymesh.release.manifest import ANSWERED, Release, read_lock
from storymesh.release.rewritten_records import ANSWERS, write_all
from storymesh.release.write import cut_again

if TYPE_CHECKING:
    from storymesh.dataset.build import Build

_SCRATCH = ".rebuilding-"
_SECRETS = ("pseudonym.key", "forgotten.json")  # what of the store, beside products, decides what is told


@dataclass(frozen=True)
class Rebuilt:
    """`digest` is what came out now; where it is not the release's, `difference` says what is different."""

    release: Release
    digest: str
    difference: Diff | None

    @property
    def same(self) -> bool:
        return self.digest == self.release.digest


def rebuild(release: Release, warehouse: Warehouse, into: Path | None = None, limit: int = SAMPLES) -> Rebuilt:
    """Make the release again from the products in `warehouse`. With `into`, a new folder, it is written there when it
    has the digest of the release, and not at all otherwise.

    Raises NotPublished when a snapshot of the lock is not in the warehouse any more, WrongUsage when `into` is taken.
    """
    if into is not None and into.exists():
        raise WrongUsage(f"{into} is there already: a release wants a folder of its own", "name another folder")
    build = pinned(release, warehouse)
    with _beside(warehouse.folder) as folder:
        for name in _SECRETS:
            if (warehouse.folder / name).is_file():
                os.link(warehouse.folder / name, folder / name)
        fresh = replace(build, store=folder, releases=folder)
        _bring_answers(release, fresh)
        write_all(fresh, paid=True)
        tracer = partial(Tracer, fresh) if into is not None else None
        again = cut_again(fresh, folder / release.version, release.version, tracer=tracer)
        if again.digest != release.digest:
            return Rebuilt(release, again.digest, diff(release, again, limit))
        if into is not None:
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(again.path, into)
    return Rebuilt(release, again.digest, None)


def pinned(release: Release, warehouse: Warehouse) -> "Build":
    """The build that the release was cut from, with all its snapshots at hand. Raises NotPublished."""
    named = f"{release.narrative} {release.version}"
    try:
        build = build_of(release.path, read_lock(release.path), warehouse, open_engine)
    except NotPublished as error:
        words = f"{named} cannot be made again: {error.message}, so its snapshot has expired or was never in this store"
        raise NotPublished(words, error.hint) from None
    for snapshot in build.snapshots.values():
        for file in snapshot.files:
            if not Path(file).is_file():
                words = f"{named} cannot be made again: {snapshot.product} {snapshot.version[:12]} lacks {file}"
                raise NotPublished(words, "bring the file back from a copy of the store")
    return build


def _bring_answers(release: Release, fresh: "Build") -> None:
    """What models answered stands in the release: nobody is asked again."""
    for file in sorted((release.path / ANSWERED).glob("*.parquet")):
        with Answers(fresh.store / ANSWERS) as answers:
            answers.load(file)


@contextmanager
def _beside(store: Path) -> Iterator[Path]:
    """A folder in the store that goes, whatever happens. Those of processes that were killed are swept: their locks are
    free."""
    for lock in store.glob(f"{_SCRATCH}*.lock"):
        with suppress(TimeoutError), hold_lock(lock, timeout_s=0):
            _remove_scratch(lock)
    lock = store / f"{_SCRATCH}{secrets.token_hex(6)}.lock"
    with hold_lock(lock):
        try:
            lock.with_suffix("").mkdir()
            yield lock.with_suffix("")
        finally:
            _remove_scratch(lock)


def _remove_scratch(lock: Path) -> None:
    """Remove a scratch folder and, last, its lock file, which the caller holds."""
    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
    lock.unlink(missing_ok=True)
