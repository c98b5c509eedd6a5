"""The types of the language: what a contract's property is, what an expression gives, what a filter takes.

Whether a value may be null, who may see it and when it is known are facts about a *place* where a value stands, not
about its type: `Field` bears what a contract says of them, `check` follows them through expressions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Classification = Literal["public", "internal", "restricted"]


@dataclass(frozen=True)
class Text:
    """Unicode text. `labels` maps the codes of an enumeration to what people call them."""

    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False)

    def __str__(self) -> str:
        return "text"


@dataclass(frozen=True)
class Integer:
    """A whole number of 64 bits."""

    def __str__(self) -> str:
        return "integer"


@dataclass(frozen=True)
class Decimal:
    """An exact number: up to 38 digits, `scale` of them after the decimal point."""

    precision: int = 38
    scale: int = 9

    def __str__(self) -> str:
        return "decimal"


@dataclass(frozen=True)
class Float:
    """A binary number of 64 bits; never printed without a format."""

    def __str__(self) -> str:
        return "float"


@dataclass(frozen=True)
class Boolean:
    def __str__(self) -> str:
        return "true or false"


@dataclass(frozen=True)
class Date:
    """A day; where a moment is wanted, its midnight in UTC."""

    def __str__(self) -> str:
        return "date"


@dataclass(frozen=True)
class Timestamp:
    """A moment in UTC, to the microsecond."""

    def __str__(self) -> str:
        return "timestamp"


@dataclass(frozen=True)
class Time:
    """A time of day, to the microsecond. Its values are texts such as `09:30:00` and `09:30:00.25`: no engine has to
    know the type, and such texts sort as the times do."""

    def __str__(self) -> str:
        return "time of day"


@dataclass(frozen=True)
class Json:
    """A value whose parts no contract describes: its JSON as text, which is printed whole and not looked into."""

    def __str__(self) -> str:
        return "JSON text"


@dataclass(frozen=True)
class Null:
    """The type of `none` itself."""

    def __str__(self) -> str:
        return "none"


@dataclass(frozen=True)
class Struct:
    """A row. `origin` names what it is a row of (for the narrative: a role), so that its source can be told."""

    fields: Mapping[str, "Field | Hidden"]
    origin: str | None = None

    def __str__(self) -> str:
        return "a row"


@dataclass(frozen=True)
class Array:
    """A list. `item` says what stands in it, also whether an item may be null."""

    item: "Field"

    def __str__(self) -> str:
        return "a list"


Type = Text | Integer | Decimal | Float | Boolean | Date | Timestamp | Time | Json | Null | Struct | Array
NUMBERS = (Integer, Decimal, Float)
MOMENTS = (Date, Timestamp)


@dataclass(frozen=True)
class Field:
    """A place where a value of `type` stands, with what is promised about it."""

    type: Type
    nullable: bool = False
    classification: Classification = "public"
    unit: str | None = None
    pseudonym: bool = False  # the value was replaced by its pseudonym in the data
    implies: tuple[str, ...] = ()  # what is known of names beside it where it is true, as guards remember it
    codes: frozenset[str | int | float] | None = None  # all that it can be, where that is known
    nonzero: bool = False


@dataclass(frozen=True)
class Hidden:
    """A name that exists but may not be used here; `rule`, `words` and `hint` make the finding."""

    rule: str
    words: str
    hint: str = ""
