"""The files definitions that products of a mesh name, typed against their contracts."""

from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.files.definition import FilesSource, read_files_source
from storymesh.files.typed import TypedFiles, type_files
from storymesh.mesh.extraction_models import extraction_findings
from storymesh.mesh.mesh import Mesh
from storymesh.product.definition import Product


def typed_files(mesh: Mesh, product: Product) -> TypedFiles:
    """Return the files definition that a product names, typed against its contract. Raises DefinitionErrors."""
    assert product.source is not None
    source = read_files_source(mesh.domain_folder(product.domain) / product.source, mesh.root)
    findings = _product_findings(mesh, product, source)
    if findings:
        raise DefinitionErrors(findings)
    upstream = source.file.origin.product
    row = mesh.contracts.get(upstream) if upstream is not None else None
    typed = type_files(source, mesh.contract(product.id), row)
    if refused := list(extraction_findings(mesh, typed)):
        raise DefinitionErrors(refused)
    return typed


def _product_findings(mesh: Mesh, product: Product, source: FilesSource) -> list[Finding]:
    """Return what is wrong with the product that files come from."""
    upstream, document = source.file.origin.product, source.document
    at = ("from", "product")
    if upstream is None:
        return []
    if upstream == product.id:
        return [document.finding(at, "own-input", f"'{upstream}' cannot be made of itself")]
    if upstream not in mesh.products:
        hint = suggest_name(upstream, mesh.products)
        return [document.finding(at, "unknown-name", f"there is no product '{upstream}'", hint)]
    if not any(port.contract_id in mesh.contract(upstream).ids for port in product.inputs):
        words = f"{product.document.path} has no input port of '{upstream}', so nobody knows that it comes first"
        hint = f"inputPorts: [{{name: {upstream.partition('.')[2]}, contractId: {upstream}, version: 1.0.0}}]"
        return [document.finding(at, "no-input-port", words, hint)]
    return []


def files_findings(mesh: Mesh, product: Product) -> list[Finding]:
    """Return the findings of the files definition that a product names."""
    try:
        return list(typed_files(mesh, product).warnings)
    except DefinitionErrors as errors:
        return list(errors.findings)
