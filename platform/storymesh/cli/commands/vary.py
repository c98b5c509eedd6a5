"""`storymesh vary`: other templates for a record, written by a language model and held against the original."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from storymesh.cli.options import BaseUrlOption, FormatOption, MeshOption, NarrativeArgument, mesh_root
from storymesh.errors import WrongUsage

if TYPE_CHECKING:
    from storymesh.llm.asked_model import AskedModel, Price
    from storymesh.variation.variation import TemplateVariation, VariantResult

MAX_VARIANTS = 200


TemplateOption = Annotated[
    str | None,
    typer.Option("--template", metavar="NAME", help="One of its templates. Default: all."),
]
LanguageOption = Annotated[
    str | None,
    typer.Option("--language", metavar="TAG", help="The language to write in, which is that of the record."),
]
CountOption = Annotated[
    int, typer.Option("--count", metavar="N", min=1, max=MAX_VARIANTS, help="How many variants there should be.")
]
AttemptsOption = Annotated[
    int, typer.Option("--attempts", metavar="N", min=1, max=20, help="How often each is asked for at most.")
]
TemperatureOption = Annotated[float, typer.Option("--temperature", metavar="T", min=0, max=2)]
TokensOption = Annotated[int, typer.Option("--max-tokens", metavar="N", min=1, help="The most tokens of one answer.")]
PriceOption = Annotated[
    str | None, typer.Option("--price", metavar="IN,OUT", help="US dollars for a million tokens read and written.")
]
BudgetOption = Annotated[
    str | None, typer.Option("--budget", metavar="USD", help="The most that a run may cost; needs --price.")
]


def vary(
    narrative: NarrativeArgument,
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="The record whose templates are told otherwise.")],
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="PROVIDER:NAME, such as openai:gpt-4o.")],
    mesh: MeshOption = None,
    template: TemplateOption = None,
    language: LanguageOption = None,
    count: CountOption = 12,
    attempts: AttemptsOption = 4,
    base_url: BaseUrlOption = None,
    temperature: TemperatureOption = 0.8,
    max_tokens: TokensOption = 8_000,
    price: PriceOption = None,
    budget: BudgetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what is asked and its cost; call nobody.")] = False,
    format: FormatOption = "text",  # noqa: A002
) -> None:
    """Ask a model for variants of the templates of a record.

    A variant is taken where it compiles and prints, of real cases, the values that the original prints, under the same
    conditions. What is accepted is a file beside the narrative, for a person to read.
    """
    from storymesh.cli.output.variants import show_prompts
    from storymesh.llm.asked_model import AskedModel, Budget
    from storymesh.mesh.mesh import load_mesh
    from storymesh.mesh.model_access import require_model
    from storymesh.mesh.snapshot_pinning import pin_build
    from storymesh.variation.variation import TemplateVariation, templates_to_vary, wanted_numbers

    paid = _price(price)
    spend = None if budget is None else Budget.model_construct(usd=_dollars(budget, "--budget"))
    if spend is not None and paid is None:
        raise WrongUsage("--budget is in US dollars, and the price is not known", "give --price IN,OUT")
    loaded = load_mesh(mesh_root(mesh))
    build = pin_build(loaded, loaded.narrative(narrative))
    slots = templates_to_vary(build.typed, config, template, language)
    variations = [TemplateVariation(loaded.root, build, config, slot) for slot in slots]
    if dry_run:
        asked = [item.messages(number) for item in variations for number in wanted_numbers(item, count)]
        show_prompts(asked, max_tokens, paid, format)
        return
    require_model(loaded, build.typed, model)
    drawn = {"temperature": temperature, "max_tokens": max_tokens}
    chosen = AskedModel(
        model=model, base_url=base_url, parameters=drawn, concurrency=4, timeout=300.0, budget=spend, price=paid
    )
    _vary(variations, count, attempts, chosen, loaded.prepare_store(), format)


def _vary(
    variations: "Sequence[TemplateVariation]", count: int, attempts: int, model: "AskedModel", store: Path, form: str
) -> None:
    """Ask for the variants of some templates, and show what came of them."""
    from storymesh.cli.output.json_document import echo_result
    from storymesh.cli.output.variants import show_result, show_summary, show_unreached
    from storymesh.llm.ask import ask_model
    from storymesh.llm.budget import BudgetLedger, Usage
    from storymesh.llm.response_cache import Messages, ResponseCache
    from storymesh.release.rewritten_records import ANSWER_STORE
    from storymesh.variation.variation import VariantResult, vary_template

    usage, ledger = Usage(), BudgetLedger(model.budget)
    results: list[VariantResult] = []
    with ResponseCache(store / ANSWER_STORE) as answers:

        def ask(questions: Sequence[Messages]) -> list[str | None]:
            return ask_model(model, questions, answers, ledger=ledger, usage=usage)

        for variation in variations:
            if form == "text":
                show_unreached(variation)
            results += vary_template(variation, count, attempts, ask, show_result if form == "text" else _ignore)
    if form == "json":
        echo_result({"results": results, "usage": usage})
    show_summary(variations, results, usage)
    if any(result.path is None for result in results):
        raise typer.Exit(1)


def _ignore(_: "VariantResult") -> None:
    return


def _price(written: str | None) -> "Price | None":
    """Return the price that `--price` says. Raises WrongUsage for what is none."""
    from storymesh.llm.asked_model import Price

    if written is None:
        return None
    read, _, answered = written.partition(",")
    return Price(input=_dollars(read, "--price"), output=_dollars(answered, "--price"))


def _dollars(written: str, option: str) -> Decimal:
    try:
        value = Decimal(written.strip())
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0 or value > 10**9:
        raise WrongUsage(f"{option} has '{written[:40]}', which is no amount of dollars", "such as --price 0.15,0.60")
    return value
