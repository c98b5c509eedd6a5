"""What the checker accepts renders, whatever the values: no failure, no None."""

import random

from hypothesis import given
from hypothesis import strategies as st

from tests.support.generated import accepted, looking, rendered, values_of


@looking(lean=200, deep=5000)
@given(seed=st.integers(0, 2**48))
def test_what_is_accepted_renders_without_none(seed: int) -> None:
    made = accepted(seed)
    if made is None:
        return
    text, partials, checked = made
    rng = random.Random(seed)
    for _ in range(3):
        names = values_of(rng)
        told = rendered(text, partials, checked, names)
        assert "None" not in str(told), (text, partials, names)
