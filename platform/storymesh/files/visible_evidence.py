"""The part of a value's evidence that people may see: never more than the contract lets them see of the row."""

from collections.abc import Mapping
from typing import Any

from storymesh.contract.definition import Contract, restricted_properties
from storymesh.language.static_values import RANK


def is_only_method_visible(contract: Contract, column: str) -> bool:
    """Return True if only the method of a property's evidence may be shown: the evidence, which quotes the file, is
    restricted or more strictly classified than the value."""
    assert contract.evidence is not None
    own, value = (contract.properties[name].classification for name in (contract.evidence, column))
    return own == "restricted" or RANK[own] > RANK[value]


def visible_evidence(contract: Contract, item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an item of the evidence of a row as it may be shown beside the row's values that may be.

    Where the row has a value that may not, quote and name of the file are left out, for they may say it.
    """
    if is_only_method_visible(contract, item["property"]):
        return {"property": item["property"], "how": item["how"]}
    if restricted_properties(contract):
        return {name: value for name, value in item.items() if name not in ("quote", "uri")}
    return item
