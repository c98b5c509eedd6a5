"""What is wrong with a case, told at its place: each change to a sound case, and the one finding that it gives."""

from pathlib import Path

import pytest
import yaml

from storymesh.case.definition import Case
from storymesh.case.resolve import resolve_cast
from storymesh.case.scopes import type_case
from storymesh.document import parse_document
from storymesh.errors import DefinitionErrors
from tests.support.small_mesh import Product

BROKEN = yaml.safe_load((Path(__file__).parent / "broken.yaml").read_text(encoding="utf-8"))
SOUND = """\
case:
  anchor: delay
  at: delay.seen
  closes: delay.over
  links:
    shipment: {expect: one}
    port:     {on: {code: delay.port}, expect: optional}
    closure:  {on: {port: delay.port}, overlaps: {slack: 2d}, expect: any}
    step:     {on: {shipment: shipment.id}, within: {after: 0d, before: 30d}, expect: any}
  facts:
    saved: delay.hours - delay.final
    last: step | last
  outcome: {action: last.code, score: saved, worked: saved >= 24}
  precedents:
    match: [[delay.port, shipment.cargo], [delay.port]]
    min: 5
"""
DELAY = Product(
    "delays",
    {
        "id": "string",
        "seen": "timestamp",
        "over": "timestamp",
        "noted": "date",
        "port": "string",
        "hours": "integer",
        "final": "integer",
        "rate": "number",
        "shipment": "string",
        "other": "string",
    },
    event="seen",
    end="over",
    known_of={"final": "over"},
    required=("seen", "hours"),
    refers=((("shipment",), "shipments", ("id",)),),
)
SHIPMENT = Product("shipments", {"id": "string", "cargo": "string", "booked": "timestamp"}, event="booked")
PORT = Product("ports", {"code": "string", "name": "string"}, ("code",), timeless=True)
CLOSURE = Product(
    "closures", {"id": "string", "port": "string", "began": "date", "ended": "date"}, event="began", end="ended"
)
STEP = Product("steps", {"id": "string", "shipment": "string", "code": "string", "at": "timestamp"}, event="at")
TWICE = Product(
    "delays", DELAY.columns, event="seen", end="over", required=("seen",),
    refers=(*DELAY.refers, (("other",), "shipments", ("id",))),
)  # fmt: skip
CAST = {"delay": DELAY, "shipment": SHIPMENT, "port": PORT, "closure": CLOSURE, "step": STEP}


def findings(text: str, cast: dict[str, Product] = CAST) -> list[str]:
    document = parse_document(text, "narrative.yaml")
    try:
        case = Case.model_validate(document.value["case"])
        contracts = {role: product.contract for role, product in cast.items()}
        type_case(case, resolve_cast(case, contracts, document.at), document.at)
    except DefinitionErrors as refused:
        return [str(finding) for finding in refused.findings]
    return []


def test_the_case_that_the_others_change_is_sound() -> None:
    assert findings(SOUND) == []


@pytest.mark.parametrize("case", BROKEN, ids=[case["finding"].split(": ")[1] + " " + case["into"] for case in BROKEN])
def test_what_is_wrong_with_a_case_is_told_at_its_place(case: dict[str, str]) -> None:
    assert SOUND.count(case["change"]) == 1, "the case has to change one place"
    found = findings(SOUND.replace(case["change"], case["into"]))
    assert any(item.startswith(f"narrative.yaml:{case['finding']}") for item in found), found


def test_two_relationships_are_one_too_many() -> None:
    (found,) = findings(SOUND, CAST | {"delay": TWICE})
    assert found == (
        "narrative.yaml:6:15: error[many-relationships]: 2 relationships join 'shipment' to the roles before it: "
        "id = delay.shipment; id = delay.other (choose one with `on`)"
    )


def test_a_role_that_is_linked_through_hindsight_is_out_of_view() -> None:
    plain = Product("shipments", {"id": "string", "cargo": "string"})
    text = SOUND.replace("shipment.cargo", "last.code").replace("[delay.port]]", "[shipment.cargo]]")
    found = findings(text, CAST | {"shipment": plain})
    assert [item.split(": ", 1)[0] for item in found] == ["narrative.yaml:15:26", "narrative.yaml:15:39"]
    assert "linked through what no question knows" in found[0]
    assert "'shipment' is hindsight" in found[1]
