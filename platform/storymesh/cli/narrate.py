"""Narrators on a terminal: what retelling would cost, and how records come out."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from storymesh.llm.budget import Spent
    from storymesh.rewriting.rewrite import Estimate, Retelling

    Sampling = Callable[[Callable[[Spent], None]], Iterator[tuple[str, Retelling]]]


def show_estimate(found: "Estimate") -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("texts to retell", f"{found.records:,}")
    table.add_row("texts that need no call", f"{found.reused:,}")
    table.add_row("calls to make", f"{found.calls:,}")
    table.add_row("tokens, about", f"{found.input_tokens:,} in, {found.output_tokens:,} out")
    table.add_row("cost, about", _dollars(found.usd))
    if found.worst_usd is not None:
        table.add_row("cost at most", _dollars(found.worst_usd))
    Console().print(table)


def _dollars(usd: object) -> str:
    return "not known: the narrator gives no `price`" if usd is None else f"{usd:,.4f} USD"


def show_retellings(sampling: "Sampling", count: int) -> None:
    """Each text as its template tells it, how it came out, and what no fact carries; then what it cost."""
    console = Console()
    last: Spent | None = None
    with Console(stderr=True).status("") as status:

        def progress(spent: "Spent") -> None:
            nonlocal last
            last = spent
            cost = "" if spent.usd is None else f", {_dollars(spent.usd)}"
            status.update(f"{spent.records} of {count} retold, {spent.calls} calls{cost}")

        for story, retelling in sampling(progress):
            record, _, column = retelling.id.rpartition("#")
            console.print(Panel(Text(story), title=escape(f"{record} {column}"), title_align="left"))
            if retelling.text is not None:
                tries = f"retold at attempt {retelling.attempts}"
                console.print(Panel(Text(retelling.text), title=tries, title_align="left", border_style="green"))
            else:
                tries = f"not accepted in {retelling.attempts} attempts"
                console.print(Panel(Text(retelling.reason or ""), title=tries, title_align="left", border_style="red"))
            for claim in retelling.grounding.claims if retelling.grounding is not None else ():
                console.print(f"  {claim.kind}: {escape(claim.because)}", highlight=False)
    if last is not None:
        paid = f"{last.calls:,} calls, {last.reused:,} answers paid before"
        tokens = f"{last.input_tokens:,} tokens in, {last.output_tokens:,} out"
        console.print(f"{paid}; {tokens}{' (estimated)' if last.estimated else ''}; cost {_dollars(last.usd)}")
