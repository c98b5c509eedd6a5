"""The guessed form of a raw file, from its first rows: its encoding, whether a line names its columns, and how
it writes numbers, days and missing values. Each guess comes with its reason in words."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storymesh.contract.value_forms import ValueForms, format_pattern
from storymesh.engine.engine import Engine
from storymesh.product.sources.csv import csv_dialect
from storymesh.product.sources.open import open_raw_rows, raw_content, raw_format, raw_sheet_rows
from storymesh.product.sources.options import NO_QUOTE, SourceOptions

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLE_BYTES = 256 * 1024
_SAMPLE_ROWS = 2_000
_OF_MOST = "cp1252"  # the encoding of most files that are not UTF-8, where too little is there to tell
_SAMPLE_COLUMNS = 500
_MAX_WORDS = 3  # different words that may mean no value in a column
_MIN_CONTRAST = 10  # different values beside them
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
MAX_LINES = 50
_DELIMITERS = ",;\t|"
_VALUE = re.compile(rf"\s*({ValueForms().number_pattern}|\d{{4}}-\d{{2}}-\d{{2}}.*)\s*")
Row = tuple[int, Sequence[str]]
"""The number of lines above a row, and its cells."""


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
    if not given.skip_rows and given.header is None and given.names is None:
        guess = _with_lines_above(path, guess)
    if format_ == "csv" and given.header is None and given.names is None:
        guess = _with_header(path, guess, engine)
    columns = _sample(open_raw_rows(path, guess.options, engine))
    if not given.nulls:
        guess = _with_nulls(guess, columns)
    nulls = {name: {word.strip() for word in guess.options.forms.of(name).nulls} for name in columns}
    values = {name: [text for text in texts if text.strip() not in nulls[name]] for name, texts in columns.items()}
    if not given.nulls:
        guess = replace(guess, notes=(*guess.notes, *_words_among_values(values)))
    if given.decimal == "." and given.thousands is None:
        guess = _with_numbers(guess, _without(given, values, "decimal", "thousands"))
    return _with_dates(guess, _without(given, values, "dates"))


def _without(given: SourceOptions, columns: Mapping[str, Sequence[str]], *fields: str) -> Mapping[str, Sequence[str]]:
    """Return the columns of which nobody has said one of the fields."""
    said = {name for name, forms in given.columns.items() if forms.given.keys() & fields}
    return {name: texts for name, texts in columns.items() if name not in said}


def _add(guess: SourceGuess, reason: str, note: str = "", **fields: Any) -> SourceGuess:
    options = SourceOptions.model_validate({**guess.options.model_dump(exclude_unset=True), **fields})
    notes = (*guess.notes, note) if note else guess.notes
    return replace(guess, options=options, reasons=(*guess.reasons, reason), notes=notes)


def _add_columns(guess: SourceGuess, reason: str, columns: Mapping[str, Mapping[str, Any]]) -> SourceGuess:
    """Say how the values of single columns are written."""
    forms = {name: own.given for name, own in guess.options.columns.items()}
    for name, fields in columns.items():
        forms[name] = {**forms.get(name, {}), **fields}
    return _add(guess, reason, columns=forms)


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


def _with_lines_above(path: Path, guess: SourceGuess) -> SourceGuess:
    count = count_lines_above(path, guess.options)
    if not count:
        return guess
    words = f"{count} line{'s'[: count != 1]} above the one that names the columns, of fewer fields"
    return _add(guess, words, skip_rows=count)


def _with_header(path: Path, guess: SourceGuess, engine: Engine) -> SourceGuess:
    """Guess that the file has no header if the first line has a value like those below it."""
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
    """Guess that a word means null if it alone keeps a column from being numbers or moments."""
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


def _words_among_values(columns: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield what a person should know of columns in which a few words alone are neither numbers nor moments."""
    for name, texts in columns.items():
        words = [text for text in texts if not any(map(str.isdigit, text))]
        others = [text for text in texts if text not in words]
        if not 0 < len(words) <= _MAX_WORDS or len(others) < _MIN_CONTRAST:
            continue
        if _is_numeric(others) or _formats_of(others) or all(_ISO.fullmatch(text.strip()) for text in others):
            shown = " and ".join(map(repr, words))
            yield (
                f"{name} has numbers or days but for {shown}: if that means no value, --with columns.{name}.nulls=WORD"
            )


def _is_numeric(texts: Sequence[str]) -> bool:
    return any(_all_match(texts, forms.number_pattern) for forms in (ValueForms(), *_NUMBERS))


def _all_match(texts: Iterable[str], pattern: str) -> bool:
    compiled = re.compile(pattern)
    return all(compiled.fullmatch(text.strip()) for text in texts)


def _with_numbers(guess: SourceGuess, columns: Mapping[str, Sequence[str]]) -> SourceGuess:
    """Guess decimal and thousands marks from columns that are no plain numbers; each column has its own if they
    differ."""
    plain = ValueForms().number_pattern
    odd = {name: texts for name, texts in columns.items() if texts and not _all_match(texts, plain)}
    pointed = any("." in text for name, texts in columns.items() if name not in odd for text in texts)
    fitting = {name: [forms for forms in _NUMBERS if _all_match(texts, forms.number_pattern)]
               for name, texts in odd.items()}  # fmt: skip
    fitting = {name: found for name, found in fitting.items() if found}
    if not fitting:
        return guess
    counts = [sum(forms in found for found in fitting.values()) for forms in _NUMBERS]
    usual = _NUMBERS[counts.index(max(counts))]
    if len(fitting) == max(counts) and not (usual.decimal == "," and pointed):
        return _add(guess, f"numbers have {_mark_words(usual)}", **_mark_fields(usual))
    chosen = {name: usual if usual in found else found[0] for name, found in fitting.items()}
    words = "; ".join(f"those of {name} {_mark_words(forms)}" for name, forms in chosen.items())
    return _add_columns(guess, f"numbers have, {words}", {name: _mark_fields(forms) for name, forms in chosen.items()})


def _mark_fields(forms: ValueForms) -> dict[str, str]:
    fields = {"decimal": forms.decimal} if forms.decimal != "." else {}
    return fields | ({"thousands": forms.thousands} if forms.thousands is not None else {})


def _mark_words(forms: ValueForms) -> str:
    places = {"decimal": "before decimals", "thousands": "between thousands"}
    return " and ".join(f"'{mark}' {places[name]}" for name, mark in _mark_fields(forms).items())


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
    """Guess the formats of date and timestamp columns. An unambiguous column decides for the ambiguous ones."""
    local = any(texts and all(map(_is_local, texts)) for texts in columns.values())
    fitting = {name: formats for name, texts in columns.items() if (formats := _formats_of(texts))}
    if not fitting or guess.options.dates:
        return replace(guess, has_local_times=local or any("%H" in each for each in guess.options.dates))
    chosen = dict.fromkeys(formats[0] for formats in fitting.values() if len(formats) == 1)
    taken: dict[str, str] = {}
    notes = []
    for name, formats in fitting.items():
        sure = [each for each in formats if each in chosen]
        month_first = any(day.startswith("%m") for day in chosen)
        alike = next((each for each in formats if each.startswith("%m") == month_first), formats[0])
        taken[name] = sure[0] if sure else alike
        chosen[taken[name]] = None
        if len(formats) > 1 and len(sure) != 1:
            could = f"{name} could be {' or '.join(formats)}, and is taken for {taken[name]}"
            notes.append(f"{could}: --with columns.{name}.dates=FORMAT")
    dates = tuple(chosen)
    local = local or any(_has_clock(each) and "%z" not in each for each in dates)
    if _are_mixed_up(columns, taken):
        words = "; ".join(f"those of {name} {format_}" for name, format_ in taken.items())
        guess = _add_columns(guess, f"days are written, {words}", {name: {"dates": taken[name]} for name in taken})
    else:
        guess = _add(guess, f"days are written {' or '.join(dates)}", dates=dates)
    return replace(guess, notes=(*guess.notes, *notes), has_local_times=local)


def _are_mixed_up(columns: Mapping[str, Sequence[str]], taken: Mapping[str, str]) -> bool:
    """Return True where a text of a column has the form of another's format: by a list of both it would be read by
    whichever comes first."""
    patterns = {each: re.compile(format_pattern(each)) for each in taken.values()}
    return any(
        pattern.fullmatch(text.strip())
        for name, own in taken.items()
        for other, pattern in patterns.items()
        if other != own
        for text in columns[name]
    )


def _has_clock(format_: str) -> bool:
    return "%H" in format_ or "%I" in format_


def _is_local(text: str) -> bool:
    match = _ISO.fullmatch(text.strip())
    return match is not None and match[1] is not None and match[4] is None


SAMPLE_BYTES = 64 * 1024
SAMPLE_ROWS = 100


def count_lines_above(path: Path, options: SourceOptions) -> int:
    """Return the number of lines above the header; 0 if no line clearly is one.

    Raises SourceUnreadable.
    """
    match raw_format(path, options):
        case "csv":
            head = raw_content(path, options, SAMPLE_BYTES)
            text = head.decode("utf-8-sig", "replace")
            whole = len(head) < SAMPLE_BYTES
            marks = [options.delimiter] if options.delimiter else _DELIMITERS
            return max((_lines_above(_records(text, mark, options, whole=whole)) for mark in marks), default=(0, 0))[1]
        case "xlsx":
            rows = raw_sheet_rows(path, options, SAMPLE_ROWS)
            return _lines_above([(index, ["" if cell is None else str(cell) for cell in row])
                                 for index, row in enumerate(rows)])[1]  # fmt: skip
        case _:
            return 0


def _records(text: str, delimiter: str, options: SourceOptions, *, whole: bool) -> list[Row]:
    quote = None if options.quote == NO_QUOTE else options.quote or '"'
    reader = csv.reader(io.StringIO(text, newline=""), **csv_dialect(delimiter, quote, options.escape))
    records: list[Row] = []
    above = 0
    try:
        for record in reader:
            records.append((above, record))
            above = reader.line_num
            if len(records) == SAMPLE_ROWS:
                return records
    except csv.Error:
        return []  # of another delimiter
    return records if whole else records[:-1]


def _lines_above(rows: Sequence[Row]) -> tuple[int, int]:
    """Return how many fields the table has that the rows agree on, in all of them, and the lines above its names."""
    widths = Counter(_width(cells) for _, cells in rows if any(cells))
    if not widths:
        return 0, 0
    width, count = max(widths.items(), key=lambda item: (item[0] > 1) * item[0] * item[1])
    score = (width - 1) * count
    for above, cells in rows[: MAX_LINES + 1]:
        filled = [cell for cell in cells if cell.strip()]
        if len(filled) == width and not any(_VALUE.fullmatch(cell) for cell in filled):
            return score, above
        if len(filled) * 2 >= width and not len(filled) == _width(cells) == 1:
            break
    return score, 0


def _width(cells: Sequence[str]) -> int:
    """Return how many fields a row has without the empty ones at its end."""
    return max((place for place, cell in enumerate(cells, 1) if cell.strip()), default=0)
