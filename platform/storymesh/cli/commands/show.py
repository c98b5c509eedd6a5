"""`storymesh show`: what a product holds, and which rows it refused."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from storymesh.cli.options import FormatOption, MeshOption, OutputFormat, mesh_root
from storymesh.cli.output.console import console_on, echo, open_table, pluralize
from storymesh.cli.output.json_document import print_result
from storymesh.printable import printable_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storymesh.contract.definition import Contract
    from storymesh.mesh.mesh import Mesh
    from storymesh.product.definition import Product
    from storymesh.product.sample import ProductSample, QuarantineSample

_MAX_WIDTH = 60


def show(
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="<domain>.<product>")],
    mesh: MeshOption = None,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=0, max=10_000, help="How many rows.")] = 5,
    version: Annotated[
        str | None, typer.Option("--version", metavar="DIGEST", help="An earlier version; its first 8 digits do.")
    ] = None,
    quarantined: Annotated[
        bool, typer.Option("--quarantined", help="The rows that were refused last, and why each was.")
    ] = False,
    grants: Annotated[
        bool, typer.Option("--grants", help="SQL that gives a user of its database the columns that are read, alone.")
    ] = False,
    user: Annotated[str, typer.Option("--user", metavar="NAME", help="That user, for --grants.")] = "storymesh",
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Print some rows of a product, with types and shares of nulls.

    Restricted values are masked.
    """
    from storymesh.errors import WrongUsage
    from storymesh.mesh.mesh import load_mesh
    from storymesh.product.sample import sample_product, sample_quarantine
    from storymesh.product.store import ProductStore

    loaded = load_mesh(mesh_root(mesh))
    definition = loaded.product(product)
    contract = loaded.contract(definition.id)
    if quarantined and version is not None:
        raise WrongUsage("--version and --quarantined exclude each other", "refused rows belong to no version")
    if grants and (quarantined or version is not None):
        raise WrongUsage("--grants reads no rows", "leave out --quarantined and --version")
    if grants:
        _show_grants(loaded, definition.id, user, format)
        return
    store = ProductStore(loaded.warehouse, definition.domain)
    with loaded.open_engine() as engine:
        if quarantined:
            refused = sample_quarantine(engine, store, contract, definition.layout.forms, rows)
            print_result(refused, format, lambda found: show_quarantine(contract, _origin(definition), found))
            return
        found = sample_product(engine, store, contract, version, rows)
    print_result(found, format, show_sample)


def _show_grants(mesh: "Mesh", product: str, user: str, format: OutputFormat) -> None:  # noqa: A002
    from storymesh.mesh.grants import grant_statements

    statements = list(grant_statements(mesh, product, user))
    print_result({"statements": statements}, format, _print_statements)


def _print_statements(found: "Mapping[str, list[str]]") -> None:
    from storymesh.cli.output.console import echo_text

    echo_text("\n".join(f"{statement};" for statement in found["statements"]))


def _origin(product: "Product") -> str:
    """Return where the rows of a product come from, for messages."""
    if product.source is not None:
        return f"domains/{product.domain}/{product.source}"
    if product.layout.server is not None:
        what = "the query" if product.layout.query else f"the table {product.layout.table or product.name}"
        return f"{what} of the server {product.layout.server}"
    return f"the dbt model {product.name}"


def show_sample(sample: "ProductSample") -> None:
    """Print a version of a product: its columns with types and shares of nulls, then its first rows, one a block."""
    snapshot = sample.snapshot
    published = f"{snapshot.published_at:%Y-%m-%d %H:%M} UTC"
    echo(f"{snapshot.product} {snapshot.version[:12]}: {pluralize(snapshot.rows, 'row')}, published {published}")
    rows = [f"row {number}" for number in range(1, len(sample.sample) + 1)]
    table = open_table("property", "type", "classification", "null", *(rows or [""]), right=("null",))
    for column in sample.columns:
        values = [_cell(row[column.name]) for row in sample.sample]
        table.add_row(column.name, column.type, column.classification, f"{column.null_share:.1%}", *values)
    console_on(sys.stdout).print(table)


def show_quarantine(contract: "Contract", origin: str, sample: "QuarantineSample | None") -> None:
    """Print the refused rows: for each its key, and for each rule that it breaks what was met and what is wanted."""
    if sample is None:
        echo(f"{contract.id}: no row was ever quarantined")
        return
    written = f"{sample.written_at:%Y-%m-%d %H:%M} UTC"
    echo(printable_line(f"{contract.id}: {pluralize(sample.rows, 'row')} of {origin} refused, {written}"))
    for row in sample.sample:
        place = row.file if row.line is None else f"{row.file}:{row.line}"
        where = f"{place}: " if row.file is not None else ""
        echo(printable_line(f"{where}{_pairs(row.key)}"))
        for rule in row.broken:
            met = f" met {_pairs(rule.met)}," if rule.met else ""
            echo(printable_line(f"  {rule.reason}:{met} wanted: {rule.wanted}"))
    if any(row.file is not None and rule.reason.startswith("type:") for row in sample.sample for rule in row.broken):
        echo("how a file writes its values, `source` of the product says: decimal, thousands, dates, zone, nulls, …")
    echo(f"all of them: {sample.path}")


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_cell(value)}" for name, value in values.items())


def _cell(value: Any) -> str:
    if value is None:
        return "null"
    text = " ".join(str(value).split())
    return text if len(text) <= _MAX_WIDTH else f"{text[: _MAX_WIDTH - 1]}…"
