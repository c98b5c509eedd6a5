"""Personal data in free text: found before any case is made, so that no record, fact, precedent or model ever sees it.

A typed value says what it is: numbers, moments and codes are no persons. What may hold anything is text. So of every
text property that a narrative reads the different values are looked through, once each: the engine picks those that
could hold something (set-based), and the libraries decide on these alone, some thousand at a time. What is found is
replaced in a copy of the product's rows, which takes the product's place for all that follows: links, templates,
precedents, trace and scenarios see the same words, and the compiler and the interpreter cannot disagree about them.

Looked for are e-mail addresses, phone numbers that are valid by the plan of their country (phonenumbers), IBANs and
payment cards whose check digits are right (python-stdnum), and names: what a property holds that is restricted or
replaced by pseudonyms, wherever it stands in another property's text.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import ibis

from storymesh.atomic_write import write_atomically
from storymesh.contract.definition import Contract
from storymesh.engine import dialect
from storymesh.engine.engine import Engine
from storymesh.errors import StorymeshError
from storymesh.language.types import Text
from storymesh.narrative.typed import TypedNarrative

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

Kind = Literal["e-mail", "phone", "iban", "card", "name"]
KINDS: tuple[Kind, ...] = ("e-mail", "phone", "iban", "card", "name")
MASKS: Mapping[Kind, str] = {kind: f"[{kind}]" for kind in KINDS}
# What stands in a text that is to drop: a noncharacter for each kind, which no data has and no filter changes.
MARKS: Mapping[Kind, str] = {kind: chr(0xFDD1 + place) for place, kind in enumerate(KINDS)}
REASON = "personal data"

FORM = "personal-1"  # changes whenever the same text would be judged otherwise

_EMAIL = re.compile(
    r"[\w.%+'-]*\w(?:\s?(?:\(at\)|\[at\]|\{at\})\s?|@)(?:[\w-]+(?:\.|\s?(?:\(dot\)|\[dot\])\s?))+[^\W\d_]{2,24}",
    re.IGNORECASE,
)
_IBAN = re.compile(r"(?<!\w)[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}(?!\w)")
_CARD = re.compile(r"(?<![\w.,+-])\d(?:[ -]?\d){12,18}(?![\w-])")
# The first digits and the lengths of the networks' numbers: Visa, Mastercard, American Express, Discover, JCB, Diners.
_NETWORK = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|(?:6011|65\d\d|64[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}"
)
_INTERNATIONAL = re.compile(r"(?<![\w+])00(?=[1-9]\d)")
_WORD = re.compile(r"[^\W_]+")
# What the engine picks by: all that the libraries could take for something, and much that they do not. Numbers without
# their country's code are picked by most dates and amounts, and only where a narrative asks for them.
_POSSIBLE = (
    r"@|[({\[](?i:at)[)}\]]|[+\x{FF0B}]|(?:^|[^\p{N}])00[1-9]|\d(?:[ -]?\d){12}"
    r"|(?:^|[^\p{L}\p{N}_])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11}"
)
_DIALLED = r"|\p{Nd}(?:[^\p{L}\p{Nd}]{0,4}\p{Nd}){5}"
_LONGEST_NAME = 8  # words


@dataclass(frozen=True)
class Names:
    """Names by their words in small letters, for those of one word also as they are written: `Ann` is no `ann`."""

    folded: frozenset[tuple[str, ...]] = frozenset()
    single: frozenset[str] = frozenset()

    @classmethod
    def of(cls, values: Iterable[str]) -> "Names":
        """Those of the values that can be told from other words: of several words, or one of four letters or more that
        begins with a capital. What has no letter is no name."""
        folded: set[tuple[str, ...]] = set()
        single: set[str] = set()
        for value in values:
            words = _WORD.findall(unicodedata.normalize("NFC", value))
            if len(words) == 1 and len(words[0]) >= 4 and words[0][0].isupper():
                single |= {words[0], words[0].upper()}
            elif 1 < len(words) <= _LONGEST_NAME and sum(map(str.isalpha, value)) >= 3:
                folded.add(tuple(word.lower() for word in words))
        return cls(frozenset(folded), frozenset(single))

    @cached_property
    def lengths(self) -> list[int]:
        return sorted({*map(len, self.folded), *([1] if self.single else [])}, reverse=True)

    def __bool__(self) -> bool:
        return bool(self.folded or self.single)


@dataclass(frozen=True)
class Finder:
    """Finds personal data in texts. `regions` (ISO 3166) are those whose phone numbers stand without their country."""

    names: Names = Names()
    regions: tuple[str, ...] = ()

    @property
    def possible(self) -> str:
        """What a text matches (RE2) that could hold something other than a name."""
        return _POSSIBLE + (_DIALLED if self.regions else "")

    def found(self, text: str) -> list[tuple[int, int, Kind]]:
        """Begin, end and kind of what is personal in a text in form C, in its order; nothing twice."""
        taken: list[tuple[int, int, Kind]] = []
        for begin, end, kind in self._each(text):
            if all(end <= other[0] or other[1] <= begin for other in taken):
                taken.append((begin, end, kind))
        return sorted(taken)

    def replaced(self, text: str, words: Mapping[Kind, str]) -> tuple[str, list[Kind]]:
        """The text with `words` in place of what is personal, and which kinds that was. Without any, it is the same."""
        composed = unicodedata.normalize("NFC", text)
        parts: list[str] = []
        kinds: list[Kind] = []
        last = 0
        for begin, end, kind in self.found(composed):
            parts += [composed[last:begin], words[kind]]
            kinds.append(kind)
            last = end
        return ("".join([*parts, composed[last:]]), kinds) if kinds else (text, [])

    def _each(self, text: str) -> Iterator[tuple[int, int, Kind]]:
        for met in _EMAIL.finditer(text):
            yield met.start(), met.end(), "e-mail"
        yield from _ibans(text)
        yield from _cards(text)
        yield from _phones(text, self.regions)
        yield from self._named(text)

    def _named(self, text: str) -> Iterator[tuple[int, int, Kind]]:
        if not self.names:
            return
        words = list(_WORD.finditer(text))
        for length in self.names.lengths:
            for place in range(len(words) - length + 1):
                run = words[place : place + length]
                met = (
                    run[0][0] in self.names.single
                    if length == 1
                    else tuple(word[0].lower() for word in run) in self.names.folded
                )
                if met:
                    yield run[0].start(), run[-1].end(), "name"


def _ibans(text: str) -> Iterator[tuple[int, int, Kind]]:
    from stdnum import iban

    for met in _IBAN.finditer(text):
        # Words that follow look like more of it: the longest part that ends with a group and is an IBAN.
        gaps = [gap.start() for gap in re.finditer(r"[ -]", met[0])]
        for end in (met.start() + gap for gap in (len(met[0]), *reversed(gaps))):
            if iban.is_valid(text[met.start() : end]):
                yield met.start(), end, "iban"
                break


def _cards(text: str) -> Iterator[tuple[int, int, Kind]]:
    from stdnum import luhn

    for met in _CARD.finditer(text):
        digits = re.sub(r"\D", "", met[0])
        if _NETWORK.fullmatch(digits) and luhn.is_valid(digits):
            yield met.start(), met.end(), "card"


def _phones(text: str, regions: Sequence[str]) -> Iterator[tuple[int, int, Kind]]:
    from phonenumbers import Leniency, PhoneNumberMatcher

    # `00` before a country is as good as `+`, and as long with a space before it.
    dialled = _INTERNATIONAL.sub(" +", text)
    for region in (*([None] if re.search("[+\uff0b]", dialled) else []), *regions):
        # Without a country many a date and amount is a number of somewhere: there it is grouped as one is written.
        leniency = Leniency.VALID if region is None else Leniency.EXACT_GROUPING
        for met in PhoneNumberMatcher(dialled, region, leniency=leniency):
            begin = met.start - (dialled[met.start] == "+" and text[met.start] == "0")
            raw = text[begin : met.end]
            begin += raw.startswith("(") and raw.count("(") > raw.count(")")
            bare = text[begin : met.end].isdigit() and text[begin] != "0"
            if region is not None and bare:
                continue  # more often a key than a number to call
            yield begin, met.end, "phone"


@dataclass(frozen=True)
class Found:
    """What the free text of a build held. `values`: `<role>.<property>` -> kind -> different values that hold it."""

    mode: str
    values: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def write_found(engine: Engine, typed: TypedNarrative, tables: "Mapping[str, ir.Table]", folder: Path) -> None:
    """Look through the free text of the roles' rows (`tables`), and write into `folder`, for each role that holds
    personal data, its rows without it (`<role>.parquet`); last, `found.json`, what `read_found` reads.

    Raises StorymeshError where rows are named or joined by an e-mail address: that cannot be replaced unseen.
    """
    dataset = typed.narrative.dataset
    words = MARKS if dataset.personal == "refuse" else MASKS
    finder = Finder(_names(engine, typed, tables), dataset.phone_regions)
    picked = _names_table(engine, finder.names)
    values: dict[str, dict[str, int]] = {}
    for role, table in tables.items():
        free, fixed = _columns(typed, role)
        for column in fixed:
            _refuse_address(engine, typed, role, column, table[column])
        changed: dict[str, ir.Table] = {}
        for column in free:
            replaced, counts = _replaced(engine, table[column], finder, picked, words)
            if counts:
                values[f"{role}.{column}"] = counts
                changed[column] = replaced
        if changed:
            engine.write_parquet(_with(table, changed), folder / f"{role}.parquet")
    found = {"mode": dataset.personal, "values": values}
    write_atomically(folder / "found.json", json.dumps(found, indent=2) + "\n")


def read_found(folder: Path) -> Found:
    """What `write_found` wrote; nothing where nobody looked."""
    path = folder / "found.json"
    if not path.is_file():
        return Found("off")
    said: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Found(said["mode"], said["values"])


def refused(texts: "Sequence[ir.StringValue]") -> "Iterator[tuple[ir.BooleanValue, str]]":
    """For each kind whether a text bears its mark, and the reason for which its record drops then."""
    for kind, mark in MARKS.items():
        met = [text.contains(mark) for text in texts]
        yield ibis.or_(*met), f"{REASON}: {kind}"


def reason_of(*values: Any) -> str | None:
    """`refused` of values at hand, and of all that is in them."""
    told = list(_texts(values))
    return next((f"{REASON}: {kind}" for kind, mark in MARKS.items() if any(mark in text for text in told)), None)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def _columns(typed: TypedNarrative, role: str) -> tuple[list[str], list[str]]:
    """The text properties of a role that the narrative reads: free ones, and those that rows are known or joined by.
    What is restricted, replaced by a pseudonym or one of a list of codes is neither."""
    contract = typed.contracts[role]
    read = [
        name
        for name, item in contract.properties.items()
        if isinstance(item.type, Text)
        and not item.enum
        and item.classification != "restricted"
        and (role, name) not in typed.pseudonymised
    ]
    fixed = _fixed(typed, role, contract)
    free = [name for name in read if name in typed.columns.get(role, ()) and name not in fixed]
    return free, [name for name in read if name in fixed]


def _fixed(typed: TypedNarrative, role: str, contract: Contract) -> set[str]:
    own = {join.column for join in typed.cast.roles[role].joins}
    others = {join.other_column for other in typed.cast.roles.values() for join in other.joins if join.other == role}
    return {*contract.key, *own, *others, *(path[1] for path in typed.together if path[0] == role)}


def _refuse_address(engine: Engine, typed: TypedNarrative, role: str, column: str, value: "ir.StringValue") -> None:
    met = value.as_table()
    candidates = met.filter(met[column].contains("@")).distinct().limit(1_000)
    for text in engine.fetch_table(candidates)[column].to_pylist():
        if _EMAIL.search(text):
            words = f"'{role}.{column}' of '{typed.narrative.id}' holds e-mail addresses, and rows are known by it"
            hint = f"add `{role}.{column}` to `dataset.pseudonymise`, or say `personal: off` if they are nobody's"
            raise StorymeshError(words, hint)


def _names(engine: Engine, typed: TypedNarrative, tables: "Mapping[str, ir.Table]") -> Names:
    """What the properties of the cast hold that may not be printed as they are."""
    values: set[str] = set()
    for role, table in tables.items():
        for name, item in typed.contracts[role].properties.items():
            hidden = item.classification == "restricted" or (role, name) in typed.pseudonymised
            if hidden and isinstance(item.type, Text) and not item.enum:
                met = table.select(value=table[name]).distinct()
                values.update(filter(None, engine.fetch_table(met)["value"].to_pylist()))
    return Names.of(values)


def _names_table(engine: Engine, names: Names) -> "tuple[ir.Table, list[int]] | None":
    """The hashes of the names, for the engine to pick by, and their lengths in words."""
    import pyarrow as pa

    if not names:
        return None
    told = [" ".join(words) for words in names.folded] + [word.lower() for word in names.single]
    table = engine.materialize(pa.table({"name": pa.array(sorted(set(told)), pa.string())}))
    return table.select(run=dialect.hash_text(table["name"])), names.lengths


def _replaced(
    engine: Engine,
    value: "ir.StringValue",
    finder: Finder,
    picked: "tuple[ir.Table, list[int]] | None",
    words: Mapping[Kind, str],
) -> "tuple[ir.Table, dict[str, int]]":
    """`value` and `told`, what stands in its place, of each different value that holds something; and how many do."""
    import pyarrow as pa

    found = value.name("value").as_table().distinct()
    # Written down: both searches below would look for what is different once more.
    different = engine.materialize(found.drop_null())
    possible = different.filter(different["value"].re_search(finder.possible))
    if picked is not None:
        names, lengths = picked
        # A name stands inside a text: what is one word is a code.
        several = different.filter(different["value"].contains(" "))
        several = dialect.materialization_barrier(several.mutate(words=dialect.split_words(several["value"])))
        every = dialect.concat_lists([dialect.word_ngrams(several["words"], length) for length in lengths])
        runs = several.select("value", run=dialect.map_items(every, dialect.hash_text).unnest())
        possible = possible.union(runs.semi_join(names, "run").select("value"), distinct=True)
    counts: Counter[str] = Counter()
    texts: list[str] = []
    told: list[str] = []
    for batch in engine.stream_batches(possible):
        for text in batch.column(0).to_pylist():
            other, kinds = finder.replaced(text, words)
            if kinds:
                counts.update(set(kinds))
                texts.append(text)
                told.append(other)
    replaced = pa.table({"value": pa.array(texts, pa.string()), "told": pa.array(told, pa.string())})
    return engine.materialize(replaced), dict(sorted(counts.items()))


def _with(table: "ir.Table", changed: "Mapping[str, ir.Table]") -> "ir.Table":
    """The rows with what stands in place of some columns' values."""
    names = table.columns
    for column, replaced in changed.items():
        theirs = replaced.rename({f"was_{column}": "value", f"is_{column}": "told"})
        table = table.left_join(theirs, table[column] == theirs[f"was_{column}"])
        table = table.mutate(**{column: table[f"is_{column}"].coalesce(table[column])}).select(names)
    return table


def persons_in(engine: Engine, texts: "ir.Table", finder: Finder) -> "pa.Table":
    """id and dropped, the reason, of each row of `texts` (id, text) that holds something personal: what nobody's rows
    held before, such as what a language model made up."""
    import pyarrow as pa

    ids: list[str] = []
    reasons: list[str] = []
    for batch in engine.stream_batches(texts.filter(texts["text"].re_search(finder.possible)).select("id", "text")):
        for row in batch.to_pylist():
            kinds = {kind for _, _, kind in finder.found(unicodedata.normalize("NFC", row["text"]))}
            if kinds:
                ids.append(row["id"])
                reasons.append(f"{REASON}: {next(kind for kind in KINDS if kind in kinds)}")
    return pa.table({"id": pa.array(ids, pa.string()), "dropped": pa.array(reasons, pa.string())})
