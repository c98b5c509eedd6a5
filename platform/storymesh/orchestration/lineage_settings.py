"""Whether lineage events are configured; importable without Dagster."""

import os
from collections.abc import Mapping


def is_lineage_enabled(environment: Mapping[str, str] = os.environ) -> bool:
    """Return True if the environment names a place for events, in any of the ways that OpenLineage's client knows."""
    named = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
    off = environment.get("OPENLINEAGE_DISABLED", "").lower() in ("true", "1")
    return not off and any(
        value and (name in named or name.startswith("OPENLINEAGE__TRANSPORT")) for name, value in environment.items()
    )
