"""The records of a config on which figures about its texts are measured, kept aside while its files are written.

Who measures takes the first of them in the order of the digests of their ids, so that the same records give the same
figures. More than anybody takes are kept aside, of the records for training and of the others, and nobody has to read
all records again for a few.
"""

from collections.abc import Mapping
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.dataset.split import SPLITS

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, StringValue, Table

SAMPLE_SIZE = 5_000  # records for training, and as many others, that anybody takes
_MARGIN = 10  # standard deviations of how many digests lie below a bound
_DIGITS = 8  # of a digest, that a bound has


def sample_order(records: "Table") -> "StringValue":
    """Return what a sample is the first of."""
    order: StringValue = records["id"].hexdigest("md5")
    return order


def in_sample(records: "Table", counts: Mapping[str, int]) -> "BooleanValue":
    """Return whether a record may be among the first: of records of which so many are in each split."""
    import ibis

    training = counts.get(SPLITS[0], 0)
    bounds = [_bound(count) for count in (training, sum(counts.values()) - training)]
    condition: BooleanValue = sample_order(records) < ibis.ifelse(records["split"] == SPLITS[0], *bounds)
    return condition


def sample_files(folder: Path) -> dict[str, list[Path]]:
    """Return split -> the file of the records that were kept aside in `folder`, of those splits that have such."""
    files = {split: folder / f"{split}.parquet" for split in SPLITS}
    return {split: [path] for split, path in files.items() if path.is_file()}


def _bound(count: int) -> str:
    """Return what the digests of more than SAMPLE_SIZE of so many records lie below."""
    if count * SAMPLE_SIZE == 0 or (share := (SAMPLE_SIZE + _MARGIN * sqrt(SAMPLE_SIZE)) / count) >= 1:
        return "g"  # above every hexadecimal digit
    return f"{int(share * 16**_DIGITS):0{_DIGITS}x}"
