"""What a contract promises of a value, as the checker uses it: its codes, that it is not zero, who may see it."""

from pathlib import Path
from typing import Any

import pytest

from storymesh.contract.read import read_contract
from storymesh.errors import DefinitionErrors
from storymesh.language.parse import parse_expression, parse_template
from storymesh.language.typecheck.templates import check_expression, check_template
from storymesh.language.types import Boolean, Date, Decimal, Field, Float, Integer, Text, Timestamp, Type
from storymesh.location import Location

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: desk.calls
version: 1.0.0
status: active
schema:
- name: calls
  customProperties: [{property: timeless, value: true}]
  properties:
  - {name: id, logicalType: string, primaryKey: true, primaryKeyPosition: 1}
  - {name: amount, logicalType: number, physicalType: "decimal(8,2)", required: true%s}
"""


def field_of(extra: str, folder: Path) -> Field:
    path = folder / "contracts" / "desk" / "calls.odcs.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(CONTRACT % extra, encoding="utf-8")
    return read_contract(path, folder).properties["amount"].field


@pytest.mark.parametrize(
    ("extra", "nonzero"),
    [
        ("", False),
        (", logicalTypeOptions: {minimum: 0}", False),
        (", logicalTypeOptions: {minimum: 1}", True),
        (", logicalTypeOptions: {exclusiveMinimum: 0}", True),
        (", logicalTypeOptions: {maximum: 5}", False),
        (", logicalTypeOptions: {maximum: -0.5}", True),
        (", logicalTypeOptions: {exclusiveMaximum: 0}", True),
        (", enum: [{value: 1}, {value: 2}]", True),
        (", enum: [{value: 0}, {value: 2}]", False),
    ],
)
def test_a_contract_keeps_a_number_from_zero(extra: str, nonzero: bool, tmp_path: Path) -> None:
    field = field_of(extra, tmp_path)
    assert field.nonzero is nonzero
    checked = check_expression(parse_expression("100 / amount", Location("narrative.yaml", 9, 3)), {"amount": field})
    words = "'amount' may be zero and is divided by (write `… / amount if amount != 0 else none`)"
    expected = [] if nonzero else [f"narrative.yaml:9:9: warning[may-be-zero]: {words}"]
    assert [str(warning) for warning in checked.warnings] == expected
    guarded = parse_expression("100 / amount if amount > 0 else none", Location("narrative.yaml", 9, 3))
    assert check_expression(guarded, {"amount": field}).warnings == ()


@pytest.mark.parametrize(
    ("type_", "hint", "repaired"),
    [
        (Text(), "print it through `| pseudonym`", "x | pseudonym"),
        (Integer(), "print it through `| pseudonym`", "x | pseudonym"),
        (Date(), "leave it out, or print it through `| date | pseudonym`", "x | date | pseudonym"),
        (Timestamp(), "leave it out, or print it through `| date | pseudonym`", "x | date | pseudonym"),
        (Decimal(8, 2), "leave it out, or print it through `| number | pseudonym`", "x | number | pseudonym"),
        (Boolean(), "leave it out", "'-'"),
    ],
)
def test_the_hint_for_what_is_restricted_can_be_followed(type_: Type, hint: str, repaired: str) -> None:
    scope: Any = {"x": Field(type_, classification="restricted")}
    with pytest.raises(DefinitionErrors) as refused:
        check_template(parse_template("{{ x }}", "t", "t"), scope, lambda name: None)
    assert [finding.hint for finding in refused.value.findings] == [hint]
    check_template(parse_template(f"{{{{ {repaired} }}}}", "t", "t"), scope, lambda name: None)


def test_the_hint_for_a_person_who_may_be_null_can_be_followed() -> None:
    """No other name may stand in for one, so that no `default` is proposed."""
    scope: Any = {"x": Field(Text(), True)}

    def check(text: str) -> list[str]:
        try:
            check_template(parse_template(text, "t", "t"), scope, lambda name: None)
        except DefinitionErrors as refused:
            return [finding.hint for finding in refused.findings]
        return []

    assert check("{{ x | pseudonym }}") == ["guard it with `if x is not none`"]
    assert check("{{ x | default('nobody') | pseudonym }}") != []
    assert check("{{ x | pseudonym if x is not none else 'nobody' }}") == []


@pytest.mark.parametrize(
    ("one", "other", "written"),
    [
        (Decimal(8, 2), Integer(), "a | default(b)"),
        (Decimal(8, 2), Decimal(9, 4), "a or b"),
        (Integer(), Decimal(9, 4), "a if c else b"),
    ],
)
def test_a_decimal_stays_one_beside_other_exact_numbers(one: Type, other: Type, written: str) -> None:
    scope: Any = {"a": Field(one, True), "b": Field(other), "c": Field(Boolean())}
    found = check_expression(parse_expression(written, Location("n")), scope).value.type
    assert isinstance(found, Decimal) and found.scale == max(getattr(kind, "scale", 0) for kind in (one, other))
    scope["b"] = Field(Float())
    assert isinstance(check_expression(parse_expression(written, Location("n")), scope).value.type, Float)
