"""Lineage events for catalogues of data, as OpenLineage has them (https://openlineage.io, specification 2-0-2).

Off unless the environment says where events go, as for every client of OpenLineage: `OPENLINEAGE_URL` (a collector) or
`OPENLINEAGE_CONFIG` (a file of settings, also for events that go to a file). A run goes on
whatever happens to its events: after the first that cannot be sent no other is, and the log says why.
"""

import importlib.metadata
import logging
import os
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster import DagsterEventType

from storymesh.orchestration.dagster_internals import asset_keys_of_step
from storymesh.orchestration.lineage_settings import is_lineage_enabled
from storymesh.printable import printable
from storymesh.redaction import redact

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import InputDataset, OutputDataset, Run
    from openlineage.client.facet_v2 import DatasetFacet, RunFacet

PREFIX = "OPENLINEAGE_"
NAMESPACE = "OPENLINEAGE_NAMESPACE"
PRODUCER = f"pkg:pypi/storymesh@{importlib.metadata.version('storymesh')}"  # a package URL, which is a URI
INTEGRATION = "STORYMESH"

EventListener = Callable[[dg.DagsterEvent], None]
_log = logging.getLogger(__name__)


def open_client() -> "OpenLineageClient":
    """Return the client that the environment describes, or a file that whoever runs the mesh keeps.

    OpenLineage's own would also read `openlineage.yml` in the working folder, the mesh, before the environment: such a
    file may name another collector, and a class to be imported.
    """
    from openlineage.client import OpenLineageClient

    class ConfiguredClient(OpenLineageClient):
        @staticmethod
        def _find_yaml_config_path() -> str | None:
            kept = Path.home() / ".openlineage/openlineage.yml"
            return os.environ.get("OPENLINEAGE_CONFIG") or (str(kept) if kept.is_file() else None)

    before = set(os.environ)
    try:
        return ConfiguredClient()
    finally:
        # It notes what OPENLINEAGE_URL says in the environment, where it would count later, and for other processes.
        for name in os.environ.keys() - before:
            if name.startswith(PREFIX):
                del os.environ[name]


def lineage_listener(job: dg.JobDefinition, run_id: str) -> EventListener:
    """Return the listener for every event of a run, in order. It raises nothing."""
    if not is_lineage_enabled():
        return lambda _: None
    emitter = _LineageEmitter(job, run_id)

    def on_event(event: dg.DagsterEvent) -> None:
        if emitter.is_off:
            return
        try:
            emitter.on_event(event)
        except Exception as error:
            emitter.is_off = True
            _log.warning("OpenLineage is told nothing more of run %s: %s: %s", run_id, type(error).__name__, error)

    return on_event


class _LineageEmitter:
    """One run of Dagster: each asset that it makes is a job of OpenLineage, whose run is below Dagster's."""

    def __init__(self, job: dg.JobDefinition, run_id: str) -> None:
        self.is_off = False
        self._job = job
        self._run_id = run_id
        self._graph = job.asset_layer.asset_graph
        self._unfinished: dict[str, set[dg.AssetKey]] = {}
        self._namespace = os.environ.get(NAMESPACE, "storymesh")
        self._client: Any = None

    def on_event(self, event: dg.DagsterEvent) -> None:
        step = event.step_key
        if step is None:
            return
        match event.event_type:
            case DagsterEventType.STEP_START if step not in self._unfinished:
                self._unfinished[step] = set(asset_keys_of_step(self._job, step))
                for key in _in_order(self._unfinished[step]):
                    self._emit("START", key)
            case DagsterEventType.ASSET_MATERIALIZATION if event.asset_key in self._unfinished.get(step, ()):
                materialization = event.step_materialization_data.materialization
                self._unfinished[step].remove(materialization.asset_key)
                self._emit("COMPLETE", materialization.asset_key, materialization=materialization)
            case DagsterEventType.STEP_SUCCESS:
                for key in _in_order(self._unfinished.pop(step, ())):
                    self._emit("COMPLETE", key)
            case DagsterEventType.STEP_FAILURE:
                failure = event.step_failure_data
                raised = failure.user_failure_data
                message = (raised and raised.description) or (failure.error and failure.error.message) or "it failed"
                for key in _in_order(self._unfinished.pop(step, ())):
                    self._emit("FAIL", key, message=printable(redact(" ".join(message.split()))))

    def _emit(
        self, state: str, key: dg.AssetKey, *, materialization: dg.AssetMaterialization | None = None, message: str = ""
    ) -> None:
        from openlineage.client.event_v2 import Job, RunEvent, RunState
        from openlineage.client.facet_v2 import job_type_job

        self._client = self._client or open_client()
        kind = job_type_job.JobTypeJobFacet("BATCH", INTEGRATION, "ASSET", producer=PRODUCER)
        self._client.emit(
            RunEvent(
                eventType=RunState[state],
                eventTime=datetime.now(UTC).isoformat(),
                producer=PRODUCER,
                run=self._run(key, message),
                job=Job(self._namespace, key.to_user_string(), {"jobType": kind}),
                inputs=[self._input(parent) for parent in _in_order(self._parents(key))],
                outputs=[self._output(key, materialization)],
            )
        )

    def _run(self, key: dg.AssetKey, message: str) -> "Run":
        from openlineage.client.event_v2 import Run
        from openlineage.client.facet_v2 import error_message_run, parent_run

        facets: dict[str, RunFacet] = {
            "parent": parent_run.ParentRunFacet(
                parent_run.Run(self._run_id), parent_run.Job(self._namespace, self._job.name), producer=PRODUCER
            )
        }
        if message:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(message, "python", producer=PRODUCER)
        return Run(str(uuid.uuid5(uuid.UUID(self._run_id), key.to_user_string())), facets)

    def _input(self, key: dg.AssetKey) -> "InputDataset":
        from openlineage.client.event_v2 import InputDataset

        return InputDataset(self._namespace, key.to_user_string(), facets=self._facets(key))

    def _output(self, key: dg.AssetKey, materialization: dg.AssetMaterialization | None) -> "OutputDataset":
        from openlineage.client.event_v2 import OutputDataset
        from openlineage.client.facet_v2 import dataset_version_dataset, output_statistics_output_dataset

        facets = self._facets(key)
        if columns := self._columns(key):
            facets["columnLineage"] = columns
        if materialization is None:
            return OutputDataset(self._namespace, key.to_user_string(), facets=facets)
        rows = materialization.metadata.get("dagster/row_count")
        count = rows.value if rows is not None and isinstance(rows.value, int) else None
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(count, producer=PRODUCER)
        if version := (materialization.tags or {}).get("dagster/data_version"):
            facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(version, producer=PRODUCER)
        return OutputDataset(
            self._namespace,
            key.to_user_string(),
            {"outputStatistics": statistics} if count is not None else {},
            facets=facets,
        )

    def _parents(self, key: dg.AssetKey) -> Iterable[dg.AssetKey]:
        return self._graph.get(key).parent_keys

    def _facets(self, key: dg.AssetKey) -> "dict[str, DatasetFacet]":
        from openlineage.client.facet_v2 import documentation_dataset, schema_dataset

        facets: dict[str, DatasetFacet] = {}
        if columns := self._schema(key):
            fields = [
                schema_dataset.SchemaDatasetFacetFields(column.name, column.type, column.description, position)
                for position, column in enumerate(columns, 1)
            ]
            facets["schema"] = schema_dataset.SchemaDatasetFacet(fields, producer=PRODUCER)
        description = self._graph.get(key).description if self._graph.has(key) else None
        if description:
            facets["documentation"] = documentation_dataset.DocumentationDatasetFacet(description, producer=PRODUCER)
        return facets

    def _schema(self, key: dg.AssetKey) -> "list[dg.TableColumn]":
        value = self._graph.get(key).metadata.get("dagster/column_schema") if self._graph.has(key) else None
        schema = getattr(value, "schema", value)
        return list(schema.columns) if isinstance(schema, dg.TableSchema) else []

    def _columns(self, key: dg.AssetKey) -> "DatasetFacet | None":
        """Return the lineage of a product's columns: those of the one model or file that it is published from."""
        from openlineage.client.facet_v2 import column_lineage_dataset

        columns = self._schema(key)
        origins = [parent for parent in self._parents(key) if parent.path[0] == key.path[0] and len(parent.path) > 2]
        if not columns or len(origins) != 1:
            return None
        return column_lineage_dataset.ColumnLineageDatasetFacet(
            {
                column.name: column_lineage_dataset.Fields(
                    [
                        column_lineage_dataset.InputField(
                            self._namespace,
                            origins[0].to_user_string(),
                            column.name,
                            [column_lineage_dataset.Transformation("DIRECT", "IDENTITY")],
                        )
                    ]
                )
                for column in columns
            },
            producer=PRODUCER,
        )


def _in_order(keys: Iterable[dg.AssetKey]) -> list[dg.AssetKey]:
    return sorted(keys, key=dg.AssetKey.to_user_string)
