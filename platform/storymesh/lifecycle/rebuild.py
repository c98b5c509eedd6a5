"""Rebuilding a release from the definition that it keeps, on the snapshots of its manifest: the same digest.

That holds also when products and narrative have changed since. Everything is computed again, in a folder of its own:
what earlier releases left in the store is not used.
"""

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.contract.definition import Contract
from storymesh.dataset.build import BUILD_VERSION, rule_changes_since
from storymesh.dataset.pseudonym_key import VARIABLE
from storymesh.engine.engine import OpenEngine
from storymesh.errors import NotPublished, WrongUsage
from storymesh.file_lock import hold_lock
from storymesh.lifecycle.diff import SAMPLES, ReleaseDiff, compare_releases
from storymesh.llm.response_cache import ResponseCache
from storymesh.product.store import StoreDamaged
from storymesh.product.warehouse import Warehouse
from storymesh.provenance.trace import Tracer
from storymesh.release.catalog import Release
from storymesh.release.definition_snapshot import NO_CONTRACTS, open_released_build
from storymesh.release.layout import ANSWERS_FOLDER
from storymesh.release.refusal import ReleaseRefused
from storymesh.release.rewritten_records import ANSWER_STORE, write_all_records
from storymesh.release.write import write_release_again

if TYPE_CHECKING:
    from storymesh.dataset.build import Build

_SCRATCH = ".rebuilding-"
_SECRETS = ("pseudonym.key", "forgotten.json")  # what of the store, beside products, shapes records


@dataclass(frozen=True)
class RebuildResult:
    """`digest` is that of the rebuilt release; where it is not the release's, `difference` says what differs."""

    release: Release
    digest: str
    difference: ReleaseDiff | None

    @property
    def same(self) -> bool:
        """True if the release was rebuilt with the same digest."""
        return self.digest == self.release.digest

    @property
    def rule_changes(self) -> str | None:
        """Why the records may differ although the inputs are the same: the rules that have changed since, as a
        sentence; None if they have not."""
        return describe_rule_changes(self.release)


def rebuild_release(
    release: Release,
    warehouse: Warehouse,
    open_engine: OpenEngine,
    into: Path | None = None,
    limit: int = SAMPLES,
    current: Mapping[str, Contract] = NO_CONTRACTS,
) -> RebuildResult:
    """Make the release again from the products in `warehouse`.

    With `into`, a new folder, it is written there if it has the digest of the release, else not at all. `current` are
    the mesh's contracts: a release that prints what they restrict is not made again. Raises NotPublished when a
    snapshot of the manifest is no longer in the warehouse, WrongUsage when `into` exists.
    """
    if into is not None and into.exists():
        raise WrongUsage(f"{into} is there already: a release wants a folder of its own", "name another folder")
    build = reopen_build(release, warehouse, open_engine, current)
    with _scratch_folder(warehouse.folder) as folder:
        for name in _SECRETS:
            if (warehouse.folder / name).is_file():
                os.link(warehouse.folder / name, folder / name)
        fresh = replace(build, store=folder, releases=folder)
        _load_answers(release, fresh)
        write_all_records(fresh, paid=True)
        open_tracer = partial(Tracer, fresh) if into is not None else None
        succeeds = release.manifest.succeeds
        try:
            again = write_release_again(
                fresh, folder / release.version, release.version, open_tracer=open_tracer, succeeds=succeeds
            )
        except ReleaseRefused as refused:
            raise _refused_again(release, refused) from None
        if again.digest != release.digest:
            return RebuildResult(release, again.digest, compare_releases(release, again, open_engine, limit))
        if into is not None:
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(again.path, into)
    return RebuildResult(release, again.digest, None)


def _refused_again(release: Release, refused: ReleaseRefused) -> ReleaseRefused:
    """Return why a release that was once written is refused now, and what it depends on besides its manifest."""
    hashed = any("hashed" in receipt.leaving.columns.values() for receipt in release.manifest.egress.values())
    joined = ", by which rows of other premises are linked" if hashed else ""
    hint = f"the usual cause is another pseudonym key{joined}: set {VARIABLE} to the one that it was made with"
    return ReleaseRefused(f"{release.name} cannot be made again: {refused.message} ({refused.hint})", hint)


def describe_rule_changes(release: Release) -> str | None:
    """Return which rules the release was made by and what has changed since, as a sentence; None if nothing has."""
    rules, storymesh = release.manifest.rules, release.manifest.storymesh
    if rules == BUILD_VERSION:
        return None
    made_by = rules if rules is not None else "rules that it does not name"
    by = f" (storymesh {storymesh})" if storymesh else ""
    since = rule_changes_since(rules)
    changes = f": since then {'; '.join(since)}" if since else ""
    return f"it was made by {made_by}{by}, this storymesh makes records by {BUILD_VERSION}{changes}"


def reopen_build(
    release: Release, warehouse: Warehouse, open_engine: OpenEngine, current: Mapping[str, Contract] = NO_CONTRACTS
) -> "Build":
    """Return the build that the release was made from. Raises NotPublished when a file of a snapshot is missing."""
    try:
        build = open_released_build(release, warehouse, open_engine, current)
    except NotPublished as error:
        reason = f"{error.message}, so its snapshot has expired or was never in this store"
        raise NotPublished(f"{release.name} cannot be made again: {reason}", error.hint) from None
    for snapshot in build.snapshots.values():
        try:
            list(snapshot.files)
        except StoreDamaged as error:
            words = f"{release.name} cannot be made again: {snapshot.product} {snapshot.version[:12]}: {error.message}"
            raise NotPublished(words, "bring the file back from a copy of the store") from None
    return build


def _load_answers(release: Release, fresh: "Build") -> None:
    """Load the models' answers that the release keeps, so that no model is asked again."""
    for file in sorted((release.path / ANSWERS_FOLDER).glob("*.parquet")):
        with ResponseCache(fresh.store / ANSWER_STORE) as answers:
            answers.load_parquet(file)


@contextmanager
def _scratch_folder(store: Path) -> Iterator[Path]:
    """Yield a new folder in the store, which is removed whatever happens.

    Those of killed processes are removed too: their locks are free.
    """
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
