"""What a run made of the files of a product, in figures: for the operator who watches them from run to run."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from storymesh.files.collection import FileCollection
from storymesh.files.gather import Gathered
from storymesh.files.inventory import Inventory
from storymesh.files.outcomes import count_attachments
from storymesh.files.rows import RowsOfFiles
from storymesh.llm.budget import Usage


@dataclass(frozen=True)
class GatheredSummary:
    """The files of a product after a run has read them: how many there are, how many the run `opened`, and how many
    readings it made, those of attachments too (`read`).

    Of the files some give `with_rows`, some were read and give none, some could not be read now and have `kept` what
    they gave before, and others are `refused`, each for one of `reasons`. `attachments` are counted by what became of
    them, rows that a model gave and the files do not say by their reason. `usage` is what the model took, if one was
    asked.
    """

    files: int
    opened: int
    read: int
    with_rows: int
    without_rows: int
    kept: int
    refused: int
    reasons: Mapping[str, int]
    attachments: Mapping[str, int]
    refused_rows: Mapping[str, int]
    usage: Usage | None


def summarize_gathered(collection: FileCollection, gathered: Gathered, rows: RowsOfFiles) -> GatheredSummary:
    """Return the figures of a run that has gathered the files of a product and taken their rows."""
    with Inventory(collection.inventory_path, writable=False) as inventory:
        files, kept, reasons = inventory.count_refused()
        attachments = count_attachments(collection, inventory)
    refused = sum(reasons.values()) - kept
    with_rows = min(rows.count_files(), files - refused)
    return GatheredSummary(
        files=files,
        opened=gathered.opened,
        read=gathered.read,
        with_rows=with_rows,
        without_rows=files - refused - with_rows,
        kept=kept,
        refused=refused,
        reasons=reasons,
        attachments=attachments,
        refused_rows=dict(Counter(row.reason for row in rows.refused).most_common()),
        usage=rows.usage,
    )
