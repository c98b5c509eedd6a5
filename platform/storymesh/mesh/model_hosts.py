"""The models that files name, checked against the settings of the mesh."""

from collections.abc import Iterator

from storymesh.document import Document
from storymesh.errors import Finding
from storymesh.llm.addresses import address_fault
from storymesh.llm.asked_model import NamedModel
from storymesh.llm.model_settings import invalid_address_of, invalid_setting
from storymesh.mesh.settings import Settings
from storymesh.narrative.definition import Narrative


def model_findings(narrative: Narrative, settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each model that may not be asked: nothing of the narrative may run then."""
    for config, record in narrative.records.items():
        narrator = record.narrator
        if narrator is None:
            continue
        steps = ("records", config, "narrator")
        yield from named_model_findings(narrative.document, steps, narrator, settings)
        if narrator.judge is not None:
            yield from named_model_findings(narrative.document, (*steps, "judge"), narrator.judge, settings)


def named_model_findings(
    document: Document, steps: tuple[str, ...], model: NamedModel, settings: Settings
) -> Iterator[Finding]:
    """Yield a finding for what keeps the model that a file names at `steps` from being asked."""
    if words := invalid_setting(model.model, {}):
        yield document.finding((*steps, "model"), "wrong-value", words)
    for name, value in model.parameters.items():
        if words := invalid_setting("openai:any", {name: value}):
            yield document.finding((*steps, "parameters", name), "wrong-value", words)
    if model.base_url is not None and (words := invalid_address_of(model.model)):
        hint = "leave `base_url` away; the provider's own variables of the environment say where it is"
        yield document.finding((*steps, "base_url"), "wrong-value", words, hint)
    elif model.base_url is not None and (words := address_fault(model.base_url, settings.models.hosts)):
        hint = "who runs the mesh allows a host in mesh.yaml: models: {hosts: [llm.example.com]}"
        yield document.finding((*steps, "base_url"), "host-not-allowed", words, hint)
