"""What is different between two releases, and why: records by their id, and what the two were cut from.

Records are compared on the engine, by a hash of each of their columns; only the samples that are shown are read whole.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from storymesh.dataset.erasure_list import ERASED as FORGOTTEN
from storymesh.engine.open import open_engine
from storymesh.errors import StorymeshError, WrongUsage
from storymesh.narrative.formats import format_of_columns
from storymesh.release.definition_snapshot import read_kept
from storymesh.release.manifest import CASE, Release, drops_file, read_lock, readable, record_files

if TYPE_CHECKING:
    import duckdb

SAMPLES = 5
GONE = "no such case any more"
NEW = "no such case before"
VERSIONS = "versions"  # the pseudo-column of a record whose rows stand in other versions of their products

Kind = Literal["added", "gone", "changed"]


@dataclass(frozen=True)
class Words:
    """A run of words that both texts have (`same`), or one of them alone."""

    kind: Literal["same", "old", "new"]
    text: str


@dataclass(frozen=True)
class Sample:
    """One record that is not in both as it is: what changed of it, column -> its words; of one in a single release,
    the texts as they are there."""

    id: str
    kind: Kind
    columns: Mapping[str, tuple[Words, ...]]


@dataclass(frozen=True)
class ConfigDiff:
    """One config. `rows`: split -> (old, new). `changed`: how many records are not as they were, and `columns` in which
    column how many; `renewed`: the same but for the versions of their sources. `gone_to` and `added_from`: reason ->
    count, as the drops of the other release say."""

    config: str
    rows: Mapping[str, tuple[int, int]]
    added: int
    gone: int
    changed: int
    renewed: int
    same: int
    columns: Mapping[str, int]
    added_from: Mapping[str, int]
    gone_to: Mapping[str, int]
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True)
class Cause:
    """One thing that the two were not cut alike from: `what` (narrative, template, contract, product, evaluation set,
    drops, platform), its name, and what it was and is, in words; None where it was not, or is not."""

    what: str
    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class Diff:
    old: Release
    new: Release
    causes: tuple[Cause, ...]
    configs: tuple[ConfigDiff, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def same(self) -> bool:
        """Whether the two have the same records and drops."""
        return self.old.digest == self.new.digest


def diff(old: Release, new: Release, limit: int = SAMPLES, only: str | None = None) -> Diff:
    """Compare two releases, also of two narratives. At most `limit` samples a config are read, `only` one config where
    it is named. Raises WrongUsage for a config that neither has."""
    locks = read_lock(old.path), read_lock(new.path)
    configs = list(dict.fromkeys((*old.configs, *new.configs)))
    if only is not None and only not in configs:
        raise WrongUsage(f"neither release has a config '{only}'", f"known: {', '.join(configs)}")
    causes, notes = _causes(old, new, *locks)
    compared: tuple[ConfigDiff, ...] = ()
    if old.digest != new.digest:
        with open_engine() as engine:
            connection = engine.connection.con
            chosen = [only] if only else configs
            with readable(old, new):
                compared = tuple(_Comparison(connection, old, new, config).result(limit) for config in chosen)
        if not causes:
            notes = [*notes, "both were cut from the same: another pseudonym key, or a release that somebody changed"]
    return Diff(old, new, tuple(causes), compared, tuple(notes))


class _Comparison:
    """One config of both releases on one engine."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection", old: Release, new: Release, config: str) -> None:
        self.connection, self.old, self.new, self.config = connection, old, new, config
        self.columns: list[str] = []
        sides = {"old": self._columns(old), "new": self._columns(new)}
        self.columns = list(dict.fromkeys(name for names in sides.values() for name in names))
        for side, release in (("old", old), ("new", new)):
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {side} AS {self._hashed(release, sides[side])}")
        unlike = {name: f'old."{name}" IS DISTINCT FROM new."{name}"' for name in (*self.columns, VERSIONS)}
        differences = ", ".join(f'{words} AS "{name}"' for name, words in unlike.items())
        some = " OR ".join(f'"{name}"' for name in self.columns) or "false"
        connection.execute(f"""
            CREATE OR REPLACE TEMP TABLE compared AS
            SELECT *, CASE WHEN old_case IS NULL THEN 'added' WHEN new_case IS NULL THEN 'gone'
                           WHEN {some} THEN 'changed' WHEN "{VERSIONS}" THEN 'renewed' ELSE 'same' END AS kind
            FROM (SELECT coalesce(old.id, new.id) AS id, old.case_id AS old_case, new.case_id AS new_case, {differences}
                  FROM old FULL JOIN new ON old.id = new.id)""")

    def result(self, limit: int) -> ConfigDiff:
        kinds = dict(self.connection.execute("SELECT kind, count(*) FROM compared GROUP BY kind").fetchall())
        counted = ", ".join(f'count_if("{name}")' for name in self.columns) or "0"
        row = self.connection.execute(f"SELECT {counted} FROM compared WHERE kind = 'changed'").fetchall()[0]
        columns = {name: count for name, count in zip(self.columns, row, strict=False) if count}
        before, after = self.old.configs.get(self.config, {}), self.new.configs.get(self.config, {})
        return ConfigDiff(
            config=self.config,
            rows={split: (before.get(split, 0), after.get(split, 0)) for split in dict.fromkeys((*before, *after))},
            added=kinds.get("added", 0),
            gone=kinds.get("gone", 0),
            changed=kinds.get("changed", 0),
            renewed=kinds.get("renewed", 0),
            same=kinds.get("same", 0),
            columns=columns,
            added_from=self._reasons(self.old, "added", "new_case", NEW),
            gone_to=self._reasons(self.new, "gone", "old_case", GONE),
            samples=tuple(self._samples(limit)) if limit else (),
        )

    def _files(self, release: Release) -> dict[str, list[Path]]:
        return record_files(release.path, self.config) if self.config in release.configs else {}

    def _columns(self, release: Release) -> list[str]:
        files = [path for paths in self._files(release).values() for path in paths]
        if not files:
            return []
        names = self.connection.read_parquet([str(files[0])]).columns
        return [name for name in (*names, "split") if name not in ("id", "case_id")]

    def _hashed(self, release: Release, columns: Sequence[str]) -> str:
        """id, case_id, a hash of each column, and one of the versions in `sources`, which is not content."""
        parts = []
        for name in self.columns:
            if name not in columns:
                value = "NULL"
            elif name == "sources":
                value = "hash(list_transform(sources, lambda x: (x.product, x.key))::VARCHAR)"
            else:
                value = f'hash("{name}"::VARCHAR)'
            parts.append(f'{value}::UBIGINT AS "{name}"')
        versions = "hash(sources::VARCHAR)" if "sources" in columns else "NULL"
        parts.append(f'{versions}::UBIGINT AS "{VERSIONS}"')
        return f"SELECT id, case_id, {', '.join(parts)} FROM ({self._records(release)})"

    def _records(self, release: Release) -> str:
        parts = [
            f"SELECT *, '{split}' AS split FROM read_parquet({_listed(paths)})"
            for split, paths in self._files(release).items()
        ]
        nothing = "SELECT NULL::VARCHAR AS id, NULL::VARCHAR AS case_id WHERE false"
        return " UNION ALL BY NAME ".join(parts) or nothing

    def _reasons(self, other: Release, kind: Kind, case: str, unknown: str) -> dict[str, int]:
        """Why records of one release are not in the other, as the other's drops say."""
        drops = [
            f"SELECT case_id, reason FROM read_parquet({_listed([path])})"
            for path in (drops_file(other.path, name) for name in (CASE, self.config))
            if path.is_file()
        ]
        if not drops:
            return {}
        query = f"""
            SELECT coalesce(reason, ?) AS reason, count(*) AS records
            FROM compared LEFT JOIN ({" UNION ALL ".join(drops)}) AS dropped ON dropped.case_id = compared.{case}
            WHERE kind = ? GROUP BY ALL ORDER BY records DESC, reason"""
        if other.drops.get(CASE, {}).get(FORGOTTEN):
            unknown = f"{FORGOTTEN}, or {unknown}"  # what was forgotten does not say which case it was
        return dict(self.connection.execute(query, [unknown, kind]).fetchall())

    def _samples(self, limit: int) -> Iterator[Sample]:
        """The first of each kind by id: those that changed before those that came or went."""
        order = "CASE kind WHEN 'changed' THEN 0 WHEN 'gone' THEN 1 ELSE 2 END, id"
        query = f"SELECT id, kind FROM compared WHERE kind IN ('changed', 'gone', 'added') ORDER BY {order} LIMIT ?"
        wanted = self.connection.execute(query, [limit]).fetchall()
        if not wanted:
            return
        ids = [id_ for id_, _ in wanted]
        before, after = self._whole(self.old, ids), self._whole(self.new, ids)
        for id_, kind in wanted:
            one, other = _texts(before.get(id_, {})), _texts(after.get(id_, {}))
            if kind == "changed":
                names = [name for name in dict.fromkeys((*one, *other)) if one.get(name) != other.get(name)]
                columns = {name: tuple(words(one.get(name, ""), other.get(name, ""))) for name in names}
            else:
                side: Literal["old", "new"] = "old" if kind == "gone" else "new"
                told = one if kind == "gone" else other
                columns = {name: (Words(side, text),) for name, text in told.items() if not _is_behind(name)}
            yield Sample(id_, kind, columns)

    def _whole(self, release: Release, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        query = f"SELECT * FROM ({self._records(release)}) WHERE id IN (SELECT unnest(?::VARCHAR[]))"
        return {row["id"]: row for row in self.connection.execute(query, [list(ids)]).to_arrow_table().to_pylist()}


def _texts(record: Mapping[str, Any]) -> dict[str, str]:
    """Name -> text of all that a record says: its columns, each message, each fact, and which rows it comes from."""
    format_ = format_of_columns(record)
    texts: dict[str, dict[str, str]] = {}
    for column, text in format_.texts_in(record) if format_ is not None else ():
        texts.setdefault(column.column, {})[column.path] = text
    found: dict[str, str] = {}
    for name, value in record.items():
        if name in ("id", "case_id"):
            continue
        if name in texts:
            found |= texts[name]
        elif name == "sources":
            found[name] = "\n".join(f"{one['product']} {one['key']}" for one in value)
        elif name == "facts" and isinstance(value, dict):
            found |= {f"facts.{path}": text for path, text in _flat(value).items()}
        else:
            found[name] = str(value)
    return found


def _is_behind(name: str) -> bool:
    return name in ("at", "sources") or name.startswith("facts.")


def words(old: str, new: str) -> list[Words]:
    """Both texts as runs of words: those that they share, and between them what one has and then what the other. Two
    changes with nothing but space between them are one."""
    one, other = (re.findall(r"\s+|\w+|[^\w\s]", text) for text in (old, new))
    changed: list[tuple[str, str]] = []
    runs: list[Words] = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        before, after = "".join(one[a:b]), "".join(other[c:d])
        if tag == "equal" and not (changed and before.isspace() and b < len(one) and d < len(other)):
            runs += [*_change(changed), Words("same", before)]
            changed = []
        else:
            changed.append((before, after))
    return [*runs, *_change(changed)]


def _change(changed: Sequence[tuple[str, str]]) -> Iterator[Words]:
    for kind, text in (("old", "".join(one for one, _ in changed)), ("new", "".join(other for _, other in changed))):
        if text:
            yield Words("old" if kind == "old" else "new", text)


# --- why ---


def _causes(
    old: Release, new: Release, was: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[list[Cause], list[str]]:
    causes, notes = [], []
    for name in ("narrative", "narrative_version", "storymesh"):
        if was.get(name) != now.get(name):
            what = "platform" if name == "storymesh" else "narrative"
            causes.append(Cause(what, name.removeprefix("narrative_"), was.get(name), now.get(name)))
    try:
        causes += _of_definitions(old, new, was, now)
    except StorymeshError as error:
        notes.append(f"the definitions are not compared: {error.message}")
    causes += _of_products(was["cast"], now["cast"])
    for name in sorted(was.get("forgotten", {}).keys() | now.get("forgotten", {}).keys()):
        counts = [len(lock.get("forgotten", {}).get(name, ())) for lock in (was, now)]
        if counts[0] != counts[1]:
            causes.append(Cause("forgotten", name, *(f"{count} key{'s' * (count != 1)}" for count in counts)))
    held = [lock.get("evaluation", {}).get("files", {}) for lock in (was, now)]
    for name in sorted(held[0].keys() | held[1].keys()):
        digests = [files[name][:12] if name in files else None for files in held]
        if digests[0] != digests[1]:
            causes.append(Cause("evaluation set", name, *digests))
    for what in dict.fromkeys((*was["drops"], *now["drops"])):
        before, after = was["drops"].get(what, {}), now["drops"].get(what, {})
        for reason in dict.fromkeys((*before, *after)):
            if before.get(reason, 0) != after.get(reason, 0):
                counted = str(before.get(reason, 0)), str(after.get(reason, 0))
                causes.append(Cause("drops", f"{what}, {reason}", *counted))
    return causes, notes


def _of_products(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Cause]:
    """By product, since several roles may be told from one."""
    before, after = ({one["product"]: one for one in cast.values()} for cast in (was, now))
    for name in dict.fromkeys((*before, *after)):
        one, other = before.get(name), after.get(name)
        if (one or {}).get("product_version") != (other or {}).get("product_version"):
            yield Cause("product", name, *(_version(side) for side in (one, other)))
        if one and other and one["contract_digest"] != other["contract_digest"]:
            told = [f"{side['contract_version']} ({side['contract_digest'][:12]})" for side in (one, other)]
            yield Cause("contract", name, *told)


def _version(member: Mapping[str, Any] | None) -> str | None:
    return f"{member['product_version'][:12]}, {member['rows']:,} rows" if member else None


def _of_definitions(old: Release, new: Release, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Cause]:
    """What of the narrative, its templates and the kept parts of its contracts is written otherwise."""
    before, after = read_kept(old.path, was), read_kept(new.path, now)
    for path, one, other in _unlike(before.narrative.document.value, after.narrative.document.value):
        if path != "version":
            yield Cause("narrative", path, one, other)
    for name in sorted(before.narrative.templates.keys() | after.narrative.templates.keys()):
        one_text, other_text = (side.narrative.templates.get(name) for side in (before, after))
        if one_text != other_text:
            yield Cause("template", name, *_lines(one_text, other_text))
    contracts = [{one.id: one.document.value for one in side.contracts.values()} for side in (before, after)]
    for name in sorted(contracts[0].keys() & contracts[1].keys()):
        for path, one, other in _unlike(contracts[0][name], contracts[1][name]):
            yield Cause("contract", f"{name}: {path}", one, other)


def _lines(old: str | None, new: str | None) -> tuple[str | None, str | None]:
    """The lines of two texts that are not in both; None for a text that is not there."""
    if old is None or new is None:
        return (f"{len(old.splitlines())} lines" if old else None, f"{len(new.splitlines())} lines" if new else None)
    marked = list(difflib.ndiff(old.splitlines(), new.splitlines()))
    return (
        "\n".join(line[2:] for line in marked if line.startswith("- ")),
        "\n".join(line[2:] for line in marked if line.startswith("+ ")),
    )


def _unlike(old: Any, new: Any) -> Iterator[tuple[str, str | None, str | None]]:
    one, other = _flat(old), _flat(new)
    for path in dict.fromkeys((*one, *other)):
        if one.get(path) != other.get(path):
            yield path, one.get(path), other.get(path)


def _flat(value: Any, path: str = "") -> dict[str, str]:
    """Path -> value of every leaf; what stands in a list is named by its own name, where it has one."""
    if isinstance(value, dict) and value:
        parts = [(str(name), inner) for name, inner in value.items()]
    elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        named = [str(one.get("name") or one.get("property") or place) for place, one in enumerate(value)]
        parts = list(zip(named if len(set(named)) == len(named) else map(str, range(len(value))), value, strict=True))
    else:
        return {path: str(value)}
    found: dict[str, str] = {}
    for name, inner in parts:
        found |= _flat(inner, f"{path}.{name}" if path else name)
    return found


def _listed(paths: Sequence[Path]) -> str:
    return "[" + ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths) + "]"
