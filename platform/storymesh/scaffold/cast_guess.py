"""Guesses about the cast of an anchor's cases: by the contracts' relationships, by matching key names, and by values
that all are keys."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from storymesh.contract.definition import Contract, Property
from storymesh.language.types import Integer, Text
from storymesh.mesh.mesh import Mesh
from storymesh.narrative.definition import RESERVED
from storymesh.scaffold.names import singular_of
from storymesh.scaffold.product_rows import ProductRows

MAX_ROLES = 8
SHARED_DAYS = 365
_PRODUCT_ID = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_ID_NAME = re.compile(r".+_(id|key|no|nr|number|code|ref)")


@dataclass(frozen=True)
class RoleGuess:
    """A role of the cast to be. `link` is what `case.links` says of it, None: it is the anchor. `why` is in words."""

    name: str
    contract: Contract
    link: Mapping[str, Any] | None
    why: str

    @property
    def is_list(self) -> bool:
        return self.link is not None and self.link["expect"] == "any"


def can_be_cast(contract: Contract) -> bool:
    """Return True for a product whose id a cast can name, and whose rows have a name."""
    return bool(_PRODUCT_ID.fullmatch(contract.id) and contract.key)


def guess_cast(mesh: Mesh, rows: ProductRows, anchor: Contract) -> list[RoleGuess]:
    """Return the anchor's role and those of the products that are linked to it, or to one that is."""
    roles = [RoleGuess(_role_name(singular_of(anchor.name), ()), anchor, None, "one case for each of its rows")]
    others = [contract for contract in mesh.contracts.values() if contract.id != anchor.id and can_be_cast(contract)]
    found = True
    while found and len(roles) < MAX_ROLES:
        found = False
        for contract in others:
            if any(role.contract.id == contract.id for role in roles):
                continue
            if (link := _link_of(contract, roles, rows)) is not None and len(roles) < MAX_ROLES:
                rule, why = link
                name = contract.name if rule["expect"] == "any" else singular_of(contract.name)
                roles.append(RoleGuess(_role_name(name, [role.name for role in roles]), contract, rule, why))
                found = True
    return roles


def _role_name(name: str, taken: tuple[str, ...] | list[str]) -> str:
    while name in RESERVED or name in taken:
        name = f"{name}_row"
    return name


def _link_of(contract: Contract, roles: list[RoleGuess], rows: ProductRows) -> tuple[dict[str, Any], str] | None:
    """Return the rule by which rows of a product belong to a case, and why; None where nothing says how."""
    single = [role for role in roles if not role.is_list]
    for role in single:
        for pairs in _relationships(role.contract, contract):
            on = {theirs: f"{role.name}.{mine}" for mine, theirs in pairs}
            return {"on": on, "expect": _expected(contract, on)}, f"a relationship of {role.contract.id}"
        for pairs in _relationships(contract, role.contract):
            on = {mine: f"{role.name}.{theirs}" for mine, theirs in pairs}
            return {"on": on, "expect": _expected(contract, on)}, f"a relationship of {contract.id}"
    for role in single:
        if (pair := _reference(role.contract, contract)) is not None:
            mine, theirs = pair
            on = {theirs: f"{role.name}.{mine}"}
            return {"on": on, "expect": "optional"}, f"{mine} of {role.contract.id} names its key"
    for role in single:
        if (pair := _reference(contract, role.contract)) is not None:
            mine, theirs = pair
            on = {mine: f"{role.name}.{theirs}"}
            return {"on": on, "expect": _expected(contract, on)}, f"its {mine} names the key of {role.contract.id}"
    for role in single:
        for mine in _may_hold_key(role.contract, contract):
            if rows.names_key(role.contract, mine, contract):
                on = {contract.key[0]: f"{role.name}.{mine}"}
                return {"on": on, "expect": "optional"}, f"every {mine} of {role.contract.id} is a key of it"
        for mine in _may_hold_key(contract, role.contract):
            if rows.names_key(contract, mine, role.contract):
                on = {mine: f"{role.name}.{role.contract.key[0]}"}
                return {"on": on, "expect": _expected(contract, on)}, f"every {mine} is a key of {role.contract.id}"
    if contract.event_time is not None:
        for role in single[:1]:
            for name in sorted(_shared_ids(role.contract, contract)):
                rule = {"on": {name: f"{role.name}.{name}"}, "within": {"after": f"-{SHARED_DAYS}d", "before": "0d"}}
                return {**rule, "expect": "any"}, f"both have {name}; the year before"
    return None


def _expected(contract: Contract, columns: Mapping[str, str]) -> str:
    return "optional" if contract.is_unique(columns) else "any"


def _relationships(contract: Contract, other: Contract) -> Iterator[list[tuple[str, str]]]:
    """Yield the pairs of columns of each relationship that leads from a contract to another."""
    for relationship in contract.relationships:
        targets = [other.property_at(reference) for reference in relationship.to_columns]
        if relationship.to_contract == other.id and all(targets):
            yield [(mine, item.name) for mine, item in zip(relationship.columns, targets, strict=True) if item]


def _reference(contract: Contract, other: Contract) -> tuple[str, str] | None:
    """Return the property of a contract that names the key of another, and this key, as their names say."""
    if len(other.key) != 1:
        return None
    key = other.key[0]
    own = singular_of(other.name)
    names = [f"{own}_{key}", f"{own}_id", own] if key in ("id", "key", "code", "no", "number", "name") else [key]
    for name in names:
        item = contract.properties.get(name)
        if item is not None and contract.key != (name,) and _joinable(item, other.properties[key]):
            return name, key
    return None


def _may_hold_key(contract: Contract, other: Contract) -> Iterator[str]:
    """Yield the properties whose values may be keys of another contract: texts, and such whole numbers as are called
    after the other, since small numbers are among any others."""
    if len(other.key) != 1:
        return
    key, own = other.properties[other.key[0]], singular_of(other.name)
    for name, item in contract.properties.items():
        if contract.key == (name,) or not _joinable(item, key):
            continue
        if isinstance(item.type, Text) or own in name:
            yield name


def _shared_ids(contract: Contract, other: Contract) -> Iterator[str]:
    for name, item in contract.properties.items():
        theirs = other.properties.get(name)
        if theirs is not None and _ID_NAME.fullmatch(name) and _joinable(item, theirs):
            yield name


def _joinable(item: Property, other: Property) -> bool:
    plain = isinstance(item.type, Text | Integer) and type(item.type) is type(other.type)
    return plain and "restricted" not in (item.classification, other.classification)
