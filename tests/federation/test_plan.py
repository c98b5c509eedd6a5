"""Which rows of a product that stays are fetched: the way that costs least by the prices of the links it crosses."""

import shutil
from pathlib import Path

import pytest

from storymesh.federation.link_prices import ALIKE, LinkPrices
from storymesh.federation.plan import ALL, KEYS, TIME, FetchStrategies
from storymesh.federation.selection import RowSelection, TransferEstimate
from storymesh.mesh.mesh import load_mesh

GUARDED = Path(__file__).parent / "guarded_mesh"
WAYS = FetchStrategies({ALL: RowSelection(), TIME: RowSelection(), KEYS: RowSelection()})
MOVED = {
    ALL: TransferEstimate(1_000, 9_000),
    TIME: TransferEstimate(500, 4_500),
    KEYS: TransferEstimate(10, 90, 3_000),
}


@pytest.mark.parametrize(
    ("prices", "chosen"),
    [
        pytest.param(ALIKE, KEYS, id="alike: fewest bytes"),
        pytest.param(LinkPrices(rows=1, keys=10), TIME, id="keys are dear"),
        pytest.param(LinkPrices(rows=10, keys=1), KEYS, id="rows are dear"),
        pytest.param(LinkPrices(rows=0, keys=1), TIME, id="rows cost nothing: of what costs the same, fewest bytes"),
        pytest.param(LinkPrices(rows=0, keys=0), KEYS, id="nothing costs anything: fewest bytes"),
    ],
)
def test_the_way_that_costs_least_is_chosen(prices: LinkPrices, chosen: str) -> None:
    assert WAYS.choose(MOVED, prices) == chosen


def test_a_way_of_which_nothing_is_known_is_not_chosen() -> None:
    assert WAYS.choose({TIME: MOVED[TIME]}, LinkPrices(1, 100)) == TIME


def test_prices_are_those_of_the_premises_that_values_leave(tmp_path: Path) -> None:
    root = Path(shutil.copytree(GUARDED, tmp_path / "mesh"))
    settings = root / "mesh.yaml"
    text = (
        settings.read_text(encoding="utf-8")
        .replace("price: 1.0", "price: 8")
        .replace("hq: {}", "hq: {link: {price: 2}}")
    )
    settings.write_text(text, encoding="utf-8")
    mesh = load_mesh(root)
    elsewhere = next(name for name in mesh.products if mesh.residency.premise_of(name) == "eu-bank")
    here = next((name for name in mesh.products if mesh.residency.premise_of(name) == "hq"), None)
    assert mesh.residency.link_prices(elsewhere, "credit-aml") == LinkPrices(rows=8, keys=2)
    assert here is None or mesh.residency.link_prices(here, "credit-aml") == ALIKE
