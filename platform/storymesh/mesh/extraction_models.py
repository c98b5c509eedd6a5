"""The models that files are shown to, held against what the mesh allows: a call of a model is a leaving too."""

from collections.abc import Iterator

from storymesh.contract.definition import restricted_properties
from storymesh.errors import Finding
from storymesh.files.extraction.definition import TypedExtraction
from storymesh.files.typed import TypedFiles
from storymesh.llm.addresses import is_on_this_machine
from storymesh.llm.asked_model import budget_faults
from storymesh.mesh.mesh import Mesh
from storymesh.mesh.model_hosts import named_model_findings

_AT = ("extract",)


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
