"""Jinja's own parser, and from its tree the nodes of the language."""

import re
from collections.abc import Iterator

from jinja2 import TemplateSyntaxError, nodes
from jinja2.parser import Parser

from storymesh.errors import DefinitionErrors, Finding
from storymesh.language import ast
from storymesh.language.ast import Expression, Statement, Template
from storymesh.language.evaluate import COMPARING_TESTS
from storymesh.language.jinja_names import (
    instead_of_filter,
    instead_of_function,
    instead_of_method,
    instead_of_tag,
    instead_of_test,
)
from storymesh.language.positions import Position, PositionedEnvironment, PositionedStream, WrittenOutputs, position_of
from storymesh.location import Location

MAX_SIZE = 256 * 1024
MAX_NODES = 20_000
MAX_DEPTH = 40
MAX_LOOPS = 8
MAX_BRANCHES = 80


_ENVIRONMENT = PositionedEnvironment()


def parse_template(text: str, name: str, path: str) -> Template:
    """Return the tree of a template file. Raises DefinitionErrors for what is not Jinja or not in the language."""
    if len(text) > MAX_SIZE:
        words = f"the template is larger than {MAX_SIZE // 1024} KiB"
        raise DefinitionErrors([Finding(Location(path), "too-large", words, "split it with include")])
    try:
        parser = Parser(_ENVIRONMENT, text, name, path)
        tree = parser.parse()
    except TemplateSyntaxError as error:
        raise DefinitionErrors([_syntax_finding(error, Location(path))]) from None
    except RecursionError:
        raise DefinitionErrors(
            [Finding(Location(path), "too-large", f"nested deeper than {MAX_DEPTH} levels")]
        ) from None
    except ValueError:
        raise DefinitionErrors([_number_finding(text, Location(path))]) from None
    conversion = _Conversion(Location(path), choose_places(tree), outputs_of(parser))
    body = conversion.statements(tree.body)
    if conversion.findings:
        raise DefinitionErrors(conversion.findings)
    return Template(name, path, body)


def parse_expression(text: str, at: Location) -> Expression:
    """Return the tree of an expression at `at` in a YAML file. Raises DefinitionErrors with findings in that file."""
    if len(text) > MAX_SIZE:
        raise DefinitionErrors([Finding(at, "too-large", "the expression is too long")])
    try:
        parser = Parser(_ENVIRONMENT, text, name=at.path, state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            left_over = parser.stream.current
            parser.fail(f"unexpected '{left_over.value}'", left_over.lineno)
    except TemplateSyntaxError as error:
        raise DefinitionErrors([_syntax_finding(error, at)]) from None
    except RecursionError:
        raise DefinitionErrors([Finding(at, "too-large", f"nested deeper than {MAX_DEPTH} levels")]) from None
    except ValueError:
        raise DefinitionErrors([_number_finding(text, at)]) from None
    conversion = _Conversion(at, choose_places(nodes.Output([tree])), outputs_of(parser))
    expression = conversion.expression(tree)
    if conversion.findings:
        raise DefinitionErrors(conversion.findings)
    return expression


def outputs_of(parser: Parser) -> WrittenOutputs:
    """Return how the outputs that a parser has read are written."""
    assert isinstance(parser.stream, PositionedStream)
    return parser.stream.outputs


def choose_places(tree: nodes.Node) -> dict[tuple[int, int], int]:
    """Return (line, column) of each call of choose -> its number in the file, counted from 0."""
    places: set[tuple[int, int]] = set()
    left = [tree]  # a list, not recursion: what is nested too deep is refused later, with its place
    while left:
        node = left.pop()
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "choose":
            places.add(position_of(node))
        left.extend(node.iter_child_nodes())
    return {place: count for count, place in enumerate(sorted(places))}


def _shift(origin: Location, line: int) -> Location:
    """Return a place inside a text that itself begins at `origin`."""
    column = getattr(line, "column", 1)
    if line == 1:
        return Location(origin.path, origin.line, origin.column + column - 1)
    return Location(origin.path, origin.line + line - 1, column)


def _syntax_finding(error: TemplateSyntaxError, origin: Location) -> Finding:
    """Return what Jinja's parser says, in the words of the language."""
    at = _shift(origin, error.lineno)
    message = error.message or "not a template"
    if unknown := re.match(r"Encountered unknown tag '(.+?)'", message):
        hint = instead_of_tag(unknown[1]) or "the tags are if, elif, else, for, set and include"
        if unknown[1] in ("else", "elif") or unknown[1].startswith("end"):
            return Finding(at, "syntax", f"`{unknown[1]}` has nothing to belong to here", "look for the tag before it")
        return Finding(at, "outside-language", f"there is no tag `{unknown[1]}`", hint)
    if open_block := re.search(r"needs to be closed is '(.+?)'", message):
        words = f"the file ends inside `{open_block[1]}`"
        return Finding(at, "syntax", words, f"close it with {{% end{open_block[1]} %}}")
    if message == "unexpected 'end of template'":
        return Finding(at, "syntax", "it ends where a value is wanted", "write what follows the last sign")
    for jinja, ours in _TOKENS.items():
        message = message.replace(jinja, ours)
    return Finding(at, "syntax", message[:1].lower() + message[1:].rstrip("."))


def _number_finding(text: str, origin: Location) -> Finding:
    """Return the finding for a number with more digits than Python reads, all that Jinja's lexer fails at otherwise."""
    found = re.search(r"[0-9][0-9_]{1000,}", text)
    before = text[: found.start()] if found else ""
    position = Position(before.count("\n") + 1, len(before) - before.rfind("\n"))
    return Finding(_shift(origin, position), "too-large", "the number does not fit into 64 bits")


_TOKENS = {"end of print statement": "}}", "end of statement block": "%}", "begin of print statement": "{{"}
_ARITHMETIC = {
    nodes.Add: "+",
    nodes.Sub: "-",
    nodes.Mul: "*",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
}
COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=", "in": "in", "notin": "not in"}
_INSTEAD = {
    "Block": "use include",
    "Extends": "use include",
    "Import": "use include",
    "FromImport": "use include",
    "Macro": "use include with set",
    "CallBlock": "use include",
    "FilterBlock": "put the filter after the value: {{ value | filter }}",
    "AssignBlock": "write set name = value",
    "With": "use set",
    "Getitem": "write a.b for a property, and `first` or `last` for an item of a list",
    "Dict": "there are no dictionaries; use properties",
    "Pow": "multiply instead",
    "Pos": "leave the + out",
    "Scope": "nothing is escaped here",
}


class _Conversion:
    """One walk over Jinja's tree; every failure goes through `fail`, so that none can forget its place."""

    def __init__(self, origin: Location, chooses: dict[tuple[int, int], int], outputs: WrittenOutputs) -> None:
        self.origin = origin
        self.chooses = chooses
        self.outputs = outputs
        self.findings: list[Finding] = []
        self.nodes = 0
        self.depth = 0
        self.loops = 0

    def fail(self, node: nodes.Node, words: str, hint: str = "") -> None:
        self.findings.append(Finding(self.place(node), "outside-language", words, hint))

    def _readable(self, node: nodes.Node, text: str) -> None:
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            self.fail(node, "the text holds a sign that no file of text can hold", "leave out NUL and halves of pairs")

    def place(self, node: nodes.Node) -> Location:
        return _shift(self.origin, Position(*position_of(node)))

    def statements(self, body: list[nodes.Node]) -> tuple[Statement, ...]:
        found: list[Statement] = []
        for node in body:
            found.extend(self._statement(node))
        return tuple(found)

    def _enter(self, node: nodes.Node) -> None:
        self.nodes += 1
        self.depth += 1
        if self.nodes > MAX_NODES or self.depth > MAX_DEPTH:
            words = f"the template has more than {MAX_NODES:,} parts or {MAX_DEPTH} levels"
            raise DefinitionErrors([Finding(self.place(node), "too-large", words, "split it")])

    def _statement(self, node: nodes.Node) -> Iterator[Statement]:
        self._enter(node)
        at = self.place(node)
        match node:
            case nodes.Output():
                for part in node.nodes:
                    if isinstance(part, nodes.TemplateData):
                        self._readable(part, part.data)
                        yield ast.TemplateText(self.place(part), part.data)
                    else:
                        begin, written = self.outputs.output_around(part)
                        yield ast.Output(_shift(self.origin, begin), self.expression(part), written)
            case nodes.If():
                yield self._if(node, list(node.elif_))
            case nodes.For():
                yield from self._for(node, at)
            case nodes.Assign(target=nodes.Name() as target):
                yield ast.Assign(self.place(target), target.name, self.expression(node.node))
            case nodes.Assign():
                self.fail(node, "`set` takes one plain name", "write set name = value")
            case nodes.Include(template=nodes.Const(value=str() as template)):
                if node.ignore_missing:
                    self.fail(node, "`include … ignore missing` hides a mistake", "include a template that exists")
                if not node.with_context:
                    self.fail(node, "`include … without context`: a partial sees what its template sees")
                yield ast.Include(self.place(node.template), template)
            case nodes.Include():
                self.fail(node, "`include` takes the name of a template in quotes")
            case _:
                self._refuse(node)
        self.depth -= 1

    def _refuse(self, node: nodes.Node) -> None:
        match node:
            case nodes.Call(node=nodes.Name(name=name)):
                hint = instead_of_function(name) or "the only function is choose(a, b, …)"
                self.fail(node, f"there is no function `{name}`", hint)
            case nodes.Call(node=nodes.Getattr(attr=name) as method):
                line = Position(*position_of(method))
                self.findings.append(
                    Finding(
                        _shift(self.origin, Position(int(line), line.column + 1)),
                        "outside-language",
                        f"`{name}()` calls a method, which is not in the language",
                        instead_of_method(name),
                    )
                )
            case nodes.Getitem(arg=nodes.Slice()):
                hint = "write `{% if loop.index <= 3 %}` inside a loop; a text is cut by the product's SQL"
                self.fail(node, "a[b:c] is not in the language", hint)
            case _:
                kind = type(node).__name__
                self.fail(node, f"{_described(kind)} is not in the language", _INSTEAD.get(kind, ""))

    def _if(self, node: nodes.If, elifs: list[nodes.If]) -> ast.If:
        if len(elifs) > MAX_BRANCHES:
            words = f"an `if` has at most {MAX_BRANCHES} `elif`"
            raise DefinitionErrors([Finding(self.place(elifs[MAX_BRANCHES]), "too-large", words, "split it")])
        branches = [
            (self.place(branch), self.expression(branch.test), self.statements(branch.body))
            for branch in [node, *elifs]
        ]
        otherwise = self.statements(node.else_)
        for at, test, body in reversed(branches[1:]):
            otherwise = (ast.If(at, test, body, otherwise),)
        at, test, body = branches[0]
        return ast.If(at, test, body, otherwise)

    def _for(self, node: nodes.For, at: Location) -> Iterator[Statement]:
        if node.recursive:
            self.fail(node, "a recursive loop is not in the language", "leave out `recursive`")
        if not isinstance(node.target, nodes.Name):
            grouped = instead_of_filter(node.iter.name) if isinstance(node.iter, nodes.Filter) else None
            self.fail(node, "a loop names one variable", grouped or "write for x in list")
            return
        if self.loops == MAX_LOOPS:
            words = f"loops stand inside each other more than {MAX_LOOPS} deep"
            raise DefinitionErrors([Finding(at, "too-large", words, "loop over less")])
        test = self.expression(node.test) if node.test is not None else None
        items = self.expression(node.iter)
        self.loops += 1
        body = self.statements(node.body)
        self.loops -= 1
        yield ast.For(self.place(node.target), node.target.name, items, test, body, self.statements(node.else_))

    def expression(self, node: nodes.Node) -> Expression:
        self._enter(node)
        try:
            return self._expression(node)
        finally:
            self.depth -= 1

    def _expression(self, node: nodes.Node) -> Expression:
        at = self.place(node)
        match node:
            case nodes.Const(value=bool() | str() | int() | float() | None as value):
                if isinstance(value, str):
                    self._readable(node, value)
                return ast.Literal(at, value)
            case nodes.Name():
                return ast.Name(at, node.name)
            case nodes.Getattr():
                return ast.Attribute(Location(at.path, at.line, at.column + 1), self.expression(node.node), node.attr)
            case nodes.List() | nodes.Tuple():
                return ast.ListLiteral(at, tuple(self.expression(item) for item in node.items))
            case nodes.Concat():
                return ast.Concat(at, tuple(self.expression(part) for part in node.nodes))
            case nodes.Neg():
                return ast.Negate(at, self.expression(node.node))
            case nodes.Not():
                return ast.Not(at, self.expression(node.node))
            case nodes.And():
                return ast.And(at, self.expression(node.left), self.expression(node.right))
            case nodes.Or():
                return ast.Or(at, self.expression(node.left), self.expression(node.right))
            case nodes.Compare():
                return self._comparison(node, at)
            case nodes.CondExpr(expr2=None):
                self.fail(node, "an inline `if` without `else` prints nothing silently", 'add `else ""`')
                return ast.Literal(at, "")
            case nodes.CondExpr():
                assert node.expr2 is not None
                return ast.Conditional(
                    at, self.expression(node.test), self.expression(node.expr1), self.expression(node.expr2)
                )
            case nodes.Filter() if node.node is not None:
                if node.dyn_args is not None or node.dyn_kwargs is not None:
                    self.fail(node, "`*` and `**` arguments are not in the language")
                if node.name == "default" and (len(node.args) == 2 or len(node.args) + len(node.kwargs) == 2):
                    return self._default(node, at)
                arguments = tuple(self.expression(argument) for argument in node.args)
                named = tuple((str(pair.key), self.expression(pair.value)) for pair in node.kwargs)
                return ast.FilterCall(at, self.expression(node.node), node.name, arguments, named)
            case nodes.Test():
                return self._test(node, at)
            case nodes.Call(node=nodes.Name(name="choose")):
                if node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
                    self.fail(node, "choose takes texts only", "choose(a, b, …)")
                place = self.chooses[position_of(node)]
                return ast.Choose(at, tuple(self.expression(argument) for argument in node.args), place)
            case nodes.BinExpr() if type(node) in _ARITHMETIC:
                left, right = self.expression(node.left), self.expression(node.right)
                return ast.Arithmetic(at, _ARITHMETIC[type(node)], left, right)
            case _:
                self._refuse(node)
                return ast.Literal(at, None)

    def _comparison(self, node: nodes.Compare, at: Location) -> Expression:
        left = self.expression(node.expr)
        compared: Expression | None = None
        for operand in node.ops:
            right = self.expression(operand.expr)
            step = ast.Compare(at, COMPARISONS[operand.op], left, right)
            compared = step if compared is None else ast.And(at, compared, step)
            left = right
        assert compared is not None
        return compared

    def _default(self, node: nodes.Filter, at: Location) -> Expression:
        """Return `default(x, true)`, which stands in for all that counts as false, as `default(x) or x`."""
        given = [*node.args, *(pair.value for pair in node.kwargs if pair.key in ("value", "default_value"))]
        flags = [*node.args[1:], *(pair.value for pair in node.kwargs if pair.key == "boolean")]
        assert node.node is not None
        if not given or len(flags) != 1 or not isinstance(flags[0], nodes.Const) or type(flags[0].value) is not bool:
            self.fail(node, "`default` takes a value, and true where it also stands in for what counts as false")
            return ast.Literal(at, None)
        base = ast.FilterCall(at, self.expression(node.node), "default", (self.expression(given[0]),), ())
        return ast.Or(at, base, self.expression(given[0])) if flags[0].value else base

    def _test(self, node: nodes.Test, at: Location) -> Expression:
        operator = COMPARING_TESTS.get(node.name)
        if operator is not None and len(node.args) == 1 and not node.kwargs:
            return ast.Compare(at, operator, self.expression(node.node), self.expression(node.args[0]))
        halves = node.name in ("odd", "even")
        if ((halves and not node.args) or (node.name == "divisibleby" and len(node.args) == 1)) and not node.kwargs:
            divisor = ast.Literal(at, 2) if halves else self.expression(node.args[0])
            rest = ast.Arithmetic(at, "%", self.expression(node.node), divisor)
            return ast.Compare(at, "==", rest, ast.Literal(at, int(node.name == "odd")))
        if node.args or node.kwargs:
            hint = instead_of_test(node.name) or "compare with ==, < or in"
            self.fail(node, f"the test `{node.name}` takes no argument", hint)
        # Jinja gives the test the place of its name's token; the value stands before it.
        return ast.IsTest(at, self.expression(node.node), node.name)


def _described(kind: str) -> str:
    described = {
        "AssignBlock": "`set … endset`",
        "Call": "a call",
        "CallBlock": "`call`",
        "Dict": "a dictionary {…}",
        "FilterBlock": "`filter … endfilter`",
        "FromImport": "`from … import`",
        "Getitem": "a[b]",
        "Pos": "a leading +",
        "Pow": "`**`",
        "Scope": "`autoescape`",
    }
    return described.get(kind, f"`{kind.lower()}`")
