"""Whether two programs wrote the same records."""

from dataclasses import dataclass
from pathlib import Path

import duckdb
from benchmarks.stories.inputs import TEXTS

SHOWN = 2


@dataclass(frozen=True)
class Compared:
    """A column of a config that differs, or `id` where records are missing or too many; `rows` is how many."""

    config: str
    column: str
    rows: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([f"{self.config}.{self.column} differs in {self.rows:,} records", *self.examples])


def count(told: Path, config: str) -> int:
    with duckdb.connect() as db:
        return int(db.execute(f"SELECT count(*) FROM {_files(told, config)}").fetchall()[0][0])


def compare(ours: Path, theirs: Path, config: str) -> list[Compared]:
    """What differs in one config: the texts always; split, label, at, facts and sources where both have them."""
    found = []
    with duckdb.connect() as db:
        db.execute(f"CREATE VIEW a AS FROM {_files(ours, config)}")
        db.execute(f"CREATE VIEW b AS FROM {_files(theirs, config)}")
        alone = db.execute("SELECT coalesce(a.id, b.id), a.id IS NULL FROM a FULL JOIN b USING (id) "
                           "WHERE a.id IS NULL OR b.id IS NULL ORDER BY 1").fetchall()  # fmt: skip
        if alone:
            words = [
                f"  {key}: {'not by storymesh' if extra else 'by storymesh alone'}" for key, extra in alone[:SHOWN]
            ]
            found.append(Compared(config, "id", len(alone), tuple(words)))
        columns = {name: kind for name, kind, *_ in db.execute("DESCRIBE a").fetchall()}
        others = {name: kind for name, kind, *_ in db.execute("DESCRIBE b").fetchall()}
        for column, kind in columns.items():
            if column not in others and column not in TEXTS[config]:
                continue
            # A struct is cast by the names of its fields, whose order is nobody's promise.
            theirs_cast = f'b."{column}"' if others.get(column) == kind else f'CAST(b."{column}" AS {kind})'
            differing = db.execute(
                f'SELECT id, a."{column}"::VARCHAR, {theirs_cast}::VARCHAR FROM a JOIN b USING (id) '
                f'WHERE a."{column}" IS DISTINCT FROM {theirs_cast} ORDER BY id'
            ).fetchall()
            if differing:
                words = [
                    f"  {key}\n    storymesh: {ours_value}\n    other:     {other}"
                    for key, ours_value, other in differing[:SHOWN]
                ]
                found.append(Compared(config, column, len(differing), tuple(words)))
    return found


def _files(told: Path, config: str) -> str:
    single = told / f"{config}.parquet"
    return f"read_parquet('{single if single.is_file() else told / config / '*.parquet'}')"
