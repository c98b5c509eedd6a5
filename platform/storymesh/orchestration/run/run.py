"""The same assets as in the UI, executed in this process and in the mesh's order, on the same Dagster instance.

What happens is told as it happens, as small values; how they look is for the caller to decide. One domain that fails
does not stop the others: only what is built on it is left out.
"""

import logging
import signal
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from dagster import DagsterEventType, DagsterExecutionInterruptedError

from storymesh.errors import StorymeshError
from storymesh.mesh.mesh import Mesh
from storymesh.narrative.definition import Narrative
from storymesh.orchestration.asset_keys import cases_key, product_key, release_key
from storymesh.orchestration.dbt_assets import parse_all
from storymesh.orchestration.failures import Unavailable, is_of_database, unavailable
from storymesh.orchestration.instance import close_abandoned, held, home_of, open_instance
from storymesh.orchestration.load_locations import load_locations
from storymesh.orchestration.openlineage import lineage_of
from storymesh.orchestration.product_assets import PROGRESS
from storymesh.orchestration.source_assets import files_in, observe
from storymesh.product.store import ProductStore

CLOSE_EVERY_S = 5.0

State = Literal["new", "unchanged", "refused", "left out"]


@dataclass(frozen=True)
class Preparing:
    """Nothing runs yet."""

    words: str


@dataclass(frozen=True)
class Planned:
    """The run begins; `steps` are the names of what it will do."""

    steps: tuple[str, ...]


@dataclass(frozen=True)
class Started:
    step: str


@dataclass(frozen=True)
class Reached:
    """A step that goes on: how far `phase` has come; `rows` is None where nothing is counted."""

    step: str
    phase: str
    rows: int | None


@dataclass(frozen=True)
class Finished:
    """`rows` is None for a step that counts none; `unchanged`: the result stood there already."""

    step: str
    rows: int | None
    unchanged: bool
    seconds: float


@dataclass(frozen=True)
class Again:
    """A step that failed for something that passes: it is tried once more, `seconds` later."""

    step: str
    words: str
    seconds: float


@dataclass(frozen=True)
class Failed:
    step: str
    words: str
    expected: bool


@dataclass(frozen=True)
class LeftOut:
    """A step that did not run because something it is built on failed."""

    step: str


Told = Preparing | Planned | Started | Reached | Again | Finished | Failed | LeftOut
Tell = Callable[[Told], None]


@dataclass(frozen=True)
class ProductOutcome:
    """What came of one product. Rows, quarantined rows and version are None where it was not published in this run."""

    product: str
    state: State
    rows: int | None
    quarantined: int | None
    version: str | None
    reason: str


@dataclass(frozen=True)
class NarrativeOutcome:
    """What came of one narrative. `drops` and `configs` are the release's: what -> reason -> count and config -> split
    -> rows; empty where it was not released in this run."""

    narrative: str
    state: State
    cases: int | None
    version: str | None
    path: str | None
    configs: Mapping[str, Mapping[str, int]]
    drops: Mapping[str, Mapping[str, int]]
    reason: str


@dataclass(frozen=True)
class Outcome:
    run_id: str
    success: bool
    products: tuple[ProductOutcome, ...]
    narratives: tuple[NarrativeOutcome, ...]
    seconds: float
    failures: Mapping[str, Failed]


@contextmanager
def _in_words() -> Iterator[None]:
    """Raises Unavailable for a disk or a database that did not do its part outside of any step."""
    try:
        yield
    except (StorymeshError, BrokenPipeError):
        raise
    except Exception as error:
        if (known := unavailable(error)) is None:
            raise
        where = "what Dagster remembers is out of reach" if is_of_database(error) else "the run could not go on"
        raise Unavailable(f"{where}: {known.message}", known.hint, passing=known.passing) from error


@_in_words()
def run(mesh: Mesh, narratives: Sequence[Narrative], tell: Tell, log: Path, *, upstream: bool = True) -> Outcome:
    """Execute every asset of the mesh; with `narratives`, theirs and what they are built on (not without `upstream`).

    Dagster's own log goes to the file `log`. Raises WrongUsage or DefinitionErrors when a location cannot be loaded,
    Unavailable when the disk or the instance cannot be reached, and KeyboardInterrupt when somebody stops it.
    """
    run_id = str(uuid.uuid4())
    tell(Preparing("reading the dbt projects"))
    parse_all(mesh)
    locations = load_locations(mesh)
    job_name = "run"
    job = dg.define_asset_job(job_name, selection=_selection(narratives, upstream=upstream))
    loggers = {"file": _logger(log)}
    merged = dg.Definitions.merge(locations, dg.Definitions(jobs=[job], loggers=loggers))
    reading = _Reading(mesh, tell)
    with open_instance(mesh) as instance, held(home_of(mesh), run_id), _ended_gently(), _closing(instance):
        _note_raw_files(mesh, merged, instance)
        instance.add_event_listener(run_id, reading.hear)
        executed = merged.resolve_job_def(job_name)
        hear = lineage_of(executed, run_id)
        instance.add_event_listener(run_id, lambda entry: entry.dagster_event and hear(entry.dagster_event))
        try:
            executed.execute_in_process(
                instance=instance,
                run_id=run_id,
                raise_on_error=False,
                # Who runs it in a terminal can end it there, and no daemon could.
                tags={"storymesh/command": "run", "dagster/max_runtime": "0"},
                run_config={"loggers": {"file": {}}},
            )
        except (KeyboardInterrupt, DagsterExecutionInterruptedError):
            left = instance.get_run_by_id(run_id)
            if left is not None and not left.is_finished:
                instance.report_run_canceled(left, message="Somebody stopped it.")
            raise KeyboardInterrupt from None
    if reading.interrupted:
        raise KeyboardInterrupt
    return reading.outcome(run_id)


def _note_raw_files(mesh: Mesh, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    """What the products are about to be made from, so that nobody takes it for new afterwards."""
    for domain in mesh.domains:
        for seen in observe(mesh, domain, files_in(definitions, domain), instance):
            instance.report_runless_asset_event(seen)


@contextmanager
def _closing(instance: dg.DagsterInstance) -> Iterator[None]:
    """Before this run and while it goes on, runs that were abandoned are closed: it may be waiting for one of them."""
    close_abandoned(instance)
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(CLOSE_EVERY_S):
            with suppress(Exception):  # the run itself meets whatever is wrong, and says so
                close_abandoned(instance)

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield
    finally:
        ended.set()
        looking.join()


@contextmanager
def _ended_gently() -> Iterator[None]:
    """A closed terminal or a supervisor ends the run as Ctrl-C does: nothing of it counts as going on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    for number, handler in before.items():
        if handler is signal.SIG_DFL:  # `nohup` ignores it, and means it
            signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _selection(narratives: Sequence[Narrative], *, upstream: bool) -> dg.AssetSelection:
    if not narratives:
        return dg.AssetSelection.all().materializable()
    chosen: dg.AssetSelection = dg.AssetSelection.groups(*(narrative.name for narrative in narratives))
    return (chosen.upstream() if upstream else chosen).materializable()


def _logger(path: Path) -> dg.LoggerDefinition:
    def to_file(_: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("storymesh.run", logging.INFO)
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8", delay=True)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        return logger

    return dg.LoggerDefinition(to_file, description="Everything that Dagster has to say, in a file.")


@dataclass
class _Reading:
    """Follows the events of one run, tells them on, and remembers what the outcome is made from."""

    mesh: Mesh
    tell: Tell
    steps: dict[str, list[dg.AssetKey]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    made: dict[dg.AssetKey, Mapping[str, Any]] = field(default_factory=dict)
    failures: dict[str, Failed] = field(default_factory=dict)
    rows_of: dict[str, tuple[int | None, bool]] = field(default_factory=dict)
    success: bool = False
    interrupted: bool = False
    first: float = 0.0
    last: float = 0.0

    def hear(self, entry: dg.EventLogEntry) -> None:
        self.first = self.first or entry.timestamp
        self.last = entry.timestamp
        event, step = entry.dagster_event, entry.step_key
        if event is None:
            if step is not None and (met := PROGRESS.fullmatch(entry.user_message)):
                self.tell(Reached(self._name(step), met["phase"], int(met["rows"].replace(",", "")) or None))
            return
        match event.event_type:
            case DagsterEventType.ASSET_MATERIALIZATION_PLANNED if step is not None and event.asset_key is not None:
                self.steps.setdefault(step, []).append(event.asset_key)
            case DagsterEventType.RUN_START:
                self.tell(Planned(tuple(self._name(planned) for planned in self.steps)))
            case DagsterEventType.STEP_START if step is not None:
                self.tell(Started(self._name(step)))
            case DagsterEventType.ASSET_MATERIALIZATION if step is not None and event.asset_key is not None:
                self._materialised(step, event.asset_key, event.step_materialization_data.materialization.metadata)
            case DagsterEventType.STEP_SUCCESS if step is not None:
                rows, unchanged = self.rows_of.get(step, (None, False))
                self.ended.add(step)
                seconds = event.step_success_data.duration_ms / 1000
                self.tell(Finished(self._name(step), rows, unchanged, seconds))
            case DagsterEventType.STEP_UP_FOR_RETRY if step is not None:
                retry = event.step_retry_data
                self.tell(Again(self._name(step), _innermost(retry.error), float(retry.seconds_to_wait or 0)))
            case DagsterEventType.STEP_FAILURE if step is not None:
                self.ended.add(step)
                self.interrupted |= _is_interrupt(event.step_failure_data.error)
                self.failures[step] = _failed(self._name(step), event.step_failure_data)
                if not self.interrupted:
                    self.tell(self.failures[step])
            case _ if self.interrupted:
                return  # what did not run is not the fault of a step
            case DagsterEventType.RUN_SUCCESS | DagsterEventType.RUN_FAILURE | DagsterEventType.RUN_CANCELED:
                self.success = event.event_type is DagsterEventType.RUN_SUCCESS
                for left in self.steps:
                    if left not in self.ended:
                        self.tell(LeftOut(self._name(left)))

    def _materialised(self, step: str, key: dg.AssetKey, metadata: Mapping[str, Any]) -> None:
        values = {name: value.value for name, value in metadata.items()}
        self.made[key] = values
        if len(self.steps.get(step, [])) > 1:
            self.tell(Reached(self._name(step), key.path[-1], None))
        else:
            self.rows_of[step] = (values.get("dagster/row_count"), bool(values.get("unchanged")))

    def _name(self, step: str) -> str:
        """What a step is called for people: `canal.disruptions`, `canal: dbt models`, `canal-exceptions: cases`."""
        keys = self.steps.get(step)
        if not keys:
            return step
        head, *rest = keys[0].path
        if head in self.mesh.domains:
            return f"{head}: dbt models" if rest[0] == "models" else f"{head}.{rest[0]}"
        return f"{head.replace('_', '-')}: {' '.join(rest)}"

    def outcome(self, run_id: str) -> Outcome:
        planned = {key for keys in self.steps.values() for key in keys}
        products = [self._product(product) for product in self.mesh.products if product_key(product) in planned]
        narratives = [
            self._narrative(narrative)
            for narrative in self.mesh.narratives.values()
            if release_key(narrative) in planned
        ]
        return Outcome(
            run_id, self.success, tuple(products), tuple(narratives), self.last - self.first, dict(self.failures)
        )

    def _product(self, product: str) -> ProductOutcome:
        key = product_key(product)
        made = self.made.get(key)
        if made is None:
            state, reason = self._why([key])
            return ProductOutcome(product, state, None, None, None, reason)
        state = "unchanged" if made["unchanged"] else "new"
        rows, quarantined = made["dagster/row_count"], made["quarantined_rows"]
        return ProductOutcome(product, state, rows, quarantined, made.get("version"), "")

    def _narrative(self, narrative: Narrative) -> NarrativeOutcome:
        cases = self.made.get(cases_key(narrative), {}).get("dagster/row_count")
        made = self.made.get(release_key(narrative))
        if made is None:
            keys = [key for keys in self.steps.values() for key in keys if key.path[0] == narrative.name]
            state, reason = self._why(keys)
            if state == "left out" and self.failures and self._is_published(narrative):
                reason += f"; storymesh run {narrative.id} --only tells it from the snapshots that there are"
            return NarrativeOutcome(narrative.id, state, cases, None, None, {}, {}, reason)
        state = "unchanged" if made["unchanged"] else "new"
        version, path = made["version"], made["path"]
        return NarrativeOutcome(narrative.id, state, cases, version, path, made["configs"], made["drops"], "")

    def _is_published(self, narrative: Narrative) -> bool:
        """Whether readers have a snapshot of every product of the cast, whatever became of this run."""
        products = [self.mesh.product(member.product) for member in narrative.cast.values()]
        return all(ProductStore(self.mesh.warehouse, one.domain).latest(one.name) for one in products)

    def _why(self, keys: Sequence[dg.AssetKey]) -> tuple[State, str]:
        """Why none of `keys` came about: what failed itself is refused, what is built on it is left out."""
        for step, failed in self.failures.items():
            if set(self.steps[step]) & set(keys):
                return "refused", failed.words
        broken = ", ".join(failed.step for failed in self.failures.values())
        return "left out", f"it is built on what failed: {broken}" if broken else "the run ended before it"


def _is_interrupt(error: Any) -> bool:
    """Whether a step ended because somebody stopped the run."""
    while error is not None:
        if error.cls_name in ("KeyboardInterrupt", DagsterExecutionInterruptedError.__name__):
            return True
        error = error.cause
    return False


def _failed(name: str, failure: Any) -> Failed:
    """The words of a failure: what was raised on purpose, or the innermost error of what was not."""
    told = failure.user_failure_data
    if told is not None and told.description:
        return Failed(name, told.description, expected=True)
    return Failed(name, _innermost(failure.error), expected=False)


def _innermost(error: Any) -> str:
    while error is not None and error.cause is not None:
        error = error.cause
    return " ".join(error.message.split()) if error is not None else "it failed without a word"
