"""The grammar of the drawn templates. Every piece is written twice: as Jinja, and as an expression of DuckDB's SQL."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from benchmarks.generated.world import CODES, LABELS, WORDS, Role, World

_LABELS = " ".join(f"WHEN '{code}' THEN '{words}'" for code, words in LABELS.items())
MACROS = f"""
    CREATE MACRO label(code) AS CASE code {_LABELS} END;
    CREATE MACRO capital(t) AS concat(upper(t[1]), lower(t[2:]));
    CREATE MACRO counted(n, one, many) AS concat(format('{{:,}}', n), ' ', CASE WHEN n = 1 THEN one ELSE many END);
    CREATE MACRO unit(n, one) AS concat(n, ' ', one, CASE WHEN n <> 1 THEN 's' END);
    CREATE MACRO in_units(m) AS CASE
        WHEN m >= 1440 THEN
            concat(unit(m // 1440, 'day'), CASE WHEN m % 1440 >= 60 THEN concat(' ', unit(m % 1440 // 60, 'hour')) END)
        WHEN m >= 60 THEN
            concat(unit(m // 60, 'hour'), CASE WHEN m % 60 > 0 THEN concat(' ', unit(m % 60, 'minute')) END)
        ELSE unit(m, 'minute') END;
    CREATE MACRO hours(h) AS in_units((h * 100)::BIGINT * 3 // 5);
    CREATE MACRO listed(l) AS CASE WHEN len(l) > 1
        THEN concat(array_to_string(l[:-2], ', '), ' and ', l[-1]) ELSE coalesce(l[1], '') END;
    CREATE MACRO chosen(id, call, n) AS ('0x' || substr(md5(concat(id, ':', call)), 1, 8))::BIGINT % n + 1;
"""  # fmt: skip
LITERALS = (
    "The job went on as before.", "Nothing else was seen that day,", "Then", "It was noted that", "for the record:",
    "(as far as is known)", "- ", "Of this, one says", "meanwhile;", "so it stood at", "It was \"quiet\", with",
)  # fmt: skip


class Piece(NamedTuple):
    """A piece of a template, and the same text as SQL."""

    jinja: str
    sql: str


class Scoped(NamedTuple):
    """A row that has a name here: its path in both languages, and its role."""

    jinja: str
    sql: str
    role: Role


def literal(text: str) -> Piece:
    return Piece(text, f"'{text.replace(chr(39), chr(39) * 2)}'")


def joined(pieces: Sequence[Piece]) -> Piece:
    return Piece("".join(piece.jinja for piece in pieces), f"concat({', '.join(piece.sql for piece in pieces)}, '')")


def printed(jinja: str, sql: str) -> Piece:
    return Piece(f"{{{{ {jinja} }}}}", sql)


def branch(jinja: str, sql: str, then: Piece, otherwise: Piece) -> Piece:
    text = f"{{% if {jinja} %}}{then.jinja}{{% else %}}{otherwise.jinja}{{% endif %}}"
    return Piece(text, f"CASE WHEN {sql} THEN {then.sql} ELSE {otherwise.sql} END")


@dataclass
class TemplateWriter:
    """Draws one template file and, as files of their own, the partials that it includes.

    `columns` collects which columns of each role were used, `files` the text of each file.
    """

    rng: Random
    world: World
    name: str
    files: dict[str, str]
    columns: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    calls: int = 0
    named: int = 0

    def write(self, opening: Sequence[Callable[[], Piece]] = (), size: int = 4) -> str:
        """Draw the template and write it to `files`. Returns the SQL of its text."""
        rows = [self._whole(role) for role in self.world.roles if role.kind in ("anchor", "parent", "rate")]
        # What comes first comes first here too: the calls of `choose` are counted in the order of the text.
        pieces = [part() for part in opening]
        pieces += [self._statement(rows, self.rng.choice((1, 2, 2))) for _ in range(self.rng.randint(2, size))]
        text = joined([*pieces, literal("End.")])
        self.files[self.name] = text.jinja
        return text.sql

    def _whole(self, role: Role) -> Scoped:
        return Scoped(role.name, role.name, role)

    def _statement(self, rows: Sequence[Scoped], depth: int) -> Piece:
        if depth == 0:
            return joined([self._words(), self._value(self.rng.choice(rows))])
        statements = [self._sentence, self._branch, self._rare, self._loop, self._loop, self._set, self._measure]
        if depth > 1:
            statements.append(self._partial)
        return self.rng.choice(statements)(rows, depth - 1)

    def _sentence(self, rows: Sequence[Scoped], _depth: int) -> Piece:
        parts = [
            part for _ in range(self.rng.randint(1, 4)) for part in (self._words(), self._value(self.rng.choice(rows)))
        ]
        return joined([*parts, self._choice() if self.rng.random() < 0.3 else literal("."), literal(" So.\nThen ")])

    def _branch(self, rows: Sequence[Scoped], depth: int) -> Piece:
        test, sql = self._test(rows)
        then = self._statement(rows, depth)
        return branch(test, sql, then, self._statement(rows, depth))

    def _rare(self, rows: Sequence[Scoped], depth: int) -> Piece:
        """A long branch that one case in hundreds takes."""
        row, name = self._column(rows, "n")
        if name is None:
            return self._sentence(rows, depth)
        body = joined([self._statement(rows, depth) for _ in range(3)])
        return branch(f"{row.jinja}.{name} == 7", f"{row.sql}.{name} = 7", body, literal("-"))

    def _loop(self, rows: Sequence[Scoped], depth: int) -> Piece:
        role = self.rng.choice([role for role in self.world.roles if role.listed])
        variable = self._fresh("x")
        item = Scoped(variable, variable, role)
        items, sql = role.name, role.name
        self.columns[role.name] |= {"id"}
        if self.rng.random() < 0.35 and (numbers := [name for name in role.columns if name[0] == "n"]):
            name, bound = self.rng.choice(numbers), self.rng.randint(0, 900)
            self.columns[role.name].add(name)
            items, sql = (
                f'{items} | selectattr("{name}", "gt", {bound})',
                f"list_filter({sql}, lambda y: y.{name} > {bound})",
            )
        body = [self._words(), self._value(item)]
        if depth and self.rng.random() < 0.5:
            # A loop inside of a loop over long lists is quadratic: only over what it says itself.
            inner = [*rows, item]
            body.append(self._branch(inner, 0) if role.length > 4 else self._statement(inner, depth - 1))
        index = f"i{variable}"
        if self.rng.random() < 0.5:
            body.insert(0, Piece("{{ loop.index }}: ", f"concat({index}, ': ')"))
        comma = Piece("{% if not loop.last %}; {% endif %}", f"CASE WHEN {index} < len({sql}) THEN '; ' END")
        text = joined([*body, comma])
        told = f"coalesce(array_to_string(list_transform({sql}, lambda {variable}, {index}: {text.sql}), ''), '')"
        return Piece(f"{{% for {variable} in {items} %}}{text.jinja}{{% endfor %}}", told)

    def _set(self, rows: Sequence[Scoped], depth: int) -> Piece:
        row, name = self._column(rows, "ndf")
        if name is None:
            return self._sentence(rows, depth)
        variable, factor = self._fresh("v"), self.rng.randint(2, 9)
        digits = {"n": 0, "d": 2, "f": 2}[name[0]]
        sql = f"({row.sql}.{name} * {factor})"
        number = printed(f"{variable} | number({digits})", f"format('{{:,.{digits}f}}', {sql}::DOUBLE)")
        again = branch(f"{variable} > 4000", f"{sql} > 4000", literal("much, "), literal("some, "))
        told = joined([number, literal(" and "), again, number])
        return Piece(f"{{% set {variable} = {row.jinja}.{name} * {factor} %}}{told.jinja}", told.sql)

    def _measure(self, rows: Sequence[Scoped], _depth: int) -> Piece:
        """A count, sum, highest value or list of words over a role's rows."""
        role = self.rng.choice([role for role in self.world.roles if role.listed])
        name = self.rng.choice([name for name in role.columns if name[0] in "ndt"] or ["id"])
        self.columns[role.name] |= {name, "id"}
        items = f"list_transform({role.name}, lambda y: y.{name})"
        count = printed(
            f'{role.name} | length | plural("entry", many="entries")', f"counted(len({role.name}), 'entry', 'entries')"
        )
        if name[0] in "ti":
            texts = f'{role.name} | map(attribute="{name}")'
            return joined([count, literal(": "), self.rng.choice((
                printed(f"{texts} | listing", f"listed({items})"),
                printed(f'{texts} | join(" / ")', f"array_to_string({items}, ' / ')"),
            ))])  # fmt: skip
        digits = 2 if name[0] == "d" else 0
        return joined([count, literal(", "), self.rng.choice((
            printed(f'{role.name} | sum(attribute="{name}") | number({digits})',
                    f"format('{{:,.{digits}f}}', coalesce(list_sum({items}), 0)::DOUBLE)"),
            printed(f'{role.name} | map(attribute="{name}") | max | default(0) | number({digits})',
                    f"format('{{:,.{digits}f}}', coalesce(list_max({items}), 0)::DOUBLE)"),
        ))])  # fmt: skip

    def _partial(self, rows: Sequence[Scoped], depth: int) -> Piece:
        name = f"part_{len(self.files)}_{self.name}"
        self.files[name] = ""
        partial = TemplateWriter(self.rng, self.world, name, self.files, self.columns, named=self.named + 100)
        text = joined(
            [partial._statement([row for row in rows if row.jinja == row.role.name], depth), literal(" Out.")]
        )
        self.files[name] = text.jinja
        return Piece(f'{{% include "{name}" %}}', text.sql)

    # --- values ---

    def _words(self) -> Piece:
        return literal(f"{self.rng.choice(LITERALS)} ")

    def _choice(self) -> Piece:
        options = self.rng.sample([" again.", " at last.", " once more.", "!"], self.rng.randint(2, 3))
        call = f"{self.name}:{self.calls}"
        self.calls += 1
        words = ", ".join(f'"{option}"' for option in options)
        return printed(f"choose({words})", f"{options}[chosen(cases.id, '{call}', {len(options)})]")

    def _column(self, rows: Sequence[Scoped], kinds: str) -> tuple[Scoped, str | None]:
        """Return a row that is certainly there and a column of one of these kinds of it, None if there is none."""
        found = [
            (row, name)
            for row in rows
            if row.role.kind not in ("parent", "rate") or row.role.required
            for name in row.role.columns
            if name[0] in kinds
        ]
        if not found:
            return rows[0], None
        row, name = self.rng.choice(found)
        self.columns[row.role.name].add(name)
        return row, name

    def _test(self, rows: Sequence[Scoped], deep: bool = True) -> tuple[str, str]:
        row, name = self._column(rows, "ncbdu")
        if name is None or self.rng.random() < 0.15:
            role = self.rng.choice([role for role in self.world.roles if role.listed])
            self.columns[role.name].add("id")
            least = self.rng.randint(0, role.length)
            return f"{role.name} | length > {least}", f"len({role.name}) > {least}"
        path, sql = f"{row.jinja}.{name}", f"{row.sql}.{name}"
        bound, code = self.rng.randint(1, 990), self.rng.choice(CODES)
        test = {
            "n": (f"{path} > {bound}", f"{sql} > {bound}"),
            "d": (f"{path} < {bound * 10}", f"{sql} < {bound * 10}"),
            "c": (f'{path} == "{code}"', f"{sql} = '{code}'"),
            "b": (path, sql),
            "u": (f"{path} is not none", f"{sql} IS NOT NULL"),
        }[name[0]]
        if deep and self.rng.random() < 0.3:
            other, word = self._test(rows, False), self.rng.choice(("and", "or"))
            return f"({test[0]}) {word} ({other[0]})", f"({test[1]}) {word.upper()} ({other[1]})"
        return test

    def _value(self, row: Scoped) -> Piece:
        """Print a column of a row; of a role that may be absent, inside of a guard."""
        name = self.rng.choice(row.role.columns)
        self.columns[row.role.name].add(name)
        value = self._printed(f"{row.jinja}.{name}", f"{row.sql}.{name}", name[0])
        if row.role.kind in ("parent", "rate") and not row.role.required:
            self.columns[row.role.name].add("id")
            return branch(row.jinja, f"{row.sql}.id IS NOT NULL", value, literal("nobody"))
        return value

    def _printed(self, path: str, sql: str, kind: str) -> Piece:
        rng = self.rng
        match kind:
            case "t":
                word = rng.choice(WORDS[:3])
                return rng.choice((
                    printed(path, sql), printed(f"{path} | upper", f"upper({sql})"),
                    printed(f'{path} | replace("{word}", "pier") | capitalize',
                            f"capital(replace({sql}, '{word}', 'pier'))"),
                    printed(f"{path} | length", f"length({sql})::VARCHAR"),
                ))  # fmt: skip
            case "u":
                return rng.choice((
                    printed(f'{path} | default("n/a")', f"coalesce({sql}, 'n/a')"),
                    branch(f"{path} is not none", f"{sql} IS NOT NULL", printed(path, sql), literal("unsaid")),
                ))  # fmt: skip
            case "n":
                return rng.choice((
                    printed(path, f"{sql}::VARCHAR"), printed(f"{path} | number", f"format('{{:,}}', {sql})"),
                    printed(f'{path} | plural("box", many="boxes")', f"counted({sql}, 'box', 'boxes')"),
                    printed(f"({path} * 3 + 1) | number", f"format('{{:,}}', {sql} * 3 + 1)"),
                ))  # fmt: skip
            case "m":
                value = printed(f"{path} | number", f"format('{{:,}}', {sql})")
                return branch(f"{path} is not none", f"{sql} IS NOT NULL", value, literal("none"))
            case "d":
                return rng.choice((
                    printed(f"{path} | number(2)", f"format('{{:,.2f}}', {sql}::DOUBLE)"),
                    printed(f'{path} | duration("hours")', f"hours({sql})"),
                    printed(f"({path} + 1) | number(2)", f"format('{{:,.2f}}', ({sql} + 1)::DOUBLE)"),
                ))  # fmt: skip
            case "f":
                digits = rng.randint(0, 4)
                return printed(f"{path} | number({digits})", f"format('{{:,.{digits}f}}', {sql})")
            case "c":
                return rng.choice((
                    printed(f"{path} | label", f"label({sql})"), printed(path, sql),
                    printed(f"{path} | label | capitalize", f"capital(label({sql}))"),
                ))  # fmt: skip
            case "w":
                form = rng.choice(("%-d %B %Y", "%Y-%m-%d %H:%M", "%a %d %b"))
                return printed(f'{path} | date("{form}")', f"strftime({sql}, '{form}')")
            case _:
                return printed(f'"yes" if {path} else "no"', f"CASE WHEN {sql} THEN 'yes' ELSE 'no' END")

    def _fresh(self, letter: str) -> str:
        self.named += 1
        return f"{letter}{self.named}"
