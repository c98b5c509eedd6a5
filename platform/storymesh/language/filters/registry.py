"""The single list of filters, in the order of the reference."""

from collections.abc import Mapping

from storymesh.language.filters import dates, lists, null_and_codes, numbers, selection, text
from storymesh.language.filters.base import Filter

_FILTERS: tuple[Filter, ...] = (
    numbers.NumberFilter(),
    numbers.PercentFilter(),
    dates.DateFilter(),
    numbers.PluralFilter(),
    numbers.DurationFilter(),
    lists.ListingFilter(),
    null_and_codes.DefaultFilter(),
    null_and_codes.LabelFilter(),
    null_and_codes.PseudonymFilter(),
    text.UpperFilter(),
    text.LowerFilter(),
    text.CapitalizeFilter(),
    text.TitleFilter(),
    text.InitialsFilter(),
    text.TrimFilter(),
    text.ReplaceFilter(),
    lists.LengthFilter(),
    lists.FirstFilter(),
    lists.LastFilter(),
    lists.SumFilter(),
    lists.MinFilter(),
    lists.MaxFilter(),
    lists.JoinFilter(),
    numbers.RoundFilter(),
    numbers.AbsFilter(),
    numbers.IntFilter(),
    lists.MapFilter(),
    selection.SelectattrFilter(),
    selection.RejectattrFilter(),
    selection.SelectFilter(),
    selection.RejectFilter(),
    lists.SortFilter(),
    lists.UniqueFilter(),
)
FILTERS: Mapping[str, Filter] = {filter_.name: filter_ for filter_ in _FILTERS}
