"""The files definitions that products of a mesh name, typed against their contracts."""

from collections.abc import Iterator

from storymesh.contract.definition import restricted_properties
from storymesh.errors import DefinitionErrors, Finding, suggest_name
from storymesh.files.definition import FilesSource, read_files_source
from storymesh.files.extraction.definition import TypedExtraction
from storymesh.files.typed import TypedFiles, type_files
from storymesh.llm.addresses import is_on_this_machine
from storymesh.llm.asked_model import budget_faults
from storymesh.mesh.mesh import Mesh
from storymesh.mesh.model_hosts import named_model_findings
from storymesh.product.definition import Product

_AT = ("extract",)


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


def extraction_findings(mesh: Mesh, typed: TypedFiles) -> Iterator[Finding]:
    """Yield a finding for what a model of a files definition may not be asked, or could not be."""
    extraction = typed.extraction
    if extraction is None:
        return
    document, model = typed.source.document, extraction.definition
    yield from named_model_findings(document, _AT, model, mesh.settings)
    for fault in budget_faults(model, model.budget):
        yield document.finding((*_AT, "budget"), fault.rule, fault.words, fault.hint)
    yield from _premise_findings(mesh, typed, extraction)


def _premise_findings(mesh: Mesh, typed: TypedFiles, extraction: TypedExtraction) -> Iterator[Finding]:
    document, model = typed.source.document, extraction.definition
    if is_on_this_machine(model.base_url):
        return
    product = extraction.contract.id
    premise, guard = mesh.residency.premise_of(product), mesh.residency.guard(product)
    hint = f"who runs the mesh names it in mesh.yaml: premises: {{{premise}: {{models: ['{model.model}']}}}}"
    if not guard.may_see(model.model):
        words = f"the files of '{product}' are shown to {model.model}, which may not see values of {premise}"
        yield document.finding((*_AT, "model"), "model-not-allowed", words, hint)
        return
    strict = restricted_properties(extraction.contract) & {item.name for item in extraction.asked}
    if strict and not guard.names(model.model):
        words = f"'{min(strict)}' is restricted, and {model.model} is not on this machine"
        yield document.finding(
            (*_AT, "model"), "model-not-allowed", words, f"name a `base_url` on this machine; or {hint}"
        )
