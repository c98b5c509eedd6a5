"""Records retold by a model: what retelling would cost, and how some of them come out."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from storymesh.cli.output.console import console_on, open_table
from storymesh.printable import printable

if TYPE_CHECKING:
    from storymesh.llm.budget import Usage
    from storymesh.rewriting.estimate import CostEstimate
    from storymesh.rewriting.rewriter import RewriteResult
    from storymesh.rewriting.suggestion import VocabularySuggestion

    SampleStream = Callable[[Callable[[Usage], None]], Iterator[tuple[str, RewriteResult]]]


MAX_WORDS = 60  # that are shown of each kind


def show_estimate(estimate: "CostEstimate") -> None:
    """Print how many calls, tokens and dollars retelling would take."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("texts to retell", f"{estimate.records:,}")
    table.add_row("texts that need no call", f"{estimate.reused:,}")
    table.add_row("calls to make", f"{estimate.calls:,}")
    table.add_row("tokens, about", f"{estimate.input_tokens:,} in, {estimate.output_tokens:,} out")
    table.add_row("cost, about", _dollars(estimate.usd))
    if estimate.worst_usd is not None:
        table.add_row("cost at most", _dollars(estimate.worst_usd))
    if estimate.budget:
        table.add_row("budget", estimate.budget)
    console_on(sys.stdout).print(table)


def show_suggestion(suggestion: "VocabularySuggestion", vocabulary: Sequence[str]) -> None:
    """Print the words that answers were refused for, and the vocabulary of a narrative with those that may be in it."""
    console = console_on(sys.stdout)
    if not suggestion.texts:
        console.print("No answer is stored: retell some records first (--sample N).")
        return
    console.print(f"{suggestion.refused:,} of {suggestion.texts:,} retold texts had an answer that was refused.")
    if suggestion.words:
        table = open_table("word", "texts", "by it alone", "where")
        for word in suggestion.words[:MAX_WORDS]:
            table.add_row(*map(Text, (word.word, f"{word.texts:,}", f"{word.alone:,}", printable(word.example))))
        console.print(table)
        words = [*vocabulary, *(word.word for word in suggestion.words[:MAX_WORDS])]
        console.print("\nKeep those that say nothing which the story does not, and strike the rest:\n")
        console.print(Text(f"vocabulary: [{', '.join(words)}]"), soft_wrap=True)
    if suggestion.closed:
        closed = ", ".join(f"{word} ({texts:,})" for word, texts in list(suggestion.closed.items())[:MAX_WORDS])
        console.print(Text(printable(f"\nNo vocabulary lets these in: {closed}")), soft_wrap=True)


def _dollars(usd: object) -> str:
    return "not known: the narrator gives no `price`" if usd is None else f"{usd:,.4f} USD"


def show_rewritten_sample(stream: "SampleStream", count: int) -> None:
    """Print each text as its template tells it, the model's text, and why it is not taken; then the cost."""
    console = console_on(sys.stdout)
    latest: Usage | None = None
    with console_on(sys.stderr).status(Text()) as status:

        def progress(usage: "Usage") -> None:
            nonlocal latest
            latest = usage
            cost = "" if usage.usd is None else f", {_dollars(usage.usd)}"
            status.update(Text(f"{usage.records} of {count} retold, {usage.calls} calls{cost}"))

        for story, retelling in stream(progress):
            record, _, column = retelling.id.rpartition("#")
            console.print(Panel(Text(printable(story)), title=Text(f"{record} {column}"), title_align="left"))
            if retelling.text is not None:
                outcome = f"retold at attempt {retelling.attempts}"
                console.print(
                    Panel(Text(printable(retelling.text)), title=outcome, title_align="left", border_style="green")
                )
            else:
                outcome = f"not accepted in {retelling.attempts} attempts"
                console.print(
                    Panel(
                        Text(printable(retelling.reason or "")), title=outcome, title_align="left", border_style="red"
                    )
                )
            for fault in retelling.grounding.faults if retelling.grounding is not None else ():
                console.print(Text(printable(f"  {fault.kind}: {fault.because}")))
    if latest is not None:
        paid = f"{latest.calls:,} calls, {latest.reused:,} answers paid before"
        tokens = f"{latest.input_tokens:,} tokens in, {latest.output_tokens:,} out"
        console.print(f"{paid}; {tokens}{' (estimated)' if latest.estimated else ''}; cost {_dollars(latest.usd)}")
