"""The next major version of a product, while the present one is kept until its readers have migrated."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from storymesh.atomic_write import write_atomically
from storymesh.document import Document
from storymesh.document import Step as DocumentStep
from storymesh.errors import WrongUsage
from storymesh.location import Location
from storymesh.mesh.mesh import Mesh
from storymesh.product.definition import Product
from storymesh.scaffold.new_files import NewFiles


@dataclass(frozen=True)
class NextVersion:
    """A product that has gone on to another major version: what was written, and what keeps the old one."""

    version: str
    kept_as: str
    paths: tuple[str, ...]
    changed: tuple[str, ...]


def begin_next_version(mesh: Mesh, product: Product) -> NextVersion:
    """Write the files of the product that keeps the present version, and give the contract its next major version.

    Raises WrongUsage where one of the files is there, or where a contract has the schema objects of several products.
    """
    contract = mesh.contract(product.id)
    document = contract.document
    if len(document.value["schema"]) > 1:
        words = f"{document.path} has the contracts of several products, which have one version"
        raise WrongUsage(words, f"give '{product.id}' a contract file of its own first")
    kept = f"{product.name}_v{contract.major}"
    own = product.document
    kept_contract = _rename_product(document, product, kept, _names(document, product))
    kept_product = _rename_product(own, product, kept, _ports(own, product))
    files = NewFiles(
        {
            f"contracts/{product.domain}/{kept}.odcs.yaml": kept_contract,
            f"domains/{product.domain}/products/{kept}.odps.yaml": kept_product,
            **_model(mesh, product, kept),
        }
    )
    version = f"{contract.major + 1}.0.0"
    ports = [
        (own.at("outputPorts", index, "version"), port["version"], version)
        for index, port in enumerate(own.value.get("outputPorts") or ())
        if port["name"] == product.name
    ]
    changed = {document.path: _apply_edits(document.text, [(document.at("version"), contract.version, version)])}
    if ports:
        changed[own.path] = _apply_edits(own.text, ports)
    files.write(mesh.root)
    for path, text in changed.items():
        write_atomically(mesh.root / path, text)
    return NextVersion(version, f"{product.domain}.{kept}", tuple(files.paths), tuple(changed))


def _model(mesh: Mesh, product: Product, kept: str) -> dict[str, str]:
    """Return the dbt model of the kept version, beside that of the product: at first it is the same."""
    if not product.is_model:
        return {}
    folder = mesh.domain_folder(product.domain)
    found = sorted(folder.rglob(f"{product.name}.sql"), key=lambda path: len(path.parts))
    beside = found[0].parent if found else folder / "models"
    path = (beside / f"{kept}.sql").relative_to(mesh.root).as_posix()
    return {path: f"select * from {{{{ ref('{product.name}') }}}}\n"}


Place = tuple[tuple[DocumentStep, ...], str]


def _names(document: Document, product: Product) -> Iterator[Place]:
    """Yield the places of a contract that name its product, with the new text after them."""
    yield ("schema", 0, "name"), product.name
    fields: dict[str, Any] = document.value["schema"][0]
    for index, item in enumerate(fields.get("relationships") or ()):
        written = item.get("from")
        at = ("schema", 0, "relationships", index, "from")
        several = isinstance(written, list)
        for place, text in (((*at, i), one) for i, one in enumerate(written)) if several else ((at, written),):
            if isinstance(text, str) and text.startswith(f"{product.name}."):
                yield place, product.name


def _ports(document: Document, product: Product) -> Iterator[Place]:
    """Yield the places of a product's file that name it, beside its id."""
    for index, port in enumerate(document.value.get("outputPorts") or ()):
        if port.get("name") == product.name:
            yield ("outputPorts", index, "name"), product.name
        if port.get("contractId") == product.id:
            yield ("outputPorts", index, "contractId"), product.id


def _rename_product(document: Document, product: Product, kept: str, places: Iterator[Place]) -> str:
    """Return the text of a file in which the product is called otherwise; all else stays as it was written."""
    edits = [(document.at("id"), product.id, f"{product.domain}.{kept}")]
    for steps, old in places:
        new = kept if old == product.name else f"{product.domain}.{kept}"
        edits.append((document.at(*steps), old, new))
    return _apply_edits(document.text, edits)


def _apply_edits(text: str, edits: list[tuple[Location, str, str]]) -> str:
    """Return the text with what begins at each place replaced, also within quotes."""
    lines = text.splitlines(keepends=True)
    for at, old, new in sorted(edits, key=lambda edit: edit[0], reverse=True):
        line = lines[at.line - 1]
        begin = at.column - 1 + (line[at.column - 1 : at.column] in ("'", '"'))
        if not line.startswith(old, begin):
            raise WrongUsage(f"{at}: '{old}' is not written plainly there", "write it on one line, without an anchor")
        lines[at.line - 1] = line[:begin] + new + line[begin + len(old) :]
    return "".join(lines)
