"""OpenLineage (https://openlineage.io, specification 2-0-2): a catalogue of data is told what was made from what.

Off unless the environment says where events go, as for every client of OpenLineage: `OPENLINEAGE_URL` (a collector) or
`OPENLINEAGE_CONFIG` (a file of settings, also for events that go to a file). Whatever befalls the telling, a run goes
on: the first event that does not arrive is the last one of its run, and the log says why.
"""

import importlib.metadata
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster import DagsterEventType
from dagster._core.definitions.dependency import NodeHandle

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, Run
    from openlineage.client.facet_v2 import DatasetFacet, RunFacet

PREFIX = "OPENLINEAGE_"
NAMESPACE = "OPENLINEAGE_NAMESPACE"
PRODUCER = f"pkg:pypi/storymesh@{importlib.metadata.version('storymesh')}"  # a package URL, which is a URI
INTEGRATION = "STORYMESH"

Hear = Callable[[dg.DagsterEvent], None]
_log = logging.getLogger(__name__)


def is_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment names a place for events: in any of the ways that OpenLineage's own client knows."""
    named = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
    off = environment.get("OPENLINEAGE_DISABLED", "").lower() in ("true", "1")
    return not off and any(
        value and (name in named or name.startswith("OPENLINEAGE__TRANSPORT")) for name, value in environment.items()
    )


def lineage_of(job: dg.JobDefinition, run_id: str) -> Hear:
    """What is to hear every event of a run, in order. It raises nothing."""
    if not is_wanted():
        return lambda _: None
    told = _Lineage(job, run_id)

    def hear(event: dg.DagsterEvent) -> None:
        if told.is_off:
            return
        try:
            told.hear(event)
        except Exception as error:
            told.is_off = True
            _log.warning("OpenLineage is told nothing more of run %s: %s: %s", run_id, type(error).__name__, error)

    return hear


class _Lineage:
    """One run of Dagster: each asset that it makes is a job of OpenLineage, whose run is below Dagster's."""

    def __init__(self, job: dg.JobDefinition, run_id: str) -> None:
        self.is_off = False
        self._job = job
        self._run_id = run_id
        self._graph = job.asset_layer.asset_graph
        self._open: dict[str, set[dg.AssetKey]] = {}
        self._namespace = os.environ.get(NAMESPACE, "storymesh")
        self._client: Any = None

    def hear(self, event: dg.DagsterEvent) -> None:
        step = event.step_key
        if step is None:
            return
        match event.event_type:
            case DagsterEventType.STEP_START if step not in self._open:
                self._open[step] = set(self._assets(step))
                for key in _in_order(self._open[step]):
                    self._tell("START", key)
            case DagsterEventType.ASSET_MATERIALIZATION if event.asset_key in self._open.get(step, ()):
                made = event.step_materialization_data.materialization
                self._open[step].remove(made.asset_key)
                self._tell("COMPLETE", made.asset_key, made=made)
            case DagsterEventType.STEP_SUCCESS:
                for key in _in_order(self._open.pop(step, ())):
                    self._tell("COMPLETE", key)
            case DagsterEventType.STEP_FAILURE:
                failure = event.step_failure_data
                told = failure.user_failure_data
                words = (told and told.description) or (failure.error and failure.error.message) or "it failed"
                for key in _in_order(self._open.pop(step, ())):
                    self._tell("FAIL", key, words=" ".join(words.split()))

    def _assets(self, step: str) -> Iterable[dg.AssetKey]:
        keys = self._job.asset_layer.get_selected_entity_keys_for_node(NodeHandle.from_string(step))
        return [key for key in keys if isinstance(key, dg.AssetKey)]

    def _tell(
        self, state: str, key: dg.AssetKey, *, made: dg.AssetMaterialization | None = None, words: str = ""
    ) -> None:
        from openlineage.client import OpenLineageClient
        from openlineage.client.event_v2 import Job, RunEvent, RunState
        from openlineage.client.facet_v2 import job_type_job

        self._client = self._client or OpenLineageClient()
        kind = job_type_job.JobTypeJobFacet("BATCH", INTEGRATION, "ASSET", producer=PRODUCER)
        self._client.emit(
            RunEvent(
                eventType=RunState[state],
                eventTime=datetime.now(UTC).isoformat(),
                producer=PRODUCER,
                run=self._run(key, words),
                job=Job(self._namespace, key.to_user_string(), {"jobType": kind}),
                inputs=[self._input(parent) for parent in _in_order(self._parents(key))],
                outputs=[self._output(key, made)],
            )
        )

    def _run(self, key: dg.AssetKey, words: str) -> "Run":
        from openlineage.client.event_v2 import Run
        from openlineage.client.facet_v2 import error_message_run, parent_run

        facets: dict[str, RunFacet] = {
            "parent": parent_run.ParentRunFacet(
                parent_run.Run(self._run_id), parent_run.Job(self._namespace, self._job.name), producer=PRODUCER
            )
        }
        if words:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(words, "python", producer=PRODUCER)
        return Run(str(uuid.uuid5(uuid.UUID(self._run_id), key.to_user_string())), facets)

    def _input(self, key: dg.AssetKey) -> "InputDataset":
        from openlineage.client.event_v2 import InputDataset

        return InputDataset(self._namespace, key.to_user_string(), facets=self._facets(key))

    def _output(self, key: dg.AssetKey, made: dg.AssetMaterialization | None) -> "OutputDataset":
        from openlineage.client.event_v2 import OutputDataset
        from openlineage.client.facet_v2 import dataset_version_dataset, output_statistics_output_dataset

        facets = self._facets(key)
        if columns := self._columns(key):
            facets["columnLineage"] = columns
        if made is None:
            return OutputDataset(self._namespace, key.to_user_string(), facets=facets)
        rows = made.metadata.get("dagster/row_count")
        count = rows.value if rows is not None and isinstance(rows.value, int) else None
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(count, producer=PRODUCER)
        if version := (made.tags or {}).get("dagster/data_version"):
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
                schema_dataset.SchemaDatasetFacetFields(one.name, one.type, one.description, place)
                for place, one in enumerate(columns, 1)
            ]
            facets["schema"] = schema_dataset.SchemaDatasetFacet(fields, producer=PRODUCER)
        description = self._graph.get(key).description if self._graph.has(key) else None
        if description:
            facets["documentation"] = documentation_dataset.DocumentationDatasetFacet(description, producer=PRODUCER)
        return facets

    def _schema(self, key: dg.AssetKey) -> "list[dg.TableColumn]":
        found = self._graph.get(key).metadata.get("dagster/column_schema") if self._graph.has(key) else None
        schema = getattr(found, "schema", found)
        return list(schema.columns) if isinstance(schema, dg.TableSchema) else []

    def _columns(self, key: dg.AssetKey) -> "DatasetFacet | None":
        """A product's columns are those of the one model or file that it is published from, as they are."""
        from openlineage.client.facet_v2 import column_lineage_dataset

        columns = self._schema(key)
        origins = [parent for parent in self._parents(key) if parent.path[0] == key.path[0] and len(parent.path) > 2]
        if not columns or len(origins) != 1:
            return None
        return column_lineage_dataset.ColumnLineageDatasetFacet(
            {
                one.name: column_lineage_dataset.Fields(
                    [
                        column_lineage_dataset.InputField(
                            self._namespace,
                            origins[0].to_user_string(),
                            one.name,
                            [column_lineage_dataset.Transformation("DIRECT", "IDENTITY")],
                        )
                    ]
                )
                for one in columns
            },
            producer=PRODUCER,
        )


def _in_order(keys: Iterable[dg.AssetKey]) -> list[dg.AssetKey]:
    return sorted(keys, key=dg.AssetKey.to_user_string)
