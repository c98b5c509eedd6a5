"""The output of `storymesh vary`: what it would ask, what came of each variant, and what there is to do next."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from storymesh.cli.output.console import echo, echo_text
from storymesh.cli.output.json_document import echo_result
from storymesh.llm.asked_model import Price
from storymesh.llm.budget import Usage, cost_of_tokens, estimate_input_tokens
from storymesh.llm.response_cache import Messages

if TYPE_CHECKING:
    from storymesh.variation.variation import TemplateVariation, VariantResult

MAX_PLACES = 5


def show_prompts(asked: Sequence[Messages], most_written: int, price: Price | None, form: str) -> None:
    """Show the first prompt whole, how many there are, and what they cost at most: of one attempt for each."""
    read = sum(map(estimate_input_tokens, asked))
    usd = cost_of_tokens(price, read, most_written * len(asked))
    if form == "json":
        echo_result({"calls": len(asked), "input_tokens": read, "usd": usd, "prompts": asked})
        return
    for role, content in asked[0] if asked else ():
        echo_text(f"--- {role} ---\n{content}\n")
    cost = f"at most {usd:.2f} US dollars" if usd is not None else "give --price to see the cost"
    echo(f"{len(asked)} calls, about {read:,} tokens read and at most {most_written * len(asked):,} written; {cost}")


def show_unreached(variation: "TemplateVariation") -> None:
    """Say which values of the original no case prints, on which variants are compared."""
    places = variation.comparison.unreached()
    if places:
        shown = ", ".join(map(str, places[:MAX_PLACES]))
        more = f" and {len(places) - MAX_PLACES} more" if len(places) > MAX_PLACES else ""
        echo(f"none of the cases prints {shown}{more}: look at these in each variant yourself", err=True)


def show_result(result: "VariantResult") -> None:
    """Show what came of one variant."""
    if result.path is not None:
        echo(f"✓ {result.path.as_posix()} (attempt {result.attempts})")
        return
    echo(f"✗ variant {result.number} of {result.template}: not accepted in {result.attempts} attempts")
    for fault in result.faults:
        echo(f"    {fault}")


def show_summary(variations: "Sequence[TemplateVariation]", results: "Sequence[VariantResult]", usage: Usage) -> None:
    """Show how many were accepted, what it took, and what to do next."""
    accepted = sum(result.path is not None for result in results)
    if not results:
        echo("there are that many variants already; ask for more with --count", err=True)
        return
    cost = f", {usage.usd:.4f} US dollars" if usage.usd is not None else ""
    echo(
        f"{accepted} of {len(results)} accepted; {usage.calls} calls, {usage.reused} answers kept from before, "
        f"{usage.input_tokens:,} tokens read and {usage.output_tokens:,} written{cost}",
        err=True,
    )
    config = variations[0].config
    if accepted and not variations[0].typed.narrative.document.value["records"][config].get("variants"):
        echo(f"read them, then write `variants: true` at the record '{config}'", err=True)
