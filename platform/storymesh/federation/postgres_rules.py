"""The rules of a contract held by a PostgreSQL: one statement counts what breaks each, in the transaction of the read.

What the server itself holds, by a constraint, is not counted again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from storymesh.contract.checks import Check, FitsType, NotNull, UniqueValues, checks_of
from storymesh.contract.definition import RESTRICTED, Freshness, restricted_properties
from storymesh.contract.quality_rules import LibraryMetric, SqlRule
from storymesh.contract.table_metrics import is_fresh
from storymesh.errors import AuditRefused
from storymesh.federation.source_rules import (
    SourceAudit,
    SourceRules,
    columns_read,
    fits_family,
    pushdown_fault,
    type_mismatch,
    violation_condition,
)
from storymesh.federation.source_sql_rules import read_sql_rule
from storymesh.federation.sql import quote_name

if TYPE_CHECKING:
    import ibis.expr.types as ir

_FAMILIES = {
    16: "boolean", 20: "int64", 21: "int64", 23: "int64", 25: "string", 700: "float64", 701: "float64",
    1042: "string", 1043: "string", 1082: "date", 1114: "timestamp", 1184: "timestamp", 1700: "decimal", 2950: "string",
}  # fmt: skip
"""What columns are in ibis's words, by the oids of their types."""
_READ_AS = {1042: "{}::text", 2950: "{}::text", 1184: "({} at time zone 'UTC')"}
_ROWS = "storymesh_rows"
_READABLE = """
select attname, has_column_privilege(attrelid, attnum, 'select'),
  attnotnull and (select relkind in ('r', 'p') from pg_catalog.pg_class where oid = attrelid)
from pg_catalog.pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped"""
_UNIQUE = """
select array(select a.attname from pg_catalog.pg_attribute a where a.attrelid = i.indrelid and a.attnum = any(i.indkey))
from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indrelid
where i.indrelid = to_regclass(%s) and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null
and i.indexprs is null
and (c.relkind = 'p' or not exists (select from pg_catalog.pg_inherits where inhparent = i.indrelid))"""


@dataclass(frozen=True)
class RuleVerdicts:
    """What the rules say of all rows, and the conditions under which a row breaks none of those that were broken."""

    audit: SourceAudit
    conditions: tuple[str, ...]


@dataclass(frozen=True)
class PostgresRuleAudit:
    """The rules of a contract, and the table or query of a PostgreSQL that they are held for."""

    cursor: Any
    source: str
    is_table: bool
    oids: Mapping[str, int]
    rules: SourceRules

    def hold(self) -> RuleVerdicts:
        """Ask the server. Raises AuditRefused for what would not be published."""
        contract, checks = self.rules.contract, list(self._checks_to_run)
        statement = self._statement(checks)
        row, problems = self._fetch(statement, checks)
        counts = {position: row[f"c{position}"] for position in range(len(checks)) if f"c{position}" in row}
        broken = {
            position: int(counts[position] or 0)
            for position, check in enumerate(checks)
            if check.kind == "row" and counts.get(position)
        }
        told = {
            position: None if row.get(f"of{position}", count) < self._least(checks[position]) else count
            for position, count in broken.items()
        }
        errors = [position for position in broken if checks[position].severity == "error"]
        conditions = tuple(self._passing(checks[position]) for position in errors if self._leaves_out(checks[position]))
        failed = [
            f"{checks[position].words}: {_amount(told[position])} break it"
            for position in broken
            if position not in errors
        ]
        held_back: list[str] = []
        for position, check in enumerate(checks):
            if position in problems or (
                check.kind == "table" and not self._passes(check, counts[position], row["rows"])
            ):
                found = problems.get(position) or f"found {self._describe_result(check, counts[position], row['rows'])}"
                words = f"{check.words} ({found})"
                (held_back if check.severity == "error" else failed).append(words)
        audit = SourceAudit(
            rows=row["rows"],
            broken={checks[position].reason: told[position] for position in errors},
            failed=tuple(failed),
            unheld=self._unheld,
            left_out=bool(conditions),
        )
        self.rules.before_telling(statement, audit)
        self._require_limit(audit, [self._passing(checks[position]) for position in errors])
        if held_back:
            hint = f"nothing is fetched from {contract.in_place}; mend the rows there, or the rule"
            raise AuditRefused(f"'{contract.id}' is held back: {'; '.join(held_back)}", hint)
        return RuleVerdicts(audit, conditions)

    def _fetch(self, statement: str, checks: Sequence[Check]) -> tuple[dict[str, Any], dict[int, str]]:
        """Return the values of a statement; where SQL of the contract keeps it from running, of one for each rule, and
        in words what is wrong with those that do not run."""
        import psycopg2

        self.cursor.execute("savepoint rules")
        try:
            return self._values_of(statement), {}
        except psycopg2.Error as error:
            if error.pgcode is None or not any(isinstance(check.test, SqlRule) for check in checks):
                raise
        self.cursor.execute("rollback to savepoint rules")
        found = self._values_of(self._statement([check for check in checks if not isinstance(check.test, SqlRule)]))
        names = [name for name in found if name[0] == "c"]
        others = [position for position, check in enumerate(checks) if not isinstance(check.test, SqlRule)]
        places = {f"c{index}": f"c{position}" for index, position in enumerate(others)}
        row = {places.get(name, name): found[name] for name in ("rows", *names)}
        problems = {}
        for position, check in enumerate(checks):
            if isinstance(check.test, SqlRule):
                self.cursor.execute("savepoint rules")
                try:
                    row[f"c{position}"] = self._values_of(self._statement([check]))["c0"]
                except psycopg2.Error as error:
                    if error.pgcode is None:
                        raise
                    self.cursor.execute("rollback to savepoint rules")
                    hidden = restricted_properties(self.rules.contract) & columns_read(check, self.rules.contract)
                    words = "" if hidden else f": {str(error).splitlines()[0]}"
                    problems[position] = f"the query did not run{words}"
        return row, problems

    def _values_of(self, statement: str) -> dict[str, Any]:
        self.cursor.execute(statement)
        return dict(zip([column.name for column in self.cursor.description], self.cursor.fetchone(), strict=True))

    def _require_limit(self, audit: SourceAudit, kept: Sequence[str]) -> None:
        """Raise AuditRefused where more rows break the contract than its limit allows."""
        if not kept:
            return
        self.cursor.execute(f"SELECT count(*) FROM {self.source} WHERE NOT ({' AND '.join(kept)})")
        ((lost,),) = self.cursor.fetchall()
        contract = self.rules.contract
        if lost > contract.quarantine_limit * audit.rows:
            reasons = "; ".join(f"{reason} ({_amount(count)})" for reason, count in audit.broken.items())
            most = f"more than {100 * contract.quarantine_limit:.4g} %"
            shown = f"{lost:,} of {audit.rows:,}" if None not in audit.broken.values() else "too many"
            words = f"'{contract.id}': {shown} rows on {contract.in_place} break the contract, {most}: {reasons}"
            raise AuditRefused(words, "nothing is fetched; mend the rows there, or the contract")

    # What can be asked

    @cached_property
    def _columns(self) -> dict[str, str]:
        """The column of each property."""
        found: dict[str, str] = {}
        for name, item in self.rules.contract.properties.items():
            column = next((given for given in item.column_names if given in self.oids), None)
            found |= {name: column} if column is not None else {}
        return found

    @cached_property
    def _rights(self) -> Mapping[str, tuple[bool, bool]]:
        """Of each column of a table, whether it may be read, and whether it is never null."""
        if not self.is_table:
            return {}
        self.cursor.execute(_READABLE, (self.source,))
        return {name: (readable, filled) for name, readable, filled in self.cursor.fetchall()}

    @cached_property
    def _keys(self) -> list[frozenset[str]]:
        """The sets of columns of which the server lets no two rows have the same."""
        if not self.is_table:
            return []
        self.cursor.execute(_UNIQUE, (self.source,))
        return [frozenset(names) for (names,) in self.cursor.fetchall()]

    @cached_property
    def _checks_to_run(self) -> tuple[Check, ...]:
        """The checks that the server is asked for: of those that it can be, the ones that no constraint holds."""
        checks = checks_of(self.rules.contract)
        return tuple(one for one in checks if self._fault(one) is None and not self._is_constraint(one))

    @cached_property
    def _unheld(self) -> dict[str, str]:
        found = {}
        for check in checks_of(self.rules.contract):
            fault = self._fault(check)
            unknown = isinstance(check.test, FitsType) and check.properties[0] not in self._columns
            if fault is not None and not unknown:
                found[check.reason] = fault
        return found

    def _fault(self, check: Check) -> str | None:
        contract, read = self.rules.contract, columns_read(check, self.rules.contract)
        if isinstance(check.test, SqlRule) and (kept := sorted(read & self.rules.least.keys())):
            return f"'{kept[0]}' is told in figures only"
        if closed := sorted(read - self.rules.columns):
            return f"'{closed[0]}' may not be read for that"
        if (fault := pushdown_fault(check, contract)) is not None:
            return fault
        for name in sorted(read):
            column = self._columns.get(name)
            if column is None:
                return f"there is no column '{name}'"
            if not self._rights.get(column, (True, False))[0]:
                return f"the user may not read '{column}' there"
            if not fits_family(_FAMILIES.get(self.oids[column], ""), contract.properties[name].type):
                return f"'{column}' is of another type there"
        return None

    def _is_constraint(self, check: Check) -> bool:
        """Return True for a check that a constraint of the server holds."""
        columns = {self._columns[name] for name in check.properties if name in self._columns}
        match check.test:
            case NotNull():
                return all(self._rights.get(column, (True, False))[1] for column in columns)
            case UniqueValues():
                return any(key <= columns for key in self._keys)
            case _:
                return False

    # The statement

    @cached_property
    def _raw(self) -> "ir.Table":
        import ibis

        kinds = {}
        for name, column in self._columns.items():
            family = _FAMILIES.get(self.oids[column], "string")
            kinds[name] = {"timestamp": "timestamp(6)", "decimal": "decimal(38, 9)"}.get(family, family)
        return ibis.table(ibis.schema(kinds), name=_ROWS)

    @cached_property
    def _values(self) -> dict[str, "ir.Value"]:
        """The value of each property: null where the column's is none of the contract's type."""
        import ibis

        from storymesh.contract.types import arrow_type

        found = {}
        for name in self._columns:
            item, raw = self.rules.contract.properties[name], self._raw[name]
            if not fits_family(_FAMILIES.get(self.oids[self._columns[name]], ""), item.type):
                continue
            wanted, unfit = ibis.dtype(arrow_type(item.type)), type_mismatch(raw, item.type)
            same = raw.type().is_decimal() and wanted.is_decimal()
            value = raw if same or raw.type() == wanted else raw.cast(wanted)
            found[name] = value if unfit is None else ibis.ifelse(unfit, ibis.null(value.type()), value)
        return found

    def _broken(self, check: Check) -> "ir.BooleanValue":
        import ibis

        if isinstance(check.test, FitsType):
            name = check.properties[0]
            unfit = type_mismatch(self._raw[name], self.rules.contract.properties[name].type)
            return ibis.literal(False) if unfit is None else unfit.fill_null(False)
        # A value that fits no type is none that is missing.
        return violation_condition(check, self._raw if isinstance(check.test, NotNull) else self._values)

    def _statement(self, checks: Sequence[Check]) -> str:
        """Return the one statement that has a column for each check."""
        raw, figures, others = self._raw, {"rows": self._raw.count()}, dict[str, str]()
        for position, check in enumerate(checks):
            name = f"c{position}"
            match check.test:
                case UniqueValues():
                    others[name] = self._repeated(check.properties, "n")
                case LibraryMetric("duplicateValues"):
                    others[name] = self._repeated(check.properties, "n - 1")
                case LibraryMetric("rowCount"):
                    figures[name] = raw.count()
                case Freshness(property=moment):
                    figures[name] = self._values[moment].max()
                case SqlRule():
                    rule = read_sql_rule(check, self.rules.contract)
                    assert not isinstance(rule, str), "it is asked for"
                    others[name] = f"({rule.sql('postgres', self.source, self._written)})"
                case _:
                    broken = self._broken(check)
                    figures[name] = raw.count(where=broken)
                    if (least := self._least_group(check)) is not None:
                        figures[f"of{position}"] = raw[least.of].nunique(where=broken)
        inner = self._sql(raw.aggregate(**figures))
        more = "".join(f", {text} AS {name}" for name, text in others.items())
        return f"SELECT m.*{more} FROM ({inner}) AS m"

    def _repeated(self, names: Iterable[str], count: str) -> str:
        """Return how many rows share their values of some properties with others, as a subquery."""
        return f"(SELECT coalesce(sum({count}), 0)::bigint FROM ({self._groups(names, ', count(*) AS n')}) AS g)"

    def _groups(self, names: Iterable[str], more: str = "") -> str:
        columns = [self._written[name] for name in names]
        filled = " AND ".join(f"{column} IS NOT NULL" for column in columns)
        listed = ", ".join(columns)
        return f"SELECT {listed}{more} FROM {self.source} WHERE {filled} GROUP BY {listed} HAVING count(*) > 1"

    def _passing(self, check: Check) -> str:
        """Return the condition under which a row does not break a check."""
        if isinstance(check.test, UniqueValues):
            columns = [self._written[name] for name in check.properties]
            empty = " OR ".join(f"{column} IS NULL" for column in columns)
            return f"({empty} OR ({', '.join(columns)}) NOT IN ({self._groups(check.properties)}))"
        import sqlglot
        from sqlglot import exp

        where = sqlglot.parse_one(self._sql(self._raw.filter(~self._broken(check))), dialect="postgres").find(exp.Where)
        assert where is not None
        return f"({where.this.sql('postgres')})"

    def _sql(self, table: "ir.Table") -> str:
        """Return an expression over the rows as the server's SQL, over its own columns."""
        import ibis
        import sqlglot
        from sqlglot import exp

        tree = sqlglot.parse_one(str(ibis.to_sql(table, dialect="postgres")), dialect="postgres")
        for column in list(tree.find_all(exp.Column)):
            if column.name in self._written:
                column.replace(sqlglot.parse_one(self._written[column.name], dialect="postgres"))
        text = tree.sql("postgres")
        named = next(part for part in (f'"{_ROWS}" AS "t0"', f'"{_ROWS}"') if part in text)
        return text.replace(named, self.source)

    @cached_property
    def _written(self) -> dict[str, str]:
        """The column of each property, as it is read."""
        return {
            name: _READ_AS.get(self.oids[column], "{}").format(quote_name(column, "postgres"))
            for name, column in self._columns.items()
        }

    # What it says

    def _least_group(self, check: Check) -> Any:
        return next((self.rules.least[name] for name in check.properties if name in self.rules.least), None)

    def _least(self, check: Check) -> int:
        least = self._least_group(check)
        return least.subjects if least is not None else 0

    def _leaves_out(self, check: Check) -> bool:
        """Return True for a check whose rows do not come: here nobody could tell them from others."""
        seen = {*check.properties} <= self.rules.fetched and not isinstance(check.test, UniqueValues)
        return self._least_group(check) is None and not seen

    def _measured(self, check: Check, found: Any, rows: int) -> Any:
        if isinstance(check.test, LibraryMetric) and check.test.percent:
            return 100.0 * int(found) / rows if rows else 0.0
        return found

    def _passes(self, check: Check, found: Any, rows: int) -> bool:
        if isinstance(check.test, Freshness):
            return is_fresh(check.test, found)
        assert isinstance(check.test, LibraryMetric | SqlRule)
        try:
            return check.test.comparison.holds(self._measured(check, found, rows))
        except TypeError:
            return False

    def _describe_result(self, check: Check, found: Any, rows: int) -> Any:
        read = columns_read(check, self.rules.contract)
        hidden = restricted_properties(self.rules.contract) & read
        return RESTRICTED if hidden else self._measured(check, found, rows)


def _amount(count: int | None) -> str:
    return "some" if count is None else f"{count:,}"
