"""The models that narratives name, held against what the settings of the mesh allow."""

from collections.abc import Iterator

from storymesh.errors import Finding
from storymesh.llm.addresses import address_fault
from storymesh.llm.model_settings import invalid_address_of, invalid_setting
from storymesh.mesh.settings import Settings
from storymesh.narrative.definition import Narrative
from storymesh.narrative.narrator_definition import Narrator, ScoringModel


def model_findings(narrative: Narrative, settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each model that may not be asked: nothing of the narrative may run then."""
    for config, record in narrative.records.items():
        narrator = record.narrator
        if narrator is None:
            continue
        steps = ("records", config, "narrator")
        yield from _of_model(narrative, settings, narrator, steps)
        if narrator.judge is not None:
            yield from _of_model(narrative, settings, narrator.judge, (*steps, "judge"))


def _of_model(
    narrative: Narrative, settings: Settings, model: Narrator | ScoringModel, steps: tuple[str, ...]
) -> Iterator[Finding]:
    if words := invalid_setting(model.model, {}):
        yield Finding(narrative.at(*steps, "model"), "wrong-value", words)
    for name, value in model.parameters.items():
        if words := invalid_setting("openai:any", {name: value}):
            yield Finding(narrative.at(*steps, "parameters", name), "wrong-value", words)
    if model.base_url is not None and (words := invalid_address_of(model.model)):
        hint = "leave `base_url` away; the provider's own variables of the environment say where it is"
        yield Finding(narrative.at(*steps, "base_url"), "wrong-value", words, hint)
    elif model.base_url is not None and (words := address_fault(model.base_url, settings.models.hosts)):
        hint = "who runs the mesh allows a host in mesh.yaml: models: {hosts: [llm.example.com]}"
        yield Finding(narrative.at(*steps, "base_url"), "host-not-allowed", words, hint)
