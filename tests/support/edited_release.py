"""Releases that somebody edited, with a lock that fits again: what a stranger can send."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from storymesh.release.layout import MANIFEST, hash_files

Lock = dict[str, Any]

SMALL_LOCK: Lock = {
    "narrative": "roadside",
    "version": "1.0.0-r1",
    "digest": "0" * 64,
    "narrative_version": "1.0.0",
    "fingerprint": "0" * 64,
    "created": "2026-11-29T03:58:21+00:00",
    "storymesh": "0.1.0",
    "cast": {
        "truck": {
            "product": "fleet.trucks",
            "contract_version": "1.0.0",
            "contract_digest": "0" * 64,
            "product_version": "0" * 64,
            "snapshot": 1,
            "rows": 24,
        }
    },
    "configs": {"report": {"train": 1}},
    "drops": {"case": {}, "report": {"unjudged": 8}},
    "conflicts": {"report": 0},
    "digests": {"configs": {"report": "0" * 64}, "drops": "0" * 64},
    "certificate": {"ids": 0},
    "files": {"README.md": "0" * 64},
    "sizes": {"README.md": 1},
}
"""A lock with every kind of member, of a release that does not exist."""


def edit_lock(folder: Path, change: Callable[[Lock], Any]) -> None:
    """Change the lock in `folder`, and nothing else."""
    lock = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    change(lock)
    (folder / MANIFEST).write_text(json.dumps(lock), encoding="utf-8")


def relist(folder: Path) -> None:
    """Have the lock list the files as they are now, as whoever edits a release would."""

    def list_files(lock: Lock) -> None:
        lock["files"] = hash_files(folder)
        lock["sizes"] = {name: (folder / name).stat().st_size for name in lock["files"]}

    edit_lock(folder, list_files)
