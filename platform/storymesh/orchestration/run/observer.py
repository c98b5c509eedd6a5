"""Follows Dagster's events of one run: turns them into run events, and gathers what the outcome is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster import DagsterEventType, DagsterExecutionInterruptedError

from storymesh.mesh.mesh import Mesh
from storymesh.narrative.definition import Narrative
from storymesh.orchestration.assets.in_place import IN_PLACE
from storymesh.orchestration.assets.keys import MODELS, cases_key, product_key, release_key
from storymesh.orchestration.assets.products import QUARANTINED, WARNINGS
from storymesh.orchestration.failures import message_of_cause, message_of_failure
from storymesh.orchestration.run.events import (
    RunListener,
    RunPlan,
    StepFailure,
    StepProgress,
    StepRetry,
    StepSkipped,
    StepStart,
    StepSuccess,
)
from storymesh.orchestration.run.outcome import NarrativeOutcome, OutcomeState, ProductOutcome, RunOutcome
from storymesh.product.store import ProductStore


@dataclass
class RunObserver:
    """The state of one run as far as its events tell. `assets_of` maps the key of a step to the assets it makes."""

    mesh: Mesh
    listener: RunListener
    assets_of: dict[str, list[dg.AssetKey]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    metadata_of: dict[dg.AssetKey, Mapping[str, Any]] = field(default_factory=dict)
    rows_of: dict[str, tuple[int | None, bool]] = field(default_factory=dict)
    failures: dict[str, StepFailure] = field(default_factory=dict)
    quarantined_for: dict[str, tuple[str, ...]] = field(default_factory=dict)
    success: bool = False
    interrupted: bool = False
    began_at: float = 0.0
    ended_at: float = 0.0

    def on_progress(self, key: dg.AssetKey, phase: str, rows: int) -> None:
        """Pass on how far the step that makes `key` has come."""
        self.listener(StepProgress(self._name_of_asset(key), phase, rows or None))

    def on_log_entry(self, entry: dg.EventLogEntry) -> None:
        """Pass on one entry of Dagster's log of the run, where it is an event of a step or of the run."""
        self.began_at = self.began_at or entry.timestamp
        self.ended_at = entry.timestamp
        event = entry.dagster_event
        if event is None:
            return
        if entry.step_key is not None:
            self._on_step_event(entry.step_key, event)
        self._on_run_event(event)

    def _on_step_event(self, step: str, event: dg.DagsterEvent) -> None:
        match event.event_type:
            case DagsterEventType.ASSET_MATERIALIZATION_PLANNED if event.asset_key is not None:
                self.assets_of.setdefault(step, []).append(event.asset_key)
            case DagsterEventType.STEP_START:
                self.listener(StepStart(self._name(step)))
            case DagsterEventType.ASSET_MATERIALIZATION:
                made = event.step_materialization_data.materialization
                if made.asset_key in self.assets_of.get(step, ()):  # a step also tells of files that it read
                    self._on_materialization(step, made.asset_key, made.metadata)
            case DagsterEventType.STEP_SUCCESS:
                rows, unchanged = self.rows_of.get(step, (None, False))
                self.ended.add(step)
                seconds = event.step_success_data.duration_ms / 1000
                self.listener(StepSuccess(self._name(step), rows, unchanged, seconds))
            case DagsterEventType.STEP_UP_FOR_RETRY:
                retry = event.step_retry_data
                seconds = float(retry.seconds_to_wait or 0)
                self.listener(StepRetry(self._name(step), message_of_cause(retry.error), seconds))
            case DagsterEventType.STEP_FAILURE:
                data = event.step_failure_data
                self.ended.add(step)
                self.interrupted |= _is_interrupt(data.error)
                message, expected = message_of_failure(data)
                self.failures[step] = StepFailure(self._name(step), message, expected)
                raised = data.user_failure_data
                told = raised.metadata.get(QUARANTINED) if raised is not None else None
                if told is not None and isinstance(told.value, list):
                    self.quarantined_for[step] = tuple(map(str, told.value))
                if not self.interrupted:
                    self.listener(self.failures[step])

    def _on_run_event(self, event: dg.DagsterEvent) -> None:
        match event.event_type:
            case DagsterEventType.RUN_START:
                self.listener(RunPlan(tuple(self._name(step) for step in self.assets_of)))
            case _ if self.interrupted:
                return  # what did not run is not the fault of a step
            case DagsterEventType.RUN_SUCCESS | DagsterEventType.RUN_FAILURE | DagsterEventType.RUN_CANCELED:
                self.success = event.event_type is DagsterEventType.RUN_SUCCESS
                for step in self.assets_of:
                    if step not in self.ended:
                        self.listener(StepSkipped(self._name(step)))

    def _on_materialization(self, step: str, key: dg.AssetKey, metadata: Mapping[str, Any]) -> None:
        values = {name: value.value for name, value in metadata.items()}
        self.metadata_of[key] = values
        unchanged = bool(values.get("unchanged"))
        if len(self.assets_of.get(step, [])) > 1:
            self.listener(StepProgress(self._name(step), key.path[-1], None))
            _, others_unchanged = self.rows_of.get(step, (None, True))
            self.rows_of[step] = (None, others_unchanged and unchanged)
        else:
            self.rows_of[step] = (values.get("dagster/row_count"), unchanged)

    def _name(self, step: str) -> str:
        keys = self.assets_of.get(step)
        return self._name_of_asset(keys[0]) if keys else step

    def _name_of_asset(self, key: dg.AssetKey) -> str:
        """Return what people call the step: `canal.disruptions`, `canal: dbt models`, `canal-exceptions: cases`."""
        head, *rest = key.path
        if head in self.mesh.domains:
            return f"{head}: dbt models" if rest[0] == MODELS else f"{head}.{rest[0]}"
        return f"{head.replace('_', '-')}: {' '.join(rest)}"

    def outcome(self, run_id: str) -> RunOutcome:
        """Return what came of every product and narrative that the run was to make."""
        planned = {key for keys in self.assets_of.values() for key in keys}
        products = [self._product(product) for product in self.mesh.products if product_key(product) in planned]
        narratives = [
            self._narrative(narrative)
            for narrative in self.mesh.narratives.values()
            if release_key(narrative) in planned
        ]
        seconds = self.ended_at - self.began_at
        return RunOutcome(run_id, self.success, tuple(products), tuple(narratives), seconds, dict(self.failures))

    def _product(self, product: str) -> ProductOutcome:
        key = product_key(product)
        metadata = self.metadata_of.get(key)
        if metadata is None:
            state, reason = self._reason_of_absence([key])
            steps = [step for step in self.quarantined_for if key in self.assets_of[step]]
            reasons = tuple(words for step in steps for words in self.quarantined_for[step])
            return ProductOutcome(product, state, None, None, None, reason, reasons)
        if IN_PLACE in metadata:
            return ProductOutcome(product, "in place", None, None, None, str(metadata[IN_PLACE]))
        state = "unchanged" if metadata["unchanged"] else "new"
        rows, quarantined = metadata["dagster/row_count"], metadata["quarantined_rows"]
        reasons = tuple(metadata.get(QUARANTINED, ()))
        warnings = tuple(metadata.get(WARNINGS, ()))
        return ProductOutcome(product, state, rows, quarantined, metadata.get("version"), "", reasons, warnings)

    def _narrative(self, narrative: Narrative) -> NarrativeOutcome:
        cases = self.metadata_of.get(cases_key(narrative), {}).get("dagster/row_count")
        metadata = self.metadata_of.get(release_key(narrative))
        if metadata is None:
            keys = [key for keys in self.assets_of.values() for key in keys if key.path[0] == narrative.name]
            state, reason = self._reason_of_absence(keys)
            if state == "left out" and self.failures and self._is_published(narrative):
                reason += f"; storymesh run {narrative.id} --only tells it from the snapshots that there are"
            return NarrativeOutcome(narrative.id, state, cases, None, None, {}, {}, reason)
        state = "unchanged" if metadata["unchanged"] else "new"
        version, path = metadata["version"], metadata["path"]
        warnings = tuple(metadata.get(WARNINGS, ()))
        return NarrativeOutcome(
            narrative.id, state, cases, version, path, metadata["configs"], metadata["drops"], "", warnings
        )

    def _is_published(self, narrative: Narrative) -> bool:
        """Return True if readers have a snapshot of every product of the cast, whatever became of this run."""
        products = [self.mesh.product(member.product) for member in narrative.cast.values()]
        return all(
            ProductStore(self.mesh.warehouse, product.domain).latest_snapshot(product.name) for product in products
        )

    def _reason_of_absence(self, keys: Sequence[dg.AssetKey]) -> tuple[OutcomeState, str]:
        """Return why none of `keys` was made: a step of its own failed, or one that it is built on."""
        for step, failure in self.failures.items():
            if set(self.assets_of[step]) & set(keys):
                return "refused", failure.message
        failed = ", ".join(failure.step for failure in self.failures.values())
        return "left out", f"it is built on what failed: {failed}" if failed else "the run ended before it"


def _is_interrupt(error: Any) -> bool:
    """Return True if a step ended because somebody stopped the run."""
    while error is not None:
        if error.cls_name in ("KeyboardInterrupt", DagsterExecutionInterruptedError.__name__):
            return True
        error = error.cause
    return False
