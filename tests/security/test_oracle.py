"""A template cannot print what a restricted value is, nor the pseudonym of somebody whom it names.

It may branch by a restricted value, as its author may read the contract: that is the review's to see.
"""

import pytest

from storymesh.errors import DefinitionErrors
from storymesh.language.parse import parse_expression, parse_template
from storymesh.language.typecheck.scope import Fact
from storymesh.language.typecheck.templates import check_template
from storymesh.language.types import Array, Date, Field, Integer, Struct, Text
from storymesh.location import Location

ROW = Struct({"name": Field(Text(), classification="restricted"), "other": Field(Text(), classification="restricted")})
SCOPE = {
    "row": Field(ROW),
    "rows": Field(Array(Field(ROW))),
    "town": Field(Text()),
    "empty": Field(Text(), nullable=True),
    "number": Field(Integer()),
    "day": Field(Date()),
    "plain": Fact(Field(Text()), parse_expression("town", Location("d/n.yaml", 1, 1))),
    "named": Fact(Field(Text()), parse_expression("'Jane Doe' ~ town", Location("d/n.yaml", 1, 1))),
    "either": Fact(Field(Text()), parse_expression("empty or 'Jane Doe'", Location("d/n.yaml", 1, 1))),
}


def check(text: str) -> None:
    check_template(parse_template(text, "t", "d/t"), SCOPE, lambda name: None)


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'Jane Doe' | pseudonym }}",
        "{{ ('Jane' ~ ' Doe') | pseudonym }}",
        "{{ 7 | pseudonym }}",
        "{% set x = 'Jane Doe' %}{{ x | pseudonym }}",
        "{% for x in ['Jane Doe', 'John Doe'] %}{{ x | pseudonym }}{% endfor %}",
        "{{ choose('Jane Doe', 'John Doe') | pseudonym }}",
        "{{ (none | default('Jane Doe')) | pseudonym }}",
        "{{ ('Jane Doe' ~ town) | pseudonym }}",
        "{{ (row.name ~ ' Doe') | pseudonym }}",
        "{{ empty | default('Jane Doe') | pseudonym }}",
        "{{ (empty or 'Jane Doe') | pseudonym }}",
        "{{ (town and 'Jane Doe') | pseudonym }}",
        "{{ ('Jane Doe' if town == 'Bonn' else row.name) | pseudonym }}",
        "{{ town | replace('Bonn', 'Jane Doe') | pseudonym }}",
        "{{ day | date('Jane Doe %-d') | pseudonym }}",
        "{{ number | plural('Jane') | pseudonym }}",
        "{{ (number * 0 + 4711) | pseudonym }}",
        "{{ -(4711 - number) | pseudonym }}",
        "{{ choose('Jane Doe', town) | pseudonym }}",
        "{% set x = 'Jane Doe' ~ town %}{{ x | pseudonym }}",
        "{% set x = 'Jane Doe' ~ town %}{% set y = x | upper %}{{ y | trim | pseudonym }}",
        "{% if town == 'Bonn' %}{% set x = 'Jane Doe' %}{% else %}{% set x = town %}{% endif %}{{ x | pseudonym }}",
        "{% for x in ['Jane Doe', town] %}{{ x | pseudonym }}{% endfor %}",
        "{{ ['Jane Doe', town] | first | default('') | pseudonym }}",
        "{{ ['Jane Doe', town] | sort | last | default('') | pseudonym }}",
        "{{ [town, town] | join('Jane Doe') | pseudonym }}",
        "{{ [town, town] | listing('Jane Doe') | pseudonym }}",
        "{{ named | pseudonym }}",
        "{{ either | pseudonym }}",
        "{{ row.name }}",
        "{{ row.name == 'Jane Doe' }}",
        "{{ row.name | length }}",
        "{{ row.name | upper }}",
        "{{ rows | map(attribute='name') | listing }}",
        "{{ rows | map(attribute='name') | sort | first | default('') }}",
    ],
)
def test_what_tells_whose_a_record_is_is_a_finding(text: str) -> None:
    with pytest.raises(DefinitionErrors, match="restricted"):
        check(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ row.name | pseudonym }}",
        "{{ row.name | pseudonym | default('nobody') }}",
        "{{ (row.name ~ ', ' ~ row.other) | pseudonym }}",
        "{{ empty | default('') | pseudonym }}",
        "{{ rows | map(attribute='name') | first | default('') | pseudonym }}",
        "{% set x = row.name %}{{ x | pseudonym }}",
        "{{ number | pseudonym }}",
        "{{ plain | pseudonym }}",
        "{{ (row.name if town == 'Bonn' else row.other) | pseudonym }}",
        "{% if row.name == row.other %}x{% endif %}",
        "{% if town == 'Bonn' %}x{% endif %}",
        "{% for x in rows %}{{ x.name | pseudonym }}{% endfor %}",
        "{{ rows | length }}",
    ],
)
def test_what_names_nobody_is_none(text: str) -> None:
    check(text)
