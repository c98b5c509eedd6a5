"""The automation of assets: each is rematerialized as soon as one of its inputs has a new version, and only then.

An asset's data version is the digest of its content, that of a raw file is noted by the sensors of `sources`, and
Dagster keeps with each result the versions of its inputs. Both are compared as they stand, so that nothing is lost
while the sensor is off or a run goes on, and a run that finds everything unchanged starts no other.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster import AutomationCondition as On

from storymesh.orchestration.dagster_internals import (
    CODE_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    latest_data_version,
    latest_version_run,
)
from storymesh.orchestration.failures import failed_run

SENSOR = "new_snapshots"
CHECK_EVERY_S = 30
Condition = dg.AutomationCondition[Any]  # of assets; Dagster types its own for checks as well


class InputsChanged(Condition):
    """True for an asset whose inputs have changed versions since it was made.

    With `definition` also of one that was made by another definition, or never.
    """

    def __init__(self, *, definition: bool = False) -> None:
        self.definition = definition

    @property
    def description(self) -> str:
        return "Made from other versions than those that there are now"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        changed = self._inputs_changed(context)
        return dg.AutomationResult(context, context.candidate_subset if changed else context.get_empty_subset())

    def _inputs_changed(self, context: dg.AutomationContext[dg.AssetKey]) -> bool:
        tags = _tags(context, context.key)
        if not tags:
            return self.definition
        if self.definition and tags.get(CODE_VERSION_TAG) != context.asset_graph.get(context.key).code_version:
            return True
        for key, now in _versions(context).items():
            used = tags.get(f"{INPUT_DATA_VERSION_TAG_PREFIX}/{key}")
            # An input that is new to the definition is no new version, and neither is a raw file that nobody looked at.
            if used is not None and now is not None and used != now:
                return True
        return False


class NotYetRequested(Condition):
    """True until a run was requested for the present versions, or the asset failed in the run that made the newest of
    them: it would fail again."""

    @property
    def description(self) -> str:
        return "No run was asked for on these versions"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        cursor = {
            "seen": None,
            "asked": None,
            "failure": None,
            **(json.loads(context.cursor) if context.cursor else {}),
        }
        requested = context.get_previous_requested_subset(context.key)
        asked = cursor["seen"] if requested is not None and not requested.is_empty else cursor["asked"]
        seen = {**_versions(context), "definition": context.asset_graph.get(context.key).code_version}
        failure = _failure_on_inputs(context)
        if failure is not None and failure != cursor["failure"]:
            asked = {**seen, "definition": (cursor["seen"] or seen)["definition"]}  # a later one is to be tried
        subset = context.get_empty_subset() if seen == asked else context.candidate_subset
        state = {"seen": seen, "asked": asked, "failure": failure}
        return dg.AutomationResult(context, subset, cursor=json.dumps(state, sort_keys=True))


def remade_with_inputs(in_mesh: dg.AssetSelection | None = None, *, definition: bool = False) -> Condition:
    """Return the condition of an asset that is rematerialized when an input has changed, or in one run with its inputs.

    It waits until its inputs are there and no run makes them: all of them, or those `in_mesh`. With `definition` a new
    definition counts as a change as well.
    """

    def any_input(condition: Condition) -> Condition:
        match = On.any_deps_match(condition)
        return match if in_mesh is None else match.allow(in_mesh)

    requested = On.will_be_requested()
    wanted = (InputsChanged(definition=definition) & NotYetRequested()) | any_input(requested)
    unready = any_input((On.missing() | InputsChanged()) & ~requested) | any_input(On.in_progress())
    return wanted & ~unready & ~On.in_progress()


def automation_sensor(name: str, assets: Sequence[dg.AssetsDefinition]) -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that evaluates the assets of one location every half minute and starts runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # conditions of one's own are evaluated where they are defined
        return dg.AutomationConditionSensorDefinition(
            f"{SENSOR}_{name}",
            target=dg.AssetSelection.assets(*assets),
            use_user_code_server=True,
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=CHECK_EVERY_S,
            description="Makes again what is built on a product that has a new snapshot. Stop it to run by hand only.",
        )


def _versions(context: dg.AutomationContext[dg.AssetKey]) -> dict[str, str | None]:
    """Return the current data version of each input; None where it was never made, or never seen.

    An input in partitions is no more than the others read in parts: it changes with them, and is waited for.
    """
    instance = context.asset_graph_view.instance
    return {key.to_user_string(): latest_data_version(instance, key) for key in _inputs(context)}


def _inputs(context: dg.AutomationContext[dg.AssetKey]) -> list[dg.AssetKey]:
    graph = context.asset_graph
    return [key for key in sorted(graph.get(context.key).parent_keys) if not graph.get(key).is_partitioned]


def _failure_on_inputs(context: dg.AutomationContext[dg.AssetKey]) -> str | None:
    """Return the run in which the asset failed, if it is the one that made the newest of its inputs."""
    instance = context.asset_graph_view.instance
    run = failed_run(instance, context.key)
    return run if run is not None and run == latest_version_run(instance, _inputs(context)) else None


def _tags(context: dg.AutomationContext[dg.AssetKey], key: dg.AssetKey) -> Mapping[str, str]:
    event = context.asset_graph_view.instance.get_latest_materialization_event(key)
    materialization = event.asset_materialization if event else None
    return materialization.tags or {} if materialization else {}
