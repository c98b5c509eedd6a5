"""The language model that rewrites a record, as a narrative names it: prompts, attempts, and a second model."""

from typing import Literal, Self

from pydantic import Field, model_validator

from storymesh.llm.asked_model import AskedModel, NamedModel
from storymesh.narrative.template_files import Template


class ScoringModel(NamedModel):
    """A second model that is asked of each text that the grounding accepts, never instead of it (`judge`). With a
    prompt it scores, and with `accept` a text with a lower score is refused. Without one it is asked whether the text
    says what its story does not, and lets in only what it clears of that."""

    prompt: Template | None = None
    accept: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _scores_by_its_prompt(self) -> Self:
        if self.accept is not None and self.prompt is None:
            raise ValueError("`accept` is the least score that a `prompt` asks for: give one, or leave `accept` out")
        return self


class Narrator(AskedModel):
    """A language model that rewrites records."""

    prompt: Template
    system: Template | None = None
    attempts: int = Field(default=3, ge=1, le=20)
    otherwise: Literal["keep", "mend", "drop"] = "keep"
    judge: ScoringModel | None = None
