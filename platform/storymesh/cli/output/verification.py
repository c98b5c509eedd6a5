"""Releases verified one after the other, as text and as JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from storymesh.cli.options import OutputFormat
from storymesh.cli.output.console import echo
from storymesh.cli.output.json_document import echo_result
from storymesh.engine.engine import OpenEngine

if TYPE_CHECKING:
    from storymesh.product.extracts import ExtractStore
    from storymesh.release.catalog import Release
    from storymesh.release.signature import ReleaseExpectation


def verify_and_show(
    releases: "Sequence[Release]",
    output_format: OutputFormat,
    open_engine: OpenEngine,
    expected: "ReleaseExpectation",
    extracts: "ExtractStore | None",
) -> bool:
    """Verify each release and print what was found. Returns True if all are as they were written, and so is what left
    premises for them, in the `extracts` of a mesh."""
    from storymesh.lifecycle.verify import verify_release

    results, whole = [], True
    for release in releases:
        found = verify_release(release.path, open_engine, expected, extracts)
        whole = whole and not found.differences
        results.append(
            {
                "narrative": release.narrative,
                "version": release.version,
                "digest": release.digest,
                "recomputed": found.digest,
                "lock": found.lock,
                "signers": found.signers,
                "records": found.records,
                "differences": found.differences,
            }
        )
        if output_format == "text":
            if found.differences:
                echo(f"✗ {release.name}: not as its lock says")
                for difference in found.differences:
                    echo(f"  {difference}")
            else:
                echo(f"✓ {release.name}: {found.records:,} records, digest {release.digest[:12]}, as its lock says")
                echo(f"  lock {found.lock}, signed by {', '.join(found.signers) or 'nobody'}")
    if output_format == "text" and whole:
        echo(_proof(expected), err=True)
    if output_format == "json":
        echo_result(results)
    return whole


def _proof(expected: "ReleaseExpectation") -> str:
    """Return what a ✓ proves, and what it does not."""
    if expected.digest is not None or expected.signers:
        by = "the digest that you gave" if expected.digest is not None else "a key that you trust"
        return f"Every file is as its lock says, and {by} proves the lock: nothing was changed since."
    return (
        "Every file is as its lock says. Whoever changes files can write a lock to match: that nothing was changed "
        "since it was made is proved by its maker's digest of the lock (--digest), or by a signature (--signer)."
    )
