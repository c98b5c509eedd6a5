"""What is said of releases that were verified, rebuilt, pushed or freed of what is to be forgotten."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import typer

if TYPE_CHECKING:
    from storymesh.dataset.release import Release


def verify_all(releases: "Sequence[Release]", form: Literal["text", "json"]) -> bool:
    """Verify one after the other and say what was found; whether all are whole."""
    from storymesh.dataset.verify import verify

    told, whole = [], True
    for release in releases:
        found = verify(release.path)
        whole = whole and not found.differences
        told.append(
            {
                "narrative": release.narrative,
                "version": release.version,
                "digest": release.digest,
                "recomputed": found.digest,
                "records": found.records,
                "differences": list(found.differences),
            }
        )
        if form == "text":
            name = f"{release.narrative} {release.version}"
            if found.differences:
                typer.echo(f"✗ {name}: {len(found.differences)} things are not as its lock says")
                for words in found.differences:
                    typer.echo(f"  {words}")
            else:
                typer.echo(f"✓ {name}: {found.records:,} records, digest {release.digest[:12]}, as it was cut")
    if form == "json":
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    return whole
