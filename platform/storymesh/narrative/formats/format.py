"""What a format of records is: its template slots, its texts and its columns, and how those are written and read.

A format is one object in one file beside this one. All other modules ask that object, so a new format touches its own
file and its registration in `formats/__init__.py`. ibis is imported where an expression is built: definitions are read
without it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from storymesh.case.resolve import Cast
from storymesh.case.scopes import Phase, TypedCase

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

Words = TypeVar("Words", str, "ir.StringValue")
OptionSide = Literal["own", "chosen", "rejected", "asked"]


@dataclass(frozen=True)
class TemplateSlot:
    """A place for a template in a record: the phase in whose view the template is checked, and for the reference pages
    what it may see. With `sees_option` it renders one option of the precedents, under the name `option`."""

    name: str
    phase: Phase
    description: str
    required: bool = True
    sees_option: bool = False


@dataclass(frozen=True)
class TextColumn:
    """A text of a record: the slot whose template renders it, and the option that the template then sees.

    `column` is the column of the file that holds it, `path` its name in traces, figures and reports. Of the texts that
    one template renders, each `wording` makes choices of its own."""

    name: str
    slot: TemplateSlot
    option: OptionSide | None = None
    wording: int = 1

    def draw_id(self, case_id: "Words") -> "Words":
        """Return the id by which `choose` varies the words of this text: the case's, for the first wording."""
        return case_id if self.wording == 1 else case_id + f"~{self.wording}"

    @property
    def column(self) -> str:
        return self.name

    @property
    def path(self) -> str:
        return self.name

    def value_in(self, records: "ir.Table") -> "ir.StringValue":
        """Return the text as an expression over a table of records; null where a record does not have it."""
        return records[self.name]

    def text_in(self, record: Mapping[str, Any]) -> str | None:
        """Return the text of one record, None where the record does not have it."""
        value = record.get(self.name)
        return None if value is None else str(value)


@dataclass(frozen=True)
class RecordFormat:
    """A format of records. `columns` are its own columns in the order of the file, each with what it holds for the
    dataset card; `layout` says for the reference pages what the last of them is made of. `task` is the task category of
    the Hugging Face Hub. `label` names the column that says whether the record's answer worked."""

    name: str
    purpose: str
    slots: tuple[TemplateSlot, ...]
    texts: tuple[TextColumn, ...]
    columns: Mapping[str, str]
    layout: str = ""
    task: str = "text-generation"
    read_by_trl: bool = True
    label: str | None = None
    later_columns: frozenset[str] = frozenset()  # that records of older releases lack
    may_chat: bool = False  # it can be written as messages
    chat: bool = False  # it is

    @property
    def needs_outcome(self) -> bool:
        """True if a record answers, so that only judged cases have one."""
        return any(slot.phase == "answer" for slot in self.slots)

    @property
    def compares_options(self) -> bool:
        """True if a record shows options of the case's precedents."""
        return any(text.option is not None for text in self.texts)

    @property
    def calls_tool(self) -> bool:
        """True if a record calls a tool, which its author declares."""
        return False

    def fault(self, given: Collection[str]) -> str | None:
        """Return what is wrong with the slots that a record has templates for, beside those that every one needs."""
        return None

    @property
    def needs_pair(self) -> bool:
        """True if a record holds a better and a worse option against each other."""
        return {text.option for text in self.texts} >= {"chosen", "rejected"}

    @property
    def shows_outcome(self) -> bool:
        """True if a column beside the texts shows what was done in a case or whether it worked."""
        return self.label is not None

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns of the file that hold texts, in order."""
        return tuple(dict.fromkeys(text.column for text in self.texts))

    def as_chat(self, chat: bool) -> "RecordFormat":
        """Return the format whose columns are messages, or as it is."""
        return replace(self, chat=True) if chat and self.may_chat else self

    # --- from the texts of a case to the columns of its record ---

    def assemble(self, texts: "Mapping[str, ir.StringValue]") -> "dict[str, ir.Value]":
        """Return the text columns of the format, made of the texts that a config has (name -> expression)."""
        return {text.column: texts[text.name] for text in self.texts if text.name in texts}

    def assemble_row(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """Return what `assemble` computes, for the texts of one record."""
        return {text.column: texts[text.name] for text in self.texts if text.name in texts}

    def case_values(
        self, cases: "ir.Table", cast: Cast, views: TypedCase, names: "Mapping[str, ir.Value]"
    ) -> "dict[str, ir.Value]":
        """Return what the columns beside the texts need of a case, given the names that its templates see."""
        return {self.label: names["outcome"]["worked"]} if self.label is not None else {}

    def further_columns(self, case_values: "Mapping[str, ir.Value]", facts: "ir.StructValue") -> "dict[str, ir.Value]":
        """Return the columns beside the texts, made of `case_values` and the facts that the templates print."""
        return dict(case_values)

    def outcome_parts(self, schema: "pa.Schema") -> tuple[str, ...]:
        """Return the parts of the outcome that a column made of several values holds, in a file of this schema."""
        return ()

    # --- from records back to their texts ---

    def texts_in(self, record: Mapping[str, Any]) -> Iterator[tuple[TextColumn, str]]:
        """Yield each text that one record has, in the order of the format."""
        for text in self.texts:
            if (words := text.text_in(record)) is not None:
                yield text, words

    def column_texts(self, records: "ir.Table") -> "dict[str, ir.StringValue]":
        """Return the text of each text column; a column of several texts has them in lines."""
        return {column: records[column] for column in self.text_columns}

    def replace_texts(self, records: "ir.Table", replacements: "Mapping[str, ir.StringValue]") -> "dict[str, ir.Value]":
        """Return the text columns with `replacements` (name of a text -> expression) where those are not null."""
        return {
            text.column: replacements[text.name].coalesce(records[text.column])
            if text.name in replacements
            else records[text.column]
            for text in self.texts
        }

    # --- what curation compares ---

    def question(self, records: "ir.Table") -> "ir.StringValue | None":
        """Return one text for all that a record asks, the same for the same question only; None if it asks nothing."""
        asked = [text.value_in(records) for text in self.texts if text.slot.phase == "question"]
        return _encode_texts(asked) if asked else None

    def answer(self, records: "ir.Table") -> "ir.StringValue":
        """Return one text for all that a record answers, its label included."""
        answers = [text.value_in(records) for text in self.texts if text.slot.phase == "answer"]
        return _encode_texts([*answers, *([records[self.label].cast("string")] if self.label is not None else [])])

    def labels(self, records: "ir.Table") -> "dict[str, ir.Value]":
        """Return what a record says beside its texts of how its case ended, by name."""
        return {self.label: records[self.label]} if self.label is not None else {}

    def length(self, records: "ir.Table") -> "ir.IntegerValue":
        """Return how many characters are read at once: of the texts of one slot, the longest counts."""
        import ibis

        by_slot: dict[str, list[ir.IntegerValue]] = {}
        for text in self.texts:
            by_slot.setdefault(text.slot.name, []).append(text.value_in(records).length().fill_null(0))
        longest = [lengths[0] if len(lengths) == 1 else ibis.greatest(*lengths) for lengths in by_slot.values()]
        total: ir.IntegerValue = sum(longest[1:], longest[0])
        return total


def _encode_texts(texts: "Sequence[ir.StringValue]") -> "ir.StringValue":
    """Return one text that no other texts give: each stands after its length."""
    from storymesh.engine import dialect

    given = [text.fill_null("") for text in texts]
    return dialect.concat_texts([part for text in given for part in (text.length().cast("string"), ":", text)])
