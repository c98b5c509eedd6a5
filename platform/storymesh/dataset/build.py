"""One narrative on fixed snapshots: its cases, splits, precedents and records, each written once and kept.

The folder of a build is named by all that shapes what is in it, so a file that is there is right: a run that was killed
goes on where it stopped, and nothing is made twice.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.atomic_write import staged_file
from storymesh.contract.definition import Contract
from storymesh.contract.types import arrow_schema
from storymesh.dataset.erasure_list import REASON, Forgotten, Keys, read_forgotten
from storymesh.dataset.personal_data import FORM as PERSONAL
from storymesh.dataset.personal_data import Found, read_found, write_found
from storymesh.dataset.pseudonym_key import pseudonym_key
from storymesh.dataset.render import UNFIT, Drops, Versions, asked, rendered, told, untold
from storymesh.dataset.split import SPLITS, assign
from storymesh.engine.engine import Engine, OpenEngine
from storymesh.errors import OutOfMemory, StorymeshError, WrongUsage, suggest_name
from storymesh.language.types import Text
from storymesh.narrative.definition import Narrative
from storymesh.narrative.typed import TypedNarrative
from storymesh.narrative.typed_record import TypedRecord
from storymesh.product.store import Snapshot

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from storymesh.language.interpret import Interpreter

FORM = "storymesh-build-8"  # changes whenever the same inputs would give other cases or records
# What a case and the rows linked to it take while they are made, at first guess; and how few are not parted again.
CASE_BYTES = 2_900
LEAST_PART = 5_000
Progress = Callable[[str, int], None]


def silent(_what: str, _rows: int) -> None:
    return None


@dataclass(frozen=True)
class Written:
    """One file of a build. `drops`: reason -> count of what did not go on; `sample`: some rows for people."""

    path: Path
    rows: int
    unchanged: bool
    drops: Mapping[str, int]
    seconds: float
    sample: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Outcomes:
    """The judged cases that a dataset keeps. `table` has action (as people call it), score (a decimal) and worked; a
    column is null where what it reads is restricted. `expressions` are theirs, in the narrative's own words."""

    table: "ir.Table"
    expressions: Mapping[str, str]


@dataclass(frozen=True)
class Build:
    """A typed narrative with a snapshot for each role of its cast; `key` is a digest of all that shapes its files."""

    typed: TypedNarrative
    snapshots: Mapping[str, Snapshot]
    store: Path
    releases: Path
    open_engine: OpenEngine = field(repr=False)
    forgotten: Keys | None = None  # of a release that is told again; None: what the mesh's store says now
    # The files of the evaluation set by their path in the mesh; of a release that is told again what it keeps of it.
    evaluation: Mapping[str, Path] | Path = field(default_factory=dict)

    @property
    def narrative(self) -> Narrative:
        return self.typed.narrative

    @property
    def contracts(self) -> Mapping[str, Contract]:
        return self.typed.contracts

    @property
    def fingerprint(self) -> str:
        return self.typed.fingerprint

    @cached_property
    def pseudonym_key(self) -> bytes:
        return pseudonym_key(self.store)

    @cached_property
    def left_out(self) -> Keys:
        """Product -> what the keys are known by whose cases drop as forgotten."""
        if self.forgotten is not None:
            return self.forgotten
        listed = read_forgotten(self.store)
        return listed.of({one.product for one in self.snapshots.values()}) if listed else {}

    @cached_property
    def key(self) -> str:
        shaping = {
            "form": FORM,
            "narrative": self.fingerprint,
            "cast": {role: [one.product, one.version] for role, one in sorted(self.snapshots.items())},
            "contracts": {role: contract.digest for role, contract in sorted(self.contracts.items())},
            "pseudonyms": hashlib.sha256(b"storymesh|" + self.pseudonym_key).hexdigest(),
            **({"forgotten": self.left_out} if self.left_out else {}),
            **({"personal": PERSONAL} if self.narrative.dataset.personal != "off" else {}),
        }
        return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()[:24]

    @property
    def folder(self) -> Path:
        return self.store / "narratives" / self.narrative.name / self.key

    @property
    def cases_path(self) -> Path:
        return self.folder / "cases.parquet"

    @property
    def without_persons(self) -> Path:
        """A folder with the rows of the roles whose free text held personal data, without it."""
        return self.folder / "personal"

    @property
    def personal(self) -> Found:
        """What the free text held, once its cases are written."""
        return read_found(self.without_persons)

    @property
    def splits_path(self) -> Path:
        return self.folder / "splits.parquet"

    @property
    def precedents_path(self) -> Path | None:
        return self.folder / "precedents.parquet" if self.narrative.case.precedents else None

    def precedents(self, engine: Engine) -> "ir.Table | None":
        """case_id and precedents of every case that asks for them; None where the narrative has none."""
        if self.precedents_path is None:
            return None
        found = cases_with_all(self, engine).select("case_id", "precedents")
        return found.filter(found["precedents"].notnull())

    def outcomes(self, engine: Engine) -> Outcomes | None:
        """What was done in the judged cases that the dataset keeps, and whether it worked; None where the narrative has
        no outcome."""
        import ibis

        formulas = self.typed.views.outcome
        if not formulas:
            return None
        cases = _placed(self, engine)
        judged = cases.filter((cases["status"] == "judged") & cases["split"].notnull())
        shown = {
            name: ibis.null(judged["outcome"][name].type())
            if formula.checked.value.classification == "restricted" and not formula.checked.value.pseudonym
            else judged["outcome"][name]
            for name, formula in formulas.items()
        }
        kind = formulas["action"].checked.value.type
        labels = dict(kind.labels) if isinstance(kind, Text) else {}
        action = shown["action"].cast("string")
        named = action.substitute(labels, else_=action) if labels else action
        table = judged.select(action=named, score=shown["score"], worked=shown["worked"])
        written = self.narrative.case.outcome
        return Outcomes(table, {name: str(getattr(written, name)) for name in formulas})

    def records_path(self, config: str) -> Path:
        return self.folder / "records" / f"{config}.parquet"

    def record_drops_path(self, config: str) -> Path:
        return self.folder / "records" / f"{config}.drops.parquet"

    def told_path(self, config: str) -> Path:
        """Where records stand as their templates tell them: with the messages to a narrator where one retells them."""
        return self._told(config)[0]

    def told_drops_path(self, config: str) -> Path:
        return self._told(config)[1]

    def answers_path(self, config: str) -> Path:
        """Where the answers stand that a retold config was told by, each with its question."""
        return self.folder / "told" / f"{config}.answers.parquet"

    def _told(self, config: str) -> tuple[Path, Path]:
        if not self.typed.records[config].rewritten:
            return self.records_path(config), self.record_drops_path(config)
        folder = self.folder / "told"
        return folder / f"{config}.parquet", folder / f"{config}.drops.parquet"

    @property
    def versions(self) -> Versions:
        return {role: (snapshot.product, snapshot.version) for role, snapshot in self.snapshots.items()}

    @property
    def configs(self) -> tuple[str, ...]:
        return tuple(self.typed.records)


def write_cases(build: Build, progress: Progress = silent) -> Written:
    """Link, see and judge: the cases of the narrative and the split of each, as one Parquet file each."""
    began = time.monotonic()
    unchanged = build.cases_path.is_file() and build.splits_path.is_file()
    with build.open_engine() as engine:
        if not unchanged:
            progress("cases", 0)
            _refuse_doubles(build, engine)
            if build.narrative.dataset.personal != "off":
                progress("free text", 0)
                raw = {role: _published(build, engine, role) for role in build.typed.cast.roles}
                write_found(engine, build.typed, raw, build.without_persons)
            _make_cases(build, engine)
            progress("splits", 0)
            engine.write_parquet(_splits(build, engine, engine.read_parquet(build.cases_path)), build.splits_path)
        cases, splits = engine.read_parquet(build.cases_path), engine.read_parquet(build.splits_path)
        rows = int(engine.fetch_value(cases.count()))
        drops = _counted(engine, case_drops(build, cases, splits))
        sample = engine.fetch_rows(cases.select("case_id", "at", "status").limit(5))
    return Written(build.cases_path, rows, unchanged, drops, time.monotonic() - began, tuple(sample))


def write_precedents(build: Build, progress: Progress = silent) -> Written:
    """What worked before, for every case that the dataset keeps."""
    began = time.monotonic()
    path, definition = build.precedents_path, build.narrative.case.precedents
    if path is None or definition is None:
        raise WrongUsage(f"'{build.narrative.id}' asks for no precedents", "add `precedents` under `case`")
    unchanged = path.is_file()
    with build.open_engine() as engine:
        if not unchanged:
            from storymesh.case.precedent import precedents

            progress("precedents", 0)
            levels = [[formula.name for formula in level] for level in build.typed.views.match]
            found = precedents(_placed(build, engine), definition, levels, build.typed.quoted_facts)
            engine.write_parquet(found, path)
        enough = cases_with_all(build, engine)["precedents"]["enough"]
        rows = int(engine.fetch_value(enough.count()))
        short = int(engine.fetch_value((~enough).sum().coalesce(0)))
    return Written(path, rows, unchanged, {"too few": short} if short else {}, time.monotonic() - began)


def write_records(build: Build, config: str, progress: Progress = silent) -> Written:
    """The records of one config as its templates tell them, and what of it could not be told."""
    began = time.monotonic()
    record = _record(build, config)
    path, dropped = build.told_path(config), build.told_drops_path(config)
    unchanged = path.is_file() and dropped.is_file()
    with build.open_engine() as engine:
        if not unchanged:
            progress(config, 0)
            placed, key = _placed(build, engine), build.pseudonym_key
            found = engine.read_parquet(build.precedents_path) if build.precedents_path else None
            with staged_file(path) as staged:
                engine.write_parquet(told(placed, found, build.typed, record, build.versions, key), staged)
                records = engine.read_parquet(staged)
                unfit = records.filter(records[UNFIT].notnull())
                rest = _with_all(placed.anti_join(records, "case_id"), build, engine)
                lost = untold(rest, build.typed, record).union(unfit.select("case_id", reason=UNFIT))
                engine.write_parquet(lost, dropped)
                if int(engine.fetch_value(unfit.count())):
                    engine.write_parquet(records.filter(records[UNFIT].isnull()), staged)
        records = engine.read_parquet(path)
        count = int(engine.fetch_value(records.count()))
        by_reason = _counted(engine, engine.read_parquet(dropped))
        sample = engine.fetch_rows(records.order_by("at", "id").drop("facts", "sources", UNFIT).limit(2))
    return Written(path, count, unchanged, by_reason, time.monotonic() - began, tuple(sample))


def write_asked(build: Build) -> None:
    """The cases of the build and, where the narrative has them, their precedents: all that a record is told from."""
    write_cases(build)
    if build.precedents_path is not None:
        write_precedents(build)


def preview(build: Build, config: str, case_id: str | None = None, sample: int = 1) -> list[dict[str, Any]]:
    """Some records of one config as they would be released, by the interpreter, without writing any.

    Raises WrongUsage for a case that does not exist, StorymeshError for one that the config does not tell.
    """
    record = _record(build, config)
    write_asked(build)
    with build.open_engine() as engine:
        rows = asked(cases_with_all(build, engine), build.typed, record, build.versions, build.pseudonym_key)
        if case_id is not None:
            chosen = rows.filter(rows["case_id"] == case_id)
        else:
            able = rows.filter(rows["undone"].isnull())
            chosen = able.order_by(able["case_id"].hexdigest("md5")).limit(sample)
        drops = Drops()
        found = list(rendered(engine.stream_batches(chosen), record, interpreters(build, record), drops))
        if case_id is not None and not found:
            if drops.reasons:
                raise StorymeshError(f"'{config}' does not tell case {case_id}: {drops.reasons[0]}")
            cases = engine.read_parquet(build.cases_path)
            some = engine.fetch_table(cases.select("case_id").limit(2_000))["case_id"].to_pylist()
            there = int(engine.fetch_value(cases.filter(cases["case_id"] == case_id).count()))
            if there:
                raise StorymeshError(f"case {case_id} is dropped before it is told", "see the drops of the narrative")
            raise WrongUsage(f"'{build.narrative.id}' has no case {case_id}", suggest_name(case_id, some))
    return found


def cases_with_all(build: Build, engine: Engine) -> "ir.Table":
    """The written cases with their split and, where the narrative has them, their precedents."""
    return _with_all(_placed(build, engine), build, engine)


def _with_all(placed: "ir.Table", build: Build, engine: Engine) -> "ir.Table":
    if build.precedents_path is not None:
        from storymesh.case.precedent import with_precedents

        placed = with_precedents(placed, engine.read_parquet(build.precedents_path))
    return placed.drop("rank")


def _placed(build: Build, engine: Engine) -> "ir.Table":
    """The written cases with their split and its `rank`, both null for a case that is in none."""
    cases, splits = engine.read_parquet(build.cases_path), engine.read_parquet(build.splits_path)
    theirs = splits.select(split_id="case_id", split="split", rank=_rank(splits["split"]))
    return cases.left_join(theirs, cases["case_id"] == theirs["split_id"]).drop("split_id")


def interpreters(build: Build, record: TypedRecord) -> dict[str, "Interpreter"]:
    """Slot -> interpreter: one partial may print a code of other labels in another template."""
    from storymesh.language.interpret import Interpreter

    templates, folder, key = build.narrative.templates, build.narrative.folder, build.pseudonym_key
    return {
        name: Interpreter(templates, folder, slot.checked.labels, slot.checked.replaced, key, slot.checked.casts)
        for name, slot in record.slots.items()
    }


def _record(build: Build, config: str) -> TypedRecord:
    if config not in build.typed.records:
        words = f"'{build.narrative.id}' has no record '{config}'"
        raise WrongUsage(words, suggest_name(config, build.typed.records))
    return build.typed.records[config]


def _make_cases(build: Build, engine: Engine) -> None:
    """Write the cases, in as many parts as the memory asks for: lists of rows are gathered there and never spilled."""
    rows = build.snapshots[build.typed.cast.anchor.name].rows
    count = 1 + rows * CASE_BYTES // engine.memory
    while True:
        parts = [cases_of(build, engine, (number, count)) for number in range(count)]
        try:
            engine.write_parquet_parts(parts, build.cases_path)
            return
        except OutOfMemory:
            if rows // count < LEAST_PART:
                raise
            count *= 2


def cases_of(build: Build, engine: Engine, part: tuple[int, int] = (0, 1)) -> "ir.Table":
    """The expression that makes the cases from the products' files, or one part of them (its number, how many)."""
    from storymesh.case.link import link
    from storymesh.case.visibility import with_facts
    from storymesh.engine import dialect
    from storymesh.language.compile.expressions import pseudonym

    tables = tables_of(build, engine, build.typed.cast.roles)
    number, count = part
    if count > 1:
        anchor = tables[build.typed.cast.anchor.name]
        key = [anchor[column].cast("string") for column in build.typed.cast.anchor.contract.key]
        tables[build.typed.cast.anchor.name] = anchor.filter(
            dialect.hash_bucket(dialect.concat_texts(key), count) == number
        )
    replaced = partial(pseudonym, key=build.pseudonym_key)
    pseudonyms = {(path[0], path[1]): replaced for path in build.typed.pseudonymised}
    linked = link(build.typed.cast, tables, build.typed.columns, pseudonyms)
    if build.left_out:
        linked = _without_forgotten(build, engine, linked, tables)
    return with_facts(linked, build.typed.cast, build.typed.views)


def _without_forgotten(
    build: Build, engine: Engine, linked: "ir.Table", tables: "Mapping[str, ir.Table]"
) -> "ir.Table":
    """Drops every case that a forgotten row belongs to: it is told by nobody and is nobody's precedent."""
    import ibis

    listed = read_forgotten(build.store)
    if listed is None:
        words = f"'{build.narrative.id}' leaves out what was forgotten, and {build.store} does not say what that is"
        raise StorymeshError(words, "bring back forgotten.json from a copy of the store")
    hit = cases_of_rows(build, linked, keys_known(build, engine, tables, replace(listed, keys=build.left_out)))
    return linked.mutate(**{name: ibis.ifelse(hit, REASON, linked[name]) for name in ("dropped", "question_dropped")})


def keys_known(
    build: Build, engine: Engine, tables: "Mapping[str, ir.Table]", listed: Forgotten
) -> dict[str, list[str]]:
    """Role -> keys, as its cases have them, of the rows in `tables` (role -> rows) that the list knows."""
    from storymesh.case.link import key_text
    from storymesh.language.compile.expressions import pseudonym

    found: dict[str, list[str]] = {}
    for role, table in tables.items():
        product, columns = build.snapshots[role].product, build.contracts[role].key
        if product in listed.keys:
            raw = [table[column] for column in columns]
            replaced = [(role, column) in build.typed.pseudonymised for column in columns]
            told = [pseudonym(key, build.pseudonym_key) if one else key for key, one in zip(raw, replaced, strict=True)]
            there = table.filter(listed.digests(product, key_text(raw)).isin(listed.keys[product]))
            keys = engine.fetch_table(there.select(key=key_text(told)))["key"].to_pylist()
            if keys:
                found[role] = keys
    return found


def cases_of_rows(build: Build, linked: "ir.Table", keys: Mapping[str, list[str]]) -> "ir.BooleanValue":
    """Whether a linked or written case has a row of one of these keys, in whichever view of time."""
    from functools import reduce
    from operator import or_

    import ibis

    from storymesh.case.link import KEY
    from storymesh.engine import dialect

    hits: list[ir.BooleanValue] = [ibis.literal(False)]
    for name, wanted in keys.items():
        role = build.typed.cast.roles[name]
        rows = linked[role.column]
        if role.listed:
            theirs = dialect.filter_items(rows, lambda row, wanted=wanted: row[KEY].isin(wanted))  # type: ignore[misc]
            hits.append((theirs.length() > 0).coalesce(False))
        else:
            hits.append(rows[KEY].isin(wanted).coalesce(False))
    return reduce(or_, hits)


def tables_of(build: Build, engine: Engine, roles: Iterable[str]) -> dict[str, "ir.Table"]:
    """Role -> the rows of its product, at the build's snapshot; without the personal data that its free text held."""
    found = {role: build.without_persons / f"{role}.parquet" for role in roles}
    return {
        role: engine.read_parquet(path) if path.is_file() else _published(build, engine, role)
        for role, path in found.items()
    }


def _published(build: Build, engine: Engine, role: str) -> "ir.Table":
    return engine.read_parquet(build.snapshots[role].files, arrow_schema(build.contracts[role]))


def _refuse_doubles(build: Build, engine: Engine) -> None:
    """Of the snapshots that were audited against another contract than the one that the cases are made by."""
    from storymesh.case.uniqueness import refuse_doubles

    cast = build.typed.cast
    other = [role for role in cast.roles if build.snapshots[role].contract_digest != build.contracts[role].digest]
    refuse_doubles(engine, cast, tables_of(build, engine, other))


def _splits(build: Build, engine: Engine, cases: "ir.Table") -> "ir.Table":
    """The split of every case that some view keeps."""
    import ibis

    from storymesh.case.link import rows_told
    from storymesh.engine import dialect

    values: dict[str, ir.Value] = {}
    if build.typed.together:
        parts = []
        for name, column in build.typed.together:
            role = build.typed.cast.roles[name]
            value = cases[role.column]
            named = ibis.literal(f"{name}.{column}=")
            if role.listed:
                texts = dialect.map_items(rows_told(role, value), lambda row, column=column: row[column].cast("string"))  # type: ignore[misc]
            else:
                texts = ibis.array([value[column].cast("string")])
            there = dialect.filter_items(texts, lambda text: text.notnull())
            parts.append(dialect.map_items(there, lambda text, named=named: named.concat(text)))  # type: ignore[misc]
        values["together"] = dialect.concat_lists(parts)
    kept = cases.filter(_dropped(build, cases).isnull())
    columns = ["case_id", "at", *(["closes"] if build.typed.cast.closes else [])]
    return assign(engine, kept.select(*columns, **values), build.narrative.dataset.split)


def _dropped(build: Build, cases: "ir.Table") -> "ir.StringValue":
    """Why a case is told by no config: the reason of the view that they need, when every such view drops it."""
    import ibis

    records = build.typed.records.values()
    views = [
        name
        for name, used in (
            ("dropped", any(record.hindsight for record in records)),
            ("question_dropped", any(not record.hindsight for record in records)),
        )
        if used
    ]
    if len(views) == 1:
        return cases[views[0]]
    both = cases["dropped"].notnull() & cases["question_dropped"].notnull()
    return ibis.ifelse(both, cases["dropped"], ibis.null("string"))


def case_drops(build: Build, cases: "ir.Table", splits: "ir.Table") -> "ir.Table":
    """case_id and reason of every case that no config tells."""
    linked = cases.select("case_id", reason=_dropped(build, cases))
    late = splits.select("case_id", reason="dropped")
    both = linked.union(late)
    return both.filter(both["reason"].notnull())


def _counted(engine: Engine, drops: "ir.Table") -> dict[str, int]:
    counted = drops.group_by("reason").agg(count=drops.count()).order_by("reason")
    return {row["reason"]: row["count"] for row in engine.fetch_rows(counted)}


def _rank(split: "ir.StringValue") -> "ir.IntegerValue":
    return split.cases(*[(name, rank) for rank, name in enumerate(SPLITS)], else_=None)
