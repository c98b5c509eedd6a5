"""The list of releases as a table and as JSON."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.cli.output.console import console_on, open_table
from storymesh.document import path_in_mesh

if TYPE_CHECKING:
    from storymesh.release.catalog import Release


def show_releases(releases: "Sequence[Release]") -> None:
    table = open_table("narrative", "version", "records", "configs", "digest", right=("records",))
    for release in releases:
        records = f"{release.manifest.records:,}"
        table.add_row(release.narrative, release.version, records, ", ".join(release.configs), release.digest[:16])
    console_on(sys.stdout).print(table)


def release_documents(releases: "Sequence[Release]", root: Path) -> list[dict[str, object]]:
    """Return for each release: narrative, version, path (relative to the mesh root), digest, configs, drops."""
    return [
        {
            "narrative": release.narrative,
            "version": release.version,
            "path": path_in_mesh(release.path, root),
            "digest": release.digest,
            "configs": release.configs,
            "drops": release.drops,
        }
        for release in releases
    ]
