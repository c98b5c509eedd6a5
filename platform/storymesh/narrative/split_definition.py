"""The part `dataset.split` of `narrative.yaml`: which cases are for training, for validation and for the test."""

from datetime import date, datetime, timedelta

from pydantic import Field, model_validator

from storymesh.case.definition import Duration
from storymesh.document import Definition

EARLIEST_YEAR = 1000  # of a split, so that a moment before it by the longest duration is one


class RandomSplit(Definition):
    """Shares of the components that are drawn for validation and test; the rest is train."""

    validation: float = Field(ge=0, lt=1)
    test: float = Field(ge=0, lt=1)
    seed: int = Field(default=0, ge=-(2**63), lt=2**63)

    @model_validator(mode="after")
    def _train(self) -> "RandomSplit":
        if self.validation + self.test >= 1:
            raise ValueError("`validation` and `test` leave nothing to train on: their sum has to be below 1")
        return self


class Split(Definition):
    """By time, with the days on which validation and test begin; or by chance, with `random`. Never both."""

    validation: date | None = None
    test: date | None = None
    embargo: Duration = timedelta(0)
    together: tuple[str, ...] = ()
    random: RandomSplit | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Split":
        if self.random is not None:
            dated = [name for name in ("validation", "test", "embargo") if name in self.model_fields_set]
            if dated:
                message = f"`random` splits by chance, which has no {' and no '.join(f'`{name}`' for name in dated)}"
                raise ValueError(f"{message} beside it; leave out one or the other")
            return self
        if missing := [name for name in ("validation", "test") if getattr(self, name) is None]:
            named = " and ".join(f"`{name}`" for name in missing)
            raise ValueError(f"{named} is missing: a day such as 2024-01-01; or split by chance with `random`")
        if self.cuts[0].year < EARLIEST_YEAR:
            raise ValueError(f"`validation` is before the year {EARLIEST_YEAR}")
        if self.cuts[0] > self.cuts[1]:
            raise ValueError("`validation` begins after `test`")
        if self.embargo < timedelta(0):
            raise ValueError("`embargo` cannot be negative")
        return self

    @property
    def cuts(self) -> tuple[datetime, datetime]:
        """The midnights at which validation and test begin, for a split by time."""
        assert self.validation is not None and self.test is not None
        first, second = (datetime(day.year, day.month, day.day) for day in (self.validation, self.test))
        return first, second
