"""Guards that narrow, in every form in which people write them: none of these templates has a finding."""

from pathlib import Path

import pytest
import yaml

from tests.support.canal_mesh import findings

CASES = yaml.safe_load((Path(__file__).parent / "narrowing.yaml").read_text(encoding="utf-8"))
WRITTEN = [(case, "hindsight") if isinstance(case, str) else (case["template"], case["view"]) for case in CASES]


@pytest.mark.parametrize(("template", "view"), WRITTEN)
def test_a_guard_narrows(template: str, view: str) -> None:
    assert findings(template, view) == []


def test_facts_of_facts_are_asked_once_each() -> None:
    """A hundred facts, each of which reads the one before twice, would otherwise take 2¹⁰⁰ steps, or as many calls."""
    from storymesh.language.parse import parse_expression, parse_template
    from storymesh.language.typecheck.scope import Fact
    from storymesh.language.typecheck.templates import check_expression, check_template
    from storymesh.language.types import Field, Integer
    from storymesh.location import Location

    scope: dict[str, Field | Fact] = {"f0": Field(Integer(), True)}
    for number in range(1, 101):
        expression = parse_expression(f"f{number - 1} + f{number - 1}", Location("narrative.yaml"))
        checked = check_expression(expression, scope)
        scope[f"f{number}"] = Fact(checked.value.field, expression)
    template = parse_template("{% if f100 is not none %}{{ f0 + f20 }}{% endif %}", "t", "t")
    assert check_template(template, scope, lambda name: None).names == {"f0", "f20", "f100"}
