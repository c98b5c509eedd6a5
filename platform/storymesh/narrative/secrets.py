"""Secrets in a narrative's file, which is read by many: keys of models, and passwords in addresses."""

import re
from collections.abc import Iterator

from storymesh.errors import Finding
from storymesh.llm.asked_model import NamedModel
from storymesh.narrative.definition import Narrative
from storymesh.narrative.narrator_definition import Narrator

SECRET = re.compile(r"(^|_)(api_?key|key|token|secret|password|authorization)$", re.IGNORECASE)


def secret_findings(narrator: Narrator, narrative: Narrative, steps: tuple[str, ...]) -> Iterator[Finding]:
    """Yield a finding for each secret that the file holds under `steps`."""
    models: list[tuple[tuple[str, ...], NamedModel]] = [(steps, narrator)]
    if narrator.judge is not None:
        models.append(((*steps, "judge"), narrator.judge))
    for path, model in models:
        for name in model.parameters:
            if SECRET.search(name):
                message = f"`{name}` is a secret, and this file is read by many"
                hint = "leave it out: the key is taken from the environment, such as OPENAI_API_KEY"
                yield Finding(narrative.at(*path, "parameters", name), "secret", message, hint)
        if model.base_url is not None and "@" in model.base_url.partition("://")[2].partition("/")[0]:
            message = "an address with a password is a secret, and this file is read by many"
            yield Finding(narrative.at(*path, "base_url"), "secret", message, "leave user and password out of it")
