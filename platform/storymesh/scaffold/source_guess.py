"""The guessed form of a raw file, from its first rows: its encoding, whether a line names its columns, and how
it writes numbers, days and missing values. Each guess comes with its reason in words."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.contract.value_forms import ValueForms, format_pattern
from storymesh.engine.engine import Engine
from storymesh.product.sources.open import open_raw_rows, raw_content, raw_format
from storymesh.product.sources.options import SourceOptions

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLE_BYTES = 256 * 1024
_SAMPLE_ROWS = 2_000
_OF_MOST = "cp1252"  # the encoding of most files that are not UTF-8, where too little is there to tell
_SAMPLE_COLUMNS = 500
_NULL_WORDS = ("", "NULL", "null", "N/A", "n/a", "NA", "#N/A", "None", "NaN", "nan", "nil", "\\N", "-", "--", "?", ".")
_NUMBERS = (
    ValueForms(thousands=","), ValueForms(decimal=","), ValueForms(decimal=",", thousands="."),
    ValueForms(decimal=",", thousands=" "), ValueForms(thousands=" "), ValueForms(thousands="'"),
)  # fmt: skip
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?( ?(Z|UTC|[+-]\d{2}(:?\d{2})?))?)?")
_NUMBER = re.compile(ValueForms().number_pattern)
_YEAR = re.compile(r"(19|20)\d\d")
# Day first goes before month first, where nothing tells: most of the world writes so. Such a guess is noted.
_DAYS = (
    "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d %b %Y",
    "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%b-%y",
)  # fmt: skip
_ZONES = ("", "%z", " %z")
_CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")
_FORMATS = (
    *_DAYS,
    *(f"{day}{gap}{clock}{zone}" for day in _DAYS for gap in (" ", "T", ", ") for clock in _CLOCKS for zone in _ZONES),
)  # fmt: skip
_PATTERNS = [(format_, re.compile(format_pattern(format_))) for format_ in _FORMATS]


@dataclass(frozen=True)
class SourceGuess:
    """The guessed form of a file; `reasons` say why, and `notes` what a person should look at.

    `has_local_times`: it has moments without an offset; `encoding_guessed`: nothing in it says its encoding.
    """

    options: SourceOptions
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    has_local_times: bool = False
    encoding_guessed: bool = False


def guess_source(path: Path, given: SourceOptions, engine: Engine) -> SourceGuess:
    """Return the options of a file; what is `given` is not guessed. Raises SourceUnreadable."""
    guess = SourceGuess(given)
    format_ = raw_format(path, given)
    if format_ in ("csv", "jsonl") and given.encoding is None:
        guess = _with_encoding(path, guess)
    if format_ == "csv" and given.header is None and given.names is None:
        guess = _with_header(path, guess, engine)
    columns = _sample(open_raw_rows(path, guess.options, engine))
    if not given.nulls:
        guess = _with_nulls(guess, columns)
    values = {
        name: [text for text in texts if text.strip() not in guess.options.nulls] for name, texts in columns.items()
    }
    if given.decimal == "." and given.thousands is None:
        guess = _with_numbers(guess, values)
    return _with_dates(guess, values)


def _add(guess: SourceGuess, reason: str, note: str = "", **fields: Any) -> SourceGuess:
    options = SourceOptions.model_validate({**guess.options.model_dump(exclude_unset=True), **fields})
    notes = (*guess.notes, note) if note else guess.notes
    return replace(guess, options=options, reasons=(*guess.reasons, reason), notes=notes)


def _sample(rows: "pa.RecordBatchReader") -> dict[str, list[str]]:
    """Return the different texts among the first values of each column of texts."""
    import pyarrow.types as at

    with rows:
        batch = next(iter(rows), None)
    if batch is None:
        return {}
    head = batch.slice(0, _SAMPLE_ROWS)
    names = [field.name for field in head.schema if at.is_string(field.type)][:_SAMPLE_COLUMNS]
    return {name: [text for text in head.column(name).unique().to_pylist() if text is not None] for name in names}


def _with_encoding(path: Path, guess: SourceGuess) -> SourceGuess:
    from charset_normalizer import from_bytes

    head = raw_content(path, guess.options, _SAMPLE_BYTES)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _add(guess, "encoding utf-16: its first bytes say so", encoding="utf-16")
    whole = head.rpartition(b"\n")[0] if len(head) == _SAMPLE_BYTES else head
    try:
        whole.decode("utf-8")
    except UnicodeDecodeError:
        best = from_bytes(whole).best()
        found = best.encoding if best is not None and best.coherence else _OF_MOST
        note = f"encoding: it is not UTF-8 and is taken for {found}"
        return replace(_add(guess, f"encoding {found}", note, encoding=found), encoding_guessed=True)
    return guess


def _with_header(path: Path, guess: SourceGuess, engine: Engine) -> SourceGuess:
    """Say that no line names the columns where the first line has a value that is like those below it."""
    options = SourceOptions.model_validate({**guess.options.model_dump(exclude_unset=True), "header": False})
    with open_raw_rows(path, options, engine) as rows:
        batch = next(iter(rows), None)
    if batch is None or batch.num_rows < 2:
        return guess
    first, *below = batch.slice(0, 100).to_pylist()
    for name, value in first.items():
        others = [row[name] for row in below if row[name] is not None]
        for kind in (_NUMBER, _ISO):
            alike = others and all(kind.fullmatch(other.strip()) for other in others)
            if value is not None and alike and kind.fullmatch(value.strip()) and not _YEAR.fullmatch(value.strip()):
                return _add(guess, "no line of names: the first one has values", header=False)
    return guess


def _with_nulls(guess: SourceGuess, columns: Mapping[str, Sequence[str]]) -> SourceGuess:
    """Take for no value a word that alone keeps a column from being one of numbers or moments."""
    words: dict[str, None] = {}
    blank = [text for texts in columns.values() for text in texts if text and not text.strip()]
    if blank:
        words[""] = None
    for texts in columns.values():
        given = [text for text in texts if text.strip() in _NULL_WORDS]
        others = [text for text in texts if text.strip() not in _NULL_WORDS]
        if given and others and (_formats_of(others) or _is_numeric(others)):
            words |= dict.fromkeys(text.strip() for text in given)
    if not words:
        return guess
    shown = ", ".join(map(repr, words))
    return _add(guess, f"no value: {shown}, which stand among numbers or days, or are spaces alone", nulls=tuple(words))


def _is_numeric(texts: Sequence[str]) -> bool:
    return any(_all_match(texts, forms.number_pattern) for forms in (ValueForms(), *_NUMBERS))


def _all_match(texts: Iterable[str], pattern: str) -> bool:
    compiled = re.compile(pattern)
    return all(compiled.fullmatch(text.strip()) for text in texts)


def _with_numbers(guess: SourceGuess, columns: Mapping[str, Sequence[str]]) -> SourceGuess:
    """Take the marks that make numbers of most columns that are none with a point and without marks."""
    odd = [texts for texts in columns.values() if texts and not _all_match(texts, ValueForms().number_pattern)]
    plain = [texts for texts in columns.values() if any("." in text for text in texts) and texts not in odd]
    counts = [sum(_all_match(texts, forms.number_pattern) for texts in odd) for forms in _NUMBERS]
    best = max(counts)
    forms = _NUMBERS[counts.index(best)]
    if best == 0 or (forms.decimal == "," and plain):
        return guess
    fields = {"decimal": forms.decimal} if forms.decimal != "." else {}
    if forms.thousands is not None:
        fields["thousands"] = forms.thousands
    places = {"decimal": "before decimals", "thousands": "between thousands"}
    marks = " and ".join(f"'{mark}' {places[name]}" for name, mark in fields.items())
    return _add(guess, f"numbers have {marks}", **fields)


def _formats_of(texts: Sequence[str]) -> list[str]:
    """Return the formats that all texts have, of which none is ISO 8601: that needs none."""
    if not texts or all(_ISO.fullmatch(text.strip()) for text in texts) or all(len(text) < 6 for text in texts):
        return []
    return list(islice(_fitting(texts), 3))


def _fitting(texts: Sequence[str]) -> Iterator[str]:
    for format_, pattern in _PATTERNS:
        if all(pattern.fullmatch(text.strip()) and _is_moment(text.strip(), format_) for text in texts):
            yield format_


def _is_moment(text: str, format_: str) -> bool:
    given = re.sub(r"([+-]\d\d)$", r"\g<1>00", text.removesuffix("Z") + "+0000" if text.endswith("Z") else text)
    try:
        moment = datetime.strptime(given if "%z" in format_ else text, format_)
    except ValueError:
        return False
    return 1900 <= moment.year < 2100 or "%Y%m%d" not in format_


def _with_dates(guess: SourceGuess, columns: Mapping[str, Sequence[str]]) -> SourceGuess:
    """Take the formats of columns of days and moments. One that is sure decides for those that could be two."""
    local = any(texts and all(map(_is_local, texts)) for texts in columns.values())
    fitting = {name: formats for name, texts in columns.items() if (formats := _formats_of(texts))}
    if not fitting or guess.options.dates:
        return replace(guess, has_local_times=local or any("%H" in each for each in guess.options.dates))
    sure = list(dict.fromkeys(formats[0] for formats in fitting.values() if len(formats) == 1))
    chosen: dict[str, None] = dict.fromkeys(sure)
    notes = []
    for name, formats in fitting.items():
        if not set(formats) & set(chosen):
            month_first = any(day.startswith("%m") for day in chosen)
            taken = next((each for each in formats if each.startswith("%m") == month_first), formats[0])
            chosen[taken] = None
            if len(formats) > 1:
                notes.append(f"{name} could be {' or '.join(formats)}, and is taken for {taken}: --with dates=FORMAT")
    dates = tuple(chosen)
    local = local or any(_has_clock(each) and "%z" not in each for each in dates)
    guess = _add(guess, f"days are written {' or '.join(dates)}", dates=dates)
    return replace(guess, notes=(*guess.notes, *notes), has_local_times=local)


def _has_clock(format_: str) -> bool:
    return "%H" in format_ or "%I" in format_


def _is_local(text: str) -> bool:
    match = _ISO.fullmatch(text.strip())
    return match is not None and match[1] is not None and match[4] is None
