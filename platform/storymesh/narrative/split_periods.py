"""Splits of a dataset that must stay empty, or almost, whatever the data: what the days of `split` alone can tell."""

from collections.abc import Iterator
from datetime import timedelta

from storymesh.errors import Finding
from storymesh.narrative.definition import Narrative

MOST = 0.5  # the share of the days of validation that an embargo may take without a word


def split_warnings(narrative: Narrative) -> Iterator[Finding]:
    """Yield a warning where validation has no time, or an embargo that leaves little of it."""
    split = narrative.dataset.split
    if split is None:
        return
    if split.random is not None:
        for name in ("validation", "test"):
            if getattr(split.random, name) == 0:
                at = narrative.at("dataset", "split", "random", name)
                yield Finding(at, "empty-split", f"no config can have records in {name}: its share is 0", "", "warning")
        return
    begins, ends = split.cuts
    period = ends - begins
    if period == timedelta(0):
        message = "no config can have records in validation: it begins when test does"
        at = narrative.at("dataset", "split", "validation")
        yield Finding(at, "empty-split", message, "give the two different days", "warning")
    elif narrative.case.closes is not None and split.embargo > MOST * period:
        at = narrative.at("dataset", "split", "embargo")
        if split.embargo >= period:
            message = (
                f"no case of validation can be kept: it lasts {_days(period)}, and a case has to close "
                f"{_days(split.embargo)} before test begins"
            )
        else:
            left = f"{_days(period - split.embargo)} of the {_days(period)}"
            message = f"only cases that begin and close in the first {left} of validation are kept"
        yield Finding(at, "empty-split", message, "a shorter embargo, or an earlier `validation`", "warning")


def _days(time: timedelta) -> str:
    days = time / timedelta(days=1)
    return f"{days:g} day{'' if days == 1 else 's'}" if days >= 1 else f"{time / timedelta(hours=1):g} hours"
