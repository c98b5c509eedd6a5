"""The values that a contract is read into: its properties, their types, its key, its clocks and its quality rules.

A contract is read whole or not at all (`contract/read.py`): code further up never meets one that is half understood.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any, get_args

from storymesh.contract.egress_rules import EgressRules, Form, Residence
from storymesh.contract.quality_rules import Rule
from storymesh.document import Document
from storymesh.errors import Finding
from storymesh.language.static_values import counted
from storymesh.language.types import NUMBERS, Array, Classification, Field, Integer, Struct, Text, Type
from storymesh.location import Location

CLASSIFICATIONS: tuple[Classification, ...] = get_args(Classification)
TYPES = (
    "string", "integer", "number", "boolean", "date", "timestamp", "time", "array", "object", "map", "vector",
)  # fmt: skip
DEFAULT_QUARANTINE_LIMIT = 0.1
SUFFIX = ".odcs.yaml"

VERSION = re.compile(r"v?(\d{1,9})(\.\d+){0,2}([-+].+)?")
"""The pattern of a contract's version; its first number is the major."""


@dataclass(frozen=True)
class Property:
    """One column of a product. `known_at` is only what the contract writes; `Contract.known_at_of` has the default.

    `physical_name` is what the column is called where the rows come from, if it is called otherwise there.
    `partition_position` is its place among the columns by whose values the product is stored in parts. `deprecated`: it
    will go, and nothing new should read it.
    """

    name: str
    type: Type
    required: bool
    unique: bool
    key_position: int | None
    partition_position: int | None
    classification: Classification
    unit: str | None
    known_at: str | None
    title: str
    description: str
    options: Mapping[str, Any]
    enum: tuple[Any, ...]
    quality: tuple[Rule, ...]
    reference: str
    physical_name: str | None
    deprecated: bool
    location: Location
    evidence: bool = False
    """True for the list that says where in its file each value of the row stands."""
    least_confidence: float | None = None
    """The least confidence of a recogniser in the words that a value is taken from, from 0 to 1; None: any."""
    hashed: Type | None = None
    """The type that it had where it left as its keyed hash; None for what is as the contract says."""

    @property
    def joined_type(self) -> Type:
        """The type of the values that it is joined by: a hash equals the hash of a value."""
        return self.hashed or self.type

    def as_hash(self) -> "Property":
        """Return the property as it is where its keyed hash is: a text, of which nothing else is known."""
        return replace(
            self, type=Text(), options=MappingProxyType({}), enum=(), quality=(), unit=None, hashed=self.type
        )

    @property
    def field(self) -> Field:
        """Return the field that expressions see: a type, and what may be assumed of its values."""
        nullable = not self.required and self.key_position is None
        codes, nonzero = self._codes, self._never_zero
        return Field(self.type, nullable, self.classification, self.unit, codes=codes, nonzero=nonzero)

    @property
    def _codes(self) -> frozenset[str | int] | None:
        """The values of the enum, where they are texts or whole numbers."""
        plain = all(isinstance(value, str | int) and not isinstance(value, bool) for value in self.enum)
        return frozenset(self.enum) if self.enum and plain and isinstance(self.type, Text | Integer) else None

    @property
    def _never_zero(self) -> bool:
        """True for a number that the options or the enum keep apart from zero."""
        if not isinstance(self.type, NUMBERS):
            return False
        low, above = self.options.get("minimum", 0), self.options.get("exclusiveMinimum", -1)
        high, below = self.options.get("maximum", 0), self.options.get("exclusiveMaximum", 1)
        return low > 0 or above >= 0 or high < 0 or below <= 0 or bool(self.enum and 0 not in self.enum)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Return what the column may be called where the rows come from, the likelier name first."""
        return (self.physical_name, self.name) if self.physical_name else (self.name,)


@dataclass(frozen=True)
class Relationship:
    """`columns` hold the key of a row of the product `to_contract`. `to_columns` are names or ids, as they were
    written: `Contract.property_at` of the other contract finds them."""

    columns: tuple[str, ...]
    to_contract: str
    to_columns: tuple[str, ...]
    location: Location


@dataclass(frozen=True)
class Freshness:
    """The newest `property` must not be older than `max_age` when a snapshot is published; breaking it warns."""

    max_age: timedelta
    property: str
    location: Location

    @cached_property
    def longest(self) -> str:
        """`max_age` in words, in the largest unit of which it is a whole number: `7 days`, `36 hours`."""
        whole = (counted(self.max_age // unit, name) for name, unit in _UNITS if not self.max_age % unit)
        return next(whole, f"{self.max_age.total_seconds():g} seconds")


_UNITS = (  # the largest first
    *(("day", timedelta(days=1)), ("hour", timedelta(hours=1))),
    *(("minute", timedelta(minutes=1)), ("second", timedelta(seconds=1))),
)
RESTRICTED = "(restricted)"
"""The text in the place of a restricted value."""


@dataclass(frozen=True)
class Contract:
    """The promise of one output port. `digest` is the SHA-256 of the file's values, whatever their order or layout.

    `leaves` is what may leave its premise, `in_place` the server on which its rows stay (None: they are copied), and
    `changed_at` the property that says when a row was last changed there.
    """

    id: str
    version: str
    domain: str
    name: str
    title: str
    description: str
    properties: Mapping[str, Property]
    key: tuple[str, ...]
    event_time: str | None
    end_time: str | None
    timeless: bool
    known_at: str | None
    relationships: tuple[Relationship, ...]
    quality: tuple[Rule, ...]
    freshness: tuple[Freshness, ...]
    leaves: EgressRules | None
    in_place: str | None
    changed_at: str | None
    quarantine_limit: float
    deprecated: bool
    digest: str
    license: str | None
    terms: str
    owner: str | None
    warnings: tuple[Finding, ...]
    location: Location
    document: Document = field(repr=False, compare=False)
    residence: Residence | None = field(default=None, repr=False, compare=False)
    """Where the mesh that it was read in keeps its product; None: nothing there can leave anything."""

    @property
    def major(self) -> int:
        match = VERSION.fullmatch(self.version)
        assert match is not None  # `read_contract` lets no other version pass
        return int(match[1])

    @property
    def ids(self) -> tuple[str, ...]:
        """Its id, and that of the product whose earlier version it keeps: `boats_v1` is also version 1 of `boats`."""
        kept_of = self.id.removesuffix(f"_v{self.major}")
        return (self.id, kept_of) if kept_of != self.id else (self.id,)

    @property
    def partition_columns(self) -> tuple[str, ...]:
        """The properties by whose values the rows are stored in parts, in order."""
        places = {name: item.partition_position for name, item in self.properties.items()}
        placed = [(place < 0, place, name) for name, place in places.items() if place is not None]
        return tuple(name for _, _, name in sorted(placed, key=lambda item: item[:2]))

    @cached_property
    def struct(self) -> Struct:
        """Return the type of one row."""
        return Struct(MappingProxyType({name: item.field for name, item in self.properties.items()}))

    @cached_property
    def evidence(self) -> str | None:
        """The property that says where in its file each value of a row stands; None where there is none."""
        return next((name for name, item in self.properties.items() if item.evidence), None)

    @property
    def hindsight(self) -> bool:
        """Return True when nothing says when a row became true: only stories that know the end may use it."""
        return self.event_time is None and not self.timeless

    def known_at_of(self, name: str) -> str | None:
        """Return the property that says when the value of `name` became known; None: known at any time, or not stated.

        A moment that another property's knownAt names is itself known only when it comes, as an interval's end is.
        """
        own = self.properties[name].known_at
        if own is not None:
            return own
        if name == self.end_time or (name != self.event_time and name in self._moments):
            return name
        return self.known_at or self.event_time

    @cached_property
    def _moments(self) -> frozenset[str]:
        return frozenset(item.known_at for item in self.properties.values() if item.known_at is not None)

    def is_unique(self, columns: Iterable[str]) -> bool:
        """Return True when equal values of `columns` mean the same row, by the promise of this contract."""
        given = set(columns)
        return (bool(self.key) and given.issuperset(self.key)) or any(
            self.properties[name].unique for name in given if name in self.properties
        )

    def as_left(self, forms: Mapping[str, Form]) -> "Contract":
        """Return the contract as it holds where only these columns are, each in its form: it promises no other."""
        kept = {
            name: item if forms[name] == "raw" or item.hashed is not None else item.as_hash()
            for name, item in self.properties.items()
            if name in forms
        }
        relationships = tuple(item for item in self.relationships if kept.keys() >= {*item.columns})
        return replace(self, properties=MappingProxyType(kept), relationships=relationships)

    def property_at(self, reference: str) -> Property | None:
        """Return the property that another contract's relationship calls `reference`, by id or else by name."""
        by_id = (item for item in self.properties.values() if item.reference == reference)
        return next(by_id, None) or self.properties.get(reference)


def restricted_properties(contract: Contract) -> frozenset[str]:
    """Return the names of the properties whose values nobody is shown: that are restricted, or have a restricted value
    inside; and all of a product of which nothing is shown where cases are made, since only a rule lets it leave."""
    residence = contract.residence
    if residence is not None and residence.guarded and residence.is_elsewhere:
        return frozenset(contract.properties)
    return frozenset(name for name, item in contract.properties.items() if is_restricted(item.field))


def is_restricted(field: Field) -> bool:
    """Return True if a value, or anything in it, is restricted."""
    if field.classification == "restricted":
        return True
    match field.type:
        case Array(item):
            return is_restricted(item)
        case Struct(fields):
            return any(isinstance(inside, Field) and is_restricted(inside) for inside in fields.values())
        case _:
            return False
