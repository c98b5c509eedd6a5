"""The rows of an anchor, divided so that the cases of each part fit into memory.

Parts are ranges of the key where it has an order that a file can be read by. Products are mostly written in an order in
which rows that belong together lie together, and then an engine passes over the rest: parts by a hash of the key would
read every product as often as there are parts.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from storymesh.engine.engine import Engine

if TYPE_CHECKING:
    import ibis.expr.types as ir

SAMPLED = 200  # keys for each part: their quantiles are off by a tenth or less


@dataclass(frozen=True)
class AnchorPart:
    """The rows whose first column of the `key` is at least `first` and less than `end`, and of these the ones in bucket
    `number` of `buckets` by the whole key. None is no bound; nulls are in the part that begins with none. Without a
    key: all rows."""

    key: Sequence[str] = ()
    first: Any = None
    end: Any = None
    number: int = 0
    buckets: int = 1

    def rows_of(self, anchor: "ir.Table") -> "ir.Table":
        """Return the rows of the part."""
        import ibis

        from storymesh.engine import dialect

        if not self.key:
            return anchor
        column = anchor[self.key[0]]
        bounds = [] if self.first is None else [column >= ibis.literal(self.first, column.type())]
        if self.end is not None:
            below = column < ibis.literal(self.end, column.type())
            bounds.append(below | column.isnull() if self.first is None else below)
        if self.buckets > 1:
            text = dialect.concat_texts([anchor[name].cast("string") for name in self.key])
            bounds.append(dialect.hash_bucket(text, self.buckets) == self.number)
        return anchor.filter(*bounds) if bounds else anchor


ALL_ROWS = AnchorPart()


def divide_anchor(engine: Engine, anchor: "ir.Table", key: Sequence[str], rows: int, count: int) -> list[AnchorPart]:
    """Return about `count` parts of similar size that together have every row of the anchor once."""
    if count == 1:
        return [ALL_ROWS]
    return list(_parts(key, _sorted_sample(engine, anchor[key[0]], rows, count), count))


def _sorted_sample(engine: Engine, column: "ir.Value", rows: int, count: int) -> list[Any]:
    """Return some values of a column, sorted; none where files are not read by ranges of them."""
    if not (column.type().is_string() or column.type().is_integer()):
        return []
    sampled = column.name("value").as_table()
    if (share := SAMPLED * count / max(rows, 1)) < 1:
        sampled = sampled.sample(share)
    found: list[Any] = engine.fetch_table(sampled.order_by("value"))["value"].drop_null().to_pylist()
    return found


def _parts(key: Sequence[str], values: Sequence[Any], count: int) -> Iterator[AnchorPart]:
    starts = dict.fromkeys(values[len(values) * part // count] for part in range(1, count)) if values else {}
    places = [0, *(bisect_left(values, start) for start in starts), len(values)]
    for (first, end), (begin, behind) in zip(pairwise([None, *starts, None]), pairwise(places), strict=True):
        # Of a value that many rows have there is one range, and hashes divide it.
        buckets = max(1, round(count * (behind - begin) / len(values))) if values else count
        for number in range(buckets):
            yield AnchorPart(key, first, end, number, buckets)
