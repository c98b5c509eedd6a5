"""The models that files are shown to, held against what the mesh allows: a call of a model is a leaving too."""

from collections.abc import Iterator

from storymesh.contract.definition import restricted_properties
from storymesh.errors import Finding
from storymesh.files.extraction.definition import TypedExtraction
from storymesh.files.typed import TypedFiles
from storymesh.llm.addresses import address_fault, is_on_this_machine
from storymesh.llm.model_settings import invalid_address_of, invalid_setting, max_output_tokens
from storymesh.mesh.mesh import Mesh

_AT = ("extract",)


def extraction_findings(mesh: Mesh, typed: TypedFiles) -> Iterator[Finding]:
    """Yield a finding for what a model of a files definition may not be asked, or could not be."""
    extraction = typed.extraction
    if extraction is None:
        return
    yield from _setting_findings(mesh, typed, extraction)
    yield from _premise_findings(mesh, typed, extraction)


def _setting_findings(mesh: Mesh, typed: TypedFiles, extraction: TypedExtraction) -> Iterator[Finding]:
    document, model = typed.source.document, extraction.definition
    if words := invalid_setting(model.model, {}):
        yield document.finding((*_AT, "model"), "wrong-value", words)
    for name, value in model.parameters.items():
        if words := invalid_setting("openai:any", {name: value}):
            yield document.finding((*_AT, "parameters", name), "wrong-value", words)
    if model.base_url is not None and (words := invalid_address_of(model.model)):
        hint = "leave `base_url` away; the provider's own variables of the environment say where it is"
        yield document.finding((*_AT, "base_url"), "wrong-value", words, hint)
    elif model.base_url is not None and (words := address_fault(model.base_url, mesh.settings.models.hosts)):
        hint = "who runs the mesh allows a host in mesh.yaml: models: {hosts: [llm.example.com]}"
        yield document.finding((*_AT, "base_url"), "host-not-allowed", words, hint)
    if model.budget is None:
        return
    if model.budget.usd is not None and model.price is None:
        words = f"the budget is in US dollars, and the price of {model.model} is not known"
        yield document.finding((*_AT, "budget"), "no-price", words, "give `price: {input:, output:}`")
    if max_output_tokens(model.parameters) is None:
        words = f"nothing caps the length of an answer of {model.model}, so one call could pass the budget"
        yield document.finding((*_AT, "budget"), "no-cap", words, "give `max_tokens` in its parameters")


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
