"""The differences between two versions of a contract.

One rule decides what a difference means: a promise that becomes weaker, or another one, breaks whoever relies on it;
one that becomes stronger breaks no reader, but may refuse rows; what is about no row breaks nobody.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from storymesh.contract.change import ContractChange, Step
from storymesh.contract.checks import checks_of
from storymesh.contract.compare_types import Tightness, compare_comparisons, compare_options, compare_types
from storymesh.contract.definition import Contract, Property, Relationship
from storymesh.contract.quality_rules import LibraryMetric, Rule, SqlRule
from storymesh.document import Step as DocumentStep
from storymesh.language.types import Text
from storymesh.location import Location

_ORDER = ("public", "internal", "restricted")
_MOMENTS = {"event_time": "eventTime", "end_time": "endTime", "known_at": "knownAt"}


def compare_contracts(old: Contract, new: Contract, *, kept_only: bool = False) -> tuple[ContractChange, ...]:
    """Return every difference between two versions of a contract, in the order of the places in the new one.

    `kept_only`: `old` is what a release keeps of a contract: no quality rules, no service levels and no licence.
    """
    comparison = _Comparison(old, new)
    comparison.compare_properties()
    comparison.compare_whole()
    if not kept_only:
        comparison.compare_rules()
        comparison.compare_service()
    changes = comparison.changes
    if not changes and not kept_only and old.id == new.id and old.digest != new.digest:
        comparison.add("words", None, "its words, tags or examples are others", "patch", values=())
    return tuple(sorted(changes, key=lambda change: (change.location, change.rule, change.path)))


def renamed_properties(old: Contract, new: Contract) -> Mapping[str, str]:
    """Return old name -> new name of the properties that are called otherwise now: those that keep the standard's `id`,
    or, where nothing else fits either, the type, the enum, the unit and the place."""
    gone = [name for name in old.properties if name not in new.properties]
    added = [name for name in new.properties if name not in old.properties]
    renamed: dict[str, str] = {}
    for name in gone:
        item = old.properties[name]
        by_id = [other for other in added if new.properties[other].reference == item.reference]
        by_source = [other for other in added if new.properties[other].physical_name in (item.physical_name or name,)]
        for found in (by_id, by_source):
            if len(found) == 1 and found[0] not in renamed.values():
                renamed.setdefault(name, found[0])
    left, free = [n for n in gone if n not in renamed], [n for n in added if n not in renamed.values()]
    if len(left) == len(free) == 1 and _look_alike(old, new, left[0], free[0]):
        renamed[left[0]] = free[0]
    return renamed


def _look_alike(old: Contract, new: Contract, name: str, other: str) -> bool:
    one, two = old.properties[name], new.properties[other]
    place = list(old.properties).index(name) == list(new.properties).index(other)
    return place and one.type == two.type and (one.enum, one.unit, one.required) == (two.enum, two.unit, two.required)


@dataclass
class _Comparison:
    """Two versions of a contract that are being compared; what was found is in `changes`."""

    old: Contract
    new: Contract
    changes: list[ContractChange] = field(default_factory=list)

    def add(
        self,
        rule: str,
        name: str | None,
        words: str,
        step: Step,
        *,
        refuses: bool = False,
        at: Location | None = None,
        path: str = "",
        values: tuple[Any, ...] | None = None,
    ) -> None:
        """Add a change, by default at the contract's own place."""
        place = at or self._whole()
        self.changes.append(ContractChange(rule, name, path or name or "", words, step, refuses, place, values))

    def _whole(self) -> Location:
        return self.new.document.at(*_object_steps(self.new))

    def compare_properties(self) -> None:
        old, new = self.old.properties, self.new.properties
        renamed = renamed_properties(self.old, self.new)
        for name, item in old.items():
            if name in new:
                self._compare_property(item, new[name])
            elif name in renamed:
                at = _place(self.new, renamed[name], "name")
                self.add("property-renamed", name, f"'{name}' is now called '{renamed[name]}'", "major", at=at)
                self._compare_property(item, new[renamed[name]])
            else:
                at = self.new.document.key_at(*_object_steps(self.new), "properties")
                self.add("property-removed", name, f"'{name}' is gone", "major", at=at)
        for name in new:
            if name not in old and name not in renamed.values():
                must = " that every row has" if new[name].required else ""
                refuses = new[name].required
                at = _place(self.new, name)
                words = f"'{name}' is new, a value{must}"
                self.add("property-added", name, words, "minor", refuses=refuses, at=at, values=())

    def _compare_property(self, old: Property, new: Property) -> None:
        name = old.name

        def at(*steps: DocumentStep) -> Location:
            return _place(self.new, new.name, *steps)

        for change in compare_types(name, old.type, new.type):
            place = at("physicalType" if change.by_digits else "logicalType")
            self.add(change.rule, name, change.words, change.step, refuses=change.refuses, at=place, path=change.path)
        if old.required != new.required:
            words = f"'{name}' may be null now" if old.required else f"'{name}' has to have a value now"
            self.add(
                "required", name, words, "major" if old.required else "minor", refuses=new.required, at=at("required")
            )
        if old.unique != new.unique:
            words = f"two rows may share '{name}' now" if old.unique else f"'{name}' has to be unique now"
            self._add_promise("unique", name, words, stronger=new.unique, at=at("unique"))
        if old.unit != new.unit:
            words = f"the unit of '{name}' is {new.unit or 'not stated'}, it was {old.unit or 'not stated'}"
            self.add("unit", name, words, "major" if old.unit else "minor", at=at("customProperties"))
        if old.classification != new.classification:
            stricter = _ORDER.index(new.classification) > _ORDER.index(old.classification)
            words = f"'{name}' is {new.classification}, it was {old.classification}"
            step: Step = "major" if stricter else "minor"
            self.add("classification", name, words, step, at=at("classification"), values=None if stricter else ())
        if old.known_at != new.known_at:
            words = f"'{name}' becomes known by {new.known_at or 'its row'}, it was by {old.known_at or 'its row'}"
            self.add("known-at", name, words, "major", at=at("customProperties"))
        self._compare_enum(old, new, at("enum"))
        for option in compare_options(name, old.options, new.options):
            self._add_tightness("options", name, option.words, option.tightness, at("logicalTypeOptions", option.name))
        if old.physical_name != new.physical_name:
            words = f"'{name}' is read from '{new.physical_name or name}', it was from '{old.physical_name or name}'"
            self.add("source-column", name, words, "patch", refuses=True, at=at("physicalName"), values=())
        if not old.deprecated and new.deprecated:
            self.add("deprecated", name, f"'{name}' is deprecated", "minor", at=at("deprecated"), values=())

    def _compare_enum(self, old: Property, new: Property, at: Location) -> None:
        name = old.name
        gone = tuple(value for value in old.enum if value not in new.enum)
        added = tuple(value for value in new.enum if value not in old.enum)
        if old.enum and not new.enum:
            self._add_promise("enum-removed", name, f"'{name}' may have any value now", stronger=False, at=at)
        elif new.enum and not old.enum:
            shown = _listing(new.enum)
            self.add(
                "enum-added", name, f"'{name}' has to be one of {shown} now", "minor", refuses=True, at=at, values=()
            )
        else:
            if added:
                words = f"'{name}' may be {_listing(added)} now, which readers do not know"
                self._add_promise("enum-value-added", name, words, stronger=False, at=at)
            if gone:
                words = f"'{name}' is no longer {_listing(gone)}"
                self.add("enum-value-removed", name, words, "minor", refuses=True, at=at, values=gone)
        if isinstance(old.type, Text) and isinstance(new.type, Text):
            labels, others = old.type.labels, new.type.labels
            changed = tuple(code for code, label in labels.items() if others.get(code, label) != label)
            if changed:
                shown = _listing(tuple(f"{labels[code]} → {others[code]}" for code in changed))
                self.add("enum-label", name, f"labels of '{name}' are others: {shown}", "minor", at=at, values=changed)

    def _add_tightness(
        self, rule: str, name: str | None, words: str, tightness: Tightness, at: Location, weaker: Step = "major"
    ) -> None:
        """Add a change of a bound or rule: what it lets through besides breaks readers, what it refuses publishers."""
        step: Step = "minor" if tightness == "tighter" else weaker
        self.add(rule, name, words, step, refuses=tightness != "looser", at=at, values=())

    def _add_promise(self, rule: str, name: str, words: str, *, stronger: bool, at: Location) -> None:
        """Add a promise that is new or gone."""
        self._add_tightness(rule, name, words, "tighter" if stronger else "looser", at)

    def compare_whole(self) -> None:
        old, new = self.old, self.new
        renamed = renamed_properties(old, new)

        def kept(name: str | None) -> str | None:
            return renamed.get(name, name) if name is not None else None

        if tuple(map(kept, old.key)) != new.key:
            words = f"the key is {' and '.join(new.key) or 'none'}, it was {' and '.join(old.key) or 'none'}"
            for name in old.key or (None,):
                self.add("key", name, words, "major", refuses=True)
        for attribute, called in _MOMENTS.items():
            was, now = getattr(old, attribute), getattr(new, attribute)
            if kept(was) != now:
                words = f"{called} is {now or 'not stated'}, it was {was or 'not stated'}"
                at = new.document.at(*_object_steps(new), "customProperties")
                self.add(_rule(called), was, words, "major" if was is not None else "minor", at=at)
        if old.timeless != new.timeless:
            words = "its rows are no longer timeless" if old.timeless else "its rows are timeless now"
            self.add("timeless", None, words, "major" if old.timeless else "minor")
        before = {_describe_relationship(item, renamed) for item in old.relationships}
        after = {_describe_relationship(item): item.location for item in new.relationships}
        for words in sorted(before - after.keys()):
            self.add("relationship", None, f"the relationship {words} is gone", "major", values=())
        for words in sorted(after.keys() - before):
            self.add("relationship", None, f"the relationship {words} is new", "minor", at=after[words], values=())
        if old.partition_columns != new.partition_columns:
            self.add("partitions", None, "it is stored in other parts", "patch", values=())
        if not old.deprecated and new.deprecated:
            self.add("deprecated", None, "the product is deprecated", "minor", values=())

    def compare_rules(self) -> None:
        before, after = _rules(self.old), _rules(self.new)
        for key, (rule, kind) in before.items():
            weaker: Step = "major" if kind == "row" else "minor"
            if key not in after:
                if rule.severity == "error":
                    self._add_tightness(
                        "quality", rule.property, f"the rule '{rule.name}' is gone", "looser", self._whole(), weaker
                    )
                continue
            other = after[key][0]
            if rule.severity != other.severity:
                words = f"the rule '{rule.name}' {'only warns' if other.severity == 'warning' else 'refuses'} now"
                tightness: Tightness = "looser" if other.severity == "warning" else "tighter"
                self._add_tightness("quality", rule.property, words, tightness, other.location, weaker)
            if rule.test != other.test and other.severity == "error":
                tightness = _compare_rules(rule, other)
                words = f"the rule '{rule.name}' is {tightness if tightness != 'other' else 'another one'}"
                self._add_tightness("quality", rule.property, words, tightness, other.location, weaker)
        for key, (rule, _) in after.items():
            if key not in before and rule.severity == "error":
                words = f"the rule '{rule.name}' is new"
                self._add_tightness("quality", rule.property, words, "tighter", rule.location)

    def compare_service(self) -> None:
        old, new = self.old, self.new
        if old.quarantine_limit != new.quarantine_limit:
            words = f"quarantineLimit is {new.quarantine_limit:g}, it was {old.quarantine_limit:g}"
            tightness: Tightness = "tighter" if new.quarantine_limit < old.quarantine_limit else "looser"
            self._add_tightness("quarantine-limit", None, words, tightness, self._whole(), "minor")
        if [(item.max_age, item.property) for item in old.freshness] != [
            (item.max_age, item.property) for item in new.freshness
        ]:
            at = new.freshness[0].location if new.freshness else None
            self.add("freshness", None, "how old its newest row may be is another", "minor", at=at, values=())
        if old.license != new.license:
            words = f"its licence is {new.license or 'not stated'}, it was {old.license or 'not stated'}"
            self.add("license", None, words, "major" if old.license else "minor", values=())
        if old.terms != new.terms:
            at = new.document.at("description")
            self.add("terms", None, "what it may be used for is said otherwise", "minor", at=at, values=())


def _rules(contract: Contract) -> dict[tuple[str | None, str, int], tuple[Rule, str]]:
    """Return each rule, with what it is about ("row" or "table"), by its property, name and place among those."""
    kinds = {check.location: check.kind for check in checks_of(contract)}
    found: dict[tuple[str | None, str, int], tuple[Rule, str]] = {}
    for rule in (*contract.quality, *(rule for item in contract.properties.values() for rule in item.quality)):
        count = sum(key[:2] == (rule.property, rule.name) for key in found)
        found[(rule.property, rule.name, count)] = (rule, kinds.get(rule.location, "row"))
    return found


def _compare_rules(old: Rule, new: Rule) -> Tightness:
    match old.test, new.test:
        case SqlRule(query, before), SqlRule(other, after) if query == other:
            return compare_comparisons(before, after)
        case LibraryMetric(metric, before), LibraryMetric(other, after) if metric == other:
            return compare_comparisons(before, after)
        case _:
            return "other"


def _describe_relationship(relationship: Relationship, renamed: Mapping[str, str] = MappingProxyType({})) -> str:
    columns = ", ".join(renamed.get(name, name) for name in relationship.columns)
    others = ", ".join(relationship.to_columns)
    return f"{columns} → {relationship.to_contract}: {others}"


def _rule(called: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in called)


def _listing(values: tuple[Any, ...]) -> str:
    return ", ".join(map(str, values[:5])) + (", …" if len(values) > 5 else "")


def _object_steps(contract: Contract) -> tuple[DocumentStep, ...]:
    objects = contract.document.value["schema"]
    named = (index for index, item in enumerate(objects) if item["name"] == contract.name)
    return "schema", next(named, 0)


def _place(contract: Contract, name: str, *steps: DocumentStep) -> Location:
    """Return the place of a part of a property, or of the property where it has no such part."""
    at = _object_steps(contract)
    fields: list[dict[str, Any]] = contract.document.value["schema"][at[1]]["properties"]
    index = next(index for index, item in enumerate(fields) if item["name"] == name)
    return next(_existing(contract, (*at, "properties", index), steps))


def _existing(contract: Contract, at: tuple[DocumentStep, ...], steps: tuple[DocumentStep, ...]) -> Iterator[Location]:
    for length in range(len(steps), 0, -1):
        found = contract.document.key_locations.get((*at, *steps[:length]))
        if found is not None:
            yield found
    yield contract.document.at(*at)
