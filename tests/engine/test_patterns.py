"""What is taken for a plain pattern without asking an engine is one that the engine runs."""

import os
from random import Random

from storymesh.engine.open import regex_fault
from storymesh.engine.patterns import _is_plain

PARTS = [
    *"ab1.^$|()[]{}*+?-\\,:=!<P",
    "(?:",
    "{2}",
    "{2,3}",
    "{999}",
    "{1000}",
    "\\d",
    "\\w",
    "\\b",
    "\\1",
    "[a-z]",
    "[^a]",
]
PARTS += ["(?=", "(?i)", "(?P<n>", "*+", "\\Z", "\\.", "é", "[[:alpha:]]", "x{"]


DRAWN = 200_000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 4_000


def test_a_plain_pattern_is_run_by_the_engine() -> None:
    random = Random(7)
    drawn = {"".join(random.choices(PARTS, k=random.randint(1, 12))) for _ in range(DRAWN)}
    plain = sorted(filter(_is_plain, drawn))
    assert len(plain) > 200
    assert [pattern for pattern in plain if regex_fault(pattern) is not None] == []


def test_usual_patterns_are_plain() -> None:
    for pattern in (r"^[A-Z]{2}[0-9]{3}$", r"IMO\d{7}", r"^[^@\s]+@[^@\s]+\.[^@\s]+$", r"(?:AB|CD)-\d+", r"^.{1,40}$"):
        assert _is_plain(pattern), pattern


def test_what_an_engine_has_to_be_asked_about_is_not_plain() -> None:
    for pattern in (r"(a)\1", "(?=x)", "(?<!x)y", "a*+", "(x{999}){999}", "[z-a]", "(", "(?i)x", "x{1001}", "\\p{L}"):
        assert not _is_plain(pattern), pattern
