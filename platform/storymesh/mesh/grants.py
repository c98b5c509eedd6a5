"""The rights that the mesh's database user needs, as SQL for the database's administrator: only the columns that are
read. So the database enforces what the gate does once more."""

from collections.abc import Iterator

from storymesh.engine.sql_text import quote_text
from storymesh.errors import WrongUsage
from storymesh.federation.sql import quote_name
from storymesh.mesh.in_place_rules import RoleRules
from storymesh.mesh.mesh import Mesh
from storymesh.product.sources.server_relation import server_relation


def read_columns(mesh: Mesh, product: str) -> tuple[str, ...]:
    """Return the properties of a product that are read where its rows come from: all, or of one that stays there what
    narratives fetch and what its rules read."""
    contract = mesh.contract(product)
    if contract.in_place is None:
        return tuple(contract.properties)
    found: set[str] = set()
    for narrative in mesh.narratives.values():
        for role, member in narrative.cast.items():
            if member.product == product:
                rules = RoleRules(mesh, mesh.typed(narrative), role)
                found |= rules.fetched | (rules.source_rules.columns if rules.holds_rules == "there" else frozenset())
    return tuple(name for name in contract.properties if name in found)


def grant_statements(mesh: Mesh, product: str, user: str) -> Iterator[str]:
    """Yield the statements that grant a user what is read of a product, and revoke everything else.

    Raises WrongUsage for a product that is read from no table of a PostgreSQL or MySQL, or that nobody reads, and
    DefinitionErrors for a narrative that has no types.
    """
    contract, definition = mesh.contract(product), mesh.product(product)
    if definition.layout.server is None:
        raise WrongUsage(f"'{product}' is read from no server", "name one whose source is a table of a database")
    relation = server_relation(definition, contract)
    kind = relation.server.kind
    if kind not in ("postgresql", "mysql") or relation.table is None:
        words = f"'{product}' is read from {relation.words}, which gives no rights to columns of a table"
        raise WrongUsage(words, "rights are printed for tables of PostgreSQL and MySQL")
    columns = read_columns(mesh, product)
    if not columns:
        raise WrongUsage(f"no narrative casts '{product}', so nothing of it is read", "write the narrative first")
    names = [contract.properties[name].column_names[0] for name in columns]
    schema, _, table = relation.table.rpartition(".")
    if kind == "mysql":
        place = ".".join(
            quote_name(part, "mysql") for part in (schema or relation.server.fields.get("database", ""), table)
        )
        listed = ", ".join(quote_name(name, "mysql") for name in names)
        yield f"GRANT SELECT ({listed}) ON {place} TO {quote_text(user)}"
        return
    owner = quote_name(schema or relation.server.fields.get("schema", "public"), "postgres")
    place, role = f"{owner}.{quote_name(table, 'postgres')}", quote_name(user, "postgres")
    yield f"REVOKE ALL ON {place} FROM {role}"
    yield f"GRANT USAGE ON SCHEMA {owner} TO {role}"
    yield f"GRANT SELECT ({', '.join(quote_name(name, 'postgres') for name in names)}) ON {place} TO {role}"
