"""JSON of which equal values give equal texts, for digests."""

import json
from typing import Any

_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and without spaces: equal values give equal texts."""
    return _ENCODER.encode(value)
