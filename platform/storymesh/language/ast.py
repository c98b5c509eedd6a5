"""The closed list of nodes that the language has: the tree of a template or of an expression."""

from dataclasses import dataclass, field

from storymesh.language.locale_formats import ENGLISH
from storymesh.language.static_values import StaticValue
from storymesh.location import Location


@dataclass(frozen=True)
class ExpressionNode:
    """What all expressions have: where they stand, and in a typed tree what the checker knows of their value."""

    at: Location
    static: StaticValue | None = field(default=None, compare=False, kw_only=True)

    @property
    def typed(self) -> StaticValue:
        """Return what the checker knows of the value. The tree has to be a typed one."""
        assert self.static is not None, f"{self.at} was not checked"
        return self.static


@dataclass(frozen=True)
class Literal(ExpressionNode):
    """A value that is written out."""

    value: str | int | float | bool | None


@dataclass(frozen=True)
class ListLiteral(ExpressionNode):
    """`[a, b, …]`."""

    items: tuple["Expression", ...]


@dataclass(frozen=True)
class Name(ExpressionNode):
    """`name`."""

    name: str


@dataclass(frozen=True)
class Attribute(ExpressionNode):
    """`base.name`; `at` is the place of the name."""

    base: "Expression"
    name: str


@dataclass(frozen=True)
class Arithmetic(ExpressionNode):
    """`left operator right`."""

    operator: str  # + - * / // %
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True)
class Negate(ExpressionNode):
    """`-operand`."""

    operand: "Expression"


@dataclass(frozen=True)
class Concat(ExpressionNode):
    """`a ~ b ~ c`."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True)
class Compare(ExpressionNode):
    """`left operator right`; a chain of comparisons is joined by `And`."""

    operator: str  # == != < <= > >= in "not in"
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True)
class And(ExpressionNode):
    """`left and right`."""

    left: "Expression"
    right: "Expression"


@dataclass(frozen=True)
class Or(ExpressionNode):
    """`left or right`."""

    left: "Expression"
    right: "Expression"


@dataclass(frozen=True)
class Not(ExpressionNode):
    """`not operand`."""

    operand: "Expression"


@dataclass(frozen=True)
class Conditional(ExpressionNode):
    """`then if test else otherwise`."""

    test: "Expression"
    then: "Expression"
    otherwise: "Expression"


@dataclass(frozen=True)
class FilterCall(ExpressionNode):
    """`base | name(arguments, name=…)`; `at` is the place of the filter's name. In a typed tree `locale` is the
    language that the text is written in."""

    base: "Expression"
    name: str
    arguments: tuple["Expression", ...]
    named: tuple[tuple[str, "Expression"], ...]
    locale: str = field(default=ENGLISH, kw_only=True)


@dataclass(frozen=True)
class IsTest(ExpressionNode):
    """`base is name`."""

    base: "Expression"
    name: str


@dataclass(frozen=True)
class Choose(ExpressionNode):
    """`choose(a, b, …)`, the `place`-th of its file, counted from 0."""

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

    at: Location
    text: str


@dataclass(frozen=True)
class Output:
    """`{{ value }}`; `at` is where the expression begins, `written` how it is written."""

    at: Location
    value: Expression
    written: str


@dataclass(frozen=True)
class If:
    """`if test`; `otherwise` is its `else`, or the `elif` after it as one more If."""

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
    """`include "template"`. In a typed tree `partial` is the included template, typed for this place."""

    at: Location
    template: str
    partial: "Template | None" = None


@dataclass(frozen=True)
class Draw:
    """One of several typed templates of the same meaning, which a case draws by its id (`language.variants`). No author
    writes this: a template with variants is made of it. `place` tells draws of one case apart."""

    at: Location
    place: str
    includes: tuple[Include, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the templates, by which they are drawn."""
        return tuple(include.template for include in self.includes)

    @property
    def templates(self) -> "tuple[Template, ...]":
        """The templates that are drawn from."""
        return tuple(include.partial for include in self.includes if include.partial is not None)


Statement = TemplateText | Output | If | For | Assign | Include | Draw


@dataclass(frozen=True)
class Template:
    """One template file; `name` is its file name, which `choose` counts with."""

    name: str
    path: str
    body: tuple[Statement, ...]

    @property
    def at(self) -> Location:
        """The beginning of the file."""
        return Location(self.path)
