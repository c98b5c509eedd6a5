"""The interpreter that follows values tells what the plain one tells, and says of each part where it comes from."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storymesh.errors import NotInLanguage
from storymesh.language.interpret import Interpreter, as_value
from storymesh.language.provenance import TracedText, TracingInterpreter
from storymesh.language.traced_values import COUNTED, HIDDEN, OriginPath, TextSpan
from storymesh.language.typecheck.scope import CheckedTemplate
from storymesh.provenance.origins import value_at
from tests.support.generated import DROPS, accepted, looking, rendered, values_of
from tests.support.unchecked import unchecked_template

ROWS = 4


def traced(checked: CheckedTemplate, row: dict[str, Any]) -> TracedText | NotInLanguage:
    try:
        return TracingInterpreter(checked.tree, b"key").trace_text("case-1", as_value(row))
    except NotInLanguage as drop:
        if any(words in str(drop) for words in DROPS):
            return drop
        raise


@pytest.mark.slow
@looking(lean=60, deep=3000)
@given(seed=st.integers(0, 2**48))
def test_it_tells_what_the_interpreter_tells(seed: int) -> None:
    made = accepted(seed)
    rng = random.Random(seed)
    for row in [values_of(rng) for _ in range(ROWS)]:
        plain, told = rendered(made[2], row), traced(made[2], row)
        if isinstance(plain, NotInLanguage):
            assert isinstance(told, NotInLanguage)
            continue
        assert isinstance(told, TracedText)
        assert told.text == plain, (made[0], row)
        assert "".join(told.text[part.begin : part.end] for part in told.spans) == told.text
        for part in told.spans:
            assert part.expression is None or part.expression in made[0] + "".join(made[1].values())
            for path in part.origins:  # each leads somewhere, or to None
                value_at(row, path[:-1] if path[-1] in (COUNTED, HIDDEN) else path)


# --- where values come from ---

ROWS_OF = [
    {"_key": "R1", "step": "WAIT", "cost": 5, "note": None},
    {"_key": "R2", "step": "REROUTE", "cost": 3, "note": "late"},
    {"_key": "R3", "step": "WAIT", "cost": 9, "note": "dear"},
]
NAMES: dict[str, Any] = {
    "delay": {"_key": "D1", "hours": 30, "code": "PTF", "name": "suez"},
    "steps": ROWS_OF,
    "none_yet": [],
    "place": None,
    "total": 17,
}


def parts_of(text: str, **partials: str) -> list[TextSpan]:
    """The printed parts of a template that nobody checked."""
    templates = {"t.jinja": text, **{f"{name}.jinja": partial for name, partial in partials.items()}}
    template = unchecked_template(templates)
    told = TracingInterpreter(template, b"key").trace_text("case-1", as_value(NAMES))
    assert told.text == Interpreter(template, b"key").render("case-1", as_value(NAMES))
    return [part for part in told.spans if part.expression is not None]


HOURS, NAME = ("delay", "hours"), ("delay", "name")
PLACES: dict[str, list[set[OriginPath]]] = {
    "{{ delay.hours }}": [{HOURS}],
    "{{ (delay.hours - total) | number }}": [{HOURS, ("total",)}],
    "{{ delay.name ~ '/' ~ delay.code }}": [{NAME, ("delay", "code")}],
    "{{ delay.name | upper | replace('S', delay.code) }}": [{NAME, ("delay", "code")}],
    "{{ delay.name | pseudonym }}": [{("delay", "name", "~")}],
    "{% set h = delay.hours %}{% if h > 3 %}{{ h }}{% endif %}": [{HOURS}],
    "{% for s in steps %}{{ s.step }}{% endfor %}": [{("steps", n, "step")} for n in range(3)],
    "{% for s in steps if s.cost > 4 %}{{ s.cost }}{% endfor %}": [{("steps", 0, "cost")}, {("steps", 2, "cost")}],
    "{% for s in steps | sort(attribute='cost') %}{{ s.step }}{% endfor %}": [
        {("steps", 1, "step")},
        {("steps", 0, "step")},
        {("steps", 2, "step")},
    ],
    "{% for s in steps %}{{ loop.index }}{% endfor %}": [
        {("steps", 0, "#")},
        {("steps", 0, "#"), ("steps", 1, "#")},
        {("steps", 0, "#"), ("steps", 1, "#"), ("steps", 2, "#")},
    ],
    "{{ (steps | last).step }}": [{("steps", 2, "step")}],
    "{{ steps | map(attribute='step') | last }}": [{("steps", 2, "step")}],
    "{{ (steps | max(attribute='cost')).step }}": [{("steps", 2, "step")}],
    "{{ steps | selectattr('cost', 'lt', 6) | map(attribute='step') | listing }}": [
        {("steps", 0, "step"), ("steps", 1, "step")}
    ],
    "{{ steps | unique(attribute='step') | map(attribute='cost') | join('/') }}": [
        {("steps", 0, "cost"), ("steps", 1, "cost")}
    ],
    "{{ steps | sum(attribute='cost') }}": [{("steps", n, "cost") for n in range(3)}],
    "{{ steps | rejectattr('note', 'none') | length }}": [{("steps", 1, "#"), ("steps", 2, "#")}],
    "{{ none_yet | length }}": [{("none_yet", "#")}],
    "{{ (steps | first).note | default(delay.name) }}": [{NAME}],
    "{% include 'p.jinja' %}": [{HOURS}],
    "{{ choose(delay.name, delay.name) }}": [{NAME}],
    "{{ 'a' }}": [set()],
}


@pytest.mark.parametrize("text", PLACES)
def test_each_value_is_followed_to_its_places(text: str) -> None:
    parts = parts_of(text, p="{{ delay.hours }}")
    assert [set(part.origins) for part in parts] == PLACES[text]


def test_what_decided_is_told_of_the_expression_alone() -> None:
    (part,) = parts_of("{% if delay.hours > 3 %}{{ 'long' if total > 9 else 'short' }}{% endif %}")
    assert (part.value, part.origins, part.deciding) == ("long", frozenset(), {("total",)})
    (part,) = parts_of("{{ place.name is none and (none_yet | max(attribute='cost')).step is none }}")
    assert (part.origins, part.deciding) == (frozenset(), {("place",), ("none_yet",)})
    (part,) = parts_of("{% set word = 'long' if delay.hours > 3 else 'short' %}{% if total > 9 %}{{ word }}{% endif %}")
    assert (part.origins, part.deciding) == (frozenset(), {HOURS})


def test_a_part_knows_its_expression_and_where_it_is_written() -> None:
    first, second = parts_of("Late:\n  {{ (delay.hours + 1) | number }} h, {{- choose('a', 'b') -}} .")
    assert (first.expression, str(first.at)) == ("(delay.hours + 1) | number", "d/t.jinja:2:6")
    assert (second.expression, str(second.at)) == ("choose('a', 'b')", "d/t.jinja:2:43")


def test_null_propagates_where_it_is_asked_to() -> None:
    text = "{% set value = (place.name | upper) if place else (steps | first).note %}"
    interpreter = TracingInterpreter(unchecked_template({"t.jinja": text}), b"", propagating=True)
    found = interpreter.trace_value("value", as_value(NAMES))
    assert (found.value, found.origins) == (None, {("steps", 0, "note")})
