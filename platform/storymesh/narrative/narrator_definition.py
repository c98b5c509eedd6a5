"""The language model that rewrites a record, as a narrative names it: model, prompts, prices and bounds."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AllowInfNan, Field, model_validator

from storymesh.case.definition import Definition
from storymesh.narrative.template_name import Template

Parameter = bool | int | Annotated[float, AllowInfNan(False)] | str  # of a model


class Price(Definition):
    """US dollars for a million tokens."""

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)


class Budget(Definition):
    """The most that one run of one config may spend. It stops before a call that could exceed it."""

    tokens: int | None = Field(default=None, gt=0)
    usd: Decimal | None = Field(default=None, gt=0)


NOTHING_TO_SPEND = Budget.model_construct(tokens=0)  # no call fits in it


class ScoringModel(Definition):
    """A second model that is asked of each text that the grounding accepts, never instead of it (`judge`). With a
    prompt it scores, and with `accept` a text with a lower score is refused. Without one it is asked whether the text
    says what its story does not, and lets in only what it clears of that."""

    model: str
    prompt: Template | None = None
    base_url: str | None = None
    parameters: Mapping[str, Parameter] = Field(default_factory=dict)
    price: Price | None = None
    accept: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _scores_by_its_prompt(self) -> Self:
        if self.accept is not None and self.prompt is None:
            raise ValueError("`accept` is the least score that a `prompt` asks for: give one, or leave `accept` out")
        return self


class Narrator(Definition):
    """A language model that rewrites records. `model` is a name of LangChain's `init_chat_model`, `timeout` in seconds;
    keys stand in the environment, never here."""

    model: str
    prompt: Template
    system: Template | None = None
    base_url: str | None = None
    parameters: Mapping[str, Parameter] = Field(default_factory=dict)
    attempts: int = Field(default=3, ge=1, le=20)
    otherwise: Literal["keep", "mend", "drop"] = "keep"
    concurrency: int = Field(default=16, ge=1, le=512)
    timeout: float = Field(default=60.0, gt=0, le=3600)
    price: Price | None = None
    budget: Budget | None = None
    judge: ScoringModel | None = None
