"""Releases as a table and as JSON."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from storymesh.cli.progress import console_on
from storymesh.document import relative

if TYPE_CHECKING:
    from storymesh.release.manifest import Release


def show_releases(releases: "Sequence[Release]") -> None:
    table = Table("narrative", "version", box=None, pad_edge=False, header_style="bold")
    table.add_column("records", justify="right")
    table.add_column("configs")
    table.add_column("digest")
    for one in releases:
        records = sum(sum(rows.values()) for rows in one.configs.values())
        table.add_row(one.narrative, one.version, f"{records:,}", ", ".join(one.configs), one.digest[:16])
    console_on(sys.stdout).print(table)


def releases_as_json(releases: "Sequence[Release]", root: Path) -> str:
    """A list of objects: narrative, version, path (relative to the mesh root), digest, configs, drops."""
    return json.dumps(
        [
            {
                "narrative": one.narrative,
                "version": one.version,
                "path": relative(one.path, root),
                "digest": one.digest,
                "configs": {config: dict(rows) for config, rows in one.configs.items()},
                "drops": {what: dict(reasons) for what, reasons in one.drops.items()},
            }
            for one in releases
        ],
        indent=2,
        ensure_ascii=False,
    )
