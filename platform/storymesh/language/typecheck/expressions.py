"""What an expression gives, by the types alone, and what its truth says of other values."""

from dataclasses import replace
from math import isfinite

from storymesh.errors import suggest_name
from storymesh.language import ast
from storymesh.language.ast import Expression
from storymesh.language.evaluate import TESTS
from storymesh.language.jinja_names import instead_of_test
from storymesh.language.static_values import (
    ANYTHING,
    PUBLIC,
    RANK,
    Path,
    StaticValue,
    a_kind,
    arithmetic_type,
    comparable,
    higher,
    parents_of,
)
from storymesh.language.typecheck.names import NameChecker
from storymesh.language.typecheck.zero import filtered, is_above_zero, key_of, nonzero_sides, not_zero
from storymesh.language.types import (
    MOMENTS,
    NUMBERS,
    Array,
    Boolean,
    Classification,
    Decimal,
    Float,
    Integer,
    Null,
    Struct,
    Text,
    Type,
)

MAX_INTEGER = 2**63 - 1


class ExpressionChecker(NameChecker):
    """The part of the checker that knows all other expressions."""

    def printed(self, expression: Expression, value: StaticValue, *, joined: bool = False) -> None:
        """Check that a value can stand in text, and remember what it prints."""
        if value.type is ANYTHING:
            return
        at = expression.at
        words = value.words or "this"
        match value.type:
            case Array():
                hint = "loop over it, or use `listing`, `join` or `length`"
                self.fail(at, "list-printed", f"{words} is a list", hint)
            case Struct():
                self.fail(at, "row-printed", f"{words} is a row", "print one of its properties")
            case Float() if self.strict or joined:
                self.fail(at, "float-unformatted", f"{words} is a float", "add `| number(2)` or another format")
            case Null():
                self.fail(at, "may-be-null", f"{words} is none, there is nothing to print", "leave it out")
            case _:
                self.present(expression, value, "printed")
        if value.classification == "restricted":
            part, secret = self.blamed(expression, value, lambda part: part.classification == "restricted")
            words = f"{secret.words or 'this'} is restricted"
            self.fail(part.at, "restricted", words, _pseudonym_hint(secret.type))
        for path in value.paths:
            if (hidden := self.unprintable.get(path[:-1] if path[-1] == "~" else path)) is not None:
                self.fail(at, hidden.rule, hidden.words, hidden.hint)
            self.prints[path] = max(self.prints.get(path, "public"), value.classification, key=RANK.__getitem__)

    def test(self, expression: Expression) -> StaticValue:
        """Check a condition: any value can stand there; null, zero and the empty count as false, as in Python."""
        return self._noted(expression, self._test(expression))

    def _test(self, expression: Expression) -> StaticValue:
        match expression:
            case ast.Not():
                inner = self.test(expression.operand)
                return replace(self._answer(inner), when_true=inner.when_false, when_false=inner.when_true)
            case ast.And():
                left = self.test(expression.left)
                right = self.given(left.when_true, lambda: self.test(expression.right))
                return replace(
                    self._answer(left, right),
                    when_true=left.when_true | right.when_true,
                    when_false=left.when_false & (left.when_true | right.when_false),
                )
            case ast.Or():
                left = self.test(expression.left)
                right = self.given(left.when_false, lambda: self.test(expression.right))
                return replace(
                    self._answer(left, right),
                    when_true=left.when_true & (left.when_false | right.when_true),
                    when_false=left.when_false | right.when_false,
                )
            case _:
                value = self.value(expression)
                if isinstance(expression, ast.IsTest | ast.Compare):
                    return value
                known = self._not_zero(expression, value)
                if value.known_as is not None:
                    known |= {value.known_as} | parents_of(value.known_as)
                return replace(value, when_true=value.when_true | known) if known else value

    def _not_zero(self, expression: Expression, value: StaticValue) -> frozenset[str]:
        """Return what is not zero where a value counts as true: a number itself, the length of a list."""
        key = key_of(expression, self._known_as) if isinstance(value.type, (*NUMBERS, Array)) else None
        if key is None:
            return frozenset()
        return frozenset({not_zero(filtered("length", key) if isinstance(value.type, Array) else key)})

    def _known_as(self, expression: Expression) -> str | None:
        found = self.static.get(id(expression))
        return found.known_as if found is not None else None

    def _answer(self, *operands: StaticValue) -> StaticValue:
        """Return true or false of some values: as secret as they are, but of a row or a list only that it is there."""
        shown = [value for value in operands if not isinstance(value.type, Struct | Array)]
        classification = max((value.classification for value in shown), key=RANK.__getitem__, default=PUBLIC)
        return StaticValue(Boolean(), False, classification, frozenset(path for value in shown for path in value.paths))

    def value(self, expression: Expression) -> StaticValue:
        self.count_work(expression.at)
        value = self._value(expression)
        if not value.nonzero and isinstance(expression, ast.Arithmetic | ast.FilterCall | ast.Negate):
            key = key_of(expression, self._known_as)
            guarded = key is not None and not_zero(key) in self.sure
            value = replace(value, nonzero=True) if guarded or is_above_zero(expression) else value
        return self._noted(expression, value)

    def value_or_absent(self, expression: Expression) -> StaticValue:
        if isinstance(expression, ast.Attribute):
            return self._noted(expression, self._attribute(expression, may_be_absent=True))
        return self.value(expression)

    def _value(self, expression: Expression) -> StaticValue:
        match expression:
            case ast.Literal():
                return self._literal(expression)
            case ast.ListLiteral():
                return self._list(expression)
            case ast.Name():
                return self._name(expression)
            case ast.Attribute():
                return self._attribute(expression)
            case ast.Arithmetic():
                return self._arithmetic(expression)
            case ast.Negate():
                value = self._number(expression.operand, "-", self.value(expression.operand))
                return StaticValue(value.type, value.nullable, value.classification, value.paths, nonzero=value.nonzero)
            case ast.Concat():
                return self._concat(expression)
            case ast.Compare():
                return self._compare(expression)
            case ast.And() | ast.Or():
                return self._either(expression)
            case ast.Not():
                return self.test(expression)
            case ast.Conditional():
                return self._choice(expression)
            case ast.FilterCall():
                return self.filter_result(expression)
            case ast.IsTest():
                return self._is_test(expression)
            case ast.Choose():
                return self._choose(expression)

    def _literal(self, expression: ast.Literal) -> StaticValue:
        match expression.value:
            case None:
                return StaticValue(Null(), nullable=True)
            case bool():
                return StaticValue(Boolean(), words=str(expression.value).lower())
            case int() as number:
                if abs(number) > MAX_INTEGER:
                    return self.fail(expression.at, "too-large", "the number does not fit into 64 bits")
                return StaticValue(Integer(), words=str(number), codes=frozenset({number}), nonzero=number != 0)
            case float() as number:
                if not isfinite(number):
                    return self.fail(expression.at, "too-large", "the number is too large for a float")
                return StaticValue(Float(), words=str(number), codes=frozenset({number}), nonzero=number != 0)
            case str() as text:
                return StaticValue(Text(), words="this text", codes=frozenset({text}))

    def _list(self, expression: ast.ListLiteral) -> StaticValue:
        joined: StaticValue | None = None
        for part in expression.items:
            value = self.value(part)
            if value.type is ANYTHING:
                return value
            together = value if joined is None else self.joined(joined, value)
            if together is None:
                assert joined is not None
                words = f"the items of a list have one type, here stand {a_kind(joined.type)} and {a_kind(value.type)}"
                return self.fail(part.at, "wrong-type", words)
            joined = together
        if joined is None:
            return self.fail(expression.at, "wrong-type", "an empty list has no type", "leave it out")
        return StaticValue(Array(joined.field), False, joined.classification, joined.paths)

    def _number(self, expression: Expression, operator: str, value: StaticValue) -> StaticValue:
        value = self.present(expression, value, "computed with")
        if not isinstance(value.type, NUMBERS) and value.type is not ANYTHING:
            words = f"{value.words or 'this'} is {a_kind(value.type)}, `{operator}` wants a number"
            self.fail(expression.at, "wrong-type", words, "join texts with ~" if isinstance(value.type, Text) else "")
            return StaticValue(ANYTHING)
        return value

    def _operands(self, expression: ast.Arithmetic) -> tuple[StaticValue, StaticValue]:
        """Return two numbers, or two moments of which one is taken from the other."""
        operator, left, right = expression.operator, self.value(expression.left), self.value(expression.right)
        moments = isinstance(left.type, MOMENTS), isinstance(right.type, MOMENTS)
        if not any(moments):
            return (
                self._number(expression.left, operator, left),
                self._number(expression.right, operator, right),
            )
        left = self.present(expression.left, left, "computed with")
        right = self.present(expression.right, right, "computed with")
        if not (operator == "-" and all(moments)) and ANYTHING not in (left.type, right.type):
            words = f"{left.words or 'this'} is {a_kind(left.type)} and {right.words or 'the other'} is "
            words += f"{a_kind(right.type)}: `{operator}` cannot take them together"
            hint = "of two moments `a - b` is the seconds between them, which are compared and computed with"
            return self.fail(expression.at, "wrong-type", words, hint), right
        return left, right

    def _arithmetic(self, expression: ast.Arithmetic) -> StaticValue:
        left, right = self._operands(expression)
        if left.type is ANYTHING or right.type is ANYTHING:
            return StaticValue(ANYTHING)
        if expression.operator in ("//", "%") and not (
            isinstance(left.type, Integer) and isinstance(right.type, Integer)
        ):
            words = f"`{expression.operator}` wants integers, it met {a_kind(left.type)} and {a_kind(right.type)}"
            return self.fail(expression.at, "wrong-type", words, "use `| int`")
        type_: Type = arithmetic_type(expression.operator, left.type, right.type)
        # `/` by zero is not finite, which drops the record that prints it; `//` and `%` by zero are null.
        divides = expression.operator in ("//", "%")
        if expression.operator == "/":
            self.divisor(expression.right, right)
        exact = not isinstance(type_, Float) and not (isinstance(type_, Decimal) and type_.scale == 37)
        return StaticValue(
            type_,
            left.nullable or right.nullable or (divides and not right.nonzero),
            higher(left.classification, right),
            left.paths | right.paths,
            words=f"a {'quotient' if expression.operator == '//' else 'remainder'} by what may be zero"
            if divides
            else "",
            nonzero=expression.operator == "*" and exact and left.nonzero and right.nonzero,
        )

    def _concat(self, expression: ast.Concat) -> StaticValue:
        nullable = False
        classification: Classification = "public"
        paths: frozenset[Path] = frozenset()
        for part in expression.parts:
            value = self.value(part)
            self.text(part, value)
            nullable = nullable or (value.nullable and not self.strict)
            classification = higher(classification, value)
            paths |= value.paths
        return StaticValue(Text(), nullable, classification, paths)

    def _compare(self, expression: ast.Compare) -> StaticValue:
        left, right = self.value(expression.left), self.value(expression.right)
        if left.type is ANYTHING or right.type is ANYTHING:
            return StaticValue(Boolean())
        if isinstance(right.type, Null) or isinstance(left.type, Null):
            return self.fail(
                expression.at, "wrong-type", "nothing compares to none", "write `x is none` or `x is not none`"
            )
        left = self.present(expression.left, left, "compared")
        right = self.present(expression.right, right, "compared")
        implied = frozenset[str]() if self.strict else self._implied(expression)
        sides = nonzero_sides(expression, self._known_as)
        answer = StaticValue(
            Boolean(),
            left.nullable or right.nullable,
            higher(left.classification, right),
            left.paths | right.paths,
            when_true=implied | sides[0],
            when_false=sides[1],
        )
        if expression.operator in ("in", "not in"):
            expected = right.type.item.type if isinstance(right.type, Array) else right.type
            fits = isinstance(right.type, Array) or (isinstance(left.type, Text) and isinstance(right.type, Text))
            if not fits or not comparable(left.type, expected, "=="):
                words = (
                    f"{left.words or 'this'} is {a_kind(left.type)} and cannot be looked for in {a_kind(right.type)}"
                )
                return self.fail(expression.at, "wrong-type", words)
            if isinstance(right.type, Array):
                self.compared_codes(expression.left, left, expression.right, right)
            return answer
        if not comparable(left.type, right.type, expression.operator):
            words = f"{left.words or 'this'} is {a_kind(left.type)} and {right.words or 'the other'} is "
            words += f"{a_kind(right.type)}: `{expression.operator}` cannot compare them"
            kinds = {type(left.type), type(right.type)}
            written = Text in kinds and not kinds.isdisjoint(MOMENTS)
            hint = 'compare two texts: `moment | date < "2024-03-01"`' if written else ""
            return self.fail(expression.at, "wrong-type", words, hint)
        if expression.operator in ("==", "!="):
            self.compared_codes(expression.left, left, expression.right, right)
        return answer

    def _either(self, expression: ast.And | ast.Or) -> StaticValue:
        """Check `a or b`, which gives a when it counts as true, else b, and `a and b`, the other way round."""
        test = self.test(expression)
        left = self.value(expression.left)
        right = self.given(self.side(expression), lambda: self.value(expression.right))
        if left.type is ANYTHING or right.type is ANYTHING:
            return StaticValue(ANYTHING)
        used = replace(left, nonzero=True) if isinstance(expression, ast.Or) else left  # an `or` passes zero on
        joined = self.joined(used, right)
        if joined is None:
            words = f"the sides of `{'and' if isinstance(expression, ast.And) else 'or'}` are "
            words += f"{a_kind(left.type)} and {a_kind(right.type)}"
            return self.fail(expression.at, "wrong-type", words, "compare each side, or use an inline `if`")
        keeps_null = left.nullable if isinstance(expression, ast.And) else False
        return replace(
            joined, nullable=right.nullable or keeps_null, when_true=test.when_true, when_false=test.when_false
        )

    def _choice(self, expression: ast.Conditional) -> StaticValue:
        test = self.test(expression.test)
        then = self.given(test.when_true, lambda: self.value(expression.then))
        otherwise = self.given(test.when_false, lambda: self.value(expression.otherwise))
        if then.type is ANYTHING or otherwise.type is ANYTHING:
            return StaticValue(ANYTHING)
        joined = self.joined(then, otherwise)
        if joined is None:
            words = f"the two sides of `if … else` are {a_kind(then.type)} and {a_kind(otherwise.type)}"
            return self.fail(expression.at, "wrong-type", words, "give both sides one type")
        return joined

    def _is_test(self, expression: ast.IsTest) -> StaticValue:
        value = self.value_or_absent(expression.base) if expression.name == "none" else self.value(expression.base)
        match expression.name:
            case "none":
                known = frozenset({value.known_as}) | parents_of(value.known_as) if value.known_as else frozenset()
                return StaticValue(Boolean(), when_false=known | value.when_present)
            case "defined":
                return StaticValue(Boolean())
            case "true" | "false":
                known = frozenset({value.known_as}) if value.known_as else frozenset()
                if not isinstance(value.type, Boolean) and value.type is not ANYTHING:
                    words = f"{value.words or 'this'} is {a_kind(value.type)}, not true or false"
                    return self.fail(expression.at, "wrong-type", words)
                extra = value.when_true if expression.name == "true" else value.when_false
                return replace(self._answer(value), when_true=known | value.when_present | extra)
            case name:
                hint = instead_of_test(name) or suggest_name(name, TESTS)
                return self.fail(expression.at, "outside-language", f"there is no test `{name}`", hint)

    def _choose(self, expression: ast.Choose) -> StaticValue:
        if not self.strict:
            return self.fail(expression.at, "outside-language", "choose varies wording, so it stands in templates only")
        if len(expression.options) < 2:
            return self.fail(expression.at, "wrong-type", "choose wants at least two texts")
        nullable, classification, paths = False, PUBLIC, frozenset[Path]()
        for option in expression.options:
            value = self.value(option)
            self.text(option, value)
            classification = higher(classification, value)
            paths |= value.paths
        return StaticValue(Text(), nullable, classification, paths)


def _pseudonym_hint(type_: Type) -> str:
    """Return how a restricted value can be printed: only a text or an integer has a pseudonym."""
    if isinstance(type_, Text | Integer):
        return "print it through `| pseudonym`"
    if isinstance(type_, MOMENTS):
        return "leave it out, or print it through `| date | pseudonym`"
    return "leave it out" if isinstance(type_, Boolean) else "leave it out, or print it through `| number | pseudonym`"
