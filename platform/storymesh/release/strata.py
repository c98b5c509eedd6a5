"""What kinds of cases each split has, by the values that precedents match on: whether a test asks what was trained.

Where one kind is rare in training and frequent in the test, a model is tested on what it has hardly seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storymesh.dataset.split import SPLITS
from storymesh.language.types import Text

if TYPE_CHECKING:
    from storymesh.dataset.build import Build
    from storymesh.engine.engine import Engine

MAX_STRATA = 10  # kinds that are shown


@dataclass(frozen=True)
class Stratum:
    """The share of the cases of each split (0 to 1) in which `expression` has this value."""

    expression: str
    value: str
    shares: Mapping[str, float]

    @property
    def shift(self) -> float:
        """The greatest difference between two splits."""
        return max(self.shares.values()) - min(self.shares.values())


def measure_strata(build: "Build", engine: "Engine") -> tuple[Stratum, ...]:
    """Return the kinds of cases whose shares differ most between splits, those that differ most first. What reads
    restricted values is left out."""
    from storymesh.dataset.tables import cases_with_splits

    definition = build.narrative.case.precedents
    if definition is None or not build.typed.case.match:
        return ()
    found = []
    cases = cases_with_splits(build, engine)
    kept = engine.materialize(cases.filter(cases["split"].notnull()).select("split", "match"))
    try:
        for written, formula in zip(definition.match[0], build.typed.case.match[0], strict=True):
            value = formula.checked.value
            if value.classification == "restricted" and not value.pseudonym:
                continue
            keyed = kept.select("split", value=kept["match"][formula.name].cast("string"))
            rows = engine.fetch_rows(keyed.group_by("split", "value").aggregate(cases=keyed.count()))
            labels = value.type.labels if isinstance(value.type, Text) else {}
            found += _strata(written, rows, labels)
    finally:
        engine.drop(kept)
    return tuple(sorted(found, key=lambda stratum: (-stratum.shift, stratum.expression, stratum.value))[:MAX_STRATA])


def _strata(expression: str, rows: list[dict[str, object]], labels: Mapping[str, str]) -> list[Stratum]:
    """Return a stratum for each value among the counts of one expression: rows of split, value and cases."""
    counts: dict[str, dict[str, int]] = {}
    totals: dict[str, int] = {}
    for row in rows:
        value = "–" if row["value"] is None else labels.get(str(row["value"]), str(row["value"]))
        split, cases = str(row["split"]), int(str(row["cases"]))
        counts.setdefault(value, {})[split] = cases
        totals[split] = totals.get(split, 0) + cases
    splits = [split for split in SPLITS if split in totals]
    return [
        Stratum(expression, value, {split: of_value.get(split, 0) / totals[split] for split in splits})
        for value, of_value in counts.items()
    ]
