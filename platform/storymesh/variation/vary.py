"""The loop that asks a model for variants: what fails goes back with what is wrong, what holds is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from storymesh.llm.response_cache import Messages
from storymesh.variation.prompt import messages_after_refusal, template_in_answer
from storymesh.variation.variation import TemplateVariation

Ask = Callable[[Sequence[Messages]], Sequence[str | None]]


@dataclass(frozen=True)
class VariantResult:
    """What came of one number: the file that was written, or None and what was wrong at last."""

    template: str
    number: int
    path: Path | None
    attempts: int
    faults: tuple[str, ...] = ()


@dataclass
class _Wanted:
    number: int
    messages: Messages
    attempts: int = 0
    faults: list[str] = field(default_factory=list)


def wanted_numbers(variation: TemplateVariation, count: int) -> list[int]:
    """Return the numbers of the variants that are missing until there are `count`, behind the highest there is."""
    first = max(variation.numbers(), default=0) + 1
    return list(range(first, first + max(0, count - variation.present())))


def vary_template(
    variation: TemplateVariation,
    count: int,
    attempts: int,
    ask: Ask,
    report: Callable[[VariantResult], None] = lambda _: None,
) -> list[VariantResult]:
    """Ask for variants until there are `count`, each at most `attempts` times. What is accepted is written at once, so
    that a run that was stopped is gone on with by the next: what was answered is asked for by the same words again."""
    results: list[VariantResult] = []
    pending = [_Wanted(number, variation.messages(number)) for number in wanted_numbers(variation, count)]
    for _ in range(attempts):
        answers = ask([wanted.messages for wanted in pending])
        refused: list[_Wanted] = []
        for wanted, answer in zip(pending, answers, strict=True):
            wanted.attempts += 1
            text, fault = template_in_answer(answer)
            wanted.faults = [fault] if fault else variation.faults(text, wanted.number)
            if wanted.faults:
                wanted.messages = messages_after_refusal(wanted.messages, answer, wanted.faults)
                refused.append(wanted)
            else:
                path = variation.accept(text, wanted.number)
                results.append(VariantResult(variation.name, wanted.number, path, wanted.attempts))
                report(results[-1])
        pending = refused
        if not pending:
            break
    for wanted in pending:
        result = VariantResult(variation.name, wanted.number, None, wanted.attempts, tuple(wanted.faults))
        results.append(result)
        report(result)
    return results
