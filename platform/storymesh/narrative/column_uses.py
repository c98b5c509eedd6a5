"""Every use that a narrative makes of a column of its cast: where it is read, what for, and whether its hash would do.

A hash can be handed on, printed, counted and compared with other values of columns. Whatever else is done with a column
needs the value itself.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from storymesh.case.resolve import Role
from storymesh.language import ast
from storymesh.language.ast import Expression, Statement, Template
from storymesh.language.filters.registry import FILTERS
from storymesh.language.static_values import Path
from storymesh.language.types import Array, Struct
from storymesh.location import Location
from storymesh.narrative.typed import TypedNarrative

Column = tuple[str, str]  # role, property
_NONE: frozenset[Column] = frozenset()
_HANDING_ON = frozenset({"pseudonym", "default", "first", "last", "map", "unique", "listing", "join"})
_COUNTING = frozenset({"length"})
_PLAIN_SELECTING = frozenset({"select", "reject"})  # which look at the items themselves
_SELECTING = frozenset({"selectattr", "rejectattr"}) | _PLAIN_SELECTING
_EQUALITY = frozenset({"==", "!=", "in", "not in", "eq", "ne", "equalto"})


@dataclass(frozen=True, order=True)
class ColumnUse:
    """A use of a property of a role. `words` say what is done, after its name; `needs_value`: its hash will not do;
    `printed`: it may stand in a record."""

    location: Location
    role: str
    column: str
    words: str
    needs_value: bool = True
    printed: bool = False


def column_uses(typed: TypedNarrative) -> tuple[ColumnUse, ...]:
    """Return every use of a column, in the order of the files; of one place and column the one that needs most."""
    found: dict[tuple[Location, str, str], ColumnUse] = {}
    for use in (*_uses_of_cases(typed), *_uses_of_expressions(typed)):
        place = use.location, use.role, use.column
        if (other := found.get(place)) is None or (use.needs_value and not other.needs_value):
            found[place] = use
    return tuple(sorted(found.values()))


def _uses_of_cases(typed: TypedNarrative) -> Iterator[ColumnUse]:
    """Yield what is read so that cases come about: keys, moments, and what links join by."""
    cast, at = typed.cast, typed.narrative.at
    anchor = cast.anchor.name
    yield ColumnUse(at("case", "at"), anchor, cast.at, "is the moment of the case", printed=True)
    if cast.closes is not None:
        yield ColumnUse(at("case", "closes"), anchor, cast.closes, "is the end of the case", printed=True)
    for role in cast.roles.values():
        here = at("cast", role.name)
        printed = "names its rows, in ids and `sources`" if role.link is None else "names its rows, in `sources`"
        for column in role.contract.key:
            yield ColumnUse(here, role.name, column, printed, needs_value=False, printed=True)
        yield from _uses_of_link(typed, role)
    for role_name, column in typed.together:
        place = at("dataset", "split", "together")
        yield ColumnUse(place, role_name, column, "keeps cases together", needs_value=False)
    for role_name, column in typed.pseudonymised:
        place = at("dataset", "pseudonymise")
        yield ColumnUse(place, role_name, column, "is replaced by its pseudonym", needs_value=False)


def _uses_of_link(typed: TypedNarrative, role: Role) -> Iterator[ColumnUse]:
    narrative, contract = typed.narrative, role.contract
    steps: tuple[str, ...] = ("case", "links", role.name) if role.link is not None else ("cast", role.name)
    for join in role.joins:
        place = narrative.at(*steps, "on", join.column)
        yield ColumnUse(place, role.name, join.column, f"is joined with '{join.other}.{join.other_column}'", False)
        yield ColumnUse(place, join.other, join.other_column, f"is joined with '{role.name}.{join.column}'", False)
    rule = next((n for n in ("within", "overlaps", "as_of") if role.link and getattr(role.link, n) is not None), None)
    words = "says when its rows became true, by which they are linked and ordered"
    place = narrative.at(*steps, rule) if rule is not None else narrative.at(*steps)
    if contract.event_time is not None:
        yield ColumnUse(place, role.name, contract.event_time, words)
    if contract.end_time is not None:
        yield ColumnUse(place, role.name, contract.end_time, "says when its rows ended")
    for column in sorted(needed_columns(typed, role)):
        known = contract.known_at_of(column)
        if known is not None and known != contract.event_time:
            yield ColumnUse(narrative.at(*steps), role.name, known, f"says when '{column}' was known")


def needed_columns(typed: TypedNarrative, role: Role) -> frozenset[str]:
    """Return every property of a role that its cases read: carried, joined by, and what says when that was known."""
    contract, cast = role.contract, typed.cast
    found = {*contract.key, *typed.columns.get(role.name, ())}
    found |= {name for name in (contract.event_time, contract.end_time) if name is not None}
    found |= {join.column for join in role.joins}
    found |= {join.other_column for other in cast.roles.values() for join in other.joins if join.other == role.name}
    found |= {column for name, column in (*typed.together, *typed.pseudonymised) if name == role.name}
    if role.link is None:
        found |= {path[1] for path in (typed.selection.reads if typed.selection else ()) if len(path) > 1}
        found |= {cast.at, *((cast.closes,) if cast.closes is not None else ())}
    while more := {known for name in found if (known := contract.known_at_of(name)) is not None} - found:
        found |= more
    return frozenset(found)


def _uses_of_expressions(typed: TypedNarrative) -> Iterator[ColumnUse]:
    """Yield what facts, outcome, precedents, conditions and templates read."""
    narrative, case = typed.narrative, typed.case
    facts: dict[str, frozenset[Column]] = {}
    if typed.selection is not None:
        reader = _Reader(typed, facts, "selects the rows that are cases")
        reader.carried(typed.selection.tree)
        yield from reader.all_uses(typed.selection.reads, narrative.at("case", "where"))
    for name, formula in case.facts.items():
        reader = _Reader(typed, facts, f"is read by the fact '{name}'")
        facts[name] = reader.carried(formula.expression)
        yield from reader.all_uses(formula.checked.reads, narrative.at("case", "facts", name))
    for name, formula in case.outcome.items():
        reader = _Reader(typed, facts, f"is read by the outcome's {name}")
        reader.carried(formula.expression)
        yield from reader.all_uses(formula.checked.reads, narrative.at("case", "outcome", name))
    for level, formulas in enumerate(case.match):
        for position, formula in enumerate(formulas):
            reader = _Reader(typed, facts, "is what precedents match on")
            reader.carried(formula.expression)
            place = narrative.at("case", "precedents", "match", level, position)
            yield from reader.all_uses(formula.checked.reads, place)
    for config, record in typed.records.items():
        for condition in record.conditions:
            reader = _Reader(typed, facts, f"selects the cases of '{config}'")
            reader.carried(condition.tree)
            yield from reader.all_uses(condition.reads, narrative.at("records", config, "where"))
        for item in record.evaluation.strata if record.evaluation is not None else ():
            reader = _Reader(typed, facts, "draws the questions of the evaluation")
            reader.carried(item.expression)
            yield from reader.all_uses(item.checked.reads, narrative.at("records", config))
        for template in record.templates:
            reader = _Reader(typed, facts, f"is shown by '{config}'", printed=True)
            reader.read_template(template.checked.tree)
            yield from reader.all_uses(template.checked.reads, Location(template.checked.tree.path))


class _Reader:
    """Follows the values of columns through typed trees. What is done with them is in `uses`."""

    def __init__(
        self, typed: TypedNarrative, facts: dict[str, frozenset[Column]], words: str, *, printed: bool = False
    ) -> None:
        self.typed, self.facts, self.words, self.printed = typed, facts, words, printed
        self.uses: list[ColumnUse] = []
        self.variables: dict[str, frozenset[Column]] = {}

    def all_uses(self, reads: Iterable[Path], place: Location) -> Iterator[ColumnUse]:
        """Yield the uses that were found, and at `place` those of `reads` that were not."""
        yield from self.uses
        met = {(use.role, use.column) for use in self.uses}
        for read in reads:
            if read and read[0] in self.typed.cast.roles:
                yield from (self._use(column, place, needs_value=True) for column in self._columns(read) - met)

    def _use(self, column: Column, place: Location, *, needs_value: bool) -> ColumnUse:
        return ColumnUse(place, *column, self.words, needs_value, self.printed)

    def _columns(self, path: Path) -> frozenset[Column]:
        """Return the columns of roles that a path leads to; a fact leads to those whose values it hands on."""
        own = path[path.index("quoted") + 1 :] if "quoted" in path else path
        if own and own[0] in self.facts and len(own) == 1:
            return self.facts[own[0]]
        roles = self.typed.cast.roles
        bases = self.typed.case.base_paths(own) if len(own) > 1 else ()
        return frozenset(
            (base[0], base[1])
            for base in bases
            if base[0] in roles and len(base) > 1 and base[1] in roles[base[0]].contract.properties
        )

    def read_template(self, tree: Template) -> None:
        """Note the uses of a template and its partials."""
        self._read_all(tree.body)

    def _read_all(self, body: Iterable[Statement]) -> None:
        for statement in body:
            match statement:
                case ast.Output():
                    self.carried(statement.value)
                case ast.If():
                    self.carried(statement.test)
                    self._read_all(statement.body)
                    self._read_all(statement.otherwise)
                case ast.For():
                    self.variables[statement.target] = self.carried(statement.items)
                    if statement.test is not None:
                        self.carried(statement.test)
                    self._read_all(statement.body)
                    self._read_all(statement.otherwise)
                case ast.Assign():
                    self.variables[statement.name] = self.carried(statement.value)
                case ast.Include() if statement.partial is not None:
                    self._read_all(statement.partial.body)
                case ast.Draw():
                    for template in statement.templates:
                        self._read_all(template.body)
                case _:
                    pass

    def carried(self, node: Expression) -> frozenset[Column]:
        """Note what an expression does with columns; return those whose own values it may hand on."""
        match node:
            case ast.Name():
                return self.variables[node.name] if node.name in self.variables else self.facts.get(node.name, _NONE)
            case ast.Attribute():
                self.carried(node.base)
                return self._read(node.typed.paths - node.base.typed.paths, node.at)
            case ast.FilterCall():
                return self._read_filter(node)
            case ast.Conditional():
                self.carried(node.test)
                return self.carried(node.then) | self.carried(node.otherwise)
            case ast.And() | ast.Or():
                return self.carried(node.left) | self.carried(node.right)
            case ast.Concat(parts=parts) | ast.Choose(options=parts) | ast.ListLiteral(items=parts):
                return frozenset(column for part in parts for column in self.carried(part))
            case ast.Compare():
                self._read_comparison(node)
                return _NONE
            case ast.IsTest(base=part) | ast.Not(operand=part):
                self.carried(part)
                return _NONE
            case ast.Arithmetic():
                before = len(self.uses)
                return self._need_values(node.at, before, self.carried(node.left) | self.carried(node.right))
            case ast.Negate():
                before = len(self.uses)
                return self._need_values(node.at, before, self.carried(node.operand))
            case _:
                return _NONE

    def _read(self, paths: Iterable[Path], place: Location) -> frozenset[Column]:
        found = frozenset(column for path in paths for column in self._columns(path))
        self.uses += [self._use(column, place, needs_value=False) for column in sorted(found)]
        return found

    def _need_values(self, place: Location, before: int, columns: Iterable[Column]) -> frozenset[Column]:
        """Note that values of columns are needed: where they are read, if that is among the uses that were noted since
        there were `before` of them, or else at `place`."""
        wanted, own = {*columns}, self.uses[before:]
        self.uses[before:] = [
            replace(use, needs_value=use.needs_value or (use.role, use.column) in wanted) for use in own
        ]
        others = wanted - {(use.role, use.column) for use in own}
        self.uses += [self._use(column, place, needs_value=True) for column in sorted(others)]
        return _NONE

    def _read_comparison(self, node: ast.Compare) -> None:
        before = len(self.uses)
        left, right = self.carried(node.left), self.carried(node.right)
        if node.operator not in _EQUALITY or not _alike(left, right):
            self._need_values(node.at, before, left | right)

    def _read_filter(self, node: ast.FilterCall) -> frozenset[Column]:
        before = len(self.uses)
        base = self.carried(node.base)
        arguments = FILTERS[node.name].arguments_by_name(node) if node.name in FILTERS else {}
        others = frozenset(column for part in arguments.values() for column in self.carried(part))
        own = base if node.name in _PLAIN_SELECTING else self._attribute(node, arguments.get("attribute"))
        if node.name in _COUNTING:
            return _NONE
        if node.name in _SELECTING:
            test = arguments.get("test")
            equal = isinstance(test, ast.Literal) and test.value in _EQUALITY
            plain = test is None or (isinstance(test, ast.Literal) and test.value in ("none", "defined"))
            if not plain and not (equal and _alike(own, others)):
                self._need_values(node.at, before, own | others)
            return base
        if node.name in _HANDING_ON:
            return base | own | others
        self._need_values(node.at, before, base | own | others)
        return base if node.name == "sort" else _NONE

    def _attribute(self, node: ast.FilterCall, attribute: Expression | None) -> frozenset[Column]:
        """Return the columns that the argument `attribute` of a filter names, of the rows that it is applied to."""
        kind = node.base.typed.type
        if (
            not isinstance(attribute, ast.Literal)
            or not isinstance(kind, Array)
            or not isinstance(kind.item.type, Struct)
        ):
            return _NONE
        steps = str(attribute.value).split(".")
        return self._read({(*path, *steps) for path in node.base.typed.paths}, attribute.at)


def _alike(left: frozenset[Column], right: frozenset[Column]) -> bool:
    """Return True where values of one column are compared, whose hashes are equal where they are."""
    return left == right and len(left) == 1
