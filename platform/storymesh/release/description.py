"""What the documents of a release describe: the card, the Croissant metadata and the report say the same, from here."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from storymesh.case.definition import Link
    from storymesh.contract.definition import Contract
    from storymesh.narrative.definition import Narrative
    from storymesh.narrative.formats.format import RecordFormat
    from storymesh.release.diversity import Diversity
    from storymesh.release.evaluation_document import EvaluationDocument
    from storymesh.release.manifest import Predecessor, ReleaseManifest
    from storymesh.release.strata import Stratum

# The columns that records of every format have.
COLUMNS: Mapping[str, str] = {
    "id": "names the record: its config and its case",
    "case_id": "names the case; configs are joined by it",
    "at": "the moment at which the question is asked (UTC)",
    "facts": "every value that the templates can print, whichever branch is taken, under its name there",
    "sources": "the rows that they come from: product, version of its content, key",
    "retellings": "of each retold text the template's own, the model (null: it kept that), attempts, score, answer",
}
PROMISES: Mapping[str, str] = {
    "ids": "cases with records in two splits",
    "components": "linked components with records in two splits",
    "questions": "questions that stand in two splits of a config",
    "moments": "records outside the time of their split",
    "draws": "cases in another split than the one drawn for their component",
    "precedents": "precedents from the period of a later split than the case's, or not over before its day",
    "closings": "cases open, or closing, inside the embargo before the next cut",
    "evaluation": "records of the evaluation with a question that stands in a text for training",
}
SYNTHETIC = "synthetic"  # the tag of a contract whose rows are made up
_EXPECT = {
    "one": "exactly one row",
    "optional": "at most one row",
    "some": "one or more rows",
    "any": "any number of rows",
}


@dataclass(frozen=True)
class ReleaseDescription:
    """The content of a release's documents.

    `manifest` still lacks its files. `schemas` are the columns of each config's files, `samples` a record of each
    config that has one, `sizes` the bytes of its files by split, `loaded_sizes` those of its rows in memory, `strata`
    the kinds of cases whose shares differ most between splits, `diversity` how diverse its texts are, `lengths` the
    characters of each record of the sample that was measured for it, `evaluation` what its questions are, if it has
    some.
    """

    narrative: "Narrative"
    contracts: "Mapping[str, Contract]"
    manifest: "ReleaseManifest"
    schemas: "Mapping[str, pa.Schema]"
    samples: Mapping[str, Mapping[str, Any]]
    sizes: Mapping[str, Mapping[str, int]]
    loaded_sizes: Mapping[str, Mapping[str, int]]
    strata: "Sequence[Stratum]"
    diversity: "Mapping[str, Sequence[Diversity]]"
    lengths: "Mapping[str, npt.NDArray[np.int64]]"
    evaluation: "EvaluationDocument | None" = None

    def succeeding(self, predecessor: "Predecessor | None") -> "ReleaseDescription":
        """Return the description of the release as the successor of another."""
        return replace(self, manifest=self.manifest.model_copy(update={"succeeds": predecessor}))

    @property
    def formats(self) -> "dict[str, RecordFormat]":
        """Config -> format."""
        return {config: self.narrative.format_of(config) for config in self.narrative.records}

    @property
    def languages(self) -> list[str]:
        """The languages of its configs, each once, that of the first config first."""
        return list(dict.fromkeys(map(self.narrative.language_of, self.narrative.records)))

    @property
    def filled(self) -> dict[str, list[str]]:
        """Config -> splits that have records; without configs that have none."""
        splits = {config: [split for split, rows in counts.items() if rows] for config, counts in self.configs.items()}
        return {config: names for config, names in splits.items() if names}

    @property
    def configs(self) -> Mapping[str, Mapping[str, int]]:
        """Config -> split -> records."""
        return self.manifest.configs

    @property
    def synthetic(self) -> "list[str]":
        """The products of the cast whose contracts have the tag `synthetic`."""
        tagged = {role for role, contract in self.contracts.items() if SYNTHETIC in _tags(contract.document.value)}
        return sorted({member.product for role, member in self.manifest.cast.items() if role in tagged})

    @property
    def citation(self) -> str:
        """The BibTeX entry that cites the release."""
        narrative, manifest = self.narrative, self.manifest
        key = f"{narrative.name}_{manifest.version}".replace("-", "_").replace(".", "_")
        title, owner = (re.sub(r"[{}\\]", "", " ".join(text.split())) for text in (narrative.title, narrative.owner))
        return "\n".join(
            [
                f"@misc{{{key},",
                f"  title  = {{{title}}},",
                f"  author = {{{owner}}},",
                f"  year   = {{{manifest.created[:4]}}},",
                f"  note   = {{storymesh release {narrative.id} {manifest.version}, digest {manifest.digest}}}",
                "}",
            ]
        )


def _tags(contract: Mapping[str, Any]) -> list[Any]:
    """Return the tags of a contract, which the standard holds for a list of texts."""
    tags = contract.get("tags")
    return tags if isinstance(tags, list) else []


def describe_columns(narrative: "Narrative", config: str) -> Mapping[str, str]:
    """Return what each column of a config holds."""
    return {**COLUMNS, **narrative.format_of(config).columns}


def describe_links(narrative: "Narrative") -> list[tuple[str, str]]:
    """Return each role that is linked to the anchor, with its rule in a sentence."""
    return [(role, _describe_link(link)) for role, link in narrative.case.links.items()]


def _describe_link(link: "Link") -> str:
    parts = [_EXPECT[link.expect]]
    if link.on:
        parts.append("whose " + " and ".join(f"{column} is {other}" for column, other in link.on.items()))
    elif link.on is None:
        parts.append("that the contracts' relationship names")
    if link.within is not None:
        after, before = describe_duration(link.within.after), describe_duration(link.within.before)
        parts.append(f"from {after} to {before} after the case's moment")
    if link.overlaps is not None:
        slack = f", widened by {describe_duration(link.overlaps.slack)} at both ends," if link.overlaps.slack else ""
        parts.append(f"whose time{slack} holds the case's moment")
    if link.as_of is not None:
        parts.append("the latest at the case's moment")
    return ", ".join(parts)


def describe_duration(length: timedelta) -> str:
    """Return a duration in the largest unit that gives a whole number."""
    minutes = int(length.total_seconds() // 60)
    for size, unit in ((1440, "day"), (60, "hour"), (1, "minute")):
        if minutes % size == 0:
            count = minutes // size
            return f"{count} {unit}" + ("" if abs(count) == 1 else "s")
    return f"{length.total_seconds():g} seconds"  # pragma: no cover - every whole minute is covered above


def internal_paths(
    narrative: "Narrative", contracts: "Mapping[str, Contract]", schemas: "Mapping[str, pa.Schema]"
) -> list[str]:
    """Return what records print that their contracts do not call public: properties, and values computed from any."""
    known: dict[tuple[str, ...], str] = {
        (role, name): item.classification
        for role, contract in contracts.items()
        for name, item in contract.properties.items()
    }
    # A value computed from properties counts as being as closed as the cast is.
    computed = "internal" if any(classification != "public" for classification in known.values()) else "public"
    paths: set[str] = set()
    for config, schema in schemas.items():
        facts = schema.field("facts").type if "facts" in schema.names else ()
        for path in (path for field in facts for path in _property_paths(field)):
            if path[0] != "case" and known.get(path[:2], computed) == "internal":
                paths.add(".".join(path))
        if computed == "internal":
            paths |= {f"outcome.{part}" for part in narrative.format_of(config).outcome_parts(schema)}
    return sorted(paths)


def masked_paths(narrative: "Narrative", contracts: "Mapping[str, Contract]") -> list[str]:
    """Return what a release holds only as its pseudonym, if at all: restricted or pseudonymised properties."""
    restricted = {
        f"{role}.{name}"
        for role, contract in contracts.items()
        for name, item in contract.properties.items()
        if item.classification == "restricted"
    }
    return sorted(restricted | set(narrative.dataset.pseudonymise))


def _property_paths(field: "pa.Field", depth: int = 2) -> list[tuple[str, ...]]:
    """Return the names below a field, as far as role and property; of a list, those of its items."""
    import pyarrow as pa

    type_ = field.type
    while pa.types.is_list(type_) or pa.types.is_large_list(type_):
        type_ = type_.value_type
    if depth == 1 or not pa.types.is_struct(type_):
        return [tuple(field.name.split("."))]
    return [(field.name, *rest) for part in type_ for rest in _property_paths(part, depth - 1)]
