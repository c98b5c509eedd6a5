"""Releases verified one after the other, as text and as JSON."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from storymesh.cli.options import OutputFormat
from storymesh.cli.output.console import echo, echo_json
from storymesh.engine.engine import OpenEngine

if TYPE_CHECKING:
    from storymesh.release.catalog import Release


def verify_and_show(releases: "Sequence[Release]", output_format: OutputFormat, open_engine: OpenEngine) -> bool:
    """Verify each release and print what was found. Returns True if all are as they were written."""
    from storymesh.lifecycle.verify import verify_release

    results, whole = [], True
    for release in releases:
        found = verify_release(release.path, open_engine)
        whole = whole and not found.differences
        results.append(
            {
                "narrative": release.narrative,
                "version": release.version,
                "digest": release.digest,
                "recomputed": found.digest,
                "records": found.records,
                "differences": list(found.differences),
            }
        )
        if output_format == "text":
            if found.differences:
                echo(f"✗ {release.name}: not as its lock says")
                for difference in found.differences:
                    echo(f"  {difference}")
            else:
                echo(f"✓ {release.name}: {found.records:,} records, digest {release.digest[:12]}, as it was cut")
    if output_format == "json":
        echo_json(json.dumps(results, indent=2, ensure_ascii=False))
    return whole
