"""Publishing and releasing a mesh of plain files in this process, without what plans a run; and its commands."""

from pathlib import Path

from typer.testing import CliRunner

from storymesh.cli.app import app
from storymesh.contract.definition import Contract
from storymesh.engine.open import open_engine
from storymesh.mesh.mesh import Mesh
from storymesh.mesh.snapshot_pinning import pin_build
from storymesh.product.publish import publish
from storymesh.product.sources.open import open_product_rows
from storymesh.product.store import ProductStore
from storymesh.release.catalog import Release
from storymesh.release.rewritten_records import write_all_records
from storymesh.release.write import write_release
from tests.support.paths import MESHES

MESH = MESHES / "plain_files"


def publish_all(mesh: Mesh, *only: str) -> None:
    for product in mesh.products.values():
        if not only or product.id in only:
            contract: Contract = mesh.contract(product.id)
            folder = mesh.domain_folder(product.domain)
            with open_engine() as engine, open_product_rows(product, contract, folder, Path("none"), engine) as rows:
                publish(product, contract, rows, ProductStore(mesh.warehouse, product.domain), engine, "run-1")


def release_all(mesh: Mesh, narrative: str = "roadside") -> Release:
    build = pin_build(mesh, mesh.narrative(narrative))
    write_all_records(build)
    return write_release(build)


def storymesh(root: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command on the mesh, in this process."""
    done = CliRunner().invoke(app, [*words, "--mesh", str(root)], env={"CI": "1", "COLUMNS": "200"})
    return done.exit_code, done.stdout, done.stderr
