"""The language model that a file names: how it is asked, what it costs, and how much of that a run may spend."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, NamedTuple

from pydantic import AllowInfNan, Field

from storymesh.document import Definition
from storymesh.llm.model_settings import max_output_tokens

Parameter = bool | int | Annotated[float, AllowInfNan(False)] | str  # of a model


class Price(Definition):
    """US dollars for a million tokens."""

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)


class Budget(Definition):
    """The most that one run of one config, or of the files of one product, may spend. It stops before a call that could
    exceed it."""

    tokens: int | None = Field(default=None, gt=0)
    usd: Decimal | None = Field(default=None, gt=0)


NOTHING_TO_SPEND = Budget.model_construct(tokens=0)  # no call fits in it


class NamedModel(Definition):
    """A language model. `model` is a name of LangChain's `init_chat_model`; keys stand in the environment, never
    here."""

    model: str
    base_url: str | None = None
    parameters: Mapping[str, Parameter] = Field(default_factory=dict)
    price: Price | None = None


class AskedModel(NamedModel):
    """A model that is asked many questions: so many at once, with a `timeout` in seconds for each."""

    concurrency: int = Field(default=16, ge=1, le=512)
    timeout: float = Field(default=60.0, gt=0, le=3600)
    budget: Budget | None = None


class BudgetFault(NamedTuple):
    """A reason why a run could spend more than its budget, with the rule of the finding about it, and what to do."""

    rule: str
    words: str
    hint: str


def budget_faults(model: NamedModel, budget: Budget | None) -> Iterator[BudgetFault]:
    """Yield why a call of the model could pass a budget that nobody can hold it to."""
    if budget is None:
        return
    if budget.usd is not None and model.price is None:
        words = f"the budget is in US dollars, and the price of {model.model} is not known"
        yield BudgetFault("no-price", words, "give `price: {input:, output:}`")
    if max_output_tokens(model.parameters) is None:
        words = f"nothing caps the length of an answer of {model.model}, so one call could pass the budget"
        yield BudgetFault("no-cap", words, "give `max_tokens` in its parameters")
