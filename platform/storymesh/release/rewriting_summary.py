"""How much of a config a language model rewrote, counted on its written records."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.release.manifest import RewritingSummary

if TYPE_CHECKING:
    from storymesh.engine.engine import Engine


def summarize_rewriting(engine: "Engine", model: str, files: Mapping[str, Sequence[Path]]) -> RewritingSummary:
    """Return how many texts of the records in `files` (split -> files) the model rewrote, and in how many attempts."""
    texts, rewritten, attempts = 0, 0, {}
    paths = [path for shards in files.values() for path in shards]
    if paths:
        notes = engine.read_parquet(paths).select(note=lambda table: table["retellings"].unnest())
        notes = notes.select(done=notes["note"]["model"].notnull(), attempts=notes["note"]["attempts"])
        counts = notes.group_by("done", "attempts").aggregate(rows=notes.count()).order_by("attempts")
        for row in engine.fetch_rows(counts):
            texts += row["rows"]
            if row["done"]:
                rewritten += row["rows"]
                attempts[str(row["attempts"])] = row["rows"]
    return RewritingSummary(model=model, texts=texts, retold=rewritten, attempts=attempts)
