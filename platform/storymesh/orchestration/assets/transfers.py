"""The transfers from products in place, as metadata of a narrative's cases."""

from typing import Any

import dagster as dg

from storymesh.mesh.in_place import RolesInPlace
from storymesh.mesh.mesh import Mesh
from storymesh.narrative.definition import Narrative
from storymesh.orchestration.assets.metadata import markdown_table


def transfer_metadata(mesh: Mesh, narrative: Narrative) -> dict[str, Any]:
    """Return how the roles in place were fetched last: each way with what it would have moved, and what came."""
    roles = RolesInPlace(mesh, mesh.typed(narrative))
    plans = roles.read_plans() if roles.roles else {}
    rows = [
        (plan.role, plan.server, name + (" (chosen)" if name == plan.chosen else ""), *map("{:,}".format, way))
        for plan in plans.values()
        for name, way in plan.ways.items()
    ]
    came = [
        (
            plan.role,
            plan.chosen,
            f"{plan.rows or 0:,}",
            "" if plan.bytes is None else f"{plan.bytes:,}",
            f"{plan.keys:,}",
        )
        for plan in plans.values()
    ]
    if not plans:
        return {}
    ways = markdown_table(("role", "server", "way", "rows expected", "bytes expected", "bytes in"), rows)
    ended = markdown_table(("role", "way", "rows", "bytes", "keys sent"), came)
    notes = "".join(f"\n\n{plan.role}: {note}" for plan in plans.values() for note in plan.notes)
    held = [(plan.role, line) for plan in plans.values() if plan.source is not None for line in plan.source.lines()]
    rules = f"\n\n{markdown_table(('role', 'rules of the contract there'), held)}" if held else ""
    text = f"**What came**\n\n{ended}\n\n**What each way was expected to move**\n\n{ways}{notes}{rules}"
    return {"fetched": dg.MetadataValue.md(text)}
