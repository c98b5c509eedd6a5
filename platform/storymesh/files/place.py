"""A place in a file, in words: the same for a passage that was read and for the evidence of a value."""

from collections.abc import Mapping
from typing import Any


def describe_place(place: Mapping[str, Any]) -> str:
    """Return where something stands, "page 1, characters 77-105", from the place fields of a passage or of evidence."""
    parts = [f"{name} {place[name]}" for name in ("part", "page", "cell") if place.get(name) is not None]
    if place.get("seconds"):
        parts.append("seconds {:.1f}-{:.1f}".format(*place["seconds"]))
    if place.get("box"):
        parts.append("box " + " ".join(f"{edge:.0f}" for edge in place["box"]))
    if place.get("confidence") is not None:
        parts.append(f"confidence {place['confidence']:.2f}")
    if place.get("begin") is not None:
        parts.append(f"characters {place['begin']}-{place['end']}")
    return ", ".join(parts)
