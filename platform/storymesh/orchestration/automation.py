"""What is made again by itself, and when: as soon as something that it is built on has a new version, and only then.

An asset's data version is the digest of its content, a raw file's is noted by the sensors of `raw`, and Dagster keeps
with each result the versions of what it was made from. Both are compared as they stand, so that nothing is lost while
the sensor is off or a run goes on, and a run that finds all unchanged starts nothing.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster import AutomationCondition as On
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    extract_data_version_from_entry,
)

SENSOR = "new_snapshots"
CHECK_EVERY_S = 30
Condition = dg.AutomationCondition[Any]  # of assets; Dagster types its own for checks as well


class Behind(Condition):
    """True of an asset whose inputs have other versions now than those that it was made from.

    With `definition` also of one that was made by another definition, or never.
    """

    def __init__(self, *, definition: bool = False) -> None:
        self.definition = definition

    @property
    def description(self) -> str:
        return "Made from other versions than those that there are now"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        behind = self._is_behind(context)
        return dg.AutomationResult(context, context.candidate_subset if behind else context.get_empty_subset())

    def _is_behind(self, context: dg.AutomationContext[dg.AssetKey]) -> bool:
        made = _tags(context, context.key)
        if not made:
            return self.definition
        if self.definition and made.get(CODE_VERSION_TAG) != context.asset_graph.get(context.key).code_version:
            return True
        for key, now in _versions(context).items():
            used = made.get(f"{INPUT_DATA_VERSION_TAG_PREFIX}/{key}")
            # An input that is new to the definition is no new version, and neither is a raw file that nobody looked at.
            if used is not None and now is not None and used != now:
                return True
        return False


class Unasked(Condition):
    """True until a run was asked for on the versions that there are now: what failed on them fails again."""

    @property
    def description(self) -> str:
        return "No run was asked for on these versions"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        kept = json.loads(context.cursor) if context.cursor else {"seen": None, "asked": None}
        requested = context.get_previous_requested_subset(context.key)
        asked = kept["seen"] if requested is not None and not requested.is_empty else kept["asked"]
        seen = {**_versions(context), "definition": context.asset_graph.get(context.key).code_version}
        subset = context.get_empty_subset() if seen == asked else context.candidate_subset
        return dg.AutomationResult(context, subset, cursor=json.dumps({"seen": seen, "asked": asked}, sort_keys=True))


def follows(made: dg.AssetSelection | None = None, *, definition: bool = False) -> Condition:
    """Made again once it is behind, or in one run with what it is built on.

    It waits until what it is built on is there and at rest: all of it, or that of it which is `made` in the mesh. With
    `definition` a new definition counts as well.
    """

    def any_input(condition: Condition) -> Condition:
        found = On.any_deps_match(condition)
        return found if made is None else found.allow(made)

    requested = On.will_be_requested()
    wanted = (Behind(definition=definition) & Unasked()) | any_input(requested)
    unready = any_input((On.missing() | Behind()) & ~requested) | any_input(On.in_progress())
    return wanted & ~unready & ~On.in_progress()


def sensor(name: str, made: Sequence[dg.AssetsDefinition]) -> dg.AutomationConditionSensorDefinition:
    """What looks at the assets of one location, half a minute apart, and starts runs; on until somebody stops it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # conditions of one's own are evaluated where they are defined
        return dg.AutomationConditionSensorDefinition(
            f"{SENSOR}_{name}",
            target=dg.AssetSelection.assets(*made),
            use_user_code_server=True,
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=CHECK_EVERY_S,
            description="Makes again what is built on a product that has a new snapshot. Stop it to run by hand only.",
        )


def _versions(context: dg.AutomationContext[dg.AssetKey]) -> dict[str, str | None]:
    """The data version of each input as it stands; null where it was never made, or never seen."""
    inputs = sorted(context.asset_graph.get(context.key).parent_keys)
    return {key.to_user_string(): _version(context, key) for key in inputs}


def _version(context: dg.AutomationContext[dg.AssetKey], key: dg.AssetKey) -> str | None:
    """Of what is made in the mesh the version that was made last, of a raw file the one that was seen last."""
    record = context.asset_graph_view.instance.get_latest_data_version_record(key)
    version = extract_data_version_from_entry(record.event_log_entry) if record is not None else None
    return version.value if version is not None else None


def _tags(context: dg.AutomationContext[dg.AssetKey], key: dg.AssetKey) -> Mapping[str, str]:
    event = context.asset_graph_view.instance.get_latest_materialization_event(key)
    made = event.asset_materialization if event else None
    return made.tags or {} if made else {}
