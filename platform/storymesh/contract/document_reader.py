"""Reading a contract's file: findings at their places, and the custom properties that are storymesh's own."""

from difflib import get_close_matches
from typing import Any

from storymesh.document import Document, Step
from storymesh.errors import Finding

Steps = tuple[Step, ...]

OBJECT_PROPERTIES = (
    "eventTime", "endTime", "timeless", "knownAt", "quarantineLimit", "leaves", "inPlace", "changedAt",
)  # fmt: skip
CONTRACT_PROPERTIES = ("quarantineLimit", "license")
PROPERTY_PROPERTIES = ("unit", "knownAt", "evidence", "leastConfidence")
_SHORT = 5  # characters of a word of ours that many others are like
_COMMON = ("license", "unit", "evidence")  # words that others have for their own ends


class DocumentReader:
    """One pass over a document that keeps to the standard. Gathers findings about what storymesh adds to it."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.value: dict[str, Any] = document.value
        self.findings: list[Finding] = []

    def add(self, steps: Steps, rule: str, words: str, hint: str = "") -> None:
        """Add an error at the value under `steps`."""
        self.findings.append(self.document.finding(steps, rule, words, hint))

    def warn(self, steps: Steps, rule: str, words: str, hint: str = "") -> None:
        """Add a warning at the value under `steps`."""
        self.findings.append(Finding(self.document.at(*steps), rule, words, hint, "warning"))

    def custom_properties(
        self, at: Steps, fields: dict[str, Any], ours: tuple[str, ...], holder: str
    ) -> dict[str, tuple[Any, Steps]]:
        """Return storymesh's own custom properties of `fields`, each with the place of its value; ignore all others."""
        everywhere = {*OBJECT_PROPERTIES, *CONTRACT_PROPERTIES, *PROPERTY_PROPERTIES}
        found: dict[str, tuple[Any, Steps]] = {}
        for index, item in enumerate(fields.get("customProperties") or []):
            here = (*at, "customProperties", index)
            name: str = item["property"]
            if name in ours:
                if name in found:
                    self.add((*here, "property"), "duplicate-key", f"'{name}' stands twice", "keep one")
                found[name] = (item["value"], (*here, "value"))
            elif name in everywhere:
                report = self.warn if name in _COMMON else self.add
                report((*here, "property"), "misplaced", f"'{name}' has no meaning on a {holder}", _belongs(name))
            elif "vendor" not in item and (near := _near(name, ours)):
                self.add(
                    (*here, "property"), "unknown-field", f"unknown custom property '{name}'", f"did you mean '{near}'?"
                )
        return found


def names_of_object(fields: dict[str, Any]) -> set[str]:
    """Return what a schema object is called: its name, its id and its physical name."""
    return {fields[name] for name in ("name", "id", "physicalName") if fields.get(name)}


def _belongs(name: str) -> str:
    if name in OBJECT_PROPERTIES:
        return "it belongs on the schema object"
    return "it belongs on a property" if name in PROPERTY_PROPERTIES else "it belongs on the contract"


def _near(name: str, ours: tuple[str, ...]) -> str | None:
    """Return the one of ours that `name` probably means. Other custom properties are anybody's: it has to be close."""
    written = name.lower().replace("_", "").replace("-", "")
    plain = {our.lower(): our for our in ours if len(our) > _SHORT or our.lower() == written}
    close = get_close_matches(written, plain, n=1, cutoff=0.8)
    return plain[close[0]] if close else None
