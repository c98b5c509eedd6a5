"""The links of a case, resolved against the contracts of its cast: what joins, and which rows may lie in the future.

No data is read.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from storymesh.case.definition import Case, Link
from storymesh.contract.definition import Contract, Relationship
from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.language.types import MOMENTS, NUMBERS, Text, Type
from storymesh.location import Location

LocationOf = Callable[..., Location]  # the location of a part of narrative.yaml, by its steps

# The columns that a case has beside its roles, from its links to its records.
CASE_COLUMNS = frozenset(
    {
        *("case_id", "at", "closes", "dropped", "question_dropped", "hindsight", "question", "match", "outcome"),
        *("status", "known", "fact_known", "split", "rank", "period", "component", "together", "precedents", "facts"),
        *("unrenderable", "sources", "linked_id", "split_id", "asking_id", "withheld", "unseen"),
    }
)


@dataclass(frozen=True)
class JoinCondition:
    """A condition of a link: `column` of the role's product equals `other_column` of the role `other`."""

    column: str
    other: str
    other_column: str


@dataclass(frozen=True)
class Role:
    """A role of the cast, with its link; the anchor has none.

    `listed` roles are gathered as lists in the data (ordered by eventTime, then key); of the others there is at most
    one row, by the contract or the link, so they are plain rows.

    `may_be_future`: what comes after `case.at` may bring a row, so a question can be without it and does not drop.
    `may_be_unknown`: a linked row may not have been known at `case.at`, so a question has to look. `own_question`: what
    was known may link other rows than all that is known now. `never_visible`: no question ever knows a row.
    """

    name: str
    contract: Contract
    link: Link | None
    joins: tuple[JoinCondition, ...] = ()
    listed: bool = False
    may_be_future: bool = False
    may_be_unknown: bool = False
    own_question: bool = False
    never_visible: bool = False

    @property
    def column(self) -> str:
        """The column of a case that holds the role; a role may have the name of one of the case's own columns."""
        return f"_{self.name}" if self.name in CASE_COLUMNS else self.name

    @property
    def single(self) -> bool:
        """True if templates see a row or null, not a list."""
        return self.link is None or self.link.single

    @property
    def late_end(self) -> bool:
        """True if a row may have ended before anybody knew, so that a question still sees it as open."""
        end = self.contract.end_time
        return end is not None and self.contract.known_at_of(end) != end

    def known_at_of(self, column: str) -> str | None:
        """Return the column that says when `column` of a known row became known, None if it is known with its row."""
        known = self.contract.known_at_of(column)
        return None if known is None or known == self.contract.event_time else known


@dataclass(frozen=True)
class Cast:
    """The roles of a case that are linked: the anchor first, each after the roles that its joins read."""

    roles: Mapping[str, Role]
    at: str  # a column of the anchor
    closes: str | None  # a column of the anchor
    unlinked: frozenset[str] = field(default_factory=frozenset)  # roles of the cast that no link reaches

    @property
    def anchor(self) -> Role:
        return next(iter(self.roles.values()))

    def joins_hash(self, role: Role, join: JoinCondition) -> bool:
        """Return True if the rows of a role are there with a hash of what the other side of a join has as it was."""
        other = self.roles[join.other].contract.properties[join.other_column]
        return role.contract.properties[join.column].hashed is not None and other.hashed is None

    def is_joined_as_hash(self, role: Role, join: JoinCondition) -> bool:
        """Return True if it is the other side of a join that is a hash."""
        other = self.roles[join.other].contract.properties[join.other_column]
        return role.contract.properties[join.column].hashed is None and other.hashed is not None

    @property
    def joined_by_hashes(self) -> frozenset[tuple[str, str]]:
        """The columns, with their roles, whose hashes other roles join by."""
        pairs = ((role, join) for role in self.roles.values() for join in role.joins)
        return frozenset((join.other, join.other_column) for role, join in pairs if self.joins_hash(role, join))

    def never_known(self, role: Role, column: str) -> bool:
        """Return True if no question can know the column: it is the closing, or known only when the case closes."""
        return _never_known(role, column, self.at, self.closes)

    def known_with_row(self, role: Role, column: str) -> bool:
        """Return True if a question that sees the row sees the value too, whatever the data."""
        known = role.known_at_of(column)
        if role.link is not None:
            return known is None
        # The anchor's row is known when its own eventTime says so, which may be another moment than case.at.
        moment = known or role.contract.event_time
        return moment is None or moment == self.at


def resolve_cast(case: Case, contracts: Mapping[str, Contract], at: LocationOf) -> Cast:
    """Resolve the roles and links of `case` against the contracts of the cast (role -> contract).

    Raises DefinitionErrors with every finding.
    """
    resolver = _CastResolver(case, contracts, at)
    cast = resolver.cast()
    if resolver.findings:
        raise DefinitionErrors(resolver.findings)
    assert cast is not None
    return cast


class _CastResolver:
    def __init__(self, case: Case, contracts: Mapping[str, Contract], at: LocationOf) -> None:
        self.case = case
        self.contracts = contracts
        self.at = at
        self.findings: list[Finding] = []
        self.roles: dict[str, Role] = {}
        self.failed: set[str] = set()  # roles whose link has a finding
        self.asked_at = ""  # the anchor's column of `at`
        self.closes: str | None = None

    def fail(self, steps: Iterable[str | int], rule: str, message: str, hint: str = "") -> None:
        self.findings.append(Finding(self.at("case", *steps), rule, message, hint))

    def cast(self) -> Cast | None:
        case = self.case
        if case.anchor not in self.contracts:
            message = f"the anchor '{case.anchor}' is no role of the cast"
            self.fail(["anchor"], "unknown-name", message, suggest_name(case.anchor, self.contracts))
            return None
        if unnamed := [name for name, contract in self.contracts.items() if not contract.key]:
            for name in unnamed:
                message = f"'{self.contracts[name].id}' has no primary key, so no record could say which rows it is of"
                hint = "add primaryKey: true to a property in its contract"
                self.findings.append(Finding(self.at("cast", name), "no-key", message, hint))
            return None
        self.roles[case.anchor] = Role(case.anchor, self.contracts[case.anchor], None)
        at = self._moment("at", case.at)
        closes = self._moment("closes", case.closes) if case.closes is not None else None
        self.asked_at, self.closes = at or "", closes
        if at is not None and not self._required(at):
            message = f"'{case.at}' may be null, and a case without its moment cannot be told"
            self.fail(["at"], "may-be-null", message, "make it required in the contract")
        for name, link in case.links.items():
            self._link(name, link)
        unlinked = [name for name in self.contracts if name not in self.roles and name not in case.links]
        return Cast(self.roles, at, closes, frozenset(unlinked)) if at is not None else None

    def _required(self, column: str) -> bool:
        contract = self.contracts[self.case.anchor]
        return contract.properties[column].required or column in contract.key

    def _moment(self, name: str, path: str) -> str | None:
        role, column = self._path([name], path, {self.case.anchor})
        if role is None or column is None:
            return None
        type_ = role.contract.properties[column].type
        if not isinstance(type_, MOMENTS):
            self.fail([name], "wrong-type", f"'{path}' is {type_}, `{name}` wants a date or timestamp")
            return None
        return column

    def _path(self, steps: list[str], path: str, roles: Iterable[str]) -> tuple[Role | None, str | None]:
        parts = path.split(".")
        known = list(roles)
        if len(parts) != 2:
            self.fail(steps, "wrong-value", f"'{path}' is no property of a role", "write role.property")
            return None, None
        name, column = parts
        if name in self.failed:  # the role's own link has its finding
            return None, None
        if name not in known:
            if name in self.contracts:
                message = f"'{name}' is linked after this, so it cannot be read here"
                self.fail(steps, "wrong-order", message, "move its link up" if name in self.case.links else "link it")
            else:
                self.fail(steps, "unknown-name", f"unknown role '{name}'", suggest_name(name, known))
            return None, None
        role = self.roles[name]
        if column not in role.contract.properties:
            message = f"'{role.contract.id}' has no property '{column}'"
            self.fail(steps, "unknown-name", message, suggest_name(column, role.contract.properties))
            return None, None
        return role, column

    def _link(self, name: str, link: Link) -> None:
        steps = ["links", name]
        if name not in self.contracts:
            self.fail(steps, "unknown-name", f"'{name}' is no role of the cast", suggest_name(name, self.contracts))
            return
        if name == self.case.anchor:
            self.fail(steps, "wrong-value", "the anchor is not linked: it is the case's own row")
            return
        contract = self.contracts[name]
        for rule in ("within", "overlaps", "as_of"):
            if getattr(link, rule) is not None and contract.event_time is None:
                message = f"`{rule}` needs to know when a row became true, and '{contract.id}' has no eventTime"
                self.fail([*steps, rule], "no-event-time", message, "add the customProperty eventTime to its contract")
        if link.overlaps is not None and contract.end_time is None:
            message = f"`overlaps` needs an interval, and '{contract.id}' has no endTime"
            self.fail([*steps, "overlaps"], "no-end-time", message, "add the customProperty endTime to its contract")
        joins = (
            self._joins(name, link, contract) if link.on is not None else self._by_relationship(name, link, contract)
        )
        if joins is None:
            self.failed.add(name)
        else:
            self.roles[name] = self._role(name, contract, link, joins)

    def _role(self, name: str, contract: Contract, link: Link, joins: tuple[JoinCondition, ...]) -> Role:
        others = [self.roles[join.other] for join in joins]
        bare = Role(name, contract, link, joins)
        never = contract.hindsight or any(
            other.never_visible
            or (other.link is None and _never_known(other, join.other_column, self.asked_at, self.closes))
            for other, join in zip(others, joins, strict=True)
        )
        # What the link reads of the row itself may have been known later than the row.
        read = [join.column for join in joins]
        if contract.event_time is not None and (link.within or link.overlaps or link.as_of):
            read.append(contract.event_time)
        late = any(bare.known_at_of(column) for column in read)
        may_be_future = never or self._may_be_future(link, contract, joins, late)
        may_be_unknown = may_be_future or late or any(other.may_be_unknown for other in others)
        own_question = any(other.own_question for other in others) or bool(
            (link.as_of and may_be_unknown) or (link.overlaps and bare.late_end)
        )
        through_list = any(other.listed for other in others)
        one = link.as_of is not None or (contract.is_unique({join.column for join in joins}) and not through_list)
        listed = own_question or not (link.single and one)
        return Role(name, contract, link, joins, listed, may_be_future, may_be_unknown, own_question, never)

    def _may_be_future(self, link: Link, contract: Contract, joins: tuple[JoinCondition, ...], late: bool) -> bool:
        for join in joins:
            other = self.roles[join.other]
            if other.link is not None and (other.may_be_future or other.known_at_of(join.other_column)):
                return True
            known = other.contract.known_at_of(join.other_column)
            if other.link is None and known is not None and known != self.asked_at:
                return True
        if contract.event_time is None:
            return late
        if link.as_of is not None:
            return False
        if link.overlaps is not None:
            return bool(link.overlaps.slack)
        if link.within is not None:
            return link.within.before.total_seconds() > 0
        return True

    def _joins(self, name: str, link: Link, contract: Contract) -> tuple[JoinCondition, ...] | None:
        joins: list[JoinCondition] = []
        assert link.on is not None
        for column, path in link.on.items():
            steps = ["links", name, "on", column]
            role, other = self._path(steps, path, self.roles)
            if column not in contract.properties:
                message = f"'{contract.id}' has no property '{column}'"
                self.fail(steps, "unknown-name", message, suggest_name(column, contract.properties))
                continue
            if role is None or other is None:
                continue
            mine, theirs = contract.properties[column].joined_type, role.contract.properties[other].joined_type
            if not _equatable(mine, theirs):
                message = f"'{name}.{column}' is {mine} and '{path}' is {theirs}: they never equal each other"
                self.fail(steps, "wrong-type", message)
                continue
            codes = contract.properties[column].field.codes, role.contract.properties[other].field.codes
            if codes[0] is not None and codes[1] is not None and not codes[0] & codes[1]:
                message = f"'{name}.{column}' and '{path}' have no code in common: they never equal each other"
                self.fail(steps, "unknown-code", message)
                continue
            joins.append(JoinCondition(column, role.name, other))
        return tuple(joins) if len(joins) == len(link.on) else None

    def _by_relationship(self, name: str, link: Link, contract: Contract) -> tuple[JoinCondition, ...] | None:
        """Return the joins of the one relationship between this role and the anchor, else an earlier role."""
        timed = link.within or link.overlaps or link.as_of
        anchor, *others = self.roles.values()
        found = list(_related(contract, anchor))
        if not found and not timed:
            found = [joins for other in others for joins in _related(contract, other)]
        if len(found) == 1:
            return found[0]
        if not found and timed:
            return ()
        steps = ["links", name]
        if not found:
            message = f"no relationship joins '{contract.id}' to a role before it"
            self.fail(steps, "no-relationship", message, "write `on: {property: role.property}`")
        else:
            described = "; ".join(
                ", ".join(f"{j.column} = {j.other}.{j.other_column}" for j in joins) for joins in found
            )
            message = f"{len(found)} relationships join '{name}' to the roles before it: {described}"
            self.fail(steps, "many-relationships", message, "choose one with `on`")
        return None


def _never_known(role: Role, column: str, at: str, closes: str | None) -> bool:
    if role.contract.hindsight:
        return True
    if role.link is not None:
        return False
    known = role.known_at_of(column)
    ends = role.contract.end_time if at == role.contract.event_time else None
    return column == closes or (known is not None and known in (closes, ends))


def _related(contract: Contract, other: Role) -> Iterable[tuple[JoinCondition, ...]]:
    for relationship in contract.relationships:
        if relationship.to_contract in other.contract.ids:
            to = _columns(other.contract, relationship)
            yield tuple(
                JoinCondition(mine, other.name, theirs) for mine, theirs in zip(relationship.columns, to, strict=True)
            )
    for relationship in other.contract.relationships:
        if relationship.to_contract in contract.ids and other.contract.id != contract.id:
            to = _columns(contract, relationship)
            yield tuple(
                JoinCondition(mine, other.name, theirs) for theirs, mine in zip(relationship.columns, to, strict=True)
            )


def _columns(contract: Contract, relationship: Relationship) -> list[str]:
    found = [contract.property_at(reference) for reference in relationship.to_columns]
    return [item.name for item in found if item is not None]


def _equatable(one: Type, two: Type) -> bool:
    families = ((Text,), NUMBERS, MOMENTS)
    return any(isinstance(one, family) and isinstance(two, family) for family in families) or type(one) is type(two)
