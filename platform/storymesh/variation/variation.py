"""One template of a config that is varied: the cases on which variants are compared, the folder that they go to, and
the loop that asks a model for them."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from storymesh.atomic_write import staged_file
from storymesh.dataset.build import Build
from storymesh.dataset.preview import interpreters
from storymesh.dataset.render import UNRENDERABLE, record_inputs, render_rows
from storymesh.dataset.stages import write_cases_and_precedents
from storymesh.dataset.tables import cases_with_precedents
from storymesh.errors import DefinitionErrors, StorymeshError, WrongUsage, suggest_name
from storymesh.language.interpret import as_value
from storymesh.llm.response_cache import Messages
from storymesh.narrative.formats.evaluation import EVALUATION
from storymesh.narrative.typed import TypedNarrative, type_narrative
from storymesh.narrative.typed_record import TypedRecord
from storymesh.narrative.typed_variant import type_variant
from storymesh.variation.comparison import ComparedCase, VariantComparison
from storymesh.variation.prompt import messages_after_refusal, template_in_answer, variant_messages

CASES = 300  # on which a variant is compared with its original
STORIES = 3  # that a model is shown
_NUMBERED = re.compile(r"(\d{1,6})\.")
Ask = Callable[[Sequence[Messages]], Sequence[str | None]]


def templates_to_vary(
    typed: TypedNarrative, config: str, slot: str | None = None, language: str | None = None
) -> tuple[str, ...]:
    """Return the templates of a config that are varied: `slot` alone, or all. Raises WrongUsage, also where the config
    is written in another language than one that is asked for."""
    if config not in typed.narrative.records:
        hint = suggest_name(config, typed.narrative.records)
        raise WrongUsage(f"'{typed.narrative.id}' has no record '{config[:100]}'", hint)
    record = typed.narrative.records[config]
    if record.from_ is not None:
        raise WrongUsage(f"'{config}' is retold and has no template of its own", f"vary '{record.from_}'")
    if record.format == EVALUATION.name:
        raise WrongUsage(f"'{config}' asks questions whose wordings are its own", "vary another record")
    if language is not None and language != record.language:
        words = f"'{config}' is written in '{record.language}': its numbers, dates and lists are those of that language"
        raise WrongUsage(words, f"write `language: {language[:20]}` at the record, or make one of its own")
    if slot is None:
        return tuple(record.templates)
    if slot not in record.templates:
        raise WrongUsage(f"'{config}' has no template '{slot[:100]}'", suggest_name(slot, record.templates))
    return (slot,)


class TemplateVariation:
    """One template of a config, and what its variants are held against. `root` is that of the mesh."""

    def __init__(self, root: Path, build: Build, config: str, slot: str) -> None:
        self.config, self.slot = config, slot
        self.typed = _without_variants(build.typed, config)
        self.record = self.typed.records[config]
        self.template = self.record.slots[slot]
        self.name = self.template.template
        self.folder_name = self.typed.narrative.variants_folder(config, slot)
        self.folder = root / self.typed.narrative.folder / self.folder_name
        self._root = root
        cases, self._stories = _cases_of(build, self.typed, self.record, slot)
        if not cases:
            raise StorymeshError(f"'{config}' has no record on which variants could be tried", "see why: storymesh run")
        self.comparison = VariantComparison(self.template.checked, cases, build.pseudonym_key)

    def numbers(self) -> list[int]:
        """Return the numbers of the variants that are there."""
        names = (path.name for path in self.folder.glob("*.jinja")) if self.folder.is_dir() else ()
        return sorted(int(found[1]) for name in names if (found := _NUMBERED.match(name)) is not None)

    def present(self) -> int:
        """Return how many variants are there, numbered or not."""
        return len(list(self.folder.glob("*.jinja"))) if self.folder.is_dir() else 0

    def messages(self, number: int) -> Messages:
        """Return what asks a model for the variant of this number."""
        return variant_messages(self.typed, self.template, self._stories, number, self.record.record.language)

    def path(self, number: int) -> Path:
        """Return the file of the variant of a number: it ends as the original does."""
        return self.folder / f"{number:02d}.{self.name.partition('.')[2]}"

    def faults(self, text: str, number: int) -> list[str]:
        """Return why a text cannot be taken as the variant of a number, as sentences; empty where it can."""
        if not all(sign.isprintable() or sign in "\n\t" for sign in text):
            return ["It holds signs that nobody sees: write plain text."]
        if (same := self._same_words(text)) is not None:
            return [f"It has the same words as {same}: tell it otherwise."]
        name = f"{self.folder_name}/{self.path(number).name}"
        try:
            variant = type_variant(self.typed, self.config, self.slot, name, text)
        except DefinitionErrors as refused:
            return [str(finding) for finding in refused.findings[:6]]
        return self.comparison.faults(variant.checked)

    def _same_words(self, text: str) -> str | None:
        words = text.split()
        originals = [(self.name, self.typed.narrative.templates[self.name])]
        others = [(path.name, path.read_text(encoding="utf-8", errors="replace")) for path in self._files()]
        return next((name for name, other in [*originals, *others] if other.split() == words), None)

    def _files(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from sorted(self.folder.glob("*.jinja"))

    def accept(self, text: str, number: int) -> Path:
        """Write a variant under its number, or the next that is free, and return its path in the mesh. Nothing is ever
        written over."""
        own = (self._root / self.typed.narrative.folder).resolve()
        if not self.folder.resolve().is_relative_to(own):
            raise StorymeshError(f"{self.folder} leads out of the narrative's folder", "make it a folder of its own")
        while True:
            path = self.path(number)
            with staged_file(path, keep_existing=True) as staged:
                staged.write_text(text, encoding="utf-8")
                inode = staged.stat().st_ino
            if path.stat().st_ino == inode:
                return path.relative_to(self._root)
            number += 1


def _without_variants(typed: TypedNarrative, config: str) -> TypedNarrative:
    """Return the narrative with the templates of a config as they are without variants."""
    narrative = typed.narrative
    record = narrative.records[config].model_copy(update={"variants": False})
    plain = narrative.model_copy(update={"records": {**narrative.records, config: record}})
    return type_narrative(plain, typed.contracts)


def _cases_of(
    build: Build, typed: TypedNarrative, record: TypedRecord, slot: str
) -> tuple[list[ComparedCase], list[str]]:
    """Return the cases of which the config has a record, drawn by their ids, and some of the texts of the template."""
    write_cases_and_precedents(build)
    texts = [text for text in record.texts if text.slot.name == slot]
    with build.open_engine() as engine:
        cases = cases_with_precedents(build, engine)
        rows = record_inputs(cases, typed, record, build.product_versions, build.pseudonym_key)
        renderable = rows.filter(rows[UNRENDERABLE].isnull())
        chosen = renderable.order_by(renderable["case_id"].hexdigest("md5")).limit(CASES)
        batches = list(engine.stream_batches(chosen))
    drops: dict[str, str] = {}
    records = {row["case_id"]: row for row in render_rows(iter(batches), record, interpreters(build, record), drops)}
    compared: list[ComparedCase] = []
    for row in (row for batch in batches for row in batch.to_pylist() if row["case_id"] in records):
        names = as_value({name.removeprefix("n_"): value for name, value in row.items() if name.startswith("n_")})
        for text in texts:
            visible = {**names, "option": names[f"option_{text.option}"]} if text.option else names
            compared.append(ComparedCase(row["case_id"], text.draw_id(row["case_id"]), visible))
    told = (text.text_in(row) for row in list(records.values())[:STORIES] for text in texts)
    return compared, [story for story in told if story is not None]


@dataclass(frozen=True)
class VariantResult:
    """The result of one number: the file that was written, or None and the faults of the last attempt."""

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
    """Return the numbers of the variants that are missing until there are `count`, after the highest there is."""
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
