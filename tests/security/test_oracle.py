"""A template cannot print what a restricted value is, nor the pseudonym of somebody whom it names.

It may branch by a restricted value, as its author may read the contract: that is the review's to see.
"""

import pytest

from storymesh.errors import DefinitionErrors
from storymesh.language.parse import parse_template
from storymesh.language.typecheck.templates import check_template
from storymesh.language.types import Array, Field, Struct, Text

ROW = Struct({"name": Field(Text(), classification="restricted"), "other": Field(Text(), classification="restricted")})
SCOPE = {"row": Field(ROW), "rows": Field(Array(Field(ROW))), "town": Field(Text())}


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
        "{% if row.name == row.other %}x{% endif %}",
        "{% if town == 'Bonn' %}x{% endif %}",
        "{% for x in rows %}{{ x.name | pseudonym }}{% endfor %}",
        "{{ rows | length }}",
    ],
)
def test_what_names_nobody_is_none(text: str) -> None:
    check(text)
