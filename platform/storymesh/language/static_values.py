"""What is known of a value before any data exists, and how two of them go together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from storymesh.language.types import (
    MOMENTS,
    NUMBERS,
    Array,
    Boolean,
    Classification,
    Date,
    Decimal,
    Field,
    Float,
    Hidden,
    Integer,
    Json,
    Null,
    Struct,
    Text,
    Time,
    Timestamp,
    Type,
)

Path = tuple[str, ...]
RANK: Mapping[Classification, int] = {"public": 0, "internal": 1, "restricted": 2}


@dataclass(frozen=True)
class StaticValue:
    """What is known of an expression before any data exists. `paths` are the places whose values flow into it; of a
    row or a list of rows, the places where it may stand."""

    type: Type
    nullable: bool = False
    classification: Classification = "public"
    paths: frozenset[Path] = frozenset()
    known_as: str | None = None  # the name under which a guard remembers it
    counted: frozenset[Path] = frozenset()  # of a list, the lists whose items it has
    pseudonym: bool = False  # it was replaced by its pseudonym already
    written: bool = False  # words or numbers that are written out in a file may stand in it
    when_present: frozenset[str] = frozenset()  # what is not null where this is not
    when_true: frozenset[str] = frozenset()
    when_false: frozenset[str] = frozenset()
    words: str = ""  # how to call it in a finding
    codes: frozenset[str | int | float] | None = None  # all that it can be, where that is known
    nonzero: bool = False  # it is a number that cannot be zero

    @property
    def field(self) -> Field:
        return Field(
            self.type,
            self.nullable,
            self.classification,
            pseudonym=self.pseudonym,
            codes=self.codes,
            nonzero=self.nonzero,
        )


ANYTHING = Null()  # what a failed part gives: no second finding comes of it
PUBLIC: Classification = "public"


def joined_type(left: Type, right: Type) -> Type | None:
    """Return the one type of two values of which either may be used; None when there is none.

    A decimal stays exact beside an integer or a decimal of another scale; a float makes a float.
    """
    match left, right:
        case (Null(), other) | (other, Null()):
            return other
        case (Text(), Text()):
            shared = left.labels.keys() & right.labels.keys()
            if any(left.labels[code] != right.labels[code] for code in shared):
                return Text()  # a code that is called two things has no label
            return Text({**left.labels, **right.labels})
        case (Decimal(), Decimal()):
            return Decimal(38, max(left.scale, right.scale))
        case (Decimal() as exact, Integer()) | (Integer(), Decimal() as exact):
            return Decimal(38, exact.scale)
        case (Struct(), Struct()):
            if left == right:
                return left
            if left.fields.keys() != right.fields.keys() or left.origin != right.origin:
                return None
            fields = {name: _joined_field(found, right.fields[name]) for name, found in left.fields.items()}
            known = {name: found for name, found in fields.items() if found is not None}
            return Struct(known, left.origin) if len(known) == len(fields) else None
        case (Array(), Array()):
            item = _joined_field(left.item, right.item)
            return Array(item) if isinstance(item, Field) else None
        case _ if type(left) is type(right):
            return left
        case _ if isinstance(left, NUMBERS) and isinstance(right, NUMBERS):
            return Float()
        case _:
            return None


def mixed(left: Type, right: Type) -> bool:
    """Return True if two numbers are of different kinds, so that one or both have to be cast to be of one type."""
    if isinstance(left, Decimal) and isinstance(right, Decimal):
        return left.scale != right.scale
    return isinstance(left, NUMBERS) and isinstance(right, NUMBERS) and type(left) is not type(right)


def _joined_field(left: "Field | Hidden", right: "Field | Hidden") -> "Field | Hidden | None":
    if isinstance(left, Hidden) or isinstance(right, Hidden):
        return left if isinstance(left, Hidden) else right
    type_ = None if mixed(left.type, right.type) else joined_type(left.type, right.type)
    if type_ is None:
        return None
    return Field(
        type_,
        left.nullable or right.nullable or isinstance(left.type, Null) or isinstance(right.type, Null),
        max(left.classification, right.classification, key=RANK.__getitem__),
        left.unit,
        left.pseudonym and right.pseudonym,
        left.implies if left.implies == right.implies else (),
        joined_codes(left, right),
        left.nonzero and right.nonzero,
    )


def joined_codes(left: Field | StaticValue, right: Field | StaticValue) -> frozenset[str | int | float] | None:
    """Return what a value that is one of two can be, where that is known of both; none is no code."""
    if isinstance(left.type, Null) or isinstance(right.type, Null):
        return right.codes if isinstance(left.type, Null) else left.codes
    return None if left.codes is None or right.codes is None else left.codes | right.codes


def guarded(place: Field, steps: Sequence[str], *, nonzero: bool = False) -> Field:
    """Return a place whose property along `steps` is known not to be null (nor zero), nor the rows on the way."""
    if steps and isinstance(place.type, Struct) and isinstance(found := place.type.fields.get(steps[0]), Field):
        fields = {**place.type.fields, steps[0]: guarded(found, steps[1:], nonzero=nonzero)}
        place = replace(place, type=Struct(fields, place.type.origin))
    return replace(place, nullable=False, nonzero=place.nonzero or (nonzero and not steps))


SECONDS = Decimal(18, 6)  # between any two moments


def arithmetic_type(operator: str, left: Type, right: Type) -> Type:
    """Return the type of a result: `/` gives a float, decimals stay exact under + - *, a float makes a float. What is
    between two moments is seconds, with all digits that a moment has."""
    if isinstance(left, MOMENTS):
        return SECONDS
    if operator == "/" or isinstance(left, Float) or isinstance(right, Float):
        return Float()
    if isinstance(left, Integer) and isinstance(right, Integer):
        return Integer()
    scales = [operand.scale if isinstance(operand, Decimal) else 0 for operand in (left, right)]
    if operator == "*":
        return Decimal(38, min(sum(scales), 37))
    return Decimal(38, max(scales))


def comparable(left: Type, right: Type, operator: str) -> bool:
    if isinstance(left, NUMBERS) and isinstance(right, NUMBERS):
        return True
    if isinstance(left, MOMENTS) and isinstance(right, MOMENTS):
        return True
    if isinstance(left, Text | Time) and type(left) is type(right):
        return True
    return isinstance(left, Boolean) and isinstance(right, Boolean) and operator in ("==", "!=")


def higher(classification: Classification, value: StaticValue) -> Classification:
    return max(classification, value.classification, key=RANK.__getitem__)


def parents_of(known: str) -> frozenset[str]:
    """Return the rows of a property: where it is not null, they are present."""
    parts = known.split(".")
    return frozenset(".".join(parts[:length]) for length in range(1, len(parts)))


def counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def a_kind(type_: Type) -> str:
    """Return a type as a finding describes it."""
    described = {
        Text: "a text",
        Integer: "an integer",
        Decimal: "a decimal",
        Float: "a float",
        Boolean: "true or false",
        Date: "a date",
        Timestamp: "a timestamp",
        Time: "a time of day",
        Json: "JSON text",
        Null: "none",
        Struct: "a row",
        Array: "a list",
    }
    return described[type(type_)]
