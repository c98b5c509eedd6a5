"""The audits in Dagster's history: the results of a product's checks in each run, and what was published."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from storymesh.catalogue.audits import MAX_AUDITS, Audit, AuditedCheck, AuditHistory
from storymesh.contract.definition import Contract
from storymesh.mesh.mesh import Mesh
from storymesh.orchestration.instance import dagster_home

if TYPE_CHECKING:
    import dagster as dg


@contextmanager
def open_audit_history(mesh: Mesh) -> Iterator[AuditHistory]:
    """Yield what returns the audits of a product; where no run was ever remembered, it returns none."""
    if not (dagster_home(mesh) / "dagster.yaml").is_file():
        yield lambda contract: ()
        return
    from storymesh.orchestration.instance import open_instance

    with open_instance(mesh) as instance:
        yield lambda contract: _audits(instance, contract)


def _audits(instance: "dg.DagsterInstance", contract: Contract) -> list[Audit]:
    import dagster as dg

    from storymesh.orchestration.assets.keys import product_key
    from storymesh.orchestration.assets.products import NOT_LOOKED_AT, checks_by_name

    key = product_key(contract.id)
    outcomes: dict[str, dict[int, AuditedCheck]] = {}
    moments: dict[str, float] = {}
    for place, (name, check) in enumerate(checks_by_name(contract).items()):  # in the order of the contract's checks
        history = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(key, name), limit=MAX_AUDITS
        )
        for record in history:
            if record.event is None or record.event.asset_check_evaluation is None:
                continue  # a run that did not come so far
            found = record.event.asset_check_evaluation
            if NOT_LOOKED_AT in found.metadata:
                continue
            failed = _number(found.metadata.get("failed_rows"))
            outcomes.setdefault(record.run_id, {})[place] = AuditedCheck(found.passed, check.severity, failed)
            moments[record.run_id] = max(moments.get(record.run_id, 0.0), record.event.timestamp)
    published = {
        record.run_id: record.asset_materialization.metadata
        for record in instance.fetch_materializations(key, limit=MAX_AUDITS).records
        if record.asset_materialization is not None
    }
    audits = []
    for run_id, checks in outcomes.items():
        metadata = published.get(run_id, {})
        rows, quarantined = _number(metadata.get("dagster/row_count")), _number(metadata.get("quarantined_rows"))
        at = datetime.fromtimestamp(int(moments[run_id]), UTC).replace(tzinfo=None)
        audits.append(Audit(run_id, at, rows, quarantined, checks))
    return sorted(audits, key=lambda audit: (audit.at, audit.run_id))[-MAX_AUDITS:]


def _number(value: Any) -> int | None:
    number = getattr(value, "value", None)
    return number if isinstance(number, int) else None
