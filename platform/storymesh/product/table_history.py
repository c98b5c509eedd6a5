"""The snapshots of a product's Iceberg table, as its metadata alone has them, read without any other file."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot

TAG_PREFIX = "v-"  # of the tag that a published version has


def published_snapshots(table: "Table | None") -> "list[IcebergSnapshot]":
    """Return the published snapshots of a table, by the time at which each last became the current one."""
    if table is None:
        return []
    published, refs = published_at(table), table.metadata.refs.items()
    tagged = {ref.snapshot_id for name, ref in refs if name.startswith(TAG_PREFIX)}
    snapshots = [snapshot for snapshot in table.metadata.snapshots if snapshot.snapshot_id in tagged]
    return sorted(snapshots, key=lambda snapshot: published.get(snapshot.snapshot_id, snapshot.timestamp_ms))


def published_at(table: "Table") -> dict[int, int]:
    """Return when each snapshot last became the current one, in milliseconds since 1970."""
    return {entry.snapshot_id: entry.timestamp_ms for entry in table.metadata.snapshot_log}


def snapshot_properties(snapshot: "IcebergSnapshot") -> dict[str, str]:
    """Return what was noted when the snapshot was written."""
    summary: Any = snapshot.summary
    return summary.additional_properties if summary is not None else {}
