"""What the checker accepts renders, whatever the values: no failure, no None."""

import random

from hypothesis import given
from hypothesis import strategies as st

from storymesh.errors import NotInLanguage
from tests.support.generated import accepted, looking, rendered, values_of


@looking(lean=200, deep=5000)
@given(seed=st.integers(0, 2**48))
def test_what_is_accepted_renders_without_none(seed: int) -> None:
    text, partials, checked = accepted(seed)
    rng = random.Random(seed)
    for _ in range(3):
        names = values_of(rng)
        result = rendered(checked, names)  # raises for what is neither a text nor a number that drops its record
        assert isinstance(result, str | NotInLanguage)
        assert "None" not in str(result), (text, partials, names)
