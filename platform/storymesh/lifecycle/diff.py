"""The differences between two releases: records by id, and their texts word by word.

Records are compared on the engine, by a hash of each of their columns; only the samples that are shown are read whole.
Why the two differ is in `diff_causes`.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from storymesh.dataset.erasure_list import ERASED
from storymesh.engine import dialect
from storymesh.engine.engine import Engine, OpenEngine
from storymesh.errors import WrongUsage
from storymesh.lifecycle.diff_causes import DiffCause, find_causes, flatten
from storymesh.narrative.formats import format_of_columns
from storymesh.release.catalog import Release, report_damage
from storymesh.release.folder import files_of, require_sound_files
from storymesh.release.layout import drops_file, record_files
from storymesh.release.manifest import CASE

if TYPE_CHECKING:
    import ibis.expr.types as ir

SAMPLES = 5
GONE = "no such case any more"
NEW = "no such case before"
VERSIONS = "versions"  # the pseudo-column of a record whose sources are in other versions of their products

ChangeKind = Literal["added", "gone", "changed"]


@dataclass(frozen=True)
class TextRun:
    """A run of words that both texts have (`same`), or one of them alone."""

    kind: Literal["same", "old", "new"]
    text: str


@dataclass(frozen=True)
class RecordChange:
    """One record that differs: what changed of it, column -> its runs of words.

    Of a record that only one release has, the texts as they are there.
    """

    id: str
    kind: ChangeKind
    columns: Mapping[str, tuple[TextRun, ...]]


@dataclass(frozen=True)
class ConfigDiff:
    """The differences of one config.

    `rows`: split -> (old, new). `changed` counts the records that differ, `columns` in which column how many; `renewed`
    those that differ only in the versions of their sources. `gone_to` and `added_from`: reason -> count, as the drops
    of the other release say.
    """

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
    samples: tuple[RecordChange, ...] = ()


@dataclass(frozen=True)
class ReleaseDiff:
    """Two releases compared."""

    old: Release
    new: Release
    causes: tuple[DiffCause, ...]
    configs: tuple[ConfigDiff, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def same(self) -> bool:
        """True if the two have the same records and drops."""
        return self.old.digest == self.new.digest


def compare_releases(
    old: Release, new: Release, open_engine: OpenEngine, limit: int = SAMPLES, only: str | None = None
) -> ReleaseDiff:
    """Compare two releases, also of two narratives.

    At most `limit` samples of a config are read; with `only`, one config is compared. Raises WrongUsage for a config
    that neither has.
    """
    configs = list(dict.fromkeys((*old.configs, *new.configs)))
    if only is not None and only not in configs:
        raise WrongUsage(f"neither release has a config '{only}'", f"known: {', '.join(configs)}")
    causes, notes = find_causes(old, new)
    compared: tuple[ConfigDiff, ...] = ()
    if old.digest != new.digest:
        require_sound_files(old, new)
        with open_engine(only=files_of(old, new)) as engine, report_damage(old, new):
            compared = tuple(
                _compare_config(engine, old, new, config, limit) for config in ([only] if only else configs)
            )
        if not causes:
            notes = [*notes, "both were cut from the same: another pseudonym key, or a release that somebody changed"]
    return ReleaseDiff(old, new, tuple(causes), compared, tuple(notes))


def _compare_config(engine: Engine, old: Release, new: Release, config: str, limit: int) -> ConfigDiff:
    sides = _ConfigSide(engine, old, config), _ConfigSide(engine, new, config)
    columns = list(dict.fromkeys((*sides[0].columns, *sides[1].columns)))
    compared = _compare_records(engine, *sides, columns)
    try:
        kinds = {
            row["kind"]: row["rows"]
            for row in engine.fetch_rows(compared.group_by("kind").aggregate(rows=compared.count()))
        }
        changed = compared.filter(compared["kind"] == "changed")
        counts = {}
        if columns:
            (counts,) = engine.fetch_rows(
                changed.aggregate(**{name: changed.count(where=changed[f"differs_{name}"]) for name in columns})
            )
        before, after = old.configs.get(config, {}), new.configs.get(config, {})
        return ConfigDiff(
            config=config,
            rows={split: (before.get(split, 0), after.get(split, 0)) for split in dict.fromkeys((*before, *after))},
            added=kinds.get("added", 0),
            gone=kinds.get("gone", 0),
            changed=kinds.get("changed", 0),
            renewed=kinds.get("renewed", 0),
            same=kinds.get("same", 0),
            columns={name: count for name, count in counts.items() if count},
            added_from=_drop_reasons(engine, compared, old, config, "added", NEW),
            gone_to=_drop_reasons(engine, compared, new, config, "gone", GONE),
            samples=tuple(_sample_changes(engine, compared, *sides, limit)) if limit else (),
        )
    finally:
        engine.drop(compared)


class _ConfigSide:
    """The records of one config in one of the releases; `records` is None where it has none."""

    def __init__(self, engine: Engine, release: Release, config: str) -> None:
        import ibis

        files = record_files(release.path, config) if config in release.configs else {}
        parts = [engine.read_parquet(paths).mutate(split=ibis.literal(split)) for split, paths in files.items()]
        self.records: ir.Table | None = None
        if parts:
            self.records = ibis.union(*parts)

    @property
    def columns(self) -> list[str]:
        """The columns that are compared."""
        if self.records is None:
            return []
        return [name for name in self.records.columns if name not in ("id", "case_id")]

    def hashes(self, columns: Sequence[str], prefix: str) -> "ir.Table":
        """Return id, case_id, a hash of each column, and one of the versions in `sources`, each with a prefix."""
        import ibis
        import pyarrow as pa

        names = ("id", "case_id", *columns, VERSIONS)
        if self.records is None:
            kinds = [pa.string(), pa.string(), *[pa.int64()] * (len(columns) + 1)]
            empty = pa.schema([(f"{prefix}{name}", kind) for name, kind in zip(names, kinds, strict=True)])
            return ibis.memtable(empty.empty_table())
        values = {name: self.records[name] for name in self.records.columns}
        hashed: dict[str, ir.Value] = {name: ibis.null("int64") for name in (*columns, VERSIONS)}
        for name in self.columns:
            value = values[name]
            if name == "sources":
                hashed[VERSIONS] = value.cast("string").hash()
                # A row in another version of its product is the same source.
                value = dialect.map_items(value, lambda source: ibis.struct({"p": source.product, "k": source.key}))
            hashed[name] = value.cast("string").hash()
        hashed |= {"id": values["id"], "case_id": values["case_id"]}
        return self.records.select(**{f"{prefix}{name}": hashed[name] for name in names})

    def read(self, engine: Engine, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return id -> record of these records."""
        if self.records is None:
            return {}
        return {row["id"]: row for row in engine.fetch_rows(self.records.filter(self.records["id"].isin(ids)))}


def _compare_records(engine: Engine, old: _ConfigSide, new: _ConfigSide, columns: Sequence[str]) -> "ir.Table":
    """Return a temporary table: id, old_case, new_case, `differs_<column>` for each column, kind."""
    import ibis

    before, after = old.hashes(columns, "old_"), new.hashes(columns, "new_")
    joined = before.outer_join(after, before["old_id"] == after["new_id"])
    differences = {
        f"differs_{name}": ~joined[f"old_{name}"].identical_to(joined[f"new_{name}"]) for name in (*columns, VERSIONS)
    }
    paired = joined.select(
        id=ibis.coalesce(joined["old_id"], joined["new_id"]),
        old_case="old_case_id",
        new_case="new_case_id",
        **differences,
    )
    changed = ibis.or_(*(paired[f"differs_{name}"] for name in columns)) if columns else ibis.literal(False)
    kind = ibis.cases(
        (paired["old_case"].isnull(), "added"),
        (paired["new_case"].isnull(), "gone"),
        (changed, "changed"),
        (paired[f"differs_{VERSIONS}"], "renewed"),
        else_="same",
    )
    return engine.materialize(paired.mutate(kind=kind))


def _drop_reasons(
    engine: Engine, compared: "ir.Table", other: Release, config: str, kind: ChangeKind, unknown: str
) -> dict[str, int]:
    """Return the reasons why records of one release are missing in the `other`, from its drops, most frequent first."""
    import ibis

    files = [path for path in (drops_file(other.path, name) for name in (CASE, config)) if path.is_file()]
    if not files:
        return {}
    if other.drops.get(CASE, {}).get(ERASED):
        unknown = f"{ERASED}, or {unknown}"  # a forgotten case is not named
    drops = [engine.read_parquet(path).select(dropped_case="case_id", reason="reason") for path in files]
    dropped = ibis.union(*drops)
    missing = compared.filter(compared["kind"] == kind)
    missing = missing.select(case_id="new_case" if kind == "added" else "old_case")
    joined = missing.left_join(dropped, missing["case_id"] == dropped["dropped_case"])
    reasons = joined.select(reason=joined["reason"].coalesce(unknown))
    counted = reasons.group_by("reason").aggregate(records=reasons.count())
    rows = engine.fetch_rows(counted.order_by(ibis.desc("records"), "reason"))
    return {row["reason"]: row["records"] for row in rows}


def _sample_changes(
    engine: Engine, compared: "ir.Table", old: _ConfigSide, new: _ConfigSide, limit: int
) -> Iterator[RecordChange]:
    """Yield the first of each kind by id: those that changed before those that came or went."""
    import ibis

    order = ibis.cases((compared["kind"] == "changed", 0), (compared["kind"] == "gone", 1), else_=2)
    differing = compared.filter(compared["kind"].isin(["changed", "gone", "added"]))
    first = engine.fetch_rows(differing.select("id", "kind", order=order).order_by("order", "id").limit(limit))
    ids = [row["id"] for row in first]
    if not ids:
        return
    before, after = old.read(engine, ids), new.read(engine, ids)
    for row in first:
        old_texts, new_texts = _record_texts(before.get(row["id"], {})), _record_texts(after.get(row["id"], {}))
        if row["kind"] == "changed":
            names = dict.fromkeys((*old_texts, *new_texts))
            columns = {
                name: tuple(diff_words(old_texts.get(name, ""), new_texts.get(name, "")))
                for name in names
                if old_texts.get(name) != new_texts.get(name)
            }
        else:
            side: Literal["old", "new"] = "old" if row["kind"] == "gone" else "new"
            texts = old_texts if side == "old" else new_texts
            columns = {name: (TextRun(side, text),) for name, text in texts.items() if not _is_provenance(name)}
        yield RecordChange(row["id"], row["kind"], columns)


def _record_texts(record: Mapping[str, Any]) -> dict[str, str]:
    """Return name -> text of all of a record: its columns, each message, each fact, and its source rows."""
    format_ = format_of_columns(record)
    rendered: dict[str, dict[str, str]] = {}
    for column, text in format_.texts_in(record) if format_ is not None else ():
        rendered.setdefault(column.column, {})[column.path] = text
    texts: dict[str, str] = {}
    for name, value in record.items():
        if name in ("id", "case_id"):
            continue
        if name in rendered:
            texts |= rendered[name]
        elif name == "sources":
            texts[name] = "\n".join(f"{source['product']} {source['key']}" for source in value)
        elif name == "facts" and isinstance(value, dict):
            texts |= {f"facts.{path}": text for path, text in flatten(value).items()}
        else:
            texts[name] = str(value)
    return texts


def _is_provenance(name: str) -> bool:
    return name in ("at", "sources") or name.startswith("facts.")


def diff_words(old: str, new: str) -> list[TextRun]:
    """Return both texts as runs of words: those they share, and between them what one has and then what the other.

    Two changes with only space between them are one.
    """
    old_words, new_words = (re.findall(r"\s+|\w+|[^\w\s]", text) for text in (old, new))
    changed: list[tuple[str, str]] = []
    runs: list[TextRun] = []
    matcher = difflib.SequenceMatcher(None, old_words, new_words, autojunk=False)
    for tag, old_begin, old_end, new_begin, new_end in matcher.get_opcodes():
        before, after = "".join(old_words[old_begin:old_end]), "".join(new_words[new_begin:new_end])
        is_last = old_end == len(old_words) or new_end == len(new_words)
        if tag == "equal" and not (changed and before.isspace() and not is_last):
            runs += [*_changed_runs(changed), TextRun("same", before)]
            changed = []
        else:
            changed.append((before, after))
    return [*runs, *_changed_runs(changed)]


def _changed_runs(changed: Sequence[tuple[str, str]]) -> Iterator[TextRun]:
    old, new = "".join(before for before, _ in changed), "".join(after for _, after in changed)
    if old:
        yield TextRun("old", old)
    if new:
        yield TextRun("new", new)
