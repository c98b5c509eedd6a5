"""The attributes of OCEL objects and events: which properties of a product a log has, and their values in JSON."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal as Number
from functools import cached_property
from typing import TYPE_CHECKING, Any

from storymesh.case.link import KEY, key_text
from storymesh.contract.definition import is_restricted
from storymesh.language.compile.values import pseudonym
from storymesh.language.types import (
    Boolean,
    Date,
    Decimal,
    Float,
    Integer,
    Text,
    Timestamp,
    Type,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.contract.definition import Contract
    from storymesh.dataset.build import Build

EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class OcelAttribute:
    """An attribute: its OCEL type, and the property (or column) that says when it became known."""

    name: str
    kind: str
    known: str | None


class ProductObjects:
    """One product of the cast as objects: which of its properties a log has, and how; `roles` are those it plays.

    The properties in `masked` (product, property) are written as their pseudonyms.
    """

    def __init__(
        self, build: "Build", contract: "Contract", roles: tuple[str, ...], masked: frozenset[tuple[str, str]]
    ) -> None:
        self.build, self.contract, self.roles = build, contract, roles
        self.masked = frozenset(column for product, column in masked if product == contract.id)

    @property
    def id(self) -> str:
        """The id of the product."""
        return self.contract.id

    def _is_public(self, column: str) -> bool:
        """Return True if the property may leave the mesh as it is, or as its pseudonym."""
        return column in self.masked or not is_restricted(self.contract.properties[column].field)

    def _is_moment(self, column: str) -> bool:
        return column not in self.masked and self._is_public(column)

    @cached_property
    def attributes(self) -> tuple[OcelAttribute, ...]:
        """The properties that the log has."""
        attributes = []
        for name, item in self.contract.properties.items():
            if self._is_public(name):
                known = self.contract.known_at_of(name)
                kind = ocel_type(Text() if name in self.masked else item.type)
                attributes.append(OcelAttribute(name, kind, known if known and self._is_moment(known) else None))
        return tuple(attributes)

    @cached_property
    def moments(self) -> tuple[str, ...]:
        """The properties that say when something happened to a row, in the order of the contract."""
        named = {self.contract.event_time, self.contract.end_time, *(attribute.known for attribute in self.attributes)}
        return tuple(name for name in self.contract.properties if name in named and self._is_moment(name))

    def known_at(self, moment: str) -> tuple[OcelAttribute, ...]:
        """Return what became known at a moment, without the moment itself."""
        return tuple(
            attribute for attribute in self.attributes if attribute.known == moment and attribute.name != moment
        )

    def known_moment(self, row: Mapping[str, Any], attribute: OcelAttribute) -> date:
        """Return when an attribute of a row became known: at its own moment, else the row's, else always."""
        moments = [name for name in (attribute.known, self.contract.event_time) if name in self.moments]
        return next((row[f"a_{name}"] for name in moments if row[f"a_{name}"] is not None), EPOCH)

    def rows(self, table: "ir.Table") -> "ir.Table":
        """Return the product's rows as the log has them: `a_<property>`, and `_key`."""
        key = self.build.pseudonym_key

        def column(name: str) -> "ir.Value":
            return pseudonym(table[name], key) if name in self.masked else table[name]

        values = {
            f"a_{attribute.name}": fetchable(column(attribute.name), attribute.kind) for attribute in self.attributes
        }
        return table.select(**values, **{KEY: key_text([column(name) for name in self.contract.key])})

    def keys(self, table: "ir.Table", role: str) -> "ir.Table":
        """Return the keys of a role's rows as the cases have them (`of_role`), and as the log has them (`_key`)."""
        names, key = self.contract.key, self.build.pseudonym_key

        def text(masked: frozenset[str]) -> "ir.StringValue":
            return key_text([pseudonym(table[name], key) if name in masked else table[name] for name in names])

        own = frozenset(path[1] for path in self.build.typed.pseudonymised if path[0] == role)
        return table.select(of_role=text(own), **{KEY: text(self.masked)})


def ocel_type(kind: Type) -> str:
    """Return the OCEL type of a contract's type; it has no lists and no structs, which are JSON in a string."""
    match kind:
        case Integer():
            return "integer"
        case Decimal() | Float():
            return "float"
        case Boolean():
            return "boolean"
        case Date() | Timestamp():
            return "time"
        case _:
            return "string"


def fetchable(value: "ir.Value", kind: str) -> "ir.Value":
    """Return a value as a type that Python's values of this OCEL type come from."""
    match kind:
        case "float":
            return value.cast("float64")
        case "time":
            return value.cast("timestamp(6)")
        case _:
            return value


def attribute_entries(
    row: Mapping[str, Any], attributes: Iterable[tuple[OcelAttribute, date | None]]
) -> list[dict[str, Any]]:
    """Return name, value and, where a moment is given, time of the attributes of a row that are not null."""
    entries = []
    for attribute, moment in attributes:
        value = _json_value(row[f"a_{attribute.name}"])
        if value is not None:
            time = {"time": format_moment(moment)} if moment is not None else {}
            entries.append({"name": attribute.name, "value": value, **time})
    return entries


def _json_value(value: Any) -> Any:
    """Return a value as OCEL has it in JSON; None where it has none."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case date():
            return format_moment(value)
        case list() | dict():
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_nested_value)
        case _:
            return value


def _nested_value(value: Any) -> Any:
    return float(value) if isinstance(value, Number) else str(value)


def format_moment(moment: date) -> str:
    """Return a moment of UTC in ISO 8601; a date is its midnight."""
    if not isinstance(moment, datetime):
        return f"{moment.isoformat()}T00:00:00Z"
    text = moment.replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"
