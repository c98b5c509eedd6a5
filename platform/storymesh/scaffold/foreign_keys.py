"""The relationships of a contract to be, from the foreign keys of the table that it is drafted from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storymesh.federation.relation import ForeignKey
from storymesh.mesh.mesh import Mesh
from storymesh.scaffold.column_guess import ColumnGuess
from storymesh.scaffold.server_table import ServedTable


@dataclass(frozen=True)
class DraftedRelationship:
    """Properties that hold the key of a row of another product, and the references to the properties of that key."""

    columns: tuple[str, ...]
    to: tuple[str, ...]


def drafted_relationships(
    mesh: Mesh, own: str, served: ServedTable, columns: Sequence[ColumnGuess]
) -> tuple[tuple[DraftedRelationship, ...], tuple[str, ...]]:
    """Return the relationships that the foreign keys of a table give the product `own`, to products of the mesh or to
    itself, and what a person should know of the others."""
    names = {column.profile.name: column.name for column in columns}
    found, notes = [], []
    for key in served.foreign_keys:
        if any(column not in names for column in key.columns):
            continue
        if _place(served, key) == _place(served) and all(column in names for column in key.to_columns):
            target: tuple[str, ...] | None = tuple(f"{own}.{names[column]}" for column in key.to_columns)
        else:
            target = next(_targets(mesh, served, key), None)
        if target is not None:
            found.append(DraftedRelationship(tuple(names[column] for column in key.columns), target))
            continue
        words = f"the foreign key {', '.join(key.columns)} leads to the table {key.table}, of which there is no product"
        notes.append(f"{words}: once one is, name it under relationships")
    return tuple(found), tuple(notes)


def _targets(mesh: Mesh, served: ServedTable, key: ForeignKey) -> Iterator[tuple[str, ...]]:
    """Yield the references to the columns that a foreign key leads to, of each product that has all of them."""
    for product in sorted(mesh.products.values(), key=lambda product: product.id):
        contract = mesh.contracts.get(product.id)
        if contract is None or product.layout.table != key.table:
            continue
        servers: Sequence[Mapping[str, Any]] = contract.document.value.get("servers") or ()
        server = next((item for item in servers if item.get("server") == product.layout.server), None)
        properties = {name: item for item in contract.properties.values() for name in item.column_names}
        if server is None or _address(server) != _place(served, key)[0]:
            continue
        if all(column in properties for column in key.to_columns):
            domain, _, name = contract.id.partition(".")
            at = f"{domain}/{name}.odcs.yaml#/schema/{contract.name}/properties"
            yield tuple(f"{at}/{properties[column].name}" for column in key.to_columns)


def _place(served: ServedTable, key: ForeignKey | None = None) -> tuple[frozenset[tuple[str, str]], str]:
    """Return where a table is, or the one that a foreign key of it leads to: address of its schema, and its name."""
    if key is None:
        return _address(served.server), served.table
    schema = "database" if served.server["type"] == "mysql" else "schema"
    return _address({**served.server, schema: key.schema}), key.table


def _address(server: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset((name, str(server.get(name))) for name in ("type", "host", "port", "database", "schema"))
