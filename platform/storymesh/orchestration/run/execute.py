"""The execution of a run: the same assets as in the UI, in this process and on the same Dagster instance.

One domain that fails does not stop the others: only what is built on it is left out.
"""

import logging
import signal
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import dagster as dg
from dagster import DagsterExecutionInterruptedError

from storymesh.atomic_write import open_private
from storymesh.engine.open import prestarted_workers
from storymesh.errors import StorymeshError, WrongUsage
from storymesh.mesh.mesh import Mesh
from storymesh.orchestration.assets.dbt_build import early_dbt_builds
from storymesh.orchestration.assets.dbt_models import parse_dbt_projects
from storymesh.orchestration.assets.keys import MODELS, SHARDS, product_key
from storymesh.orchestration.assets.sources import raw_file_updates, raw_files_of
from storymesh.orchestration.dagster_internals import persistent_database_engines, sleep_in_pool_waits
from storymesh.orchestration.instance import close_abandoned_runs, dagster_home, hold_run_lock, open_instance
from storymesh.orchestration.load_locations import load_code_locations
from storymesh.orchestration.openlineage import lineage_listener
from storymesh.orchestration.progress import progress_listener
from storymesh.orchestration.run.events import RunListener, RunPreparation
from storymesh.orchestration.run.last_run import begin_run, note_run
from storymesh.orchestration.run.observer import RunObserver
from storymesh.orchestration.run.outcome import RunOutcome
from storymesh.orchestration.run.selection import RunTerm
from storymesh.outage import ResourceUnavailable, as_unavailable, is_database_error
from storymesh.printable import printable
from storymesh.product.dbt_server import preloaded_dbt
from storymesh.redaction import redact

CLOSE_EVERY_S = 5.0
JOB = "run"


@contextmanager
def _explaining_outages() -> Iterator[None]:
    """Raise ResourceUnavailable for a disk or a database that did not do its part outside of any step."""
    try:
        yield
    except (StorymeshError, BrokenPipeError):
        raise
    except Exception as error:
        if (known := as_unavailable(error)) is None:
            raise
        where = "what Dagster remembers is out of reach" if is_database_error(error) else "the run could not go on"
        raise ResourceUnavailable(f"{where}: {known.message}", known.hint, transient=known.transient) from error


@_explaining_outages()
@preloaded_dbt()
def execute_run(mesh: Mesh, terms: Sequence[RunTerm], listener: RunListener, log: Path) -> RunOutcome:
    """Execute the assets of the mesh that `terms` name, all of them where there are none.

    Dagster's own log goes to the file `log`. Raises WrongUsage or DefinitionErrors when a location cannot be loaded or
    nothing is left to make, ResourceUnavailable when the disk or the instance cannot be reached, and KeyboardInterrupt
    when somebody stops it.
    """
    run_id = str(uuid.uuid4())
    begin_run(mesh)
    listener(RunPreparation("reading the dbt projects"))
    parse_dbt_projects(mesh)
    locations = load_code_locations(mesh)
    selection = _assets_to_make(mesh, terms)
    if any(term.excluded for term in terms) and not selection.resolve(locations.resolve_asset_graph()):
        raise WrongUsage("nothing is left to run", "leave out less")
    job = dg.define_asset_job(JOB, selection=selection)
    loggers = {"file": _file_logger(log)}
    merged = dg.Definitions.merge(locations, dg.Definitions(jobs=[job], loggers=loggers))
    resolved = merged.resolve_job_def(JOB)
    observer = RunObserver(mesh, listener)
    with (
        persistent_database_engines(),
        prestarted_workers(),
        open_instance(mesh) as instance,
        hold_run_lock(dagster_home(mesh), run_id),
        _termination_as_interrupt(),
        _closing_abandoned_runs(instance),
        sleep_in_pool_waits(),
        progress_listener(observer.on_progress),
        nullcontext() if terms else early_dbt_builds(mesh, resolved, instance, run_id),
    ):
        _report_raw_files(mesh, merged, instance)
        instance.add_event_listener(run_id, observer.on_log_entry)
        on_lineage = lineage_listener(resolved, run_id)
        instance.add_event_listener(run_id, lambda entry: entry.dagster_event and on_lineage(entry.dagster_event))
        try:
            resolved.execute_in_process(
                instance=instance,
                run_id=run_id,
                raise_on_error=False,
                # Who runs it in a terminal can end it there, and no daemon could.
                tags={"storymesh/command": "run", "dagster/max_runtime": "0"},
                run_config={"loggers": {"file": {}}},
            )
        except (KeyboardInterrupt, DagsterExecutionInterruptedError):
            unfinished = instance.get_run_by_id(run_id)
            if unfinished is not None and not unfinished.is_finished:
                instance.report_run_canceled(unfinished, message="Somebody stopped it.")
            raise KeyboardInterrupt from None
    if observer.interrupted:
        raise KeyboardInterrupt
    outcome = observer.outcome(run_id)
    if outcome.success:
        products, narratives = outcome.products, outcome.narratives
        note_run(mesh, run_id, [item.product for item in products], [item.narrative for item in narratives])
    return outcome


def _report_raw_files(mesh: Mesh, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    """Tell Dagster which raw files the run reads, so that nobody takes them for new afterwards."""
    for domain in mesh.domains:
        for update in raw_file_updates(mesh, domain, raw_files_of(definitions, domain), instance):
            instance.report_runless_asset_event(update)


@contextmanager
def _closing_abandoned_runs(instance: dg.DagsterInstance) -> Iterator[None]:
    """Close abandoned runs, first and while this run goes on: it may be waiting for one of them."""
    close_abandoned_runs(instance)
    ended = threading.Event()

    def close_repeatedly() -> None:
        while not ended.wait(CLOSE_EVERY_S):
            with suppress(Exception):  # the run itself fails for the same reason, and says so
                close_abandoned_runs(instance)

    thread = threading.Thread(target=close_repeatedly, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Treat a closed terminal or a supervisor's signal like Ctrl-C, so that nothing counts as still running."""
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


def _assets_to_make(mesh: Mesh, terms: Sequence[RunTerm]) -> dg.AssetSelection:
    if not terms:
        return (dg.AssetSelection.all() - _shards(mesh)).materializable()
    made: dg.AssetSelection = dg.AssetSelection.assets()
    for term in terms:
        assets = _assets_of_term(mesh, term)
        made = made - assets if term.excluded else made | assets
    return (made - _shards(mesh)).materializable()


def _shards(mesh: Mesh) -> dg.AssetSelection:
    """Return the parts of files that other machines read: a run here reads what they have not."""
    return dg.AssetSelection.key_prefixes(*([domain, SHARDS] for domain in mesh.domains))


def _assets_of_term(mesh: Mesh, term: RunTerm) -> dg.AssetSelection:
    groups = [*term.domains, *(mesh.narrative(narrative).name for narrative in term.narratives)]
    assets: dg.AssetSelection = dg.AssetSelection.groups(*groups) if groups else dg.AssetSelection.assets()
    if term.products:
        products = dg.AssetSelection.assets(*map(product_key, term.products))
        domains = dict.fromkeys(mesh.product(product).domain for product in term.products)
        models = dg.AssetSelection.key_prefixes(*([domain, MODELS] for domain in domains))
        assets = assets | products | (products.upstream() & models)
    reached = assets
    if term.upstream:
        reached = reached | assets.upstream()
    if term.downstream:
        reached = reached | assets.downstream()
    return reached


class SafeFormatter(logging.Formatter):
    """Lines of a log without secrets, and without what a terminal that shows them would act on."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(redact(super().format(record)))


def _file_logger(path: Path) -> dg.LoggerDefinition:
    def to_file(_: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("storymesh.run", logging.INFO)
        open_private(path, "a").close()  # which the handler then finds, with its rights
        handler = logging.FileHandler(path, encoding="utf-8", delay=True)
        handler.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        return logger

    return dg.LoggerDefinition(to_file, description="Everything that Dagster has to say, in a file.")
