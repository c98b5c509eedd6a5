"""The list of releases as a table and as JSON."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from storymesh.cli.output.console import console_on
from storymesh.document import path_in_mesh

if TYPE_CHECKING:
    from storymesh.release.catalog import Release


def show_releases(releases: "Sequence[Release]") -> None:
    table = Table("narrative", "version", box=None, pad_edge=False, header_style="bold")
    table.add_column("records", justify="right")
    table.add_column("configs")
    table.add_column("digest")
    for release in releases:
        records = f"{release.manifest.records:,}"
        table.add_row(release.narrative, release.version, records, ", ".join(release.configs), release.digest[:16])
    console_on(sys.stdout).print(table)


def releases_as_json(releases: "Sequence[Release]", root: Path) -> str:
    """Return a JSON list of objects: narrative, version, path (relative to the mesh root), digest, configs, drops."""
    return json.dumps(
        [
            {
                "narrative": release.narrative,
                "version": release.version,
                "path": path_in_mesh(release.path, root),
                "digest": release.digest,
                "configs": {config: dict(rows) for config, rows in release.configs.items()},
                "drops": {what: dict(reasons) for what, reasons in release.drops.items()},
            }
            for release in releases
        ],
        indent=2,
        ensure_ascii=False,
    )
