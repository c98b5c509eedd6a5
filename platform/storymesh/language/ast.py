"""The closed list of nodes that the language has: the tree of a template or of an expression."""

from dataclasses import dataclass

from storymesh.location import Location


@dataclass(frozen=True)
class Literal:
    at: Location
    value: str | int | float | bool | None


@dataclass(frozen=True)
class ListLiteral:
    at: Location
    items: tuple["Expression", ...]


@dataclass(frozen=True)
class Name:
    at: Location
    name: str


@dataclass(frozen=True)
class Attribute:
    """`base.name`; `at` is the place of the name."""

    at: Location
    base: "Expression"
    name: str


@dataclass(frozen=True)
class Arithmetic:
    at: Location
    operator: str  # + - * / // %
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True)
class Negate:
    at: Location
    operand: "Expression"


@dataclass(frozen=True)
class Concat:
    """`a ~ b ~ c`."""

    at: Location
    parts: tuple["Expression", ...]


@dataclass(frozen=True)
class Compare:
    at: Location
    operator: str  # == != < <= > >= in "not in"
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True)
class And:
    """`left and right`."""

    at: Location
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True)
class Or:
    """`left or right`."""

    at: Location
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True)
class Not:
    at: Location
    operand: "Expression"


@dataclass(frozen=True)
class Conditional:
    """`then if test else otherwise`."""

    at: Location
    test: "Expression"
    then: "Expression"
    otherwise: "Expression"


@dataclass(frozen=True)
class FilterCall:
    """`base | name(arguments, name=…)`; `at` is the place of the filter's name."""

    at: Location
    base: "Expression"
    name: str
    arguments: tuple["Expression", ...]
    named: tuple[tuple[str, "Expression"], ...]


@dataclass(frozen=True)
class IsTest:
    """`base is name`."""

    at: Location
    base: "Expression"
    name: str


@dataclass(frozen=True)
class Choose:
    """`choose(a, b, …)`, the `place`-th of its file, counted from 0."""

    at: Location
    options: tuple["Expression", ...]
    place: int


Expression = (
    Literal
    | ListLiteral
    | Name
    | Attribute
    | Arithmetic
    | Negate
    | Concat
    | Compare
    | And
    | Or
    | Not
    | Conditional
    | FilterCall
    | IsTest
    | Choose
)


@dataclass(frozen=True)
class TemplateText:
    """Text that stands in the template itself."""

    text: str


@dataclass(frozen=True)
class Output:
    at: Location
    value: Expression


@dataclass(frozen=True)
class If:
    at: Location
    test: Expression
    body: tuple["Statement", ...]
    otherwise: tuple["Statement", ...]


@dataclass(frozen=True)
class For:
    """`for target in items if test`; `otherwise` stands when there is no item."""

    at: Location
    target: str
    items: Expression
    test: Expression | None
    body: tuple["Statement", ...]
    otherwise: tuple["Statement", ...]


@dataclass(frozen=True)
class Assign:
    """`set name = value`."""

    at: Location
    name: str
    value: Expression


@dataclass(frozen=True)
class Include:
    at: Location
    template: str


Statement = TemplateText | Output | If | For | Assign | Include


@dataclass(frozen=True)
class Template:
    """One template file; `name` is its file name, which `choose` counts with."""

    name: str
    path: str
    body: tuple[Statement, ...]
