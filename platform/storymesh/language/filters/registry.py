"""The single list of filters, in the order of the reference."""

from collections.abc import Mapping

from storymesh.language.filters import dates, lists, null_and_codes, numbers, selection, text
from storymesh.language.filters.base import Filter

_FILTERS: tuple[Filter, ...] = (
    numbers.Number(),
    numbers.Percent(),
    dates.DateFormat(),
    numbers.Plural(),
    numbers.Duration(),
    lists.Listing(),
    null_and_codes.Default(),
    null_and_codes.Label(),
    null_and_codes.Pseudonym(),
    text.Upper(),
    text.Lower(),
    text.Capitalize(),
    text.Title(),
    text.Initials(),
    text.Trim(),
    text.Replace(),
    lists.Length(),
    lists.First(),
    lists.Last(),
    lists.Sum(),
    lists.Min(),
    lists.Max(),
    lists.Join(),
    numbers.Round(),
    numbers.Abs(),
    numbers.Int(),
    lists.MapProperty(),
    selection.SelectRows(),
    selection.RejectRows(),
    lists.Sort(),
    lists.Unique(),
)
FILTERS: Mapping[str, Filter] = {filter_.name: filter_ for filter_ in _FILTERS}
