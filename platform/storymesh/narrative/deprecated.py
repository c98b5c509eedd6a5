"""Warnings of properties that a narrative reads and their contract calls deprecated: one day they will be gone."""

from collections.abc import Iterable, Iterator, Mapping

from storymesh.case.resolve import Cast
from storymesh.case.scopes import TypedCase
from storymesh.errors import Finding
from storymesh.language.static_values import Path
from storymesh.narrative.definition import Narrative
from storymesh.narrative.typed_record import TypedRecord
from storymesh.narrative.used_columns import linking_columns, record_columns


def deprecation_warnings(
    narrative: Narrative, cast: Cast, typed: TypedCase, records: Mapping[str, TypedRecord], together: Iterable[Path]
) -> Iterator[Finding]:
    """Yield a warning at the role for each product and property that is deprecated and read, with who reads it."""
    read = {config: record_columns(cast, typed, record) for config, record in records.items()}
    linking = linking_columns(cast, together)
    for role in cast.roles.values():
        contract, at = role.contract, narrative.at("cast", role.name)
        if contract.deprecated:
            message = f"'{contract.id}' {contract.version} is deprecated by its owner"
            yield Finding(at, "deprecated", message, contract.description or contract.terms, "warning")
        for name, item in contract.properties.items():
            if not item.deprecated:
                continue
            readers = [f"'{config}'" for config, columns in read.items() if name in columns[role.name]]
            readers += ["the links of the cases"] if name in linking[role.name] else []
            if readers:
                message = f"'{role.name}.{name}' is deprecated by '{contract.id}', and read by {', '.join(readers)}"
                yield Finding(at, "deprecated", message, item.description, "warning")
